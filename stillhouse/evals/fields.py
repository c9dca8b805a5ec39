"""Reading a row: a field by any of the names that its makers gave it."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.evals.task import Row

# Data sets' own names for what tells their rows apart.
_IDS = ("id", "unique_id", "question_id", "Record ID")


class WrongFields(UsageError):
    """A row that the task can't read. It keeps the row, for who knows where it stands."""

    def __init__(self, row: Row, message: str) -> None:
        super().__init__(message)
        self.row = row


def pick(row: Row, *wanted: str) -> list[Any]:
    """A value for each of `wanted`: a name, or several with `|` between, the first that is there.

    Raises WrongFields where one has none, with the fields that there are and all that are needed.
    """
    names = [each.split("|") for each in wanted]
    values = [next((row[n] for n in some if row.get(n) is not None), None) for some in names]
    if any(value is None for value in values):
        there = ", ".join(f"'{name}'" for name in row)
        needed = ", ".join(" or ".join(f"'{name}'" for name in some) for some in names)
        raise WrongFields(row, f"has {there or 'no fields'}; needed are {needed}")
    return values


def texts(row: Row, *wanted: str) -> list[str]:
    """As `pick`, of fields that hold a text or a number. Raises WrongFields also where not."""
    values = pick(row, *wanted)
    for names, value in zip(wanted, values, strict=True):
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise WrongFields(row, f"'{names}' holds {_kind(value)}, and has to be a text")
    return [str(value) for value in values]


def text_list(row: Row, name: str, value: Any) -> tuple[str, ...]:
    """The value of `name` as two texts or more."""
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise WrongFields(row, f"'{name}' holds {_kind(value)}, and has to be a list of texts")
    return tuple(str(each) for each in value)


def position(row: Row, name: str, value: Any, choices: Sequence[str]) -> int:
    """Which of the choices the value of `name` means: a number from 0, or a letter from A."""
    written = str(value).strip()
    letters = ascii_uppercase[: len(choices)]
    if len(written) == 1 and written in letters:
        return letters.index(written)
    if written.isdecimal() and int(written) < len(choices):
        return int(written)
    raise WrongFields(
        row, f"'{name}' is {written!r}, and none of the {len(choices)} choices, counted from 0"
    )


def row_id(row: Row, number: int) -> str:
    """What its makers call the row, or its number in the data, from 0."""
    given = next((row[name] for name in _IDS if row.get(name) not in (None, "")), number)
    return str(given)


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:40]
