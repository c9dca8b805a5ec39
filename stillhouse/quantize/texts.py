"""Texts that models are measured on, and the windows of tokens that they are read in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stillhouse.errors import UsageError

Ids = NDArray[np.int32]

WINDOW_TOKENS = 512


def read_text(path: Path) -> str:
    """A file of plain text; of a .jsonl file, the texts among the values of its lines.

    Raises UsageError for a file that is missing, not UTF-8 or not JSON, or that holds no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}") from error
    if path.suffix.lower() == ".jsonl":
        lines = enumerate(text.splitlines(), start=1)
        text = "\n".join(
            part for number, line in lines if line.strip() for part in _texts(path, number, line)
        )
    if not text.strip():
        raise UsageError(f"{path.name} holds no text")
    return text


def windows(
    token_ids: Sequence[int], *, size: int = WINDOW_TOKENS, bos_id: int | None = None
) -> list[Ids]:
    """The text in whole windows of ``size`` tokens; what is left at the end is not used.

    ``bos_id`` takes the place of each window's first token, where a model begins with one. Raises
    UsageError if there is not a single window.
    """
    count = len(token_ids) // size
    if count == 0:
        raise UsageError(
            f"the text has {len(token_ids)} tokens, and a window takes {size}",
            hint="give a longer text, more --tokens or a smaller --window",
        )
    rows = np.array(token_ids[: count * size], np.int32).reshape(count, size)
    if bos_id is not None:
        rows[:, 0] = bos_id
    return list(rows)


def _texts(path: Path, number: int, line: str) -> list[str]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path.name}, line {number}: not JSON: {error}") from error
    if isinstance(value, str):
        return [value]
    return [v for v in value.values() if isinstance(v, str)] if isinstance(value, dict) else []
