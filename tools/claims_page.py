"""The page of claims: what others published of fits, speeds and sizes beside our numbers."""

from __future__ import annotations

from collections import Counter

from stillhouse.planner.acceptance import (
    Agreement,
    FitRow,
    SizeRow,
    SpeedRow,
    fit_rows,
    median_error,
    size_rows,
    speed_rows,
)

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""A header, and rows as wide."""


def fits_table() -> Table:
    """Every claim that a model fits somewhere."""
    header = ("claim", "model", "where", "claimed", "arithmetic", "because")
    return header, [_fit(row) for row in fit_rows()]


def fits_summary() -> str:
    counts = Counter(row.agreement for row in fit_rows())
    parts = (f"{counts[name]} {verb}" for name, verb in _AGREEMENTS)
    return f"Of {counts.total()} claims {', '.join(parts)}.\n"


def speeds_table() -> Table:
    """Every published speed, of all users together."""
    header = ("device", "model", "users", "tool", "published", "predicted", "error", "limit", "")
    return header, [_speed(row) for row in speed_rows()]


def speeds_summary() -> str:
    rows = speed_rows()
    error, count = median_error(rows)
    impossible = sum(not row.run.is_possible for row in rows)
    return (
        f"The median error is {error:.1%} over {count} rows that were measured and are possible;"
        f" {impossible} of {len(rows)} published speeds are more than the memory can deliver.\n"
    )


def sizes_table() -> Table:
    """Every stated size of a file."""
    header = ("model", "stated", "predicted", "difference", "")
    return header, [_size(row) for row in size_rows()]


_AGREEMENTS: tuple[tuple[Agreement, str], ...] = (
    ("agrees", "agree"),
    ("agrees in part", "agree in part (for some contexts, settings or files)"),
    ("contradicts", "are contradicted"),
)


def _fit(row: FitRow) -> tuple[str, ...]:
    claim = row.claim
    context = "" if claim.context_tokens is None else f", {claim.context_tokens:,} tokens"
    model = f"{claim.model} {claim.quantization or ''}".strip()
    claimed = claim.verdict.replace("_", " ")
    return (claim.claim, model, row.where + context, claimed, row.agreement, row.reason)


def _speed(row: SpeedRow) -> tuple[str, ...]:
    run = row.run
    low, high = run.row.tokens_per_s_low, run.row.tokens_per_s_high
    published = f"{low:g}" if low == high else f"{low:g}–{high:g}"
    remarks = [] if run.is_possible else ["impossible"]
    remarks += ["an estimate of its publisher"] if run.row.is_estimate else []
    return (
        run.device,
        f"{run.model} {run.quantization}",
        str(run.users),
        run.row.tool or "not said",
        published,
        f"{row.predicted_tokens_per_s:.3g}",
        f"{row.error:+.0%}",
        f"{run.limit_tokens_per_s:.4g}",
        ", ".join(remarks) or "possible",
    )


def _size(row: SizeRow) -> tuple[str, ...]:
    return (
        f"{row.claim.model} {row.claim.quantization}",
        f"{row.claim.size_bytes / 1e9:.4g} GB",
        f"{row.predicted_bytes / 1e9:.4g} GB",
        f"{row.difference:+.1%}",
        row.remark,
    )
