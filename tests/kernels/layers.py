"""Kernels as the decoder calls them, on arrays: activations in, linear layers out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stillhouse.encodings import Encoding, by_name
from stillhouse.kernels import activations, amx, linear, linear_tiles
from stillhouse.kernels.activations import NOT_QUANTIZED, Forms, QuantizedBuffer, QuantizedRows
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa
from stillhouse.kernels.linear import LinearArguments
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.packing import layout_for, pack_panels
from stillhouse.kernels.team import Operation, Program, Team
from tests.factories import random_blocks

Floats = npt.NDArray[np.float32]
GUARD = np.float32(1234.5)  # what stands around results, where no kernel may write


def address(array: npt.NDArray[np.generic]) -> int:
    return int(array.ctypes.data)


def _terms(encoding: Encoding, raw: npt.NDArray[np.uint8]) -> Floats:
    """|scale * code| + |minimum|: what is added up for a weight, however small their difference."""
    codes, scale, minimum, group = encoding.unpack(raw)
    terms = abs(np.repeat(scale, group, axis=1) * codes)
    return terms if minimum is None else terms + abs(np.repeat(minimum, group, axis=1))


class Activations:
    """Rows of floats and their quantised forms, made by the quantising kernel."""

    def __init__(self, compiler: KernelCompiler, team: Team, x: Floats) -> None:
        self.values = np.ascontiguousarray(x, np.float32)
        rows, self.columns = x.shape
        self.rows = np.array([rows], np.int64)
        spans = [span for span in (256, 32) if self.columns % span == 0]
        self._buffers = {span: QuantizedBuffer(rows, self.columns, span) for span in spans}
        # Tiles work on 32 rows at a time, and read what they do not use.
        self._bf16 = allocate(-(-rows // 32) * 32 * self.columns * 2)
        forms = Forms(self.quantized(256), self.quantized(32), address(self._bf16))
        arguments = (address(self.values), self.columns, address(self.rows), *forms.arguments())
        kernel = compiler.address("quantize", activations.make_quantize)
        team.run(Program([Operation(kernel, arguments)]))

    def quantized(self, span: int) -> QuantizedRows:
        return self._buffers[span].rows if span in self._buffers else NOT_QUANTIZED

    @property
    def bf16_address(self) -> int:
        return address(self._bf16)


class Layer:
    """A random matrix in one encoding, packed, and the kernels that multiply by it."""

    def __init__(
        self, compiler: KernelCompiler, isa: Isa, encoding: str, outputs: int, columns: int
    ) -> None:
        self.encoding, self.isa, self._compiler = by_name(encoding), isa, compiler
        self.outputs, self.columns, self.panels = outputs, columns, -(-outputs // 16)
        self.layout = layout_for(self.encoding)
        rng = np.random.default_rng(outputs * columns)
        blocks = outputs * columns // self.encoding.block_size
        raw = random_blocks(self.encoding, blocks, 0.02, rng)
        self.weights = self.encoding.decode(raw).reshape(outputs, columns)
        self.terms = _terms(self.encoding, raw).reshape(outputs, columns)
        self.packed = allocate(self.layout.packed_bytes(outputs, columns) + 65536)
        pack_panels(self.encoding, raw.reshape(outputs, -1), columns, self.packed, 0, self.panels)

    def multiply(self, team: Team, x: Activations, onto: Floats | None = None) -> Floats:
        """The kernel on int8 activations."""
        name = f"matmul {self.layout.name} {self.isa.label}"
        make = linear.make_matmul(self.isa, self.layout, tiles=False)
        read = x.quantized(self.layout.span)
        return self._run(team, self._compiler.address(name, make), x, onto, read, 0)

    def tiles(self, team: Team, x: Activations, isa: Isa, onto: Floats | None = None) -> Floats:
        """The kernel on matrix tiles: real ones at Isa.AMX, below that in memory."""
        kernel = self._compiler.address(
            f"tiles {self.layout.name} {isa.label}",
            lambda: linear_tiles.make_matmul(isa, self.layout),
        )
        configuration = allocate(64)
        configuration[:] = amx.configuration()
        read = NOT_QUANTIZED._replace(codes=x.bf16_address, scales=address(configuration))
        stride = linear_tiles.scratch_bytes()
        return self._run(team, kernel, x, onto, read, stride, spare_rows=32)

    def _run(
        self, team: Team, kernel: int, x: Activations, onto: Floats | None,
        read: QuantizedRows, stride: int, *, spare_rows: int = 0,
    ) -> Floats:  # fmt: skip
        rows = len(x.values)
        out = np.full((rows + spare_rows + 1, self.panels * 16), GUARD)
        if onto is not None:
            out[:rows, : self.outputs] = onto
        scratch = np.full(team.threads * stride + 64, 0x5A, np.uint8)
        arguments = LinearArguments(
            address(self.packed), self.panels, self.columns, *read, address(out), out.strides[0],
            int(onto is not None), address(x.rows), address(scratch), stride,
        )  # fmt: skip
        team.run(Program([Operation(kernel, arguments)]))
        assert (scratch[team.threads * stride :] == 0x5A).all(), "wrote past its scratch"
        assert (out[-1] == GUARD).all(), "wrote past its rows"
        return out[:rows, : self.outputs]
