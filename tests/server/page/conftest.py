"""The page of a real server in Chromium. Nothing may go to another host or to the console."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    Route,
    expect,
    sync_playwright,
)

from tests.server.conftest import Served, serving

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_PATIENCE_MS = 90_000  # a larger model, or a busy machine, may take that long for an answer

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")  # while it runs, no other event loop can in this thread
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    with sync_playwright() as playwright:
        if path is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("there is no Chromium: 'make browser' or 'playwright install chromium'")
        expect.set_options(timeout=_PATIENCE_MS)
        launched = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def page_server(server: Served) -> Iterator[Served]:
    """The model of the other tests, or for pictures a better one."""
    model = os.environ.get("STILLHOUSE_SCREENSHOTS_MODEL")
    if model is None:
        yield server
        return
    with serving(model, "--context", "4096") as served:
        yield served


@pytest.fixture
def open_page(browser: Browser, page_server: Served) -> Iterator[OpenPage]:
    """Opens the page, perhaps with chats that this browser has kept; checks it in the end."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def block(route: Route, request: Request) -> None:
        complaints.append(f"a request to {request.url}")
        route.abort()

    def open_it(
        kept: list[dict[str, Any]] | None = None, *, may_complain: bool = False, **options: Any
    ) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 780}, **options})
        contexts.append(context)
        context.set_default_timeout(_PATIENCE_MS)
        if kept is not None:
            text = json.dumps(json.dumps(kept))
            context.add_init_script(f"localStorage.setItem('stillhouse.chats', {text})")
        page = context.new_page()
        page.route(lambda url: not url.startswith(page_server.url), block)
        if not may_complain:
            page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_server.url)
        page.wait_for_selector("#model option", state="attached")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """Takes a picture for the documentation, where a folder for them is named."""
    folder = os.environ.get("STILLHOUSE_SCREENSHOTS")

    def take(page: Page, name: str) -> None:
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png")

    return take
