"""Promises are read, and kept only by requests that keep all of them."""

from __future__ import annotations

import pytest

from stillhouse.bench.records import RequestRecord
from stillhouse.bench.slo import DEFAULT, Slo
from stillhouse.errors import UsageError

GOOD = RequestRecord(0, 0.0, e2e_s=4.0, ttft_s=1.0, ttfat_s=2.0, tpot_s=0.05)


def test_limits_are_read_in_seconds_and_milliseconds() -> None:
    assert Slo.parse("ttft:2s, tpot:100ms,e2e:500") == Slo(ttft_s=2.0, tpot_s=0.1, e2e_s=0.5)
    assert str(Slo.parse(DEFAULT)) == "ttft ≤ 5 s, tpot ≤ 0.2 s"
    assert Slo.parse(DEFAULT).as_json() == {"ttft_s": 5.0, "tpot_s": 0.2}


@pytest.mark.parametrize("text", ["", "ttft", "ttft:-1s", "itl:5ms", "ttft:1s,ttft:2s", "ttft:1h"])
def test_what_is_no_promise_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no promise"):
        Slo.parse(text)


@pytest.mark.parametrize("broken", ["ttft:900ms", "ttfat:1s", "tpot:40ms", "e2e:3s"])
def test_one_broken_promise_is_enough(broken: str) -> None:
    assert Slo.parse("ttft:1s,ttfat:2s,tpot:50ms,e2e:4s").is_kept(GOOD)
    assert not Slo.parse(broken).is_kept(GOOD)


def test_a_failed_request_keeps_nothing() -> None:
    assert not Slo().is_kept(RequestRecord(0, 0.0, error="timeout", message="silence"))


def test_a_thought_without_an_answer_breaks_a_promise_about_answers_alone() -> None:
    truncated = RequestRecord(0, 0.0, e2e_s=4.0, ttft_s=1.0, tpot_s=0.05)
    assert Slo.parse("ttft:1s").is_kept(truncated)
    assert not Slo.parse("ttfat:100s").is_kept(truncated)


def test_a_single_token_has_no_time_between_two() -> None:
    assert Slo.parse("tpot:1ms").is_kept(RequestRecord(0, 0.0, e2e_s=1.0, ttft_s=1.0))
