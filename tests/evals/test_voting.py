"""A majority's score is the mean over every set of k, ties and silence included."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.evals.voting import Vote, maj_at_k

GOLD = {"a": 1.0, "b": 0.0, "c": 0.25, "d": 0.0, "e": 1.0}


def votes(answers: str) -> list[Vote]:
    """A letter a sample, '-' for one without an answer."""
    return [Vote(None, 0.0) if one == "-" else Vote(one, GOLD[one]) for one in answers]


def by_all_sets(answers: str, k: int) -> float:
    total = count = 0.0
    for chosen in combinations(answers, k):
        counts = Counter(one for one in chosen if one != "-")
        winners = [one for one in counts if counts[one] == max(counts.values())]
        total += sum(GOLD[one] for one in winners) / len(winners) if winners else 0.0
        count += 1
    return total / count


@settings(max_examples=60)
@given(st.text("abcde-", min_size=1, max_size=9), st.data())
def test_a_vote_is_the_mean_over_every_set_of_k(answers: str, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    assert maj_at_k([votes(answers)], k).value == pytest.approx(by_all_sets(answers, k), abs=1e-12)


def test_votes_worked_by_hand() -> None:
    assert maj_at_k([votes("aab")], 3).value == 1
    assert maj_at_k([votes("abb")], 3).value == 0
    assert maj_at_k([votes("abbd")], 4).value == 0
    assert maj_at_k([votes("aabb")], 4).value == 0.5  # a tie
    assert maj_at_k([votes("abd-")], 4).value == pytest.approx(1 / 3)
    assert maj_at_k([votes("aab")], 2).value == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert maj_at_k([votes("aab"), votes("bbb")], 3).value == 0.5


def test_samples_without_an_answer_do_not_vote() -> None:
    assert maj_at_k([votes("a---")], 4).value == 1
    assert maj_at_k([votes("----")], 4).value == 0
    assert maj_at_k([votes("a---")], 1).value == 0.25


@settings(max_examples=60)
@given(st.text("abcde-", min_size=1, max_size=12))
def test_a_majority_of_one_is_the_mean_score(answers: str) -> None:
    mean = sum(one.score for one in votes(answers)) / len(answers)
    assert maj_at_k([votes(answers)], 1).value == pytest.approx(mean)


@settings(max_examples=60)
@given(st.text("abcde-", min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(answers: str, random: Random) -> None:
    shuffled = list(answers)
    random.shuffle(shuffled)
    k = (len(answers) + 1) // 2
    turned = maj_at_k([votes("".join(shuffled))], k).value
    assert turned == pytest.approx(maj_at_k([votes(answers)], k).value, abs=1e-12)


def test_more_samples_bring_out_the_most_frequent_answer() -> None:
    """Half right, the wrong ones scattered: what voting is for."""
    row = [votes("a" * 32 + "bcd-" * 8)]
    found = [maj_at_k(row, k).value for k in (1, 4, 16, 64)]
    assert found == sorted(found)
    assert found[-1] == 1


def test_an_answer_that_was_graded_twice_counts_with_the_mean() -> None:
    assert maj_at_k([[Vote("7", 1.0), Vote("7", 0.0), Vote("8", 0.0)]], 3).value == 0.5


def test_hundreds_of_samples_overflow_nothing() -> None:
    row = votes("a" * 600 + "b" * 500 + "-" * 100)
    assert 0.5 < maj_at_k([row], 40).value < 1


def test_a_vote_is_refused_without_k_samples() -> None:
    with pytest.raises(UsageError, match=r"maj@4 needs 4 samples .* the least has 3"):
        maj_at_k([votes("aaaa"), votes("aab")], 4)
