"""`stillhouse.units`: what is printed is short, and what is typed is understood."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.units import format_bytes, format_rate, format_seconds, parse_bytes


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1234, "1.23 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_600_000, "1.00 GB"),
        (1_117_320_768, "1.12 GB"),
        (4e15, "4000 TB"),
    ],
)
def test_bytes_have_three_figures(n_bytes: float, text: str) -> None:
    assert format_bytes(n_bytes) == text


def test_rates_say_per_second() -> None:
    assert format_rate(37.5e9) == "37.5 GB/s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (4.2, "4.2 s"), (130, "2 min 10 s"), (7260, "2 h 01 min")],
)
def test_times_read_as_people_say_them(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("17", 17), ("900MB", 900_000_000), ("8GiB", 8 << 30), ("0.5 g", 500_000_000)],
)
def test_sizes_are_understood(text: str, n_bytes: int) -> None:
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "many", "-1GB", "1.2.3MB", "8 elephants"])
def test_what_is_no_size_is_the_users_mistake(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        parse_bytes(text)
