"""What a run says of a task: nothing is counted twice, nothing that is missing is made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.result import OPENLLM, EvalResult
from stillhouse.evals.summary import summarise
from tests.evals.summaries import CHOICES, TASK, problems, sample, samples, summary


def test_a_summary_has_the_names_of_the_document() -> None:
    found = summary("rrww", "rntl", "wwww").as_json()
    assert found["pass@1"] == pytest.approx(3 / 12)
    assert found["interval"][0] < 3 / 12 < found["interval"][1]
    assert {
        name: found[name] for name in ("right", "wrong", "no_answer", "truncated", "looped")
    } == {
        "right": 3,
        "wrong": 6,
        "no_answer": 1,
        "truncated": 1,
        "looped": 1,
    }
    assert (found["title"], found["version"], found["source"]) == ("Sums", 3, "made up for tests")
    assert found["prompt"] == "{question}\nSay a number."
    assert (found["questions"], found["samples"], found["chance"]) == (3, 4, 0.0)
    assert found["pass@k"] == {"2": pytest.approx((5 / 6 + 1 / 2) / 3), "4": pytest.approx(2 / 3)}
    assert found["maj@k"] == {"4": pytest.approx((0.5 + 1 + 0) / 3)}
    assert (found["mean_reasoning_tokens"], found["mean_answer_tokens"]) == (10, 2)
    assert found["tokens_per_correct"] == 12 * 12 / 3
    assert found["seconds_per_correct"] == 60 / 3
    assert found["groups"] == {}
    assert found["stderr_sampling"] > 0
    assert found["stderr_questions"] > 0


def test_the_order_of_samples_changes_nothing() -> None:
    made = samples("rwr", "wwr")
    turned = summarise(TASK, problems(2), reversed(made), duration_s=1.0)
    assert turned == summarise(TASK, problems(2), made, duration_s=1.0)
    assert turned.scores == {"q0": (1, 0, 1), "q1": (0, 0, 1)}


def test_a_run_that_is_not_whole_is_scored_by_what_is_there() -> None:
    found = summary("rr", "w")
    assert (found.score.value, found.samples, found.is_complete) == (0.5, 1, False)
    assert found.pass_at == found.maj_at == {}


def test_pass_at_1_of_n_is_refused_without_n_samples() -> None:
    with pytest.raises(UsageError, match=r"pass@1:4 needs 4 samples .*: 1 of 2 .* the least has 3"):
        summary("rrww", "rrr", num_samples=4)
    with pytest.raises(UsageError, match=r"pass@1:1 needs 1 sample.*: 1 of 2"):
        summary("r", "")


def test_samples_beyond_those_wanted_are_left_out() -> None:
    found = summary("rrww", "rrww", num_samples=2)
    assert (found.score.value, found.all_samples, found.verdicts["wrong"]) == (1, 4, 0)


@pytest.mark.parametrize("ks", [{"pass_ks": [5]}, {"maj_ks": [5]}])
def test_a_k_is_refused_without_k_samples(ks: dict[str, list[int]]) -> None:
    with pytest.raises(UsageError, match="@5 needs 5 samples"):
        summary("rrww", "rrww", **ks)


def test_a_sample_that_is_there_twice_or_of_no_question_is_refused() -> None:
    with pytest.raises(UsageError, match="sample 0 of sums 'q0' is there twice"):
        summarise(TASK, problems(1), [*samples("r"), *samples("w")], duration_s=None)
    with pytest.raises(UsageError, match="'q9' is none of the 1 questions"):
        summarise(TASK, problems(1), [sample("q9", 0, "r")], duration_s=None)


def test_what_was_not_measured_or_never_right_has_no_cost() -> None:
    found = summarise(TASK, problems(1), samples("ww"), duration_s=5.0)
    assert found.tokens_per_correct is found.seconds_per_correct is None
    assert summarise(TASK, problems(1), samples("rr"), duration_s=None).seconds_per_correct is None


def test_shares_have_a_mean_but_neither_pass_at_k_nor_votes() -> None:
    made = [
        sample(f"q{n}", 0, "r", task="picks", score=score, reasoning_tokens=0, answer_tokens=0)
        for n, score in enumerate((0.25, 0.5, 0.75))
    ]
    found = summarise(CHOICES, problems(3), made, duration_s=3.0)
    assert found.score.value == pytest.approx(0.5)
    assert found.score.stderr_sampling == 0  # nothing is drawn
    assert found.pass_at == found.maj_at == {}
    assert found.mean_answer_tokens is found.tokens_per_correct is None
    with pytest.raises(UsageError, match="no answers that could vote"):
        summarise(CHOICES, problems(3), made, duration_s=3.0, maj_ks=[1])


def test_programs_do_not_vote() -> None:
    assert summary("rrww", task=replace(TASK, grader="code")).maj_at == {}


def test_groups_have_scores_of_their_own_and_questions_weigh_the_same() -> None:
    asked = [*problems(1, group="a"), *problems(3, group="b")]
    made = [*samples("r", group="a"), *samples("w", "w", "r", group="b")]
    found = summarise(TASK, asked, made, duration_s=None)
    assert found.score.value == 0.5
    assert {name: (count, one.value) for name, (count, one) in found.groups.items()} == {
        "a": (1, 1.0),
        "b": (3, pytest.approx(1 / 3)),
    }
    assert found.as_json()["groups"]["b"]["questions"] == 3


def test_the_leaderboards_average_needs_all_six_tasks() -> None:
    tasks = {name: summary("r", "w") for name in OPENLLM}
    average = EvalResult("x", "x", tasks).openllm_average
    assert average is not None
    assert average[0] == 0.5
    assert average[1] == pytest.approx(0.5 / 6**0.5)
    tasks.pop("openllm_mmlu")
    assert EvalResult("x", "x", tasks).openllm_average is None


def test_the_leaderboards_average_weighs_the_subjects_of_mmlu_alike() -> None:
    tasks = {name: summary("r", "w") for name in OPENLLM}
    asked = [*problems(2, group="a"), *problems(8, group="b")]
    made = [*samples("r", "r", group="a"), *samples(*"wwwwwwww", group="b")]
    tasks["openllm_mmlu"] = summarise(TASK, asked, made, duration_s=None)
    assert tasks["openllm_mmlu"].score.value == pytest.approx(0.2)
    average = EvalResult("x", "x", tasks).openllm_average
    assert average is not None
    assert average[0] == pytest.approx(0.5)


def test_a_results_document_names_what_it_does_not_know() -> None:
    found = EvalResult("Q4_0", "tiny", {"sums": summary("r")}, url="http://x", engine="other")
    document = found.as_json()
    assert document["tasks"]["sums"]["questions"] == 1
    assert document["file_bytes"] is document["thinking_budget"] is None
    assert (document["label"], document["url"], document["engine"]) == ("Q4_0", "http://x", "other")


def test_formulas_vote_together_however_they_are_written() -> None:
    """Right ones, since they equal the gold one; others, where only spaces and braces differ."""
    written = [("1/2", "right"), ("0.5", "right"), (r"\frac{1}{2}", "right"), ("2", "wrong")]
    written += [(r"\frac{ x }{3}", "wrong"), (r"\dfrac{x}{3}", "wrong"), ("2", "wrong")]
    made = [
        replace(one, extracted=text, verdict=verdict, score=float(verdict == "right"))
        for one, (text, verdict) in zip(samples("w" * 7), written, strict=True)
    ]
    mathematics = replace(TASK, grader="mathematics")
    found = summarise(mathematics, problems(1), made, duration_s=None, maj_ks=[7])
    assert found.maj_at[7].value == 1  # three to two and two
    as_written = summarise(TASK, problems(1), made, duration_s=None, maj_ks=[7])
    assert as_written.maj_at[7].value == 0
    wrong_in_two_ways = [made[4], made[5], replace(made[0], number=0)]
    made = [replace(one, number=number) for number, one in enumerate(wrong_in_two_ways)]
    found = summarise(mathematics, problems(1), made, duration_s=None, maj_ks=[3])
    assert found.maj_at[3].value == 0  # two to one
