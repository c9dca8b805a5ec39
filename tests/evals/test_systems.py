"""What is evaluated has a name of its own, and is known again by its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.systems import names_of


def made(folder: Path, *names: str) -> list[str]:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return [str(folder / name) for name in names]


def test_a_file_is_called_by_its_name_and_others_as_they_are_written(tmp_path: Path) -> None:
    (path,) = made(tmp_path, "r1-Q4_K_M.gguf")
    assert names_of([path, "deepseek-r1:1.5b"]) == ["r1-Q4_K_M", "deepseek-r1:1.5b"]


def test_a_link_is_called_by_its_own_name(tmp_path: Path) -> None:
    made(tmp_path, "blobs/5f2a")
    (tmp_path / "r1-Q4_K_M.gguf").symlink_to(tmp_path / "blobs/5f2a")
    assert names_of([str(tmp_path / "r1-Q4_K_M.gguf")]) == ["r1-Q4_K_M"]


def test_a_folder_keeps_the_point_in_its_name(tmp_path: Path) -> None:
    for name in ("Qwen2.5-1.5B", "Qwen2.5-1.5B-Instruct"):
        (tmp_path / name).mkdir()
    folders = [str(path) for path in sorted(tmp_path.iterdir())]
    assert names_of(folders) == ["Qwen2.5-1.5B", "Qwen2.5-1.5B-Instruct"]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = made(tmp_path, "100/last/m.gguf", "200/last/m.gguf", "200/best/m.gguf", "200/n.gguf")
    assert names_of(paths) == ["100/last/m", "200/last/m", "best/m", "n"]


def test_a_file_and_a_folder_beside_it_are_two(tmp_path: Path) -> None:
    (path,) = made(tmp_path, "r1.gguf")
    (tmp_path / "r1").mkdir()
    assert names_of([path, str(tmp_path / "r1")]) == ["r1.gguf", "r1"]


def test_a_model_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    (path,) = made(tmp_path, "m.gguf")
    with pytest.raises(UsageError, match="is named twice"):
        names_of([path, str(tmp_path / "." / "m.gguf")])
