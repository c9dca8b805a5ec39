"""Figures of a cell, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.bench.load import Load, Observed, Outcome
from stillhouse.bench.measure import Conditions, SystemFacts, cell_of, union_s
from stillhouse.bench.records import RequestRecord
from stillhouse.bench.roofline import Format, Speeds
from stillhouse.bench.slo import Slo
from stillhouse.catalog import find
from stillhouse.models import cost

OURS = SystemFacts("stillhouse", "0.1.0", None, "m", "Q4_K_M")
LOAD = Load(3, users=2)
CONDITIONS = Conditions("short", LOAD, Slo(ttft_s=0.6), 100, 11)


def record(number: int, started_s: float, ttft_s: float, e2e_s: float) -> RequestRecord:
    return RequestRecord(
        number,
        started_s,
        e2e_s=e2e_s,
        ttft_s=ttft_s,
        ttfat_s=ttft_s,
        tpot_s=(e2e_s - ttft_s) / 10,
        prompt_tokens=100,
        cached_tokens=0,
        answer_tokens=11,
        finish_reason="length",
        thinking_end="none",
    )


def outcome(*records: RequestRecord, duration_s: float = 4.0) -> Outcome:
    observed = [Observed(one, (0.1,) * 10) for one in records]
    return Outcome(observed, duration_s, peak_concurrency=2)


TWO = (record(0, 0.0, 0.5, 1.5), record(1, 0.0, 1.0, 2.0))
FAILED = RequestRecord(2, 1.0, e2e_s=30.0, error="timeout", message="silence")


def test_rates_are_over_the_whole_duration() -> None:
    cell = cell_of(OURS, CONDITIONS, outcome(*TWO))
    assert (cell.requests, cell.errors) == (2, 0)
    assert cell.output_tokens_per_s == pytest.approx(22 / 4)
    assert cell.total_tokens_per_s == pytest.approx(222 / 4)
    assert cell.requests_per_s == pytest.approx(0.5)
    assert cell.user_tokens_per_s == pytest.approx(10.0)


def test_phases_are_timed_while_anybody_is_in_them() -> None:
    cell = cell_of(OURS, CONDITIONS, outcome(*TWO))
    # Somebody waits from 0 to 1, somebody writes from 0.5 to 2.
    assert cell.prefill_tokens_per_s == pytest.approx(200 / 1.0)
    assert cell.decode_tokens_per_s == pytest.approx(20 / 1.5)


def test_a_failed_request_is_counted_and_part_of_nothing_else() -> None:
    alone, with_failure = (
        cell_of(OURS, CONDITIONS, outcome(*records)) for records in (TWO, (*TWO, FAILED))
    )
    assert (with_failure.errors, with_failure.error_kinds) == (1, {"timeout": 1})
    assert with_failure.error_examples == ("silence",)
    for name in (
        "ttft_s",
        "ttfat_s",
        "tpot_s",
        "itl_s",
        "e2e_s",
        "output_tokens_per_s",
        "requests",
    ):
        assert getattr(with_failure, name) == getattr(alone, name)
    assert alone.goodput_share == 1 / 2
    assert with_failure.goodput_share == 1 / 3


def test_only_failures_leave_no_figure_and_no_zero_that_looks_like_one() -> None:
    cell = cell_of(OURS, CONDITIONS, outcome(FAILED))
    assert (cell.ttft_s, cell.e2e_s, cell.user_tokens_per_s, cell.truncated_share) == (None,) * 4
    assert (cell.requests, cell.errors, cell.goodput_share) == (0, 1, 0.0)


def test_natural_lengths_have_a_truncated_share_and_fixed_ones_short_outputs() -> None:
    ended = replace(TWO[0], finish_reason="stop", answer_tokens=5)
    fixed = cell_of(OURS, CONDITIONS, outcome(ended, TWO[1]))
    natural = cell_of(OURS, replace(CONDITIONS, output_tokens=None), outcome(ended, TWO[1]))
    assert (fixed.truncated_share, fixed.short_outputs) == (None, 1)
    assert (natural.truncated_share, natural.short_outputs) == (0.5, 0)


def test_loops_are_known_of_this_engine_alone() -> None:
    looped = replace(TWO[0], finish_reason="stop", thinking_end="loop")
    assert cell_of(OURS, CONDITIONS, outcome(looped, TWO[1])).looped_share == 0.5
    others = replace(OURS, engine="vllm")
    assert cell_of(others, CONDITIONS, outcome(looped, TWO[1])).looped_share is None


def test_the_roofline_share_is_the_least_time_over_the_time_taken() -> None:
    shape = find("r1-distill-qwen-1.5b").model.shape
    ours = replace(OURS, form=(shape, Format("Q4_K", 1_000_000_000, "bf16", "int8")))
    # Products cost nothing here, and memory reads 20 GB/s.
    conditions = replace(CONDITIONS, speeds=Speeds(20e9, 1e18, None))
    cell = cell_of(ours, conditions, outcome(*TWO))
    kv = cost.kv_bytes_per_token(shape, "bf16")
    prefill_s = 1e9 / 20e9
    step_s = (1e9 + 2 * 105 * kv) / 20e9  # for two users, in the middle of their outputs
    least_s = 2 * prefill_s + 20 * step_s / 2
    assert cell.roofline_share == pytest.approx(least_s / 4.0)
    assert cell.roofline_tokens_per_s == pytest.approx(22 / least_s)


@pytest.mark.parametrize(
    ("system", "conditions", "why"),
    [
        (OURS, CONDITIONS, "nobody has said what it reads"),
        (replace(OURS, form=(None, None)), CONDITIONS, "does not run on this machine"),
        (
            replace(OURS, form=(None, None)),
            replace(CONDITIONS, load=Load(3, rate_per_s=1.0), speeds=Speeds(1e9, 1e9, None)),
            "the load sets the pace",
        ),
    ],
)
def test_without_a_roofline_the_cell_says_why(
    system: SystemFacts, conditions: Conditions, why: str
) -> None:
    cell = cell_of(system, conditions, outcome(*TWO))
    assert (cell.roofline_share, cell.roofline_tokens_per_s) == (None, None)
    assert why in str(cell.roofline_how)


INTERVALS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda t: tuple(sorted(t)))
)


@given(INTERVALS)
def test_the_union_of_intervals_counts_every_second_once(
    intervals: list[tuple[int, int]],
) -> None:
    covered = {second for start, end in intervals for second in range(start, end)}
    assert union_s(intervals) == len(covered)
