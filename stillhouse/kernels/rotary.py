"""What fills the KV cache: bias, QK norm and rotary embedding of a step's queries, keys and values.

Entries are laid out as kv_layout.py says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from stillhouse.kernels import simd
from stillhouse.kernels.compiler import NJIT_OPTIONS
from stillhouse.kernels.kv_layout import KV_KINDS, head_block_bytes


class RopeArguments(NamedTuple):
    """Arguments of the kernel that turns a step's q, k, v into queries and cache entries.

    Addresses but for the counts. ``qkv``: float32 (rows, (heads + 2 kv_heads) * head_dim);
    ``bias``: float32 of that width, or 0; ``query_norm``, ``key_norm``: float32 (head_dim,) or 0;
    ``eps``: a float32; ``cosines``, ``sines``: float32 (positions, rope_dim / 2); ``queries``:
    float32 (rows, heads, head_dim), written scaled by 1 / sqrt(head_dim); ``positions``,
    ``sequences``: int32 (rows,); ``tables``: int32 (sequences, table_width) of block numbers;
    ``cache``: this layer's blocks; ``rows``: the number of rows.
    """

    qkv: int
    bias: int
    query_norm: int
    key_norm: int
    eps: int
    cosines: int
    sines: int
    queries: int
    positions: int
    sequences: int
    tables: int
    table_width: int
    cache: int
    kv_heads: int
    rope_dim: int
    rows: int


@njit(inline="always", **NJIT_OPTIONS)
def _prepare_head(
    HEAD_DIM: int, x: int, bias: int, norm: int, eps: np.float32, cosines: int, sines: int,
    rope_dim: int, factor: np.float32, out: int,
) -> None:  # fmt: skip
    """Bias, norm and rotation of one query or key head, from x to ``out`` (may be x itself)."""
    squares = simd.zeros()
    for d in range(0, HEAD_DIM, 16):
        v = simd.load(x + 4 * d)
        if bias != 0:
            v = simd.add(v, simd.load(bias + 4 * d))
        simd.store(out + 4 * d, v)
        squares = simd.fma(v, v, squares)
    if norm != 0:
        mean = simd.sum_lanes(squares) / np.float32(HEAD_DIM)
        scale = simd.splat_f32(np.float32(1) / np.sqrt(np.float32(mean + eps)))
        for d in range(0, HEAD_DIM, 16):
            v = simd.mul(simd.load(out + 4 * d), scale)
            simd.store(out + 4 * d, simd.mul(v, simd.load(norm + 4 * d)))
    half = rope_dim // 2
    for d in range(0, half, 16):
        first, second = out + 4 * d, out + 4 * (d + half)
        a, b = simd.load(first), simd.load(second)
        cosine, sine = simd.load(cosines + 4 * d), simd.load(sines + 4 * d)
        simd.store(first, simd.sub(simd.mul(a, cosine), simd.mul(b, sine)))
        simd.store(second, simd.add(simd.mul(b, cosine), simd.mul(a, sine)))
    if factor != 1:
        for d in range(0, HEAD_DIM, 16):
            simd.store(out + 4 * d, simd.mul(simd.load(out + 4 * d), simd.splat_f32(factor)))


@njit(inline="always", **NJIT_OPTIONS)
def _q8_scale(x: int) -> Any:
    """The scale of 32 floats at x: max|x| / 127, raised by a bf16's step and cut to a bf16.

    Rounded before it divides, so that rounding it costs nothing, and up, so that no code passes
    127.
    """
    largest = simd.maximum(simd.magnitude(simd.load(x)), simd.magnitude(simd.load(x + 64)))
    raised = simd.max_lanes(largest) * np.float32((1 + 2**-7) / 127)
    return simd.max_lanes(simd.and_constant(simd.splat_f32(raised), 0xFFFF0000))


@njit(inline="always", **NJIT_OPTIONS)
def _inverse(scale: np.float32) -> Any:
    return np.float32(1) / scale if scale > 0 else np.float32(0)


@njit(inline="always", **NJIT_OPTIONS)
def _write_bf16(
    HEAD_DIM: int, key: int, value: int, keys_to: int, values_to: int, slot: int
) -> None:
    for d in range(HEAD_DIM):
        simd.store_bf16(keys_to + 2 * (32 * d + slot), simd.load_f32(key + 4 * d))
    for d in range(0, HEAD_DIM, 16):
        simd.store_as_bf16(values_to + 2 * (HEAD_DIM * slot + d), simd.load(value + 4 * d))


@njit(inline="always", **NJIT_OPTIONS)
def _write_q8_0(
    HEAD_DIM: int, key: int, value: int, keys_to: int, values_to: int, slot: int
) -> None:
    scales_at = 32 * HEAD_DIM
    lane = slot // 16 * 512 + slot % 16 * 4
    for part in range(HEAD_DIM // 32):
        scale = _q8_scale(key + 128 * part)
        simd.store_bf16(keys_to + scales_at + 2 * (32 * part + slot), scale)
        inverse = _inverse(scale)
        for d in range(32):
            code = np.int64(np.rint(simd.load_f32(key + 4 * (32 * part + d)) * inverse))
            simd.store_i8(keys_to + 1024 * part + lane + 64 * (d // 4) + d % 4, code + 128)
        scale = _q8_scale(value + 128 * part)
        simd.store_bf16(values_to + scales_at + 2 * (32 * part + slot), scale)
        factor = simd.splat_f32(_inverse(scale))
        for d in range(32 * part, 32 * part + 32, 16):
            codes = simd.round_to_i32(simd.mul(simd.load(value + 4 * d), factor))
            simd.store_low_bytes(values_to + HEAD_DIM * slot + d, codes)


def make_rope(kv_type: str, head_dim: int, group: int) -> Any:
    """Bias, QK norm and rope; queries to a buffer, keys and values into the cache (see
    RopeArguments).
    """
    KIND, HEAD_DIM, GROUP = KV_KINDS[kv_type], head_dim, group
    HEAD_BYTES = head_block_bytes(kv_type, head_dim)
    SCALE = np.float32(1 / np.sqrt(head_dim))

    def rope(args: int, thread: int, threads: int) -> None:
        qkv, bias = simd.load_i64(args), simd.load_i64(args + 8)
        query_norm, key_norm = simd.load_i64(args + 16), simd.load_i64(args + 24)
        eps = simd.load_f32(simd.load_i64(args + 32))
        cosines, sines = simd.load_i64(args + 40), simd.load_i64(args + 48)
        queries, positions = simd.load_i64(args + 56), simd.load_i64(args + 64)
        sequences, tables = simd.load_i64(args + 72), simd.load_i64(args + 80)
        table_width, cache = simd.load_i64(args + 88), simd.load_i64(args + 96)
        kv_heads, rope_dim = simd.load_i64(args + 104), simd.load_i64(args + 112)
        rows = simd.load_i64(simd.load_i64(args + 120))
        heads = kv_heads * GROUP
        width = (heads + 2 * kv_heads) * HEAD_DIM * 4
        for item in range(thread, rows * kv_heads, threads):
            row, kv_head = item // kv_heads, item % kv_heads
            position = simd.load_i32(positions + 4 * row)
            turn = position * (rope_dim // 2) * 4
            for h in range(kv_head * GROUP, (kv_head + 1) * GROUP):
                at = 4 * h * HEAD_DIM
                _prepare_head(
                    HEAD_DIM, qkv + row * width + at, bias + at if bias != 0 else 0, query_norm,
                    eps, cosines + turn, sines + turn, rope_dim, SCALE,
                    queries + row * heads * HEAD_DIM * 4 + at,
                )  # fmt: skip
            sequence = simd.load_i32(sequences + 4 * row)
            block = simd.load_i32(tables + 4 * (sequence * table_width + position // 32))
            slot = position % 32
            keys_to = cache + (block * kv_heads + kv_head) * 2 * HEAD_BYTES
            values_to = keys_to + HEAD_BYTES
            at = 4 * (heads + kv_head) * HEAD_DIM
            key = qkv + row * width + at
            _prepare_head(
                HEAD_DIM, key, bias + at if bias != 0 else 0, key_norm, eps,
                cosines + turn, sines + turn, rope_dim, np.float32(1), key,
            )  # fmt: skip
            at += 4 * kv_heads * HEAD_DIM
            value = qkv + row * width + at
            if bias != 0:
                for d in range(0, HEAD_DIM, 16):
                    biased = simd.add(simd.load(value + 4 * d), simd.load(bias + at + 4 * d))
                    simd.store(value + 4 * d, biased)
            if KIND == 0:
                _write_bf16(HEAD_DIM, key, value, keys_to, values_to, slot)
            else:
                _write_q8_0(HEAD_DIM, key, value, keys_to, values_to, slot)

    return rope
