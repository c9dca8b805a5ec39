"""A ladder of quantisations against their source: all of them read the same text side by side.

The source's logits are kept nowhere: of 8,000 predictions over a vocabulary of 152,064 they would
be 5 GB. Instead it reads along with as many quantisations as fit into memory beside it, and once
more with the next ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stillhouse.checkpoints import Checkpoint
from stillhouse.errors import BadCheckpoint, NotEnoughSpace, UsageError
from stillhouse.quantize.divergence import Divergences, Logits, divergences, joined
from stillhouse.quantize.quality_figures import QualityFigures, quality_figures
from stillhouse.quantize.reading import LoadProgress, TextReader, pieces, reader_bytes
from stillhouse.quantize.speed import Speed, measure_speed
from stillhouse.quantize.texts import Ids, windows
from stillhouse.text import Tokenizer
from stillhouse.units import format_bytes

_MEMORY_SHARE = 0.8  # of what is free: the rest is for what is not counted
_TOKENIZER_KEYS = ("tokens", "merges", "token_type", "model", "pre")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to be measured, open, and what people call it."""

    name: str
    checkpoint: Checkpoint

    @property
    def bits_per_weight(self) -> float:
        """Of all tensors, vectors included."""
        tensors = self.checkpoint.tensors.values()
        numbers = sum(math.prod(tensor.shape) for tensor in tensors)
        return 8 * sum(tensor.num_bytes for tensor in tensors) / numbers


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of one candidate."""

    name: str
    figures: QualityFigures
    speed: Speed | None


@dataclass(frozen=True, slots=True)
class Ladder:
    """Every candidate, in the order given, and the source's own speed."""

    measured: list[Measured]
    source_speed: Speed | None
    scored_tokens: int


def text_windows(
    candidates: Sequence[Candidate], text: str, *, size: int, max_tokens: int | None
) -> list[Ids]:
    """The text as all candidates read it, cut into windows.

    Raises UsageError where two of them read it as other tokens, or have other vocabularies, and for
    a text shorter than one window.
    """
    first = candidates[0]
    tokenizer = Tokenizer.from_metadata(first.checkpoint.metadata)
    # No token is longer than this on average: most of a large text need not be read.
    shown = text if max_tokens is None else text[: 16 * max_tokens]
    ids = tokenizer.encode(shown)[:max_tokens]
    for other in candidates[1:]:
        if _vocabulary_rows(other) != _vocabulary_rows(first):
            raise UsageError(
                f"{other.name} knows {_vocabulary_rows(other)} tokens, {first.name}"
                f" {_vocabulary_rows(first)}: their predictions cannot be compared"
            )
        if _same_tokenizer(first, other):
            continue
        theirs = Tokenizer.from_metadata(other.checkpoint.metadata)
        if theirs.encode(shown)[:max_tokens] != ids:
            raise UsageError(
                f"{other.name} reads the text as other tokens than {first.name}: their"
                " predictions cannot be compared"
            )
    return windows(ids, size=size, bos_id=tokenizer.bos_id if tokenizer.add_bos else None)


def measure_ladder(
    source: Candidate,
    others: Sequence[Candidate],
    text: Sequence[Ids],
    *,
    threads: int,
    memory_bytes: int | None,
    with_speed: bool = False,
    loading: LoadProgress | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ladder:
    """Score the second half of every window, as llama.cpp does: so each token has a context.

    Args:
        memory_bytes: what may be used; None where nobody knows, then all are loaded at once.
        loading: hears of each model that is loaded.
        progress: of tokens read, by all models together.

    Raises NotEnoughSpace if source and one other do not fit; BadCheckpoint for a model that cannot
    be loaded, or whose logits are not finite.
    """
    groups = _groups(source, others, memory_bytes)
    window = len(text[0])
    total = sum(len(group) + 1 for group in groups) * len(text) * window
    measured, source_speed, done = [], None, 0
    for group in groups:
        with ExitStack() as opened:
            readers = []
            for candidate in (source, *group):
                reader = TextReader(
                    candidate.checkpoint, window=window, threads=threads, progress=loading
                )
                opened.callback(reader.close)
                readers.append(reader)
            speeds: list[Speed | None] = [None] * len(readers)
            if with_speed:
                speeds = [
                    measure_speed(reader.model)
                    if source_speed is None or reader is not readers[0]
                    else source_speed
                    for reader in readers
                ]
                source_speed = speeds[0]
            found: list[list[Divergences]] = [[] for _ in group]
            with ThreadPoolExecutor(threads) as pool:
                for ids in text:
                    _read(readers, ids, found, pool, threads)
                    done += len(readers) * window
                    if progress is not None:
                        progress(done, total)
        for candidate, parts, speed in zip(group, found, speeds[1:], strict=True):
            whole = joined(parts)
            _check_finite(whole, source, candidate)
            measured.append(Measured(candidate.name, quality_figures(whole), speed))
    return Ladder(measured, source_speed, len(text) * (window - 1 - window // 2))


def _read(
    readers: Sequence[TextReader],
    ids: Ids,
    found: Sequence[list[Divergences]],
    pool: ThreadPoolExecutor,
    threads: int,
) -> None:
    """One window, piece by piece: the logits of all readers are compared before the next piece."""
    for piece in pieces(len(ids), len(ids) // 2):
        source, *others = [reader.read(ids, piece) for reader in readers]
        if not piece.is_scored:
            continue
        following = ids[piece.first + 1 : piece.last + 1]
        for parts, logits in zip(found, others, strict=True):
            parts += _compare(source, logits, following, pool, threads)


def _compare(
    source: Logits, other: Logits, next_ids: Ids, pool: ThreadPoolExecutor, threads: int
) -> list[Divergences]:
    """By all threads: numpy lets go of the interpreter's lock."""
    edges = [len(next_ids) * n // threads for n in range(threads + 1)]
    parts = [
        pool.submit(divergences, source[a:b], other[a:b], next_ids[a:b])
        for a, b in pairwise(edges)
        if a < b
    ]
    return [part.result() for part in parts]


def _groups(
    source: Candidate, others: Sequence[Candidate], memory_bytes: int | None
) -> list[list[Candidate]]:
    """The candidates that are loaded together, as many as fit beside the source."""
    if memory_bytes is None:
        return [list(others)]
    source_bytes, room = reader_bytes(source.checkpoint), int(_MEMORY_SHARE * memory_bytes)
    groups: list[list[Candidate]] = []
    left = 0
    for other in others:
        needed = reader_bytes(other.checkpoint)
        if source_bytes + needed > room:
            raise NotEnoughSpace(
                f"{source.name} and {other.name} together take about"
                f" {format_bytes(source_bytes + needed)} of memory, and {format_bytes(room)} are"
                " free"
            )
        if not groups or needed > left:
            groups.append([])
            left = room - source_bytes
        groups[-1].append(other)
        left -= needed
    return groups


def _check_finite(found: Divergences, source: Candidate, other: Candidate) -> None:
    for name, values in ((source.name, found.source_nll), (other.name, found.nll + found.kl)):
        if not np.isfinite(values).all():
            raise BadCheckpoint(f"{name} makes logits that are not finite")


def _same_tokenizer(a: Candidate, b: Candidate) -> bool:
    """Whether both files hold the same tables, which costs less than building a tokenizer."""
    ours, theirs = a.checkpoint.metadata, b.checkpoint.metadata
    keys = [f"tokenizer.ggml.{name}" for name in _TOKENIZER_KEYS]
    return all(
        key in ours and key in theirs and np.array_equal(ours[key], theirs[key]) for key in keys
    )


def _vocabulary_rows(candidate: Candidate) -> int:
    """Rows of the embedding table: as many logits there are."""
    table = candidate.checkpoint.tensors.get("token_embd.weight")
    if table is None:
        raise BadCheckpoint(f"{candidate.name} has no tensor token_embd.weight")
    return table.shape[0]
