"""A position in a header that is read front to back and trusts no size it meets.

Its one rule: every length is compared with what is left before a byte is read or a list is made.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from itertools import repeat
from struct import Struct
from struct import error as StructError
from typing import Any

from stillhouse.errors import BadCheckpoint
from stillhouse.units import format_bytes

U32 = Struct("<I")
U64 = Struct("<Q")

# The largest known headers (262,144 tokens, twice as many merges) take about 15 MB. Short strings
# take up to nine times their bytes once decoded, so this also keeps memory under 256 MiB.
MAX_HEADER_BYTES = 24 << 20


def shown(text: str) -> str:
    """Quote a name from a file so that it fits in one line of ASCII, whatever it holds."""
    return ascii(text if len(text) <= 60 else text[:57] + "...")


@dataclass(slots=True)
class Cursor:
    """Reads little-endian numbers and strings from the first MAX_HEADER_BYTES of ``buffer``."""

    buffer: mmap.mmap | bytes
    position: int = 0

    @property
    def end(self) -> int:
        """The first byte that may not be read."""
        return min(len(self.buffer), MAX_HEADER_BYTES)

    def skip(self, num_bytes: int) -> int:
        """Step over ``num_bytes`` and return their start. Raises BadCheckpoint past the end."""
        start = self.position
        if num_bytes > self.end - start:
            raise self._overrun()
        self.position = start + num_bytes
        return start

    def take(self, num_bytes: int) -> bytes:
        """Copy the next ``num_bytes``."""
        start = self.skip(num_bytes)
        return self.buffer[start : self.position]

    def unpack(self, layout: Struct) -> Any:
        """Read the one number that ``layout`` describes."""
        return layout.unpack_from(self.buffer, self.skip(layout.size))[0]

    def text(self, max_bytes: int = MAX_HEADER_BYTES) -> str:
        """Read a string: its length in bytes as a u64, then UTF-8."""
        num_bytes = self.unpack(U64)
        if num_bytes > max_bytes:
            raise BadCheckpoint(f"a name of {num_bytes} bytes at byte {self.position}")
        raw = self.take(num_bytes)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise BadCheckpoint(f"a string before byte {self.position} is not UTF-8") from error

    def take_strings(self, count: int) -> bytes:
        """Copy the next ``count`` strings as they are packed: lengths are checked, texts not."""
        if count * U64.size > self.end - self.position:
            raise self._overrun()
        start = position = self.position
        buffer, end, unpack_from = self.buffer, self.end, U64.unpack_from
        try:
            for _ in repeat(None, count):
                position += 8 + unpack_from(buffer, position)[0]
                if position > end:
                    raise self._overrun()
        except StructError as error:
            raise self._overrun() from error
        return self.take(position - start)

    def _overrun(self) -> BadCheckpoint:
        if len(self.buffer) > MAX_HEADER_BYTES:
            return BadCheckpoint(f"its header is larger than {format_bytes(MAX_HEADER_BYTES)}")
        return BadCheckpoint(
            f"it is truncated: the header goes on after {len(self.buffer)} bytes",
            hint="pull the model again",
        )
