"""Chromium for the tests of pages, and pictures of them; a conftest imports what it needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PATIENCE_MS = 90_000  # a larger model, or a busy machine, may take that long for an answer


@pytest.fixture(scope="module")  # while it runs, no other event loop can in this thread
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    with sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("there is no Chromium: 'make browser' or 'playwright install chromium'")
        expect.set_options(timeout=PATIENCE_MS)
        launched = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Takes a picture for the documentation, where a folder for them is named."""
    folder = os.environ.get("STILLHOUSE_SCREENSHOTS")

    def take(page: Page, name: str) -> None:
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png")

    return take
