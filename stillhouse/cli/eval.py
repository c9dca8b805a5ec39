"""`still eval`: correct answers, in process and of any server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse.cli import options
from stillhouse.cli.document import check_writable, whole_document
from stillhouse.cli.terminal import note
from stillhouse.errors import StillhouseError, UsageError
from stillhouse.units import parse_bytes

if TYPE_CHECKING:
    from stillhouse.evals.runs import Target

_INTERRUPTED = 130


def evaluate(
    models: options.Models = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="gsm8k, aime24, math500, gpqa_diamond, mmlu, livecodebench, openllm (six tasks),"
            " gym:chain_sum, ...; a list with commas; may be repeated.",
        ),
    ] = None,
    url: options.Urls = None,
    served: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="What the server of each --url runs, if that is on this machine too: it gives the"
            " bits, and the makers' sampling.",
        ),
    ] = None,
    served_name: options.ServedName = None,
    api_key: options.ClientKey = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Of a server's silence.")
    ] = 600.0,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The task's questions: JSON lines, CSV or Parquet, not the hub."
        ),
    ] = None,
    shots_data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same for its examples.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first questions.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of each question. [default: the task's]")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Every sample's own seed is made of it; also of choices.")
    ] = 0,
    thinking_budget: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Tokens after which a thought is closed, as 256,1024,none: a result for each;"
            " none leaves thoughts to the model.",
        ),
    ] = None,
    think: options.Think = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of thought and answer together. [default: the task's]"),
    ] = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    context: options.Context = None,
    kv_type: options.KVType = options.KVTypeName.BF16,
    threads: options.Threads = None,
    max_memory: options.MaxMemory = None,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="Samples that are asked for at once.")
    ] = 16,
    token_budget: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="TOKENS",
            help="Of each model and thinking budget: once so many are written, no new sample is"
            " asked for.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where every sample is kept, and a run that was stopped goes on. [default: one"
            " for this command, in the cache]",
        ),
    ] = None,
    allow_code: Annotated[
        bool,
        typer.Option("--allow-code", help="Run programs that the model writes, each in a sandbox."),
    ] = False,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL", help="What the others are compared with. [default: the first]"
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option("--with", metavar="DIR", help="An earlier run's folder, shown beside."),
    ] = None,
    save: options.Save = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with plots and samples.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Correct answers: of quantisations, of thinking budgets, with what of it is luck.

    still eval deepseek-r1:1.5b --task gsm8k --limit 200 --samples 4

    still eval qwen2.5-coder:1.5b:q8_0 qwen2.5-coder:1.5b:q4_k_m --task math500 --html eval.html

    still eval deepseek-r1:1.5b --task aime24 --thinking-budget 1024,4096,16384

    still eval --url http://localhost:8080 --task gsm8k --data gsm8k_test.jsonl
    """
    from stillhouse import hub
    from stillhouse.cli import eval_targets
    from stillhouse.cli.eval_report import report
    from stillhouse.cli.eval_run import beside, earlier_runs, run_until_stopped
    from stillhouse.evals.asking import Wishes, check_thoughts
    from stillhouse.evals.comparison import compare_all
    from stillhouse.evals.grading.grader import Graders
    from stillhouse.evals.runs import Results, RunPlan
    from stillhouse.evals.systems import InProcess, LoadSettings

    targets = eval_targets.targets(
        models or [],
        url or [],
        served or [],
        context=context,
        name=served_name,
        api_key=api_key,
        timeout_s=timeout,
    )
    _check(targets, task or [], bool(also))
    for path in (save, html, markdown):
        check_writable(path)
    earlier = earlier_runs(also or [])
    budgets = eval_targets.budgets(thinking_budget)
    tasks = eval_targets.tasks(task or []) if targets else []
    wishes = Wishes(seed, samples, max_tokens, temperature, top_p, think, token_budget)
    check_thoughts(tasks, wishes, budgets)
    graders = Graders(run_code=allow_code)
    for one in tasks:  # before anything is fetched
        if one.grader is not None:
            graders.check(one.grader)
    plan = RunPlan(
        assignments=eval_targets.assignments(
            tasks, data=data, shots_data=shots_data, limit=limit, seed=seed, note=note
        ),
        wishes=wishes,
        budgets=budgets,
        loading=LoadSettings(
            concurrency=concurrency,
            kv_type=kv_type.value,
            threads=threads,
            max_memory_bytes=None if max_memory is None else parse_bytes(max_memory),
        ),
    )
    with hub.TerminalProgress() as pulling:
        for target in targets:
            reference = (
                target.reference if isinstance(target, InProcess) else target.served_reference
            )
            if reference is not None:
                hub.resolve(reference, progress=pulling)
    if folder is None and targets:
        settings = [seed, max_tokens, temperature, top_p, think, context, kv_type.value]
        given = [str(path and path.resolve()) for path in (data, shots_data)]
        folder = eval_targets.default_folder(tasks, targets, [*settings, *given])
    results, failure = Results(), None
    if folder is not None and targets:
        try:
            run_until_stopped(targets, plan, folder, results, graders)
        except StillhouseError as error:
            if not results.results:
                raise
            failure = error  # what the others said by then is told first
    if folder is not None and folder.resolve() in earlier:
        earlier |= earlier_runs([folder])  # it has grown since
    shown = beside(results, earlier, folder)
    comparisons = []
    try:
        comparisons = compare_all(shown.results, baseline)
    except UsageError as error:  # no such baseline: in a run that was cut short it may yet come
        failure = failure or (None if results.is_stopped else error)
    document = whole_document(
        "eval",
        model=models[0] if models and len(targets) == 1 else None,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed if targets else None,
        folder=None if folder is None or not targets else str(folder),
        results=[result.as_json() for result in shown.results],
        comparisons=[one.as_json() for one in comparisons],
        warnings=[f"{label}, {text}" for label, text in shown.warnings],
    )
    report(document, shown, comparisons, save=save, html=html, markdown=markdown, as_json=json)
    if failure is not None:
        raise failure
    if results.is_stopped:
        raise typer.Exit(_INTERRUPTED)
    if results.is_incomplete:
        raise typer.Exit(1)


def _check(targets: Sequence[Target], tasks: Sequence[str], has_earlier: bool) -> None:
    """Raises UsageError where there is nothing to do, or half of what is needed for it."""
    from stillhouse.evals.tasks import task_names

    if not targets and (tasks or not has_earlier):
        raise UsageError(
            "nothing to evaluate", hint="name a model, or a server with --url http://host:port"
        )
    if targets and not tasks:
        raise UsageError(
            "no task to evaluate at", hint="give --task NAME, of " + ", ".join(task_names())
        )
