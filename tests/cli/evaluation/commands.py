"""What a server under evaluation says, and the command that asks it."""

from __future__ import annotations

from pathlib import Path

from tests.stub_server import Script, StubServer

USAGE = {"prompt_tokens": 9, "completion_tokens": 2}
RIGHT = Script(answer=("It has ", "\\boxed{8}", " legs."), usage=USAGE)
WRONG = Script(answer=("It has ", "\\boxed{6}", " legs."), usage=USAGE)
MUTE = Script(answer=("I do not", " know."), usage=USAGE)


def words(stub: StubServer, data: Path, *more: str) -> tuple[str, ...]:
    """Two samples of each question, one after the other."""
    asked = ("--task", "gsm8k", "--data", str(data), "--served-name", "stub")
    return ("eval", "--url", stub.url, *asked, "--samples", "2", "--concurrency", "1", *more)
