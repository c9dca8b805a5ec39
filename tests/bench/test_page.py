"""What a benchmark's page shows and does, in Chromium."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.bench.conftest import OpenBench
from tests.bench.documents import USERS, cell, document, pictured

Picture = Callable[[Page, str], None]

HOSTILE = "</script><img src=x onerror=\"document.title='harm'\">{{script}}"
PLOTS = ("throughput", "pareto", "ttft", "ttfat", "cdf", "roofline")
UNKNOWN = (
    *("user_tokens_per_s", "prefill_tokens_per_s", "decode_tokens_per_s", "ttft_s", "ttfat_s"),
    *("tpot_s", "itl_s", "e2e_s", "mean_prompt_tokens", "mean_reasoning_tokens"),
    *("mean_answer_tokens", "cached_share", "truncated_share", "looped_share", "goodput_per_s"),
    *("goodput_share", "peak_memory_bytes", "roofline_share", "roofline_tokens_per_s", "speedup"),
    *("quality_recovery", "quality_source", "quantization"),
)


def marks(page: Page, plot: str) -> dict[int, tuple[float, float]]:
    """Where each cell's mark stands, in pixels from the top left."""
    found = page.locator(f"#{plot} .mark.dot").evaluate_all(
        "all => all.map(m => ['number', 'x', 'y'].map(name => Number(m.dataset[name])))"
    )
    return {int(number): (x, y) for number, x, y in found}


def column(page: Page, key: str) -> list[str]:
    keys = page.locator("#table thead th").evaluate_all("all => all.map(th => th.dataset.key)")
    rows = page.locator(f"#table tr.option > :nth-child({keys.index(key) + 1})")
    return rows.all_inner_texts()


def figures(page: Page, key: str) -> list[float]:
    return [float(text.replace(",", "")) for text in column(page, key)]


def is_straight(pixels: list[float], values: list[float]) -> bool:
    """Whether pixels follow values linearly, to half a pixel."""
    fit = np.polyval(np.polyfit(values, pixels, 1), values)
    return bool(np.abs(fit - pixels).max() < 0.5)


def test_the_head_says_what_was_best_and_under_which_promise(open_bench: OpenBench) -> None:
    shown = document()
    page = open_bench(shown)
    head, results = page.locator("#head"), shown["results"]
    best = max(results, key=lambda one: one["output_tokens_per_s"])
    share = f"{100 * best['roofline_share']:.0f} % of what this machine allows"
    expect(head.locator("h2").first).to_have_text(
        f"{best['quantization']} writes most: {best['output_tokens_per_s']:.0f} tok/s"
        f" with {best['users']} users, {share}"
    )
    soonest = min(results, key=lambda one: one["ttfat_s"]["p50"])
    nearest = max(results, key=lambda one: one["roofline_share"])
    stats = head.locator(".stat")
    expect(stats.nth(1)).to_contain_text(f"{soonest['ttfat_s']['p50']:.1f} s")
    expect(stats.nth(1)).to_contain_text(f"soonest answer: {soonest['quantization']}, 1 user")
    expect(stats.nth(2)).to_contain_text(f"{100 * nearest['roofline_share']:.1f} %")
    kept: dict[str, list[int]] = {}
    for one in results:
        if one["goodput_share"] >= 0.95:
            kept.setdefault(one["quantization"], []).append(one["users"])
    highest = max(max(users) for users in kept.values())
    names = ", ".join(name for name, users in kept.items() if max(users) == highest)
    expect(head).to_contain_text(f"within the SLO: up to {highest} users ({names})")
    for text in ("AMD EPYC", "31.2 GB/s", "905 int8 GOP/s", "2026-11-24", "first token ≤ 5.0 s"):
        expect(head).to_contain_text(text)
    expect(head).to_contain_text("each token ≤ 100 ms")
    expect(page.locator("#findings")).to_contain_text("Q4_K_M keeps the SLO for 23 users.")
    assert page.locator("#findings .chip.broken").all_inner_texts() == ["✕ 32", "✕ 24"]
    expect(page.locator("#findings table")).to_contain_text("1.62 ×")
    expect(page).to_have_title("Benchmark: qwen2.5-coder:1.5b")


def test_every_plot_has_a_mark_for_each_cell_where_its_figures_are(open_bench: OpenBench) -> None:
    shown = document()
    page = open_bench(shown)
    results = shown["results"]
    for plot in ("throughput", "pareto", "ttft", "ttfat"):
        found = marks(page, plot)
        assert sorted(found) == list(range(len(results)))
        across, up = zip(*(found[n] for n in range(len(results))), strict=True)
        if plot == "pareto":
            assert is_straight(across, [one["user_tokens_per_s"] for one in results])
        else:
            assert is_straight(across, [math.log2(one["users"]) for one in results])
        if plot in ("ttft", "ttfat"):
            assert is_straight(up, [math.log(one[f"{plot}_s"]["p50"]) for one in results])
            assert page.locator(f"#{plot} path.band").count() == 3
        else:
            assert is_straight(up, [one["output_tokens_per_s"] for one in results])
        assert page.locator(f"#{plot} path.curve").count() == 3
    assert page.locator("#throughput path.roof").count() == 3
    heights = page.locator("#roofline .share rect.bar-of").evaluate_all(
        "all => all.map(bar => [Number(bar.parentNode.dataset.number), bar.height.baseVal.value])"
    )
    assert len(heights) == len(results)
    assert is_straight(
        [height for _, height in heights], [results[n]["roofline_share"] for n, _ in heights]
    )


def test_the_axis_of_output_can_be_logarithmic(open_bench: OpenBench) -> None:
    shown = document()
    page = open_bench(shown)
    page.locator("#throughput").get_by_role("radio", name="log").check(force=True)
    expect(page.locator("#throughput svg")).to_contain_text("output tok/s, all users (log)")
    found = marks(page, "throughput")
    logs = [math.log(shown["results"][n]["output_tokens_per_s"]) for n in found]
    assert is_straight([y for _, y in found.values()], logs)


def test_a_distribution_has_a_step_for_each_request_of_the_chosen_load(
    open_bench: OpenBench,
) -> None:
    shown = document()
    page = open_bench(shown)
    cdf = page.locator("#cdf")
    expect(cdf.locator("select")).to_have_value("16")
    cdf.get_by_role("radio").first.focus()
    expect(cdf).to_contain_text("2 failed requests are not in the curves")
    for measure, name, load in (
        ("ttft_s", "First token", 16),
        ("ttfat_s", "First answer", 4),
        ("tpot_s", "Each token", 1),
        ("e2e_s", "End to end", 16),
    ):
        choice = cdf.get_by_role("radio", name=name)
        if not choice.is_checked():
            page.keyboard.press("ArrowRight")
        expect(choice).to_be_checked()
        expect(choice).to_be_focused()
        cdf.locator("select").select_option(str(load))
        choice.focus()
        here = [one for one in shown["results"] if one["users"] == load]
        for n, one in enumerate(here):
            values = [r[measure] for r in one["request_records"] if r[measure] is not None]
            curve = cdf.locator(f'path.curve[data-series="{n}"]')
            expect(curve).to_have_attribute("data-count", str(len(values)))
            path = str(curve.get_attribute("d"))
            steps = [float(x) for x in re.findall(r"H([\d.]+)V", path)]
            assert is_straight(steps, sorted(values))
            rises = [float(y) for y in re.findall(r"V([\d.]+)", path)]
            assert is_straight(rises, list(range(len(values))))


def test_the_table_has_the_documents_figures_and_sorts_them(open_bench: OpenBench) -> None:
    shown = document()
    page = open_bench(shown)
    results = shown["results"]
    expect(page.locator("#count")).to_have_text("15 cells")
    assert len(column(page, "series")) == 15
    page.get_by_role("button", name="All columns").click()
    for key, factor in (
        ("users", 1.0),
        ("output_tokens_per_s", 1.0),
        ("user_tokens_per_s", 1.0),
        ("total_tokens_per_s", 1.0),
        ("requests_per_s", 1.0),
        ("ttft_s.p50", 1.0),
        ("ttft_s.p99", 1.0),
        ("ttfat_s.p95", 1.0),
        ("tpot_s.mean", 1e3),
        ("e2e_s.p99", 1.0),
        ("goodput_share", 1e2),
        ("goodput_per_s", 1.0),
        ("roofline_share", 1e2),
        ("roofline_tokens_per_s", 1.0),
        ("speedup", 1.0),
        ("peak_memory_bytes", 1e-9),
        ("duration_s", 1.0),
    ):
        name, _, inner = key.partition(".")
        wanted = [(one[name][inner] if inner else one[name]) * factor for one in results]
        np.testing.assert_allclose(figures(page, key), wanted, rtol=0.006, err_msg=key)
    header = page.locator('#table th[data-key="output_tokens_per_s"]')
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    found = figures(page, "output_tokens_per_s")
    assert found == sorted(found, reverse=True)


def test_what_failed_or_was_cut_is_marked_in_the_table_and_the_plots(open_bench: OpenBench) -> None:
    shown = document()
    page = open_bench(shown)
    failed = page.locator("#table tr.failed")
    expect(failed).to_have_count(1)
    for text in ("✕ 2 failed", "✂ 10 % truncated", "↻ 3.3 % looped"):
        expect(failed).to_contain_text(text)
    expect(page.locator("#head .trouble")).to_contain_text("2 requests failed")
    for plot in PLOTS[:4]:
        expect(page.locator(f"#{plot} .dot.doubtful")).to_have_count(1)
    failed.get_by_role("button").click()
    detail = page.locator(".detail")
    expect(detail).to_contain_text("timeout: 2")
    records = shown["results"][-1]["request_records"]
    expect(detail.locator(".requests tbody tr")).to_have_count(len(records))
    expect(detail.locator(".requests tr.failed")).to_have_count(2)
    expect(detail.locator(".requests tr.failed").first).to_contain_text("silent for 60 s")
    expect(detail).to_contain_text(shown["results"][-1]["roofline_how"])


def test_a_long_list_of_requests_is_shown_whole_when_asked_for(open_bench: OpenBench) -> None:
    shown = document(users=(64,))
    page = open_bench(shown)
    page.locator("#table tr.option button").first.click()
    rows = page.locator(".requests tbody tr")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Show the other 28").click()
    expect(rows).to_have_count(128)


def test_what_is_not_there_is_said_with_its_reason(open_bench: OpenBench) -> None:
    shown = document(users=(1, 4))
    bare = dict.fromkeys(UNKNOWN) | {
        "engine": "unknown", "url": "http://localhost:9", "roofline_how": "its weights are unknown",
        "counted": "chunks",
    }  # fmt: skip
    dead = bare | {
        "engine": "vllm", "requests": 0, "output_tokens_per_s": 0.0, "errors": 12,
        "error_kinds": {"connect": 12}, "request_records": [], "is_complete": False,
    }  # fmt: skip
    shown["results"] = [
        *shown["results"],
        shown["results"][0] | bare,
        shown["results"][1] | dead,
    ]
    for name in ("slo", "machine_speeds", "machine", "sweeps", "comparisons", "notes", "command"):
        shown[name] = None
    page = open_bench(shown)
    page.get_by_role("button", name="All columns").click()
    row = page.locator("#table tr.option").nth(6)
    for key, text, why in (
        ("roofline_share", "n/a", "its weights are unknown"),
        ("peak_memory_bytes", "n/a", "The server's memory cannot be seen from here"),
        ("goodput_share", "n/a", "There is no SLO"),
        ("ttfat_s.p50", "n/a", "No request came to an answer"),
        ("quantization", "n/a", "The server does not say"),
    ):
        missing = row.locator(f'[data-key="{key}"]')
        expect(missing).to_have_text(text)
        expect(missing).to_have_attribute("title", why)
    for text in ("✕ 12 failed", "◼ stopped early"):
        expect(page.locator("#table tr.option").nth(7)).to_contain_text(text)
    assert page.locator("#throughput .dot").count() == 8
    assert page.locator("#ttfat .dot").count() == 6
    assert page.locator("#roofline .share:not([data-share])").count() == 2
    expect(page.locator("#findings")).to_be_hidden()
    row.get_by_role("button").click()
    expect(page.locator(".detail .na").first).to_have_text("No request had a first token")


@pytest.mark.parametrize("results", [[], "dead"])
def test_a_run_without_an_answer_has_a_page_too(open_bench: OpenBench, results: Any) -> None:
    shown = document(users=(1,))
    one = shown["results"][0] | dict.fromkeys(UNKNOWN)
    dead = one | {"requests": 0, "output_tokens_per_s": 0.0, "errors": 12, "request_records": []}
    page = open_bench(shown | {"results": results and [dead]})
    expect(page.locator("#head h2").first).to_have_text(
        "No request was completed" if results else "Nothing was measured"
    )


def test_an_open_loop_has_requests_a_second_on_its_axis(open_bench: OpenBench) -> None:
    rng = np.random.default_rng(3)
    shown = document(users=(1, 2))
    rates = (0.1, 0.2, 0.3)
    opened = [cell(rng, users=4, rate_per_s=rate) for rate in rates]
    other = [one | {"workload": "summaries", "prompt_tokens": 4096} for one in shown["results"]]
    page = open_bench(shown | {"results": [*opened, *shown["results"], *other]})
    view = page.locator("#filters select")
    names = ["reasoning, open loop", "reasoning, closed loop", "summaries"]
    assert view.locator("option").all_inner_texts() == names
    view.select_option(label=names[0])
    expect(page.locator("#throughput svg")).to_contain_text("requests/s offered")
    found = marks(page, "throughput")
    assert is_straight([found[n][0] for n in range(3)], list(rates))
    assert figures(page, "rate_per_s") == list(rates)
    page.locator("#cdf select").select_option("0.3")
    expect(page.locator("#cdf path.curve")).to_have_count(1)
    view.select_option(label=names[2])
    assert page.locator("#throughput .dot").count() == len(other)
    expect(page.locator("#head")).to_contain_text("4,096 tokens")


def test_a_series_can_be_hidden_everywhere(open_bench: OpenBench) -> None:
    page = open_bench()
    button = page.locator("#legend").get_by_role("button", name="Q4_K_M")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    for plot in PLOTS[:4]:
        assert page.locator(f"#{plot} .dot").count() == 2 * len(USERS)
    expect(page.locator("#count")).to_have_text("10 of 15 cells")
    expect(page.locator("#head h2").first).not_to_contain_text("Q4_K_M")
    button.click()
    assert page.locator("#throughput .dot").count() == 3 * len(USERS)


def test_marks_are_told_apart_by_form_and_reached_by_keys(open_bench: OpenBench) -> None:
    page = open_bench()
    forms = page.locator("#legend path").evaluate_all("all => all.map(p => p.getAttribute('d'))")
    assert len(set(forms)) == 3
    stops = page.locator('#throughput .dot[tabindex="0"]')
    expect(stops).to_have_count(1)
    stops.focus()
    expect(page.locator("#throughput .tip")).to_contain_text("Q4_K_M, 1 user")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#throughput .tip")).to_contain_text("Q4_K_M, 2 users")
    page.keyboard.press("Enter")
    opened = page.locator('#table tr.option[data-number="1"]')
    expect(opened).to_have_class(re.compile("open"))
    expect(opened.get_by_role("button")).to_be_focused()


def test_on_a_phone_the_table_scrolls_and_the_page_does_not(open_bench: OpenBench) -> None:
    page = open_bench(viewport={"width": 390, "height": 844})
    page.locator("#table tr.failed button").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    inner, outer = page.locator("#cells .scroll").evaluate("n => [n.scrollWidth, n.clientWidth]")
    assert inner > outer
    assert page.locator("#plots svg").evaluate_all("all => all.every(s => s.clientWidth <= 390)")
    box = page.locator(".detail").bounding_box()
    assert box is not None
    assert box["width"] <= 390


def test_a_hostile_name_is_only_text(open_bench: OpenBench) -> None:
    shown = document(users=(1, 2))
    for one in shown["results"]:
        for name in ("model", "quantization", "engine", "url", "workload", "roofline_how"):
            one[name] = f"{HOSTILE}{one[name]}"
        one["request_records"][0] |= {"error": "other", "message": HOSTILE}
        one |= {"errors": 1, "error_kinds": {HOSTILE: 1}, "error_examples": [HOSTILE]}
    shown |= {"notes": [HOSTILE], "command": HOSTILE, "date": HOSTILE}
    shown["sweeps"][0]["sentence"] = shown["comparisons"][0]["model"] = HOSTILE
    page = open_bench(shown)
    page.locator("#table tr.option button").first.click()
    expect(page).to_have_title(f"Benchmark: {HOSTILE}qwen2.5-coder:1.5b")
    expect(page.locator("#title")).to_contain_text(HOSTILE)
    expect(page.locator(".detail")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(
    ("scheme", "ground"), [("light", "rgb(251, 250, 247)"), ("dark", "rgb(25, 24, 22)")]
)
def test_the_page_is_as_light_as_its_reader_likes(
    open_bench: OpenBench, picture: Picture, scheme: str, ground: str
) -> None:
    page = open_bench(pictured(), color_scheme=scheme, viewport={"width": 1280, "height": 1180})
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    assert page.locator("#throughput .dot").count() >= 1
    picture(page, f"bench-{scheme}")
