"""Small fields inside blocks: half-precision scales, and codes of 1, 2 or 4 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillhouse.encodings.encoding import Bytes, Floats


def half(blocks: Bytes, offset: int) -> Floats:
    """Read the fp16 at byte ``offset`` of each block: (n, 1) float32."""
    return blocks[:, offset : offset + 2].view("<f2").astype(np.float32)


def words(field: Bytes, size: int) -> npt.NDArray[np.uint32]:
    """Read (n, bytes) as little-endian words of ``size`` 2 or 4: (n, bytes // size) uint32."""
    return np.ascontiguousarray(field).view(f"<u{size}").astype(np.uint32)


def split_bits(field: Bytes, bits: int, run: int) -> Bytes:
    """Take bytes apart into codes of 1, 2 or 4 ``bits``: (n, bytes) -> (n, bytes * 8 // bits).

    Bytes come in runs of ``run``: first the lowest codes of a whole run, then the next higher ones,
    and so on; then the next run. ``run=1`` is plain order, lowest bits first.
    """
    count, width = field.shape
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:, np.newaxis]
    planes = field.reshape(count, width // run, 1, run) >> shifts
    planes &= np.uint8((1 << bits) - 1)
    return planes.reshape(count, width * 8 // bits)
