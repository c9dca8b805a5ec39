"""`still run`: one answer to a prompt, or a chat.

The answer goes to stdout; the thought, progress and the closing line go to stderr.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli import options
from stillhouse.cli.answer import note_figures, show_reply
from stillhouse.cli.chat import chat
from stillhouse.cli.document import print_document
from stillhouse.cli.terminal import StageLine
from stillhouse.errors import UsageError
from stillhouse.units import parse_bytes

if TYPE_CHECKING:
    from stillhouse.cli.answer import Shown

_INTERRUPTED = 130


def run(
    model: options.ModelArgument,
    prompt: Annotated[
        str | None,
        typer.Argument(help="What to answer; without it a chat, or what is piped in."),
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A system message to begin with.")
    ] = None,
    think: options.Think = None,
    thinking_budget: options.ThinkingBudget = None,
    hide_thoughts: Annotated[
        bool, typer.Option("--hide-thoughts", help="Show the answer alone.")
    ] = False,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    top_k: options.TopK = None,
    min_p: options.MinP = None,
    seed: options.Seed = None,
    max_tokens: options.MaxTokens = None,
    stop: options.Stop = None,
    context: options.Context = None,
    kv_type: options.KVType = options.KVTypeName.BF16,
    threads: options.Threads = None,
    max_memory: options.MaxMemory = None,
    json: options.Json = False,
) -> None:
    """One answer to PROMPT, or a chat."""
    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read()
        if not prompt.strip():
            raise UsageError("there is no prompt", hint="still run MODEL 'a question'")
    if prompt is None and json:
        raise UsageError("--json needs a prompt", hint="still run MODEL 'a question' --json")
    max_memory_bytes = None if max_memory is None else parse_bytes(max_memory)

    from stillhouse import hub
    from stillhouse.hub.progress import TerminalProgress
    from stillhouse.llm import LLM
    from stillhouse.text import Message

    with TerminalProgress() as pulling:
        hub.resolve(model, progress=pulling)
    stages = StageLine()
    llm = LLM(
        model,
        context_tokens=context,
        kv_type=kv_type.value,
        threads=threads,
        max_memory_bytes=max_memory_bytes,
        progress=stages,
    )
    stages.clear()
    with llm:
        ask = partial(
            llm.chat,
            stream=True,
            think=think,
            thinking_budget=thinking_budget,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            min_p=min_p,
            seed=seed,
            max_tokens=max_tokens,
            stop=tuple(stop or ()),
        )
        opening = [] if system is None else [Message("system", system)]
        if prompt is None:
            chat(ask, opening, thoughts=not hide_thoughts)
            return
        shown = show_reply(
            ask([*opening, Message("user", prompt)]),
            thoughts=not hide_thoughts and not json,
            answers=not json,
        )
    if json:
        _print_json(model, shown)
    else:
        note_figures(shown.reply)
    if shown.reply is None:
        raise typer.Exit(_INTERRUPTED)


def _print_json(model: str, shown: Shown) -> None:
    """The reply's document; of a stopped one the texts so far, and no figures."""
    reply = shown.reply
    print_document(
        "run",
        model=model,
        reasoning=shown.reasoning,
        answer=shown.answer,
        finish_reason="cancelled" if reply is None else reply.finish_reason,
        thinking_end="client" if reply is None else reply.thinking_end,
        usage=None if reply is None else asdict(reply.usage),
        timings=None if reply is None else asdict(reply.timings),
    )
