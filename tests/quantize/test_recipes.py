"""Recipes by name and by file: what they choose, and every way in which one can be wrong."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse import catalog
from stillhouse.errors import UsageError
from stillhouse.models.mixtures import mixture
from stillhouse.quantize.recipes import known_recipes, parse_recipe, read_recipe, recipe

SHAPE = catalog.find("r1-distill-qwen-1.5b").model.shape
LLAMA_CPP = {"q4_0": 2, "q8_0": 7, "q2_k": 10, "q4_k_m": 15, "q6_k": 18, "iq4_xs": 30, "bf16": 32}


@pytest.mark.parametrize("name", known_recipes())
def test_a_name_is_the_mixture_of_that_name(name: str) -> None:
    chosen = recipe(name)
    assert chosen.encodings(SHAPE, imatrix=True) == mixture(name).encodings(SHAPE, imatrix=True)
    assert isinstance(chosen.file_type, int)


@pytest.mark.parametrize(("name", "number"), LLAMA_CPP.items())
def test_the_type_of_a_file_is_llama_cpps_number(name: str, number: int) -> None:
    assert recipe(name).file_type == number


def test_the_recipes_of_one_repository_are_not_for_everybody() -> None:
    assert not [name for name in known_recipes() if "/" in name]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'q9_k' is no recipe") as caught:
        recipe("q9_k")
    assert "q4_k_m, " in str(caught.value.hint)


def test_the_first_pattern_that_matches_decides(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'base = "q4_k_m"\n[tensors]\n"blk.3.ffn_down.weight" = "q8_0"\n'
        "'re:blk\\.\\d\\.ffn_down\\.weight' = \"Q3_K\"\n\"token_*\" = 'F16'\n"
    )
    mine = read_recipe(path)
    chosen = mine.encodings(SHAPE, imatrix=False)
    base = mixture("q4_k_m").encodings(SHAPE)
    changed = {name: e.name for name, e in chosen.items() if e is not base[name]}
    assert (mine.name, mine.file_type) == ("mine", 15)
    assert chosen["blk.3.ffn_down.weight"].name == "Q8_0"
    assert chosen["token_embd.weight"].name == "F16"
    assert {chosen[f"blk.{i}.ffn_down.weight"].name for i in (0, 1, 2, 4, 9)} == {"Q3_K"}
    assert len(changed) == 11


def test_one_format_can_be_the_base() -> None:
    chosen = parse_recipe({"base": "q4_k"}, "pure").encodings(SHAPE, imatrix=False)
    assert {encoding.name for encoding in chosen.values()} == {"Q4_K", "F32"}


BASE: dict[str, Any] = {"base": "Q4_K_M"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "mine has no base"),
        ({"base": "q77"}, "its base 'q77' is neither a recipe nor a format"),
        ({"base": 4}, "mine has no base"),
        ({**BASE, "tensor": {}}, "'tensor' is no key of a recipe"),
        ({**BASE, "tensors": 3}, "tensors is no table"),
        ({**BASE, "name": 3}, "its name is no string"),
        ({**BASE, "tensors": {"*": "Q9_K"}}, "'Q9_K' is no format of tensors"),
        ({**BASE, "tensors": {"*": 4}}, "4 is no format of tensors"),
        ({**BASE, "tensors": {"re:(": "Q8_0"}}, r"'re:\(' is no regular expression"),
        ({**BASE, "tensors": {"blk.*.ffn_dwn.weight": "Q8_0"}}, "no matrix of the model matches"),
        ({**BASE, "tensors": {"output_norm.weight": "F16"}}, "no matrix of the model matches"),
        (
            {**BASE, "tensors": {"*": "Q8_0", "blk.1.*": "Q6_K"}},
            r"what 'blk\.1\.\*' matches, earlier patterns match too",
        ),
    ],
)
def test_what_is_wrong_with_a_recipe_is_one_line(document: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_recipe(document, "mine").encodings(SHAPE, imatrix=False)
    assert "\n" not in str(caught.value)


def test_a_pattern_without_a_match_names_what_is_near() -> None:
    wrong = parse_recipe({**BASE, "tensors": {"blk.7.ffn_dwn.weight": "Q8_0"}}, "mine")
    with pytest.raises(UsageError) as caught:
        wrong.encodings(SHAPE, imatrix=False)
    assert "blk.7.ffn_down.weight" in str(caught.value.hint)


def test_a_format_whose_blocks_do_not_fit_is_refused() -> None:
    small = catalog.find("smollm2:135m").model.shape
    wrong = parse_recipe({**BASE, "tensors": {"blk.0.attn_q.weight": "Q4_K"}}, "mine")
    with pytest.raises(UsageError, match="rows of 576, and Q4_K takes 256 numbers"):
        wrong.encodings(small, imatrix=False)


@pytest.mark.parametrize("content", [b"base = ", b"\xff\xfe", b""])
def test_a_file_that_is_no_recipe_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="bad"):
        recipe(str(path))
    with pytest.raises(UsageError, match="cannot be read"):
        recipe(str(tmp_path / "none.toml"))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["q4_k", "*"]),
    lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["base", "tensors", "name", "x"]), _JSON))
def test_any_document_is_a_recipe_or_an_error_of_ours(document: dict[str, Any]) -> None:
    with suppress(UsageError):
        parse_recipe(document, "any").encodings(SHAPE, imatrix=False)
