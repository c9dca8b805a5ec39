"""A plan in the terminal: heading, options in columns, the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.cli.table import aligned
from stillhouse.planner.plan import LADDER, Option
from stillhouse.planner.targets import Target
from stillhouse.planner.workload import Workload
from stillhouse.units import format_bytes, format_rate, format_seconds

_HEAD = (
    "", "MODEL", "QUANT", "VERDICT", "MEMORY", "TOK/S", "LIMIT", "FIRST", "ANSWER AFTER",
    "AIME 24", "MATH-500", "$/1000",
)  # fmt: skip
_RIGHT = (4, 5, 6, 7, 8, 9, 10, 11)


def heading(target: Target, workload: Workload) -> list[str]:
    """Where it would run, and what is asked of it."""
    measured = ", measured now" if target.is_measured else ""
    parts = [f"reads {format_rate(target.read_bytes_per_s)}{measured}"]
    if target.operations_per_s is not None:
        parts.append(f"{target.operations_per_s / 1e12:.3g} TOP/s")
    memory = format_bytes(target.memory_bytes)
    parts.append(f"{target.count} x {memory}" if target.count > 1 else memory)
    if target.ram_bytes is not None:
        parts.append(f"{format_bytes(target.ram_bytes)} beside it")
    asked = "one user" if workload.users == 1 else f"{workload.users} users at the same time"
    lines = [
        f"{target.name}: {', '.join(parts)}",
        f"{asked}: a prompt of {workload.prompt_tokens:,} tokens, a thought of"
        f" {workload.thinking_tokens:,}, an answer of {workload.answer_tokens:,};"
        f" context {workload.context_tokens:,}",
    ]
    notes = [*target.notes, *([target.memory_note] if target.memory_note else [])]
    return lines + [f"note: {note}" for note in notes]


def option_table(options: Sequence[Option], best: Option | None, *, every: bool) -> list[str]:
    """One line an option; the best of each model unless all are wanted."""
    shown = list(options) if every or _is_one_model(options) else _best_of_each(options)
    rows = [_HEAD, *(_row(option, is_best=option is best) for option in shown)]
    lines = aligned(rows, right=_RIGHT)
    reasons = {
        option.model.name: option.placement.reason for option in shown if option.verdict != "fits"
    }
    width = max(map(len, reasons), default=0)
    lines += [""] if reasons else []
    return lines + [f"  {name:{width}}  {reason}" for name, reason in reasons.items()]


def device_table(plans: Sequence[Sequence[Option]], workload: Workload) -> list[str]:
    """Quantisations against systems: tokens a second for each user."""
    quantizations = list(
        dict.fromkeys(
            option.weights.quantization
            for options in plans
            for option in sorted(options, key=lambda one: -one.weights.file_bytes)
            if option.weights.quantization in LADDER or option.weights.is_folder
        )
    )
    names = [options[0].target.name for options in plans]
    rows: list[tuple[str, ...]] = [("SYSTEM", *quantizations)]
    for name, options in zip(names, plans, strict=True):
        by_name = {option.weights.quantization: option for option in options}
        rows.append((name, *(_cell(by_name.get(q)) for q in quantizations)))
    title = f"{plans[0][0].model.title}: tok/s for each of {workload.users}"
    columns = range(1, len(quantizations) + 1)
    return [f"{title}; (n): marginal; -: does not fit", "", *aligned(rows, right=columns), ""]


def explanation(option: Option) -> list[str]:
    """The tree of memory and the steps of the speed, with their formulas."""
    assert option.speed is not None
    lines = [f"{option.weights.title} {option.weights.quantization}: memory", ""]
    lines += [f"  {line}" for line in aligned(option.placement.tree.lines(), right=(1,))]
    lines += ["", "speed", "", *(f"  {step}" for step in option.speed.how)]
    lines += ["", "quality", "", f"  {option.quality.source}"]
    if option.price is not None and option.price.least_usd is not None:
        lines += ["", "cost of 1,000 answers", "", f"  {option.price.how}"]
    return lines


def _row(option: Option, *, is_best: bool) -> tuple[str, ...]:
    pace, price = option.speed, option.price
    cost = None if price is None else price.least_usd
    return (
        "*" if is_best else "",
        option.model.name,
        option.weights.quantization,
        option.verdict.replace("_", " "),
        format_bytes(option.placement.tree.num_bytes),
        "" if pace is None else f"{pace.decode_tokens_per_s:.3g}",
        "" if pace is None else f"{pace.limit_tokens_per_s:.3g}",
        "" if pace is None else format_seconds(pace.ttft_s),
        "" if pace is None else format_seconds(pace.time_to_answer_s),
        _percent(option.quality.aime_2024),
        _percent(option.quality.math_500),
        "" if cost is None else f"{cost:.2f}",
    )


def _cell(option: Option | None) -> str:
    if option is None or option.speed is None:
        return "-"
    text = f"{option.user_tokens_per_s:.3g}"
    return f"({text})" if option.verdict == "marginal" else text


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"


def _is_one_model(options: Sequence[Option]) -> bool:
    return len({option.model.name for option in options}) == 1


def _best_of_each(options: Sequence[Option]) -> list[Option]:
    found: dict[str, Option] = {}
    for option in options:
        found.setdefault(option.model.name, option)
    return list(found.values())
