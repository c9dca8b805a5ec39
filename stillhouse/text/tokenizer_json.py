"""A vocabulary out of tokenizer.json and tokenizer_config.json, as model folders hold it.

Only what byte-level BPE needs is read; what would change the ids and is not known is refused. A
normalisation to NFC is left out (see `tokenizer.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from stillhouse.checkpoints.cursor import shown
from stillhouse.checkpoints.json_object import JsonObject, parse_json_object
from stillhouse.errors import BadCheckpoint
from stillhouse.text.pretokenizers import GPT2_WORDS, PreTokenizer
from stillhouse.text.vocabulary import TokenKind, Vocabulary

JSON_KEY = "tokenizer.huggingface.json"

_MAX_TOKENS = 1 << 21
_MAX_CUTS = 16
_MAX_PATTERN = 8192  # characters; DeepSeek-LLM's list of letters with case takes some 2,000


def vocabulary_of_json(metadata: Mapping[str, object]) -> Vocabulary:
    """The vocabulary of a model folder, filled up with unused tokens to the model's size.

    Raises BadCheckpoint where it is missing, malformed, or not byte-level BPE.
    """
    try:
        whole = parse_json_object(str(metadata[JSON_KEY]))
        settings = parse_json_object(str(metadata.get("tokenizer.huggingface.config", "{}")))
        return _vocabulary(whole, settings, metadata)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"tokenizer.json: {error.message}", hint=error.hint) from error


def _vocabulary(
    whole: JsonObject, settings: JsonObject, metadata: Mapping[str, object]
) -> Vocabulary:
    model = whole.child("model") or JsonObject({})
    _check_model(model)
    _check_normalizer(whole.child("normalizer"))
    ids = _ids(model.child("vocab") or JsonObject({}))
    kinds: dict[int, int] = {}
    for token in _objects(whole, "added_tokens"):
        text, token_id = token.text("content"), token.integer("id")
        if ids.setdefault(text, token_id) != token_id:
            raise BadCheckpoint(f"token {shown(text)} has the ids {ids[text]} and {token_id}")
        is_control = token.flag("special", False)
        kinds[token_id] = TokenKind.CONTROL if is_control else TokenKind.USER_DEFINED
    size = metadata.get(f"{metadata.get('general.architecture')}.vocab_size")
    tokens = _by_id(ids, size if isinstance(size, int) else len(ids), kinds)
    ends = [int(i) for i in np.asarray(metadata.get("tokenizer.huggingface.eos_token_ids", []))]
    named_end = _named_id(settings, "eos_token", ids)
    if named_end is not None:
        ends.insert(0, named_end)
    if not ends or max(ends) >= len(tokens):
        raise BadCheckpoint(f"its end-of-text tokens are {ends}; there are {len(tokens)} tokens")
    bos_id = _named_id(settings, "bos_token", ids)
    cuts = _cuts(whole.child("pre_tokenizer"), whole_words=model.flag("ignore_merges", False))
    return Vocabulary(
        tokens,
        [_merge(merge) for merge in _list(model, "merges")],
        kinds,
        cuts,
        bos_id=bos_id,
        eos_id=ends[0],
        end_ids=tuple(ends[1:]),
        add_bos=settings.flag("add_bos_token", _starts_with_special(whole)),
    )


def _check_model(model: JsonObject) -> None:
    kind = model.text("type", "BPE" if "merges" in model else "none")
    if kind != "BPE" or model.flag("byte_fallback", False):
        raise BadCheckpoint(
            f"its tokenizer is of the kind {shown(kind)}",
            hint="only byte-level BPE is read: the R1 family, Qwen, Llama 3, SmolLM2",
        )
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.text(key, ""):
            raise BadCheckpoint(f"its {key} is not supported")


def _check_normalizer(normalizer: JsonObject | None) -> None:
    if normalizer is None:
        return
    kind = normalizer.text("type")
    parts = _objects(normalizer, "normalizers") if kind == "Sequence" else [normalizer]
    for part in parts:
        if part.text("type") != "NFC":
            raise BadCheckpoint(f"the normalizer {shown(part.text('type'))} is not supported")


def _ids(vocab: JsonObject) -> dict[str, int]:
    if len(vocab.values) > _MAX_TOKENS:
        raise BadCheckpoint(f"it has {len(vocab.values)} tokens; {_MAX_TOKENS} are the limit")
    return {token: vocab.integer(token) for token in vocab}


def _by_id(ids: Mapping[str, int], size: int, kinds: dict[int, int]) -> list[str]:
    """Tokens in the order of their ids; ids that no token has become unused ones."""
    by_id: dict[int, str] = {}
    for token, token_id in ids.items():
        if not 0 <= token_id < size:
            raise BadCheckpoint(f"token {shown(token)} has the id {token_id}, of {size}")
        if token_id in by_id:
            raise BadCheckpoint(
                f"tokens {shown(by_id[token_id])} and {shown(token)} share the id {token_id}"
            )
        by_id[token_id] = token
    for token_id in range(size):
        if token_id not in by_id:
            by_id[token_id] = f"[PAD{token_id}]"
            kinds[token_id] = TokenKind.UNUSED
    return [by_id[token_id] for token_id in range(size)]


def _merge(merge: Any) -> str:
    """ "left right"; newer files hold a list of the two."""
    if isinstance(merge, list) and len(merge) == 2 and all(isinstance(m, str) for m in merge):
        return " ".join(merge)
    if not isinstance(merge, str):
        raise BadCheckpoint(f"the merge {shown(str(merge))} is not 'left right'")
    return merge


def _cuts(pre_tokenizer: JsonObject | None, *, whole_words: bool) -> PreTokenizer:
    if pre_tokenizer is None:
        raise BadCheckpoint("it has no pre_tokenizer")
    patterns = [pattern for part in _flat(pre_tokenizer) for pattern in _patterns(part)]
    if "ByteLevel" not in [part.text("type") for part in _flat(pre_tokenizer)]:
        raise BadCheckpoint("its pre_tokenizer has no ByteLevel", hint="byte-level BPE is read")
    if len(patterns) > _MAX_CUTS or any(len(pattern) > _MAX_PATTERN for pattern in patterns):
        raise BadCheckpoint(f"its pre_tokenizer has {len(patterns)} patterns, or very long ones")
    return PreTokenizer(tuple(patterns), whole_words)


def _flat(pre_tokenizer: JsonObject) -> list[JsonObject]:
    if pre_tokenizer.text("type") != "Sequence":
        return [pre_tokenizer]
    return list(_objects(pre_tokenizer, "pretokenizers"))


def _patterns(part: JsonObject) -> Iterator[str]:
    """The regexes that one pre-tokenizer cuts by."""
    kind = part.text("type")
    if kind == "Split":
        if part.text("behavior", "") != "Isolated" or part.flag("invert", False):
            raise BadCheckpoint(f"a split that is {shown(part.text('behavior', ''))} is not read")
        pattern = part.child("pattern") or JsonObject({})
        is_regex = "Regex" in pattern
        yield pattern.text("Regex") if is_regex else re.escape(pattern.text("String"))
    elif kind == "Digits":
        yield r"\p{N}" if part.flag("individual_digits", False) else r"\p{N}+"
    elif kind == "ByteLevel":
        if part.flag("add_prefix_space", False):
            raise BadCheckpoint("a ByteLevel that adds a space in front is not read")
        if part.flag("use_regex", True):
            yield GPT2_WORDS
    else:
        raise BadCheckpoint(f"the pre-tokenizer {shown(kind)} is not known")


def _starts_with_special(whole: JsonObject) -> bool:
    """Whether its post-processor puts a special token before a text."""
    processor = whole.child("post_processor")
    if processor is None:
        return False
    is_list = processor.text("type") == "Sequence"
    parts = list(_objects(processor, "processors")) if is_list else [processor]
    for part in parts:
        if part.text("type") == "TemplateProcessing":
            first = next(iter(_objects(part, "single")), JsonObject({}))
            return "SpecialToken" in first
    return False


def _named_id(settings: JsonObject, key: str, ids: Mapping[str, int]) -> int | None:
    """The id of a token that tokenizer_config.json names, as a string or as an object."""
    value = settings.values.get(key)
    if isinstance(value, dict):
        value = value.get("content")
    if value is None:
        return None
    if not isinstance(value, str) or value not in ids:
        raise BadCheckpoint(f"its {key} {shown(str(value))} is no token")
    return ids[value]


def _objects(parent: JsonObject, key: str) -> Iterator[JsonObject]:
    """The objects in a list."""
    for value in _list(parent, key):
        if not isinstance(value, dict):
            raise BadCheckpoint(f"{parent.where}{key} holds {shown(str(value))}, not an object")
        yield JsonObject(value, f"{key}.")


def _list(parent: JsonObject, key: str) -> list[Any]:
    values = parent.values.get(key) or []
    if not isinstance(values, list):
        raise BadCheckpoint(f"{parent.where}{key} is {shown(str(values))}, not a list")
    return values
