"""`still plan --check` says what cannot be, and why, and exits with 1."""

from __future__ import annotations

import json

import pytest
import typer

from stillhouse.cli.plan import plan
from stillhouse.errors import UsageError


def test_an_impossible_claim_exits_with_1_and_shows_the_arithmetic(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as left:
        plan(check="70B Q4 on M4 Max: 100 tok/s")
    assert left.value.exit_code == 1
    text = capsys.readouterr().out
    assert text.startswith("impossible: ")
    assert "546 GB/s" in text


def test_a_possible_claim_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    plan(check="14B Q4_K_M on RTX 4090: 58.6 tok/s")
    assert "possible" in capsys.readouterr().out


def test_json_has_every_documented_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        plan(check="70B Q4 on M4 Max: 100 tok/s", json=True)
    claim = json.loads(capsys.readouterr().out)["claim"]
    assert claim["is_possible"] is False
    assert claim["limit_tokens_per_s"] < 14
    assert claim["reasons"]


def test_what_says_nothing_is_a_mistake_with_an_example() -> None:
    with pytest.raises(UsageError) as error:
        plan(check="the quick brown fox")
    assert error.value.hint
