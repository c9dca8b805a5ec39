"""What the engine promises, over a real decoder with random weights.

At the portable level and at this machine's; matrix tiles are left out, as with `--deterministic`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from numpy.typing import NDArray

from stillhouse.checkpoints import open_gguf
from stillhouse.engine import Engine, Request, SamplingParams
from stillhouse.kernels.isa import Isa, detect
from stillhouse.models.batch import Batch
from stillhouse.models.decoder import Decoder
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from tests.engine.test_engine_machine import EngineMachine
from tests.factories import tiny_model

NUM_BLOCKS = 24
LEVELS = sorted({Isa.PORTABLE, min(detect(), Isa.AVX512_VNNI)})


@pytest.fixture(scope="module", params=LEVELS, ids=lambda isa: isa.label)
def model(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Decoder]:
    path = tiny_model(tmp_path_factory.mktemp("engine") / "tiny.gguf", encoding="Q4_K", seed=3)
    with open_gguf(path) as checkpoint:
        model = load_model(checkpoint, threads=2, isa=request.param)
        yield model
        model.close()


def _engine(model: Decoder, **options: int) -> Engine[KVCache]:
    return Engine(model, KVCache(model.config, NUM_BLOCKS, "bf16"), **options)


def _request(seed: int, prompt_tokens: int) -> Request:
    ids = np.random.default_rng(seed).integers(0, 256, prompt_tokens)
    return Request(tuple(ids.tolist()), SamplingParams(12, temperature=0.8, seed=seed, logprobs=0))


def _alone(model: Decoder, request: Request) -> list[tuple[int | None, float | None]]:
    return [(e.token_id, e.logprob) for e in _engine(model).generate(request)]


def test_a_batch_gives_exactly_what_single_runs_give(model: Decoder) -> None:
    requests = [_request(seed, 3 + 29 * seed) for seed in range(5)]
    engine = _engine(model, max_rows=40, max_sequences=4)
    numbers = [engine.submit(request) for request in requests]
    said: dict[int, list[tuple[int | None, float | None]]] = {number: [] for number in numbers}
    while engine.has_work:
        for event in engine.step():
            said[event.request_id].append((event.token_id, event.logprob))
    for number, request in zip(numbers, requests, strict=True):
        assert said[number] == _alone(model, request)


def test_a_cached_prefix_gives_exactly_what_a_cold_one_gives(model: Decoder) -> None:
    engine, request = _engine(model), _request(1, 100)
    list(engine.generate(request))
    longer = Request((*request.prompt_ids, 7, 8, 9), request.sampling)
    events = list(engine.generate(longer))
    assert events[0].cached_tokens == 96
    assert [(e.token_id, e.logprob) for e in events] == _alone(model, longer)


def test_scores_are_the_log_probabilities_of_generated_tokens(model: Decoder) -> None:
    engine, request = _engine(model), _request(2, 50)
    events = list(engine.generate(request))
    said = [event.token_id for event in events if event.token_id is not None]
    scores = engine.score([*request.prompt_ids, *said])
    assert scores[-len(said) :] == pytest.approx([e.logprob for e in events], abs=1e-5)


def test_in_any_order_everybody_gets_exactly_what_single_runs_give(model: Decoder) -> None:
    alone = KVCache(model.config, NUM_BLOCKS, "bf16")

    @functools.cache
    def logits_after(token_ids: bytes) -> NDArray[np.float32]:
        """In one pass over all of them: no engine, no blocks shared, no steps."""
        ids = np.frombuffer(token_ids, np.int32)
        rows = np.arange(len(ids), dtype=np.int32)
        table = np.arange(NUM_BLOCKS, dtype=np.int32)[np.newaxis]
        batch = Batch(ids, rows, np.zeros_like(rows), table, rows[-1:])
        return model.forward(batch, alone)[0].copy()

    class WithADecoder(EngineMachine):
        vocab_size = model.config.vocab_size
        logits_of = staticmethod(lambda history: logits_after(history.tobytes()))

        def make_engine(self, num_blocks: int, **options: Any) -> Engine[Any]:
            return Engine(model, KVCache(model.config, num_blocks, "bf16"), **options)

    run_state_machine_as_test(
        WithADecoder, settings=settings(max_examples=6, stateful_step_count=30, deadline=None)
    )
