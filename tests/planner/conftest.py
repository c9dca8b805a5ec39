"""A plan's page in Chromium, opened as a file. Nothing may be asked for, nor go to the console."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route

from stillhouse.catalog import find, find_device
from stillhouse.planner.page import page as page_of
from stillhouse.planner.plan import Wish, plan, ranked, recommended, why
from stillhouse.planner.targets import target_of
from stillhouse.planner.workload import Workload
from tests.browser import browser, picture

__all__ = ["browser", "picture"]

OpenPlan = Callable[..., Page]


@functools.cache
def written(devices: Sequence[str], model: str | None = None, users: int = 1) -> str:
    """The document of a plan, as JSON."""
    workload, wish = Workload.of(users=users), Wish()
    targets = [target_of(find_device(name)) for name in devices]
    only = None if model is None else find(model).model
    options = ranked([o for t in targets for o in plan(t, workload, wish, only=only)], wish)
    best = recommended(options, wish)
    return json.dumps(
        {
            "device": targets[0].as_json(),
            "devices": [target.as_json() for target in targets],
            "workload": asdict(workload),
            "goal": wish.goal,
            "options": [option.as_json() for option in options],
            "recommendation": best
            and {
                "model": best.model.name,
                "quantization": best.weights.quantization,
                "device": best.target.name,
                "reason": why(best, options, wish),
                "command": best.command,
            },
            "more_memory": None,
        }
    )


def document(*devices: str, model: str | None = None, users: int = 1) -> dict[str, Any]:
    """A plan for these systems, or the RTX 4090, that a test may change."""
    loaded: dict[str, Any] = json.loads(written(devices or ("RTX 4090",), model, users))
    return loaded


@pytest.fixture
def open_plan(browser: Browser, tmp_path: Path) -> Iterator[OpenPlan]:
    """Writes a page and opens it; what it asks for or complains of fails the test in the end."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    file = tmp_path / "plan.html"

    def block(route: Route, request: Request) -> None:
        complaints.append(f"a request to {request.url}")
        route.abort()

    def open_it(shown: dict[str, Any] | None = None, **options: Any) -> Page:
        file.write_text(page_of(shown or document()), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.route(lambda url: url != file.as_uri(), block)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert not complaints
