"""`still quantize` where the recipe makes a folder of safetensors, for vLLM and transformers."""

from __future__ import annotations

import json as json_text
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stillhouse.cli.document import print_document
from stillhouse.cli.terminal import StageLine, note
from stillhouse.quantize.folder_schemes import SCHEMES, FolderScheme, folder_scheme
from stillhouse.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from stillhouse.checkpoints import MetaValue
    from stillhouse.quantize.compressed import Windows

_INTERRUPTED = 130
SAMPLES, SAMPLE_TOKENS = 128, 512
"""Enough for the Hessians of models of a few billion weights: minutes to hours on two cores."""


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """What the command line says of a folder's recipe.

    Attributes:
        text: what GPTQ and SmoothQuant look at; None for recipes that need none.
        samples, tokens: how much of the text: so many pieces, of so many tokens each.
        group: columns that share a scale, None for the recipe's own.
    """

    text: Path | None = None
    samples: int = SAMPLES
    tokens: int = SAMPLE_TOKENS
    group: int | None = None


def makes_folder(recipe: str, target: Path) -> bool:
    """Whether this recipe, with this name to write to, makes a folder rather than a GGUF file."""
    return recipe in SCHEMES and target.suffix.lower() != ".gguf"


def quantize_folder(
    source: str, target: Path, recipe: str, options: FolderOptions, *, json: bool
) -> None:
    """Write the folder. Raises the errors of `make_folder`."""
    from stillhouse import hub
    from stillhouse.quantize.compressed import make_folder
    from stillhouse.quantize.source import open_source

    scheme = folder_scheme(recipe, group_columns=options.group)
    with hub.TerminalProgress() as pulling:
        path = hub.resolve(source, progress=pulling)
    opened = open_source(path)
    line, started_s = StageLine(), time.perf_counter()
    with opened.checkpoint as checkpoint:
        windows = _windows(scheme, options, checkpoint.metadata)
        source_bytes = sum(tensor.num_bytes for tensor in checkpoint.tensors.values())
        try:
            make_folder(
                checkpoint,
                target,
                scheme,
                windows=windows,
                identity=json_text.dumps(opened.identity()),
                progress=lambda done, total: line("layers", done, total),
            )
        except KeyboardInterrupt:
            line.clear()
            note("stopped; the same command goes on from here")
            raise typer.Exit(_INTERRUPTED) from None
    line.clear()
    duration_s = time.perf_counter() - started_s
    file_bytes = sum(file.stat().st_size for file in target.glob("*.safetensors"))
    if json:
        print_document(
            "quantize",
            model=source,
            path=str(target),
            recipe=recipe,
            dry_run=False,
            file_bytes=file_bytes,
            source_bytes=source_bytes,
            duration_s=duration_s,
        )
        return
    print(f"{target}: {format_bytes(file_bytes)}, {recipe}, {format_seconds(duration_s)}")


def _windows(
    scheme: FolderScheme, options: FolderOptions, metadata: Mapping[str, MetaValue]
) -> Windows | None:
    """The pieces of text that the recipe looks at, and a line that says how much that is."""
    import numpy as np

    from stillhouse.quantize.texts import read_text, windows
    from stillhouse.text import Tokenizer

    if not scheme.needs_text or options.text is None:
        return None
    tokenizer = Tokenizer.from_metadata(metadata)
    ids = tokenizer.encode(read_text(options.text))
    begin = tokenizer.bos_id if tokenizer.add_bos else None
    found = windows(ids, size=options.tokens, bos_id=begin)
    used = found[: options.samples]
    asked = "" if len(used) == options.samples else f" (of {options.samples}: it has no more)"
    note(f"calibrating with {len(used)} pieces{asked} of {options.tokens} tokens of {options.text}")
    return np.stack(used)
