"""The engine's thread serves threads and tasks, loses nothing, and always comes to an end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from stillhouse.engine import Engine, EngineLoop, EngineStats, Request, SamplingParams, TokenEvent
from stillhouse.errors import ContextTooLong, EngineStopped, UsageError
from stillhouse.models.batch import Batch
from tests.fakes import FakeKV, FakeModel, hashed

VOCAB = 50
NUM_BLOCKS = 16
PATIENCE_S = 20  # for what should come at once; only a hanging test waits so long


class GatedModel(FakeModel):
    """Computes steps while its gate is open, and fails when told to."""

    def __init__(self) -> None:
        super().__init__(hashed(VOCAB), vocab_size=VOCAB)
        self.gate = threading.Event()
        self.gate.set()
        self.is_waiting = threading.Event()
        self.steps_before_gate = 0
        self.failure: Exception | None = None

    def forward(self, batch: Batch, kv: FakeKV) -> NDArray[np.float32]:
        if self.steps_before_gate:
            self.steps_before_gate -= 1
        elif not self.gate.is_set():
            self.is_waiting.set()
            assert self.gate.wait(PATIENCE_S)
        if self.failure is not None:
            raise self.failure
        return super().forward(batch, kv)


class Bench:
    """A loop over a small engine, and what to look at."""

    def __init__(self) -> None:
        self.model = GatedModel()
        engine = Engine(self.model, FakeKV(NUM_BLOCKS), max_rows=32, max_sequences=4)
        self.loop = EngineLoop(engine)

    def stats(self) -> EngineStats:
        return self.loop.call(Engine.stats).result(PATIENCE_S)

    def hold_up_after(self, num_steps: int) -> None:
        """Has the step after the next `num_steps` last until `go_on`."""
        self.model.steps_before_gate = num_steps
        self.model.gate.clear()

    def wait_for_hold_up(self) -> None:
        assert self.model.is_waiting.wait(PATIENCE_S)

    def go_on(self) -> None:
        self.model.gate.set()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.go_on()
    bench.loop.close()


def request(seed: int, prompt_tokens: int = 20, max_tokens: int = 30) -> Request:
    ids = np.random.default_rng(seed).integers(0, VOCAB, prompt_tokens)
    return Request(tuple(ids.tolist()), SamplingParams(max_tokens, seed=seed))


def alone(wanted: Request) -> list[TokenEvent]:
    engine = Engine(FakeModel(hashed(VOCAB), vocab_size=VOCAB), FakeKV(64))
    return list(engine.generate(wanted))


def said(events: list[TokenEvent]) -> list[int | None]:
    return [event.token_id for event in events]


def test_threads_read_what_they_would_alone(bench: Bench) -> None:
    wanted = [request(seed, 5 + 9 * seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as threads:
        streams = threads.map(lambda r: list(bench.loop.submit(r)), wanted)
        for events, r in zip(streams, wanted, strict=True):
            assert said(events) == said(alone(r))
            assert [e.index for e in events] == list(range(30))
    assert bench.stats().held_blocks == 0


def test_tasks_read_what_they_would_alone(bench: Bench) -> None:
    wanted = [request(seed, 5 + 9 * seed) for seed in range(8)]

    async def read(r: Request) -> list[TokenEvent]:
        return [event async for event in bench.loop.submit_async(r)]

    async def read_all() -> list[list[TokenEvent]]:
        return await asyncio.gather(*map(read, wanted))

    for events, r in zip(asyncio.run(read_all()), wanted, strict=True):
        assert said(events) == said(alone(r))


def test_an_event_loop_runs_on_while_the_engine_is_inside_a_step(bench: Bench) -> None:
    async def scenario() -> list[TokenEvent]:
        bench.hold_up_after(1)
        first = bench.loop.submit_async(request(1))
        await anext(first)
        await asyncio.to_thread(bench.wait_for_hold_up)
        second = bench.loop.submit_async(request(2))  # none of this may wait for the step
        first.cancel()
        future = bench.loop.call(Engine.stats)
        assert not future.done()
        bench.go_on()
        events = [event async for event in second]
        assert [e.finish_reason for e in [e async for e in first]][-1] == "cancelled"
        return events

    assert said(asyncio.run(scenario())) == said(alone(request(2)))


@pytest.mark.parametrize("phase", ["queued", "prefill", "decode"])
def test_cancelling_frees_all_blocks_before_the_next_step(bench: Bench, phase: str) -> None:
    async def scenario() -> tuple[list[TokenEvent], int]:
        bench.hold_up_after(1)
        other = None
        if phase == "queued":
            other = bench.loop.submit_async(request(8, max_tokens=NUM_BLOCKS * 32 - 20))
            await anext(other)
        stream = bench.loop.submit_async(request(9, 100 if phase == "prefill" else 20))
        if phase == "decode":
            await anext(stream)
        await asyncio.to_thread(bench.wait_for_hold_up)
        if other is not None:
            other.cancel()
        stream.cancel()
        stats = bench.loop.call(Engine.stats)
        bench.go_on()
        return [event async for event in stream], (await asyncio.wrap_future(stats)).held_blocks

    events, held_blocks = asyncio.run(scenario())
    assert events[-1].finish_reason == "cancelled"
    assert len(events) == 1 or phase == "decode"
    assert held_blocks == 0


def test_a_reader_that_stops_reading_delays_nobody_and_finds_all_later(bench: Bench) -> None:
    async def scenario() -> list[TokenEvent]:
        lazy = bench.loop.submit_async(request(1))
        eager = bench.loop.submit_async(request(2, max_tokens=60))
        assert len([event async for event in eager]) == 60
        return [event async for event in lazy]

    assert said(asyncio.run(scenario())) == said(alone(request(1)))


@pytest.mark.parametrize("way", ["leave", "drop"])
def test_a_stream_that_is_left_or_dropped_cancels_its_request(bench: Bench, way: str) -> None:
    bench.hold_up_after(1)
    stream = bench.loop.submit(request(1))
    next(stream)
    bench.wait_for_hold_up()
    if way == "leave":
        with stream:
            pass
    else:
        del stream
    bench.go_on()
    assert bench.stats().running_requests == 0
    assert bench.stats().held_blocks == 0


def test_requests_of_an_event_loop_that_has_ended_are_cancelled(bench: Bench) -> None:
    async def leave() -> object:
        bench.hold_up_after(1)
        stream = bench.loop.submit_async(request(1, max_tokens=400))
        await anext(stream)
        return stream

    kept = asyncio.run(leave())
    bench.go_on()
    assert list(bench.loop.submit(request(2)))
    assert bench.stats().running_requests == 0
    del kept


def test_samples_and_forks_stream_too(bench: Bench) -> None:
    streams = bench.loop.submit_samples(request(1), (1, 2, 3))
    samples = [list(stream) for stream in streams]
    assert samples[0] == alone(request(1))
    assert len({tuple(said(events)) for events in samples}) == 3

    bench.hold_up_after(5)
    parent = bench.loop.submit(request(2, max_tokens=200))
    before = [next(parent) for _ in range(5)]
    (probe,) = bench.loop.fork(parent, 1, extra_ids=(1, 2), max_tokens=3)
    bench.go_on()
    events = list(probe)
    assert [event.index for event in events] == [8, 9, 10]  # a sixth token came, and then its own
    assert len(before) == 5
    parent.cancel()


def test_a_fork_of_what_has_ended_is_refused_where_it_is_read(bench: Bench) -> None:
    parent = bench.loop.submit(request(1))
    list(parent)
    (fork,) = bench.loop.fork(parent, 1)
    with pytest.raises(UsageError, match="has ended"):
        next(fork)


def test_what_can_never_run_is_refused_at_once(bench: Bench) -> None:
    with pytest.raises(ContextTooLong):
        bench.loop.submit(request(1, max_tokens=10_000))


def test_a_failing_model_tells_everybody_and_takes_no_more(bench: Bench) -> None:
    async def scenario() -> None:
        bench.hold_up_after(2)
        task = bench.loop.submit_async(request(1))
        thread = bench.loop.submit(request(2))
        await anext(task)
        await asyncio.to_thread(bench.wait_for_hold_up)
        queued = bench.loop.submit(request(3))
        bench.model.failure = ZeroDivisionError("a bad kernel")
        bench.go_on()
        with pytest.raises(EngineStopped, match="ZeroDivisionError: a bad kernel") as raised:
            async for _ in task:
                pass
        assert raised.value.__cause__ is bench.model.failure
        for stream in (thread, queued, bench.loop.submit(request(4))):
            with pytest.raises(EngineStopped, match="a bad kernel"):
                list(stream)
        assert bench.loop.failure is bench.model.failure

    asyncio.run(scenario())


def test_closing_cancels_what_is_open_and_takes_no_more(bench: Bench) -> None:
    bench.hold_up_after(1)
    open_stream = bench.loop.submit(request(1))
    next(open_stream)
    bench.wait_for_hold_up()
    closing = threading.Thread(target=bench.loop.close)
    closing.start()
    while bench.loop._calls.empty():
        time.sleep(0.001)
    bench.go_on()
    closing.join()
    assert [event.finish_reason for event in open_stream][-1] == "cancelled"
    with pytest.raises(EngineStopped, match="closed"):
        next(bench.loop.submit(request(2)))
    bench.loop.close()


def test_the_thread_sleeps_while_there_is_nothing_to_do(bench: Bench) -> None:
    list(bench.loop.submit(request(1)))
    steps = bench.stats().steps
    bench.hold_up_after(0)
    assert not bench.model.is_waiting.wait(0.05)
    assert bench.stats().steps == steps


def test_nothing_stays_behind_when_requests_have_ended(bench: Bench) -> None:
    for seed in range(50):
        bench.loop.submit(request(seed)).cancel()
        list(bench.loop.submit(request(seed, max_tokens=2)))
    engine = bench.loop.call(lambda engine: engine).result(PATIENCE_S)
    assert not bench.loop._open
    assert not engine._sequences
    assert not engine.has_work
