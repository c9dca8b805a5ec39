"""Stop strings end an answer wherever the pieces are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.text.stop_strings import StopStrings


def _run(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    strings, out = StopStrings(stops), ""
    for piece in pieces:
        out += strings.push(piece)
        if strings.found:
            return out, True
    return out + strings.finish(), False


def test_a_stop_string_over_several_pieces_ends_the_answer() -> None:
    assert _run(["END"], ["one E", "N", "D two"]) == ("one ", True)


def test_only_what_may_still_match_is_held_back() -> None:
    strings = StopStrings(["\n\n", "abc"])
    assert strings.push("xab") == "x"
    assert strings.push("d\n") == "abd"
    assert strings.push("y") == "\ny"
    assert strings.finish() == ""


def test_the_first_that_is_whole_counts() -> None:
    assert _run(["cd", "b"], ["abcd"]) == ("a", True)
    assert _run(["abc", "b"], ["abc"]) == ("a", True)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        StopStrings(["x", ""])


@given(
    stops=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    pieces=st.lists(st.text("abc", max_size=5), max_size=10),
)
def test_the_cut_does_not_depend_on_the_pieces(stops: list[str], pieces: list[str]) -> None:
    whole = "".join(pieces)
    ends = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    assert _run(stops, pieces) == (whole[: min(ends)[1]] if ends else whole, bool(ends))
