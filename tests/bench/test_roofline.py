"""Limits against the roofline worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.bench import roofline
from stillhouse.bench.roofline import Format, Speeds
from stillhouse.checkpoints import open_gguf
from stillhouse.models import cost
from stillhouse.models.config import ModelConfig
from tests.factories import tiny_model

FORM = Format("Q8_0", weight_bytes=1_000_000, kv_type="bf16", numbers="int8")
SLOW_MEMORY = Speeds(1e6, 1e15, None)
SLOW_PRODUCTS = Speeds(1e15, 1e9, None)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    path = tiny_model(tmp_path_factory.mktemp("limits") / "tiny.gguf")
    with open_gguf(Path(path)) as checkpoint:
        return ModelConfig.from_metadata(checkpoint.metadata)


def test_slow_memory_reads_weights_once_a_step_and_every_users_kv(config: ModelConfig) -> None:
    kv_bytes = 100 * cost.kv_bytes_per_token(config.shape, "bf16")
    for users in (1, 8):
        rate = roofline.decode_tokens_per_s(config.shape, FORM, SLOW_MEMORY, users, 100)
        assert rate == pytest.approx(users / ((1_000_000 + users * kv_bytes) / 1e6))


def test_slow_products_cost_the_same_for_every_user(config: ModelConfig) -> None:
    one = roofline.decode_tokens_per_s(config.shape, FORM, SLOW_PRODUCTS, 1, 100)
    assert one == pytest.approx(1e9 / cost.operations_per_token(config.shape, 100))
    assert roofline.decode_tokens_per_s(
        config.shape, FORM, SLOW_PRODUCTS, 64, 100
    ) == pytest.approx(one)


def test_prefill_needs_no_logits_and_reads_weights_once(config: ModelConfig) -> None:
    rate = roofline.prefill_tokens_per_s(config.shape, FORM, SLOW_PRODUCTS, 512)
    without_head = cost.operations_per_token(config.shape, 256, with_logits=False)
    assert rate == pytest.approx(1e9 / without_head)
    assert roofline.prefill_tokens_per_s(config.shape, FORM, SLOW_MEMORY, 512) == pytest.approx(512)


def test_an_unknown_peak_gives_no_limit(config: ModelConfig) -> None:
    form = FORM._replace(numbers="bf16")
    assert roofline.decode_tokens_per_s(config.shape, form, SLOW_MEMORY, 1, 100) is None


def test_speeds_are_medians_and_what_is_unknown_stays_so() -> None:
    samples = [Speeds(1, 30, None), Speeds(9, 10, None), Speeds(5, 20, None)]
    assert Speeds.of(samples) == Speeds(5, 20, None)
