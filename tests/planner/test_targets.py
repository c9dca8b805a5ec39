"""From a system of the catalogue to what is planned for."""

from __future__ import annotations

import pytest

from stillhouse.catalog import find_device
from stillhouse.planner.targets import target_of


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
