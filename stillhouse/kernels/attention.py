"""Attention over a paged KV cache, laid out as kv_layout.py says.

The query heads that share a KV head are worked on together: each key and value is read once for all
of them. A context is worked on in parts of 2,048 tokens, which are then merged in order. Where
there are too few rows to keep the threads busy, ``attention`` shares out the parts and ``merge``
joins them; otherwise a thread does all parts of a row. The result has the same bits either way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.activations import quantize_span
from stillhouse.kernels.blocks import (
    block_add_rows_scaled,
    block_add_scaled,
    block_dot,
    block_fma,
    block_load,
    block_minus_sums,
    block_of,
    block_scale,
    block_store,
    code_tables,
)
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.kv_layout import BLOCK_TOKENS, KV_KINDS, head_block_bytes
from stillhouse.kernels.team import share

PART_TOKENS = 2048
_ITEMS_A_THREAD = 4  # with fewer rows and KV heads than this, contexts are split


class AttentionArguments(NamedTuple):
    """Arguments of both kernels; names as in ``rotary.RopeArguments``.

    ``out``: float32 (rows, heads, head_dim). ``scratch``: ``scratch_stride`` bytes a thread.
    ``partials``: ``partials_bytes``, for parts on their way to ``merge``.
    """

    queries: int
    out: int
    positions: int
    sequences: int
    tables: int
    table_width: int
    cache: int
    kv_heads: int
    rows: int
    scratch: int
    scratch_stride: int
    partials: int


def _state_bytes(head_dim: int, group: int) -> int:
    """What a part leaves: for each head a sum of values, the largest score, and the sum of weights
    (both float32, sixteen heads' worth of each at least).
    """
    return group * head_dim * 4 + 2 * _padded(group)


def _padded(group: int) -> int:
    return -(-group // 16) * 64


def scratch_bytes(head_dim: int, group: int) -> int:
    """Two states, the weights of a block for each 32 dimensions, corrections, and int8 queries."""
    parts = head_dim // 32
    queries = group * (head_dim + parts * 16)
    weights = (parts + 1) * group * 128
    return 2 * _state_bytes(head_dim, group) + weights + _padded(group) + queries + 64


def partials_bytes(context_tokens: int, threads: int, head_dim: int, group: int) -> int:
    """The parts of as many rows and KV heads as are split at most."""
    parts = -(-context_tokens // PART_TOKENS)
    return _ITEMS_A_THREAD * threads * parts * _state_bytes(head_dim, group)


@njit(inline="always", **NJIT_OPTIONS)
def _is_split(items: int, threads: int) -> bool:
    return items < _ITEMS_A_THREAD * threads


@njit(inline="always", **NJIT_OPTIONS)
def _quantize_queries(HEAD_DIM: int, GROUP: int, q: int, codes: int) -> None:
    """A group's queries as int8 (head, head_dim), then scales, then sums of codes, (head, parts)
    each.
    """
    parts = HEAD_DIM // 32
    scales = codes + GROUP * HEAD_DIM
    sums = scales + GROUP * parts * 4
    spare = sums + GROUP * parts * 4
    for n in range(GROUP * parts):
        quantize_span(32, q + 128 * n, codes + 32 * n, scales + 4 * n, spare, sums + 4 * n, 0)


@njit(inline="always", **NJIT_OPTIONS)
def _scores(
    KIND: int, ISA: int, HEAD_DIM: int, GROUP: int, VALUES: int, keys: int, half: int, q: int,
    codes: int,
) -> Any:  # fmt: skip
    """q · k of sixteen tokens, tokens in the lanes, one entry a head."""
    scores = block_of(GROUP, simd.zeros())
    if KIND == 0:
        for d in range(HEAD_DIM):
            k = simd.load_bf16_as_f32(keys + 64 * d + 32 * half)
            scores = block_fma(GROUP, scores, k, q + 4 * d, HEAD_DIM * 4)
    else:
        parts = HEAD_DIM // 32
        scales = codes + GROUP * HEAD_DIM
        sums = scales + GROUP * parts * 4
        for part in range(parts):
            dots = block_minus_sums(GROUP, 7, sums + 4 * part, parts * 4)
            at = keys + 1024 * part + 512 * half
            x, tables = codes + 32 * part, code_tables(ISA, 8)
            dots = block_dot(ISA, 8, GROUP, tables, dots, at, x, HEAD_DIM)
            k_scale = simd.load_bf16_as_f32(keys + VALUES + 64 * part + 32 * half)
            scaled = block_add_scaled(GROUP, block_of(GROUP, simd.zeros()), dots, k_scale)
            scores = block_add_rows_scaled(GROUP, scores, scaled, scales + 4 * part, parts * 4)
    return scores


@njit(inline="always", **NJIT_OPTIONS)
def _keys_at(
    HEAD_BYTES: int, cache: int, table: int, kv_heads: int, kv_head: int, token: int
) -> int:
    """Where the block that holds a token has its keys of a KV head; values come behind them."""
    block = simd.load_i32(table + 4 * (token // BLOCK_TOKENS))
    at: int = cache + (block * kv_heads + kv_head) * 2 * HEAD_BYTES
    return at


@njit(inline="always", **NJIT_OPTIONS)
def _attend(
    KIND: int, ISA: int, HEAD_DIM: int, GROUP: int, HEAD_BYTES: int, PADDED: int, q: int,
    codes: int, cache: int, table: int, kv_heads: int, kv_head: int, first: int, last: int,
    weights: int, state: int,
) -> None:  # fmt: skip
    """Leave softmax(q · k) v over tokens first to last in ``state``, not yet divided by the sum of
    weights: block by block with a running maximum (arXiv:1805.02867).
    """
    VALUES, AHEAD = BLOCK_TOKENS * HEAD_DIM, 2 * HEAD_BYTES // HEAD_DIM
    y, peaks = state, state + GROUP * HEAD_DIM * 4
    sums = peaks + PADDED
    corrections = weights + (HEAD_DIM // 32 + 1) * GROUP * 128
    for h in range(GROUP):
        simd.store_f32(peaks + 4 * h, np.float32(-1e30))
        simd.store_f32(sums + 4 * h, np.float32(0))
    for at in range(y, y + GROUP * HEAD_DIM * 4, 64):
        simd.store(at, simd.zeros())
    keys = _keys_at(HEAD_BYTES, cache, table, kv_heads, kv_head, first)
    for start in range(first, last, 32):
        count = min(32, last - start)
        values = keys + HEAD_BYTES
        following = keys
        if start + 32 < last:
            following = _keys_at(HEAD_BYTES, cache, table, kv_heads, kv_head, start + 32)
        for half in range(2):
            scores = _scores(KIND, ISA, HEAD_DIM, GROUP, VALUES, keys, half, q, codes)
            block_store(GROUP, scores, weights + 64 * half, 128, 0)
        for h in range(GROUP):
            at = weights + 128 * h
            one = simd.keep_first(simd.load(at), count)
            two = simd.keep_first(simd.load(at + 64), count - 16)
            before = simd.load_f32(peaks + 4 * h)
            peak = max(before, simd.max_lanes(simd.maximum(one, two)))
            level = simd.splat_f32(peak)
            one, two = simd.exp(simd.sub(one, level)), simd.exp(simd.sub(two, level))
            simd.store(at, one)
            simd.store(at + 64, two)
            correction = simd.max_lanes(simd.exp(simd.splat_f32(before - peak)))
            total = simd.load_f32(sums + 4 * h) * correction
            total += simd.sum_lanes(simd.add(one, two))
            simd.store_f32(sums + 4 * h, total)
            simd.store_f32(peaks + 4 * h, peak)
            simd.store_f32(corrections + 4 * h, correction)
            if KIND == 1:
                # The values' scales go into copies of the weights, one for each 32 dimensions.
                for part in range(HEAD_DIM // 32):
                    scales = values + VALUES + 64 * part
                    into = at + (part + 1) * GROUP * 128
                    simd.store(into, simd.mul(one, simd.load_bf16_as_f32(scales)))
                    simd.store(into + 64, simd.mul(two, simd.load_bf16_as_f32(scales + 32)))
        for d in range(0, HEAD_DIM, 16):
            # A block takes too long for the hardware to look ahead to the next by itself.
            for line in range(d * AHEAD, (d + 16) * AHEAD, 64):
                simd.prefetch_l2(following + line)
            mixed = block_load(GROUP, y + 4 * d, HEAD_DIM * 4)
            mixed = block_scale(GROUP, mixed, corrections)
            if KIND == 0:
                for token in range(count):
                    v = simd.load_bf16_as_f32(values + 2 * (HEAD_DIM * token + d))
                    mixed = block_fma(GROUP, mixed, v, weights + 4 * token, 128)
            else:
                scaled = weights + (d // 32 + 1) * GROUP * 128
                for token in range(count):
                    v = simd.load_i8_as_f32(values + HEAD_DIM * token + d)
                    mixed = block_fma(GROUP, mixed, v, scaled + 4 * token, 128)
            block_store(GROUP, mixed, y + 4 * d, HEAD_DIM * 4, 0)
        keys = following


@njit(inline="always", **NJIT_OPTIONS)
def _merge(HEAD_DIM: int, GROUP: int, PADDED: int, total: int, part: int) -> None:
    """Add the state of a later part to the total of those before it."""
    peaks = GROUP * HEAD_DIM * 4
    for h in range(GROUP):
        at = peaks + 4 * h
        peak = max(simd.load_f32(total + at), simd.load_f32(part + at))
        old = simd.exp(simd.splat_f32(simd.load_f32(total + at) - peak))
        new = simd.exp(simd.splat_f32(simd.load_f32(part + at) - peak))
        for y in range(h * HEAD_DIM * 4, (h + 1) * HEAD_DIM * 4, 64):
            scaled = simd.mul(simd.load(total + y), old)
            simd.store(total + y, simd.fma(simd.load(part + y), new, scaled))
        weight = simd.load_f32(total + at + PADDED) * simd.max_lanes(old)
        weight += simd.load_f32(part + at + PADDED) * simd.max_lanes(new)
        simd.store_f32(total + at, peak)
        simd.store_f32(total + at + PADDED, weight)


@njit(inline="always", **NJIT_OPTIONS)
def _finish(HEAD_DIM: int, GROUP: int, PADDED: int, state: int, out: int) -> None:
    """Divide by the sums of weights."""
    sums = state + GROUP * HEAD_DIM * 4 + PADDED
    for h in range(GROUP):
        factor = simd.splat_f32(np.float32(1) / simd.load_f32(sums + 4 * h))
        for at in range(h * HEAD_DIM * 4, (h + 1) * HEAD_DIM * 4, 64):
            simd.store(out + at, simd.mul(simd.load(state + at), factor))


def make_attention(isa: Isa, kv_type: str, head_dim: int, group: int) -> Any:
    """Softmax(q · k) v over each row's context; where contexts are split, ``merge`` has to
    follow.
    """
    ISA, KIND, HEAD_DIM, GROUP = int(isa), KV_KINDS[kv_type], head_dim, group
    HEAD_BYTES, PADDED = head_block_bytes(kv_type, head_dim), _padded(group)
    STATE, WEIGHTS = _state_bytes(head_dim, group), (head_dim // 32 + 1) * group * 128

    def attention(args: int, thread: int, threads: int) -> None:
        queries, out = simd.load_i64(args), simd.load_i64(args + 8)
        positions, sequences = simd.load_i64(args + 16), simd.load_i64(args + 24)
        tables, table_width = simd.load_i64(args + 32), simd.load_i64(args + 40)
        cache, kv_heads = simd.load_i64(args + 48), simd.load_i64(args + 56)
        rows = simd.load_i64(simd.load_i64(args + 64))
        total = simd.load_i64(args + 72) + thread * simd.load_i64(args + 80)
        state = simd.load_i64(args + 88)
        part_state = total + STATE
        weights = part_state + STATE
        codes = weights + WEIGHTS + PADDED
        items, ticket = rows * kv_heads, 0
        split = _is_split(items, threads)
        # Items of one KV head go to one thread where the numbers allow: its keys stay in that
        # core's cache.
        for item in range(0 if split else thread, items, 1 if split else threads):
            row, kv_head = item // kv_heads, item % kv_heads
            context = simd.load_i32(positions + 4 * row) + 1
            table = tables + 4 * simd.load_i32(sequences + 4 * row) * table_width
            first_head = item * GROUP * HEAD_DIM * 4
            q = queries + first_head
            ready = False
            for first in range(0, context, PART_TOKENS):
                into = state if split else (total if first == 0 else part_state)
                if not split or ticket % threads == thread:
                    if KIND == 1 and not ready:
                        _quantize_queries(HEAD_DIM, GROUP, q, codes)
                        ready = True
                    _attend(
                        KIND, ISA, HEAD_DIM, GROUP, HEAD_BYTES, PADDED, q, codes, cache, table,
                        kv_heads, kv_head, first, min(first + PART_TOKENS, context), weights, into,
                    )  # fmt: skip
                    if not split and first > 0:
                        _merge(HEAD_DIM, GROUP, PADDED, total, part_state)
                state += STATE
                ticket += 1
            if not split:
                _finish(HEAD_DIM, GROUP, PADDED, total, out + first_head)

    return attention


def make_merge(head_dim: int, group: int) -> Any:
    """Join the parts of split contexts, in order; nothing where none were."""
    HEAD_DIM, GROUP, PADDED = head_dim, group, _padded(group)
    STATE = _state_bytes(head_dim, group)

    def merge(args: int, thread: int, threads: int) -> None:
        out, positions = simd.load_i64(args + 8), simd.load_i64(args + 16)
        kv_heads, rows = simd.load_i64(args + 56), simd.load_i64(simd.load_i64(args + 64))
        state = simd.load_i64(args + 88)
        items = rows * kv_heads
        if _is_split(items, threads):
            mine, end = share(items, thread, threads)
            for item in range(end):
                context = simd.load_i32(positions + 4 * (item // kv_heads)) + 1
                total = state
                for _ in range(0, context, PART_TOKENS):
                    if item >= mine and state != total:
                        _merge(HEAD_DIM, GROUP, PADDED, total, state)
                    state += STATE
                if item >= mine:
                    _finish(HEAD_DIM, GROUP, PADDED, total, out + item * GROUP * HEAD_DIM * 4)

    return merge
