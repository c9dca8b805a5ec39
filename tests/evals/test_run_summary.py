"""What a run took, and what is wrong with it, is of just the samples that it tells of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stillhouse.evals.run_summary import RunSummary
from stillhouse.evals.store import RunFolder
from tests.evals.runs import toy
from tests.evals.test_store import PROBLEMS, SETTINGS, done, sample


def settings(samples: int = 1, **options: Any) -> dict[str, Any]:
    return {"samples": samples, "options": options}


def test_speed_is_of_the_tasks_that_write(tmp_path: Path) -> None:
    """Of the leaderboard's six tasks five weigh choices, for longer than the sixth writes."""
    found = RunSummary("m", 0)
    with RunFolder(tmp_path) as folder:
        run = folder.run("m", SETTINGS)
        for name, at_s, tokens in (("picks", 100.0, 0), ("toy", 4.0, 20)):
            with run.open(name) as store:
                store.add(sample(task=name, answer_tokens=tokens), done(at_s=at_s))
                assert found.read(toy(name=name), PROBLEMS[:1], store, settings()) == []
    assert (found.duration_s, found.tokens, found.output_tokens_per_s) == (104.0, 20, 5.0)
    assert found.tasks.keys() == {"picks", "toy"}


def test_a_part_of_what_is_there_has_no_time_of_its_own(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder, folder.run("m", SETTINGS).open("toy") as store:
        for number in range(2):
            store.add(sample(number=number), done(number=number))
        part, whole = RunSummary("m", 0), RunSummary("m", 0)
        part.read(toy(), PROBLEMS[:1], store, settings(1))
        whole.read(toy(), PROBLEMS[:1], store, settings(2, temperature=0.6))
    assert part.duration_s is part.tasks["toy"].seconds_per_correct is None
    assert part.output_tokens_per_s == whole.output_tokens_per_s
    assert (whole.duration_s, whole.tasks["toy"].seconds_per_correct) == (1.5, 0.75)
    assert len(part.samples) == 1


def test_what_is_missing_is_told_with_what_counts(tmp_path: Path) -> None:
    found = RunSummary("m", 0)
    with RunFolder(tmp_path) as folder, folder.run("m", SETTINGS).open("toy") as store:
        store.add(sample(), done())
        (told,) = found.read(toy(), PROBLEMS[:2], store, settings())
        (none,) = RunSummary("m", 0).read(toy(), PROBLEMS[1:3], store, settings())
    assert told.endswith("1 of 2 samples are there; only the 1 of 2 questions that have all of"
                         " theirs count")  # fmt: skip
    assert none.endswith("0 of 2 samples are there; none of 2 questions has all of its own")
    assert found.is_incomplete
    assert found.tasks["toy"].questions == 1


@pytest.mark.parametrize(("tokens", "is_told"), [(64, False), (80, False), (99, True)])
def test_a_budget_that_is_not_kept_is_told(tmp_path: Path, tokens: int, is_told: bool) -> None:
    """Estimates may be a little too large."""
    with RunFolder(tmp_path) as folder, folder.run("m", SETTINGS).open("toy") as store:
        store.add(sample(reasoning_tokens=tokens), done())
        asked = settings(1, thinking_budget=64)
        told = RunSummary("m", 0).read(toy(), PROBLEMS[:1], store, asked)
    assert any("longer than the budget of 64" in one for one in told) is is_told
