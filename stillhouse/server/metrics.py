"""`GET /metrics`: vLLM's names where the concept is the same, our own for thoughts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from stillhouse.errors import StillhouseError
from stillhouse.workers.conversation import Conversation
from stillhouse.workers.messages import Finished, Stats
from stillhouse.workers.pool import ModelPool

router = APIRouter(include_in_schema=False)

_LABELS = ["model_name"]
_STATS_WAIT_S = 2.0  # a step of the engine may be long
_TTFT = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 120)
_E2E = (0.1, 0.3, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 240, 480, 960, 1920, 3600)
_TPOT = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5)
_TOKENS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)


class Metrics:
    """What has been answered so far. Each app has its own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.latest = _Latest()
        registry.register(self.latest)

        def histogram(name: str, text: str, buckets: Iterable[float]) -> Histogram:
            return Histogram(name, text, _LABELS, registry=registry, buckets=tuple(buckets))

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, [*_LABELS, *labels], registry=registry)

        self._prompt = counter("vllm:prompt_tokens", "Tokens of prompts")
        self._generation = counter("vllm:generation_tokens", "Tokens generated")
        self._success = counter(
            "vllm:request_success", "Replies, by how they ended", "finished_reason"
        )
        self._prompt_sizes = histogram("vllm:request_prompt_tokens", "Of one request", _TOKENS)
        self._sizes = histogram("vllm:request_generation_tokens", "Of one reply", _TOKENS)
        self._ttft = histogram("vllm:time_to_first_token_seconds", "From the request", _TTFT)
        self._tpot = histogram(
            "vllm:inter_token_latency_seconds",
            "The mean of each reply after its first token",
            _TPOT,
        )
        self._e2e = histogram("vllm:e2e_request_latency_seconds", "To the last token", _E2E)
        self._queue = histogram("vllm:request_queue_time_seconds", "Before the engine began", _TTFT)
        self._prefill = histogram(
            "vllm:request_prefill_time_seconds", "From there to the first token", _TTFT
        )
        self._decode = histogram("vllm:request_decode_time_seconds", "From there to the last", _E2E)
        self._ttfat = histogram(
            "stillhouse_time_to_first_answer_token_seconds", "To the answer itself", _E2E
        )
        self._thinking = histogram("stillhouse_thinking_seconds", "Of one thought", _E2E)
        self._thought_sizes = histogram("stillhouse_request_reasoning_tokens", "Of one", _TOKENS)
        self._answer_sizes = histogram("stillhouse_request_answer_tokens", "Of one", _TOKENS)
        self._reasoning = counter("stillhouse_reasoning_tokens", "Tokens of thoughts")
        self._ends = counter("stillhouse_thinking_end", "Thoughts, by why they ended", "cause")
        self._cancels = counter("stillhouse_cancels", "Requests that were left, by phase", "phase")
        self._refused = counter("stillhouse_rejected", "Requests that were refused", "reason")

    def reply(self, model: str, _conversation: Conversation, finished: Finished) -> None:
        """A sample has come to its end."""
        reply, used, times = finished.reply, finished.reply.usage, finished.reply.timings
        num_tokens = used.reasoning_tokens + used.answer_tokens
        self._generation.labels(model).inc(num_tokens)
        self._reasoning.labels(model).inc(used.reasoning_tokens)
        self._success.labels(model, reply.finish_reason).inc()
        if finished.sample == 0:
            self._prompt.labels(model).inc(used.prompt_tokens)
            self._prompt_sizes.labels(model).observe(used.prompt_tokens)
        if reply.thinking_end != "none":
            self._ends.labels(model, reply.thinking_end).inc()
        if reply.finish_reason == "cancelled":
            self._cancels.labels(model, reply.phase).inc()
        self._sizes.labels(model).observe(num_tokens)
        self._thought_sizes.labels(model).observe(used.reasoning_tokens)
        self._answer_sizes.labels(model).observe(used.answer_tokens)
        prefill_s = decode_s = tpot_s = None
        if times.ttft_s is not None and times.e2e_s is not None:
            prefill_s = times.ttft_s - (times.queue_s or 0.0)
            decode_s = times.e2e_s - times.ttft_s
            tpot_s = decode_s / (num_tokens - 1) if num_tokens > 1 else None
        for histogram, seconds in (
            (self._ttft, times.ttft_s),
            (self._ttfat, times.ttfat_s),
            (self._queue, times.queue_s),
            (self._prefill, prefill_s),
            (self._decode, decode_s),
            (self._tpot, tpot_s),
            (self._e2e, times.e2e_s),
            (self._thinking, times.thinking_s),
        ):
            if seconds is not None:
                histogram.labels(model).observe(seconds)

    def refused(self, error: StillhouseError) -> None:
        """A request was answered with an error."""
        self._refused.labels("", type(error).__name__).inc()


class _Latest:
    """Gauges of this moment, as the workers last told them."""

    def __init__(self) -> None:
        self.stats: dict[str, Stats] = {}
        self.restarts: dict[str, int] = {}
        self.load_s: dict[str, float] = {}
        self.num_waiting: dict[str, int] = {}

    def collect(self) -> Iterable[Metric]:
        gauges: dict[str, tuple[str, Callable[[Stats], float]]] = {
            "vllm:num_requests_running": ("In the engine", lambda s: s.engine.running_requests),
            "vllm:num_requests_waiting": ("For the engine", lambda s: s.engine.waiting_requests),
            "vllm:kv_cache_usage_perc": (
                "Share of the blocks that requests hold, 0 to 1",
                lambda s: s.engine.held_blocks / s.engine.total_blocks,
            ),
            "stillhouse_kv_blocks_held": ("By requests", lambda s: s.engine.held_blocks),
            "stillhouse_memory_measured_bytes": ("Resident", lambda s: s.memory_bytes),
        }
        counters: dict[str, tuple[str, Callable[[Stats], float]]] = {
            "vllm:prefix_cache_queries": ("Prompt tokens", lambda s: s.engine.prompt_tokens),
            "vllm:prefix_cache_hits": (
                "Of them in the cache",
                lambda s: s.engine.prompt_tokens_from_cache,
            ),
            "vllm:num_preemptions": ("For lack of blocks", lambda s: s.engine.preemptions),
            "stillhouse_engine_steps": ("Batches computed", lambda s: s.engine.steps),
        }
        for name, (text, value_of) in gauges.items():
            gauge = GaugeMetricFamily(name, text, labels=_LABELS)
            for model, stats in self.stats.items():
                gauge.add_metric([model], value_of(stats))
            yield gauge
        for name, (text, value_of) in counters.items():
            counter = CounterMetricFamily(name, text, labels=_LABELS)
            for model, stats in self.stats.items():
                counter.add_metric([model], value_of(stats))
            yield counter
        restarts = CounterMetricFamily(
            "stillhouse_worker_restarts", "Processes that died", labels=_LABELS
        )
        for model, number in self.restarts.items():
            restarts.add_metric([model], number)
        yield restarts
        for name, text, values in (
            ("stillhouse_model_load_seconds", "The last time", self.load_s),
            ("stillhouse_requests_without_a_token", "Asked, nothing yet", self.num_waiting),
        ):
            gauge = GaugeMetricFamily(name, text, labels=_LABELS)
            for model, value in values.items():
                gauge.add_metric([model], value)
            yield gauge


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """In Prometheus's text format."""
    pool: ModelPool = request.app.state.pool
    kept: Metrics = request.app.state.metrics
    latest, workers = kept.latest, pool.workers()
    latest.stats = {}
    for name, worker in workers.items():
        if worker.is_ready:
            with suppress(StillhouseError, TimeoutError):
                latest.stats[name] = await asyncio.wait_for(worker.stats(), _STATS_WAIT_S)
    latest.restarts = {model.name: model.restarts for model in pool.known()}
    latest.num_waiting = {name: worker.num_waiting for name, worker in workers.items()}
    latest.load_s = {m.name: m.facts.load_s for m in pool.known() if m.facts}
    text = await asyncio.to_thread(generate_latest, kept.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
