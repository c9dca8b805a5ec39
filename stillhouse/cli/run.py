"""`still run`: one answer to a prompt, or a chat.

The answer goes to stdout; the thought, progress and the closing line go to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli import options
from stillhouse.cli.answer import note_figures, show_reply
from stillhouse.cli.auto import AUTO, memory_line, recommended_model
from stillhouse.cli.chat import chat
from stillhouse.cli.document import print_document
from stillhouse.cli.terminal import StageLine, note
from stillhouse.errors import UsageError
from stillhouse.units import parse_bytes

if TYPE_CHECKING:
    from stillhouse.llm import Reply
    from stillhouse.text import Message

_INTERRUPTED = 130


def run(
    model: options.RunnableModelArgument,
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
    deterministic: options.Deterministic = False,
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

    import psutil

    from stillhouse import hub
    from stillhouse.llm import LLM
    from stillhouse.text import Message

    if model == AUTO:
        model, context = recommended_model(context, users=1)
    with hub.TerminalProgress() as pulling:
        hub.resolve(model, progress=pulling)
    stages = StageLine()
    llm = LLM(
        model,
        context_tokens=context,
        kv_type=kv_type.value,
        threads=threads,
        max_memory_bytes=max_memory_bytes,
        deterministic=deterministic,
        progress=stages,
    )
    stages.clear()
    if not json:
        note(memory_line(llm.facts, psutil.Process().memory_info().rss))

    def answer(messages: Sequence[Message]) -> Reply:
        stream = llm.chat(
            messages,
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
        reply = show_reply(stream, thoughts=not (hide_thoughts or json), answers=not json)
        reply = llm.with_bandwidth_share(reply)
        if not json:
            note_figures(reply)
        return reply

    with llm:
        opening = [] if system is None else [Message("system", system)]
        if prompt is None:
            chat(answer, opening)
            return
        reply = answer([*opening, Message("user", prompt)])
    if json:
        print_document("run", model=model, **reply.as_json())
    if reply.finish_reason == "cancelled":
        raise typer.Exit(_INTERRUPTED)
