"""Bars of long runs, as somebody sees them who looks at a terminal, and as a log keeps them."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from stillhouse.cli.live_bar import LiveBar, time_left

_SCRIPT = """
import time
from stillhouse.cli.live_bar import LiveBar
with LiveBar("score", "rate") as bar:
    bar.begin("a model", total=4, done=1, score="25 %")
    bar.update(advance=2, rate="7 tok/s", left="about 3 s left")
    time.sleep(0.5)  # drawn ten times a second
    bar.note("a line that stays")
    bar.warn("another, with [brackets]")
    bar.hide()
"""


def test_without_a_terminal_only_lines_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveBar("score") as bar:
        bar.begin("a model", total=4)
        bar.update(advance=1, score="50 %")
        bar.note("a line that stays")
        bar.warn("another")
    assert capsys.readouterr().err == "a line that stays\nwarning: another\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_the_bar_its_fields_and_lines_above() -> None:
    reader, writer = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    subprocess.run([sys.executable, "-c", _SCRIPT], stderr=writer, env=environment, check=True)
    os.close(writer)
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", _rest(reader))
    assert re.search(r"a model .*3/4 25 % 7 tok/s 0:00:00 about 3 s left", seen)
    assert "a line that stays" in seen
    assert "warning: another, with [brackets]" in seen


def test_time_left_goes_by_what_is_done_so_far() -> None:
    assert time_left(50.0, 0, 10) == ""
    assert time_left(20.0, 2, 4) == "about 40 s left"
    assert time_left(80.0, 2, 4) == "about 3 min left"
    assert time_left(80.0, 2, 400) == "about 4 h 26 min left"


def _rest(reader: int) -> str:
    """What was written, up to the end; Linux ends with an error where others end with nothing."""
    found = b""
    with os.fdopen(reader, "rb", buffering=0) as stream:
        while True:
            try:
                some = stream.read(65_536)
            except OSError:
                return found.decode()
            if not some:
                return found.decode()
            found += some
