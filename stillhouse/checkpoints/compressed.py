"""A matrix whose codes and scales are tensors of their own, still in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stillhouse.checkpoints.cursor import shown
from stillhouse.checkpoints.quantization_config import Scheme
from stillhouse.checkpoints.tensor import EncodedTensor
from stillhouse.encodings.packed_words import unpack_words, words_for
from stillhouse.encodings.plain import round_to
from stillhouse.errors import BadCheckpoint

Floats = npt.NDArray[np.float32]
_ROWS = 256  # decoded at a time, so that temporaries stay small beside the matrix


class QuantizedRows(NamedTuple):
    """Some rows of a matrix: w = (code - zero point) * scale.

    Attributes:
        codes: (n, columns), int8 integers, or uint8 for floats of one byte as they are.
        scales: float32 (n, groups); neighbouring columns share one, unless the tensor has a
            ``group_of_column``.
        zero_points: int8 as ``scales``, or None where all are 0.
    """

    codes: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    scales: Floats
    zero_points: npt.NDArray[np.int8] | None


@dataclass(frozen=True, slots=True)
class CompressedTensor:
    """A quantised matrix of a model folder, decoded when asked.

    Attributes:
        name: in the words of GGUF, as "blk.0.attn_q.weight".
        shape: rows, columns.
        scheme: how codes and scales make a number.
        codes: I8, F8_E4M3, or I32 words of packed codes.
        scales: F32, F16 or BF16, (rows / group_rows, groups); one number for a whole tensor.
        zero_points: I8 as scales, or I32 words packed along the rows; None where all are 0.
        group_of_column: int32 (columns,), the scale's number for each column; None where they come
            in order.
    """

    name: str
    shape: tuple[int, ...]
    scheme: Scheme
    codes: EncodedTensor
    scales: EncodedTensor
    zero_points: EncodedTensor | None
    group_of_column: npt.NDArray[np.int32] | None

    @property
    def num_bytes(self) -> int:
        """Its size in the file."""
        return sum(part.num_bytes for part in self._parts())

    @property
    def format_name(self) -> str:
        """For people: "INT4 group 64"."""
        return self.scheme.label

    @property
    def decoded_as(self) -> str:
        """The float type of its decoded numbers: that of the scales."""
        return self.scales.encoding.name

    def rows(self, first: int, last: int) -> QuantizedRows:
        """Rows ``first`` to ``last``, still quantised."""
        scheme, columns = self.scheme, self.shape[1]
        raw = self.codes.raw[first:last]
        codes: npt.NDArray[np.int8] | npt.NDArray[np.uint8] = raw
        if scheme.is_packed:
            codes = unpack_words(raw.view("<i4"), scheme.bits, 0, columns)
        elif not scheme.is_float:
            codes = raw.view(np.int8)
        indices = np.arange(first, last) // scheme.group_rows
        scales = self.scales.decode_rows(0 * indices if scheme.strategy == "tensor" else indices)
        zero_points = None
        if self.zero_points is not None and self.zero_points.encoding.name == "I32":
            words = np.ascontiguousarray(self.zero_points.raw.view("<i4").T)
            zero_points = unpack_words(words, scheme.bits, first, last).T
        elif self.zero_points is not None:
            shared = scheme.strategy == "tensor"
            zero_points = self.zero_points.raw.view(np.int8)[0 * indices if shared else indices]
        return QuantizedRows(codes, scales, zero_points)

    def decode(self) -> Floats:
        """Every number, as float32 in ``shape``."""
        values = np.empty(self.shape, np.float32)
        for first in range(0, len(values), _ROWS):
            last = min(first + _ROWS, len(values))
            values[first:last] = self.decode_between(first, last)
        return values

    def decode_between(self, first: int, last: int) -> Floats:
        """Rows ``first`` to ``last``, as float32 of the precision that the scales have.

        That is how compressed-tensors decodes: the product is rounded to the scales' type.
        """
        codes, scales, zero_points = self.rows(first, last)
        values = codes.astype(np.float32)
        if self.scheme.is_float:
            values = self.codes.encoding.decode(codes.view(np.uint8))
        group = self.group_of_column
        if group is None:
            columns = np.arange(self.shape[1], dtype=np.int32)
            group = columns // (self.scheme.group_columns or self.shape[1])
        if zero_points is not None:
            values -= zero_points[:, group]
        with np.errstate(all="ignore"):  # a scale may be inf or nan in a hostile file
            return round_to(self.decoded_as, values * scales[:, group])

    def release(self) -> None:
        """Tell the system that its pages are not needed soon (see EncodedTensor.release)."""
        for part in self._parts():
            part.release()

    def _parts(self) -> list[EncodedTensor]:
        parts = (self.codes, self.scales, self.zero_points)
        return [part for part in parts if part is not None]


def compressed(
    name: str, parameters: Mapping[str, EncodedTensor], scheme: Scheme
) -> CompressedTensor:
    """Put a module's ``parameters`` (by the names of its file) together. Raises BadCheckpoint."""
    codes = _needed(name, parameters, "weight_packed" if scheme.is_packed else "weight")
    wanted = "F8_E4M3" if scheme.is_float else "I32" if scheme.is_packed else "I8"
    if codes.encoding.name != wanted or len(codes.shape) != 2:
        raise BadCheckpoint(
            f"tensor {shown(codes.name)} is {codes.encoding.name} {codes.shape}, and {scheme.label}"
            f" weights are {wanted} of two dimensions"
        )
    shape = _shape(name, parameters, codes, scheme)
    rows, columns = shape
    groups = 1
    if scheme.group_columns:
        groups = -(-columns // scheme.group_columns)
        if columns % scheme.group_columns and scheme.strategy == "group":
            raise BadCheckpoint(
                f"tensor {shown(codes.name)}: {columns} columns do not divide into groups of"
                f" {scheme.group_columns}"
            )
    scales = _needed(name, parameters, scheme.scale_name)
    scale_rows = 1 if scheme.strategy == "tensor" else -(-rows // scheme.group_rows)
    num_scales = scale_rows * groups
    if scales.encoding.name not in ("F32", "F16", "BF16") or prod(scales.shape) != num_scales:
        raise BadCheckpoint(
            f"tensor {shown(scales.name)} is {scales.encoding.name} {scales.shape}, and"
            f" {num_scales} floats are needed"
        )
    zero_points = None
    if not scheme.symmetric:
        zero_points = _needed(name, parameters, "weight_zero_point")
        _check_zero_points(zero_points, scheme, rows, groups, num_scales)
        zero_points = replace(zero_points, shape=(prod(zero_points.shape) // groups, groups))
    order = _group_of_column(parameters.get("weight_g_idx"), scheme, columns, groups)
    scales = replace(scales, shape=(scale_rows, groups))  # files write one column as none, too
    return CompressedTensor(name, shape, scheme, codes, scales, zero_points, order)


def _needed(name: str, parameters: Mapping[str, EncodedTensor], parameter: str) -> EncodedTensor:
    if parameter not in parameters:
        raise BadCheckpoint(
            f"{name} is quantised, and its module has no {parameter}",
            hint="it has " + (", ".join(sorted(parameters)) or "nothing"),
        )
    return parameters[parameter]


def _shape(
    name: str, parameters: Mapping[str, EncodedTensor], codes: EncodedTensor, scheme: Scheme
) -> tuple[int, int]:
    rows, columns = codes.shape
    if not scheme.is_packed:
        return rows, columns
    stored = _needed(name, parameters, "weight_shape")
    if stored.encoding.name not in ("I64", "I32") or prod(stored.shape) != 2:
        raise BadCheckpoint(f"tensor {shown(stored.name)} is not two whole numbers")
    said_rows, said_columns = (int(n) for n in stored.raw.view(f"<i{stored.num_bytes // 2}")[0])
    if said_rows != rows or words_for(said_columns, scheme.bits) != columns or said_columns < 1:
        raise BadCheckpoint(
            f"tensor {shown(codes.name)} has {rows} x {columns} words, which does not fit the shape"
            f" {said_rows} x {said_columns} in {scheme.bits} bits"
        )
    return said_rows, said_columns


def _check_zero_points(
    zero_points: EncodedTensor, scheme: Scheme, rows: int, groups: int, num_scales: int
) -> None:
    stored = zero_points.encoding.name, prod(zero_points.shape)
    packed = "I32", words_for(rows, scheme.bits) * groups
    if scheme.is_float or stored not in {("I8", num_scales), packed}:
        raise BadCheckpoint(
            f"tensor {shown(zero_points.name)} is {stored[0]} {zero_points.shape}, and"
            f" {num_scales} zero points are needed"
        )


def _group_of_column(
    stored: EncodedTensor | None, scheme: Scheme, columns: int, groups: int
) -> npt.NDArray[np.int32] | None:
    """The file's order of groups (`g_idx`), None where it is the usual one."""
    if stored is None or scheme.strategy != "group":
        return None
    if stored.encoding.name != "I32" or stored.shape != (columns,):
        raise BadCheckpoint(
            f"tensor {shown(stored.name)} is {stored.encoding.name} {stored.shape}, not I32"
            f" ({columns},)"
        )
    order: npt.NDArray[np.int32] = stored.raw.view("<i4")[0].astype(np.int32)
    if (order == -1).all() or (order == np.arange(columns) // scheme.group_columns).all():
        return None  # -1: the file's way to say that it was never set
    if order.min() < 0 or order.max() >= groups:
        raise BadCheckpoint(
            f"tensor {shown(stored.name)} names groups {order.min()} to {order.max()} of {groups}"
        )
    return order
