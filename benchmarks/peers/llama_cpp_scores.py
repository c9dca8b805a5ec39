"""llama.cpp's log-probabilities for given token ids: the reference half of
`benchmarks/perplexity.py`.

Runs in the peers' environment, not in ours. The `xllamacpp` wheel wraps only llama.cpp's server,
which has no call for the logits of every position, but its shared library exports llama.cpp's whole
C interface, so ctypes calls that. Only what the C header has kept at the same place for years is
touched: the first fields of `llama_context_params`, and `llama_batch`. `_context_parameters` checks
their defaults before it trusts them.

    python llama_cpp_scores.py MODEL.gguf WINDOWS.npz SCORES.npz --threads 2
    python llama_cpp_scores.py MODEL.gguf TEXT.txt IDS.json --tokenize

WINDOWS.npz holds arrays `window_0`, `window_1` ... of int32 token ids. Each is evaluated from an
empty cache. SCORES.npz holds, for window i of n tokens, `chosen_i` float32 (n - 1,), the
log-probability of each next token of the window, and `top_i` int32 with `top_logprob_i` float32 (n
- 1,), llama.cpp's likeliest next token.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import xllamacpp

# Larger than any version of either struct. Both are passed in memory (over 16 bytes), so the callee
# reads the part it knows and the rest is padding.
_PARAMS_BYTES = 1024
_NUM_CONTEXT_FIELDS = (
    9  # n_ctx n_batch n_ubatch n_seq_max n_rs_seq n_outputs n_outputs_per_seq n_threads ×2
)
_NEW_CONTEXT_DEFAULTS = (512, 2048, 512, 1, 0, 0, 1)


class _Params(ctypes.Structure):
    _fields_ = [("raw", ctypes.c_uint8 * _PARAMS_BYTES)]


class _Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.POINTER(ctypes.c_float)),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


_LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_IGNORE_LOG = _LogCallback(lambda _level, _text, _data: None)


class LlamaCpp:
    """One model with one context of `window` tokens, on `threads` threads."""

    def __init__(self, path: Path, *, threads: int, window: int) -> None:
        self._lib = lib = _library()
        lib.llama_log_set(_IGNORE_LOG, None)
        lib.llama_backend_init()
        self._model = lib.llama_model_load_from_file(
            str(path).encode(), lib.llama_model_default_params()
        )
        assert self._model, f"llama.cpp cannot load {path}"
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._num_vocab = lib.llama_vocab_n_tokens(self._vocab)
        self._context = lib.llama_init_from_model(
            self._model, _context_parameters(lib, window=window, threads=threads)
        )
        assert self._context, "llama.cpp cannot make a context"
        self._batch = lib.llama_batch_init(window, 0, 1)

    def tokenize(self, text: bytes) -> list[int]:
        """Token ids of plain text: no BOS, and text that looks like a special token stays text."""
        ids = (ctypes.c_int32 * (len(text) + 8))()
        count = self._lib.llama_tokenize(self._vocab, text, len(text), ids, len(ids), False, False)
        assert count >= 0
        return list(ids[:count])

    def logits(self, token_ids: np.ndarray) -> np.ndarray:
        """float32 (len(token_ids), vocabulary), a view that the next call overwrites."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)
        batch, count = self._batch, len(token_ids)
        batch.n_tokens = count
        for i, token in enumerate(token_ids):
            batch.token[i], batch.pos[i], batch.logits[i] = int(token), i, 1
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        status = self._lib.llama_decode(self._context, batch)
        assert status == 0, f"llama_decode returned {status}"
        pointer = self._lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(pointer, (count, self._num_vocab))


def next_token_scores(
    logits: np.ndarray, token_ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(chosen, top, top_logprob) as the module says, from float32 (n, vocabulary) logits."""
    rows = logits[:-1]
    top = rows.argmax(axis=1).astype(np.int32)
    peak = rows.max(axis=1)
    log_total = np.empty(len(rows))
    for i in range(len(rows)):  # row by row: float64 of everything at once would be 600 MB
        log_total[i] = np.log(np.exp((rows[i] - peak[i]).astype(np.float64)).sum()) + peak[i]
    index = np.arange(len(rows))
    chosen = rows[index, token_ids[1:]] - log_total
    return chosen.astype(np.float32), top, (peak - log_total).astype(np.float32)


def _context_parameters(lib: ctypes.CDLL, *, window: int, threads: int) -> _Params:
    params: _Params = lib.llama_context_default_params()
    fields = struct.unpack_from(f"<{_NUM_CONTEXT_FIELDS}i", bytes(params.raw))
    if fields[: len(_NEW_CONTEXT_DEFAULTS)] != _NEW_CONTEXT_DEFAULTS:
        raise SystemExit(f"llama_context_params has another layout in this xllamacpp: {fields}")
    # n_outputs_max 0 means as many as the batch holds.
    values = (window, window, window, 1, 0, window, window, threads, threads)
    ctypes.memmove(params.raw, struct.pack(f"<{_NUM_CONTEXT_FIELDS}i", *values), 4 * len(values))
    return params


def _library() -> ctypes.CDLL:
    lib = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    pointer = ctypes.c_void_p
    signatures = {
        "llama_log_set": (None, [_LogCallback, pointer]),
        "llama_backend_init": (None, []),
        "llama_model_default_params": (_Params, []),
        "llama_context_default_params": (_Params, []),
        "llama_model_load_from_file": (pointer, [ctypes.c_char_p, _Params]),
        "llama_model_get_vocab": (pointer, [pointer]),
        "llama_vocab_n_tokens": (ctypes.c_int32, [pointer]),
        "llama_init_from_model": (pointer, [pointer, _Params]),
        "llama_batch_init": (_Batch, [ctypes.c_int32, ctypes.c_int32, ctypes.c_int32]),
        "llama_get_memory": (pointer, [pointer]),
        "llama_memory_clear": (None, [pointer, ctypes.c_bool]),
        "llama_decode": (ctypes.c_int32, [pointer, _Batch]),
        "llama_get_logits": (ctypes.POINTER(ctypes.c_float), [pointer]),
        "llama_tokenize": (
            ctypes.c_int32,
            [
                pointer,
                ctypes.c_char_p,
                ctypes.c_int32,
                ctypes.POINTER(ctypes.c_int32),
                ctypes.c_int32,
                ctypes.c_bool,
                ctypes.c_bool,
            ],
        ),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokenize", action="store_true")
    arguments = parser.parse_args()
    if arguments.tokenize:
        peer = LlamaCpp(arguments.model, threads=arguments.threads, window=32)
        arguments.target.write_text(json.dumps(peer.tokenize(arguments.source.read_bytes())))
        return
    windows = list(np.load(arguments.source).values())
    peer = LlamaCpp(
        arguments.model, threads=arguments.threads, window=max(len(ids) for ids in windows)
    )
    scores: dict[str, Any] = {}
    for i, ids in enumerate(windows):
        chosen, top, top_logprob = next_token_scores(peer.logits(ids), ids)
        scores |= {f"chosen_{i}": chosen, f"top_{i}": top, f"top_logprob_{i}": top_logprob}
    np.savez(arguments.target, **scores)


if __name__ == "__main__":
    main()
