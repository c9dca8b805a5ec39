"""`still quantize`: a model in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli import options
from stillhouse.errors import UsageError


def quantize(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="A model: a name or tag, a GGUF file, a folder of safetensors."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="DST", help="The GGUF file, or the folder, to write.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="For a GGUF file q4_k_m, q8_0, iq4_xs, bf16, ..., a FILE.toml, or dynamic with"
            " --size; for a folder fp8, w8a8, w4a16, bf16.",
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Of the file, at most, as 900MB: dynamic chooses the formats."
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What shows which weights matter: plain text, or .jsonl with texts. GPTQ needs"
            " one, and formats of about two bits.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Or: the model answers these, and its own thoughts are the text."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pieces of the text that are read, at most.")
    ] = 128,
    sample_tokens: Annotated[
        int, typer.Option(min=8, metavar="TOKENS", help="Tokens of each piece.")
    ] = 512,
    imatrix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="An importance matrix of `still imatrix` or llama-imatrix."
        ),
    ] = None,
    group: Annotated[
        int | None,
        typer.Option(min=1, metavar="COLUMNS", help="w4a16: columns that share a scale, not 128."),
    ] = None,
    threads: options.Threads = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Write a model in the formats of a recipe. A run that was stopped goes on where it was.

    still quantize ./Qwen3-0.6B qwen3-q4.gguf --recipe q4_k_m

    still quantize model-f16.gguf model-iq2.gguf --recipe iq2_xxs --text notes.txt

    still quantize model-f16.gguf model.gguf --recipe dynamic --size 0.9GB --text notes.txt

    still quantize deepseek-r1:1.5b:bf16 r1-w4a16 --recipe w4a16 --prompts questions.jsonl
    """
    from stillhouse.cli import quantize_folder, quantize_gguf
    from stillhouse.cli.quantize_text import TextOptions

    read = TextOptions(text, prompts, samples, sample_tokens)
    read.check()
    if quantize_folder.makes_folder(recipe, target):
        given = {
            "--imatrix": imatrix is not None,
            "--size": size is not None,
            "--threads": threads is not None,
            "--dry-run": dry_run,
            "--force": force,
        }
        for name in (name for name, is_given in given.items() if is_given):
            raise UsageError(f"{name} is of GGUF files, and {recipe} makes a folder")
        quantize_folder.quantize_folder(source, target, recipe, read, group=group, json=json)
        return
    if group is not None:
        raise UsageError(f"--group is of w4a16, and {recipe} has groups of its own")
    importance = quantize_gguf.ImportanceOptions(read, imatrix)
    quantize_gguf.quantize_gguf(
        source,
        target,
        recipe,
        importance,
        size=size,
        threads=threads,
        dry_run=dry_run,
        force=force,
        json=json,
    )
