"""Plots of an evaluation's page, in Chromium: where marks stand, and which are on the front."""

from __future__ import annotations

import math
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.evals.conftest import OpenEval, is_straight, marks
from tests.evals.documents import document, pictured


def test_plots_place_every_result_where_its_figures_are(open_eval: OpenEval) -> None:
    shown = document()
    page = open_eval(shown)
    results = shown["results"]
    scores = [one["tasks"]["gsm8k"]["pass@1"] for one in results]
    across, down = zip(*(marks(page, "accuracy")[n] for n in range(len(results))), strict=True)
    assert is_straight(list(across), scores)
    assert list(down) == sorted(down)  # by bits, the most above
    band = page.locator("#accuracy .band-of").evaluate(
        "b => [b.x, b.width].map(a => a.baseVal.value)"
    )
    ends = results[0]["tasks"]["gsm8k"]["interval"]
    assert is_straight([*across, band[0], sum(band)], [*scores, *ends])
    for plot, values in (
        ("bits", [one["bits_per_weight"] for one in results]),
        ("speed", [one["output_tokens_per_s"] for one in results]),
    ):
        across, up = zip(*(marks(page, plot)[n] for n in range(len(results))), strict=True)
        assert is_straight(list(across), values)
        assert is_straight(list(up), scores)
    page.locator("#speed").get_by_role("radio", name="s a sample").check(force=True)
    places = [marks(page, "speed")[n][0] for n in range(len(results))]
    tasks = [one["tasks"]["gsm8k"] for one in results]
    waits = [t["seconds_per_correct"] * t["right"] / (t["questions"] * t["samples"]) for t in tasks]
    assert is_straight(places, waits)


def test_the_front_is_of_what_nothing_beats_in_both(open_eval: OpenEval) -> None:
    shown = document()
    results = shown["results"]
    for one, score in zip(results, (0.70, 0.71, 0.60, 0.61, 0.4), strict=True):
        one["tasks"]["gsm8k"] |= {"pass@1": score, "interval": [score - 0.05, score + 0.05]}
    page = open_eval(shown)
    for plot, front in (
        ("bits", {"Q8_0", "Q3_K_M", "Q2_K"}),
        ("speed", {"Q8_0", "Q3_K_M", "Q4_K_M", "Q2_K"}),
    ):
        found = page.locator(f"#{plot} .mark.dot").evaluate_all(
            "all => all.filter(m => m.ariaLabel.includes('Pareto')).map(m => Number(m.dataset.n))"
        )
        assert {results[n]["label"] for n in found} == front
        assert set(page.locator(f"#{plot} text.best").all_text_contents()) == front


def test_equal_results_are_all_on_the_front_or_none(open_eval: OpenEval) -> None:
    shown = document(labels=("BF16", "Q8_0", "Q4_K_M", "Q3_K_M"))
    for one, score, bits in zip(shown["results"], (0.6, 0.6, 0.7, 0.7), (8, 8, 4, 4), strict=True):
        one["bits_per_weight"] = bits
        one["tasks"]["gsm8k"] |= {"pass@1": score, "interval": [score - 0.05, score + 0.05]}
    found = (
        open_eval(shown)
        .locator("#bits .mark.dot")
        .evaluate_all(
            "all => all.filter(m => m.ariaLabel.includes('Pareto')).map(m => Number(m.dataset.n))"
        )
    )
    assert sorted(found) == [2, 3]


def test_guessing_is_on_the_plot_where_all_score_less(open_eval: OpenEval) -> None:
    shown = document(labels=("BF16", "Q2_K"), questions=10)
    for one in shown["results"]:
        one["tasks"]["gsm8k"] |= {"pass@1": 0.1, "interval": [0.08, 0.12], "chance": 0.25}
    page = open_eval(shown)
    expect(page.locator("#accuracy .keys")).to_contain_text("guessing, 25.0 %")
    line, drawing = (page.locator(f"#accuracy {name}") for name in (".faint", "> svg"))
    wide = drawing.evaluate("one => one.viewBox.baseVal.width")
    assert 0 < float(line.get_attribute("x1") or "nan") < wide


def test_budgets_have_a_curve_on_an_axis_of_logarithms(open_eval: OpenEval) -> None:
    budgets = (None, 64, 256, 1024)
    shown = document(labels=("BF16", "Q4_K_M"), budgets=budgets, questions=20)
    page = open_eval(shown)
    assert page.locator("#budget path.curve").count() == 2
    assert page.locator("#budget path.band").count() == 2
    found = marks(page, "budget")
    results = shown["results"]
    known = [n for n in found if results[n]["thinking_budget"]]
    assert is_straight(
        [found[n][0] for n in known], [math.log(results[n]["thinking_budget"]) for n in known]
    )
    assert all(found[n][0] > max(found[k][0] for k in known) for n in found if n not in known)
    expect(page.locator("#budget > svg")).to_contain_text("none")
    page.locator("#budget").get_by_role("radio", name="tokens thought").check(force=True)
    found = marks(page, "budget")
    means = [results[n]["tasks"]["gsm8k"]["mean_reasoning_tokens"] for n in found]
    assert is_straight([x for x, _ in found.values()], means)


def test_a_ladder_has_its_four_plots(
    open_eval: OpenEval, picture: Callable[[Page | Locator, str], None]
) -> None:
    plots = open_eval(pictured(), viewport={"width": 1280, "height": 900}).locator("#plots")
    for name in ("accuracy", "outcomes", "bits", "speed"):
        expect(plots.locator(f"#{name} > svg")).to_be_visible()
    expect(plots.locator("#budget")).to_be_hidden()
    picture(plots, "eval-plots")


def test_a_curve_can_be_read(
    open_eval: OpenEval, picture: Callable[[Page | Locator, str], None]
) -> None:
    shown = pictured("STILLHOUSE_EVAL_BUDGETS", labels=("Q4_K_M",), budgets=(64, 256, None))
    holder = open_eval(shown, viewport={"width": 1280, "height": 900}).locator("#budget")
    assert holder.locator("path.curve").count() == 1
    picture(holder, "eval-budgets")


def test_a_bar_is_of_all_samples(open_eval: OpenEval) -> None:
    shown = document(questions=20)
    page = open_eval(shown)
    parts = page.locator("#outcomes .part").evaluate_all(
        "all => all.filter(p => p.dataset.verdict).map(p => [Number(p.dataset.n),"
        " p.dataset.verdict, p.querySelector('rect').width.baseVal.value])"
    )
    for n, one in enumerate(shown["results"]):
        own = {verdict: wide for number, verdict, wide in parts if number == n}
        figures = one["tasks"]["gsm8k"]
        assert set(own) == {name for name in (*own, "wrong", "looped") if figures[name]}
        assert is_straight([0, *own.values()], [0, *(figures[name] for name in own)])
