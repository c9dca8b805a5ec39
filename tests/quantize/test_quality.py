"""A ladder of tiny models against the naive twin, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.checkpoints import open_folder, open_gguf
from stillhouse.errors import BadCheckpoint, NotEnoughSpace, UsageError
from stillhouse.quantize.divergence import divergences
from stillhouse.quantize.quality import Candidate, measure_ladder, text_windows
from stillhouse.quantize.quality_figures import Estimate, quality_figures
from stillhouse.quantize.quality_rows import with_error
from stillhouse.quantize.reading import reader_bytes
from stillhouse.quantize.tensor_errors import tensor_errors
from tests.factories import tiny_model
from tests.reference.decoder import logits

FIXTURES = Path(__file__).parents[1] / "checkpoints/fixtures"
SHAPE: dict[str, Any] = {"heads": 6, "kv_heads": 2, "head_dim": 64}
TEXT = "the thing on the other end, " * 20
WINDOW = 24


class Opened:
    """Opens tiny models for as long as a test runs."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack

    def __call__(self, name: str, **options: Any) -> Candidate:
        path = tiny_model(self._folder / f"{name}.gguf", **SHAPE, **options)
        return Candidate(name, self._stack.enter_context(open_gguf(path)))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    with ExitStack() as stack:
        yield Opened(tmp_path, stack)


def test_a_ladder_has_the_figures_of_the_naive_twin_in_any_grouping(opened: Opened) -> None:
    source = opened("F32", encoding="F32")
    others = [opened("F16", encoding="F16"), opened("F32 of another seed", encoding="F32", seed=1)]
    text = text_windows([source, *others], TEXT, size=WINDOW, max_tokens=2 * WINDOW + 5)
    assert len(text) == 2
    reads: list[tuple[int, int]] = []
    together = measure_ladder(
        source,
        others,
        text,
        threads=2,
        memory_bytes=None,
        progress=lambda *done: reads.append(done),
    )
    assert reads[-1] == (3 * 2 * WINDOW, 3 * 2 * WINDOW)
    assert together.scored_tokens == 2 * (WINDOW - 1 - WINDOW // 2) == 22
    one_by_one = measure_ladder(
        source,
        others,
        text,
        threads=1,
        memory_bytes=int(
            (reader_bytes(source.checkpoint) + reader_bytes(others[1].checkpoint)) / 0.79
        ),
    )
    assert one_by_one == together

    rows = [
        [
            logits(one.checkpoint, ids.tolist(), rounded=False)[WINDOW // 2 : -1].astype("f4")
            for ids in text
        ]
        for one in (source, others[1])
    ]
    following = np.concatenate([ids[WINDOW // 2 + 1 :] for ids in text])
    twin = quality_figures(divergences(np.concatenate(rows[0]), np.concatenate(rows[1]), following))
    found = together.measured[1].figures
    # The cache's keys and values are rounded to bf16, by both models.
    assert found.perplexity.value == pytest.approx(twin.perplexity.value, rel=2e-3)
    assert found.source_perplexity.value == pytest.approx(twin.source_perplexity.value, rel=2e-3)
    assert found.kl.value == pytest.approx(twin.kl.value, rel=0.01)
    assert found.tokens == twin.tokens
    assert together.measured[1].figures.kl.value > 100 * together.measured[0].figures.kl.value


def test_a_quantised_model_does_not_diverge_from_itself_at_all(opened: Opened) -> None:
    source = opened("Q8_0", context=1024)
    text = text_windows([source, source], TEXT, size=WINDOW, max_tokens=WINDOW)
    (measured,) = measure_ladder(
        source, [source], text, threads=2, memory_bytes=None, with_speed=True
    ).measured
    figures = measured.figures
    assert (figures.kl.value, figures.kl_percentiles["100"], figures.same_top.value) == (0, 0, 1)
    assert figures.perplexity == figures.source_perplexity
    assert measured.speed is not None
    assert measured.speed.decode_tokens_per_s > 0


def test_other_tokens_or_vocabularies_are_refused_in_a_line(opened: Opened) -> None:
    source = opened("a", encoding="F32")
    larger = opened("b", encoding="F32", vocab=336)
    with pytest.raises(UsageError, match="b knows 336 tokens, a 320: their predictions cannot"):
        text_windows([source, larger], TEXT, size=WINDOW, max_tokens=None)
    merges = {"tokenizer.ggml.merges": ["h e", "t he", "i n"]}
    other = opened("c", encoding="F32", extra_metadata=merges)
    with pytest.raises(UsageError, match="c reads the text as other tokens than a"):
        text_windows([source, other], TEXT, size=WINDOW, max_tokens=None)


def test_what_does_not_fit_into_memory_is_refused_with_both_numbers(opened: Opened) -> None:
    source = opened("a", encoding="F32")
    text = text_windows([source], TEXT, size=WINDOW, max_tokens=WINDOW)
    with pytest.raises(NotEnoughSpace, match=r"a and a together take about .* MB of memory, and"):
        measure_ladder(source, [source], text, threads=1, memory_bytes=10**8)


def test_a_model_of_infinite_weights_is_named(opened: Opened) -> None:
    source = opened("good", encoding="F32")
    endless = np.full((320, 256), np.inf, np.float32)
    broken = opened("broken", encoding="F32", extra_tensors={"output.weight": endless})
    text = text_windows([source, broken], TEXT, size=WINDOW, max_tokens=WINDOW)
    with (
        pytest.raises(BadCheckpoint, match="broken makes logits that are not finite"),
        np.errstate(invalid="ignore"),
    ):
        measure_ladder(source, [broken], text, threads=1, memory_bytes=None)


def test_errors_of_matrices_are_those_of_the_decoded_numbers(opened: Opened) -> None:
    source = opened("F32", encoding="F32", architecture="llama")
    mixed = {"attn_v.weight": "Q4_0", "ffn_up.weight": "F32"}
    other = opened("mixed", encoding="Q8_0", architecture="llama", overrides=mixed)
    found = tensor_errors(source.checkpoint, other.checkpoint, threads=2)
    assert [one.nmse for one in found] == sorted((one.nmse for one in found), reverse=True)
    assert "attn_v" in found[0].name
    assert (found[0].format_name, found[0].source_format_name) == ("Q4_0", "F32")
    assert (found[-1].nmse, found[-1].snr_db) == (0.0, None)
    for one in found:
        ours, theirs = (
            c.checkpoint.tensors[one.name].decode().astype(float) for c in (source, other)
        )
        nmse = ((ours - theirs) ** 2).sum() / (ours**2).sum()
        assert one.nmse == pytest.approx(nmse, rel=1e-5)
        if one.snr_db is not None:
            assert one.snr_db == pytest.approx(-10 * np.log10(nmse), rel=1e-5)


def test_a_folder_is_a_source_or_a_quantisation_like_a_file(tmp_path: Path) -> None:
    """A llama's GGUF has its query and key rows in another order than its folder."""
    with open_folder(FIXTURES / "bf16") as folder, open_folder(FIXTURES / "w4a16") as packed:
        tensors = {name: tensor.decode() for name, tensor in folder.tensors.items()}
        for name, rows in tensors.items():
            if name.endswith(("attn_q.weight", "attn_k.weight")):
                halves = rows.reshape(-1, 2, 32, rows.shape[1])  # of heads of 64
                tensors[name] = halves.swapaxes(1, 2).reshape(rows.shape)
        path = tiny_model(
            tmp_path / "m.gguf",
            architecture="llama",
            encoding="F32",
            tied=True,
            hidden=192,
            ffn=256,
            heads=3,
            kv_heads=1,
            vocab=384,
            context=8192,
            extra_tensors=tensors,
        )
        with open_gguf(path) as file:
            assert {one.nmse for one in tensor_errors(file, folder, threads=1)} == {0.0}
            both = [tensor_errors(source, packed, threads=2)[0].nmse for source in (file, folder)]
            assert both[0] == pytest.approx(both[1], rel=1e-5)
            assert both[0] > 1e-4
        source, other = Candidate("bf16", folder), Candidate("w4a16", packed)
        text = text_windows([source, other], TEXT, size=WINDOW, max_tokens=WINDOW)
        (measured,) = measure_ladder(source, [other], text, threads=2, memory_bytes=None).measured
        assert 1e-6 < measured.figures.kl.value < 1
        assert other.bits_per_weight < source.bits_per_weight


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.031234, 0.00123, "0.0312 ± 0.0012"),
        (97.6, 0.34, "97.60 ± 0.34"),
        (1234.5, 56.7, "1234 ± 57"),
        (0.0, 0.0, "0"),
    ],
)
def test_an_estimate_is_written_as_far_as_its_error_reaches(
    value: float, error: float, text: str
) -> None:
    assert with_error(Estimate(value, error)) == text
