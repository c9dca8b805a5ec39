"""From a system of the catalogue to what is planned for."""

from __future__ import annotations

import pytest

from stillhouse.catalog import find_device, models
from stillhouse.planner.placement import place
from stillhouse.planner.targets import target_of
from stillhouse.planner.weights import predicted_weights
from stillhouse.planner.workload import Workload


def test_two_sockets_are_one_target_with_twice_everything() -> None:
    one, two = (target_of(find_device(text)) for text in ("EPYC 9004 384GB", "2x EPYC 9004 768GB"))
    assert two.count == 1
    assert two.memory_bytes == 2 * one.memory_bytes
    assert two.read_bytes_per_s == 2 * one.read_bytes_per_s
    assert one.operations_per_s is not None
    assert two.operations_per_s == pytest.approx(2 * one.operations_per_s)


def test_two_cards_are_two_devices_with_the_figures_of_one() -> None:
    one, two = (target_of(find_device(text)) for text in ("RTX 3090", "2x RTX 3090"))
    assert two.count == 2
    assert two.memory_bytes == one.memory_bytes
    assert two.operations_per_s == one.operations_per_s


def test_a_laptop_without_a_card_is_a_processor_and_its_card_is_not() -> None:
    assert target_of(find_device("Laptop LPDDR5X-7500 32GB")).is_processor
    assert not target_of(find_device("RTX 4070 Laptop")).is_processor


def test_main_memory_holds_the_embeddings_too() -> None:
    model = next(model for model in models() if model.name == "r1-671b")
    weights = predicted_weights(model, "Q4_K_M")
    target = target_of(find_device("2x EPYC 9004 768GB"))
    tree = place(weights, Workload.of(context_tokens=4096), target, "f16").tree
    part = tree.find("weights")
    assert part is not None
    assert part.num_bytes == weights.total_bytes
    assert tree.find("driver") is None
