"""An evaluation's page in Chromium, opened as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from stillhouse.evals.page import page as page_of
from tests.browser import OpenFile, browser, open_file, picture
from tests.evals.documents import document

__all__ = ["browser", "open_file", "picture"]

OpenEval = Callable[..., Page]


@pytest.fixture
def open_eval(open_file: OpenFile) -> OpenEval:
    """Opens the page of a document, or of five quantisations on one task."""

    def open_it(shown: dict[str, Any] | None = None, **options: Any) -> Page:
        return open_file(page_of(document() if shown is None else shown), **options)

    return open_it


def marks(page: Page, plot: str) -> dict[int, tuple[float, float]]:
    """Where each result's mark stands, in pixels from the top left."""
    found = page.locator(f"#{plot} .mark.dot").evaluate_all(
        "all => all.map(m => ['n', 'x', 'y'].map(name => Number(m.dataset[name])))"
    )
    return {int(n): (x, y) for n, x, y in found}


def is_straight(pixels: list[float], values: list[float]) -> bool:
    """Whether pixels follow values linearly, to half a pixel."""
    fit = np.polyval(np.polyfit(values, pixels, 1), values)
    return bool(np.abs(fit - pixels).max() < 0.5)
