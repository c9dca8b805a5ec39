"""A plan's page in Chromium, opened as a file. Nothing may be asked for, nor go to the console."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import pytest
from playwright.sync_api import Page

from stillhouse.catalog import find, find_device
from stillhouse.planner.page import page as page_of
from stillhouse.planner.plan import Wish, plan, ranked, recommended, why
from stillhouse.planner.targets import target_of
from stillhouse.planner.workload import Workload
from tests.browser import OpenFile, browser, open_file, picture

__all__ = ["browser", "open_file", "picture"]

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
def open_plan(open_file: OpenFile) -> OpenPlan:
    """Opens the page of a plan, or of one for the RTX 4090."""

    def open_it(shown: dict[str, Any] | None = None, **options: Any) -> Page:
        return open_file(page_of(shown or document()), **options)

    return open_it
