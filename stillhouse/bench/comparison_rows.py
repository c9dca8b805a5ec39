"""The rows of a comparison's table, for the terminal and for Markdown."""

from __future__ import annotations

from stillhouse.bench.figures import NOT_AVAILABLE
from stillhouse.bench.verdicts import Figure

HEADINGS = ("figure", "A", "B", "B/A", "95 % interval", "verdict")
RIGHT = (1, 2, 3, 4)


def row_of(figure: Figure, threshold: float) -> tuple[str, ...]:
    """Texts for `HEADINGS`."""
    verdict: str = figure.verdict
    if figure.is_regression and figure.name != "errors":
        verdict += f", by more than {threshold * 100:g} %"
    return (
        figure.title,
        *(NOT_AVAILABLE if one is None else figure.form(one) for one in (figure.a, figure.b)),
        NOT_AVAILABLE if figure.ratio is None else _ratio(figure.ratio),
        NOT_AVAILABLE
        if figure.low is None or figure.high is None
        else f"{_ratio(figure.low)} to {_ratio(figure.high)}",
        verdict,
    )


def _ratio(value: float) -> str:
    """Three decimals, which is a tenth of a percent near 1; figures elsewhere."""
    return f"{value:.3f}" if 0.1 <= value < 10 else f"{value:.3g}"
