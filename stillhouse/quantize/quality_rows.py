"""A ladder as the document of `still quality --json`, and as rows of a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stillhouse.quantize.quality import Candidate, Measured
from stillhouse.quantize.quality_figures import Estimate
from stillhouse.quantize.speed import Speed
from stillhouse.quantize.tensor_errors import TensorError
from stillhouse.units import format_bytes

_BLANK = "–"


def model_json(candidate: Candidate, speed: Speed | None) -> dict[str, Any]:
    """What is known of a model without its predictions."""
    tensors = candidate.checkpoint.tensors.values()
    numbers: Counter[str] = Counter()
    for tensor in tensors:
        numbers[tensor.format_name] += math.prod(tensor.shape)
    return {
        "model": candidate.name,
        "file_bytes": candidate.checkpoint.file_bytes,
        "bits_per_weight": candidate.bits_per_weight,
        "formats": dict(numbers.most_common()),
        "prefill_tokens_per_s": None if speed is None else speed.prefill_tokens_per_s,
        "decode_tokens_per_s": None if speed is None else speed.decode_tokens_per_s,
    }


def result_json(
    candidate: Candidate, measured: Measured, errors: Sequence[TensorError] | None
) -> dict[str, Any]:
    """One rung: `model_json`, every figure, and with `errors` every matrix."""
    found = model_json(candidate, measured.speed) | asdict(measured.figures)
    if errors is not None:
        found["tensors"] = [asdict(error) | {"snr_db": error.snr_db} for error in errors]
    return found


def columns(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The headings; speeds only where they were measured."""
    fixed = ["model", "size", "bits/weight", "perplexity", "KL divergence", "KL 99 %",
             "same top token %", "RMS Δp %"]  # fmt: skip
    return fixed + (["prefill tok/s", "decode tok/s"] if _has_speed(results) else [])


def rows(source: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The source, and a row for each result, as `columns` names them."""
    has_speed = _has_speed(results)
    perplexity = results[0]["source_perplexity"]
    blanks = [_BLANK] * 4
    first = [*_model(source), _estimate(perplexity), *blanks, *_speeds(source, has_speed)]
    return [first, *(_row(result, has_speed) for result in results)]


def _row(result: Mapping[str, Any], has_speed: bool) -> list[str]:
    return [
        *_model(result),
        _estimate(result["perplexity"]),
        _estimate(result["kl"]),
        f"{result['kl_percentiles']['99']:.3g}",
        _estimate(result["same_top"], 100),
        _estimate(result["delta_p_rms"], 100),
        *_speeds(result, has_speed),
    ]


def with_error(estimate: Estimate) -> str:
    """0.031234 ± 0.00123 → '0.0312 ± 0.0012': two figures of the error, and the value as far."""
    value, error = estimate.value, estimate.error
    if not error:
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _estimate(pair: Mapping[str, float], factor: float = 1.0) -> str:
    return with_error(Estimate(pair["value"] * factor, pair["error"] * factor))


def _model(row: Mapping[str, Any]) -> list[str]:
    return [row["model"], format_bytes(row["file_bytes"]), f"{row['bits_per_weight']:.2f}"]


def _speeds(row: Mapping[str, Any], has_speed: bool) -> list[str]:
    if not has_speed:
        return []
    names = ("prefill_tokens_per_s", "decode_tokens_per_s")
    return [_BLANK if row[name] is None else f"{row[name]:.1f}" for name in names]


def _has_speed(results: Sequence[Mapping[str, Any]]) -> bool:
    return any(result["decode_tokens_per_s"] is not None for result in results)
