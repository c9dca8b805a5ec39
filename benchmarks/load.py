"""Many users on this machine: requests arrive at random, a third of them are cancelled at random.

    python benchmarks/load.py                                   # SmolLM2, 200 requests
    python benchmarks/load.py --model deepseek-r1:1.5b --arrivals-per-s 2 --json load.json

Prompts are random ids behind one of a few common beginnings, as system messages are, so that the
prefix cache has work. Requests come in a Poisson process and are read in one event loop; whoever is
cancelled is so while it waits, while its prompt is read, or at some token. Times are the reader's:
TTFT from submitting to the first token, TPOT the time of a token after it. Exits with 1 if blocks
are missing at the end, or if memory still grows in the second half of the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse import __version__, hub
from stillhouse.checkpoints import open_checkpoint
from stillhouse.cli.document import commit
from stillhouse.engine import Engine, EngineLoop, Request, SamplingParams
from stillhouse.hardware import this_machine
from stillhouse.models.batch import BLOCK_TOKENS
from stillhouse.models.decoder import Decoder
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model

_FIRST_ID, _LAST_ID = 1_000, 40_000  # within every vocabulary that is measured
_BEGINNING_TOKENS, _NUM_BEGINNINGS = 96, 4
_OWN_TOKENS, _OUTPUT_TOKENS = (8, 200), (8, 64)  # fewest and most, all equally likely
_CANCELLED_SHARE = 1 / 3
_MOST_GROWTH_BYTES = 32_000_000  # from the middle to the end of a run


@dataclass(frozen=True, slots=True)
class Visit:
    """One request as its user saw it, in seconds after the first arrival; None: it never came."""

    prompt_tokens: int
    output_tokens: int
    arrived_s: float
    first_s: float | None
    ended_s: float
    cancelled: bool

    @property
    def tpot_s(self) -> float | None:
        if self.first_s is None or self.output_tokens < 2:
            return None
        return (self.ended_s - self.first_s) / (self.output_tokens - 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one user is going to do."""

    arrival_s: float
    request: Request
    cancel_after_tokens: int | None  # 0: as soon as something else arrives


def plan_visits(num_requests: int, arrivals_per_s: float, seed: int) -> list[Plan]:
    """The same plans for the same seed."""
    dice = random.Random(seed)

    def ids(count: int) -> list[int]:
        return [dice.randint(_FIRST_ID, _LAST_ID) for _ in range(count)]

    beginnings = [ids(_BEGINNING_TOKENS) for _ in range(_NUM_BEGINNINGS)]
    plans, arrival_s = [], 0.0
    for number in range(num_requests):
        arrival_s += dice.expovariate(arrivals_per_s)
        prompt_ids = dice.choice(beginnings) + ids(dice.randint(*_OWN_TOKENS))
        max_tokens = dice.randint(*_OUTPUT_TOKENS)
        sampling = SamplingParams(
            max_tokens, temperature=0.6, top_p=0.95, seed=number, ignore_eos=True
        )
        leaves = dice.random() < _CANCELLED_SHARE
        cancel_after = dice.randint(0, max_tokens - 1) if leaves else None
        plans.append(Plan(arrival_s, Request(tuple(prompt_ids), sampling), cancel_after))
    return plans


class Load:
    """Carries plans out, and looks at memory on the way."""

    def __init__(self, loop: EngineLoop[KVCache], plans: list[Plan]) -> None:
        self._loop = loop
        self._plans = plans
        self._num_ended = 0
        self._start_s = 0.0
        self._arrived = asyncio.Event()  # set, and made again, at every arrival
        self.middle_rss_bytes = 0

    async def run(self) -> list[Visit]:
        """All visits, in order of arrival."""
        self._start_s = time.perf_counter()
        return await asyncio.gather(*map(self._visit, self._plans))

    async def _visit(self, plan: Plan) -> Visit:
        await asyncio.sleep(plan.arrival_s - self._now_s())
        stream = self._loop.submit_async(plan.request)
        self._arrived.set()
        self._arrived = asyncio.Event()
        arrived_s, first_s, num_tokens = self._now_s(), None, 0
        if plan.cancel_after_tokens == 0:
            await self._next_arrival()
            stream.cancel()
        cancelled = False
        async for event in stream:
            if event.token_id is not None:
                num_tokens += 1
                first_s = first_s or self._now_s()
                if num_tokens == plan.cancel_after_tokens:
                    stream.cancel()
            cancelled = event.finish_reason == "cancelled"
        self._num_ended += 1
        if self._num_ended == len(self._plans) // 2:
            self.middle_rss_bytes = rss_bytes()
        return Visit(
            len(plan.request.prompt_ids), num_tokens, arrived_s, first_s, self._now_s(), cancelled
        )

    async def _next_arrival(self) -> None:
        try:
            await asyncio.wait_for(self._arrived.wait(), 1.0)
        except TimeoutError:
            return  # it was the last to arrive

    def _now_s(self) -> float:
        return time.perf_counter() - self._start_s


def main() -> int:
    """Load the model, run the plans, print the figures; 1 if something was lost or grows."""
    arguments = _arguments()
    path = hub.resolve(arguments.model, progress=hub.TerminalProgress())
    with open_checkpoint(path) as checkpoint:
        model = load_model(checkpoint, threads=arguments.threads)
        try:
            document = measure(model, arguments)
        finally:
            model.close()
    document = {
        "command": "load",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        **vars(arguments),
        **document,
    }
    if arguments.json is not None:
        document["json"] = str(arguments.json)
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    print(_report(document))
    for problem in document["problems"]:
        print(f"broken: {problem}", file=sys.stderr)
    return 1 if document["problems"] else 0


def measure(model: Decoder, arguments: argparse.Namespace) -> dict[str, Any]:
    """What the run gave, as JSON; `problems` is empty if it held what it promised."""
    kv = KVCache(model.config, arguments.kv_tokens // BLOCK_TOKENS, "bf16")
    for block in range(1, kv.num_blocks):  # so that no page of it first takes memory on the way
        kv.copy_block(0, block)
    engine = Engine(model, kv, admission=arguments.admission)
    list(engine.generate(Request((1, 2, 3), SamplingParams(2))))  # and no buffer
    free_at_start = engine.num_unused_blocks
    plans = plan_visits(arguments.requests, arguments.arrivals_per_s, arguments.seed)
    loop = EngineLoop(engine)
    start_rss_bytes = rss_bytes()

    async def run() -> tuple[list[Visit], Load]:
        load = Load(loop, plans)
        return await load.run(), load

    visits, load = asyncio.run(run())
    end_rss_bytes = rss_bytes()
    stats = loop.call(Engine.stats).result()
    loop.close()
    free_at_end = engine.num_unused_blocks
    growth_bytes = end_rss_bytes - load.middle_rss_bytes
    problems = []
    if free_at_end != free_at_start:
        problems.append(f"{free_at_start} blocks were free at the start, {free_at_end} at the end")
    if growth_bytes > _MOST_GROWTH_BYTES:
        problems.append(f"the second half took {growth_bytes:,} bytes more")
    if engine.has_work or stats.waiting_requests or stats.running_requests:
        problems.append("the engine still has work when everybody is gone")
    seconds = max(visit.ended_s for visit in visits)
    return {
        "seconds": seconds,
        "cancelled": sum(visit.cancelled for visit in visits),
        "output_tokens_per_s": stats.generated_tokens / seconds,
        "prompt_tokens_per_s": stats.prompt_tokens / seconds,
        "ttft_s": _percentiles([v.first_s - v.arrived_s for v in visits if v.first_s is not None]),
        "tpot_s": _percentiles([v.tpot_s for v in visits if v.tpot_s is not None]),
        "hit_rate": stats.hit_rate,
        "engine": asdict(stats),
        "free_blocks": {"start": free_at_start, "end": free_at_end},
        "rss_bytes": {
            "start": start_rss_bytes,
            "middle": load.middle_rss_bytes,
            "end": end_rss_bytes,
        },
        "problems": problems,
    }


def rss_bytes() -> int:
    """Memory of this process that is in RAM now (Linux)."""
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


def _percentiles(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"mean": float(np.mean(values)), "p50": float(p50), "p99": float(p99)}


def _report(document: dict[str, Any]) -> str:
    ttft, tpot, engine = document["ttft_s"], document["tpot_s"], document["engine"]
    rss = {when: f"{size / 1e6:.0f}" for when, size in document["rss_bytes"].items()}
    blocks = document["free_blocks"]
    return "\n".join(
        [
            f"{document['requests']} requests, {document['cancelled']} cancelled, in"
            f" {document['seconds']:.1f} s: {document['output_tokens_per_s']:.0f} tok/s written,"
            f" {document['prompt_tokens_per_s']:.0f} read",
            f"TTFT p50 {ttft['p50'] * 1e3:.0f} ms, p99 {ttft['p99'] * 1e3:.0f} ms;"
            f" TPOT p50 {tpot['p50'] * 1e3:.1f} ms, p99 {tpot['p99'] * 1e3:.1f} ms",
            f"{document['hit_rate']:.0%} of prompt tokens from the cache;"
            f" {engine['rows'] / engine['steps']:.1f} rows a step;"
            f" {engine['preemptions']} preemptions",
            f"free blocks {blocks['start']} at the start, {blocks['end']} at the end;"
            f" memory {rss['start']}, {rss['middle']}, {rss['end']} MB",
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--model", default="smollm2:135m")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--arrivals-per-s", type=float, default=10.0)
    parser.add_argument("--kv-tokens", type=int, default=8192)
    parser.add_argument("--admission", choices=["worst_case", "overcommit"], default="worst_case")
    parser.add_argument("--threads", type=int, default=this_machine().physical_cores)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
