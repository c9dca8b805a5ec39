"""tokenizer.json against the library whose format it is, and every part that is not read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings

from stillhouse.errors import BadCheckpoint
from stillhouse.text import Tokenizer
from stillhouse.text.tokenizer_json import JSON_KEY
from tests.text.test_tokenizer import LLAMA_CPP
from tests.text.vocabularies import awkward_text

FOLDER = Path(__file__).parents[1] / "checkpoints/fixtures/w8a8"
WHOLE: dict[str, Any] = json.loads((FOLDER / "tokenizer.json").read_text())
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LETTERS = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
CUTS: dict[str, dict[str, Any]] = {
    "smollm2": WHOLE["pre_tokenizer"],
    "gpt2": {**LETTERS, "use_regex": True},
    "llama3": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": GPT4}, "behavior": "Isolated", "invert": False},
            {**LETTERS, "use_regex": False},
        ],
    },
    "digits together": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"String": ". "}, "behavior": "Isolated", "invert": False},
            {"type": "Digits", "individual_digits": False},
            {**LETTERS, "use_regex": False},
        ],
    },
}


def tokenizer(
    changes: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    *,
    vocab_size: int = 384,
    eos_token_ids: tuple[int, ...] = (2,),
) -> Tokenizer:
    return Tokenizer.from_metadata(
        {
            "general.architecture": "llama",
            "llama.vocab_size": vocab_size,
            JSON_KEY: json.dumps({**WHOLE, **(changes or {})}),
            "tokenizer.huggingface.config": json.dumps(settings or {}),
            "tokenizer.huggingface.eos_token_ids": np.array(eos_token_ids),
        }
    )


@pytest.fixture(scope="module", params=CUTS)
def pair(request: pytest.FixtureRequest) -> tuple[Tokenizer, tokenizers.Tokenizer]:
    """Ours, and the library's own reading of the same file."""
    changes = {"pre_tokenizer": CUTS[request.param], **model(ignore_merges=True)}
    return tokenizer(changes), tokenizers.Tokenizer.from_str(json.dumps({**WHOLE, **changes}))


def test_hard_strings_have_the_ids_of_the_library(
    pair: tuple[Tokenizer, tokenizers.Tokenizer],
) -> None:
    for text in LLAMA_CPP["texts"]:
        check(pair, text)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(text=awkward_text())
def test_any_text_has_the_ids_of_the_library(
    pair: tuple[Tokenizer, tokenizers.Tokenizer], text: str
) -> None:
    check(pair, text)


def check(pair: tuple[Tokenizer, tokenizers.Tokenizer], text: str) -> None:
    ours, library = pair
    assert ours.encode(text, special=True) == library.encode(text, add_special_tokens=False).ids


def test_kinds_and_ends_come_from_the_files() -> None:
    ours = tokenizer(settings={"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>"})
    assert (ours.bos_id, ours.eos_id, ours.add_bos) == (1, 2, False)
    assert ours.is_control(1)
    several = tokenizer(eos_token_ids=(5, 7))
    assert (several.bos_id, several.eos_id) == (None, 5)
    assert {5, 7} <= several.stop_ids


@pytest.mark.parametrize(
    ("processor", "settings", "add_bos"),
    [
        ({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]}, {}, True),
        ({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]}, {}, False),
        (
            {
                "type": "Sequence",
                "processors": [
                    {"type": "ByteLevel"},
                    {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]},
                ],
            },
            {},
            True,
        ),
        (None, {"add_bos_token": True}, True),
    ],
)
def test_a_prompt_starts_with_bos_where_the_files_say_so(
    processor: Any, settings: dict[str, Any], add_bos: bool
) -> None:
    assert tokenizer({"post_processor": processor}, settings).add_bos == add_bos


def test_ids_without_a_token_are_never_text() -> None:
    ours = tokenizer(vocab_size=390)
    assert ours.vocab_size == 390
    assert ours.decode([385, 389]) == ""


def model(**changes: Any) -> dict[str, Any]:
    return {"model": {**WHOLE["model"], **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (model(type="Unigram"), "'Unigram'"),
        (model(byte_fallback=True), "'BPE'"),
        (model(vocab={"a": 0, "b": 0}), "share the id 0|has the ids"),
        (model(vocab={"a": -1}), "id -1, of 384"),
        (model(vocab={"a": 384}), "id 384, of 384"),
        (model(vocab={"a": "1"}), "not a whole number"),
        (model(merges=[["a", "b", "c"]]), "left right"),
        (model(merges=[3]), "left right"),
        (model(merges=["a b c"]), "left right"),
        (model(end_of_word_suffix="</w>"), "end_of_word_suffix"),
        ({"normalizer": {"type": "Lowercase"}}, "'Lowercase'"),
        ({"pre_tokenizer": None}, "no pre_tokenizer"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "'Whitespace'"),
        ({"pre_tokenizer": {"type": "Digits"}}, "no ByteLevel"),
        ({"pre_tokenizer": {**LETTERS, "add_prefix_space": True}}, "space in front"),
        (
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Removed"}},
            "'Removed'",
        ),
        ({"added_tokens": [{"id": 0, "content": "other"}]}, "share the id 0"),
        ({"added_tokens": [{"id": 9, "content": "<|im_end|>"}]}, "has the ids"),
        ({"added_tokens": "x"}, "not a list"),
    ],
)
def test_what_would_change_the_ids_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadCheckpoint, match=message) as caught:
        tokenizer(changes)
    assert caught.value.message.isprintable()


def test_a_normalizer_that_composes_accents_is_left_out() -> None:
    nfc = {"type": "Sequence", "normalizers": [{"type": "NFC"}]}
    assert tokenizer({"normalizer": nfc}).encode("é") == tokenizer().encode("é")


@pytest.mark.parametrize(
    ("settings", "eos_token_ids", "message"),
    [
        ({}, (), "end-of-text tokens are"),
        ({}, (384,), "384"),
        ({"eos_token": "<none>"}, (2,), "eos_token"),
        ({"bos_token": 7}, (2,), "bos_token"),
    ],
)
def test_ends_that_are_no_tokens_are_refused(
    settings: dict[str, Any], eos_token_ids: tuple[int, ...], message: str
) -> None:
    with pytest.raises(BadCheckpoint, match=message):
        tokenizer(None, settings, eos_token_ids=eos_token_ids)
