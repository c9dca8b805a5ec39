"""A benchmark as a web page: one file that needs no network, not even a server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from stillhouse.pages.assembly import assembled


def page(document: Mapping[str, Any]) -> str:
    """HTML that shows the document of `still bench --json`. It asks no other file for anything.

    The document's names, of which those in brackets may be missing or null:

    - `results`: a list of `Cell.as_json()`.
    - [`slo`]: the promises that goodput counts, in seconds: `ttft_s`, `ttfat_s`, `tpot_s`, `e2e_s`.
    - [`machine`]: `Machine.as_json()`; [`machine_speeds`]: what was measured of it,
      `read_bytes_per_s` and `int8_operations_per_s`.
    - [`sweeps`]: a list of `kind`, `model`, `found`, `sentence` and `tried`, a list of `value`,
      `kept` and whatever else is to be said of a value.
    - [`comparisons`]: a list of `model`, `baseline`, `workload`, `single_stream_speedup` and
      `multi_stream_speedup`.
    - [`notes`]: sentences.
    - [`date`, `model`, `stillhouse`, `commit`]: what was measured, when and with what.

    Raises ValueError for a number that JSON has no form for.
    """
    return assembled(
        document,
        resources.files("stillhouse.bench") / "web",
        title=_title(document),
        body="bench.html",
        style="bench.css",
        scripts=("series.js", "curves.js", "shares.js", "cells.js", "head.js", "bench.js"),
    )


def _title(document: Mapping[str, Any]) -> str:
    """The models that were measured, as they are called in the table."""
    models = sorted({cell["model"] for cell in document["results"]})
    return f"Benchmark: {', '.join(models) or 'no results'}"
