"""A quantity as a tree of named parts, each with the formula that it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.units import format_bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of something, or of all its parts together. `how` is the formula with its numbers."""

    name: str
    num_bytes: int
    how: str = ""
    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, name: str, parts: Sequence[Part], how: str = "") -> Part:
        """The sum of its parts."""
        return cls(name, sum(part.num_bytes for part in parts), how, tuple(parts))

    def find(self, name: str) -> Part | None:
        """The part of this name, however deep it lies."""
        return next((part for _, part in self.walk() if part.name == name), None)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Part]]:
        """Itself and all its parts, each with its depth, parents first."""
        yield depth, self
        for part in self.parts:
            yield from part.walk(depth + 1)

    def as_json(self) -> dict[str, Any]:
        """`name`, `bytes`, `how`, `parts`."""
        document: dict[str, Any] = {"name": self.name, "bytes": self.num_bytes, "how": self.how}
        if self.parts:
            document["parts"] = [part.as_json() for part in self.parts]
        return document

    def lines(self) -> list[tuple[str, str, str]]:
        """Name (indented), bytes and formula of each part, for a table."""
        return [
            ("  " * depth + part.name, format_bytes(part.num_bytes), part.how)
            for depth, part in self.walk()
        ]
