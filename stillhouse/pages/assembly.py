"""A page from its pieces: one file that needs no network, not even a server."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

# Before a page's own, in this order, as one script: later ones use what earlier ones define.
_SCRIPTS = ("dom.js", "plot.js", "table.js")


def assembled(
    document: Mapping[str, Any],
    assets: Traversable,
    *,
    title: str,
    body: str,
    style: str,
    scripts: Sequence[str],
) -> str:
    """HTML that shows `document`, which scripts find as `DOCUMENT`. It asks for no other file.

    `body`, `style` and `scripts` are names of files in `assets`: the elements of `main`, a style
    sheet after `web/base.css`, and scripts after those that every page has. `title` is plain text.
    Only these scripts and styles may run: the page's policy names them by their hashes.

    Raises ValueError for a number that JSON has no form for.
    """
    shared = resources.files("stillhouse.pages") / "web"
    all_style = _text(shared, "base.css") + _text(assets, style)
    all_scripts = "\n".join(
        [_text(shared, name) for name in _SCRIPTS] + [_text(assets, name) for name in scripts]
    )
    parts = {
        "title": html.escape(title),
        "policy": (
            f"default-src 'none'; script-src {_hash(all_scripts)}; style-src {_hash(all_style)};"
            " img-src data:; base-uri 'none'; form-action 'none'"
        ),
        "style": all_style,
        "script": all_scripts,
        "body": _text(assets, body),
        "data": _json(document),
    }
    # All at once, so that nothing looks for places in what has been put in.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text(shared, "page.html"))


def _json(document: Mapping[str, Any]) -> str:
    """Without a '<', so that no text in it can end the element that holds it."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    """How a policy names the one text that may run."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _text(folder: Traversable, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")
