"""`still quantize` where the recipe makes a folder of safetensors, for vLLM and transformers."""

from __future__ import annotations

import json as json_text
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stillhouse.cli.document import print_document
from stillhouse.cli.quantize_text import TextOptions
from stillhouse.cli.terminal import StageLine, note
from stillhouse.quantize.folder_schemes import SCHEMES, FolderScheme, folder_scheme
from stillhouse.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from stillhouse.checkpoints import MetaValue
    from stillhouse.quantize.compressed import Windows


_INTERRUPTED = 130


def makes_folder(recipe: str, target: Path) -> bool:
    """Whether this recipe, with this name to write to, makes a folder rather than a GGUF file."""
    return recipe.lower() in SCHEMES and target.suffix.lower() != ".gguf"


def quantize_folder(
    source: str, target: Path, recipe: str, text: TextOptions, *, group: int | None, json: bool
) -> None:
    """Write the folder; `group` columns share a scale, None for the recipe's own number.

    Raises the errors of `make_folder`.
    """
    from stillhouse import hub
    from stillhouse.quantize.compressed import make_folder
    from stillhouse.quantize.source import open_source

    scheme = folder_scheme(recipe.lower(), group_columns=group)
    with hub.TerminalProgress() as pulling:
        path = hub.resolve(source, progress=pulling)
    opened = open_source(path)
    line, started_s = StageLine(), time.perf_counter()
    with opened.checkpoint as checkpoint:
        windows = _windows(scheme, text, source, checkpoint.metadata)
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
    scheme: FolderScheme, options: TextOptions, reference: str, metadata: Mapping[str, MetaValue]
) -> Windows | None:
    """The pieces of text that the recipe looks at, and a line that says how much that is."""
    import numpy as np

    from stillhouse.cli.reading_bar import ReadingBar
    from stillhouse.hardware import this_machine
    from stillhouse.quantize.texts import windows
    from stillhouse.text import Tokenizer

    if not scheme.needs_text or not options.is_given:
        return None
    tokenizer = Tokenizer.from_metadata(metadata)
    with ReadingBar() as bar:
        text = options.read(reference, threads=this_machine().physical_cores, bar=bar)
    ids = tokenizer.encode(text)
    begin = tokenizer.bos_id if tokenizer.add_bos else None
    size = options.sample_tokens
    used = windows(ids, size=size, bos_id=begin)[: options.samples]
    asked = "" if len(used) == options.samples else f" (of {options.samples}: it has no more)"
    note(f"calibrating with {len(used)} pieces{asked} of {size} tokens of {options.name}")
    return np.stack(used)
