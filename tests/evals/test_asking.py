"""What a system is asked: nothing is left to a server, nothing is cut without a word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from stillhouse.catalog import Sampling
from stillhouse.errors import UsageError
from stillhouse.evals.asking import Wishes, check_thoughts, need_tokens, settings_for
from stillhouse.evals.early_warnings import EarlyWarning
from stillhouse.evals.sample import Sample, Verdict
from stillhouse.evals.systems import System, SystemFacts
from tests.evals.runs import assignment, toy
from tests.evals.test_store import sample

ADVICE = Sampling("family", 0.6, 0.95, 40, 0.05, "a card")
FACTS = SystemFacts("m-Q4_K_M", "Q4_K_M", "llama.cpp", "b1", "http://x", None, None, None)


def system(context: int | None = 4096, **facts: Any) -> System:
    return System(replace(FACTS, **facts), cast(Any, None), ADVICE, context)


def asked(wishes: Wishes, budget: int | None = None, at: System | None = None, **task: Any) -> Any:
    given = {"max_tokens": 1000, **task}
    one = assignment(2, toy(**given))
    return settings_for(one, system() if at is None else at, wishes, budget)


def test_every_value_is_said() -> None:
    assert asked(Wishes(), samples=4).options == {
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 40,
        "min_p": 0.05,
        "max_tokens": 1000,
    }
    hot = asked(Wishes(temperature=1.5, top_p=0.5, max_tokens=7, samples=9))
    assert hot.samples == 9
    assert (hot.options["temperature"], hot.options["top_p"]) == (1.5, 0.5)
    assert hot.options["max_tokens"] == 7
    plain = asked(Wishes(), at=system(engine="unknown")).options
    assert "top_k" not in plain
    assert asked(Wishes(), at=system(engine="unknown", url=None)).options["top_k"] == 40


def test_a_greedy_task_is_asked_once() -> None:
    settings = asked(Wishes(), greedy=True, asking="completion", stop=("Q:",))
    assert settings.options == {"temperature": 0.0, "max_tokens": 1000, "stop": ("Q:",)}
    assert settings.is_greedy
    with pytest.raises(UsageError, match="4 samples of toy, at temperature 0, would be copies"):
        asked(Wishes(samples=4), greedy=True)
    with pytest.raises(UsageError, match="whose choices are weighed, would be copies"):
        asked(Wishes(samples=4), asking="choices", grader=None)
    assert asked(Wishes(samples=4, temperature=0.6), greedy=True).samples == 4


def test_a_budget_opens_a_thought() -> None:
    options = asked(Wishes(), 64).options
    assert (options["think"], options["thinking_budget"]) == (True, 64)
    assert asked(Wishes(think=False)).options["think"] is False
    assert "think" not in asked(Wishes(), 64, asking="completion").options
    with pytest.raises(UsageError, match="leaves nothing"):
        check_thoughts([toy()], Wishes(think=False), [None, 64])


def test_a_task_longer_than_the_context_fills_it_and_says_so_in_the_settings() -> None:
    settings = asked(Wishes(), at=system(1024))
    assert "max_tokens" not in settings.options
    one = assignment(2)
    assert settings.as_json(one)["options"]["context_tokens"] == 1024
    assert asked(Wishes(max_tokens=2000), at=system(1024)).options["max_tokens"] == 2000
    assert need_tokens([one], Wishes(max_tokens=50)) == one.prompt_tokens + 50
    assert one.prompt_tokens >= len(one.problems[0].prompt)


def test_a_run_goes_on_as_it_was_asked_though_the_server_knows_its_context_now() -> None:
    """Ollama tells its context once a model is loaded."""
    one = assignment(2, toy(max_tokens=1000))

    def options(context: int | None, before: dict[str, Any] | None = None) -> dict[str, Any]:
        settings = settings_for(one, system(context), Wishes(), None, before)
        found: dict[str, Any] = settings.as_json(one)["options"]
        return found

    unknown, short = options(None), options(1024)
    assert (unknown["max_tokens"], short["context_tokens"]) == (1000, 1024)
    assert options(1024, unknown) == unknown
    assert options(None, short) == short


def test_a_system_is_called_by_what_tells_it_apart() -> None:
    assert system().facts.name == "llama.cpp m-Q4_K_M"
    assert system(model="m", url=None).facts.name == "m Q4_K_M"


def graded(verdict: Verdict, questions: int) -> list[Sample]:
    return [
        sample(f"p/{n}", verdict=verdict, score=float(verdict == "right")) for n in range(questions)
    ]


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("truncated", "raise --max-tokens"),
        ("no_answer", "check the template"),
        ("looped", "went in circles"),
        ("wrong", "0.0 % after 30 questions, where guessing gets 50 %"),
    ],
)
def test_what_is_wrong_with_a_run_is_said_early_and_once(verdict: Verdict, told: str) -> None:
    warning = EarlyWarning(toy(chance=0.5), graded(verdict, 18))
    new = graded(verdict, 60)[18:]
    assert warning.look(new[0]) == []
    said = [text for one in new[1:] for text in warning.look(one)]
    assert len(said) == 1
    assert said[0].startswith("toy: ")
    assert told.partition(" after")[0] in said[0]


def test_where_nothing_is_guessed_it_is_said_that_nothing_is_right() -> None:
    warning = EarlyWarning(toy())
    said = [text for one in graded("wrong", 60) for text in warning.look(one)]
    assert said == ["toy: none of 20 questions is right: look at a sample"]


def test_what_is_wrong_with_a_run_is_said_again_when_it_is_shown_again() -> None:
    """Also where guessing is right once in a thousand, as in AIME."""
    for chance in (0.0, 0.001):
        whole = EarlyWarning(toy(chance=chance), graded("wrong", 30))
        assert whole.standing() == ["toy: none of 30 questions is right: look at a sample"]
    assert EarlyWarning(toy(), graded("wrong", 19)).standing() == []
    assert EarlyWarning(toy(), graded("right", 30)).standing() == []


def test_nothing_is_said_of_a_run_that_goes_well() -> None:
    warning = EarlyWarning(toy(chance=0.5))
    mixed = [
        one for pair in zip(graded("right", 40), graded("wrong", 40), strict=True) for one in pair
    ]
    assert not any(warning.look(one) for one in mixed)
