"""An evaluation as a web page: one file that needs no network, not even a server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from stillhouse.evals.page_samples import finite, packed
from stillhouse.pages.assembly import assembled

_SCRIPTS = (
    *("results.js", "head.js", "scores.js", "recovery.js", "scatter.js", "plots.js", "budgets.js"),
    *("samples.js", "texts.js", "list.js", "reader.js", "eval.js"),
)


def page(document: Mapping[str, Any]) -> str:
    """HTML that shows the document of `still eval --json`. It asks no other file for anything.

    Beside `results` it shows what is there of these, which may be missing or null:

    - `comparisons`: differences are of `b` from `a`, a loss below 0; `verdict` is a sentence.
    - `samples`: as `page_samples.PageSample` has them; `samples_left_out`: how many more there are.
    - `warnings`: sentences; `folder`; `machine`: `Machine.as_json()`; `date`; `stillhouse`;
      `commit`.

    A result's `bits_per_weight`, `file_bytes` and the like are null where nobody knows them, as of
    a server; a task's scores are where it has no samples. So are numbers that JSON has no form for.
    """
    facts = {name: value for name, value in document.items() if name != "samples"}
    return assembled(
        {**finite(facts), **packed(document.get("samples") or ())},
        resources.files("stillhouse.evals") / "web",
        title=_title(document),
        body="eval.html",
        style="eval.css",
        scripts=_SCRIPTS,
    )


def _title(document: Mapping[str, Any]) -> str:
    """The tasks and the models, as they are called in the table."""
    results = document["results"]
    tasks = dict.fromkeys(name for result in results for name in result["tasks"])
    models = dict.fromkeys(result["model"] for result in results)
    if not tasks:
        return "Evaluation: no results"
    return f"Evaluation: {', '.join(tasks)} with {', '.join(models)}"
