"""An evaluation's page in Chromium, opened as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
