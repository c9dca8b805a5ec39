"""A plan as a web page: one file that needs no network, not even a server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from stillhouse.pages.assembly import assembled


def page(document: Mapping[str, Any]) -> str:
    """HTML that shows the document of `still plan --json`. It asks no other file for anything.

    The document's names, of which those in brackets may be missing or null:

    - `options`: a list of `Option.as_json()`, the best first.
    - `device`: `Target.as_json()`, or `devices`, a list of several. Options name theirs.
    - `workload`: the fields of `Workload`.
    - [`goal`]: what the order is for, as `quality`.
    - [`recommendation`]: `model`, `quantization`, `device`, `reason` and `command` of one option.
    - [`more_memory`]: a sentence about what 8 GB more would change.
    - [`stillhouse`, `commit`, `machine`]: what made the plan, for the foot of the page.

    Raises ValueError for a number that JSON has no form for.
    """
    return assembled(
        document,
        resources.files("stillhouse.planner") / "web",
        title=_title(document),
        body="plan.html",
        style="plan.css",
        scripts=("plots.js", "detail.js", "head.js", "plan.js"),
    )


def _title(document: Mapping[str, Any]) -> str:
    """The system's name, or the model's where there are several systems."""
    devices = document.get("devices") or [document["device"]]
    models = {option["title"] for option in document["options"]}
    if len(devices) > 1:
        return f"Plan: {', '.join(sorted(models))} on {len(devices)} systems"
    return f"Plan: {devices[0]['name']}"
