"""The catalogue: its entries are sound, and names lead where people expect."""

from __future__ import annotations

import pytest

from stillhouse import catalog
from stillhouse.errors import ModelNotFound


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_every_name_and_quantisation_finds_its_own_model(model: catalog.Model) -> None:
    for name in model.names:
        assert catalog.find(name).model is model
        for quantization in model.quantizations:
            found = catalog.find(f"{name}:{quantization.lower()}")
            assert (found.model, found.quantization) == (model, quantization)
            assert catalog.find(found.name) == found or found.note


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_every_figure_has_a_source(model: catalog.Model) -> None:
    assert model.source
    for files in model.files:
        assert files.source
    assert model.tokenizer.source
    assert model.scores is None or model.scores.source


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_every_shape_is_of_its_models_architecture(model: catalog.Model) -> None:
    shape = model.shape
    assert shape.architecture == model.architecture
    assert shape.num_heads % shape.num_kv_heads == 0
    assert (shape.architecture == "deepseek2") == (shape.latent is not None)
    assert (shape.experts is not None) == (model.active_parameters < model.parameters)


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_reasoning_models_have_published_scores(model: catalog.Model) -> None:
    assert (model.scores is not None) == model.reasoning
    if model.scores is not None:
        named = (
            model.scores.aime_2024,
            model.scores.math_500,
            model.scores.gpqa_diamond,
            model.scores.live_code_bench,
        )
        assert all(score is None or 10 < score < 100 for score in named)
        assert (model.scores.mean_thinking_tokens is None) == (model.scores.thinking_source is None)


def test_the_revised_r1_thinks_almost_twice_as_long() -> None:
    before, after = (catalog.find(name).model.scores for name in ("r1-671b", "r1-0528-671b"))
    assert before is not None
    assert after is not None
    assert (before.mean_thinking_tokens, after.mean_thinking_tokens) == (12_000, 23_000)


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_published_sizes_fit_the_number_of_parameters(model: catalog.Model) -> None:
    for files in model.files:
        for quantization, size_bytes in files.sizes_bytes.items():
            bits = 8 * size_bytes / model.parameters
            assert 1.5 < bits < 33, (quantization, bits)
            if quantization == "Q8_0":
                assert bits == pytest.approx(8.5, rel=0.02)


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("deepseek-r1:1.5b", "r1-distill-qwen-1.5b:q4_k_m"),
        ("DeepSeek-R1:7B", "r1-distill-qwen-7b:q4_k_m"),
        ("deepseek-r1:7b-q8_0", "r1-distill-qwen-7b:q8_0"),
        ("deepseek-r1:14b-qwen-distill-q4_K_M", "r1-distill-qwen-14b:q4_k_m"),
        ("deepseek-r1:70b", "r1-distill-llama-70b:q4_k_m"),
        ("r1-distill-qwen-7b:q4_k_m", "r1-distill-qwen-7b:q4_k_m"),
        ("r1-0528-qwen3-8b", "r1-0528-qwen3-8b:q4_k_m"),
        ("r1-671b:iq1_s", "r1-671b:ud-iq1_s"),
        ("smollm2:135m", "smollm2-135m:q4_1"),
    ],
)
def test_names_and_tags_mean_what_people_expect(typed: str, means: str) -> None:
    assert catalog.find(typed).name == means


@pytest.mark.parametrize("typed", ["deepseek-r1", "deepseek-r1:8b", "deepseek-r1:671b"])
def test_a_name_with_several_meanings_says_which_it_took(typed: str) -> None:
    found = catalog.find(typed)
    assert found.note is not None
    assert found.model.title in found.note


def test_a_name_with_one_meaning_says_nothing() -> None:
    assert catalog.find("deepseek-r1:7b").note is None


def test_a_listed_file_is_preferred_to_one_that_was_never_seen() -> None:
    found = catalog.find("r1-distill-qwen-7b:q8_0")
    assert isinstance(found.files, catalog.HubFiles)
    assert found.files.is_verified("Q8_0")


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("smolm2", "smollm2"),
        ("deepseek-r1:9b", "deepseek-r1:8b"),
        ("r1-distill-quen-7b", "r1-distill-qwen-7b"),
        ("r1-distill-qwen-7b:q4_k_n", "r1-distill-qwen-7b:q4_k_m"),
    ],
)
def test_an_unknown_name_suggests_close_ones(typed: str, suggested: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        catalog.find(typed)
    assert suggested in str(caught.value.hint)


def test_an_unknown_quantisation_without_a_close_one_lists_them() -> None:
    with pytest.raises(ModelNotFound) as caught:
        catalog.find("smollm2:135m:xyz")
    assert "q4_1" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "temperature", "top_p"),
    [
        ("DeepSeek R1 Distill Qwen 7B", 0.6, 0.95),
        ("DeepSeek-R1-0528-Qwen3-8B", 0.6, 0.95),
        ("r1-distill-llama-8b:q4_k_m", 0.6, 0.95),
        ("Smollm2 135M 8k Lc100K Mix1 Ep2", 0.2, 0.9),
        ("Qwen2.5 Coder 1.5B Instruct GGUF", 0.7, 0.8),
    ],
)
def test_sampling_follows_the_family_by_any_of_its_names(
    name: str, temperature: float, top_p: float
) -> None:
    sampling = catalog.sampling_for(name)
    assert (sampling.temperature, sampling.top_p) == (temperature, top_p)


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_a_model_of_the_catalogue_is_sampled_as_its_family(model: catalog.Model) -> None:
    assert catalog.sampling_for(model.name).family == model.family
    assert catalog.sampling_for(model.title).family == model.family


def test_an_unknown_family_is_sampled_in_a_way_that_says_so() -> None:
    assert catalog.sampling_for("granite").family == "unknown"
