"""Offers a load: users who ask again when they are answered, or requests that arrive at a rate.

Closed loop: `users` requests are open at any time, as with `max-concurrency` elsewhere. Open loop:
requests arrive whether or not earlier ones are done, after delays of a gamma distribution, as in
vLLM's `bench serve`: burstiness 1 is a Poisson process, below it comes in bursts.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from stillhouse.bench.records import RequestRecord
from stillhouse.timings import Clock


@dataclass(frozen=True, slots=True)
class Load:
    """`users` or `rate_per_s`: one of them is None."""

    requests: int
    users: int | None = None
    rate_per_s: float | None = None
    burstiness: float = 1.0

    @property
    def at_once(self) -> int:
        """Users that a closed loop has; an open one may have all of them."""
        return self.requests if self.users is None else self.users


@dataclass(frozen=True, slots=True)
class Observed:
    """A request's record, and the seconds between pieces of its reply."""

    record: RequestRecord
    gaps_s: tuple[float, ...] = ()


@dataclass(slots=True)
class Outcome:
    """All that ended, in the order of ending."""

    observed: list[Observed] = field(default_factory=list)
    duration_s: float = 0.0
    peak_concurrency: int = 0
    is_complete: bool = True


Ask = Callable[[int, float], Awaitable[Observed]]
"""Number of the request, and seconds since the cell began; never raises but when cancelled."""


async def offer(
    load: Load,
    ask: Ask,
    *,
    clock: Clock,
    seed: int = 0,
    stop: asyncio.Event | None = None,
    on_end: Callable[[Observed], None] = lambda _: None,
) -> Outcome:
    """Until every request has ended, or `stop` is set: then the open ones are cancelled, and only
    what ended before is told of.
    """
    outcome, start = Outcome(), clock()
    running = 0

    async def one(number: int) -> None:
        nonlocal running
        running += 1
        outcome.peak_concurrency = max(outcome.peak_concurrency, running)
        try:
            observed = await ask(number, clock() - start)
        finally:
            running -= 1
        outcome.observed.append(observed)
        outcome.duration_s = clock() - start
        on_end(observed)

    work = asyncio.ensure_future(_closed(load, one) if load.users else _open(load, one, seed))
    stopped = asyncio.ensure_future((stop or asyncio.Event()).wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        outcome.is_complete = work.done()
    finally:
        for task in (work, stopped):
            task.cancel()
        results = await asyncio.gather(work, stopped, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]
    return outcome


def arrival_times_s(load: Load, seed: int) -> list[float]:
    """Of an open loop's requests, from 0; scaled so that they arrive at the rate exactly."""
    assert load.rate_per_s is not None
    generator = random.Random(seed)
    delays = [
        generator.gammavariate(load.burstiness, 1 / (load.rate_per_s * load.burstiness))
        for _ in range(load.requests - 1)
    ]
    scale = (load.requests - 1) / load.rate_per_s / sum(delays) if delays else 1.0
    return [0.0, *(scale * at for at in itertools.accumulate(delays))]


async def _closed(load: Load, one: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(load.requests))

    async def user() -> None:
        for number in numbers:  # shared: whoever is free takes the next one
            await one(number)

    assert load.users is not None
    async with asyncio.TaskGroup() as group:
        for _ in range(min(load.users, load.requests)):
            group.create_task(user())


async def _open(load: Load, one: Callable[[int], Awaitable[None]], seed: int) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.TaskGroup() as group:
        for number, at_s in enumerate(arrival_times_s(load, seed)):
            await asyncio.sleep(max(0.0, start + at_s - loop.time()))
            group.create_task(_as_coroutine(one, number))


async def _as_coroutine(one: Callable[[int], Awaitable[None]], number: int) -> None:
    await one(number)
