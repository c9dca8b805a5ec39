"""A run of planner.py for people: a line for each cell, and a table for the documentation."""

from __future__ import annotations

from statistics import median
from typing import Any


def line(cell: dict[str, Any]) -> str:
    parts = [f"{cell['model']:20} {cell['context_tokens']:5} x {cell['users']:2}"]
    for name in cell["errors"]:
        measured, predicted = cell["measured"][name], cell["predicted"][name]
        scale = 1e9 if name.endswith("_bytes") else 1
        parts.append(
            f"{name.partition('_')[0]} {measured / scale:7.4g} ({predicted / scale:7.4g},"
            f" {cell['errors'][name]:+4.0%})"
        )
    parts.append(f"{cell['read_bytes_per_s'] / 1e9:.1f} GB/s")
    return "  ".join(parts)


def markdown(cells: list[dict[str, Any]]) -> str:
    """For docs/concepts/planning.md."""
    rows = ["| model | context x users | memory, GB | decode, tok/s | prompt, tok/s | answer, s |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for cell in cells:
        parts = []
        for name in ("memory_bytes", "decode_tokens_per_s", "prefill_tokens_per_s",
                     "time_to_answer_s"):  # fmt: skip
            scale = 1e9 if name == "memory_bytes" else 1
            measured, predicted = cell["measured"][name] / scale, cell["predicted"][name] / scale
            parts.append(f"{measured:.4g} / {predicted:.4g} ({cell['errors'][name]:+.0%})")
        size = f"{cell['context_tokens']} x {cell['users']}"
        rows.append(f"| `{cell['model']}` | {size} | {' | '.join(parts)} |")
    told = []
    for name in cells[0]["errors"]:
        errors = [abs(cell["errors"][name]) for cell in cells]
        told.append(f"{name} {median(errors):.1%} (worst {max(errors):.1%})")
    closing = "Measured / predicted (error). Median errors: " + ", ".join(told) + "."
    return "\n".join(rows) + f"\n\n{closing}\n"
