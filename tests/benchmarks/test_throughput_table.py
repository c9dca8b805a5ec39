"""The table says what was measured, and under which limits."""

from __future__ import annotations

from typing import Any

from throughput_table import table


def result(rate: float, share: float | None) -> dict[str, Any]:
    return {"tokens_per_s": rate, "limit_share": share}


def document(share: float | None = 0.5) -> dict[str, Any]:
    engine = {"version": "1.0", "name": "GGUF", "weight_bytes": 980_000_000, "build": "built"}
    speeds = {
        "read_bytes_per_s": 33e9,
        "int8_operations_per_s": 900e9,
        "bf16_operations_per_s": None,
    }
    return {
        "model": "qwen2.5-coder:1.5b",
        "machine": {"cpu": "a processor"},
        "threads": 2,
        "engines": {"stillhouse": engine, "peer": engine},
        "rows": [
            {
                "phase": "decode",
                "users": 8,
                "rounds": 3,
                "machine_speeds": speeds,
                "results": {"stillhouse": result(123.4, share), "peer": result(61.7, None)},
                "ratios": {"stillhouse": {"best_peer": "peer", "ratio": 2.0}},
            }
        ],
    }


def test_a_cell_has_the_speed_and_the_share_of_the_limit() -> None:
    assert "| decode, 8 users (3 rounds) | 123 (50%) | 61.7 | **2.00** (peer) |" in table(
        document()
    )


def test_a_share_of_an_unknown_limit_is_left_out() -> None:
    assert "| 123 | 61.7 |" in table(document(share=None))
    assert "bf16 products" not in table(document())
    assert "int8 products 900 to 900 GOP/s" in table(document())
