"""A sweep finds the largest value that keeps the promises, in few trials."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stillhouse.bench.load import Load, Outcome
from stillhouse.bench.measure import Conditions, SystemFacts, cell_of
from stillhouse.bench.records import Cell
from stillhouse.bench.slo import Slo
from stillhouse.bench.sweep import Sweep, find_knee

SYSTEM = SystemFacts("stillhouse", None, None, "m", "Q4_K_M")
EMPTY = cell_of(SYSTEM, Conditions("short", Load(1, users=1), Slo(), 1, 1), Outcome())


def cell(*, share: float, errors: int = 0) -> Cell:
    return replace(EMPTY, goodput_share=share, errors=errors)


def swept(knee: int, most: int, least: int = 1, step: int = 1) -> Sweep:
    async def measure(value: int) -> Cell:
        return cell(share=1.0 if value <= knee else 0.5)

    sweep, cells = asyncio.run(
        find_knee(
            "users", measure, model="m", workload="short", promise="ttft ≤ 1 s", least=least,
            most=most, step=step,
        )
    )  # fmt: skip
    assert len(cells) == len(sweep.tried)
    return sweep


@given(st.integers(0, 300), st.integers(1, 256))
def test_the_knee_is_found_whatever_it_is(knee: int, most: int) -> None:
    sweep = swept(knee, most)
    assert sweep.found == (min(knee, most) or None)
    assert sweep.is_limit == (knee >= most)
    assert len(sweep.tried) <= 2 * math.log2(most) + 3
    assert len({one.value for one in sweep.tried}) == len(sweep.tried)


@given(st.integers(0, 20_000))
def test_with_a_step_the_knee_is_within_it(knee: int) -> None:
    sweep = swept(knee, 16_384, least=256, step=256)
    if sweep.found is None:
        assert knee < 256
    elif not sweep.is_limit:
        assert 0 <= knee - sweep.found < 256


def test_a_failed_request_is_a_broken_promise_whatever_the_share() -> None:
    async def measure(value: int) -> Cell:
        return cell(share=1.0, errors=int(value > 2))

    sweep, _ = asyncio.run(
        find_knee("users", measure, model="m", workload="w", promise="p", least=1, most=64)
    )
    assert sweep.found == 2
    assert sweep.sentence == "m keeps p up to 2 users at once"


def test_a_stop_ends_the_search() -> None:
    asked: list[int] = []

    async def measure(value: int) -> Cell:
        asked.append(value)
        return cell(share=1.0)

    asyncio.run(
        find_knee(
            "users", measure, model="m", workload="w", promise="p", least=1, most=64,
            is_stopped=lambda: len(asked) >= 3,
        )
    )  # fmt: skip
    assert asked == [1, 2, 4]
