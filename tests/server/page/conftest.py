"""The page of a real server in Chromium. Nothing may go to another host or to the console."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route

from tests.browser import PATIENCE_MS, browser, picture
from tests.server.conftest import Served, serving

__all__ = ["browser", "picture"]

OpenPage = Callable[..., Page]


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
        context.set_default_timeout(PATIENCE_MS)
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
