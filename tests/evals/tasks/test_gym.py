"""reasoning-gym's problems are the same for the same seed, and can be made again."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.task import Problem
from stillhouse.evals.tasks import task_named
from tests.evals.tasks.rows import problems

# The library leaves a file of its own open when it is imported.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
FIVE = [{"index": i} for i in range(5)]


def entry_of(problem: Problem) -> dict[str, Any]:
    """Made again from what the problem keeps for its grader."""
    import reasoning_gym

    kept = json.loads(json.dumps(problem.extra))
    maker = reasoning_gym.create_dataset(kept["dataset"], seed=kept["seed"], size=kept["size"])
    entry: dict[str, Any] = maker[kept["index"]]
    return entry


def test_five_sums_are_asked_and_their_golds_are_right() -> None:
    made = problems("gym:chain_sum", FIVE, seed=3)
    assert len({each.prompt for each in made}) == 5
    for number, each in enumerate(made):
        assert each.id == str(number)
        assert "<answer>answer here</answer>" in each.prompt
        sums = re.findall(r"[\d\s+-]+(?= =)", each.prompt)
        assert each.gold == str(sum(map(int, re.findall(r"[+-]?\d+", sums[-1].replace(" ", "")))))


@pytest.mark.parametrize("name", ["chain_sum", "acre"])  # acre heeds the size it is to make
def test_a_seed_makes_the_same_problems_whatever_the_limit(name: str) -> None:
    five = problems(f"gym:{name}", FIVE, seed=3)
    assert problems(f"gym:{name}", FIVE[3:], seed=3) == five[3:]
    assert problems(f"gym:{name}", FIVE, seed=4) != five


@pytest.mark.parametrize("name", ["chain_sum", "propositional_logic"])
def test_an_entry_can_be_made_again_from_what_is_kept(name: str) -> None:
    (made,) = problems(f"gym:{name}", [{"index": 2}], seed=3)
    entry = entry_of(made)
    assert made.prompt.endswith(f"\n\n{entry['question']}")
    assert made.gold == (entry["answer"] or "")  # logic has many answers, and gives none


def test_an_unknown_kind_of_problem_is_refused_with_its_likes() -> None:
    with pytest.raises(UsageError, match="reasoning-gym makes no 'chain_sums'") as hit:
        task_named("gym:chain_sums")
    assert str(hit.value.hint).startswith("did you mean gym:chain_sum ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("composite", "is made of others"), ("game_of_life_halting", "calls every answer right")],
)
def test_what_cannot_be_scored_by_itself_is_refused(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"gym:{name} .*{reason}"):
        task_named(f"gym:{name}")


def test_more_problems_than_a_seed_has_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 1000 problems"):
        problems("gym:chain_sum", [{"index": 1000}])


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    with pytest.raises(UsageError, match="gym tasks need reasoning-gym") as hit:
        task_named("gym:chain_sum")
    assert hit.value.hint == "pip install 'stillhouse[eval]'"
