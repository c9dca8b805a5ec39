"""Two runs are told apart where questions like these would do so again, and only there."""

from __future__ import annotations

import math
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.evals.paired import Difference, difference_of, verdict_of
from stillhouse.evals.statistics import pass_at_1
from stillhouse.intervals import student_t

Rows = list[list[float]]

REPEATS = 400
LEAST = 0.95 - 3 * math.sqrt(0.95 * 0.05 / REPEATS)  # three standard errors of the simulation


def runs(least: int = 1) -> st.SearchStrategy[tuple[Rows, Rows]]:
    """Two runs over the same questions, right or wrong, as many samples of each."""
    row = st.lists(st.integers(0, 1).map(float), min_size=3, max_size=3)
    return st.lists(st.tuples(row, row), min_size=least, max_size=12).map(
        lambda pairs: ([a for a, _ in pairs], [b for _, b in pairs])
    )


def once(answers: str) -> Rows:
    """'1' and '0', one sample a question."""
    return [[float(one)] for one in answers]


def test_a_difference_worked_by_hand() -> None:
    a = [[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    b = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    found = difference_of(a, b)
    # Differences of means: -1/2, 0, 0, -1/2, 0, 0; squares about -1/6: 1/3, over 5: 1/15.
    assert found.value == pytest.approx(-1 / 6)
    assert found.stderr_questions == pytest.approx(math.sqrt(1 / 15 / 6))
    # A question and a sample of another, of two: (1 + 1/2) / 6².
    squared = 1 / 90 + 1.5 / 36
    half = student_t(5) * math.sqrt(squared)
    assert found.high == pytest.approx(-1 / 6 + half)
    assert found.low == pytest.approx(-1 / 6 - half)
    # Sample by sample: (0, -1), (-1, 1), (0, 0), (-1, 0), twice (0, 0): variances 1/2, 2, 0, 1/2.
    assert found.stderr_sampling == pytest.approx(math.sqrt(3 / 2) / 6)
    # Two samples of twelve.
    assert found.sampling_high == pytest.approx(
        -1 / 6 + student_t(6) * math.sqrt(3 / 2 / 36 + 2 / 144)
    )
    # What is (t + z) times its own error, its d (1 - d) / 6 included.
    least = found.least
    own = squared + least * (1 - least) / 6
    assert least == pytest.approx((student_t(5) + 0.8416) * math.sqrt(own), rel=1e-4)


def test_where_no_difference_would_show_there_is_no_least_one() -> None:
    assert difference_of(once("101010"), once("010101")).least is None


def test_questions_that_both_find_hard_cancel_out() -> None:
    generator = np.random.default_rng(0)
    p = generator.beta(0.3, 0.3, 60)
    a, b = (generator.binomial(1, p[:, None], (60, 8)).astype(float).tolist() for _ in range(2))
    apart = [pass_at_1(one).stderr_questions or 0 for one in (a, b)]
    assert difference_of(a, b).stderr_questions < 0.5 * math.hypot(*apart)


@settings(max_examples=60)
@given(runs())
def test_swapping_the_runs_negates_everything(pair: tuple[Rows, Rows]) -> None:
    one, other = difference_of(*pair), difference_of(*reversed(pair))
    assert other.value == -one.value
    assert (other.low, other.high) == (-one.high, -one.low)
    assert other.stderr_sampling == pytest.approx(one.stderr_sampling)
    assert other.is_shown == one.is_shown


@settings(max_examples=60)
@given(runs())
def test_the_same_run_has_no_difference_at_all(pair: tuple[Rows, Rows]) -> None:
    found = difference_of(pair[0], pair[0])
    assert found.value == 0
    assert not found.is_shown
    assert found.recovery is None or found.recovery.value == 1


@settings(max_examples=60)
@given(runs())
def test_a_difference_is_that_of_the_scores_and_lies_in_its_intervals(
    pair: tuple[Rows, Rows],
) -> None:
    found = difference_of(*pair)
    scores = [pass_at_1(one).value for one in pair]
    assert found.value == pytest.approx(scores[1] - scores[0])
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.sampling_low <= found.value <= found.sampling_high


def test_runs_that_agree_everywhere_may_still_differ_elsewhere() -> None:
    widths = [difference_of(once("10" * n), once("10" * n)).high for n in (15, 100, 300)]
    assert widths == sorted(widths, reverse=True)
    assert 0.08 < widths[0] < 0.11
    assert 0.004 < widths[2] < 0.01


def test_shares_that_agree_everywhere_are_the_same() -> None:
    rows = [[0.3], [0.4], [0.25], [0.7], [0.1], [0.9]]
    found = difference_of(rows, rows)
    assert (found.low, found.high) == (0, 0)
    assert verdict_of(found, 4) == "the same score on every question"


def test_five_questions_can_show_nothing() -> None:
    found = difference_of(once("11111"), once("00000"))
    assert (found.low, found.high, found.stderr_questions, found.least) == (-1, 1, None, None)
    assert verdict_of(found, 5) == "too few questions to tell: at least 6 are needed"


def test_one_sample_a_question_has_no_interval_for_the_fixed_set() -> None:
    found = difference_of(once("1100"), once("0101"))
    assert found.stderr_sampling is found.sampling_low is found.sampling_high is None
    greedy = difference_of(once("1100"), once("0100"), is_greedy=True)
    assert greedy.stderr_sampling == 0
    assert (greedy.sampling_low, greedy.sampling_high) == (-0.25, -0.25)


def test_runs_of_different_lengths_are_compared_by_their_own_variances() -> None:
    a = [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    b = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0] * 4]
    found = difference_of(a, b)
    assert found.stderr_sampling == pytest.approx(math.sqrt(0.5 / 2 + (1 / 3 + 1 / 4) / 4) / 3)


def test_samples_of_one_seed_that_move_together_leave_less_error() -> None:
    generator = np.random.default_rng(1)
    a = generator.integers(0, 2, (40, 8)).astype(float)
    b = np.where(generator.random((40, 8)) < 0.05, 1 - a, a)
    paired = difference_of(a.tolist(), b.tolist())
    unpaired = difference_of(a.tolist(), [[*row, row[0]] for row in b.tolist()])
    assert paired.stderr_sampling < 0.5 * unpaired.stderr_sampling


def test_runs_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(UsageError, match="A has 2 questions, B has 3"):
        difference_of(once("10"), once("101"))


def mcnemar(a: Rows, b: Rows) -> float:
    """The exact two-sided test of one sample a question: of those that differ, a fair coin."""
    lost = sum(one > two for (one,), (two,) in zip(a, b, strict=True))
    won = sum(one < two for (one,), (two,) in zip(a, b, strict=True))
    tail = sum(comb(lost + won, n) for n in range(min(lost, won) + 1)) / 2 ** (lost + won)
    return min(1.0, 2 * tail)


@pytest.mark.parametrize("agreed", [60, 400])
def test_verdicts_agree_with_mcnemars_exact_test(agreed: int) -> None:
    """All but where that is undecided: it counts in whole questions, and is the more careful."""
    decided = 0
    for lost in range(0, 25, 2):
        for won in range(0, 25, 2):
            a = once("1" * agreed + "1" * lost + "0" * won)
            b = once("1" * agreed + "0" * lost + "1" * won)
            likelihood = mcnemar(a, b)
            if likelihood < 0.02 or likelihood > 0.15:
                decided += 1
                assert difference_of(a, b).is_shown == (likelihood < 0.02), (lost, won)
    assert decided > 120


def held(
    p_a: np.ndarray, p_b: np.ndarray, samples: int, truth: float, seed: int
) -> tuple[float, float]:
    """The share of intervals that hold the truth, and of those that show a difference."""
    generator = np.random.default_rng(seed)
    found: list[Difference] = []
    for one, two in zip(p_a, p_b, strict=True):
        a, b = (generator.binomial(1, p[:, None], (p.size, samples)) for p in (one, two))
        found.append(difference_of(a.astype(float).tolist(), b.astype(float).tolist()))
    return (
        float(np.mean([one.low <= truth <= one.high for one in found])),
        float(np.mean([one.is_shown for one in found])),
    )


@pytest.mark.parametrize(("questions", "samples"), [(10, 4), (30, 1), (30, 8), (150, 1)])
def test_of_a_hundred_intervals_ninety_five_hold_the_true_difference(
    questions: int, samples: int
) -> None:
    p = np.random.default_rng(questions).beta(0.3, 0.3, (REPEATS, questions))
    same, shown = held(p, p, samples, 0.0, 1)
    assert same >= LEAST
    assert shown <= 1 - LEAST
    assert held(p, 0.8 * p, samples, -0.1, 2)[0] >= LEAST


def test_a_rare_loss_is_not_shut_out_because_none_was_seen() -> None:
    lost = np.random.default_rng(6).random((REPEATS, 200)) < 0.02
    assert held(np.ones_like(lost, float), 1.0 - lost, 1, -0.02, 3)[0] >= 0.95


def test_intervals_for_the_fixed_set_hold_its_own_truth() -> None:
    generator = np.random.default_rng(7)
    p_a, p_b = generator.beta(0.5, 0.5, (2, 25))
    truth, hits = float((p_b - p_a).mean()), 0
    for _ in range(REPEATS):
        a, b = (generator.binomial(1, p[:, None], (25, 4)).astype(float) for p in (p_a, p_b))
        found = difference_of(a.tolist(), b.tolist())
        hits += found.sampling_low <= truth <= found.sampling_high
    assert LEAST <= hits / REPEATS <= 0.985


def test_the_least_difference_is_shown_in_four_of_five_runs() -> None:
    """Of a loss that all questions share, and of one that is of whole questions."""
    p = np.full((REPEATS, 100), 0.6)
    generator = np.random.default_rng(8)
    a, b = (generator.binomial(1, p[:1].T, (100, 2)).astype(float).tolist() for _ in range(2))
    least = difference_of(a, b).least
    assert 0.75 < held(p, p - least, 2, -least, 4)[1] < 0.98
    sure = np.ones((REPEATS, 200))
    least = difference_of(once("1" * 200), once("1" * 200)).least
    lost = generator.random(sure.shape) < least
    assert 0.75 < held(sure, sure - lost, 1, -least, 5)[1] < 0.98


def test_a_rare_loss_of_questions_with_many_samples_is_not_shut_out() -> None:
    lost = np.random.default_rng(11).random((REPEATS, 30)) < 1 / 30
    assert held(np.ones_like(lost, float), 1.0 - lost, 20, -1 / 30, 6)[0] >= 0.95


@settings(max_examples=60)
@given(runs(least=6))
def test_recovery_holds_one_just_where_no_difference_is_shown(pair: tuple[Rows, Rows]) -> None:
    found = difference_of(*pair)
    if found.recovery is None:
        assert pass_at_1(pair[0]).value == 0
        return
    value, low, high = found.recovery
    assert value == pytest.approx(pass_at_1(pair[1]).value / pass_at_1(pair[0]).value)
    if low is not None and high is not None:
        assert 0 <= low <= value <= high
        if min(abs(found.low), abs(found.high)) > 1e-9:
            assert (low <= 1 <= high) == (not found.is_shown)


def test_fiellers_limits_are_the_ratios_that_the_test_does_not_refuse() -> None:
    generator = np.random.default_rng(9)
    a = generator.binomial(1, 0.7, (50, 4)).astype(float)
    b = generator.binomial(1, 0.55, (50, 4)).astype(float)
    recovery = difference_of(a.tolist(), b.tolist()).recovery
    ratios = np.linspace(0.5, 1.2, 70_001)
    apart = b.mean(1)[:, None] - ratios * a.mean(1)[:, None]
    unseen = (1 + 1 / 4) / 50**2 * (1 + ratios**2) / 2
    wide = student_t(49) * np.sqrt(apart.var(0, ddof=1) / 50 + unseen)
    kept = ratios[np.abs(apart.mean(0)) <= wide]
    assert (recovery.low, recovery.high) == pytest.approx((kept[0], kept[-1]), abs=2e-5)


def test_recovery_of_a_baseline_that_may_score_nothing_has_no_limits() -> None:
    assert difference_of(once("000000"), once("010000")).recovery is None
    found = difference_of(once("100000"), once("010000")).recovery
    assert found == (1, None, None)


def test_intervals_of_recovery_hold_the_true_ratio() -> None:
    generator = np.random.default_rng(10)
    hits = 0
    for _ in range(REPEATS):
        p = generator.beta(0.8, 0.4, 40)
        a, b = (generator.binomial(1, q[:, None], (40, 4)).astype(float) for q in (p, 0.85 * p))
        _, low, high = difference_of(a.tolist(), b.tolist()).recovery
        hits += low <= 0.85 <= high
    assert LEAST <= hits / REPEATS <= 0.99


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (-0.031, -0.05, -0.012, "worse by 3.1 points (1.2 to 5.0)"),
        (0.031, 0.012, 0.05, "better by 3.1 points (1.2 to 5.0)"),
        (-0.01, -0.023, 0.003, "no difference that 600 samples can show (at most ±2.3 points)"),
        (0.0, -0.004, 0.004, "no difference that 600 samples can show (at most ±0.4 points)"),
    ],
)
def test_a_verdict_is_said_in_words(value: float, low: float, high: float, words: str) -> None:
    found = Difference(value, low, high, None, None, None, None, None, None)
    assert verdict_of(found, 600) == words
