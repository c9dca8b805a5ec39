"""The JSON document of a benchmark, read back: checked before anything is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from stillhouse.bench.records import Cell
from stillhouse.bench.slo import Slo
from stillhouse.errors import UsageError

COMMAND = "bench"

_LARGEST = 1e18  # no figure of a benchmark comes near; products of such numbers are still finite
_HINT = "give what 'still bench --json' has written"


@dataclass(frozen=True, slots=True)
class BenchDocument:
    """What a benchmark's readers use of its document. Names that are not here are left alone."""

    stillhouse: str
    commit: str | None
    machine: dict[str, Any]
    date: str
    results: tuple[Cell, ...]
    slo: Slo = field(default_factory=Slo)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any], results: tuple[Cell, ...], slo: Slo) -> BenchDocument:
        """Of a document that was made here, with the cells and promises it was made of."""
        names = {one.name for one in fields(cls)} - {"results", "slo", "notes"}
        facts = {name: document[name] for name in names}
        return cls(**facts, results=results, slo=slo, notes=tuple(document["notes"]))


_READER = TypeAdapter(BenchDocument)


def read_document(path: Path) -> BenchDocument:
    """Raises UsageError, in a line with the path, for whatever is no whole document of a bench."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror or error}", hint=_HINT
        ) from error
    return parse_document(text, str(path))


def parse_document(text: bytes, name: str) -> BenchDocument:
    """`name` is what an error calls the document. Raises UsageError as `read_document` does."""
    try:
        return _checked_document(text)
    except UsageError as error:
        raise UsageError(_one_line(f"{name}: {error.message}"), hint=_HINT) from None


def _checked_document(text: bytes) -> BenchDocument:
    try:
        document = json.loads(
            text.decode(), parse_constant=_refuse_constant, parse_float=_float, parse_int=_int
        )
    except RecursionError:
        raise UsageError("nested too deeply") from None
    except ValueError as error:  # of JSON, and of UTF-8
        raise UsageError(f"not whole JSON: {error}") from None
    if not isinstance(document, dict):
        raise UsageError("a JSON object is needed")
    command = document.get("command")
    if command != COMMAND:
        said = f"a document of 'still {command}'" if isinstance(command, str) else "of no command"
        raise UsageError(f"{said}, not of 'still bench'")
    try:
        # Only from JSON does strict checking take a list for a tuple.
        found = _READER.validate_json(text, strict=True)
    except ValidationError as error:
        raise UsageError(_first(error)) from None
    for problem in _problems(found):
        raise UsageError(problem)
    return found


def _one_line(text: str) -> str:
    """Whatever a file's names and texts hold."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _first(error: ValidationError) -> str:
    """Where the first mistake is and what, `results.0.users: ...`; how many more there are."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    where = ".".join(str(part) for part in errors[0]["loc"]) or "not whole JSON"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    message = errors[0]["msg"]
    return f"{where}: {message[:1].lower()}{message[1:]}{more}"


def _problems(document: BenchDocument) -> Iterator[str]:
    """What types do not tell."""
    for number, cell in enumerate(document.results):
        where = f"results.{number}"
        if (cell.loop == "closed") != (cell.users is not None) or cell.users == 0:
            yield f"{where}: a closed loop has users, an open one has none"
        if (cell.loop == "open") != (cell.rate_per_s is not None) or cell.rate_per_s == 0:
            yield f"{where}: an open loop has a rate, a closed one has none"
        for name in _negatives(cell.as_json()):
            yield f"{where}.{name}: is negative"
        if len(cell.request_records) != cell.requests + cell.errors:
            yield (
                f"{where}: {len(cell.request_records)} request_records, where {cell.requests}"
                f" requests and {cell.errors} errors are told of"
            )


def _negatives(value: Any) -> Iterator[str]:
    """Where numbers below zero are: `ttft_s.p50`."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in items:
        if isinstance(one, dict | list | tuple):
            yield from (f"{name}.{inner}" for inner in _negatives(one))
        elif isinstance(one, int | float) and one < 0:
            yield str(name)


def _refuse_constant(text: str) -> NoReturn:
    raise UsageError(f"{text} is no measurement")


def _float(text: str) -> float:
    return _checked(float(text), text)


def _int(text: str) -> int:
    # Checked by its length first: Python refuses to convert thousands of digits.
    return round(_checked(float(text), text))


def _checked(number: float, text: str) -> float:
    if not abs(number) <= _LARGEST:
        shown = text if len(text) < 24 else f"{text[:20]}..."
        raise UsageError(f"{shown} is no measurement")
    return number
