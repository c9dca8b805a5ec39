"""Real loops are found, and long texts that only repeat much are not."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import re
from pathlib import Path

import pytest

from stillhouse.engine import LoopDetector, LoopGuard

LOOPS = json.loads(gzip.decompress((Path(__file__).parent / "fixtures/loops.json.gz").read_bytes()))
GUARD = LoopGuard()


def found_at(ids: list[int]) -> int | None:
    detector = LoopDetector(GUARD)
    return next((n for n, token_id in enumerate(ids) if detector.push(token_id)), None)


@pytest.mark.parametrize("loop", LOOPS["loops"], ids=lambda loop: loop["name"])
def test_a_real_loop_is_found(loop: dict[str, list[int]]) -> None:
    assert found_at(loop["ids"]) is not None


@pytest.mark.parametrize("text", LOOPS["others"], ids=lambda text: text["name"])
def test_a_real_reply_that_ends_by_itself_is_no_loop(text: dict[str, list[int]]) -> None:
    assert found_at(text["ids"]) is None


@pytest.mark.parametrize("period", [1, 2, 3, 7, 40, 300, 900])
def test_an_exact_loop_is_found_within_a_few_periods(period: int) -> None:
    rng = random.Random(period)
    prefix = [rng.randrange(50_000) for _ in range(2000)]
    cycle = [rng.randrange(50_000) for _ in range(period)]
    at = found_at(prefix + cycle * (4000 // period + 7))
    assert at is not None
    assert at - len(prefix) <= max(GUARD.exact_tokens, GUARD.exact_repeats * period) + period + 8


def test_a_loop_with_a_number_that_counts_up_is_found() -> None:
    steps = ([1, 2, 3, 4, 1000 + n, 5, 6, 7, 8, 9, 10, 11, 12] for n in itertools.count())
    at = found_at([*itertools.islice(itertools.chain.from_iterable(steps), 4000)])
    assert at is not None
    assert at > GUARD.near_tokens


def test_paragraphs_that_take_turns_without_order_are_a_loop() -> None:
    rng = random.Random(1)
    paragraphs = [[rng.randrange(50_000) for _ in range(60)] for _ in range(4)]
    text = [token for _ in range(100) for token in rng.choice(paragraphs)]
    assert found_at(text) is not None


def test_a_table_of_multiplication_is_no_loop() -> None:
    lines = (
        [17, 3, 10 + a, 4, 10 + b, 5, *(100 + int(d) for d in str(a * b)), 9]
        for a in range(1, 13)
        for b in range(1, 13)
    )
    assert found_at([*itertools.chain.from_iterable(lines)]) is None


def test_many_records_of_one_form_are_no_loop() -> None:
    rng = random.Random(2)
    records = (
        [1, 2, 3, rng.randrange(100, 999), 4, 5, 6, *rng.choices(range(1000, 9000), k=5), 7, 8]
        for _ in range(500)
    )
    assert found_at([*itertools.chain.from_iterable(records)]) is None


def test_digits_are_no_loop() -> None:
    rng = random.Random(3)
    assert found_at([rng.randrange(10) for _ in range(30_000)]) is None


def test_a_fork_has_its_parents_past_and_its_own_future() -> None:
    parent = LoopDetector(GUARD)
    cycle = [1, 2, 3, 4, 5]
    for token_id in cycle * 46:
        assert not parent.push(token_id)
    fork = parent.fork(cycle)
    assert any(fork.push(token_id) for token_id in cycle * 3)
    assert not parent.push(99)
    parent.restart()
    assert not any(parent.push(token_id) for token_id in cycle * 40)


def test_this_projects_own_sources_and_pages_are_no_loops() -> None:
    root = Path(__file__).parents[2]
    known: dict[str, int] = {}
    num_tokens = 0
    for path in sorted([*root.glob("stillhouse/**/*.py"), *root.glob("**/*.md")]):
        if {"vendor", "node_modules", ".venv"} & {*path.parts}:
            continue
        words = re.findall(r"\s?\w+|[^\w\s]|\s+", path.read_text())
        ids = [known.setdefault(word, len(known)) for word in words]
        num_tokens += len(ids)
        assert found_at(ids) is None, path
    assert num_tokens > 200_000
