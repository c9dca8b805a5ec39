"""Vocabularies as GGUF metadata: small ones written here, and strategies for text."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from stillhouse.text import Tokenizer
from tests.reference.bpe import letter

CONTROL, USER_DEFINED = 3, 4

R1 = {
    "<｜end▁of▁sentence｜>": CONTROL,
    "<｜User｜>": CONTROL,
    "<｜Assistant｜>": CONTROL,
    "<｜begin▁of▁sentence｜>": CONTROL,
    "<think>": USER_DEFINED,
    "</think>": USER_DEFINED,
}
CHATML = {
    "<|endoftext|>": CONTROL,
    "<|im_start|>": CONTROL,
    "<|im_end|>": CONTROL,
    "<tool_call>": USER_DEFINED,
}
LLAMA_3 = {
    "<|begin_of_text|>": CONTROL,
    "<|end_of_text|>": CONTROL,
    "<|start_header_id|>": CONTROL,
    "<|end_header_id|>": CONTROL,
    "<|eot_id|>": CONTROL,
}


def byte_metadata(
    specials: Mapping[str, int],
    *,
    eos: str,
    bos: str | None = None,
    pre: str = "qwen2",
    **more: Any,
) -> dict[str, Any]:
    """One token for each byte, a few merges, and the special tokens."""
    merges = ["t h", "th i", "n k", "thi nk", "Ċ Ċ", "< /", "> Ċ"]
    letters = [letter(byte) for byte in range(256)]
    tokens = [*letters, *(merge.replace(" ", "") for merge in merges), *specials]
    kinds = [1] * (len(tokens) - len(specials)) + list(specials.values())
    named = {"tokenizer.ggml.bos_token_id": tokens.index(bos)} if bos else {}
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.array(kinds, np.int32),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.eos_token_id": tokens.index(eos),
        **named,
        **{f"tokenizer.ggml.{name}": value for name, value in more.items()},
    }


def r1_tokenizer() -> Tokenizer:
    return Tokenizer.from_metadata(
        byte_metadata(
            R1,
            bos="<｜begin▁of▁sentence｜>",
            eos="<｜end▁of▁sentence｜>",
            pre="deepseek-r1-qwen",
            add_bos_token=True,
        )
    )


def chatml_tokenizer() -> Tokenizer:
    return Tokenizer.from_metadata(byte_metadata(CHATML, bos="<|endoftext|>", eos="<|im_end|>"))


def llama_3_tokenizer() -> Tokenizer:
    return Tokenizer.from_metadata(
        byte_metadata(LLAMA_3, bos="<|begin_of_text|>", eos="<|eot_id|>", pre="llama-bpe")
    )


def old_characters() -> st.SearchStrategy[str]:
    """Characters that every Unicode version since 3.2 knows, and files under the same category."""

    def is_settled(character: str) -> bool:
        old, now = unicodedata.ucd_3_2_0.category(character), unicodedata.category(character)
        return old == now and old not in ("Cn", "Co", "Cs")

    return st.characters(exclude_categories=["Cs", "Cn", "Co"]).filter(is_settled)


def awkward_text() -> st.SearchStrategy[str]:
    """Words, digits, contractions, white space and tags of all kinds, mixed."""
    spaces = [" ", "  ", "\n", "\r\n", "\t", "\u3000"]
    words = ["'s", "'LL", "'re", "12345", "½", "the", "!?", "é", "e\u0301", "中文", "ا", "👩‍👧"]
    tags = [*R1, *CHATML, *LLAMA_3, "<", ">", "|>", "<|", "</"]
    bits = st.one_of(map(st.sampled_from, (spaces, words, tags)))
    return st.lists(st.one_of(bits, old_characters()), max_size=12).map("".join)
