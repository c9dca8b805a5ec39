"""Which samples a page is given, and how they are written in it."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.evals.page import page
from stillhouse.evals.page_samples import packed, shown_samples

HUGE = 10**9


def sample(
    label: str, problem: str, verdict: str, *, task: str = "t", number: int = 0, text: str = ""
) -> dict[str, Any]:
    return {
        "label": label, "task": task, "problem": problem, "number": number, "verdict": verdict,
        "prompt": f"the prompt of {problem}", "gold": "7", "reasoning": text,
    }  # fmt: skip


def asked(problem: str, *verdicts: str, **changes: Any) -> list[dict[str, Any]]:
    return [sample("abc"[n], problem, verdict, **changes) for n, verdict in enumerate(verdicts)]


def written_bytes(samples: list[Any]) -> int:
    """As `stillhouse.pages` writes it."""
    return sum(
        len(json.dumps(one, separators=(",", ":")).replace("<", "\\u003c"))
        for name in ("problems", "samples")
        for one in packed(samples)[name]
    )


def test_what_differs_goes_first_then_what_is_wrong_and_the_order_stays() -> None:
    samples = [
        *asked("easy", "right", "right"),
        *asked("hard", "wrong", "wrong"),
        *asked("telling", "right", "truncated"),
    ]
    a_group = written_bytes(samples[4:]) + 50
    problems = [one["problem"] for one in shown_samples(samples, a_group)]
    assert problems == ["telling", "telling"]
    problems = [one["problem"] for one in shown_samples(samples, 2 * a_group)]
    assert problems == ["hard", "hard", "telling", "telling"]
    assert shown_samples(samples, HUGE) == samples
    assert shown_samples(samples, 0) == []


def test_no_task_crowds_out_another() -> None:
    samples = [
        one
        for task in ("t1", "t2")
        for n in range(20)
        for one in asked(f"{n:02}", "right", "wrong", task=task)
    ]
    shown = shown_samples(samples, written_bytes(samples) // 2)
    of_first = sum(one["task"] == "t1" for one in shown)
    assert 0 <= of_first - (len(shown) - of_first) <= 2


def test_a_sample_too_long_leaves_room_for_shorter_ones() -> None:
    samples = [*asked("long", "wrong", "right", text="x" * 5000), *asked("short", "wrong", "right")]
    assert [one["problem"] for one in shown_samples(samples, 1000)] == ["short", "short"]


def test_a_prompt_is_written_once_and_nothing_is_lost() -> None:
    samples = asked("p", "right", "wrong", "looped") + asked("q", "right")
    short = packed(samples)
    assert len(short["problems"]) == 2
    again = [{**short["problems"][one["at"]], **one} for one in short["samples"]]
    assert [{name: one[name] for name in samples[0]} for one in again] == samples
    assert "prompt" not in short["samples"][0]


def test_numbers_that_json_has_no_form_for_are_null() -> None:
    odd = sample("a", "p", "right") | {"loglikelihoods": (-1.5, -math.inf), "score": math.nan}
    (short,) = packed([odd])["samples"]
    assert short["loglikelihoods"] == [-1.5, None]
    assert short["score"] is None
    html = page({"results": [], "comparisons": [{"low": -math.inf}], "samples": [odd]})
    assert '"low":null' in html


VERDICTS = st.sampled_from(["right", "wrong", "no_answer", "truncated", "looped"])
SAMPLES = st.lists(
    st.builds(
        sample, st.sampled_from("abc"), st.sampled_from("pqrs"), VERDICTS,
        number=st.integers(0, 2), text=st.text(alphabet="a<é\n", max_size=40),
    ),
    unique_by=lambda one: (one["label"], one["problem"], one["number"]),
)  # fmt: skip


@settings(max_examples=50)
@given(SAMPLES, st.integers(0, 4000))
def test_the_page_never_gets_more_bytes_and_groups_stay_whole(
    samples: list[Any], most_bytes: int
) -> None:
    shown = shown_samples(samples, most_bytes)
    assert written_bytes(shown) + len(shown) <= most_bytes or not shown
    taken = {(one["problem"], one["number"]) for one in shown}
    assert shown == [one for one in samples if (one["problem"], one["number"]) in taken]
