"""`stillhouse.cli.terminal`: what is drawn, and when nothing is."""

from __future__ import annotations

import io
import signal

import pytest

from stillhouse.cli.terminal import StageLine, StopOnInterrupt


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def drawn(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, step_s: float) -> str:
    """What five kernels of `step_s` seconds each leave on the stream."""
    monkeypatch.setattr("sys.stderr", stream)
    clock = Clock()
    line = StageLine(clock)
    for done in range(6):
        line("kernels", done, 5)
        clock.now += step_s
    line.clear()
    return stream.getvalue()


def test_a_quick_stage_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(Terminal(), monkeypatch, step_s=0.1) == ""


def test_a_slow_stage_counts_on_one_line_and_leaves_it_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = drawn(Terminal(), monkeypatch, step_s=2.0)
    assert "compiling kernels for this processor, once: 3/5" in text
    assert "\n" not in text
    assert text.endswith("\r\x1b[2K")


def test_a_slow_stage_is_said_once_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = drawn(io.StringIO(), monkeypatch, step_s=2.0)
    assert text == "compiling kernels for this processor, once\n"


def test_many_bytes_are_a_percentage(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, clock = Terminal(), Clock()
    monkeypatch.setattr("sys.stderr", terminal)
    line = StageLine(clock)
    line("weights", 0, 4_000_000)
    clock.now = 3.0
    line("weights", 1_000_000, 4_000_000)
    assert "laying out the weights for this processor: 25%" in terminal.getvalue()


def test_the_second_ctrl_c_interrupts() -> None:
    with StopOnInterrupt() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
