"""A layer's matrices rounded one group after another, each for the inputs that it will really get:
those that the matrices before it, rounded already, give it on the calibration text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stillhouse.models.config import ModelConfig
from stillhouse.quantize.folder_schemes import FolderScheme
from stillhouse.quantize.gptq import gptq
from stillhouse.quantize.layer import attended, gated, multiplied, normed
from stillhouse.quantize.scales import Floats, RoundedMatrix, nearest, nearest_float8
from stillhouse.quantize.smoothquant import best_factors, divided

ATTENTION_INPUTS = ("attn_q", "attn_k", "attn_v")
FFN_INPUTS = ("ffn_gate", "ffn_up")
MATRICES = (*ATTENTION_INPUTS, "attn_output", *FFN_INPUTS, "ffn_down")

_ROWS = 4096  # tokens that go through a layer at a time
_KEPT_EVERY = 61  # of so many rows one is kept to try smoothing on; shares no factor with windows
_MOST_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a layer sees of the calibration text, and what it leaves for the next.

    Attributes:
        hidden: float32 (samples, tokens, hidden), what comes in.
        attention: float32 (samples, tokens, heads * head_dim), room for what attention gives.
        output: as hidden; filled with what goes out.
        cosines, sines: float32 (tokens, head_dim / 2), of rope.
    """

    hidden: Floats
    attention: Floats
    output: Floats
    cosines: Floats
    sines: Floats

    def chunks(self) -> Iterator[slice]:
        """Samples that are computed together."""
        samples, tokens = self.hidden.shape[:2]
        step = max(1, _ROWS // tokens)
        for first in range(0, samples, step):
            yield slice(first, min(first + step, samples))


class _Inputs:
    """Xᵀ X of all rows that a matrix is multiplied with, each column's range, and some rows."""

    def __init__(self, columns: int) -> None:
        self.hessian = np.zeros((columns, columns))
        self._lowest = np.zeros(columns, np.float32)
        self._highest = np.zeros(columns, np.float32)
        self._kept = np.empty((0, columns), np.float32)

    def add(self, x: Floats) -> None:
        rows = x.reshape(-1, x.shape[-1])
        self.hessian += rows.T @ rows
        left = _MOST_KEPT - len(self._kept)
        self._kept = np.concatenate([self._kept, rows[::_KEPT_EVERY][:left]])
        np.minimum(self._lowest, rows.min(axis=0), out=self._lowest)
        np.maximum(self._highest, rows.max(axis=0), out=self._highest)

    @property
    def ranges(self) -> Floats:
        return self._highest - self._lowest

    @property
    def some_rows(self) -> Floats:
        return self._kept

    def divide(self, factors: Floats) -> None:
        """As if every row had been divided by ``factors``."""
        wide = factors.astype(np.float64)
        self.hessian /= wide
        self.hessian /= wide[:, np.newaxis]


def round_layer(
    layer: Mapping[str, Floats],
    calibration: Calibration,
    config: ModelConfig,
    scheme: FolderScheme,
) -> tuple[dict[str, RoundedMatrix], dict[str, Floats]]:
    """The layer's matrices by their names ("attn_q"), and its other tensors, changed where the
    scheme smooths. ``calibration.output`` is what the rounded layer makes of its input.
    """
    return _LayerRounding(dict(layer), calibration, config, scheme).run()


def round_without_text(
    layer: Mapping[str, Floats], scheme: FolderScheme
) -> dict[str, RoundedMatrix]:
    """The layer's matrices, each number rounded for itself."""
    matrices = {name: layer[f"{name}.weight"] for name in MATRICES}
    if scheme.is_float:
        return {name: nearest_float8(matrix) for name, matrix in matrices.items()}
    return {
        name: nearest(matrix, scheme.bits, scheme.group_columns)
        for name, matrix in matrices.items()
    }


class _LayerRounding:
    def __init__(
        self,
        layer: dict[str, Floats],
        calibration: Calibration,
        config: ModelConfig,
        scheme: FolderScheme,
    ) -> None:
        self.layer, self.calibration, self.config, self.scheme = layer, calibration, config, scheme
        self.rounded: dict[str, RoundedMatrix] = {}

    def run(self) -> tuple[dict[str, RoundedMatrix], dict[str, Floats]]:
        data, config = self.calibration, self.config
        inputs = _Inputs(config.hidden_size)
        for chunk in data.chunks():
            inputs.add(self._normed(data.hidden[chunk], "attn_norm"))
        self._smooth_norm("attn_norm", inputs, ATTENTION_INPUTS)
        self._round(ATTENTION_INPUTS, inputs)

        inputs = _Inputs(data.attention.shape[-1])
        for chunk in data.chunks():
            x = self._normed(data.hidden[chunk], "attn_norm")
            x = attended(x, self.layer, config, data.cosines, data.sines)
            data.attention[chunk] = x
            inputs.add(x)
        factors = self._smooth_rows("attn_v", inputs, "attn_output")
        self._round(("attn_output",), inputs)

        inputs = _Inputs(config.hidden_size)
        for chunk in data.chunks():
            x = multiplied(data.attention[chunk] / factors, self.layer, "attn_output")
            data.output[chunk] = x + data.hidden[chunk]
            inputs.add(self._normed(data.output[chunk], "ffn_norm"))
        self._smooth_norm("ffn_norm", inputs, FFN_INPUTS)
        self._round(FFN_INPUTS, inputs)

        inputs = _Inputs(config.ffn_size)
        for chunk in data.chunks():
            inputs.add(gated(self._normed(data.output[chunk], "ffn_norm"), self.layer))
        self._smooth_rows("ffn_up", inputs, "ffn_down")
        self._round(("ffn_down",), inputs)
        for chunk in data.chunks():
            x = gated(self._normed(data.output[chunk], "ffn_norm"), self.layer)
            data.output[chunk] += multiplied(x, self.layer, "ffn_down")
        matrices = {f"{name}.weight" for name in MATRICES}
        return self.rounded, {n: v for n, v in self.layer.items() if n not in matrices}

    def _normed(self, x: Floats, name: str) -> Floats:
        return normed(x, self.layer[f"{name}.weight"], self.config.rms_eps)

    def _round(self, names: tuple[str, ...], inputs: _Inputs) -> None:
        scheme = self.scheme
        for name in names:
            matrix = gptq(
                self.layer[f"{name}.weight"],
                inputs.hessian,
                scheme.bits,
                scheme.group_columns,
                dampening=scheme.dampening,
            )
            self.rounded[name] = matrix
            self.layer[f"{name}.weight"] = matrix.values()

    def _smooth_norm(self, norm: str, inputs: _Inputs, names: tuple[str, ...]) -> None:
        """Divide what a norm gives, and multiply the columns of all that read it."""
        scheme = self.scheme
        if not scheme.smoothing:
            return
        matrices = [self.layer[f"{name}.weight"] for name in names]
        factors = best_factors(
            inputs.ranges, inputs.some_rows, matrices, scheme.smoothing, scheme.bits
        )
        self.layer[f"{norm}.weight"], factors = divided(self.layer[f"{norm}.weight"], factors)
        inputs.divide(factors)
        for name in names:
            self.layer[f"{name}.weight"] = self.layer[f"{name}.weight"] * factors

    def _smooth_rows(self, source: str, inputs: _Inputs, name: str) -> npt.NDArray[np.float32]:
        """Divide what rows of a rounded matrix give, and multiply the columns that read it.

        A scale a row takes the division in, so that no code changes. Where heads share a row (of
        values), they share its factor. Returns what each column of the inputs is divided by.
        """
        columns = self.layer[f"{name}.weight"].shape[1]
        matrix = self.rounded[source]
        if not self.scheme.smoothing or matrix.scales.shape[1] > 1:
            return np.ones(columns, np.float32)
        shared = columns // len(matrix.scales)
        head_dim = self.config.head_dim if shared > 1 else 1

        def by_row(values: Floats, *, spread: bool) -> Floats:
            """Of columns that share a row the largest, or each row's value for all its columns."""
            if spread:
                return np.repeat(values.reshape(-1, 1, head_dim), shared, axis=1).reshape(-1)
            return np.asarray(values.reshape(-1, shared, head_dim).max(axis=1).reshape(-1))

        factors = best_factors(
            by_row(by_row(inputs.ranges, spread=False), spread=True),
            inputs.some_rows,
            [self.layer[f"{name}.weight"]],
            self.scheme.smoothing,
            self.scheme.bits,
        )
        factors = by_row(factors, spread=False)
        scales, factors = divided(matrix.scales[:, 0], factors)
        matrix = RoundedMatrix(matrix.codes, scales[:, np.newaxis])
        self.rounded[source] = matrix
        self.layer[f"{source}.weight"] = matrix.values()
        if f"{source}.bias" in self.layer:
            self.layer[f"{source}.bias"] = self.layer[f"{source}.bias"] / factors
        wide = by_row(factors, spread=True)
        inputs.divide(wide)
        self.layer[f"{name}.weight"] = self.layer[f"{name}.weight"] * wide
        return wide
