"""Published quality: every figure has a source, and what is not published stays unknown."""

from __future__ import annotations

import pytest

from stillhouse import catalog
from stillhouse.catalog import recoveries, recovery_for, text_fits
from stillhouse.models.folder_size import SCHEMES
from stillhouse.models.mixtures import MIXTURES

NAMES = sorted({*MIXTURES, *SCHEMES})
Q14B = catalog.find("r1-distill-qwen-14b").model.parameters
Q1_5B = catalog.find("r1-distill-qwen-1.5b").model.parameters
Q7B = catalog.find("r1-distill-qwen-7b").model.parameters
L70B = catalog.find("r1-distill-llama-70b").model.parameters


def test_every_figure_has_a_source_and_says_what_it_was_measured_on() -> None:
    for name in NAMES:
        for recovery in recoveries(name):
            assert recovery.source
            assert recovery.measured_on
            assert recovery.measure
            assert 50 < recovery.percent <= 100
        for fit in text_fits(name):
            assert fit.source
            assert fit.perplexity_ratio > 0.999


@pytest.mark.parametrize(
    ("quantization", "parameters", "percent"),
    [
        ("Q8_0", Q14B, 99),
        ("q4_k_m", Q14B, 97),
        ("Q2_K", Q14B, 89),
        ("FP8", Q1_5B, 99),
        ("INT8", Q1_5B, 96.9),
        ("INT8", L70B, 99),
        ("W4A16", Q1_5B, 94),
        ("W4A16", Q7B, 98.3),
        ("W4A16", L70B, 97),
    ],
)
def test_recovery_is_that_of_the_size_that_was_measured(
    quantization: str, parameters: int, percent: float
) -> None:
    recovery = recovery_for(quantization, parameters)
    assert recovery is not None
    assert recovery.percent == percent
    assert recovery.covers(parameters)


def test_a_figure_of_another_size_says_so() -> None:
    recovery = recovery_for("Q4_K_M", Q1_5B)
    assert recovery is not None
    assert not recovery.covers(Q1_5B)


@pytest.mark.parametrize("quantization", ["IQ3_XS", "UD-IQ1_S", "Q4_K_L"])
def test_what_nobody_published_is_unknown(quantization: str) -> None:
    assert recovery_for(quantization, Q7B) is None


def test_a_matrix_lowers_the_divergence() -> None:
    for name in ("Q4_K_M", "Q4_K_S", "Q3_K_M", "Q3_K_S", "Q2_K"):
        fits = {fit.imatrix: fit.divergence for fit in text_fits(name) if fit.divergence}
        assert fits[True] < fits[False]


def test_from_5_bits_on_little_of_the_fit_is_lost() -> None:
    for name in ("Q8_0", "Q6_K", "Q5_K_M"):
        assert {fit.model for fit in text_fits(name)} == {"Llama-3-8B", "Llama-3-70B-Instruct"}
        assert all(fit.perplexity_ratio < 1.02 for fit in text_fits(name))
