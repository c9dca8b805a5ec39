"""The page that a run of `throughput.py` leaves: the machine's limits, and a table under them."""

from __future__ import annotations

from typing import Any


def table(document: dict[str, Any]) -> str:
    """Markdown of a run's document; figures in tok/s, shares of what the machine allows."""
    engines, rows = document["engines"], document["rows"]
    ours = list(rows[0]["ratios"])
    header = ["", *engines, *(_ratio_head(name, ours) for name in ours)]
    lines = [
        f"`{document['model']}` on {document['machine']['cpu']}, {document['threads']} threads; "
        "tok/s of all users together, and the share of what memory or products allow.",
        "",
        _line(header),
        _line(["---"] * len(header)),
        *(_line([_row_head(row), *_cells(row)]) for row in rows),
        "",
        _speeds(rows),
        "",
        *(f"- {name}: {_about(engine)}" for name, engine in engines.items()),
    ]
    return "\n".join(lines) + "\n"


def _ratio_head(name: str, ours: list[str]) -> str:
    return "to the best peer" if len(ours) == 1 else f"{name} to the best peer"


def _row_head(row: dict[str, Any]) -> str:
    rounds = f"{row['rounds']} round" + ("s" if row["rounds"] > 1 else "")
    if row["phase"] == "prefill":
        return f"prefill {row['prompt_tokens']} ({rounds})"
    return f"decode, {row['users']} user" + ("s" if row["users"] > 1 else "") + f" ({rounds})"


def _cells(row: dict[str, Any]) -> list[str]:
    return [*map(_rate, row["results"].values()), *map(_ratio, row["ratios"].values())]


def _rate(result: dict[str, Any]) -> str:
    rate, share = result["tokens_per_s"], result["limit_share"]
    text = f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}"
    return text if share is None else f"{text} ({share:.0%})"


def _ratio(ratio: dict[str, Any] | None) -> str:
    return "" if ratio is None else f"**{ratio['ratio']:.2f}** ({ratio['best_peer']})"


def _speeds(rows: list[dict[str, Any]]) -> str:
    """The machine's speeds as they were while the rows were measured, lowest to highest."""
    parts = []
    for key, unit, what in (
        ("read_bytes_per_s", "GB/s", "memory read"),
        ("int8_operations_per_s", "GOP/s", "int8 products"),
        ("bf16_operations_per_s", "GOP/s", "bf16 products"),
    ):
        values = [row["machine_speeds"][key] for row in rows]
        if None not in values:
            low, high = min(values) / 1e9, max(values) / 1e9
            parts.append(f"{what} {low:.0f} to {high:.0f} {unit}")
    return f"The machine meanwhile: {', '.join(parts)}."


def _about(engine: dict[str, Any]) -> str:
    return (
        f"{engine['version']}, {engine['name']}, {engine['weight_bytes'] / 1e9:.2f} GB of weights "
        f"a step; {engine['build']}"
    )


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
