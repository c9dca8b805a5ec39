"""Scores, both their errors, and intervals that hold what they promise."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.evals.statistics import Floats, interval_of, pass_at_1, pass_at_k
from stillhouse.intervals import Z

REPEATS = 1500

rights = st.lists(
    st.lists(st.integers(0, 1).map(float), min_size=6, max_size=6), min_size=1, max_size=8
)
shares = st.lists(
    st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=5),
    min_size=1,
    max_size=8,
)


def rows_of(*counts: tuple[int, int]) -> list[list[float]]:
    """A row for each (right, samples)."""
    return [[1.0] * right + [0.0] * (samples - right) for right, samples in counts]


def test_a_score_worked_by_hand() -> None:
    score = pass_at_1(rows_of((4, 4), (2, 4), (0, 4), (1, 4)))
    assert score.value == 7 / 16
    # s² are 0, 1/3, 0, 1/4; their sum over 4 samples is 7/48.
    assert score.stderr_sampling == pytest.approx(math.sqrt(7 / 48) / 4)
    # Means 1, 1/2, 0, 1/4 lie 9, 1, 7, 3 sixteenths from theirs.
    assert score.stderr_questions == pytest.approx(math.sqrt(140 / 256 / 3 / 4))


def test_the_error_of_sampling_is_that_of_the_textbook_made_unbiased() -> None:
    counts, samples = (3, 5, 8, 0, 7), 8
    score = pass_at_1(rows_of(*((right, samples) for right in counts)))
    p = np.array(counts) / samples
    textbook = math.sqrt(float((p * (1 - p)).mean()) / (len(counts) * samples))
    assert score.stderr_sampling == pytest.approx(textbook * math.sqrt(samples / (samples - 1)))


def test_the_error_of_sampling_is_what_the_score_varies_by_when_asked_again() -> None:
    generator = np.random.default_rng(5)
    p = generator.beta(0.4, 0.4, 20)
    runs = generator.binomial(1, p[:, None], (800, 20, 3)).astype(float)
    scores = [pass_at_1(run.tolist()) for run in runs]
    squares = [one.stderr_sampling**2 for one in scores if one.stderr_sampling is not None]
    spread = np.std([one.value for one in scores])
    assert math.sqrt(np.mean(squares)) == pytest.approx(spread, rel=0.08)


@pytest.mark.parametrize(
    ("right", "questions", "published"),
    [(43, 126, 0.042407993275749240), (163, 237, 0.030165137867847008)],
)
def test_the_error_across_questions_is_what_lm_eval_printed(
    right: int, questions: int, published: float
) -> None:
    """For two subjects of MMLU, of which it printed the accuracies 0.3413 and 0.6878."""
    score = pass_at_1(rows_of(*((int(n < right), 1) for n in range(questions))))
    assert score.stderr_questions == pytest.approx(published, rel=1e-12)
    assert round(score.value, 4) in (0.3413, 0.6878)


def test_one_sample_a_question_cannot_tell_the_error_of_sampling() -> None:
    assert pass_at_1(rows_of((1, 1), (0, 1))).stderr_sampling is None
    assert pass_at_1(rows_of((1, 1), (0, 1)), is_greedy=True).stderr_sampling == 0
    assert pass_at_1(rows_of((1, 2))).stderr_questions is None


def test_a_question_with_one_sample_is_taken_to_vary_as_the_others_do() -> None:
    score = pass_at_1(rows_of((1, 2), (1, 2), (1, 1)))
    assert score.stderr_sampling == pytest.approx(math.sqrt(1 / 4 + 1 / 4 + 1 / 2) / 3)


def test_every_question_weighs_the_same_however_often_it_was_asked() -> None:
    assert pass_at_1(rows_of((4, 4), (0, 1))).value == 0.5


@pytest.mark.parametrize(
    ("right", "questions", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_right_or_wrong_once_a_question_gives_wilsons_interval(
    right: int, questions: int, low: float, high: float
) -> None:
    """The four examples of Newcombe (1998, Statistics in Medicine 17), method 3."""
    score = pass_at_1(rows_of(*((int(n < right), 1) for n in range(questions))))
    assert (score.low, score.high) == pytest.approx((low, high), abs=5e-5)


def test_no_score_is_certain() -> None:
    nothing, everything = pass_at_1(rows_of(*[(0, 20)] * 30)), pass_at_1(rows_of(*[(20, 20)] * 30))
    assert nothing.low == 0
    assert nothing.high > 0.1  # 30 questions, however many samples
    assert everything.high == 1
    assert everything.low == pytest.approx(1 - nothing.high)
    once = pass_at_1(rows_of((1, 20), *[(0, 20)] * 29))
    assert nothing.high < once.high < nothing.high + 0.01


@settings(max_examples=60)
@given(shares)
def test_an_interval_holds_its_score_and_stays_between_0_and_1(rows: list[list[float]]) -> None:
    score = pass_at_1(rows)
    assert 0 <= score.low <= score.value <= score.high <= 1


@settings(max_examples=60)
@given(shares)
def test_what_is_wrong_is_the_mirror_of_what_is_right(rows: list[list[float]]) -> None:
    score, mirror = pass_at_1(rows), pass_at_1([[1 - one for one in row] for row in rows])
    assert (mirror.low, mirror.high) == pytest.approx((1 - score.high, 1 - score.low), abs=1e-9)


def coverage(means: Floats, truth: float) -> float:
    """`means`: (repeats, questions)."""
    intervals = [interval_of(row) for row in means]
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.parametrize("samples", [1, 4, 16])
@pytest.mark.parametrize("questions", [10, 30, 200])
@pytest.mark.parametrize("shape", [(0.3, 0.3), (0.2, 1.5), (8, 0.8)], ids=["all", "low", "high"])
def test_of_a_hundred_intervals_ninety_five_hold_the_truth(
    shape: tuple[float, float], questions: int, samples: int
) -> None:
    """Beta-distributed difficulties, many of them hopeless or easy, as benchmarks' are."""
    generator = np.random.default_rng([questions, samples])
    p = generator.beta(*shape, (REPEATS, questions))
    found = coverage(generator.binomial(samples, p) / samples, shape[0] / sum(shape))
    assert found >= (0.91 if samples == 1 else 0.935)  # one sample: Wilson's steps


def test_intervals_of_shares_hold_the_truth_and_are_no_wider_than_needed() -> None:
    generator = np.random.default_rng(3)
    means = generator.beta(2, 3, (REPEATS, 200))
    assert 0.935 <= coverage(means, 0.4) <= 0.985


def test_taking_samples_for_questions_would_promise_too_much() -> None:
    generator = np.random.default_rng(4)
    p = generator.beta(0.3, 0.3, (REPEATS, 30))
    right = generator.binomial(16, p).sum(1)
    naive = [interval_of(np.repeat([1.0, 0.0], [count, 480 - count])) for count in right]
    assert np.mean([low <= 0.5 <= high for low, high in naive]) < 0.5


def test_wilson_is_what_the_interval_is_of_right_and_wrong_for_any_number() -> None:
    for right, number in ((0, 1), (1, 1), (7, 9), (250, 500)):
        p, n = right / number, number
        middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
        found = interval_of(np.repeat([1.0, 0.0], [right, number - right]))
        assert found == pytest.approx((middle - half, middle + half), abs=1e-12)


def test_human_evals_example_of_three_right_in_six() -> None:
    assert pass_at_k(rows_of((3, 6)), 1).value == pytest.approx(0.5)
    assert pass_at_k(rows_of((3, 6)), 2).value == pytest.approx(0.8)
    assert pass_at_k(rows_of((3, 6)), 4).value == 1


@pytest.mark.parametrize(("right", "samples"), [(0, 64), (1, 64), (40, 64), (64, 64), (13, 200)])
@pytest.mark.parametrize("k", [1, 8, 64])
def test_pass_at_k_is_the_product_of_the_paper(right: int, samples: int, k: int) -> None:
    """arXiv 2107.03374, figure 3: 1 - Π (1 - k / i) for i from n - c + 1 to n."""
    factors = 1 - k / np.arange(samples - right + 1, samples + 1)
    product = 1.0 if samples - right < k else 1 - float(np.prod(factors))
    assert pass_at_k(rows_of((right, samples)), k).value == pytest.approx(product, abs=1e-12)


@settings(max_examples=60)
@given(rights)
def test_pass_at_k_is_the_mean_over_all_sets_of_k_and_grows_with_k(rows: list[list[float]]) -> None:
    found = [pass_at_k(rows, k).value for k in range(1, 7)]
    by_sets = [
        np.mean([np.mean([max(one) for one in combinations(row, k)]) for row in rows])
        for k in range(1, 7)
    ]
    assert found == pytest.approx(by_sets)
    assert found[0] == pytest.approx(pass_at_1(rows).value)
    assert all(0 <= one <= two + 1e-12 <= 1 + 1e-9 for one, two in pairwise(found))


def test_pass_at_k_is_refused_without_k_samples() -> None:
    with pytest.raises(UsageError, match=r"pass@4 needs 4 samples .* 1 of 2 questions .* has 3"):
        pass_at_k(rows_of((1, 4), (1, 3)), 4)
    with pytest.raises(UsageError, match="at least one"):
        pass_at_k(rows_of((1, 4)), 0)
    with pytest.raises(UsageError, match="no question"):
        pass_at_1([])
    with pytest.raises(UsageError, match="pass@1 needs 1 sample"):
        pass_at_1([[1.0], []])


def test_pass_at_k_of_shares_is_refused() -> None:
    with pytest.raises(UsageError, match="right or wrong"):
        pass_at_k([[0.5, 1.0]], 2)
