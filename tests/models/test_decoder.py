"""Whole decoders against the naive twin, and against themselves: cached, batched, in chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.checkpoints import Checkpoint, open_gguf
from stillhouse.kernels.isa import Isa, detect
from stillhouse.models.batch import Batch
from stillhouse.models.cost import KVType
from stillhouse.models.decoder import Decoder
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from stillhouse.text import Tokenizer
from tests.factories import tiny_model
from tests.reference.decoder import log_probabilities, logits

# The level up to which a row's result has the same bits however many rows go with it.
EXACT = min(detect(environment={}), Isa.AVX512_VNNI)
# Three query heads of 64 share a KV head, as in SmolLM2, so that all tests share compiled kernels.
SHAPE: dict[str, Any] = {"heads": 6, "kv_heads": 2, "head_dim": 64}
TOKENS = np.random.default_rng(0).integers(0, 320, 45).tolist()  # more than one block of the cache

KV_TYPES: tuple[KVType, ...] = ("bf16", "q8_0")

Logits = npt.NDArray[np.float32]


@contextmanager
def loaded(path: Path, isa: Isa | None = EXACT) -> Iterator[tuple[Checkpoint, Decoder]]:
    with open_gguf(path) as checkpoint:
        model = load_model(checkpoint, threads=2, isa=isa)
        yield checkpoint, model
        model.close()


def batch(*parts: tuple[Sequence[int], int, Sequence[int]]) -> Batch:
    """Parts are (token ids, first position, blocks), one for each sequence; logits for all rows."""
    width = max(len(blocks) for _, _, blocks in parts)
    tables = np.full((len(parts), width), -1, np.int32)
    for table, (_, _, blocks) in zip(tables, parts, strict=True):
        table[: len(blocks)] = blocks
    counts = [len(tokens) for tokens, _, _ in parts]
    return Batch(
        np.concatenate([tokens for tokens, _, _ in parts]).astype(np.int32),
        np.concatenate([first + np.arange(len(ids)) for ids, first, _ in parts]).astype(np.int32),
        np.repeat(np.arange(len(parts)), counts).astype(np.int32),
        tables,
        np.arange(sum(counts), dtype=np.int32),
    )


def run(model: Decoder, kv: KVCache, *parts: tuple[Sequence[int], int, Sequence[int]]) -> Logits:
    return model.forward(batch(*parts), kv).copy()


def distance(result: npt.NDArray[Any], twin: npt.NDArray[Any]) -> float:
    """|result - twin| / |twin|, Euclidean."""
    return float(np.linalg.norm(result - twin) / np.linalg.norm(twin))


ARCHITECTURES = ["qwen2", "llama", "qwen3"]
# Every kind of kernel in one model: superblocks, blocks, widened, floats.
MIXED = {
    "attn_q.weight": "BF16",
    "attn_k.weight": "F16",
    "attn_v.weight": "TQ2_0",
    "attn_output.weight": "Q5_1",
    "ffn_gate.weight": "Q4_K",
    "ffn_up.weight": "Q6_K",
    "ffn_down.weight": "IQ4_XS",
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_with_float_weights_only_the_cache_rounds(tmp_path: Path, architecture: str) -> None:
    path = tiny_model(tmp_path / "m.gguf", architecture=architecture, encoding="F32", **SHAPE)
    with loaded(path) as (checkpoint, model):
        result = run(model, KVCache(model.config, 4, "bf16"), (TOKENS, 0, (2, 1)))
        assert distance(result, logits(checkpoint, TOKENS, rounded=False)) < 5e-3
        # A key or value just between two bf16 numbers may fall either way, and then weighs 2^-8.
        assert distance(result, logits(checkpoint, TOKENS, rounded=True)) < 3e-4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("overrides", [{}, MIXED], ids=["Q8_0", "mixed"])
def test_quantised_weights_differ_by_what_int8_activations_round(
    tmp_path: Path, architecture: str, overrides: dict[str, str]
) -> None:
    path = tmp_path / "m.gguf"
    tiny_model(path, architecture=architecture, overrides=overrides, **SHAPE)
    with loaded(path) as (checkpoint, model):
        kv = KVCache(model.config, 45, "bf16")
        result = run(model, kv, (TOKENS, 0, (2, 1)))
        assert distance(result, logits(checkpoint, TOKENS, rounded=False)) < 0.03
        # The twin that rounds alike agrees far closer, but where a number lay just between two
        # codes: one code more changes everything behind it by about what rounding costs anyway. So
        # the typical token is looked at, each as the first one of a sequence of its own.
        result = run(model, kv, *[([token], 0, [block]) for block, token in enumerate(TOKENS)])
        distances = [
            distance(row, logits(checkpoint, [token], rounded=True)[0])
            for row, token in zip(result, TOKENS, strict=True)
        ]
        assert np.median(distances) < 1e-6


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_is_the_embedding_table_where_the_file_has_no_other(
    tmp_path: Path, tied: bool
) -> None:
    # A vocabulary that does not fill its last panel of sixteen rows.
    path = tiny_model(tmp_path / "m.gguf", encoding="F16", tied=tied, vocab=325, **SHAPE)
    with loaded(path) as (checkpoint, model):
        result = run(model, KVCache(model.config, 4, "bf16"), (TOKENS, 0, (2, 1)))
        assert result.shape == (45, 325)
        assert distance(result, logits(checkpoint, TOKENS, rounded=True)) < 3e-4


ROPES: dict[str, dict[str, Any]] = {
    "llama3": {
        "extra_tensors": {
            "rope_freqs.weight": np.geomspace(1, 32, 32).astype(np.float32),
        }
    },
    "yarn": {
        "extra_metadata": {
            "llama.rope.scaling.type": "yarn",
            "llama.rope.scaling.factor": 4.0,
            "llama.rope.scaling.original_context_length": 16,
        }
    },
    "linear": {
        "extra_metadata": {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    },
}


@pytest.mark.parametrize("rope", ROPES)
def test_scaled_rope_reaches_queries_and_keys(tmp_path: Path, rope: str) -> None:
    path = tmp_path / "m.gguf"
    tiny_model(path, architecture="llama", encoding="F32", **SHAPE, **ROPES[rope])
    with loaded(path) as (checkpoint, model):
        result = run(model, KVCache(model.config, 4, "bf16"), (TOKENS, 0, (2, 1)))
        assert distance(result, logits(checkpoint, TOKENS, rounded=True)) < 3e-4
        plain = tiny_model(tmp_path / "plain.gguf", architecture="llama", encoding="F32", **SHAPE)
        with open_gguf(plain) as unscaled:
            assert distance(result, logits(unscaled, TOKENS, rounded=True)) > 3e-3


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decoder]:
    """One model with every kind of kernel, for what holds bit for bit."""
    path = tmp_path_factory.mktemp("decoder") / "mixed.gguf"
    with loaded(tiny_model(path, overrides=MIXED, **SHAPE)) as (_, model):
        yield model


@pytest.fixture(params=["bf16", "q8_0"])
def kv(request: pytest.FixtureRequest, mixed: Decoder) -> KVCache:
    return KVCache(mixed.config, 8, request.param)


def test_token_by_token_gives_the_bits_of_one_pass(mixed: Decoder, kv: KVCache) -> None:
    whole = run(mixed, kv, (TOKENS, 0, (2, 1)))
    for position, token in enumerate(TOKENS):
        np.testing.assert_array_equal(
            run(mixed, kv, ([token], position, (5, 7)))[0], whole[position]
        )


@pytest.mark.parametrize("first", [1, 31, 32, 44])
def test_a_prompt_in_chunks_gives_the_bits_of_one_pass(
    mixed: Decoder, kv: KVCache, first: int
) -> None:
    whole = run(mixed, kv, (TOKENS, 0, (2, 1)))
    chunks = [
        run(mixed, kv, (TOKENS[:first], 0, (5, 7))),
        run(mixed, kv, (TOKENS[first:], first, (5, 7))),
    ]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_sequences_in_a_batch_do_not_touch_each_other(mixed: Decoder, kv: KVCache) -> None:
    mine, other = TOKENS, TOKENS[::-1][:37]
    alone = run(mixed, kv, (mine, 0, (2, 1)))
    other_alone = run(mixed, kv, (other, 0, (3, 4)))
    together = run(mixed, kv, (mine, 0, (7, 0)), (other, 0, (5, 6)))
    np.testing.assert_array_equal(together, np.concatenate([alone, other_alone]))
    # One decodes while the other still reads its prompt; and two share the block of one beginning.
    run(mixed, kv, (mine[:44], 0, (7, 0)))
    mingled = run(mixed, kv, (mine[44:], 44, (7, 0)), (other, 0, (5, 6)))
    np.testing.assert_array_equal(mingled, np.concatenate([alone[44:], other_alone]))
    shared = run(mixed, kv, (mine[32:], 32, (2, 0)), (mine[32:], 32, (2, 6)))
    np.testing.assert_array_equal(shared, np.concatenate([alone[32:]] * 2))


def test_any_number_of_threads_gives_the_same_bits(tmp_path: Path, mixed: Decoder) -> None:
    expected = run(mixed, KVCache(mixed.config, 2, "bf16"), (TOKENS, 0, (0, 1)))
    path = tiny_model(tmp_path / "mixed.gguf", overrides=MIXED, **SHAPE)
    for threads in (1, 3):
        with open_gguf(path) as checkpoint:
            model = load_model(checkpoint, threads=threads, isa=EXACT)
            result = run(model, KVCache(model.config, 2, "bf16"), (TOKENS, 0, (0, 1)))
            model.close()
        np.testing.assert_array_equal(result, expected)


def test_logits_come_only_for_the_rows_asked_for(mixed: Decoder) -> None:
    kv = KVCache(mixed.config, 4, "bf16")
    whole = batch((TOKENS, 0, (2, 1)))
    expected = mixed.forward(whole, kv).copy()
    for rows in ([44], [0, 7, 44], []):
        wanted = dataclasses.replace(whole, logit_rows=np.array(rows, np.int32))
        np.testing.assert_array_equal(mixed.forward(wanted, kv), expected[rows])


def test_a_q8_0_cache_stays_close_to_bf16(mixed: Decoder) -> None:
    by_type = [
        run(mixed, KVCache(mixed.config, 2, kv_type), (TOKENS, 0, (0, 1)))
        for kv_type in ("bf16", "q8_0")
    ]
    assert 0 < distance(by_type[1], by_type[0]) < 0.03


def test_every_level_that_can_be_forced_gives_the_same_logits(
    tmp_path: Path, mixed: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(mixed, KVCache(mixed.config, 2, "bf16"), (TOKENS, 0, (0, 1)))
    path = tiny_model(tmp_path / "mixed.gguf", overrides=MIXED, **SHAPE)
    for isa in [isa for isa in Isa if isa <= detect(environment={})]:
        monkeypatch.setenv("STILLHOUSE_ISA", isa.label)
        with loaded(path, isa=None) as (_, model):
            assert model.isa is isa
            result = run(model, KVCache(model.config, 2, "bf16"), (TOKENS, 0, (0, 1)))
        if isa <= EXACT:
            np.testing.assert_array_equal(result, expected)
        else:  # tiles multiply bf16 by bf16
            assert distance(result, expected) < 0.03


PROMPT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"


def test_smollm2_answers_as_recorded(smollm2_path: Path) -> None:
    with loaded(smollm2_path) as (checkpoint, model):
        tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
        prompt = tokenizer.encode(PROMPT, special=True)
        answers: dict[KVType, list[int]] = {}
        scores: dict[KVType, npt.NDArray[np.float64]] = {}
        for kv_type in KV_TYPES:
            kv = KVCache(model.config, 2, kv_type)
            scores[kv_type] = log_probabilities(run(model, kv, (prompt, 0, (1, 0))))
            answer = [int(scores[kv_type][-1].argmax())]
            while answer[-1] != tokenizer.eos_id and len(answer) < 12:
                step = answer[-1:], len(prompt) + len(answer) - 1, (1, 0)
                answer.append(int(run(model, kv, step)[0].argmax()))
            answers[kv_type] = answer
    for answer in answers.values():
        assert tokenizer.decode(answer, skip_special=True) == "The capital of France is Paris."
    top = scores["bf16"].argmax(axis=1)[:, np.newaxis]
    change = [np.take_along_axis(scores[kv_type], top, axis=1) for kv_type in KV_TYPES]
    assert abs(change[1] - change[0]).mean() < 0.05
