"""Activations as int8 with one scale for a whole row, for the kernels of ``linear_row``.

    scale = max|x| / 127.5 (float32's epsilon for 0); code = round(x / scale), -128 to 127

Ties go to the even neighbour. This is compressed-tensors' dynamic quantisation by token
(quantization/utils/helpers.py, ``calculate_qparams``), so here a step is 1/127.5 of the row's
largest number, and not, as in ``activations``, 1/127 of a span's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stillhouse.kernels import simd
from stillhouse.kernels.team import share

_EPSILON = float(np.finfo(np.float32).eps)


def make_quantize_rows() -> Any:
    """Arguments: x (float32 rows), columns (by 16), rows (address), then QuantizedRows, of which
    ``scales`` and ``sums32`` get one number a row. A row is one thread's work.
    """
    EPSILON = np.float32(_EPSILON)

    def quantize_rows(args: int, thread: int, threads: int) -> None:
        x, columns = simd.load_i64(args), simd.load_i64(args + 8)
        rows = simd.load_i64(simd.load_i64(args + 16))
        codes, scales = simd.load_i64(args + 24), simd.load_i64(args + 32)
        sums = simd.load_i64(args + 48)
        first, last = share(rows, thread, threads)
        for row in range(first, last):
            source, target = x + row * columns * 4, codes + row * columns
            largest = simd.zeros()
            for column in range(0, columns, 16):
                largest = simd.maximum(largest, simd.magnitude(simd.load(source + 4 * column)))
            scale = simd.max_lanes(largest) / np.float32(127.5)
            scale = scale if scale > 0 else EPSILON
            simd.store_f32(scales + 4 * row, scale)
            divisor = simd.splat_f32(scale)
            total = simd.zeros()
            for column in range(0, columns, 16):
                code = simd.round_to_i32(simd.div(simd.load(source + 4 * column), divisor))
                code = simd.minimum_i32(code, 127)
                simd.store_low_bytes(target + column, code)
                total = simd.add_i32(total, code)
            simd.store_i32(sums + 4 * row, simd.sum_lanes_i32(total))

    return quantize_rows
