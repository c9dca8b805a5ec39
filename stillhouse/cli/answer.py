"""A reply on the terminal: thoughts dimmed on stderr, answers on stdout, one line of figures."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from stillhouse.cli.terminal import DIM, PLAIN, StopOnInterrupt, has_colours, note
from stillhouse.units import format_seconds

if TYPE_CHECKING:
    from stillhouse.llm import ChatStream, Reply


# Why a thought was closed that did not end by itself.
_CLOSED = {
    "budget": "at its budget",
    "context": "to leave room for the answer",
    "loop": "because it went in circles",
}


class _Printer:
    """Writes pieces as they come, each kind to its stream, and keeps the two apart."""

    def __init__(self, *, thoughts: bool, answers: bool) -> None:
        self._streams: dict[str, TextIO] = {}
        if thoughts:
            self._streams["reasoning"] = sys.stderr
        if answers:
            self._streams["answer"] = sys.stdout
        self._kind = ""

    def write(self, kind: str, text: str) -> None:
        """Print text of one kind, after the end of another."""
        if kind not in self._streams:
            return
        stream = self._streams[kind]
        if kind != self._kind:
            self.end()
            if kind == "reasoning" and has_colours(stream):
                stream.write(DIM)
        self._kind = kind
        stream.write(text)
        stream.flush()

    def end(self) -> None:
        """Finish what is being written: a line's end, and an empty line after a thought."""
        if self._kind:
            stream = self._streams[self._kind]
            is_thought = self._kind == "reasoning"
            stream.write(
                (PLAIN if is_thought and has_colours(stream) else "") + "\n" * (1 + is_thought)
            )
            stream.flush()
        self._kind = ""


def show_reply(stream: ChatStream, *, thoughts: bool = True, answers: bool = True) -> Reply:
    """Print each piece of a stream as it comes; a Ctrl-C ends the reply at its next token."""
    from stillhouse.llm import Reply

    printer = _Printer(thoughts=thoughts, answers=answers)
    with StopOnInterrupt() as stop:
        try:
            for item in stream:
                if isinstance(item, Reply):
                    return item
                printer.write(item.kind, item.text)
                if stop.asked:
                    stream.cancel()
        finally:
            printer.end()
    raise AssertionError("a stream ends with a Reply")


def note_figures(reply: Reply) -> None:
    """One dim line on stderr: tokens of each kind, the first token's time, and the speed."""
    usage, timings = reply.usage, reply.timings
    tokens = [f"{usage.prompt_tokens} prompt"]
    if usage.reasoning_tokens:
        tokens.append(f"{usage.reasoning_tokens} thought")
    tokens.append(f"{usage.answer_tokens} answer tokens")
    parts = [" + ".join(tokens)]
    if timings.ttft_s is not None:
        parts.append(f"first after {format_seconds(timings.ttft_s)}")
    if timings.decode_tokens_per_s is not None:
        parts.append(f"{timings.decode_tokens_per_s:.1f} tok/s")
    if timings.bandwidth_share is not None:
        parts.append(f"{timings.bandwidth_share:.0%} of memory bandwidth")
    if reply.thinking_end in _CLOSED:
        parts.append(f"thought closed {_CLOSED[reply.thinking_end]}")
    if reply.finish_reason == "length":
        parts.append("cut off at the maximum of tokens")
    elif reply.finish_reason == "loop":
        parts.append("stopped: it went in circles")
    elif reply.finish_reason == "cancelled":
        parts.append("stopped")
    note(" · ".join(parts))
