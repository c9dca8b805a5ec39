"""What the page of a ladder shows, in Chromium."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from playwright.sync_api import expect

from stillhouse.quantize.divergence import Divergences
from stillhouse.quantize.quality_figures import quality_figures
from stillhouse.quantize.quality_page import page as page_of
from tests.browser import OpenFile, browser, open_file, picture

__all__ = ["browser", "open_file", "picture"]

HOSTILE = "</script><img src=x onerror=\"document.title='harm'\">"


def document() -> dict[str, Any]:
    """A source and four quantisations, of which one does not diverge at all."""

    def rung(name: str, size: int, kl: float) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        nll = rng.exponential(2, 500)
        found = Divergences(
            nll, nll + kl * rng.normal(0, 1, 500), kl * rng.exponential(1, 500),
            rng.random(500) > kl,
        )  # fmt: skip
        return model(name, size) | asdict(quality_figures(found))

    def model(name: str, size: int) -> dict[str, Any]:
        speeds = {"prefill_tokens_per_s": 300.0, "decode_tokens_per_s": 30.0}
        return {"model": name, "file_bytes": size, "bits_per_weight": size / 2e8} | speeds

    worst = {"name": HOSTILE, "format_name": "Q2_K", "source_format_name": "BF16", "nmse": 0.1}
    return {
        "source": model("m-BF16.gguf", 3_200_000_000),
        "text": {"name": "t", "tokens": 1024, "window_tokens": 512, "scored_tokens": 500},
        "results": [
            rung("m-BF16.gguf", 3_200_000_000, 0.0),
            rung("m-Q8_0.gguf", 1_700_000_000, 0.003),
            rung("m-Q4_K_M.gguf", 1_000_000_000, 0.04),
            rung("m-Q2_K.gguf", 700_000_000, 0.5) | {"tensors": [worst | {"snr_db": 10.0}]},
        ],
    }


def test_the_plot_is_logarithmic_and_leaves_out_what_does_not_diverge(
    open_file: OpenFile,
) -> None:
    shown = document()
    page = open_file(page_of(shown))
    marks = page.locator("#ladder .mark.dot").evaluate_all(
        "all => all.map(m => [Number(m.dataset.x), Number(m.dataset.y)])"
    )
    drawn = shown["results"][1:]
    assert len(marks) == len(drawn)
    for axis, values in enumerate(
        ([r["file_bytes"] for r in drawn], [math.log(r["kl"]["value"]) for r in drawn])
    ):
        pixels = [mark[axis] for mark in marks]
        fit = np.polyval(np.polyfit(values, pixels, 1), values)
        assert np.abs(fit - pixels).max() < 0.5
    expect(page.locator("#ladder .note")).to_contain_text("Not shown: 1 without divergence")


def test_the_table_has_the_source_first_and_sorts_by_a_click(open_file: OpenFile) -> None:
    page = open_file(page_of(document()))
    names = page.locator("#table tbody th")
    expect(names).to_have_count(5)
    page.locator('#table th[data-key="kl"] button').click()
    page.locator('#table th[data-key="kl"] button').click()
    assert names.all_inner_texts()[:2] == ["m-BF16.gguf", "m-Q2_K.gguf"]
    expect(page.locator("#table tbody tr").nth(1)).to_contain_text("±")


def test_names_stay_text_and_a_phone_needs_no_sideways_scrolling(open_file: OpenFile) -> None:
    page = open_file(page_of(document()), viewport={"width": 390, "height": 800})
    expect(page.locator("#matrices")).to_contain_text(HOSTILE)
    assert page.title().startswith("Quality: ")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
