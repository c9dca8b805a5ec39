"""Memory is a tree that adds up, exact where it is arrays, and shown with its formulas."""

from __future__ import annotations

import pytest

from stillhouse.catalog import models
from stillhouse.kernels.kv_layout import BLOCK_TOKENS
from stillhouse.models.cost import PlannedKVType
from stillhouse.planner.memory import at_load, kv_cache, memory
from stillhouse.planner.parts import Part
from stillhouse.planner.targets import Engine
from stillhouse.planner.weights import predicted_weights
from stillhouse.planner.workload import Workload

MODELS = {model.name: model for model in models()}
GIB = 1 << 30
ENGINES: tuple[Engine, ...] = ("stillhouse", "llama.cpp", "vllm")


def workload(context: int, users: int = 1) -> Workload:
    return Workload(context // 2, context // 4, context // 4, users, context)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_branch_is_the_sum_of_its_parts_and_every_leaf_says_how(engine: Engine) -> None:
    weights = predicted_weights(MODELS["r1-distill-qwen-7b"], "Q4_K_M")
    tree = memory(weights, workload(4096, 4), engine=engine, kv_type="bf16")
    for _, part in tree.walk():
        if part.parts:
            assert part.num_bytes == sum(child.num_bytes for child in part.parts)
        else:
            assert part.how
    assert tree.as_json()["bytes"] == tree.num_bytes


@pytest.mark.parametrize(
    ("model", "kv_type", "context", "gib"),
    [
        ("r1-671b", "f16", 163_840, 10.72),
        ("r1-distill-qwen-1.5b", "f16", 32_768, 0.875),
        ("r1-distill-qwen-7b", "f16", 32_768, 1.75),
        ("r1-distill-llama-8b", "f16", 32_768, 4.0),
        ("r1-0528-qwen3-8b", "f16", 32_768, 4.5),
        ("r1-distill-qwen-14b", "f16", 32_768, 6.0),
        ("r1-distill-qwen-32b", "f16", 32_768, 8.0),
        ("r1-distill-llama-70b", "f16", 32_768, 10.0),
        ("r1-distill-llama-70b", "q8_0", 32_768, 10.0 * 34 / 64),
        ("r1-distill-llama-70b", "q4_0", 32_768, 10.0 * 18 / 64),
    ],
)
def test_kv_caches_are_those_of_the_published_tables(
    model: str, kv_type: PlannedKVType, context: int, gib: float
) -> None:
    weights = predicted_weights(MODELS[model], "Q4_K_M")
    part = kv_cache(weights, workload(context), engine="llama.cpp", kv_type=kv_type)
    assert part.num_bytes / GIB == pytest.approx(gib, abs=0.005)


def test_contexts_go_by_whole_blocks_of_the_engine() -> None:
    weights = predicted_weights(MODELS["r1-distill-qwen-1.5b"], "Q4_K_M")
    own = kv_cache(weights, workload(1001), engine="stillhouse", kv_type="bf16")
    theirs = kv_cache(weights, workload(1001), engine="llama.cpp", kv_type="bf16")
    token_bytes = 28 * 1024
    assert own.num_bytes == -(-1001 // BLOCK_TOKENS) * BLOCK_TOKENS * token_bytes
    assert theirs.num_bytes == 1024 * token_bytes


def test_twice_the_users_take_twice_the_cache() -> None:
    weights = predicted_weights(MODELS["r1-distill-qwen-14b"], "Q4_K_M")
    one, two = (
        kv_cache(weights, workload(4096, users), engine="llama.cpp", kv_type="f16").num_bytes
        for users in (1, 2)
    )
    assert two == 2 * one


def test_at_load_no_cache_and_no_buffers_are_counted() -> None:
    weights = predicted_weights(MODELS["r1-distill-qwen-1.5b"], "Q4_K_M")
    tree = memory(weights, workload(4096), engine="stillhouse", kv_type="bf16")
    packed, cache = tree.find("weights"), tree.find("KV cache")
    assert packed is not None
    assert cache is not None
    assert packed.num_bytes < at_load(tree) < tree.num_bytes - cache.num_bytes


def test_llama_cpp_keeps_the_embeddings_in_main_memory() -> None:
    weights = predicted_weights(MODELS["r1-distill-qwen-7b"], "Q4_K_M")
    tree = memory(weights, workload(4096), engine="llama.cpp", kv_type="f16")
    on_device = tree.find("weights")
    assert on_device is not None
    assert on_device.num_bytes == weights.total_bytes - weights.embedding_bytes
    assert weights.embedding_bytes > 200_000_000


def test_a_tree_is_printed_with_its_depth() -> None:
    tree = Part.of("all", [Part("a", 1000, "one"), Part.of("b", [Part("c", 500, "two")])])
    assert tree.lines() == [
        ("all", "1.50 kB", ""),
        ("  a", "1.00 kB", "one"),
        ("  b", "500 B", ""),
        ("    c", "500 B", "two"),
    ]
