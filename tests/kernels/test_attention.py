"""Attention and what fills its cache, against the naive twin: both cache types, shared heads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.kernels import attention, rotary
from stillhouse.kernels.attention import PART_TOKENS, AttentionArguments
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa, detect
from stillhouse.kernels.rotary import RopeArguments
from stillhouse.kernels.team import Operation, Program, Team
from stillhouse.models.config import RopeConfig
from stillhouse.models.rope import RopeTable
from tests.kernels.layers import GUARD, address
from tests.kernels.paged_cache import PagedCache
from tests.reference.attention import attend, rms_norm, rotate
from tests.reference.linear import as_quantized

Floats = npt.NDArray[np.float32]

CONTEXTS = (1, 31, 32, 33, 100)
KV_HEADS, EPS = 2, 1e-6
LEVELS = [isa for isa in Isa if isa <= min(detect(environment={}), Isa.AVX512_VNNI)]
in_both_types = pytest.mark.parametrize("kv_type", ["bf16", "q8_0"])
on_every_level = pytest.mark.parametrize("isa", LEVELS, ids=lambda isa: isa.label)


class Step(NamedTuple):
    """Rows of several sequences, and where their blocks are: shuffled over the whole cache."""

    positions: npt.NDArray[np.int32]
    sequences: npt.NDArray[np.int32]
    tables: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int64]


def step_of(contexts: list[range], seed: int = 0) -> Step:
    """Sequence s has rows at the positions ``contexts[s]``."""
    blocks = [-(-positions.stop // 32) for positions in contexts]
    shuffled = np.random.default_rng(seed).permutation(sum(blocks))
    tables = np.full((len(contexts), max(blocks)), -1, np.int32)
    for sequence, mine in enumerate(np.split(shuffled, np.cumsum(blocks)[:-1])):
        tables[sequence, : len(mine)] = mine
    counts = [len(positions) for positions in contexts]
    return Step(
        np.concatenate([np.array(positions) for positions in contexts]).astype(np.int32),
        np.repeat(np.arange(len(contexts)), counts).astype(np.int32),
        tables,
        np.array([sum(counts)], np.int64),
    )


class Heads:
    """The kernels of one head shape over a cache of random blocks."""

    def __init__(
        self, compiler: KernelCompiler, kv_type: str, head_dim: int, group: int,
        isa: Isa = LEVELS[-1], blocks: int = 16,
    ) -> None:  # fmt: skip
        self.compiler, self.kv_type, self.head_dim, self.group = compiler, kv_type, head_dim, group
        self.isa, self.heads = isa, KV_HEADS * group
        self.cache = PagedCache(kv_type, blocks, KV_HEADS, head_dim)
        rng = np.random.default_rng(1)
        for block in range(blocks):
            for kv_head in range(KV_HEADS):
                keys, values = rng.standard_normal((2, 32, head_dim)).astype(np.float32)
                self.cache.write(block, kv_head, keys, values)

    def attend(self, team: Team, queries: Floats, step: Step) -> Floats:
        """The attention kernel: queries, already scaled, and out are (rows, heads, head_dim)."""
        out = np.full((len(queries) + 1, self.heads, self.head_dim), GUARD)
        stride = -(-attention.scratch_bytes(self.head_dim, self.group) // 64) * 64
        scratch = np.full(stride * team.threads + 64, 0x5A, np.uint8)
        tokens, threads = step.tables.shape[1] * 32, team.threads
        size = attention.partials_bytes(tokens, threads, self.head_dim, self.group)
        partials = np.full(size + 64, 0x5A, np.uint8)
        arguments = AttentionArguments(
            address(queries), address(out), address(step.positions), address(step.sequences),
            address(step.tables), step.tables.shape[1], address(self.cache.memory), KV_HEADS,
            address(step.rows), address(scratch), stride, address(partials),
        )  # fmt: skip
        shape = self.head_dim, self.group
        attend = self.compiler.address(
            f"attention {self.kv_type} {shape} {self.isa.label}",
            lambda: attention.make_attention(self.isa, self.kv_type, *shape),
        )
        merge = self.compiler.address(f"merge {shape}", lambda: attention.make_merge(*shape))
        team.run(Program([Operation(attend, arguments), Operation(merge, arguments)]))
        assert (scratch[-64:] == 0x5A).all()
        assert (partials[-64:] == 0x5A).all()
        assert (out[-1] == GUARD).all(), "wrote past its rows"
        return out[:-1]

    def rope(
        self, team: Team, qkv: Floats, step: Step, table: RopeTable,
        bias: Floats | None = None, norms: tuple[Floats, Floats] | None = None,
    ) -> Floats:  # fmt: skip
        """The kernel before it: returns the scaled queries, and fills the cache."""
        queries = np.full((len(qkv) + 1, self.heads, self.head_dim), GUARD)
        qkv, eps = qkv.copy(), np.array([EPS], np.float32)
        query_norm, key_norm = (address(norm) for norm in norms) if norms else (0, 0)
        arguments = RopeArguments(
            address(qkv), 0 if bias is None else address(bias), query_norm, key_norm, address(eps),
            address(table.cosines), address(table.sines), address(queries),
            address(step.positions), address(step.sequences), address(step.tables),
            step.tables.shape[1], address(self.cache.memory), KV_HEADS, self.head_dim,
            address(step.rows),
        )  # fmt: skip
        name = f"rope {self.kv_type} {self.head_dim} {self.group}"
        kernel = self.compiler.address(
            name, lambda: rotary.make_rope(self.kv_type, self.head_dim, self.group)
        )
        team.run(Program([Operation(kernel, arguments)]))
        assert (queries[-1] == GUARD).all(), "wrote past its rows"
        return queries[:-1]

    def twin(self, query: Floats, step: Step, row: int, head: int) -> npt.NDArray[np.float64]:
        """What attention gives: over a q8_0 cache, queries are rounded to int8 by spans of 32."""
        context = int(step.positions[row]) + 1
        table = step.tables[step.sequences[row]]
        keys, values = self.cache.context(table, context, head // self.group)
        if self.kv_type == "q8_0":
            return attend(as_quantized(query[np.newaxis], 32)[0], keys, values, scale=1.0)
        return attend(query, keys, values, scale=1.0)


@in_both_types
@pytest.mark.parametrize(
    ("head_dim", "group", "isa"),
    [
        (64, 1, LEVELS[-1]),
        (128, 6, LEVELS[-1]),
        (128, 8, LEVELS[-1]),
        *((64, 3, i) for i in LEVELS),
    ],
)
def test_attention_over_shuffled_blocks_equals_the_twin(
    compiler: KernelCompiler, team: Team, kv_type: str, head_dim: int, group: int, isa: Isa
) -> None:
    heads = Heads(compiler, kv_type, head_dim, group, isa)
    step = step_of([range(context - 1, context) for context in CONTEXTS])
    rng = np.random.default_rng(2)
    # Scaled so that the softmax is neither flat nor all on one token.
    queries = rng.normal(0, 3 / np.sqrt(head_dim), (5, heads.heads, head_dim)).astype(np.float32)
    out = heads.attend(team, queries, step)
    for row in range(len(CONTEXTS)):
        for head in range(heads.heads):
            twin = heads.twin(queries[row, head], step, row, head)
            np.testing.assert_allclose(out[row, head], twin, rtol=0, atol=1e-5)


@in_both_types
def test_a_long_context_is_the_same_split_over_threads_or_not(
    compiler: KernelCompiler, teams: dict[int, Team], kv_type: str
) -> None:
    heads = Heads(compiler, kv_type, 64, 3, blocks=2 * PART_TOKENS // 32 + 3)
    last = 2 * PART_TOKENS + 40
    # Rows on both sides of a part's border, and so many that two threads do not split them.
    step = step_of([range(last)])
    rows = np.array([0, PART_TOKENS - 1, PART_TOKENS, 2 * PART_TOKENS + 33, *range(last - 6, last)])
    queries = np.random.default_rng(8).normal(0, 0.4, (10, 6, 64)).astype(np.float32)
    many = Step(rows.astype(np.int32), np.zeros(10, np.int32), step.tables, np.array([10]))
    together = heads.attend(teams[2], queries, many)
    for row in range(10):
        for head in range(heads.heads):
            twin = heads.twin(queries[row, head], many, row, head)
            np.testing.assert_allclose(together[row, head], twin, rtol=0, atol=1e-5)
        one = Step(many.positions[row : row + 1], many.sequences[:1], step.tables, np.array([1]))
        for team in teams.values():
            alone = heads.attend(team, queries[row : row + 1], one)
            np.testing.assert_array_equal(alone[0], together[row])


@in_both_types
def test_the_longest_context_equals_the_twin(
    compiler: KernelCompiler, team: Team, kv_type: str
) -> None:
    heads = Heads(compiler, kv_type, 64, 3)
    last = 131_072
    table = np.random.default_rng(9).integers(0, 16, (1, last // 32)).astype(np.int32)
    one = np.array([1], np.int64)
    step = Step(np.array([last - 1], np.int32), np.zeros(1, np.int32), table, one)
    queries = np.random.default_rng(10).normal(0, 1, (1, 6, 64)).astype(np.float32)
    out = heads.attend(team, queries, step)
    for head in range(heads.heads):
        twin = heads.twin(queries[0, head], step, 0, head)
        np.testing.assert_allclose(out[0, head], twin, rtol=0, atol=1e-5)


@in_both_types
def test_scores_far_apart_neither_overflow_nor_vanish(
    compiler: KernelCompiler, team: Team, kv_type: str
) -> None:
    heads = Heads(compiler, kv_type, 64, 3)
    step = step_of([range(99, 100)])
    queries = np.random.default_rng(3).normal(0, 100, (1, heads.heads, 64)).astype(np.float32)
    out = heads.attend(team, queries, step)
    for head in range(heads.heads):
        # Scores reach some thousands: their own rounding is 1e-4, and weights move by as much.
        twin = heads.twin(queries[0, head], step, 0, head)
        np.testing.assert_allclose(out[0, head], twin, rtol=0, atol=2e-3)


@in_both_types
def test_a_row_attends_alike_alone_and_among_others_with_any_number_of_threads(
    compiler: KernelCompiler, teams: dict[int, Team], kv_type: str
) -> None:
    heads = Heads(compiler, kv_type, 64, 3)
    step = step_of([range(40), range(30, 33), range(64, 65)])
    shape = (int(step.rows[0]), heads.heads, 64)
    queries = np.random.default_rng(4).normal(0, 0.4, shape).astype(np.float32)
    together = heads.attend(teams[1], queries, step)
    for team in teams.values():
        np.testing.assert_array_equal(heads.attend(team, queries, step), together)
        for row in (0, 31, 32, 39, 41, 43):
            alone = Step(
                step.positions[row : row + 1], step.sequences[row : row + 1], step.tables,
                np.array([1], np.int64),
            )  # fmt: skip
            out = heads.attend(team, queries[row : row + 1], alone)
            np.testing.assert_array_equal(out[0], together[row])


def test_what_lies_behind_the_context_has_no_weight(compiler: KernelCompiler, team: Team) -> None:
    heads = Heads(compiler, "bf16", 64, 3)
    step = step_of([range(32, 33)])
    queries = np.random.default_rng(5).normal(0, 0.4, (1, 6, 64)).astype(np.float32)
    before = heads.attend(team, queries, step)
    block = step.tables[0, 1]
    for kv_head in range(KV_HEADS):
        keys, values = (part.copy() for part in heads.cache.read(block, kv_head))
        keys[1:], values[1:] = 1e6, -1e6
        heads.cache.write(block, kv_head, keys, values)
    np.testing.assert_array_equal(heads.attend(team, queries, step), before)


@in_both_types
@pytest.mark.parametrize(
    ("head_dim", "group", "has_bias", "has_norms"),
    [(64, 3, False, False), (64, 3, True, False), (128, 8, False, True)],
    ids=["llama", "qwen2", "qwen3"],
)
def test_queries_are_turned_and_keys_and_values_cached_as_the_twin_says(
    compiler: KernelCompiler, teams: dict[int, Team], kv_type: str, head_dim: int, group: int,
    has_bias: bool, has_norms: bool,
) -> None:  # fmt: skip
    heads = Heads(compiler, kv_type, head_dim, group)
    before = heads.cache.memory.copy()
    step = step_of([range(30, 35), range(1), range(99, 100)])
    rng = np.random.default_rng(6)
    width = (heads.heads + 2 * KV_HEADS) * head_dim
    qkv = rng.standard_normal((7, width)).astype(np.float32)
    bias = rng.standard_normal(width).astype(np.float32) if has_bias else None
    norms = rng.normal(1, 0.1, (2, head_dim)).astype(np.float32)
    rope = RopeConfig("half", head_dim, 10_000.0)
    table = RopeTable(rope, 128)
    table.reach(127)

    def prepared(row: Floats, position: int, head: int) -> npt.NDArray[np.float64]:
        x = row.reshape(-1, head_dim)[head].astype(np.float64)
        if has_norms:
            x = rms_norm(x, norms[0] if head < heads.heads else norms[1], EPS)
        return rotate(x, position, rope)

    for team in teams.values():
        heads.cache.memory[:] = before
        queries = heads.rope(team, qkv, step, table, bias, tuple(norms) if has_norms else None)
        untouched = before.copy()
        for row, position in enumerate(step.positions):
            x = qkv[row] if bias is None else qkv[row] + bias
            for head in range(heads.heads):
                twin = prepared(x, position, head) / np.sqrt(head_dim)
                np.testing.assert_allclose(queries[row, head], twin, rtol=0, atol=1e-5)
            block = step.tables[step.sequences[row], position // 32]
            for kv_head in range(KV_HEADS):
                key, value = (part[position % 32] for part in heads.cache.read(block, kv_head))
                twin = prepared(x, position, heads.heads + kv_head)
                assert_kept(kv_type, key, twin)
                values = x.reshape(-1, head_dim)[heads.heads + KV_HEADS + kv_head]
                assert_kept(kv_type, value, values)
            untouched[block] = heads.cache.memory[block]
        np.testing.assert_array_equal(heads.cache.memory, untouched)


def assert_kept(kv_type: str, kept: Floats, exact: npt.NDArray[Any]) -> None:
    """bf16 rounds to half of 2^-7; q8_0 to half a step, where 126 steps reach the largest of 32."""
    if kv_type == "bf16":
        np.testing.assert_allclose(kept, exact, rtol=2**-8, atol=1e-5)
    else:
        step = np.repeat(abs(exact.reshape(-1, 32)).max(axis=1) / 126, 32)
        np.testing.assert_array_less(abs(kept - exact), 0.5 * step + 1e-5)


@in_both_types
def test_caching_costs_little(compiler: KernelCompiler, team: Team, kv_type: str) -> None:
    """From q, k, v to what attention gives, against float64 throughout: what the cache rounds."""
    heads = Heads(compiler, kv_type, 64, 3)
    step = step_of([range(50)])
    rng = np.random.default_rng(7)
    qkv = rng.standard_normal((50, (heads.heads + 2 * KV_HEADS) * 64)).astype(np.float32)
    rope = RopeConfig("half", 64, 10_000.0)
    table = RopeTable(rope, 64)
    table.reach(63)
    out = heads.attend(team, heads.rope(team, qkv, step, table), step)
    parts = qkv.reshape(50, -1, 64)
    turned = np.array(
        [[rotate(head, position, rope) for head in row] for position, row in enumerate(parts)]
    )
    for head in range(heads.heads):
        keys = turned[:, heads.heads + head // 3]
        values = parts[:, heads.heads + KV_HEADS + head // 3]
        twin = attend(turned[49, head], keys, values, scale=1 / 8)
        np.testing.assert_allclose(out[49, head], twin, rtol=0, atol=0.01)
