"""What a file says of its vocabulary, and how GGUF files say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from stillhouse.errors import BadCheckpoint
from stillhouse.text.pretokenizers import PreTokenizer, pre_tokenizer


class TokenKind(IntEnum):
    """What ``tokenizer.ggml.token_type`` says of a token (GGUF's numbers)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The parts of a tokenizer, as `Tokenizer` takes them."""

    tokens: Sequence[str]  # by id
    merges: Sequence[str]
    kinds: Mapping[int, int]  # of the tokens that are not normal
    cuts: PreTokenizer
    bos_id: int | None
    eos_id: int
    end_ids: tuple[int, ...]
    add_bos: bool


def vocabulary_of_gguf(metadata: Mapping[str, object]) -> Vocabulary:
    """The vocabulary of a GGUF file. Raises BadCheckpoint where it is missing or not read."""
    model = metadata.get("tokenizer.ggml.model")
    if model != "gpt2":
        raise BadCheckpoint(
            f"its tokenizer is of the kind '{model}'",
            hint="only byte-level BPE ('gpt2') is read: the R1 family, Qwen, Llama 3, SmolLM2",
        )
    cuts = pre_tokenizer(str(metadata.get("tokenizer.ggml.pre", "default")))
    tokens = _strings(metadata, "tokens")
    eos_id = _named_id(metadata, "eos", len(tokens))
    if eos_id is None:
        raise BadCheckpoint("it names no end-of-text token (tokenizer.ggml.eos_token_id)")
    ends = (_named_id(metadata, name, len(tokens)) for name in ("eot", "eom"))
    return Vocabulary(
        tokens,
        _strings(metadata, "merges"),
        _rare_kinds(metadata, len(tokens)),
        cuts,
        bos_id=_named_id(metadata, "bos", len(tokens)),
        eos_id=eos_id,
        end_ids=tuple(i for i in ends if i is not None),
        add_bos=bool(metadata.get("tokenizer.ggml.add_bos_token", cuts.add_bos)),
    )


def _strings(metadata: Mapping[str, object], name: str) -> list[str]:
    values = metadata.get(f"tokenizer.ggml.{name}")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadCheckpoint(f"it has no list of strings tokenizer.ggml.{name}")
    return values


def _rare_kinds(metadata: Mapping[str, object], vocab_size: int) -> dict[int, int]:
    """The kinds of the tokens that are not normal, by id."""
    listed = metadata.get("tokenizer.ggml.token_type")
    if listed is None:
        return {}
    kinds = np.asarray(listed)
    if kinds.shape != (vocab_size,) or kinds.dtype.kind not in "iu":
        raise BadCheckpoint(f"tokenizer.ggml.token_type is no list of {vocab_size} whole numbers")
    return {int(i): int(kinds[i]) for i in np.flatnonzero(kinds != TokenKind.NORMAL)}


def _named_id(metadata: Mapping[str, object], name: str, vocab_size: int) -> int | None:
    token_id = metadata.get(f"tokenizer.ggml.{name}_token_id")
    if token_id is None:
        return None
    if not isinstance(token_id, int) or not 0 <= token_id < vocab_size:
        raise BadCheckpoint(f"{name}_token_id is {token_id!r}; there are {vocab_size} tokens")
    return token_id
