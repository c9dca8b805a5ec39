"""The dynamic recipe: never too large, never worse than it need be, and what it measures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.checkpoints import open_gguf
from stillhouse.errors import UsageError
from stillhouse.quantize import pipeline
from stillhouse.quantize.dynamic import allocate, plan_dynamic
from stillhouse.quantize.importance_facts import Importance
from stillhouse.quantize.plan import Plan
from stillhouse.quantize.sensitivity import Choice, candidates, error_share
from stillhouse.quantize.source import Source, open_source
from tests.factories import tiny_model


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    path = tmp_path_factory.mktemp("dynamic") / "a.gguf"
    opened = open_source(tiny_model(path, encoding="F32", layers=4, hidden=128, ffn=256))
    yield opened
    opened.checkpoint.close()


def plan_of(source: Source, size_bytes: int, importance: Importance | None = None) -> Plan:
    return plan_dynamic(
        source,
        size_bytes,
        importance=importance,
        threads=2,
        progress=lambda done, total: None,  # noqa: ARG005
    )


_CHOICES = st.lists(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0, 10, width=32)), min_size=1, max_size=4).map(
        lambda pairs: [Choice("Q8_0", size, loss) for size, loss in pairs]
    ),
    min_size=1,
    max_size=5,
)


@given(choices=_CHOICES, spare=st.integers(0, 120))
def test_a_choice_fits_and_leaves_nothing_that_still_fits(
    choices: list[list[Choice]], spare: int
) -> None:
    names = [str(number) for number in range(len(choices))]
    budget = sum(min(one.num_bytes for one in options) for options in choices) + spare
    chosen = list(allocate(choices, names, budget).values())
    left = budget - sum(one.num_bytes for one in chosen)
    assert left >= 0
    for options, now in zip(choices, chosen, strict=True):
        assert now in options
        for other in options:
            assert other.loss >= now.loss or other.num_bytes - now.num_bytes > left


def test_a_choice_is_near_the_best_of_all() -> None:
    rng = np.random.default_rng(3)
    choices = [
        [
            Choice("Q8_0", size, float(scale * 4.0**-bits))
            for bits, size in ((2, 20), (4, 40), (8, 80))
        ]
        for scale in rng.uniform(0.1, 10, 7)
    ]
    names = [str(number) for number in range(7)]
    for budget in (200, 300, 400):
        chosen = allocate(choices, names, budget)
        loss = sum(one.loss for one in chosen.values())
        fitting = [c for c in product(*choices) if sum(one.num_bytes for one in c) <= budget]
        best = min(sum(one.loss for one in c) for c in fitting)
        assert loss <= 1.3 * best


@pytest.mark.parametrize("bits", [5, 6, 7])
def test_a_file_is_never_larger_than_asked(source: Source, tmp_path: Path, bits: int) -> None:
    numbers = sum(np.prod(tensor.shape) for tensor in source.tensors.values())
    header = len(plan_of(source, 1 << 30).layout.header)
    size = int(numbers * bits / 8) + header
    plan = plan_of(source, size)
    path = tmp_path / "m.gguf"
    pipeline.quantize(source, plan, path, threads=2)
    assert 0.9 * size < path.stat().st_size <= size
    with open_gguf(path) as checkpoint:
        assert checkpoint.metadata["general.file_type"] == 1024


def test_more_bytes_are_never_worse_and_enough_are_8_bits(source: Source) -> None:
    everything = plan_of(source, 1 << 30)
    assert set(everything.by_format()) == {"Q8_0", "F32"}
    assert plan_of(source, everything.file_bytes).layout == everything.layout
    assert plan_of(source, everything.file_bytes - 1).file_bytes < everything.file_bytes


def test_a_size_that_cannot_be_names_the_smallest(source: Source) -> None:
    with pytest.raises(UsageError, match=r"100 kB is too small: .* \((\d+) bytes\)") as caught:
        plan_of(source, 100_000)
    least = int(str(caught.value).split("(")[1].split()[0])
    assert plan_of(source, least).file_bytes == least
    with pytest.raises(UsageError, match="too small"):
        plan_of(source, least - 1)


def test_sensitive_matrices_keep_more_bits(source: Source) -> None:
    everything = plan_of(source, 1 << 30).file_bytes
    plan = plan_of(source, int(0.75 * everything))
    bits = {t.spec.name: t.spec.encoding.bits_per_weight for t in plan.tensors}
    assert bits["blk.1.attn_v.weight"] > bits["blk.1.ffn_gate.weight"]
    assert bits["blk.3.ffn_up.weight"] > bits["blk.1.ffn_up.weight"]


def test_an_errors_share_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(0, 0.02, (8, 256)).astype(np.float32)
    importance = rng.uniform(0, 2, 256).astype(np.float32)
    share = error_share("Q8_0", rows, None, threads=1, name="m")
    # Steps of a 127th of the largest of 32: a twelfth of their square, by the squares' mean.
    step = np.abs(rows.reshape(-1, 32)).max(axis=1) / 127
    assert share == pytest.approx(np.mean(step**2) / 12 / np.mean(rows**2), rel=0.1)
    rows[:, importance > 1] = 0
    weighed = error_share("Q8_0", rows, (importance > 1).astype(np.float32), threads=1, name="m")
    assert weighed == 0.0


def test_formats_of_two_bits_need_importance_and_whole_blocks() -> None:
    assert "IQ2_XXS" not in candidates(256, has_importance=False)
    assert "IQ2_XXS" in candidates(256, has_importance=True)
    assert not {"Q4_K", "IQ2_XXS"} & set(candidates(96, has_importance=True))
    with pytest.raises(UsageError, match="rows of 40"):
        candidates(40, has_importance=False)
