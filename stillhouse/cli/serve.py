"""`still serve`: OpenAI's and Ollama's APIs, metrics and a web page, on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli import options
from stillhouse.cli.auto import AUTO, memory_line, recommended_model
from stillhouse.cli.table import aligned
from stillhouse.errors import UsageError
from stillhouse.units import parse_bytes

if TYPE_CHECKING:
    from stillhouse.server.settings import ServerSettings
    from stillhouse.workers.pool import KnownModel


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Catalogue names or tags, hf:owner/repo, pypi:package, URLs, paths, 'auto'. The"
            " first is loaded now, others when they are asked for.",
        ),
    ],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    users: Annotated[
        int, typer.Option(min=1, help="Whole contexts that the KV cache has room for.")
    ] = 4,
    context: options.Context = None,
    kv_type: options.KVType = options.KVTypeName.BF16,
    threads: options.Threads = None,
    max_memory: options.MaxMemory = None,
    max_queue: Annotated[
        int, typer.Option(min=1, help="Requests that may wait for their first token, per model.")
    ] = 64,
    keep_alive: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Unload a model so long after its last use, as 5m. [default: as memory allows]",
        ),
    ] = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            envvar="STILLHOUSE_API_KEY", metavar="KEY", help="Ask for this key; may be repeated."
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages from here call; may be repeated."),
    ] = None,
    deterministic: options.Deterministic = False,
) -> None:
    """Serve models: OpenAI's and Ollama's APIs, metrics, and a page to chat on."""
    from stillhouse import hub
    from stillhouse.server.openai_fields import keep_alive_s
    from stillhouse.server.serving import serve as run_server
    from stillhouse.server.settings import ServerSettings
    from stillhouse.workers.event_loops import run_in_loop
    from stillhouse.workers.messages import ModelSettings

    if len(set(models)) < len(models):
        raise UsageError("a model is named twice", hint="name each one once")
    settings = ServerSettings(host, port, tuple(api_key or ()), tuple(cors_origin or ()))
    if not settings.is_loopback and not settings.api_keys:
        print(
            f"warning: {host} can be reached from other machines, and no --api-key is set",
            file=sys.stderr,
        )
    max_memory_bytes = None if max_memory is None else parse_bytes(max_memory)
    kept_s = None if keep_alive is None else keep_alive_s(keep_alive)
    if AUTO in models:
        auto, context = recommended_model(context, users)
        models = [auto if model == AUTO else model for model in models]
    with hub.TerminalProgress() as pulling:
        for model in models:
            hub.resolve(model, progress=pulling)
    served = [
        ModelSettings(
            model,
            context_tokens=context,
            kv_type=kv_type.value,
            threads=threads,
            max_memory_bytes=max_memory_bytes,
            users=users,
            deterministic=deterministic,
        )
        for model in models
    ]
    print(f"loading {models[0]}…", file=sys.stderr)
    run_in_loop(
        run_server(
            served,
            settings,
            max_queue=max_queue,
            keep_alive_s=kept_s,
            max_memory_bytes=max_memory_bytes,
            on_ready=lambda known: _tell(settings, known),
        )
    )


def _tell(settings: ServerSettings, known: list[KnownModel]) -> None:
    """Where it listens, what is served, and a line to try."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    rows = []
    for model in known:
        facts = model.facts
        if facts is None:
            rows.append((model.name, "when it is asked for", ""))
        else:
            tokens = f"{facts.context_tokens} tokens of context ({facts.context_reason})"
            rows.append((model.name, tokens, memory_line(facts, facts.memory_bytes)))
    key = ' -H "Authorization: Bearer $STILLHOUSE_API_KEY"' if settings.api_keys else ""
    lines = [
        f"serving on {url}  (page: /, OpenAI: /v1, Ollama: /api, metrics: /metrics)",
        *(f"  {line}" for line in aligned(rows)),
        f"try: curl {url}/v1/chat/completions{key} -d"
        """ '{"messages": [{"role": "user", "content": "How many legs has a spider?"}]}'""",
    ]
    print("\n".join(lines), file=sys.stderr, flush=True)
