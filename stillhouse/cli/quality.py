"""`still quality`: what quantisations of a model cost, against the model on a text."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli import options
from stillhouse.cli.document import print_document, whole_document, write_whole
from stillhouse.cli.table import aligned
from stillhouse.errors import UsageError
from stillhouse.units import parse_bytes

if TYPE_CHECKING:
    from stillhouse.cli.reading_bar import ReadingBar
    from stillhouse.quantize.quality import Candidate
    from stillhouse.quantize.tensor_errors import TensorError

_WORST = 8  # matrices that the text names of each model; the document has all


def quality(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="What the others were made from: a model.")
    ],
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Its quantisations: files, folders.")
    ],
    text: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What they read: plain text, or .jsonl with texts."),
    ] = None,
    tokens: Annotated[
        int, typer.Option(min=1, metavar="TOKENS", help="At most so many of the text.")
    ] = 8192,
    window: Annotated[
        int, typer.Option(min=8, metavar="TOKENS", help="Read at a time; the second half counts.")
    ] = 512,
    tensors: Annotated[
        bool, typer.Option("--tensors", help="Compare every matrix with the source's too.")
    ] = False,
    speed: Annotated[bool, typer.Option("--speed", help="Measure tokens a second too.")] = False,
    threads: options.Threads = None,
    max_memory: options.MaxMemory = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with a plot.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table as Markdown.")
    ] = None,
    json: options.Json = False,
) -> None:
    """What quantising cost: KL divergence, perplexity, likeliest tokens, against the source.

    still quality model-BF16.gguf model-Q8_0.gguf model-Q4_K_M.gguf --text wiki.txt

    still quality ./model ./model-W4A16 --text notes.txt --tensors --html quality.html
    """
    from stillhouse import hub
    from stillhouse.checkpoints import open_checkpoint
    from stillhouse.cli.reading_bar import ReadingBar
    from stillhouse.hardware import this_machine
    from stillhouse.quantize.quality import Candidate, measure_ladder, text_windows
    from stillhouse.quantize.quality_rows import model_json, result_json
    from stillhouse.quantize.texts import read_text

    if text is None:
        raise UsageError(
            "quality is measured on a text, and none is given",
            hint="--text FILE, as a page that is like what the model is for",
        )
    for file in filter(None, (html, markdown)):
        if not file.absolute().parent.is_dir():
            raise UsageError(f"cannot write {file}: there is no such folder")
    written = read_text(text)
    with hub.TerminalProgress() as pulling:
        paths = [hub.resolve(reference, progress=pulling) for reference in (source, *models)]
    machine = this_machine()
    count = threads or machine.physical_cores
    limit = machine.available_memory_bytes if max_memory is None else parse_bytes(max_memory)
    with ExitStack() as opened:
        first, *others = [
            Candidate(_name(reference), opened.enter_context(open_checkpoint(path)))
            for reference, path in zip((source, *models), paths, strict=True)
        ]
        read = text_windows([first, *others], written, size=window, max_tokens=tokens)
        bar = opened.enter_context(ReadingBar())
        ladder = measure_ladder(
            first,
            others,
            read,
            threads=count,
            memory_bytes=limit,
            with_speed=speed,
            loading=bar.loading,
            progress=bar.reading,
        )
        errors = [_errors(first, other, count, bar) if tensors else None for other in others]
        own = model_json(first, ladder.source_speed)
        results = [result_json(*each) for each in zip(others, ladder.measured, errors, strict=True)]
    document = {
        "source": own,
        "text": {
            "name": text.name,
            "tokens": len(read) * window,
            "window_tokens": window,
            "scored_tokens": ladder.scored_tokens,
        },
        "results": results,
    }
    _report(source, document, html=html, markdown=markdown, as_json=json)


def _errors(
    source: Candidate, other: Candidate, threads: int, bar: ReadingBar
) -> list[TensorError]:
    from stillhouse.quantize.tensor_errors import tensor_errors

    return tensor_errors(
        source.checkpoint, other.checkpoint, threads=threads, progress=bar.comparing
    )


def _report(
    source: str,
    document: dict[str, Any],
    *,
    html: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    from stillhouse.bench.markdown import table
    from stillhouse.quantize.quality_page import page
    from stillhouse.quantize.quality_rows import columns, rows

    own, results = document["source"], document["results"]
    headings, lines = columns(results), rows(own, results)
    right = range(1, len(headings))
    if html is not None:
        write_whole(html, page(whole_document("quality", model=source, **document)))
    if markdown is not None:
        rule = _sentence(document)
        write_whole(markdown, f"{rule}\n\n{table(headings, lines, right=list(right))}\n")
    if as_json:
        print_document("quality", model=source, **document)
        return
    print(_sentence(document))
    print()
    print("\n".join(aligned([[name.upper() for name in headings], *lines], right=right)))
    for result in results:
        if "tensors" in result:
            print(f"\n{result['model']}, the matrices that lost most:")
            print("\n".join(_worst(result["tensors"])))


def _sentence(document: dict[str, Any]) -> str:
    text = document["text"]
    return (
        f"{text['scored_tokens']:,} predictions, of the second half of each {text['window_tokens']}"
        f" tokens of {text['name']}; against {document['source']['model']}, ± one standard error"
    )


def _worst(tensors: list[dict[str, Any]]) -> list[str]:
    shown = [
        (
            f"  {one['name']}",
            one["format_name"],
            f"{one['nmse']:.3g}",
            "–" if one["snr_db"] is None else f"{one['snr_db']:.1f} dB",
        )
        for one in tensors[:_WORST]
    ]
    return aligned([("  MATRIX", "FORMAT", "ERROR²/SIGNAL²", "SNR"), *shown], right=(2, 3))


def _name(reference: str) -> str:
    """A file by its name, without its folder: that says nothing of the model."""
    return Path(reference).name if os.sep in reference or Path(reference).exists() else reference
