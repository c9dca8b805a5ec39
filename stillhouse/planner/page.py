"""A plan as a web page: one file that needs no network, not even a server."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

# In this order, as one script: later ones use what earlier ones define.
_SCRIPTS = ("dom.js", "plots.js", "detail.js", "head.js", "plan.js")


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
    style = _asset("plan.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    parts = {
        "title": html.escape(_title(document)),
        "policy": (
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)};"
            " img-src data:; base-uri 'none'; form-action 'none'"
        ),
        "style": style,
        "script": script,
        "data": _json(document),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("plan.html"))


def _title(document: Mapping[str, Any]) -> str:
    """The system's name, or the model's where there are several systems."""
    devices = document.get("devices") or [document["device"]]
    models = {option["title"] for option in document["options"]}
    if len(devices) > 1:
        return f"Plan: {', '.join(sorted(models))} on {len(devices)} systems"
    return f"Plan: {devices[0]['name']}"


def _json(document: Mapping[str, Any]) -> str:
    """Without a '<', so that no text in it can end the element that holds it."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    """How a policy names the one text that may run."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _asset(name: str) -> str:
    return (resources.files("stillhouse.planner") / "web" / name).read_text(encoding="utf-8")
