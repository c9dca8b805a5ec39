"""What a turn's times mean, and that an engine in another process can be asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from turns import Task, Turn, Worker

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ECHO = f"""
import sys
sys.path.insert(0, {str(BENCHMARKS)!r})
from turns import Turn, serve_turns

def load():
    print("a library that prints to stdout")
    def work(task):
        times_s = [[float(i + 1) for i in range(task.output_tokens)] for _ in task.prompts]
        return Turn(times_s, task.prompts)
    return {{"engine": "echo"}}, work

serve_turns(load)
"""


def test_one_user_decodes_all_tokens_but_the_first() -> None:
    turn = Turn(times_s=[[2.0, 2.5, 3.0, 3.5]], answers=[[1, 2, 3, 4]])
    assert turn.ttft_s == turn.prefill_s == 2.0
    assert turn.decode_tokens_per_s == 3 / 1.5


def test_only_what_comes_while_all_users_write_counts_as_decoding() -> None:
    early, late = [1.0, 2.0, 3.0, 4.0], [2.5, 3.0, 4.0, 5.0]
    turn = Turn(times_s=[early, late], answers=["", ""])
    assert turn.ttft_s == 1.75
    assert turn.prefill_s == 2.5
    assert turn.decode_tokens_per_s == 4 / 1.5  # those at 3.0 and 4.0, until the early one ends


def test_users_who_never_write_together_have_no_speed() -> None:
    with pytest.raises(SystemExit, match="before others began"):
        _ = Turn(times_s=[[1.0, 2.0], [3.0, 4.0]], answers=["", ""]).decode_tokens_per_s


def test_a_worker_tells_of_itself_and_answers_task_after_task(tmp_path: Path) -> None:
    script = tmp_path / "echo.py"
    script.write_text(ECHO)
    worker = Worker(sys.executable, script)
    assert worker.about == {"engine": "echo"}
    for prompts in ([[1, 2]], [[3], [4]]):
        turn = worker.ask(Task(prompts, output_tokens=2))
        assert turn.answers == prompts
        assert turn.times_s == [[1.0, 2.0]] * len(prompts)
    worker.close()


def test_a_worker_that_dies_ends_the_run(tmp_path: Path) -> None:
    script = tmp_path / "dies.py"
    script.write_text("import sys; sys.exit(3)")
    with pytest.raises(SystemExit, match="ended with 3"):
        Worker(sys.executable, script)
