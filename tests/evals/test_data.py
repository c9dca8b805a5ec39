"""Data comes from the hub or a file, the first rows first, and what does not fit is said."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import AccessDenied, DownloadError, ModelNotFound, Offline, UsageError
from stillhouse.evals.data import fetch, load, read_file
from stillhouse.evals.task import HubData, Problem, Row, Task
from tests.evals.tasks.rows import MATHS, SUBJECTS, WORDED
from tests.hub.hub_server import COMMIT, HubServer

REPO, COLUMNS = "maker/questions", ("problem", "answer")


def lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def task_named(name: str) -> Task:
    from stillhouse.evals.tasks import task_named

    return task_named(name)


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def loaded(name: str, **options: Any) -> list[Problem]:
    return load(task_named(name), note=pytest.fail, **options)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    files = {f"part{n}.jsonl": lines(MATHS[n : n + 1]) for n in range(3)}
    with HubServer({f"datasets/{REPO}": {"README.md": b"hi", **files}}) as running:
        running.stand_in(monkeypatch)
        yield running


# Files.


def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [{"problem": f'"{n}",\nsaid {n}', "answer": str(n)} for n in range(5)]
    paths = [tmp_path / f"rows{suffix}" for suffix in (".jsonl", ".json", ".csv", ".parquet")]
    written(paths[0], lines(rows))
    written(paths[1], json.dumps(rows))
    with paths[2].open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), paths[3])
    for path in paths:
        assert [placed.row for placed in read_file(path)] == rows
        assert len(loaded("aime24", data=path)) == 5
    places = [[placed.place for placed in read_file(path)][1] for path in paths]
    ends = ["line 2", "entry 2", "line 5", "row 2"]  # a record of CSV ends on its last line
    assert places == [f"{path}, {end}" for path, end in zip(paths, ends, strict=True)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.text() for name in COLUMNS}), min_size=1))
def test_json_lines_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    path = written(tmp_path_factory.getbasetemp() / "rows.jsonl", lines(rows))
    assert [placed.row for placed in read_file(path)] == rows


def test_a_limit_takes_the_first_rows_and_reads_no_further(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", lines(MATHS[:2]) + b"this is no JSON\n")
    assert [each.id for each in loaded("aime24", data=path, limit=2)] == ["60", "61"]
    with pytest.raises(UsageError, match=r"rows\.jsonl, line 3, is not JSON"):
        loaded("aime24", data=path)


def test_fewer_problems_than_asked_for_are_said(tmp_path: Path) -> None:
    notes: list[str] = []
    path = written(tmp_path / "rows.jsonl", lines(MATHS))
    assert len(load(task_named("aime24"), data=path, limit=9, note=notes.append)) == 5
    assert notes == ["aime24 has 5 problems, not 9"]


def test_fields_that_do_not_fit_are_said_with_the_line_and_all_that_are_needed(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "rows.jsonl", lines(MATHS[:1]) + b"\n" + b'{"q": 1, "answer": 2}\n')
    with pytest.raises(UsageError) as hit:
        loaded("aime24", data=path)
    assert hit.value.message == (
        f"{path}, line 3, has 'q', 'answer'; needed are 'problem' or 'question', 'answer'"
    )
    assert hit.value.hint == "it was read for aime24"


def test_examples_that_do_not_fit_are_said_with_their_own_line(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", lines(WORDED[:2]))
    shots = written(tmp_path / "shots.jsonl", lines([*WORDED[2:8], {"question": "How?"}]))
    with pytest.raises(UsageError, match=r"shots\.jsonl, line 7, has 'question'; needed are"):
        loaded("openllm_gsm8k", data=path, shots_data=shots, limit=2)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.jsonl", b"[1]\n", "line 1, is no object with fields"),
        ("rows.jsonl", b"", "holds no problems"),
        ("rows.jsonl", b"\xff\xfe\n", "can't be read"),
        ("rows.json", b'{"problem": 1}', "is no JSON list"),
        ("rows.json", b"[", "is not JSON"),
        ("rows.csv", b"problem,answer\n1,2,3\n", "line 2, has more cells than the heading"),
        ("rows.csv", b"problem,answer\n1\n", "line 2, has 'problem', 'answer'; needed"),
        ("rows.csv", b'problem,answer\n"' + b"x" * 200_000 + b'",2\n', "is not CSV: field larger"),
        ("rows.parquet", b"PAR1 and then nothing", "is not Parquet"),
        ("rows.txt", b"", "is none of the files that can be read"),
    ],
)
def test_a_file_that_holds_no_rows_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as hit:
        loaded("aime24", data=written(tmp_path / name, content))
    assert "\n" not in hit.value.message


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        loaded("aime24", data=tmp_path / f"none.{suffix}")


def test_problems_of_one_name_are_told_apart_in_any_part_of_the_data(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", lines([*MATHS[:2], *MATHS[:2], MATHS[1]]))
    ids = [each.id for each in loaded("aime24", data=path)]
    assert ids == ["60", "61", "60#2", "61#2", "61#3"]
    assert [each.id for each in loaded("aime24", data=path, limit=4)] == ids[:4]


def test_a_file_can_not_be_questions_and_examples_at_once(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", lines(WORDED))
    with pytest.raises(UsageError, match="can't be both"):
        loaded("openllm_gsm8k", data=path, shots_data=path)


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_is_at_least_one(tmp_path: Path, limit: int) -> None:
    with pytest.raises(UsageError, match=f"the limit is {limit} problems"):
        loaded("aime24", data=tmp_path, limit=limit)


def test_parquet_without_its_library_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"rows\.parquet is Parquet, and needs pyarrow") as hit:
        loaded("aime24", data=tmp_path / "rows.parquet")
    assert hit.value.hint == "pip install 'stillhouse[eval]'"


def test_the_same_seed_gives_the_same_problems_from_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.json", json.dumps(SUBJECTS))
    assert loaded("mmlu", data=path, seed=1) == loaded("mmlu", data=path, seed=1)


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_tasks_that_make_their_own_problems_make_as_many_as_the_limit(tmp_path: Path) -> None:
    assert [each.id for each in loaded("gym:chain_sum", limit=3, seed=1)] == ["0", "1", "2"]
    assert len(loaded("gym:chain_sum")) == 100
    with pytest.raises(UsageError, match="makes its own problems"):
        loaded("gym:chain_sum", data=tmp_path / "rows.jsonl")


# The hub.

PARTS = tuple(f"part{n}.jsonl" for n in range(3))


def from_hub(path: str | tuple[str, ...], notes: list[str]) -> list[str]:
    return [file.name for file in fetch(HubData(REPO, path, COMMIT), notes.append)]


def test_a_split_is_fetched_once_and_then_read_from_here(server: HubServer) -> None:
    notes: list[str] = []
    assert from_hub("part1.jsonl", notes) == ["part1.jsonl"]
    assert notes == [f"data: {REPO} on the hub, part1.jsonl at {COMMIT[:12]}"]
    asked = len(server.requests)
    assert from_hub("part1.jsonl", notes) == ["part1.jsonl"]
    assert len(server.requests) == asked  # a pinned file needs no network again


def test_several_files_are_taken_in_their_order_and_once(server: HubServer) -> None:
    names = ("part2.jsonl", "part1.jsonl")
    assert from_hub(names, []) == [*names]
    assert [name for name, _ in server.downloads()] == [*names]
    asked = len(server.requests)
    assert from_hub(names, []) == [*names]
    assert len(server.requests) == asked


def test_a_task_is_made_from_all_files_of_its_split(server: HubServer) -> None:
    from dataclasses import replace

    notes: list[str] = []
    task = replace(task_named("aime24"), data=HubData(REPO, PARTS, COMMIT))
    assert [each.gold for each in load(task, note=notes.append)] == ["2", "5", "25"]
    assert [name for name, _ in server.downloads()][:1] == ["part0.jsonl"]
    empty = replace(task, data=HubData(REPO, "none.jsonl", COMMIT))
    with pytest.raises(DownloadError, match=r"maker/questions has no file none\.jsonl"):
        load(empty, note=notes.append)


def test_a_gated_set_says_where_its_terms_are(server: HubServer) -> None:
    server.gated.add(f"datasets/{REPO}")
    with pytest.raises(AccessDenied, match="datasets/maker/questions is gated") as hit:
        from_hub("part1.jsonl", [])
    assert f"{server.url}/datasets/{REPO}" in str(hit.value.hint)


def test_a_set_that_the_hub_does_not_have_is_one_line(server: HubServer) -> None:
    with pytest.raises(ModelNotFound, match="no repository datasets/maker/nothing"):
        fetch(HubData("maker/nothing", "*.jsonl"), lambda _: None)
    assert server.requests


def test_without_the_hub_the_way_out_is_said(server: HubServer) -> None:
    server.__exit__(None, None, None)
    with pytest.raises(Offline, match=r"part1\.jsonl of maker/questions is not here") as hit:
        from_hub("part1.jsonl", [])
    assert "--data FILE" in str(hit.value.hint)
    with pytest.raises(Offline):
        from_hub("part*.jsonl", [])
