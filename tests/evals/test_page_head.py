"""What stands first in an evaluation's page, and what results are called there, in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.evals.conftest import OpenEval
from tests.evals.documents import compared, document


def test_the_headline_is_the_cheapest_that_shows_no_loss_and_keeps_enough(
    open_eval: OpenEval,
) -> None:
    shown = document()
    kept = {"recovery": 0.981, "recovery_low": 0.95, "recovery_high": 1.012}
    lost = {"low": -0.2, "high": -0.05, "verdict": "worse by 12.0 points (5.0 to 20.0)"}
    compared(shown, "Q4_K_M", difference=-0.012, low=-0.03, high=0.006, **kept)
    compared(shown, "Q4_K_M", verdict="no difference that 160 samples can show")
    compared(shown, "Q3_K_M", recovery=0.99, **lost)
    compared(shown, "Q2_K", recovery=0.6, low=-0.5, high=0.1)
    page = open_eval(shown)
    head = page.locator("#head")
    expect(head.locator("h2").first).to_have_text(
        "Q4_K_M keeps 98.1 % of BF16's score in 32 % of its size"
    )
    for text in ("kept: 95.0 to 101.2 %", "−1.2 points, no difference that 160 samples can show."):
        expect(head).to_contain_text(text)
    for text in ("AMD EPYC, 2 cores", "qwen2.5-coder:1.5b", "2026-11-24", "800 samples"):
        expect(head.locator(".facts").first).to_contain_text(text)
    expect(page).to_have_title("Evaluation: gsm8k with qwen2.5-coder:1.5b")


def test_where_all_lost_the_headline_is_the_one_that_keeps_most(open_eval: OpenEval) -> None:
    shown = document(tasks=("gsm8k", "math500"), labels=("BF16", "Q3_K_M", "Q2_K"), questions=30)
    for one in shown["comparisons"]:
        recovery = {"gsm8k": 0.9, "math500": 0.8}[one["task"]] - 0.3 * (one["b"] == "Q2_K")
        one |= {"low": -0.4, "high": -0.1, "recovery": recovery, "verdict": f"lost {recovery:.2f}"}
    head = open_eval(shown).locator("#head")
    expect(head.locator("h2").first).to_contain_text("Q3_K_M keeps 85.0 % of BF16's score")
    expect(head).to_contain_text("MATH-500, where it keeps least: Lost 0.80.")


def test_what_takes_an_unknown_size_is_not_the_cheapest(open_eval: OpenEval) -> None:
    shown = document(labels=("BF16", "Q8_0", "Q4_K_M"))
    shown["results"][2] |= {"file_bytes": None, "bits_per_weight": None}
    for label in ("Q8_0", "Q4_K_M"):
        compared(shown, label, recovery=0.97, low=-0.03, high=0.02)
    headline = open_eval(shown).locator("#head h2").first
    expect(headline).to_have_text("Q8_0 keeps 97.0 % of BF16's score in 53 % of its size")


@pytest.mark.parametrize(
    ("thought", "answer", "cost"), [(100, 20, " in 30 % of its tokens"), (None, None, "")]
)
def test_tokens_are_compared_for_each_sample_of_the_tasks_that_were(
    open_eval: OpenEval, thought: int | None, answer: int | None, cost: str
) -> None:
    shown = document(labels=("BF16",), tasks=("gsm8k", "math500"), budgets=(None, 64), questions=9)
    full, cut = shown["results"]
    for name, means in (("gsm8k", (360, 40)), ("math500", (9000, 999))):
        names = ("mean_reasoning_tokens", "mean_answer_tokens")
        full["tasks"][name] |= dict(zip(names, means, strict=True))
        cut["tasks"][name] |= dict(zip(names, (thought, answer), strict=True))
    cut["tasks"]["gsm8k"]["right"] += 1000  # asked more often
    shown["comparisons"] = [one for one in shown["comparisons"] if one["task"] == "gsm8k"]
    compared(shown, cut["label"], recovery=0.99, low=-0.03, high=0.02)
    expect(open_eval(shown).locator("#head h2").first).to_have_text(
        f"64 keeps 99.0 % of none's score{cost}"
    )


@pytest.mark.parametrize(
    ("labels", "short"),
    [
        (("r1, 1,024 tokens", "r1, 1,536 tokens"), ("1,024 tokens", "1,536 tokens")),
        (("qwen3:1.5b", "qwen3:1.7b"), ("1.5b", "1.7b")),
        (("x:q4_0", "x:q4_k_m"), ("q4_0", "q4_k_m")),
        (("Qwen2.5-Coder-1.5B-Q8_0", "Qwen2.5-Coder-1.5B-Q4_K_M"), ("Q8_0", "Q4_K_M")),
        (("org/a-", "org/a- b"), ("a-", "a- b")),
        (("r1", "r1, 64 tokens"), ("r1", "r1, 64 tokens")),
    ],
)
def test_a_short_name_is_cut_neither_in_a_number_nor_in_a_quantisation(
    open_eval: OpenEval, labels: tuple[str, str], short: tuple[str, str]
) -> None:
    shown = document(labels=("BF16", "Q2_K"), questions=2, number=1) | {
        "comparisons": [], "samples": []
    }  # fmt: skip
    for one, label in zip(shown["results"], labels, strict=True):
        one["label"] = label
    found = open_eval(shown).locator("#accuracy text.beside").all_text_contents()
    assert found == list(short)


def test_a_single_result_has_its_score_for_a_headline(open_eval: OpenEval) -> None:
    shown = document(labels=("Q4_K_M",), questions=20)
    shown["warnings"] = ["gsm8k: 3 % after 40 samples is below chance"]
    shown["results"][0]["tasks"]["gsm8k"]["pass@1"] = 0.6237
    page = open_eval(shown)
    expect(page.locator("#head h2").first).to_have_text(
        "qwen2.5-coder:1.5b, Q4_K_M gets 62.4 % right"
    )
    expect(page.locator("#head .warning")).to_contain_text("below chance.")
    expect(page.locator("#recovery")).to_be_hidden()
    expect(page.locator("#budget")).to_be_hidden()
    expect(page.get_by_role("radio", name="side by side")).to_have_count(0)
