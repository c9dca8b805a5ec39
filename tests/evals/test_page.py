"""What an evaluation's page shows, in Chromium: words, tables and plots."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.evals.conftest import OpenEval, is_straight, marks
from tests.evals.documents import compared, document, pictured

Picture = Callable[[Page, str], None]

HOSTILE = "</script><img src=x onerror=\"document.title='harm'\">{script}"
UNKNOWN = ("quantization", "file_bytes", "bits_per_weight", "duration_s", "output_tokens_per_s")


def column(page: Page, key: str) -> list[str]:
    keys = page.locator("#table thead th").evaluate_all("all => all.map(th => th.dataset.key)")
    return page.locator(f"#table tr.option > :nth-child({keys.index(key) + 1})").all_inner_texts()


def test_the_table_has_the_documents_figures_and_sorts_them(open_eval: OpenEval) -> None:
    shown = document()
    page = open_eval(shown)
    results = shown["results"]  # from the most bits to the fewest, as the table is at first
    for key, wanted in (
        ("bits", [one["bits_per_weight"] for one in results]),
        ("size", [one["file_bytes"] / 1e9 for one in results]),
        *(
            (key, [factor * one["tasks"]["gsm8k"][key] for one in results])
            for key, factor in (
                *(("pass@1", 100), ("stderr_sampling", 100), ("stderr_questions", 100)),
                *(("no_answer", 1), ("truncated", 1), ("looped", 1)),
                *(("tokens_per_correct", 1), ("seconds_per_correct", 1)),
            )
        ),
        ("maj@k", [100 * one["tasks"]["gsm8k"]["maj@k"]["4"] for one in results]),
    ):
        found = [float(text.replace(",", "")) for text in column(page, key)]
        np.testing.assert_allclose(found, wanted, rtol=0.006, atol=0.051, err_msg=key)
    low, high = (100 * end for end in results[0]["tasks"]["gsm8k"]["interval"])
    assert column(page, "interval")[0] == f"{low:.1f} to {high:.1f}"
    header = page.locator('#table th[data-key="seconds_per_correct"]')
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    found = [float(text) for text in column(page, "seconds_per_correct")]
    assert found == sorted(found)


def test_the_version_and_the_prompt_stand_under_the_scores_and_the_rest_behind_a_row(
    open_eval: OpenEval,
) -> None:
    shown = document(questions=20)
    shown["results"][0]["tasks"]["gsm8k"] |= {
        "groups": {"algebra": {"pass@1": 0.5}, "anatomy": {"pass@1": 0.25}}, "chance": 0.25,
    }  # fmt: skip
    page = open_eval(shown)
    asked = page.locator("#asked")
    expect(asked).to_contain_text("gsm8k, version 1: DeepSeek-R1's wording")
    expect(asked).to_contain_text("Guessing scores 25.0 %.")
    expect(asked.locator("pre")).to_contain_text("put your final answer within \\boxed{}.")
    page.locator("#table tr.option button").first.click()
    detail = page.locator(".detail")
    expect(detail).to_contain_text(re.compile(r"pass@4 \d+\.\d % \(50\.0 to 87\.5\)"))
    assert detail.locator(".groups li").all_inner_texts() == ["anatomy\n25.0", "algebra\n50.0"]


def test_how_answers_were_drawn_is_said_once_or_behind_each_row(open_eval: OpenEval) -> None:
    shown = document(questions=8, labels=("BF16", "Q2_K"))
    told = "Drawn with temperature 0.6, top_p 0.95, seed 0, at most 32,768 tokens."
    expect(open_eval(shown).locator("#asked")).to_contain_text(told)
    shown["results"][1]["tasks"]["gsm8k"]["options"] = {"temperature": 0, "stop": []}
    page = open_eval(shown)
    expect(page.locator("#asked")).not_to_contain_text("Drawn")
    page.locator("#table tr.option button").nth(1).click()
    expect(page.locator(".detail")).to_contain_text("temperature 0")


def test_recovery_has_each_pair_of_results_drawn_around_zero(open_eval: OpenEval) -> None:
    shown = document()
    page = open_eval(shown)
    rows = page.locator("#recovery tbody tr")
    pairs = shown["comparisons"]
    assert rows.evaluate_all("all => all.map(row => row.dataset.b)") == [one["b"] for one in pairs]
    for n, one in enumerate(pairs):
        points = 100 * one["difference"]
        number = f"{'−' if points < 0 else '+'}{abs(points):.1f}"
        expect(rows.nth(n)).to_contain_text(number if number[1:] != "0.0" else "0.0")
        expect(rows.nth(n)).to_contain_text(f"{100 * one['recovery']:.1f}")
        expect(rows.nth(n).locator(".verdict")).to_contain_text(one["verdict"][1:])
    dots = page.locator("#recovery .dot").evaluate_all("all => all.map(d => Number(d.dataset.x))")
    dots = [dot for dot in dots if not math.isnan(dot)]
    assert is_straight(dots, [one["difference"] for one in pairs])
    expect(page.locator("#recovery h2")).to_have_text("Kept of BF16's score")


def test_headings_count_what_each_result_was_asked(open_eval: OpenEval) -> None:
    shown = document(labels=("BF16", "Q8_0", "Q2_K"))
    page = open_eval(shown)
    expect(page.locator("#count")).to_have_text("40 questions × 4 samples")
    expect(page.locator("#recovery output")).to_have_text("GSM8K, the same 40 questions in pairs")
    shown["results"][2]["tasks"]["gsm8k"] |= {
        "questions": 30, "samples": 1, "prompt": "{question}"
    }  # fmt: skip
    compared(shown, "Q2_K", questions=30)
    compared(shown, "Q8_0", questions=7, **dict.fromkeys(("difference", "low", "high")))
    page = open_eval(shown)
    expect(page.locator("#count")).to_have_text("30 to 40 questions × 1 to 4 samples")
    expect(page.locator("#asked .warning")).to_contain_text("it is what BF16 was asked.")
    expect(page.locator("#recovery output")).to_have_text(
        "GSM8K, the same 30 questions in pairs, 1 not comparable"
    )
    page.locator("#table tr.option button").last.click()
    expect(page.locator(".detail")).to_contain_text("30 questions × 1 sample")


def test_another_task_has_its_own_scores_and_plots(open_eval: OpenEval) -> None:
    shown = document(tasks=("gsm8k", "math500"), labels=("BF16", "Q2_K"), questions=20)
    del shown["results"][1]["tasks"]["math500"]
    shown["comparisons"] = [one for one in shown["comparisons"] if one["task"] == "gsm8k"]
    for name, score in (("gsm8k", 0.8124), ("math500", 0.5556)):
        shown["results"][0]["tasks"][name]["pass@1"] = score
    page = open_eval(shown)
    overview = page.locator("#overview tbody tr")
    expect(overview.first.locator("td").last).to_have_text("68.4")
    assert overview.last.locator("td").all_inner_texts()[1:] == ["–", "–"]
    page.locator("#overview").get_by_role("button", name="MATH-500").click()
    expect(page.locator("#task")).to_have_text("MATH-500")
    expect(page.locator("#filters select")).to_have_value("math500")
    assert len(column(page, "pass@1")) == 1
    expect(page.locator("#recovery")).to_be_hidden()
    page.locator("#filters select").select_option("gsm8k")
    assert len(marks(page, "accuracy")) == 2
    expect(page.locator("#recovery")).to_be_visible()


def test_what_nobody_knows_has_no_column_and_its_plot_says_so(open_eval: OpenEval) -> None:
    shown = document(labels=("BF16", "Q2_K"), questions=10, number=1)
    for one in shown["results"]:
        one |= dict.fromkeys(UNKNOWN) | {"engine": "unknown", "url": "http://localhost:9/v1"}
        for figures in one["tasks"].values():
            figures |= dict.fromkeys(
                ("stderr_sampling", "mean_reasoning_tokens", "mean_answer_tokens",
                 "tokens_per_correct", "seconds_per_correct")
            )  # fmt: skip
    shown["comparisons"][0] |= dict.fromkeys(
        ("difference", "low", "high", "recovery", "recovery_low", "recovery_high")
    ) | {"verdict": "prompts differ: not comparable"}
    for name in ("samples", "warnings", "machine", "date", "folder", "commit"):
        shown[name] = None
    page = open_eval(shown)
    keys = page.locator("#table thead th").evaluate_all("all => all.map(th => th.dataset.key)")
    assert not {"bits", "size", "tokens_per_correct", "stderr_sampling", "maj@k"} & set(keys)
    for plot in ("bits", "speed"):
        expect(page.locator(f"#{plot} .none")).to_be_visible()
    expect(page.locator("#recovery .verdict")).to_have_text("Prompts differ: not comparable.")
    expect(page.locator("#head h2").first).to_contain_text("scores most")
    expect(page.locator("#reader")).to_be_hidden()
    page.locator("#table tr.option button").first.click()
    expect(page.locator(".detail")).to_contain_text("http://localhost:9/v1")


@pytest.mark.parametrize("left", ["nothing", "a task without a right answer"])
def test_a_run_without_a_score_has_a_page_too(open_eval: OpenEval, left: str) -> None:
    shown = document(labels=("Q2_K",), questions=2)
    if left == "nothing":
        shown |= {"results": [], "samples": []}
        words = "Nothing was evaluated"
    else:
        figures = shown["results"][0]["tasks"]["gsm8k"]
        figures |= {"pass@1": 0.0, "interval": [0.0, 0.0], "right": 0, "seconds_per_correct": None}
        words = "Q2_K gets 0.0 % right"
    expect(open_eval(shown).locator("#head h2").first).to_contain_text(words)


def test_a_hostile_name_is_only_text_and_a_phone_needs_no_sideways_scrolling(
    open_eval: OpenEval,
) -> None:
    shown = document(labels=("BF16", "Q2_K"), questions=4)
    for one in (*shown["results"], *shown["samples"]):
        one["label"] += HOSTILE
    for one in shown["results"]:
        one["model"] = one["engine"] = one["quantization"] = HOSTILE
        one["tasks"]["gsm8k"] |= dict.fromkeys(("title", "prompt", "source"), HOSTILE)
    for one in shown["comparisons"]:
        one |= {"a": one["a"] + HOSTILE, "b": one["b"] + HOSTILE, "verdict": HOSTILE}
    for one in shown["samples"]:
        one |= dict.fromkeys(
            ("prompt", "gold", "reasoning", "answer", "extracted", "note"), HOSTILE
        )
    shown |= {"folder": HOSTILE, "warnings": [HOSTILE], "samples_left_out": 3}
    page = open_eval(shown, viewport={"width": 390, "height": 844})
    expect(page).to_have_title(f"Evaluation: gsm8k with {HOSTILE}")
    for place in ("#title", "#asked pre", "#recovery", ".text.answer", ".left-out"):
        expect(page.locator(place).first).to_contain_text(HOSTILE)
    page.locator("#recovery").get_by_role("button", name="What changed").click()
    expect(page.locator(".shown .came").last).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_long_name_is_whole_in_every_table(open_eval: OpenEval) -> None:
    shown = document(tasks=("gsm8k", "math500"), labels=("BF16", "Q2_K"), questions=3)
    for one in (*shown["results"], *shown["samples"]):
        one["label"] = f"Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF:{one['label']}, 1,024 tokens"
    shown["comparisons"] = []
    page = open_eval(shown, viewport={"width": 400, "height": 844})
    names = page.locator(".row-name")
    expect(names).to_have_count(4)
    assert names.evaluate_all("all => all.every(n => n.scrollWidth <= n.clientWidth)")
    assert names.evaluate_all(
        "all => all.every(n => n.getBoundingClientRect().right"
        " <= n.closest('th').getBoundingClientRect().right)"
    )


def test_print_has_the_scores_and_no_controls(open_eval: OpenEval) -> None:
    page = open_eval(document(questions=10))
    page.emulate_media(media="print")
    for place in ("#table", "#recovery", "#accuracy svg"):
        expect(page.locator(place)).to_be_visible()
    for place in ("#reader", "#theme"):
        expect(page.locator(place)).to_be_hidden()


@pytest.mark.parametrize(
    ("scheme", "ground"), [("light", "rgb(251, 250, 247)"), ("dark", "rgb(25, 24, 22)")]
)
def test_the_page_is_as_light_as_its_reader_likes(
    open_eval: OpenEval, picture: Picture, scheme: str, ground: str
) -> None:
    page = open_eval(pictured(), color_scheme=scheme, viewport={"width": 1280, "height": 1270})
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    assert page.locator("#accuracy .dot").count() >= 1
    picture(page, f"eval-{scheme}")
