"""Rooflines: what a step reads, and what limits it."""

from __future__ import annotations

from stillhouse import catalog
from stillhouse.planner.speed import step_bytes
from stillhouse.planner.weights import predicted_weights


def _model(name: str) -> catalog.Model:
    return next(model for model in catalog.models() if model.name == name)


def test_a_folder_of_a_mixture_of_experts_reads_only_the_experts_it_needs() -> None:
    model = _model("r1-671b")
    weights = predicted_weights(model, "INT8")
    read = step_bytes(weights, 1, 0, "f16")
    # One byte a weight, and BF16 for the head.
    assert 0.95 < read / (model.active_parameters + model.shape.vocab_size * 7168) < 1.1
    assert step_bytes(weights, 64, 0, "f16") > 10 * read
    assert step_bytes(weights, 10**6, 0, "f16") <= weights.total_bytes


def test_a_folder_of_a_dense_model_reads_all_but_its_embeddings() -> None:
    weights = predicted_weights(_model("r1-distill-llama-8b"), "FP8")
    rest = weights.total_bytes - weights.embedding_bytes
    assert abs(step_bytes(weights, 1, 0, "f16") - rest) < 100_000
