"""Published speeds beside predictions: no row is left out, no entry stands twice."""

from __future__ import annotations

from collections import Counter

from stillhouse.catalog import efficiencies, published_speeds
from stillhouse.planner.published import published_runs


def test_every_published_speed_has_a_prediction() -> None:
    assert [run.row for run in published_runs()] == list(published_speeds())


def test_a_kind_of_device_with_an_engine_has_one_entry() -> None:
    counts = Counter((entry.kind, entry.engine) for entry in efficiencies())
    assert set(counts.values()) == {1}


def test_a_measured_mixture_of_experts_at_8_bits_is_possible() -> None:
    run = next(r for r in published_runs() if (r.model, r.quantization) == ("r1-671b", "INT8"))
    assert run.is_possible
