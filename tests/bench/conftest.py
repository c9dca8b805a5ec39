"""A benchmark's page in Chromium, opened as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from stillhouse.bench.page import page as page_of
from tests.bench.documents import document
from tests.browser import OpenFile, browser, open_file, picture

__all__ = ["browser", "open_file", "picture"]

OpenBench = Callable[..., Page]


@pytest.fixture
def open_bench(open_file: OpenFile) -> OpenBench:
    """Opens the page of a document, or of three quantisations under five loads."""

    def open_it(shown: dict[str, Any] | None = None, **options: Any) -> Page:
        return open_file(page_of(document() if shown is None else shown), **options)

    return open_it
