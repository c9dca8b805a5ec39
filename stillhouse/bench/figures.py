"""Figures as tables print them: three significant ones, units behind them where they vary."""

from __future__ import annotations

NOT_AVAILABLE = "–"

_WHOLE_FROM = 99.95  # what three figures show without a decimal
_SECONDS_FROM = 0.9995


def three_figures(value: float) -> str:
    """12.345 → '12.3'; 3.0 → '3.00'; 1234.5 → '1,234': whole numbers are not rounded further."""
    if value == 0:
        return "0"
    if abs(value) >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:#.3g}"


def seconds(value_s: float) -> str:
    """0.0123 → '12.3 ms'; 4.2 → '4.20 s'. Never minutes, so that a column can be compared."""
    if abs(value_s) < _SECONDS_FROM:
        return f"{three_figures(value_s * 1000)} ms"
    return f"{three_figures(value_s)} s"


def percent(share: float) -> str:
    """0.0413 → '4.13 %'."""
    return f"{three_figures(share * 100)} %"
