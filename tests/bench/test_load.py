"""Loads are offered as they are described, and stop when they are told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import numpy as np
import pytest

from stillhouse.bench.load import Load, Observed, Outcome, arrival_times_s, offer
from stillhouse.bench.records import RequestRecord

Ask = Callable[[int, float], Awaitable[Observed]]


def offered(load: Load, ask: Ask, stop_after_s: float | None = None) -> Outcome:
    async def work() -> Outcome:
        stop = asyncio.Event()
        if stop_after_s is not None:
            asyncio.get_running_loop().call_later(stop_after_s, stop.set)
        return await offer(load, ask, clock=time.perf_counter, stop=stop)

    return asyncio.run(work())


def asking(seconds: Callable[[int], float]) -> Ask:
    async def ask(number: int, started_s: float) -> Observed:
        await asyncio.sleep(seconds(number))
        return Observed(RequestRecord(number, started_s))

    return ask


@pytest.mark.parametrize("users", [1, 3, 8])
def test_a_closed_loop_has_so_many_open_and_asks_each_number_once(users: int) -> None:
    outcome = offered(Load(20, users=users), asking(lambda number: 0.001 * (number % 4)))
    assert outcome.peak_concurrency == users
    assert sorted(one.record.number for one in outcome.observed) == list(range(20))
    assert outcome.is_complete


def test_more_users_than_requests_are_no_more_than_the_requests() -> None:
    assert offered(Load(2, users=5), asking(lambda _: 0.0)).peak_concurrency == 2


def test_a_closed_loop_waits_for_an_answer_before_it_asks_again() -> None:
    outcome = offered(Load(4, users=1), asking(lambda _: 0.02))
    started = [one.record.started_s for one in outcome.observed]
    assert all(later - earlier >= 0.02 for earlier, later in pairwise(started))


def test_an_open_loop_does_not_wait_for_answers() -> None:
    load = Load(6, rate_per_s=200)
    outcome = offered(load, asking(lambda _: 0.2))
    assert outcome.peak_concurrency == 6
    last = max(one.record.started_s for one in outcome.observed)
    assert last == pytest.approx(5 / 200, abs=0.02)


def test_a_stop_keeps_what_has_ended_and_cancels_the_rest() -> None:
    cancelled = []

    async def ask(number: int, started_s: float) -> Observed:
        try:
            await asyncio.sleep(0 if number < 2 else 60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return Observed(RequestRecord(number, started_s))

    outcome = offered(Load(5, users=4), ask, stop_after_s=0.05)
    assert [one.record.number for one in outcome.observed] == [0, 1]
    assert not outcome.is_complete
    assert sorted(cancelled) == [2, 3, 4]


def test_a_mistake_of_ours_is_not_a_failed_request() -> None:
    async def ask(_number: int, _started_s: float) -> Observed:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        offered(Load(1, users=1), ask)
    assert raised.group_contains(ZeroDivisionError)


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_arrivals_have_the_rate_exactly_and_the_burstiness_about(burstiness: float) -> None:
    times = np.array(arrival_times_s(Load(4001, rate_per_s=5, burstiness=burstiness), seed=3))
    delays = np.diff(times)
    assert times[0] == 0
    assert (delays >= 0).all()
    assert times[-1] == pytest.approx(4000 / 5)
    # Of a gamma distribution the squared coefficient of variation is 1 / shape.
    assert delays.var() / delays.mean() ** 2 == pytest.approx(1 / burstiness, rel=0.15)


def test_arrivals_are_the_same_for_the_same_seed() -> None:
    load = Load(50, rate_per_s=2)
    assert arrival_times_s(load, 1) == arrival_times_s(load, 1) != arrival_times_s(load, 2)
