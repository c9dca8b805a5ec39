"""llama.cpp's own quantisers, called in this process from the library that xllamacpp brings."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stillhouse.encodings import by_name


class GgmlQuantizers:
    """``ggml_quantize_chunk`` of ggml.h, on any number of threads.

    Args:
        environments: the folder of the peers' environments, which has "llama_cpp" in it.
    """

    def __init__(self, environments: Path) -> None:
        packages = environments / "llama_cpp/lib"
        found = sorted(packages.glob("python3*/site-packages/xllamacpp/*.so"))
        if not found:
            raise SystemExit(f"no xllamacpp under {packages}; install peers/llama_cpp.txt there")
        versions = sorted(packages.glob("python3*/site-packages/xllamacpp-*.dist-info"))
        self.version = versions[0].stem if versions else "xllamacpp"
        library = ctypes.CDLL(str(found[0]))
        self._encode = library.ggml_quantize_chunk
        self._encode.restype = ctypes.c_size_t
        # type, source, target, first number, rows, columns, importance
        self._encode.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3]
        self._encode.argtypes += [ctypes.c_void_p]
        self._requires_importance = library.ggml_quantize_requires_imatrix
        self._requires_importance.restype = ctypes.c_bool

    def requires_importance(self, encoding: str) -> bool:
        """Whether it refuses to write the format without importance."""
        return bool(self._requires_importance(by_name(encoding).ggml_type))

    def encode_rows(
        self,
        encoding: str,
        rows: NDArray[np.float32],
        importance: NDArray[np.float32] | None,
        *,
        threads: int,
    ) -> NDArray[np.uint8]:
        """As `stillhouse.quantize.rows.encode_rows`, the work cut into as many parts."""
        fmt = by_name(encoding)
        count, columns = rows.shape
        blocks = np.empty((count, columns // fmt.block_size * fmt.block_bytes), np.uint8)
        weights = None if importance is None else importance.ctypes.data

        def work(first: int, last: int) -> None:
            start, source, target = first * columns, rows.ctypes.data, blocks.ctypes.data
            self._encode(fmt.ggml_type, source, target, start, last - first, columns, weights)

        edges = np.linspace(0, count, min(count, 8 * threads) + 1).astype(int)
        with ThreadPoolExecutor(threads) as pool:
            parts = [pool.submit(work, int(a), int(b)) for a, b in pairwise(edges)]
            for part in parts:
                part.result()
        return blocks
