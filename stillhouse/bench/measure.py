"""What a cell says of the requests that ended in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from stillhouse.bench import roofline
from stillhouse.bench.load import Load, Outcome
from stillhouse.bench.records import Cell, RequestRecord
from stillhouse.bench.roofline import Format, Speeds, TokenCounts
from stillhouse.bench.slo import Slo
from stillhouse.bench.statistics import spread_of
from stillhouse.catalog import Shape, recovery_for

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What is measured: a model in an engine. `form` is what its steps read, where that is known;
    else `no_roofline` says why there is no limit to compare with.
    """

    engine: str
    version: str | None
    url: str | None
    model: str
    quantization: str | None
    parameters: int | None = None
    form: tuple[Shape, Format] | None = None
    no_roofline: str = "nobody has said what it reads"


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a cell was measured."""

    workload: str
    load: Load
    slo: Slo
    prompt_tokens: int | None  # asked for; None: as the prompts are
    output_tokens: int | None  # of every request; None: natural lengths, up to `max_tokens`
    speeds: Speeds | None = None  # of this machine; None: it runs elsewhere
    peak_memory_bytes: int | None = None
    single_tokens_per_s: float | None = field(default=None)  # of one user, the same otherwise


def cell_of(system: SystemFacts, conditions: Conditions, outcome: Outcome) -> Cell:
    """Every figure of the cell. Failed requests are counted, and are part of nothing else."""
    load = conditions.load
    records = sorted((one.record for one in outcome.observed), key=lambda record: record.number)
    done = [record for record in records if record.error is None]
    failed = [record for record in records if record.error is not None]
    gaps_s = [gap for one in outcome.observed if one.record.error is None for gap in one.gaps_s]
    duration_s = outcome.duration_s
    output_tokens = sum(record.output_tokens for record in done)
    prompt_tokens = sum(record.prompt_tokens for record in done)
    output_rate = _over(output_tokens, duration_s)
    kept = sum(map(conditions.slo.is_kept, records))
    tpot_s = spread_of([r.tpot_s for r in done if r.tpot_s is not None])
    least_s, how = _least(system, conditions, done)
    recovery = None
    if system.quantization is not None and system.parameters is not None:
        recovery = recovery_for(system.quantization, system.parameters)
    single = conditions.single_tokens_per_s
    return Cell(
        engine=system.engine,
        url=system.url,
        model=system.model,
        quantization=system.quantization,
        workload=conditions.workload,
        loop="open" if load.users is None else "closed",
        users=load.users,
        rate_per_s=load.rate_per_s,
        prompt_tokens=conditions.prompt_tokens,
        output_tokens=conditions.output_tokens,
        requests=len(done),
        duration_s=duration_s,
        requests_per_s=_over(len(done), duration_s),
        output_tokens_per_s=output_rate,
        total_tokens_per_s=_over(output_tokens + prompt_tokens, duration_s),
        user_tokens_per_s=None if tpot_s is None or not tpot_s.p50 else 1 / tpot_s.p50,
        prefill_tokens_per_s=_prefill_rate(done),
        decode_tokens_per_s=_decode_rate(done),
        ttft_s=spread_of([r.ttft_s for r in done if r.ttft_s is not None]),
        ttfat_s=spread_of([r.ttfat_s for r in done if r.ttfat_s is not None]),
        tpot_s=tpot_s,
        itl_s=spread_of(gaps_s),
        e2e_s=spread_of([r.e2e_s for r in done if r.e2e_s is not None]),
        mean_prompt_tokens=_mean(r.prompt_tokens for r in done),
        mean_reasoning_tokens=_mean(r.reasoning_tokens for r in done),
        mean_answer_tokens=_mean(r.answer_tokens for r in done),
        cached_share=_cached_share(done),
        truncated_share=None
        if conditions.output_tokens is not None
        else _mean(r.finish_reason == "length" for r in done),
        looped_share=_looped_share(system, done),
        short_outputs=sum(r.output_tokens < (conditions.output_tokens or 0) for r in done),
        errors=len(failed),
        error_kinds=dict(Counter(str(r.error) for r in failed)),
        error_examples=_examples(failed),
        goodput_per_s=_over(kept, duration_s) if records else None,
        goodput_share=kept / len(records) if records else None,
        peak_memory_bytes=conditions.peak_memory_bytes,
        roofline_share=least_s / duration_s if least_s and duration_s else None,
        roofline_tokens_per_s=output_tokens / least_s if least_s else None,
        roofline_how=how,
        speedup=None if not single else output_rate / single,
        peak_concurrency=outcome.peak_concurrency,
        counted="chunks" if any(r.counted == "chunks" for r in done) else "usage",
        is_complete=outcome.is_complete,
        request_records=tuple(records),
        quality_recovery=None if recovery is None else recovery.percent / 100,
        quality_source=None if recovery is None else f"{recovery.source}: {recovery.measured_on}",
    )


def union_s(intervals: Iterable[tuple[float, float]]) -> float:
    """Seconds that are in at least one of the (start, end)."""
    total_s, covered_to = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total_s += max(0.0, end - max(start, covered_to))
        covered_to = max(covered_to, end)
    return total_s


def _prefill_rate(done: Sequence[RequestRecord]) -> float | None:
    """Prompt tokens that were computed, over the time in which somebody waited for a first one."""
    waits = [(r.started_s, r.started_s + r.ttft_s) for r in done if r.ttft_s is not None]
    computed = sum(r.prompt_tokens - (r.cached_tokens or 0) for r in done)
    return _over(computed, union_s(waits)) or None


def _decode_rate(done: Sequence[RequestRecord]) -> float | None:
    """Tokens after each request's first, over the time in which somebody was past it."""
    writing = [
        (r.started_s + r.ttft_s, r.started_s + r.e2e_s)
        for r in done
        if r.ttft_s is not None and r.e2e_s is not None
    ]
    tokens = sum(max(0, r.output_tokens - 1) for r in done)
    return _over(tokens, union_s(writing)) or None


def _least(
    system: SystemFacts, conditions: Conditions, done: Sequence[RequestRecord]
) -> tuple[float | None, str | None]:
    """Seconds at this machine's limit, and how they come about or why they are not known."""
    speeds, load = conditions.speeds, conditions.load
    if system.form is None:
        return None, system.no_roofline
    if speeds is None:
        return None, "it does not run on this machine, whose limits are known"
    if load.users is None:
        return None, "in an open loop the load sets the pace, not the machine"
    shape, form = system.form
    counts = [
        TokenCounts(r.prompt_tokens, r.prompt_tokens - (r.cached_tokens or 0), r.output_tokens)
        for r in done
    ]
    least_s = roofline.least_s(shape, form, speeds, load.users, counts)
    operations = speeds.operations_per_s(form.numbers)
    if least_s is None or operations is None:
        return None, f"how many {form.numbers} products this machine makes is not known"
    how = (
        f"{form.weight_bytes / 1e9:.3f} GB of weights a step and {form.kv_type} KV at"
        f" {speeds.read_bytes_per_s / 1e9:.1f} GB/s, {form.numbers} products at"
        f" {operations / 1e9:.0f} GOP/s, both measured beside it: {least_s:.2f} s for what took"
    )
    return least_s, how


def _looped_share(system: SystemFacts, done: Sequence[RequestRecord]) -> float | None:
    """Only this engine says so; None for others."""
    if system.engine != "stillhouse":
        return None
    return _mean("loop" in (r.finish_reason, r.thinking_end) for r in done)


def _cached_share(done: Sequence[RequestRecord]) -> float | None:
    known = [r for r in done if r.cached_tokens is not None]
    prompts = sum(r.prompt_tokens for r in known)
    return sum(r.cached_tokens or 0 for r in known) / prompts if prompts else None


def _examples(failed: Sequence[RequestRecord]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(r.message for r in failed if r.message is not None))[:_EXAMPLES]


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return fmean(listed) if listed else None


def _over(amount: float, seconds: float) -> float:
    return amount / seconds if seconds > 0 else 0.0
