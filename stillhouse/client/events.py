"""Server-sent events out of bytes, however the network cuts them."""

from __future__ import annotations

from stillhouse.errors import RequestFailed

# Far beyond any event of a chat; a server that sends no line's end must not fill the memory.
_MOST_EVENT_BYTES = 2**24


class EventReader:
    """Bytes in, the data of whole events out. Comments, names and ids of events are left out, but
    for the name `error`, which llama.cpp also uses as a field of its own.
    """

    __slots__ = ("_data", "_is_error", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._is_error = False

    def push(self, received: bytes) -> list[tuple[bytes, bool]]:
        """(data, whether the server calls it an error) of the events that are whole by now.

        Raises RequestFailed, a broken stream, for an event beyond 16 MB.
        """
        lines = (self._rest + received).split(b"\n") if self._rest else received.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _MOST_EVENT_BYTES or len(self._data) > _MOST_EVENT_BYTES // 64:
            raise RequestFailed(
                f"the server sent more than {_MOST_EVENT_BYTES} bytes that are no event",
                kind="broken_stream",
            )
        events: list[tuple[bytes, bool]] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data:"):
                data.append(line)
            elif line in (b"", b"\r"):
                if data:
                    events.append(self._event())
                    data = self._data
            elif line.startswith(b"error:"):
                data.append(line)
                self._is_error = True
            elif line.startswith(b"event:"):
                self._is_error = line[6:].strip() == b"error"
        return events

    def finish(self) -> list[tuple[bytes, bool]]:
        """The event that the stream's end may have cut off."""
        events = self.push(b"\n\n")
        self._rest = b""
        return events

    def _event(self) -> tuple[bytes, bool]:
        data, is_error = self._data, self._is_error
        self._data, self._is_error = [], False
        if len(data) == 1:
            return data[0].partition(b":")[2].strip(), is_error
        return b"\n".join(line.partition(b":")[2].strip() for line in data), is_error
