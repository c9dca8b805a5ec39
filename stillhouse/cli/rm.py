"""`still rm`: take a model off this machine."""

from __future__ import annotations

import difflib

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.units import format_bytes


def rm(model: options.ModelArgument, json: options.Json = False) -> None:
    """Remove a model, or what an interrupted pull left of one, and say what that frees."""
    from stillhouse import hub
    from stillhouse.errors import ModelNotFound, UsageError

    reference = hub.parse_reference(model)
    if isinstance(reference, hub.PathReference):
        raise UsageError(f"'{model}' is a file of your own", hint="only pulled models are removed")
    store = hub.Store()
    entry = store.find(reference.text)
    if entry is None:
        here = [entry.manifest.reference for entry in store.entries()]
        close = difflib.get_close_matches(reference.text, here, n=3)
        raise ModelNotFound(
            f"{reference.text} is not on this machine",
            hint=f"did you mean {', '.join(close)}?" if close else "'still list' shows what is",
        )
    freed_bytes = store.remove(entry)
    if json:
        print_document("rm", model=model, reference=reference.text, freed_bytes=freed_bytes)
    else:
        print(f"removed {reference.text}: {format_bytes(freed_bytes)} freed")
