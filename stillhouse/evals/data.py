"""A task's problems: from the hub, or from a file of one's own.

A limit takes the first problems as they stand, no random ones: so does lm-eval, whose examples go
by the number of a question, and a larger limit then adds to a run and repeats nothing.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from stillhouse.errors import DownloadError, Offline, UsageError
from stillhouse.evals.fields import WrongFields
from stillhouse.evals.task import HubData, Problem, Row, Task

_MADE = 100  # problems of a task that makes its own, where no limit says how many


class Placed(NamedTuple):
    """A row, and where it stands, for a message: "FILE, line 3"."""

    row: Row
    place: str


def load(
    task: Task,
    *,
    data: Path | None = None,
    shots_data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    note: Callable[[str], None],
) -> list[Problem]:
    """The first `limit` problems of the task, all where it is None.

    `note` is told, in a line each, what is taken from the hub and where there are fewer problems
    than asked for. Raises UsageError for a file that can't be read or does not fit, and what a
    pull raises where the hub does not give the data.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit is {limit} problems, and must be at least 1")
    if data is not None and data == shots_data:
        raise UsageError(f"{data} can't be both: examples would show the answers that are asked")
    rows = list(islice(_rows(task, data, limit, note), limit))
    shots = list(_shots(task, shots_data, note))
    if not rows:
        raise UsageError(f"{data or task.name} holds no problems")
    if limit is not None and len(rows) < limit:
        note(f"{task.name} has {len(rows)} problems, not {limit}")
    try:
        problems = task.problems([each.row for each in rows], [each.row for each in shots], seed)
    except WrongFields as error:
        place = next(each.place for each in (*rows, *shots) if each.row is error.row)
        raise UsageError(f"{place}, {error.message}", hint=f"it was read for {task.name}") from None
    return list(_told_apart(problems))


def read_file(path: Path) -> Iterator[Placed]:
    """The rows of a file: JSON lines, a JSON list, CSV with a heading, or Parquet, by its name.

    Raises UsageError where it can't be read, with the line; only once the rows are reached.
    """
    readers = {".jsonl": _json_lines, ".json": _json_list, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in readers:
        raise UsageError(
            f"{path} is none of the files that can be read", hint=f"one of {', '.join(readers)}"
        )
    try:
        for place, row in readers[path.suffix](path):
            if not isinstance(row, dict):
                raise UsageError(f"{path}, {place}, is no object with fields")
            yield Placed(row, f"{path}, {place}")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error


def fetch(data: HubData, note: Callable[[str], None]) -> list[Path]:
    """Where its files are on this machine, in their order, after a download of what is missing.

    A file that is here is used without asking the hub again: the sets are fixed, most by commit.
    """
    from huggingface_hub import HfApi, constants, errors, hf_hub_download, try_to_load_from_cache

    from stillhouse.hub.hub_repo import our_error

    files = " and ".join(data.paths)
    note(f"data: {data.repo} on the hub, {files} at {data.revision[:12]}")
    found = [
        try_to_load_from_cache(data.repo, path, revision=data.revision, repo_type="dataset")
        for path in data.paths
    ]
    here = [Path(path) for path in found if isinstance(path, str)]
    if len(here) == len(found):
        return here
    endpoint = constants.ENDPOINT
    try:
        # Unlike a download, and a listing of files, it does not try for half a minute off line.
        info = HfApi(endpoint=endpoint).dataset_info(data.repo, revision=data.revision)
        listed = {entry.rfilename for entry in info.siblings or ()}
        for path in data.paths:
            if path not in listed:
                raise DownloadError(f"{data.repo} has no file {path} at {data.revision}")
        return [
            Path(
                hf_hub_download(
                    data.repo, path, repo_type="dataset", revision=info.sha, endpoint=endpoint
                )
            )
            for path in data.paths
        ]
    except DownloadError:
        raise
    except Exception as error:
        ours = our_error(error, f"datasets/{data.repo}", endpoint)
        if isinstance(ours, Offline) or isinstance(error, errors.LocalEntryNotFoundError):
            raise Offline(
                f"{endpoint} can't be reached, and {files} of {data.repo} is not here",
                hint="give --data FILE (of examples: --shots-data FILE), or try again on line",
            ) from error
        raise ours from error


def _rows(
    task: Task, data: Path | None, limit: int | None, note: Callable[[str], None]
) -> Iterable[Placed]:
    if task.data is None:
        if data is not None:
            raise UsageError(f"{task.name} makes its own problems: {data} is not for it")
        return (Placed({"index": i}, f"problem {i}") for i in range(limit or _MADE))
    return read_file(data) if data is not None else _hub_rows(task.data, note)


def _shots(task: Task, path: Path | None, note: Callable[[str], None]) -> Iterable[Placed]:
    if task.num_shots == 0 or task.shots_data is None:
        return ()
    return read_file(path) if path is not None else _hub_rows(task.shots_data, note)


def _hub_rows(data: HubData, note: Callable[[str], None]) -> Iterator[Placed]:
    for path in fetch(data, note):
        yield from read_file(path)


def _told_apart(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Samples are kept by their problem's id: the second of a name is called `NAME#2`."""
    seen: Counter[str] = Counter()
    for problem in problems:
        seen[problem.id] += 1
        times = seen[problem.id]
        yield problem if times == 1 else replace(problem, id=f"{problem.id}#{times}")


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield f"line {number}", _parsed(path, line, f", line {number},")


def _json_list(path: Path) -> Iterator[tuple[str, Any]]:
    entries = _parsed(path, path.read_text(encoding="utf-8"), "")
    if not isinstance(entries, list):
        raise UsageError(f"{path} is no JSON list", hint="JSON lines are called .jsonl")
    for number, entry in enumerate(entries, 1):
        yield f"entry {number}", entry


def _parsed(path: Path, text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path}{place} is not JSON: {error}") from error


def _csv(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                if None in row:
                    raise UsageError(
                        f"{path}, line {reader.line_num}, has more cells than the heading"
                    )
                yield f"line {reader.line_num}", row
        except csv.Error as error:
            raise UsageError(f"{path}, line {reader.line_num}, is not CSV: {error}") from error


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        import pyarrow.parquet as parquet
        from pyarrow import ArrowException
    except ImportError as error:
        raise UsageError(
            f"{path.name} is Parquet, and needs pyarrow", hint="pip install 'stillhouse[eval]'"
        ) from error
    if not path.is_file():
        raise UsageError(f"{path} can't be read: there is no such file")
    try:
        with parquet.ParquetFile(path) as table:
            number = 0
            for batch in table.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except ArrowException as error:
        raise UsageError(f"{path} is not Parquet: {error}") from error
