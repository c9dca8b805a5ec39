"""`still show`: what a model is, by its file and by the catalogue, if it has a name there."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.cli.table import aligned
from stillhouse.units import format_bytes

if TYPE_CHECKING:
    from stillhouse.catalog import Found
    from stillhouse.hub import Reference


def show(model: options.ModelArgument, json: options.Json = False) -> None:
    """Architecture, size, quantisation, context, licence and sampling of a model."""
    from stillhouse import hub

    reference = hub.parse_reference(model)
    path = _path(reference)
    facts = {"reference": reference.text}
    if path is not None:
        facts |= {name: fact for name, fact in _file_facts(path).items() if fact is not None}
    facts |= _catalogue_facts(reference)
    if not isinstance(reference, hub.PathReference) and reference.note is not None:
        print(reference.note, file=sys.stderr)
    if json:
        print_document("show", model=model, pulled=path is not None, **facts)
    else:
        print("\n".join(_lines(facts)))
        if path is None:
            print(f"\nnot on this machine; 'still pull {model}' fetches it")


def _path(reference: Reference) -> Path | None:
    """The file, if it is here. Raises ModelNotFound where there is nothing at all to show."""
    from stillhouse import hub
    from stillhouse.errors import ModelNotFound

    if isinstance(reference, hub.PathReference):
        return hub.resolve(reference.text)
    entry = hub.Store().find(reference.text)
    if entry is not None and entry.is_complete:
        return entry.first_file
    if _found(reference) is None:
        raise ModelNotFound(
            f"{reference.text} is not on this machine", hint=f"'still pull {reference.text}' first"
        )
    return None


def _found(reference: Reference) -> Found | None:
    """The catalogue's entry; only a reference that was a name has no scheme and is no path."""
    from stillhouse import catalog, hub

    if isinstance(reference, hub.PathReference) or reference.text.startswith(
        ("hf:", "pypi:", "http")
    ):
        return None
    return catalog.find(reference.text)


def _catalogue_facts(reference: Reference) -> dict[str, Any]:
    from stillhouse import catalog

    found = _found(reference)
    if found is None:
        return {}
    model = found.model
    return {
        "name": model.title,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "active_parameters": model.active_parameters,
        "context_tokens": model.context_tokens,
        "licence": model.licence,
        "base": model.base,
        "reasoning": model.reasoning,
        "published_bytes": found.size_bytes,
        "quantization": found.quantization,
        "sampling": asdict(catalog.sampling_for(model.title)),
        "source": model.source,
    }


def _file_facts(path: Path) -> dict[str, Any]:
    """What the file says of itself; None where it says nothing."""
    from stillhouse import catalog
    from stillhouse.checkpoints import open_checkpoint

    with open_checkpoint(path) as checkpoint:
        metadata = checkpoint.metadata
        tensors = checkpoint.tensors.values()
        architecture = str(metadata.get("general.architecture", "unknown"))
        name = str(metadata.get("general.name", path.stem))
        counts = Counter(tensor.format_name for tensor in tensors)
        num_bytes: Counter[str] = Counter()
        for tensor in tensors:
            num_bytes[tensor.format_name] += tensor.num_bytes
        return {
            "name": name,
            "path": str(path),
            "architecture": architecture,
            "parameters": sum(prod(tensor.shape) for tensor in tensors),
            "context_tokens": metadata.get(f"{architecture}.context_length"),
            "licence": metadata.get("general.license"),
            "file_bytes": checkpoint.file_bytes,
            "tensors": {
                encoding: {"count": count, "bytes": num_bytes[encoding]}
                for encoding, count in counts.most_common()
            },
            "chat_template": "tokenizer.chat_template" in metadata,
            "sampling": asdict(catalog.sampling_for(f"{name} {path.stem}")),
        }


def _lines(facts: dict[str, Any]) -> list[str]:
    sampling = facts["sampling"]
    drawn = f"temperature {sampling['temperature']}, top-p {sampling['top_p']}"
    if sampling["top_k"]:
        drawn += f", top-k {sampling['top_k']}"
    tensors = [
        f"{part['count']} × {encoding} ({format_bytes(part['bytes'])})"
        for encoding, part in facts.get("tensors", {}).items()
    ]
    parameters = f"{facts['parameters'] / 1e9:.3g} B"
    active = facts.get("active_parameters", facts["parameters"])
    if active < facts["parameters"]:
        parameters += f", {active / 1e9:.3g} B of them for one token"
    size_bytes = facts.get("file_bytes", facts.get("published_bytes"))
    rows = [
        ("model", facts["name"]),
        ("reference", facts["reference"]),
        ("file", facts.get("path")),
        ("size", format_bytes(size_bytes) if size_bytes else None),
        ("architecture", facts["architecture"]),
        ("parameters", parameters),
        ("quantisation", facts.get("quantization")),
        ("tensors", ", ".join(tensors)),
        ("context", f"{facts['context_tokens']} tokens" if facts.get("context_tokens") else None),
        ("licence", facts.get("licence")),
        ("base", facts.get("base")),
        ("reasoning", {True: "yes", False: "no"}.get(facts.get("reasoning", ""))),
        ("chat template", {True: "yes", False: "no"}.get(facts.get("chat_template", ""))),
        ("sampling", f"{drawn} ({sampling['source']})"),
        ("source", facts.get("source")),
    ]
    return aligned([(label, fact) for label, fact in rows if fact])
