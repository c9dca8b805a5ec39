"""The command itself: quick help, errors as two lines, exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stillhouse import __version__
from stillhouse.cli import main as command

# What makes help slow, and is needed only once a command runs.
SLOW = ("numpy", "numba", "llvmlite", "rich", "httpx", "huggingface_hub", "tokenizers", "jinja2")


def still(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command line in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["still", *words])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    code = stopped.value.code
    assert isinstance(code, int)
    return code


def test_help_lists_the_commands_and_imports_nothing_slow() -> None:
    program = (
        "import sys\n"
        "from stillhouse.cli.main import main\n"
        "sys.argv = ['still', '--help']\n"
        "try:\n    main()\n"
        f"finally:\n    print('slow:', [name for name in {SLOW} if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "slow: []" in run.stdout
    for name in ("doctor", "pull", "list", "show", "rm", "run"):
        assert f"  {name} " in run.stdout


def test_the_version_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert still(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"still {__version__}\n"


def test_a_users_mistake_is_two_lines_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert still(monkeypatch, "run", "no-such-model", "a question") == 2
    output = capsys.readouterr()
    error, hint = output.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert output.out == ""


def test_an_unknown_option_is_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert still(monkeypatch, "run", "--no-such-option") == 2


def test_ctrl_c_is_exit_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stillhouse.hub.Store", interrupt)
    assert still(monkeypatch, "list") == 130
