"""Published speeds: sourced, of known devices and models, and measured ones within physics."""

from __future__ import annotations

import pytest

from stillhouse import catalog
from stillhouse.catalog.speeds import Speed, published_speeds

_each_row = pytest.mark.parametrize(
    "speed", published_speeds(), ids=lambda speed: f"{speed.device} {speed.model} x{speed.users}"
)


def _models_by_name() -> dict[str, catalog.Model]:
    return {model.name: model for model in catalog.models()}


@_each_row
def test_every_figure_has_a_source(speed: Speed) -> None:
    assert speed.source


@_each_row
def test_every_row_is_of_a_device_that_is_found(speed: Speed) -> None:
    # Where the publisher leaves open which device it was, the row keeps the publisher's words.
    assert catalog.find_device(speed.device).note is None or speed.device_as_published


@_each_row
def test_every_row_is_of_a_model_whose_bytes_are_known(speed: Speed) -> None:
    assert speed.model in _models_by_name() or speed.weights_bytes


@_each_row
def test_a_range_is_a_range(speed: Speed) -> None:
    assert 0 <= speed.tokens_per_s_low <= speed.tokens_per_s_high
    assert speed.tokens_per_s > 0
    assert speed.users >= 1


@pytest.mark.parametrize(
    "speed",
    [speed for speed in published_speeds() if speed.weights_bytes and speed.users == 1],
    ids=lambda speed: f"{speed.device} {speed.model} {speed.quantization} {speed.tool}",
)
def test_a_measured_stream_reads_a_plausible_part_of_the_bandwidth(speed: Speed) -> None:
    system = catalog.find_device(speed.device)
    model = _models_by_name().get(speed.model)
    assert speed.weights_bytes is not None
    active = model.active_parameters / model.parameters if model is not None else 1
    read_bytes_per_s = speed.tokens_per_s * speed.weights_bytes * active
    # GPUs that split layers read one after the other; the sockets of a processor read together.
    together = system.count if system.device.vendor == "cpu" else 1
    efficiency = read_bytes_per_s / (together * system.device.bandwidth_bytes_per_s)
    lowest = 0.15 if "Xeon" in speed.device else 0.3  # two sockets share badly in llama.cpp
    assert lowest < efficiency < 1


def test_what_guides_claim_is_here_with_its_mistakes() -> None:
    rows = {
        (row.device, row.model, row.users): row
        for row in published_speeds()
        if not row.weights_bytes
    }
    assert rows["M4 Max 48GB", "r1-distill-llama-70b", 1].tokens_per_s == 100
    assert rows["RTX 5090", "r1-distill-qwen-32b", 16].tokens_per_s == pytest.approx(469, abs=1)
    assert rows["RTX 4090", "r1-distill-qwen-1.5b", 1].is_estimate
