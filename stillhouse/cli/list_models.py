"""`still list`: the models on this machine, or those that can be had by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.cli.table import aligned
from stillhouse.units import format_bytes

if TYPE_CHECKING:
    from stillhouse.catalog import Model
    from stillhouse.hub import Entry

All = Annotated[bool, typer.Option("--all", help="List what can be pulled by name instead.")]


def list_models(every: All = False, json: options.Json = False) -> None:
    """The models on this machine, with their sizes and where they came from."""
    from stillhouse import catalog, hub

    if every:
        models = catalog.models()
        if json:
            print_document("list", catalogue=[_known(model) for model in models])
        else:
            _print_catalogue(models)
        return
    entries = hub.Store().entries()
    if json:
        print_document("list", models=[_stored(entry) for entry in entries])
    elif entries:
        _print_entries(entries)
    else:
        print("no models here yet; 'still list --all' shows what can be pulled")


def _print_entries(entries: list[Entry]) -> None:
    rows = [("MODEL", "SIZE", "PULLED", "FROM")]
    for entry in entries:
        manifest = entry.manifest
        when = (manifest.pulled or "")[:10] if entry.is_complete else "interrupted"
        size = format_bytes(entry.bytes_on_disk)
        rows.append((manifest.reference, size, when, manifest.origin))
    print("\n".join(aligned(rows, right=(1,))))


def _print_catalogue(models: tuple[Model, ...]) -> None:
    rows = [("MODEL", "ALSO CALLED", "PARAMETERS", "DEFAULT", "OTHER QUANTISATIONS")]
    for model in models:
        others = [name.lower() for name in model.quantizations]
        others.remove(model.default_quantization.lower())
        # The shortest tag is the one people know.
        tag = min(
            (*model.ambiguous_aliases, *model.aliases),
            key=lambda name: (":" not in name, len(name)),
        )
        size = f"{model.parameters / 1e9:.3g} B"
        rows.append((model.name, tag, size, model.default_quantization.lower(), " ".join(others)))
    print("\n".join(aligned(rows, right=(2,))))


def _stored(entry: Entry) -> dict[str, Any]:
    return {
        "reference": entry.manifest.reference,
        "origin": entry.manifest.origin,
        "path": str(entry.first_file),
        "bytes_on_disk": entry.bytes_on_disk,
        "complete": entry.is_complete,
        "pulled": entry.manifest.pulled,
        "files": [file._asdict() for file in entry.manifest.files],
    }


def _known(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "title": model.title,
        "aliases": [*model.aliases, *model.ambiguous_aliases],
        "parameters": model.parameters,
        "context_tokens": model.context_tokens,
        "licence": model.licence,
        "reasoning": model.reasoning,
        "default_quantization": model.default_quantization,
        "quantizations": list(model.quantizations),
        "source": model.source,
    }
