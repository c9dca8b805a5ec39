"""Bytes, rates and times as people read them, and sizes as they type them; decimal, as on disks."""

from __future__ import annotations

import re

from stillhouse.errors import UsageError

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def format_bytes(n_bytes: float) -> str:
    """1117320768 → '1.12 GB'; three significant figures, decimal prefixes."""
    return _scaled(n_bytes, "B")


def format_rate(bytes_per_s: float) -> str:
    """Bytes per second → '37.5 GB/s'."""
    return _scaled(bytes_per_s, "B/s")


def format_seconds(seconds: float) -> str:
    """0.0123 → '12 ms'; 4.2 → '4.2 s'; 130 → '2 min 10 s'; 7260 → '2 h 01 min'."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def parse_bytes(text: str) -> int:
    """'0.9GB' → 900000000; '8GiB' → 8589934592; a bare number is bytes. Raises UsageError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"'{text}' is not a size", hint="write it as 900MB, 8GB or 8GiB")
    number, prefix, binary = match.groups()
    base = 1024 if binary else 1000
    return round(float(number) * float(base ** _POWER[prefix.lower()]))


def _scaled(value: float, unit: str) -> str:
    for prefix in ("", "k", "M", "G", "T"):
        if abs(value) < 999.5 or prefix == "T":
            digits = sum(abs(value) < limit for limit in (9.995, 99.95)) if prefix else 0
            return f"{value:.{digits}f} {prefix}{unit}"
        value /= 1000
    raise AssertionError("unreachable")
