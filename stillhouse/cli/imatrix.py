"""`still imatrix`: which columns of a model's matrices matter, collected from what it reads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.cli import options
from stillhouse.cli.document import print_document
from stillhouse.errors import UsageError
from stillhouse.units import format_seconds


def imatrix(
    model: options.ModelArgument,
    target: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What to write: GGUF; llama.cpp's older form: .dat."),
    ],
    text: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What it reads: plain text, or .jsonl with texts."),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Or: it answers these, and reads its own thoughts and answers."
        ),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="At most so many of the text.")
    ] = None,
    window: Annotated[int, typer.Option(min=8, metavar="TOKENS", help="Read at a time.")] = 512,
    max_tokens: options.MaxTokens = 512,
    seed: options.Seed = 0,
    threads: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Collect an importance matrix, for 'still quantize --imatrix' and for llama-quantize.

    still imatrix smollm2:135m smollm2.imatrix.gguf --text wiki.txt

    still imatrix deepseek-r1:1.5b thoughts.gguf --prompts questions.jsonl --max-tokens 1024
    """
    from stillhouse import hub
    from stillhouse.checkpoints import open_checkpoint
    from stillhouse.cli.own_replies import own_replies
    from stillhouse.cli.reading_bar import ReadingBar
    from stillhouse.hardware import this_machine
    from stillhouse.quantize.imatrix_files import write_imatrix
    from stillhouse.quantize.importance_measurement import measure_importance
    from stillhouse.quantize.texts import read_text

    if (text is None) == (prompts is None):
        raise UsageError(
            "an importance matrix is collected from a text or from replies to prompts",
            hint="give --text FILE or --prompts FILE",
        )
    if not target.absolute().parent.is_dir():
        raise UsageError(f"cannot write {target}: there is no such folder")
    began_at = time.monotonic()
    with hub.TerminalProgress() as pulling:
        path = hub.resolve(model, progress=pulling)
    count = threads or this_machine().physical_cores
    with ReadingBar() as bar:
        if text is not None:
            name, read = text.name, read_text(text)
        else:
            assert prompts is not None
            name = f"replies to {prompts.name}"
            read = own_replies(
                str(path),
                prompts,
                max_tokens=max_tokens,
                seed=seed,
                threads=count,
                loading=bar.loading,
                progress=bar.writing,
            )
        with open_checkpoint(path) as checkpoint:
            matrix = measure_importance(
                checkpoint,
                read,
                name=name,
                threads=count,
                window=window,
                max_tokens=tokens,
                loading=bar.loading,
                progress=bar.reading,
            )
    write_imatrix(target, matrix)
    duration_s = time.monotonic() - began_at
    num_tokens = matrix.num_windows * window
    if json:
        print_document(
            "imatrix",
            model=model,
            path=str(target),
            matrices=len(matrix.inputs),
            text={"name": name, "tokens": num_tokens, "window_tokens": window},
            duration_s=duration_s,
        )
        return
    print(
        f"{target}: {len(matrix.inputs)} matrices, from {num_tokens:,} tokens of {name},"
        f" in {format_seconds(duration_s)}"
    )
