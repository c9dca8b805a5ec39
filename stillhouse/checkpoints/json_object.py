"""JSON files of a model folder, read with bounds and with the types that are expected."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stillhouse.checkpoints.cursor import shown
from stillhouse.checkpoints.mapped_files import naming
from stillhouse.errors import BadCheckpoint
from stillhouse.units import format_bytes

# A tokenizer.json of 262,144 tokens and twice as many merges takes 33 MB; the rest is far smaller.
MAX_JSON_BYTES = 64 << 20


class JsonObject:
    """An object of a JSON file. Null stands for a key that is missing, as in the files' own code.

    Attributes:
        values: by key, as `json` reads them.
        where: what errors name before the key: "" for the file's outermost object.
    """

    def __init__(self, values: Mapping[str, Any], where: str = "") -> None:
        self.values = values
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def integer(self, key: str, default: int | None = None) -> int:
        """The whole number at ``key``. Raises BadCheckpoint for another type, or none."""
        value = self._given(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """The finite number at ``key``. Raises BadCheckpoint for another type, or none."""
        value = self._given(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, "a number")
        try:
            number = float(value)
        except OverflowError:  # a whole number with more than 308 digits
            number = math.inf
        if not math.isfinite(number):
            raise self._wrong(key, "a finite number")
        return number

    def flag(self, key: str, default: bool) -> bool:
        """The truth value at ``key``. Raises BadCheckpoint for another type."""
        value = self._given(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """The string at ``key``. Raises BadCheckpoint for another type, or none."""
        value = self._given(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def texts(self, key: str) -> list[str]:
        """The list of strings at ``key``, empty where there is none. Raises BadCheckpoint."""
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of strings")
        return value

    def child(self, key: str) -> JsonObject | None:
        """The object at ``key``, if there is one. Raises BadCheckpoint for another type."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return JsonObject(value, f"{self.where}{shown(key)[1:-1]}.")

    def _given(self, key: str, default: object) -> object:
        value = self.values.get(key)
        if value is not None:
            return value
        if default is None:
            raise BadCheckpoint(f"it does not say {self.where}{key}")
        return default

    def _wrong(self, key: str, kind: str) -> BadCheckpoint:
        value = shown(str(self.values.get(key)))
        return BadCheckpoint(f"{self.where}{shown(key)[1:-1]} is {value}, not {kind}")


def read_text_file(path: Path) -> str:
    """A text file of a model folder. Raises BadCheckpoint if it is too large or not UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_JSON_BYTES + 1)
        if len(raw) > MAX_JSON_BYTES:
            raise BadCheckpoint(f"{path.name} is larger than {format_bytes(MAX_JSON_BYTES)}")
        return raw.decode()
    except OSError as error:
        raise BadCheckpoint(f"{path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadCheckpoint(f"{path.name} is not UTF-8") from error


def read_json_file(path: Path) -> JsonObject:
    """A JSON file that holds one object. Raises BadCheckpoint."""
    text = read_text_file(path)
    with naming(path):
        return parse_json_object(text)


def parse_json_object(text: str) -> JsonObject:
    """One JSON object in which no key stands twice. Raises BadCheckpoint."""
    try:
        values = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint(f"it is not JSON: {shown(str(error))}") from error
    if not isinstance(values, dict):
        raise BadCheckpoint("it is not a JSON object")
    return JsonObject(values)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadCheckpoint(f"{shown(twice)} appears twice")
    return values
