"""The metrics of choices, against lm-eval's own arithmetic in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.evals.choosing import choose
from stillhouse.evals.task import Problem
from tests.evals.runs import toy

ACC, NORM, MC2 = (toy(metric=name, grader=None) for name in ("accuracy", "normalised", "mc2"))


def test_the_likeliest_is_chosen_and_by_length_another() -> None:
    problem = Problem("1", "Legs?", "1", choices=(" six", " eight of them"))
    nats = (-4.0, -6.0)
    assert choose(ACC, problem, nats).index == 0
    chosen = choose(NORM, problem, nats)  # -4/3 against -6/13
    assert (chosen.index, chosen.verdict, chosen.score) == (1, "right", 1.0)


def test_of_equals_the_first_is_chosen() -> None:
    problem = Problem("1", "?", "1", choices=(" a", " b"))
    assert choose(ACC, problem, (-1.0, -1.0)).verdict == "wrong"


def test_lengths_are_characters_without_the_space_before() -> None:
    problem = Problem("1", "?", "0", choices=(" ßßßß", " abcdefg"))
    assert choose(NORM, problem, (-4.0, -7.7)).index == 0  # bytes would choose the other


def test_mc2_is_the_weight_of_all_true_answers() -> None:
    labels = {"labels": [1, 0, 1]}
    problem = Problem("1", "?", "0", choices=(" a", " b", " c"), extra=labels)
    chosen = choose(MC2, problem, tuple(map(math.log, (0.1, 0.2, 0.2))))
    assert chosen.score == pytest.approx(0.6)
    assert chosen.verdict == "right"
    far = choose(MC2, problem, (-5000.0, -5001.0, -5000.0))
    assert far.score == pytest.approx(2 / (2 + math.exp(-1)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 0), st.integers(1, 30)), min_size=2, max_size=5))
def test_the_metrics_are_lm_evals(choices: list[tuple[float, int]]) -> None:
    nats = [value for value, _ in choices]
    texts = ["x" * length for _, length in choices]
    lengths = np.array([float(len(text)) for text in texts])
    problem = Problem("1", "?", "0", choices=tuple(f" {text}" for text in texts))
    assert choose(ACC, problem, nats).index == int(np.argmax(nats))
    assert choose(NORM, problem, nats).index == int(np.argmax(np.array(nats) / lengths))
    probabilities = np.exp(nats)
    truths = Problem("1", "?", "0", problem.choices, extra={"labels": [1] + [0] * len(nats[1:])})
    expected = probabilities[0] / probabilities.sum()
    assert choose(MC2, truths, nats).score == pytest.approx(float(expected))


@pytest.mark.parametrize("nats", [(math.nan, -1.0), (-math.inf, -math.inf)])
def test_what_is_no_likelihood_is_refused(nats: tuple[float, ...]) -> None:
    problem = Problem("q/7", "?", "0", choices=(" a", " b"))
    with pytest.raises(UsageError, match="q/7 have no likelihoods"):
        choose(ACC, problem, nats)
