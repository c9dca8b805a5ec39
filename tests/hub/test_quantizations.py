"""Choosing files by quantisation from the names that publishers give them."""

from __future__ import annotations

import pytest

from stillhouse.errors import ModelNotFound
from stillhouse.hub.quantizations import choose, quantization_of

DYNAMIC = [
    "DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-00002-of-00002.gguf",
    "DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-00001-of-00002.gguf",
    "DeepSeek-R1-Q4_K_M/DeepSeek-R1-Q4_K_M-00001-of-00001.gguf",
]
PLAIN = [
    "a-Q8_0.gguf",
    "a-Q4_K_M.gguf",
    "a-Q4_K_S.gguf",
    "mmproj-a-F16.gguf",
    "imatrix.gguf",
    "x.md",
]


@pytest.mark.parametrize(
    ("stem", "quantization"),
    [
        ("DeepSeek-R1-Distill-Qwen-7B-Q4_K_M", "Q4_K_M"),
        ("DeepSeek-R1-0528-Qwen3-8B-UD-Q4_K_XL", "UD-Q4_K_XL"),
        ("DeepSeek-R1-0528-UD-TQ1_0", "UD-TQ1_0"),
        ("SmolLM2-135M-Instruct.Q4_1", "Q4_1"),
        ("qwen2.5-coder-1.5b-instruct-q4_k_m", "Q4_K_M"),
        ("DeepSeek-R1-Distill-Qwen-7B-f16", "F16"),
        ("Qwen3-32B-BF16", "BF16"),
        ("model.i1-IQ2_XXS", "IQ2_XXS"),
        ("model", None),
        ("Qwen3", None),
    ],
)
def test_a_name_says_its_quantisation(stem: str, quantization: str | None) -> None:
    assert quantization_of(stem) == quantization


@pytest.mark.parametrize("asked", ["UD-IQ1_S", "iq1_s"])
def test_parts_come_in_order_and_the_dynamic_variant_stands_in(asked: str) -> None:
    chosen = choose(DYNAMIC, repo="r", quantization=asked, file=None)
    assert [name.rpartition("/")[2] for name in chosen] == [
        "DeepSeek-R1-UD-IQ1_S-00001-of-00002.gguf",
        "DeepSeek-R1-UD-IQ1_S-00002-of-00002.gguf",
    ]


def test_without_a_quantisation_the_usual_one_is_taken() -> None:
    assert choose(PLAIN, repo="r", quantization=None, file=None) == ["a-Q4_K_M.gguf"]


def test_a_single_model_needs_no_quantisation() -> None:
    assert choose(["model.gguf"], repo="r", quantization=None, file=None) == ["model.gguf"]


def test_a_name_that_would_leave_the_folder_is_no_model() -> None:
    with pytest.raises(ModelNotFound):
        choose(["..\\..\\evil-Q4_K_M.gguf"], repo="r", quantization=None, file=None)


def test_one_part_stands_for_all_of_them() -> None:
    assert len(choose(DYNAMIC, repo="r", quantization=None, file=DYNAMIC[1])) == 2


@pytest.mark.parametrize(
    ("names", "quantization", "file", "hint"),
    [
        (PLAIN, "Q2_K", None, "Q8_0"),
        (PLAIN, None, "a-Q4_K_N.gguf", "a-Q4_K_M.gguf"),
        (["x.md"], None, None, "GGUF"),
        (["a.gguf", "b.gguf"], None, None, "a, b"),
    ],
)
def test_what_is_not_there_says_what_is(
    names: list[str], quantization: str | None, file: str | None, hint: str
) -> None:
    with pytest.raises(ModelNotFound) as caught:
        choose(names, repo="r", quantization=quantization, file=file)
    assert hint in str(caught.value.hint)


FOLDER = [
    "README.md",
    "config.json",
    "consolidated.safetensors",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "onnx/model.safetensors",
    "tokenizer.json",
]


def test_a_repository_without_gguf_is_a_folder_of_safetensors() -> None:
    assert choose(FOLDER, repo="a/b", quantization=None, file=None) == [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
    ]
    assert choose([*FOLDER, "m-Q8_0.gguf"], repo="a/b", quantization=None, file=None) == [
        "m-Q8_0.gguf"
    ]


@pytest.mark.parametrize(
    ("names", "quantization"),
    [
        (FOLDER, "Q4_K_M"),
        (["config.json", "tokenizer.json"], None),
        (["model.safetensors"], None),
        (["sub/config.json", "sub/model.safetensors"], None),
    ],
)
def test_part_of_a_folder_is_no_model(names: list[str], quantization: str | None) -> None:
    with pytest.raises(ModelNotFound, match="no GGUF"):
        choose(names, repo="a/b", quantization=quantization, file=None)
