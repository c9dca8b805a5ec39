"""Two runs are told apart where they differ by more than chance, and only there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.bench import statistics
from stillhouse.bench.compare import Comparison, compare
from stillhouse.bench.document import BenchDocument, parse_document
from stillhouse.bench.markdown import bench_markdown, comparison_markdown
from stillhouse.bench.records import Cell
from stillhouse.bench.slo import Slo
from stillhouse.bench.verdicts import Figure
from stillhouse.errors import UsageError
from tests.bench import examples
from tests.bench.examples import cell


def document(*cells: Cell, **changes: Any) -> BenchDocument:
    return parse_document(examples.text(*cells, **changes), "run.json")


def compared(a: Cell, b: Cell, **options: float) -> Comparison:
    return compare(document(a), document(b), **options)


def figure(comparison: Comparison, name: str) -> Figure:
    (cell,) = comparison.results
    return next(one for one in cell.figures if one.name == name)


def verdicts(comparison: Comparison) -> set[str]:
    return {one.verdict for cell in comparison.results for one in cell.figures}


def test_a_run_and_itself_do_not_differ() -> None:
    comparison = compared(cell(), cell())
    assert verdicts(comparison) == {"no difference that these runs can show"}
    assert comparison.regressions == []
    assert comparison.warnings == ()
    assert figure(comparison, "e2e_s.p50").ratio == 1


def test_equal_systems_do_not_regress_on_other_days() -> None:
    for seed in range(1, 21):
        assert compared(cell(), cell(seed=seed), threshold=0.02).regressions == []


def test_a_faster_run_is_better_in_every_figure_of_time() -> None:
    comparison = compared(cell(), cell(seed=1, speed=1.3))
    for name in ("output_tokens_per_s", "ttft_s.p50", "ttfat_s.p95", "tpot_s.p50", "e2e_s.p95"):
        assert figure(comparison, name).verdict == "better"
    throughput = figure(comparison, "output_tokens_per_s")
    assert throughput.low is not None
    assert throughput.high is not None
    assert throughput.low < 1.3 < throughput.high
    assert figure(comparison, "e2e_s.p50").ratio == pytest.approx(1 / 1.3, rel=0.02)
    assert comparison.regressions == []


def test_a_slower_run_regresses_only_beyond_the_threshold() -> None:
    slower = cell(seed=1, speed=0.9)
    assert figure(compared(cell(), slower), "e2e_s.p50").is_regression
    lenient = figure(compared(cell(), slower, threshold=0.2), "e2e_s.p50")
    assert lenient.verdict == "worse"
    assert not lenient.is_regression


def test_an_interval_that_touches_the_threshold_is_no_regression() -> None:
    found = figure(compared(cell(), cell(seed=1, speed=0.9)), "output_tokens_per_s")
    assert found.low is not None
    assert found.high is not None
    touching = compared(cell(), cell(seed=1, speed=0.9), threshold=1 - found.high + 1e-9)
    assert not figure(touching, "output_tokens_per_s").is_regression
    beyond = compared(cell(), cell(seed=1, speed=0.9), threshold=1 - found.high - 1e-9)
    assert figure(beyond, "output_tokens_per_s").is_regression


def test_few_requests_decide_nothing_and_it_is_said_how_many_would() -> None:
    comparison = compared(cell(requests=8), cell(requests=8, seed=1, speed=0.5))
    slow = figure(comparison, "e2e_s.p50")
    assert slow.verdict == "too few requests"
    assert slow.low is None
    assert slow.ratio == pytest.approx(2, rel=0.1)
    assert comparison.regressions == []
    assert any("--requests 24" in note for note in comparison.notes)


def test_a_p95_needs_twenty_requests() -> None:
    one_user = compared(cell(users=1, requests=19), cell(users=1, requests=19))
    assert figure(one_user, "e2e_s.p95").verdict == "too few requests"
    assert figure(one_user, "e2e_s.p50").low is not None
    assert any("--requests 20" in note for note in one_user.notes)
    more = compared(cell(users=1, requests=20), cell(users=1, requests=20))
    assert figure(more, "e2e_s.p95").low is not None


def test_more_failures_are_a_regression_and_fewer_are_not() -> None:
    worse = figure(compared(cell(failed=1), cell(failed=3)), "errors")
    assert (worse.a, worse.b, worse.verdict, worse.is_regression) == (1, 3, "worse", True)
    better = figure(compared(cell(failed=3), cell(failed=1)), "errors")
    assert (better.verdict, better.is_regression) == ("better", False)


def test_the_same_share_of_failures_among_more_requests_is_no_regression() -> None:
    comparison = compared(cell(requests=24, failed=1), cell(requests=96, failed=4))
    assert not figure(comparison, "errors").is_regression


def test_memory_is_judged_by_the_threshold_alone() -> None:
    more = compared(cell(), cell(peak_memory_bytes=600_000_000))
    assert figure(more, "peak_memory_bytes").is_regression
    little = figure(compared(cell(), cell(peak_memory_bytes=520_000_000)), "peak_memory_bytes")
    assert little.verdict == "no difference that these runs can show"
    less = figure(compared(cell(), cell(peak_memory_bytes=300_000_000)), "peak_memory_bytes")
    assert (less.verdict, less.low) == ("better", None)
    unknown = figure(compared(cell(), cell(peak_memory_bytes=None)), "peak_memory_bytes")
    assert unknown.verdict == "known of one run only"


def test_broken_promises_are_worse_and_none_kept_twice_is_no_difference() -> None:
    slow = cell(seed=1, speed=0.01)
    broken = figure(compared(cell(), slow), "goodput_share")
    assert (broken.a, broken.b, broken.ratio, broken.is_regression) == (1, 0, None, True)
    same = figure(compared(slow, slow), "goodput_share")
    assert (same.verdict, same.is_regression) == ("no difference that these runs can show", False)
    kept = figure(compared(cell(), cell(seed=1)), "goodput_share")
    assert (kept.low, kept.high) == (None, None)  # all of 48 are no proof of all


def test_other_promises_leave_goodput_out_and_are_told_of() -> None:
    other = document(cell(), slo=Slo(ttft_s=1.0).as_json())
    comparison = compare(document(cell()), other)
    assert not any(one.name == "goodput_share" for one in comparison.results[0].figures)
    assert any("promises" in warning for warning in comparison.warnings)


def test_in_an_open_loop_the_load_sets_the_throughput_and_times_are_judged() -> None:
    a, b = (cell(users=None, rate_per_s=2.0, seed=n, speed=1 - n / 4) for n in (0, 1))
    comparison = compared(a, b)
    assert figure(comparison, "output_tokens_per_s").verdict == "set by the load"
    assert figure(comparison, "e2e_s.p50").is_regression


def test_cells_of_one_file_only_are_listed() -> None:
    one, four, nine = (cell(users=users) for users in (1, 4, 9))
    comparison = compare(document(one, four), document(four, nine))
    assert [pair.a.users for pair in comparison.results] == [4]
    assert [left.users for left in comparison.only_in_a] == [1]
    assert [left.users for left in comparison.only_in_b] == [9]


@pytest.mark.parametrize(
    "change",
    [{"workload": "chat"}, {"prompt_tokens": 64}, {"output_tokens": None}, {"users": 5}],
)
def test_another_load_is_never_compared(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no cell in common"):
        compared(cell(), replace(cell(), **change))


def test_two_single_systems_are_compared_by_load_and_it_is_said() -> None:
    comparison = compared(cell(), cell(quantization="Q8_0"))
    assert comparison.by_load
    assert len(comparison.results) == 1
    assert "smollm2:135m Q4_1 with stillhouse smollm2:135m Q8_0" in comparison.notes[0]
    assert comparison.as_json()["matched_by"] == "load"


def test_several_systems_are_never_compared_by_load() -> None:
    two = document(cell(quantization="Q8_0"), cell(quantization="Q6_K"))
    with pytest.raises(UsageError, match="no cell in common"):
        compare(document(cell()), two)


def test_an_empty_run_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="B has none at all"):
        compare(document(cell()), document())


def test_cells_that_are_twice_in_a_file_match_in_their_order() -> None:
    first, second = cell(url="http://a"), cell(url="http://b", seed=1)
    comparison = compare(document(first, second), document(first, second))
    assert [pair.b.url for pair in comparison.results] == ["http://a", "http://b"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"is_complete": False}, "B was stopped"),
        ({"mean_answer_tokens": 100.0}, "outputs have 128 tokens in A and 160 in B"),
        ({"mean_prompt_tokens": 200.0}, "prompts have 128 tokens in A and 200 in B"),
        ({"counted": "chunks"}, "counted by usage in A, by chunks in B"),
        ({"cached_share": 0.5}, "0% of A's prompts and 50% of B's were cached"),
    ],
)
def test_what_else_differs_is_a_warning(changes: dict[str, Any], said: str) -> None:
    (warning,) = compared(cell(), cell(**changes)).warnings
    assert said in warning


def test_a_machine_that_was_slower_meanwhile_is_a_warning_for_the_same_model_only() -> None:
    fast, slow = (cell(roofline_tokens_per_s=limit) for limit in (200.0, 150.0))
    (warning,) = compared(fast, slow).warnings
    assert "0.75 times as fast in B" in warning
    assert compared(fast, cell(roofline_tokens_per_s=190.0)).warnings == ()
    assert compared(fast, replace(slow, quantization="Q8_0")).warnings == ()


def test_another_machine_is_a_warning() -> None:
    other = document(cell(), machine=examples.MACHINE | {"cpu": "Another"})
    (warning,) = compare(document(cell()), other).warnings
    assert warning == "different machines: cpu is A Processor in A, Another in B"


RECORD_PLACES = [
    ("results", 0, "request_records", 3, name)
    for name in ("started_s", "e2e_s", "ttft_s", "tpot_s", "reasoning_tokens", "answer_tokens")
] + [
    ("results", 0, *path)
    for path in (("ttft_s", "p50"), ("output_tokens_per_s",), ("duration_s",), ("users",),
                 ("goodput_share",), ("peak_memory_bytes",), ("mean_answer_tokens",))
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(RECORD_PLACES),
            st.none() | st.integers(0, 10**18) | st.floats(0, 1e18, allow_subnormal=True),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_can_be_read_can_be_compared_and_printed(
    changes: list[tuple[tuple[str | int, ...], float | None]],
) -> None:
    strange = examples.document(cell(requests=24))
    for path, value in changes:
        where: Any = strange
        for key in path[:-1]:
            where = where[key]
        if isinstance(where, dict):
            where[path[-1]] = value
    try:
        read = parse_document(json.dumps(strange).encode(), "b.json")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(statistics, "_ROUNDS", 20)
            for a, b in ((document(cell(requests=24)), read), (read, document(cell(requests=24)))):
                comparison = compare(a, b)
                json.dumps(comparison.as_json(), allow_nan=False)
                comparison_markdown(comparison, ("a", a), ("b", b))
    except UsageError:
        return
    bench_markdown(read)


def test_the_same_files_give_the_same_numbers() -> None:
    texts = {
        json.dumps(compared(cell(), cell(seed=1, speed=0.97)).as_json(), allow_nan=False)
        for _ in range(2)
    }
    assert len(texts) == 1
