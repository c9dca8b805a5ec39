"""What quantisation costs in quality: published measurements and where they are from.

What was not measured is not here, and asking for it gives nothing. No figure is interpolated.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Recovery:
    """How much of the unquantised model's score is left, in percent, and on what it was measured.

    The figure holds for models of ``least_parameters`` to ``most_parameters``. ``is_least``: the
    source says "at least".
    """

    quantization: str
    percent: float
    measured_on: str
    least_parameters: int
    most_parameters: int
    measure: str
    source: str
    is_least: bool = False

    def covers(self, parameters: int) -> bool:
        """Whether models of this size, to a tenth, are among those that were measured."""
        return 0.9 * self.least_parameters <= parameters <= 1.1 * self.most_parameters

    def distance(self, parameters: int) -> float:
        """How far off in size the measured models are: the logarithm of a ratio, 0 within."""
        nearest = min(max(parameters, self.least_parameters), self.most_parameters)
        return abs(math.log(parameters / nearest))


@dataclass(frozen=True, slots=True)
class TextFit:
    """How well a quantised model predicts a text.

    ``perplexity_ratio`` is against the unquantised model's; ``divergence`` the mean
    Kullback-Leibler divergence from its probabilities, in nats, where it was measured. ``imatrix``
    says whether the quantiser had an importance matrix; None where the source does not.
    """

    quantization: str
    model: str
    parameters: int
    text: str
    perplexity: float
    perplexity_ratio: float
    divergence: float | None
    imatrix: bool | None
    source: str


def recoveries(quantization: str) -> tuple[Recovery, ...]:
    """All that was published for a type ("Q4_K_M") or a scheme ("W4A16")."""
    return tuple(one for one in _load().recoveries if one.quantization == quantization.upper())


def recovery_for(quantization: str, parameters: int) -> Recovery | None:
    """The figure measured on models nearest in size; None where nobody has published one.

    ``Recovery.covers`` tells whether it was measured on models of this size. Of two that fit alike
    the one of fewer models is taken.
    """
    return min(
        recoveries(quantization),
        key=lambda one: (
            one.distance(parameters),
            one.most_parameters / one.least_parameters,
        ),
        default=None,
    )


def text_fits(quantization: str) -> tuple[TextFit, ...]:
    """Perplexities published for a type, of every model and with and without a matrix."""
    return tuple(one for one in _load().text_fits if one.quantization == quantization.upper())


class _Quality(NamedTuple):
    recoveries: tuple[Recovery, ...]
    text_fits: tuple[TextFit, ...]


@cache
def _load() -> _Quality:
    path = files(__package__).joinpath("quantizations.toml")
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    fits = [fit for table in document["table"] for fit in _text_fits(table)]
    return _Quality(tuple(Recovery(**one) for one in document["recovery"]), tuple(fits))


def _text_fits(table: dict[str, Any]) -> list[TextFit]:
    rows = table["rows"]
    (unquantised,) = (row["perplexity"] for row in rows if row["quantization"] == "F16")
    return [
        TextFit(
            quantization=row["quantization"],
            model=table["model"],
            parameters=table["parameters"],
            text=table["text"],
            perplexity=row["perplexity"],
            perplexity_ratio=row["perplexity"] / unquantised,
            divergence=row.get("divergence"),
            imatrix=row.get("imatrix"),
            source=table["source"],
        )
        for row in rows
    ]
