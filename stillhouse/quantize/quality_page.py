"""A ladder of quantisations as a web page: one file that needs no network, not even a server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from stillhouse.pages.assembly import assembled


def page(document: Mapping[str, Any]) -> str:
    """HTML that shows the document of `still quality --json`. It asks no other file for anything.

    Of the document it shows `source`, `text`, `results`, and, where they are, `stillhouse`,
    `commit` and `machine`. Raises ValueError for a number that JSON has no form for.
    """
    return assembled(
        document,
        resources.files("stillhouse.quantize") / "web",
        title=f"Quality: quantisations of {document['source']['model']}",
        body="quality.html",
        style="quality.css",
        scripts=("plots.js", "quality.js"),
    )
