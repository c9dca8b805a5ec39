"""`still pull`: fetch a model into the store, or go on where an earlier pull stopped."""

from __future__ import annotations

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.units import format_bytes


def pull(model: options.ModelArgument, json: options.Json = False) -> None:
    """Fetch a model; one that is here already is left alone."""
    from stillhouse import hub
    from stillhouse.errors import UsageError

    reference = hub.parse_reference(model)
    if isinstance(reference, hub.PathReference):
        raise UsageError(
            f"'{model}' is a path, so there is nothing to pull",
            hint="a hub repository is written hf:owner/repo",
        )
    with hub.TerminalProgress() as progress:
        entry = hub.pull(reference, progress=progress)
    if json:
        print_document(
            "pull",
            model=model,
            reference=entry.manifest.reference,
            origin=entry.manifest.origin,
            path=str(entry.first_file),
            files=[file._asdict() for file in entry.manifest.files],
        )
    else:
        print(f"{entry.manifest.reference}: {format_bytes(entry.bytes_on_disk)} in {entry.folder}")
