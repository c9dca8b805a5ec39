"""Percentiles, and intervals that hold what they promise where requests are not independent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stillhouse.bench import statistics
from stillhouse.bench.records import RequestRecord, Spread
from stillhouse.bench.statistics import Draws, Interval, draws_of, interval_of, ratio_of, spread_of

Measure = Callable[[list[RequestRecord], int, int], Draws]

RUNS = 200
NOMINAL = (0.90, 0.985)  # of 95 %: two and a half standard errors of 200 runs, and some bias


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the resamplings: an interval is 4 % wider or narrower, which is nothing here."""
    monkeypatch.setattr(statistics, "_ROUNDS", 300)


def waves(seed: int, users: int, num_waves: int) -> list[RequestRecord]:
    """Requests of 1 s and 160 tokens in the mean; a wave's ones share how slow the machine is, and
    half of that goes over into the next wave.
    """
    generator = np.random.default_rng(seed)
    fresh = generator.normal(size=num_waves + 1)
    slow = np.exp(0.15 * (fresh[1:] + 0.5 * fresh[:-1]))
    tokens = generator.lognormal(np.log(160) - 0.08, 0.4, (num_waves, users))
    e2e_s = tokens / 160 * slow[:, None]
    return [
        RequestRecord(
            number,
            started_s=number / users,
            e2e_s=float(e2e),
            ttft_s=float(e2e) / 10,
            answer_tokens=round(count),
            finish_reason="stop",
        )
        for number, (e2e, count) in enumerate(zip(e2e_s.flat, tokens.flat, strict=True))
    ]


def throughput(records: list[RequestRecord], users: int, seed: int) -> Draws:
    draws = statistics.throughput_draws(records, users=users, seed=seed)
    assert draws is not None
    return draws


def of_e2e(statistic: statistics.Statistic) -> Measure:
    def draws(records: list[RequestRecord], users: int, seed: int) -> Draws:
        values = [one.e2e_s or 0 for one in records]
        found = draws_of(values, statistic, side_by_side=users, seed=seed)
        assert found is not None
        return found

    return draws


def the_truth(draws: Measure, users: int) -> float:
    """Of a run so long that chance is out of it; blocks would only cost time there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "_ROUNDS", 1)
        return draws(waves(10**6, users, 4000), users, 0).value


def coverage(intervals: list[Interval | None], truth: float) -> float:
    assert None not in intervals
    return float(np.mean([one.low <= truth <= one.high for one in intervals if one is not None]))


@pytest.mark.usefixtures("few_rounds")
@pytest.mark.parametrize(
    "draws",
    [throughput, *(of_e2e(one) for one in (statistics.mean, statistics.median, statistics.p95))],
    ids=["throughput", "mean", "median", "p95"],
)
@pytest.mark.parametrize(("users", "num_waves"), [(4, 16), (16, 8)])
def test_of_a_hundred_intervals_ninety_five_hold_the_truth(
    draws: Measure, users: int, num_waves: int
) -> None:
    truth = the_truth(draws, users)
    intervals = [
        interval_of(draws(waves(seed, users, num_waves), users, seed)) for seed in range(RUNS)
    ]
    assert NOMINAL[0] <= coverage(intervals, truth) <= NOMINAL[1]


@pytest.mark.usefixtures("few_rounds")
def test_ratios_of_equal_runs_hold_one_and_of_a_faster_one_its_speed() -> None:
    pairs = [
        (
            throughput(waves(2 * seed, 8, 12), 8, 2 * seed),
            throughput(waves(2 * seed + 1, 8, 12), 8, 2 * seed + 1),
        )
        for seed in range(RUNS)
    ]
    ratios = [ratio_of(b, a) for a, b in pairs]
    assert NOMINAL[0] <= coverage(ratios, 1.0) <= NOMINAL[1]
    faster = [ratio_of(Draws(1.3 * b.value, 1.3 * b.draws, b.num_blocks), a) for a, b in pairs]
    assert coverage(faster, 1.3) == coverage(ratios, 1.0)


@pytest.mark.usefixtures("few_rounds")
def test_taking_requests_for_independent_would_promise_too_much() -> None:
    truth = the_truth(throughput, 16)
    naive = []
    for seed in range(RUNS):
        draws = throughput(waves(seed, 16, 12), 1, seed)
        naive.append(interval_of(Draws(16 * draws.value, 16 * draws.draws, draws.num_blocks)))
    assert coverage(naive, truth) < 0.6


def test_throughput_is_users_times_tokens_over_seconds_and_failures_take_time() -> None:
    good = [
        RequestRecord(n, n / 4, e2e_s=2.0, reasoning_tokens=30, answer_tokens=20) for n in range(30)
    ]
    bad = [RequestRecord(30 + n, 8.0, e2e_s=1.0, error="timeout") for n in range(20)]
    assert throughput(good, 4, 0).value == pytest.approx(4 * 50 / 2.0)
    assert throughput(good + bad, 4, 0).value == pytest.approx(4 * 30 * 50 / (30 * 2 + 20 * 1))


def test_the_order_of_starting_decides_what_ran_side_by_side() -> None:
    records = waves(3, 4, 10)
    shuffled = [records[n] for n in np.random.default_rng(0).permutation(len(records))]
    assert throughput(records, 4, 5).draws.tolist() == throughput(shuffled, 4, 5).draws.tolist()


def test_fewer_than_three_blocks_give_nothing() -> None:
    assert draws_of([1.0] * 23, statistics.mean, side_by_side=4) is None
    assert draws_of([1.0] * 24, statistics.mean, side_by_side=4) is not None
    assert draws_of([], statistics.mean) is None
    assert statistics.throughput_draws([], users=1) is None


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = np.random.default_rng(1).lognormal(size=60).tolist()

    def interval(seed: int) -> Interval | None:
        draws = draws_of(values, statistics.median, side_by_side=2, seed=seed)
        assert draws is not None
        return interval_of(draws)

    assert interval(4) == interval(4)
    assert interval(4) != interval(5)


def test_many_values_are_drawn_in_pieces_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(2).lognormal(size=50).tolist()
    whole = draws_of(values, statistics.mean, seed=7)
    monkeypatch.setattr(statistics, "_VALUES_AT_ONCE", 50 * 300)
    pieces = draws_of(values, statistics.mean, seed=7)
    assert whole is not None
    assert pieces is not None
    assert pieces.draws.shape == whole.draws.shape
    assert pieces.draws.std() == pytest.approx(whole.draws.std(), rel=0.15)


def test_what_may_be_nothing_has_no_ratio() -> None:
    none, some = draws_of([0.0] * 12, statistics.mean), draws_of([1.0] * 12, statistics.mean)
    assert none is not None
    assert some is not None
    assert ratio_of(some, none) is ratio_of(none, some) is interval_of(none) is None
    assert ratio_of(some, some) == (1.0, 1.0, 1.0)


def test_percentiles_lie_linearly_between_neighbours() -> None:
    spread = spread_of([3.0, None, 1.0, 2.0, 4.0])
    assert spread == Spread(4, 2.5, 2.5, pytest.approx(3.85), pytest.approx(3.97))
    assert spread_of([5.0]) == Spread(1, 5.0, 5.0, 5.0, 5.0)
    assert spread_of([None]) is None
    assert spread_of([]) is None


def test_a_share_is_never_nothing() -> None:
    rows = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert statistics.share(rows).tolist() == [1.0, 0.125, 1 / 3]
