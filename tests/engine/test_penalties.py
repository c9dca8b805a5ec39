"""Penalties and biases against a naive twin."""

from __future__ import annotations

import random

import numpy as np
import pytest

from stillhouse.engine import SamplingParams
from stillhouse.engine.penalties import Penalties
from stillhouse.errors import UsageError
from tests.reference.sampling import penalised


@pytest.mark.parametrize("seed", range(20))
def test_penalties_are_those_of_the_naive_twin(seed: int) -> None:
    rng = random.Random(seed)
    params = SamplingParams(
        10,
        presence_penalty=rng.uniform(-2, 2),
        frequency_penalty=rng.uniform(-2, 2),
        repeat_penalty=rng.uniform(0.5, 2),
        logit_bias=((3, 5.0), (7, -100.0)),
    )
    prompt = [rng.randrange(30) for _ in range(rng.randrange(1, 100))]
    said = [rng.randrange(30) for _ in range(rng.randrange(100))]
    logits = np.random.default_rng(seed).standard_normal(30, np.float32)
    before = logits.copy()
    changed = Penalties(params, prompt).fork(said).apply(logits)
    np.testing.assert_allclose(changed, penalised(logits, params, prompt, said), atol=1e-5)
    np.testing.assert_array_equal(logits, before)


def test_values_out_of_range_are_refused() -> None:
    for wrong in (
        {"presence_penalty": 2.1},
        {"frequency_penalty": -3.0},
        {"repeat_penalty": 0.0},
        {"logit_bias": ((1, 101.0),)},
    ):
        with pytest.raises(UsageError, match="must be"):
            SamplingParams(1, **wrong)
