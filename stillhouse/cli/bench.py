"""`still bench`: quantisations x users, in process and against any server."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli import options
from stillhouse.cli.document import check_writable, whole_document
from stillhouse.errors import StillhouseError
from stillhouse.units import parse_bytes

if TYPE_CHECKING:
    from stillhouse.questions import ChatOptions

_INTERRUPTED = 130
_SLACK_TOKENS = 64  # for a template, and for a count of words that is a little off


class SweepName(StrEnum):
    """What the largest value is looked for of."""

    USERS = "users"
    CONTEXT = "context"


def bench(
    models: options.Models = None,
    url: options.Urls = None,
    served: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="What the server of each --url runs, if that is on this machine too: it gives the"
            " roofline.",
        ),
    ] = None,
    served_name: options.ServedName = None,
    api_key: options.ClientKey = None,
    users: Annotated[
        str, typer.Option(metavar="LIST", help="Users who ask again once answered, as 1,4,16.")
    ] = "1,4,16",
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Requests a second that arrive at random, as 0.5,1; not --users."
        ),
    ] = None,
    burstiness: Annotated[
        float, typer.Option(min=0.01, help="Of arrivals: 1 is Poisson, less comes in bursts.")
    ] = 1.0,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Of each cell. [default: 2 a user, 4 at least]")
    ] = None,
    workload: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="short, chat, rag, reasoning, ...; 'all' of them; may be repeated."
        ),
    ] = None,
    prompt_tokens: Annotated[int | None, typer.Option(min=1, metavar="TOKENS")] = None,
    output_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="Thought and answer together.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Own prompts, one a line or JSON lines, not words."),
    ] = None,
    natural: Annotated[
        bool, typer.Option("--natural", help="End where the model ends, at --output-tokens.")
    ] = False,
    slo: Annotated[
        str | None,
        typer.Option(
            metavar="LIMITS",
            help="What counts as good: ttft, ttfat, tpot, e2e. [default: ttft:5s,tpot:200ms]",
        ),
    ] = None,
    sweep: Annotated[
        SweepName | None,
        typer.Option(help="Find the most users, or the longest prompt, that keep the limits."),
    ] = None,
    most_users: Annotated[int, typer.Option(min=1, help="Where a sweep of users ends.")] = 64,
    temperature: options.Temperature = None,
    think: options.Think = None,
    thinking_budget: options.ThinkingBudget = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of prompts and arrivals: the same ones again, which a server may have kept."
            " [default: new ones]",
        ),
    ] = None,
    context: options.Context = None,
    kv_type: options.KVType = options.KVTypeName.BF16,
    threads: options.Threads = None,
    max_memory: options.MaxMemory = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Of a server's silence.")
    ] = 300.0,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="FILE", help="An earlier run's document, shown beside; or alone."
        ),
    ] = None,
    save: options.Save = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with plots.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table as Markdown.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Quantisations x users: speed, waiting, memory, failures, share of the hardware's limit.

    still bench deepseek-r1:1.5b --users 1,4,16 --html bench.html

    still bench --url http://localhost:8000 --workload reasoning --natural --prompts questions.jsonl

    still bench deepseek-r1:1.5b --sweep users --slo ttft:2s,tpot:100ms
    """
    from stillhouse import hub
    from stillhouse.bench.document import read_document
    from stillhouse.bench.prompts import Synthetic, read_prompts
    from stillhouse.bench.runs import InProcess, Results, RunPlan
    from stillhouse.bench.session import Settings
    from stillhouse.bench.slo import DEFAULT, Slo
    from stillhouse.bench.systems import LoadSettings
    from stillhouse.cli import bench_load
    from stillhouse.cli.bench_run import report, run_until_stopped

    for path in (save, html, markdown):
        check_writable(path)
    earlier = [read_document(path) for path in also or []]
    targets = bench_load.targets(
        models or [],
        url or [],
        served or [],
        name=served_name,
        api_key=api_key,
        timeout_s=timeout,
        may_be_none=bool(earlier),
    )
    workloads = bench_load.workloads(workload or [], prompt_tokens, output_tokens)
    counts = bench_load.counts(users)
    rates = () if rate is None else bench_load.rates(rate)
    by_context = sweep is SweepName.CONTEXT
    at_once = 1 if by_context else most_users if sweep else max(counts)
    chat: ChatOptions = {}  # None would overrule what a workload asks for
    if temperature is not None:
        chat["temperature"] = temperature
    if think is not None:
        chat["think"] = think
    if thinking_budget is not None:
        chat["thinking_budget"] = thinking_budget
    if context is None and prompts is None and not by_context:
        context = max(one.prompt_tokens + one.output_tokens for one in workloads) + _SLACK_TOKENS
    if seed is None:
        seed = secrets.randbelow(2**31)
    plan = RunPlan(
        workloads=workloads,
        users=() if rates else counts,
        rates_per_s=rates,
        requests=requests,
        burstiness=burstiness,
        sweep=None if sweep is None else sweep.value,
        most_users=most_users,
        settings=Settings(
            slo=Slo.parse(slo or DEFAULT),
            prompts=Synthetic(seed) if prompts is None else read_prompts(prompts),
            options=chat,
            is_fixed=not natural,
            warm_up_users=at_once,
            seed=seed,
        ),
        loading=LoadSettings(
            users=at_once,
            context_tokens=context,
            kv_type=kv_type.value,
            threads=threads,
            max_memory_bytes=None if max_memory is None else parse_bytes(max_memory),
        ),
    )
    with hub.TerminalProgress() as pulling:
        for target in targets:
            if isinstance(target, InProcess):
                hub.resolve(target.reference, progress=pulling)
    results, failure = Results(), None
    try:
        run_until_stopped(targets, plan, results)
    except StillhouseError as error:
        if not results.cells:
            raise
        failure = error  # what was measured by then is told first
    document = whole_document(
        "bench",
        model=models[0] if models and len(targets) == 1 else None,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        slo=plan.settings.slo.as_json(),
        seed=seed,
        **results.as_json(),
    )
    if not targets:  # what is shown was measured then and there
        names = ("stillhouse", "commit", "machine", "date")
        document |= {name: getattr(earlier[0], name) for name in names}
    report(
        document,
        results,
        earlier,
        slo=plan.settings.slo,
        save=save,
        html=html,
        markdown=markdown,
        as_json=json,
    )
    if failure is not None:
        raise failure
    if results.is_stopped:
        raise typer.Exit(_INTERRUPTED)
    if any(cell.errors for cell in results.cells):
        raise typer.Exit(1)
