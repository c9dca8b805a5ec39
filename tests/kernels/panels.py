"""Kernels that read a panel as it lies, run on arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillhouse.kernels import activations_by_row
from stillhouse.kernels.activations import NOT_QUANTIZED, QuantizedBuffer, QuantizedRows
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.linear import LinearArguments
from stillhouse.kernels.team import Operation, Program, Team
from tests.kernels.layers import GUARD, address

Floats = npt.NDArray[np.float32]


class RowsAsInt8:
    """Rows of floats as int8 with one scale each, made by the kernel."""

    def __init__(self, compiler: KernelCompiler, team: Team, x: Floats) -> None:
        rows, columns = x.shape
        values, count = np.ascontiguousarray(x, np.float32), np.array([rows], np.int64)
        self._buffer = QuantizedBuffer(rows, columns, columns)
        self.form: QuantizedRows = self._buffer.rows
        kernel = compiler.address("quantize rows", activations_by_row.make_quantize_rows)
        arguments = (address(values), columns, address(count), *self.form)
        team.run(Program([Operation(kernel, arguments)]))
        offset = self._buffer._memory.ctypes.data
        memory = self._buffer._memory

        def part(at: int, size: int) -> npt.NDArray[np.uint8]:
            return memory[at - offset : at - offset + size]

        self.codes = part(self.form.codes, rows * columns).view(np.int8).reshape(x.shape)
        self.scales = part(self.form.scales, 4 * rows).view(np.float32)
        self.sums = part(self.form.sums32, 4 * rows).view(np.int32)


def read_as_floats(x: Floats) -> QuantizedRows:
    """Where a kernel that reads float32 rows finds them."""
    return NOT_QUANTIZED._replace(codes=address(x))


def multiply(
    team: Team, kernel: int, packed: npt.NDArray[np.uint8], shape: tuple[int, int],
    read: QuantizedRows, rows: int, onto: Floats | None = None,
) -> Floats:  # fmt: skip
    """y (rows, outputs), or onto + y, of a packed matrix of that shape; checks what it writes."""
    outputs, columns = shape
    panels = -(-outputs // 16)
    out = np.full((rows + 1, panels * 16), GUARD)
    if onto is not None:
        out[:rows, :outputs] = onto
    count = np.array([rows], np.int64)
    arguments = LinearArguments(
        address(packed), panels, columns, *read, address(out), out.strides[0],
        int(onto is not None), address(count), 0, 0,
    )  # fmt: skip
    team.run(Program([Operation(kernel, arguments)]))
    assert (out[-1] == GUARD).all(), "wrote past its rows"
    return out[:rows, :outputs]
