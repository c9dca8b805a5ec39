"""Teams walk programs in order, wait where they are told to, and wake up again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from stillhouse.kernels import simd
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.team import Operation, Program, Team, share
from tests.kernels.layers import address


def make_gather() -> Any:
    """Write 1 + the sum of what all threads wrote before. Arguments: from, to, writes of delay.

    Each thread has a cell of 64 bytes in both; the delay is the later the higher its number.
    """

    def gather(args: int, thread: int, threads: int) -> None:
        source, target = simd.load_i64(args), simd.load_i64(args + 8)
        for _ in range(simd.load_i64(args + 16) * thread):
            simd.store_i64(target + 64 * thread, 0)
        total = 1
        for other in range(threads):
            total += simd.load_i64(source + 64 * other)
        simd.store_i64(target + 64 * thread, total)

    return gather


@pytest.fixture(params=[1, 2, 4])
def fresh(request: pytest.FixtureRequest) -> Iterator[Team]:
    team = Team(request.param)
    yield team
    team.close()


class Chain:
    """A program whose every operation needs what all threads did in the one before."""

    def __init__(self, compiler: KernelCompiler, threads: int, length: int, delay: int = 0) -> None:
        self.cells = np.zeros((2, threads, 8), np.int64)
        self.threads, self.length = threads, length
        kernel = compiler.address("test gather", make_gather)
        places = [address(self.cells[0]), address(self.cells[1])]
        self.program = Program(
            [Operation(kernel, (places[n % 2], places[(n + 1) % 2], delay)) for n in range(length)]
        )

    def expected(self) -> int:
        """What a run adds up to, from the cells as they are."""
        total = int(self.cells[0, :, 0].sum())
        for _ in range(self.length):
            total = (1 + total) * self.threads
        return total // self.threads

    def run_on(self, team: Team) -> None:
        self.cells[:] = 0
        expected = self.expected()
        team.run(self.program)
        assert (self.cells[self.length % 2, :, 0] == expected).all()


def test_every_thread_sees_what_all_did_before_it(fresh: Team, compiler: KernelCompiler) -> None:
    chain = Chain(compiler, fresh.threads, 24)
    for _ in range(50):
        chain.run_on(fresh)
    Chain(compiler, fresh.threads, 8, delay=20_000).run_on(fresh)


def test_a_team_that_fell_asleep_wakes_up(compiler: KernelCompiler) -> None:
    team = Team(3)
    chain = Chain(compiler, 3, 5)
    for pause_s in (0.05, 0.0, 0.004, 0.006, 0.05):  # about 5 ms of spinning come before sleep
        time.sleep(pause_s)
        chain.run_on(team)
    team.close()


def test_operations_that_do_not_wait_run_all_the_same(compiler: KernelCompiler, team: Team) -> None:
    cells = np.zeros((9, 2, 8), np.int64)
    kernel = compiler.address("test gather", make_gather)
    # Eight operations that all read the first cells; the last waits, though nobody says so.
    operations = [
        Operation(kernel, (address(cells[0]), address(cells[n]), 0), wait=False)
        for n in range(1, 9)
    ]
    team.run(Program(operations))
    assert (cells[1:, :, 0] == 1).all()


def test_closing_ends_the_threads_asleep_or_awake(compiler: KernelCompiler) -> None:
    before = threading.active_count()
    awake, asleep = Team(3), Team(2)
    assert threading.active_count() == before + 3
    time.sleep(0.05)
    Chain(compiler, 3, 3).run_on(awake)
    for team in (awake, asleep, awake):  # twice does no harm
        team.close()
    assert threading.active_count() == before


def test_two_teams_work_at_once(compiler: KernelCompiler) -> None:
    def work() -> None:
        team = Team(2)
        chain = Chain(compiler, 2, 24)
        for _ in range(50):
            chain.run_on(team)
        team.close()
        done.append(True)

    done: list[bool] = []
    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert done == [True, True]


@pytest.mark.parametrize("total", [0, 1, 2, 7, 64])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_shares_cover_everything_once(total: int, threads: int) -> None:
    shares = [share.py_func(total, thread, threads) for thread in range(threads)]
    assert [n for first, last in shares for n in range(first, last)] == list(range(total))
    sizes = [last - first for first, last in shares]
    assert max(sizes) - min(sizes) <= 1
