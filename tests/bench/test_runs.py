"""Whole runs: against servers that behave and that do not, and with a real model in process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stillhouse.bench.load import Load, Observed
from stillhouse.bench.prompts import FromFile, Synthetic
from stillhouse.bench.records import Cell
from stillhouse.bench.roofline import Speeds
from stillhouse.bench.runs import InProcess, Results, RunPlan, Served, Target, run
from stillhouse.bench.session import Settings
from stillhouse.bench.slo import Slo
from stillhouse.bench.systems import LoadSettings, System, listening_pid
from stillhouse.catalog import BenchLoad, find_bench_load
from stillhouse.errors import Offline, UsageError
from tests.stub_server import Script, StubServer

TWO_TOKENS = replace(find_bench_load("short"), prompt_tokens=64, output_tokens=2)
SETTINGS = Settings(Slo(ttft_s=5.0), FromFile(("How many legs?",)), {}, is_fixed=False)
LOADING = LoadSettings(users=2, context_tokens=512, threads=1)
PLAN = RunPlan((TWO_TOKENS,), (1,), SETTINGS, LOADING, requests=1)
USAGE = {"prompt_tokens": 9, "completion_tokens": 2}
GOOD = Script(usage=USAGE)


class Silent:
    """Hears everything and keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def cell_begins(self, system: System, workload: BenchLoad, load: Load) -> None: ...

    def piece(self) -> None: ...

    def request_ended(self, _observed: Observed, /) -> None: ...

    def cell_ended(self, cell: Cell) -> None: ...


def ran(
    target: Target, plan: RunPlan = PLAN, stop: Callable[[Any], None] = lambda _: None
) -> Results:
    results = Results()

    async def work() -> None:
        stopping = asyncio.Event()
        stop(stopping)
        await run([target], plan, Silent(), stopping, results=results)

    asyncio.run(work())
    return results


def cell_against(*scripts: Script, plan: RunPlan = PLAN, timeout_s: float = 5.0) -> Cell:
    """The one cell of a run against a server that answers the warm-up well, and then so."""
    plan = replace(plan, requests=len(scripts))
    with StubServer(GOOD, *scripts) as stub:
        (cell,) = ran(Served(stub.url, "stub", timeout_s=timeout_s), plan).cells
    return cell


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_thought_is_found_in_the_servers_own_field(field: str) -> None:
    thinking = Script(
        reasoning=("Let", " me", " see"),
        thought_field=field,
        usage={"prompt_tokens": 9, "completion_tokens": 5},
        delay_s=0.02,
    )
    cell = cell_against(thinking)
    assert (cell.mean_reasoning_tokens, cell.mean_answer_tokens) == (3, 2)
    assert cell.counted == "chunks"  # it does not say how many of them were thought
    assert cell.ttft_s is not None
    assert cell.ttfat_s is not None
    assert cell.ttfat_s.p50 - cell.ttft_s.p50 >= 0.05


def test_every_way_to_fail_is_counted_by_its_kind_and_averaged_into_nothing() -> None:
    cell = cell_against(
        GOOD,
        Script(fault="error"),
        Script(finish_reason=None, is_done=False),
        Script(fault="reset"),
        Script(fault="hang"),
        Script(status=503, body=b"busy", content_type="text/plain"),
        Script(status=400, body=b'{"error": {"message": "no"}}', content_type="application/json"),
        GOOD,
        timeout_s=0.3,
    )
    assert (cell.requests, cell.errors) == (2, 6)
    assert cell.error_kinds == {
        "server": 1, "broken_stream": 2, "timeout": 1, "http_5xx": 1, "http_4xx": 1
    }  # fmt: skip
    assert cell.ttft_s is not None
    assert cell.ttft_s.count == 2
    assert cell.mean_answer_tokens == 2
    assert cell.goodput_share == 2 / 8


def test_failures_are_told_of_with_the_servers_words() -> None:
    with StubServer(GOOD, GOOD, Script(status=503, body=b"too busy today")) as stub:
        results = ran(Served(stub.url, "stub"), replace(PLAN, requests=2))
    (note,) = [note for note in results.notes if "failed" in note]
    assert "1 of 2 requests failed (1 http_5xx)" in note
    assert "too busy today" in note


def test_a_server_that_ignores_ignore_eos_is_found_out() -> None:
    fixed = replace(PLAN, settings=replace(SETTINGS, is_fixed=True))
    longer = replace(fixed, workloads=(replace(TWO_TOKENS, output_tokens=50),))
    with StubServer(GOOD) as stub:
        results = ran(Served(stub.url, "stub"), longer)
        assert all(asked.body["ignore_eos"] for asked in stub.asked)
    assert results.cells[0].short_outputs == 1
    assert "ended before 50 tokens" in results.notes[-1]


def test_a_refusal_of_the_first_request_ends_the_run_with_its_words() -> None:
    refusing = Script(
        status=400,
        body=b'{"error": {"message": "ignore_eos is not supported"}}',
        content_type="application/json",
    )
    fixed = replace(PLAN, settings=replace(SETTINGS, is_fixed=True))
    with StubServer(refusing) as stub, pytest.raises(UsageError, match="is not supported") as hit:
        ran(Served(stub.url, "stub"), fixed)
    assert hit.value.hint == "--natural does not ask for lengths"


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(Offline, match="cannot be reached"):
        ran(Served("http://127.0.0.1:9"))


def test_a_stop_keeps_the_cell_as_far_as_it_went() -> None:
    def soon(stop: asyncio.Event) -> None:
        asyncio.get_running_loop().call_later(0.5, stop.set)

    with StubServer(GOOD, GOOD, GOOD, Script(fault="hang")) as stub:
        results = ran(Served(stub.url, "stub"), replace(PLAN, requests=9), soon)
    assert results.is_stopped
    (cell,) = results.cells
    assert (cell.requests, cell.errors, cell.is_complete) == (2, 0, False)


def test_a_servers_process_is_found_by_its_port() -> None:
    import os

    with StubServer() as stub:
        assert listening_pid(stub.url) == os.getpid()
    assert listening_pid("http://example.org:80") is None
    assert listening_pid("http://127.0.0.1:9/v1") is None


def test_a_real_model_in_process_fills_every_column(smollm2_path: Path) -> None:
    workload = replace(TWO_TOKENS, output_tokens=16)
    settings = Settings(Slo(ttft_s=60.0), Synthetic(1), {}, warm_up_users=2)
    plan = RunPlan((workload,), (1, 2), settings, LOADING, requests=2)
    results = ran(InProcess(str(smollm2_path)), plan)
    one, two = results.cells
    for cell in results.cells:
        assert (cell.requests, cell.errors, cell.short_outputs) == (2, 0, 0)
        assert cell.mean_answer_tokens == 16
        assert cell.mean_prompt_tokens == pytest.approx(64, abs=2)
        assert cell.quantization == "Q4_1"
        assert cell.peak_memory_bytes is not None
        assert cell.peak_memory_bytes > 100e6
        assert cell.roofline_share is not None
        assert cell.roofline_share > 0  # above 1 where the limits were read beside other work
        assert cell.roofline_tokens_per_s is not None
        rate = cell.output_tokens_per_s / cell.roofline_tokens_per_s
        assert cell.roofline_share == pytest.approx(rate)
        assert cell.cached_share == pytest.approx(0, abs=0.01)
    assert (one.speedup, one.peak_concurrency, two.peak_concurrency) == (1.0, 1, 2)
    assert two.speedup is not None
    assert results.as_json()["machine_speeds"]["read_bytes_per_s"] > 1e9
    own = Speeds.of(results.speeds[:2])  # as read before and after the first cell
    most_per_s = own.read_bytes_per_s / smollm2_path.stat().st_size  # a token reads every weight
    assert one.roofline_tokens_per_s is not None
    # The prompt takes its part of the least time.
    assert 0.3 * most_per_s < one.roofline_tokens_per_s < 1.1 * most_per_s


def test_thoughts_of_a_real_model_end_by_the_budget_of_the_workload(smollm2_path: Path) -> None:
    workload = replace(find_bench_load("reasoning"), output_tokens=24, thinking_tokens=16)
    settings = Settings(Slo(), FromFile(("What is 2 + 3?",)), {"temperature": 0.0})
    results = ran(InProcess(str(smollm2_path)), RunPlan((workload,), (1,), settings, LOADING))
    (cell,) = results.cells
    assert cell.mean_reasoning_tokens is not None
    assert 0 < cell.mean_reasoning_tokens <= 16
    assert cell.ttfat_s is not None
    assert cell.ttft_s is not None
    assert cell.ttfat_s.p50 > cell.ttft_s.p50
