from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.checkpoints import Metadata
from stillhouse.errors import BadCheckpoint
from stillhouse.text import Tokenizer
from tests.reference import bpe
from tests.text.vocabularies import (
    CHATML,
    CONTROL,
    USER_DEFINED,
    awkward_text,
    byte_metadata,
    r1_tokenizer,
)

LLAMA_CPP = json.loads(
    (Path(__file__).parent / "fixtures" / "llama_cpp_ids.json").read_text(encoding="ascii")
)
FAMILIES = sorted(LLAMA_CPP["ids"])
NAIVE_CUTS = {
    "smollm": bpe.cut_smollm,
    "qwen2": bpe.cut_qwen2,
    "llama-bpe": bpe.cut_llama3,
}


@pytest.fixture(scope="module")
def families(smollm2_metadata: Metadata) -> dict[str, Tokenizer]:
    """SmolLM2's vocabulary with the cut of each family."""
    return {
        name: Tokenizer.from_metadata({**smollm2_metadata, "tokenizer.ggml.pre": name})
        for name in FAMILIES
    }


@pytest.fixture(scope="module")
def smollm2_ranks(smollm2_metadata: Metadata) -> dict[tuple[str, str], int]:
    merges: Any = smollm2_metadata["tokenizer.ggml.merges"]
    return {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}


@pytest.mark.parametrize("family", FAMILIES)
def test_hard_strings_are_cut_as_llama_cpp_cuts_them(
    families: dict[str, Tokenizer], family: str
) -> None:
    for text, ids in zip(LLAMA_CPP["texts"], LLAMA_CPP["ids"][family], strict=True):
        assert families[family].encode(text) == ids, text


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_are_found_where_llama_cpp_finds_them(
    families: dict[str, Tokenizer], family: str
) -> None:
    for text, ids in zip(LLAMA_CPP["texts"], LLAMA_CPP["ids_special"][family], strict=True):
        assert families[family].encode(text, special=True) == ids, text


@pytest.mark.parametrize("family", NAIVE_CUTS)
@settings(max_examples=150)
@given(text=awkward_text())
def test_any_text_is_cut_as_the_naive_tokenizer_cuts_it(
    families: dict[str, Tokenizer],
    smollm2_metadata: Metadata,
    smollm2_ranks: dict[tuple[str, str], int],
    family: str,
    text: str,
) -> None:
    tokens: Any = smollm2_metadata["tokenizer.ggml.tokens"]
    ids = {token: i for i, token in enumerate(tokens)}
    expected = bpe.encode(
        text, ids, smollm2_ranks, NAIVE_CUTS[family], whole_words=family == "llama-bpe"
    )
    assert families[family].encode(text) == expected


@pytest.mark.parametrize("family", FAMILIES)
@given(text=st.text())
def test_decoding_gives_back_the_text(family: str, text: str) -> None:
    tokenizer = Tokenizer.from_metadata(byte_metadata(CHATML, eos="<|im_end|>", pre=family))
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(text, special=True)) == text


@given(text=awkward_text())
def test_text_never_becomes_a_special_token(text: str) -> None:
    tokenizer = r1_tokenizer()
    assert set(tokenizer.special_ids.values()).isdisjoint(tokenizer.encode(text))


def test_special_tokens_are_read_where_that_is_asked() -> None:
    tokenizer = r1_tokenizer()
    user, think = tokenizer.special_ids["<｜User｜>"], tokenizer.special_ids["<think>"]
    assert tokenizer.encode("<｜User｜>a<think>", special=True) == [user, ord("a"), think]


def test_the_longest_special_token_wins() -> None:
    tokenizer = Tokenizer.from_metadata(
        byte_metadata({"<e>": CONTROL, "<e><f>": CONTROL, "<|im_end|>": CONTROL}, eos="<|im_end|>")
    )
    long, short = tokenizer.special_ids["<e><f>"], tokenizer.special_ids["<e>"]
    assert tokenizer.encode("<e><f><e>", special=True) == [long, short]


def test_a_user_defined_token_that_is_no_tag_is_plain_vocabulary() -> None:
    tokenizer = Tokenizer.from_metadata(
        byte_metadata({"õ": USER_DEFINED, "<|im_end|>": CONTROL}, eos="<|im_end|>")
    )
    assert tokenizer.encode("õ") == [tokenizer.token_id("õ")]
    assert tokenizer.decode(tokenizer.encode("aõb")) == "aõb"


def test_a_word_with_the_name_of_a_control_token_stays_a_word() -> None:
    """Llama 3 takes whole words from the vocabulary; control tokens must not be among them."""
    tokenizer = Tokenizer.from_metadata(
        byte_metadata({"stop": CONTROL}, eos="stop", pre="llama-bpe")
    )
    assert tokenizer.eos_id not in tokenizer.encode("stop")
    assert tokenizer.encode("stop", special=True) == [tokenizer.eos_id]


def test_lone_surrogates_become_question_marks() -> None:
    tokenizer = r1_tokenizer()
    assert tokenizer.decode(tokenizer.encode("a\udc80b")) == "a?b"


def test_control_tokens_are_left_out_where_that_is_asked() -> None:
    tokenizer = r1_tokenizer()
    ids = tokenizer.encode("<think>a</think>b<｜end▁of▁sentence｜>", special=True)
    assert tokenizer.decode(ids, skip_special=True) == "<think>a</think>b"


def test_unused_tokens_say_nothing_and_byte_tokens_one_byte() -> None:
    metadata = byte_metadata({"[PAD]": 5, "<0x0A>": 6, "<|im_end|>": CONTROL}, eos="<|im_end|>")
    tokenizer = Tokenizer.from_metadata(metadata)
    pad, newline = (tokenizer.token_id(text) for text in ("[PAD]", "<0x0A>"))
    assert tokenizer.decode([pad, newline]) == "\n"


def test_an_answer_stops_at_every_end_of_turn_the_file_has() -> None:
    metadata = byte_metadata(CHATML | {"<eom>": CONTROL}, eos="<|im_end|>")
    metadata["tokenizer.ggml.eom_token_id"] = metadata["tokenizer.ggml.tokens"].index("<eom>")
    tokenizer = Tokenizer.from_metadata(metadata)
    names = ("<|im_end|>", "<|endoftext|>", "<eom>")
    assert tokenizer.stop_ids == {tokenizer.token_id(name) for name in names}


def test_a_file_of_llama_3_that_says_nothing_starts_with_bos() -> None:
    assert Tokenizer.from_metadata(byte_metadata(CHATML, eos="<|im_end|>", pre="llama-bpe")).add_bos
    assert not Tokenizer.from_metadata(byte_metadata(CHATML, eos="<|im_end|>")).add_bos


def test_smollm2_is_read(smollm2: Tokenizer) -> None:
    assert smollm2.vocab_size == 49152
    assert smollm2.decode([smollm2.bos_id or 0, smollm2.eos_id]) == "<|im_start|><|im_end|>"
    assert smollm2.stop_ids == {0, 2}
    assert not smollm2.add_bos


def test_r1_is_read_in_under_a_second(r1_metadata: Metadata) -> None:
    r1_metadata["tokenizer.ggml.tokens"], r1_metadata["tokenizer.ggml.merges"]
    start = time.process_time()
    tokenizer = Tokenizer.from_metadata(r1_metadata)
    assert time.process_time() - start < 1.0
    assert tokenizer.vocab_size == 152064
    assert tokenizer.add_bos
    assert tokenizer.bos_id == 151646
    assert tokenizer.stop_ids == {151643}
    assert tokenizer.encode("<think>\n", special=True) == [151648, 198]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "llama"}, "kind 'llama'"),
        ({"model": None}, "kind 'None'"),
        ({"pre": "rwkv-7"}, "pre-tokenizer 'rwkv-7'"),
        ({"tokens": None}, "tokenizer.ggml.tokens"),
        ({"tokens": "abc"}, "tokenizer.ggml.tokens"),
        ({"tokens": [1, 2]}, "tokenizer.ggml.tokens"),
        ({"merges": None}, "tokenizer.ggml.merges"),
        ({"merges": ["ab"]}, "merge 0"),
        ({"merges": ["a b c"]}, "merge 0"),
        ({"merges": ["a nowhere"]}, "do not fit"),
        ({"token_type": [1]}, "token_type"),
        ({"token_type": ["a"]}, "token_type"),
        ({"eos_token_id": None}, "end-of-text"),
        ({"eos_token_id": -1}, "eos_token_id is -1"),
        ({"eos_token_id": 10**9}, "eos_token_id is 1000000000"),
        ({"bos_token_id": "x"}, "bos_token_id is 'x'"),
    ],
)
def test_a_broken_or_foreign_tokenizer_gives_one_line(change: dict[str, Any], said: str) -> None:
    metadata = byte_metadata(CHATML, eos="<|im_end|>")
    metadata |= {f"tokenizer.ggml.{name}": value for name, value in change.items()}
    with pytest.raises(BadCheckpoint) as caught:
        Tokenizer.from_metadata(metadata)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_absurdly_many_special_tokens_are_refused() -> None:
    specials = {f"<{n}>": CONTROL for n in range(10_001)}
    with pytest.raises(BadCheckpoint, match="10001 special tokens"):
        Tokenizer.from_metadata(byte_metadata(specials, eos="<0>"))


@given(
    st.fixed_dictionaries(
        {
            "tokens": st.lists(st.text(max_size=3), max_size=6),
            "merges": st.lists(st.text(alphabet="ab ", max_size=4), max_size=4),
            "token_type": st.lists(st.integers(-1, 9), max_size=6),
            "eos_token_id": st.integers(-1, 6),
        }
    )
)
def test_whatever_a_file_says_there_is_a_tokenizer_or_one_line(said: dict[str, Any]) -> None:
    metadata = {f"tokenizer.ggml.{name}": value for name, value in said.items()}
    metadata |= {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2"}
    with suppress(BadCheckpoint):
        tokenizer = Tokenizer.from_metadata(metadata)
        tokenizer.decode(tokenizer.encode("ab <c>", special=True))
