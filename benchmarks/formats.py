"""How near each number format's kernels come to the memory's limit, on this machine.

    python benchmarks/formats.py                        # every format with a layout of its own
    python benchmarks/formats.py IQ2_XXS Q2_K --layers 28 --json formats.json

For each format: the matrices of some layers of a 1.5B model (Qwen2.5's shapes, without the head) in
random bytes, packed as a loaded model is. One row goes through all of them, in turns with a plain
reading of the same memory; what is printed is the median of both, and of their ratio. Then 8 rows
and 512. Values mean nothing here, and no kernel's speed depends on them.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from stillhouse.cli.document import commit
from stillhouse.encodings import by_name
from stillhouse.hardware import this_machine
from stillhouse.kernels import activations, bandwidth, linear
from stillhouse.kernels.activations import Forms, QuantizedBuffer
from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.isa import Isa, detect, prefetch
from stillhouse.kernels.layouts import BY_ENCODING, PANEL_ROWS
from stillhouse.kernels.linear import LinearArguments
from stillhouse.kernels.memory import allocate
from stillhouse.kernels.packing import pack_panels
from stillhouse.kernels.team import Operation, Program, Team

HIDDEN, KEYS, FFN = 1536, 256, 8960
# One layer's matrices: rows, columns, and whether the next one must wait for it.
SHAPES = (
    (HIDDEN, HIDDEN, False),
    (KEYS, HIDDEN, False),
    (KEYS, HIDDEN, True),
    (HIDDEN, HIDDEN, True),
    (FFN, HIDDEN, False),
    (FFN, HIDDEN, True),
    (HIDDEN, FFN, True),
)
WEIGHTS_PER_LAYER = sum(rows * columns for rows, columns, _ in SHAPES)


@dataclass(frozen=True)
class Measured:
    """One format's figures. A pass is one row through all matrices; GOPS count a product and a sum
    each.
    """

    encoding: str
    layout: str
    file_bits_per_weight: float
    packed_bits_per_weight: float
    packed_bytes: int
    pack_s: float
    pass_s: float
    read_bytes_per_s: float
    bandwidth_bytes_per_s: float
    bandwidth_share: float
    gops_8_rows: float
    gops_512_rows: float


class Rows:
    """Rows of random activations of one width, quantised as kernels read them."""

    def __init__(self, compiler: KernelCompiler, team: Team, count: int, columns: int) -> None:
        rng = np.random.default_rng(columns)
        self._values = rng.standard_normal((count, columns)).astype(np.float32)
        self._buffers = {span: QuantizedBuffer(count, columns, span) for span in (256, 32)}
        # Tiles work on 32 rows at a time.
        self._bf16 = allocate(-(-count // 32) * 32 * columns * 2)
        self.count = np.array([count], np.int64)
        forms = Forms(self._buffers[256].rows, self._buffers[32].rows, address(self._bf16))
        arguments = (address(self._values), columns, address(self.count), *forms.arguments())
        kernel = compiler.address("quantize", activations.make_quantize)
        team.run(Program([Operation(kernel, arguments)]))

    def read_by(self, span: int) -> activations.QuantizedRows:
        return self._buffers[span].rows


class Stack:
    """All layers' matrices in one format, and programs that multiply by them."""

    def __init__(self, encoding: str, layers: int, threads: int, isa: Isa) -> None:
        self.encoding, self.layout, self.isa = by_name(encoding), BY_ENCODING[encoding], isa
        self._compiler, self.team = KernelCompiler(), Team(threads)
        self.weights = layers * WEIGHTS_PER_LAYER
        self.packed_bytes = self.weights * self.layout.record_bytes // (16 * self.layout.span)
        self.arena = allocate(self.packed_bytes + 65536)  # kernels prefetch past a matrix's end
        layer_bytes = self.packed_bytes // layers
        start_s = time.perf_counter()
        self._pack_layer()
        self.pack_s = time.perf_counter() - start_s
        for layer in range(1, layers):
            self.arena[layer * layer_bytes :][:layer_bytes] = self.arena[:layer_bytes]
        self._layers = layers

    def _pack_layer(self) -> None:
        rng, at = np.random.default_rng(0), 0
        for rows, columns, _ in SHAPES:
            row_bytes = columns // self.encoding.block_size * self.encoding.block_bytes
            raw = rng.integers(0, 256, (rows, row_bytes), dtype=np.uint8)
            size = self.layout.packed_bytes(rows, columns)
            pack_panels(
                self.encoding, raw, columns, self.arena[at : at + size], 0, rows // PANEL_ROWS
            )
            at += size

    def program(self, rows: int) -> Program:
        """``rows`` rows through every matrix: results go where the next ones overwrite them."""
        self._inputs = {n: Rows(self._compiler, self.team, rows, n) for n in (HIDDEN, FFN)}
        self._out = allocate((rows + 32) * FFN * 4)
        kernel = self._compiler.address(
            self.layout.name, linear.make_matmul(self.isa, self.layout, tiles=False)
        )
        operations, at = [], address(self.arena)
        for _ in range(self._layers):
            for outputs, columns, wait in SHAPES:
                x = self._inputs[columns]
                arguments = LinearArguments(
                    at, outputs // PANEL_ROWS, columns, *x.read_by(self.layout.span),
                    address(self._out), outputs * 4, 0, address(x.count), 0, 0,
                )  # fmt: skip
                operations.append(Operation(kernel, arguments, wait))
                at += self.layout.packed_bytes(outputs, columns)
        return Program(operations)

    def reading(self) -> Program:
        """The same memory, read and nothing else."""
        kernel = self._compiler.address("read", lambda: bandwidth.make_read(prefetch(code_bits=8)))
        self._sums = np.zeros(16 * self.team.threads, np.int32)
        arguments = (address(self.arena), self.packed_bytes // 256, address(self._sums))
        return Program([Operation(kernel, arguments)])

    def seconds(self, program: Program) -> float:
        start_s = time.perf_counter()
        self.team.run(program)
        return time.perf_counter() - start_s


def address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)


def measure(encoding: str, layers: int, threads: int, passes: int, isa: Isa) -> Measured:
    """All figures of one format; a first pass of each kind only warms up."""
    stack = Stack(encoding, layers, threads, isa)
    try:
        one, reading = stack.program(rows=1), stack.reading()
        turns = [(stack.seconds(one), stack.seconds(reading)) for _ in range(passes + 1)][1:]
        gops = {}
        for rows in (8, 512):
            many = stack.program(rows)
            stack.seconds(many)
            best_s = min(stack.seconds(many) for _ in range(3))
            gops[rows] = 2e-9 * stack.weights * rows / best_s
    finally:
        stack.team.close()
    pass_s, read_s = (median(times) for times in zip(*turns, strict=True))
    return Measured(
        encoding,
        stack.layout.name,
        stack.encoding.bits_per_weight,
        8 * stack.packed_bytes / stack.weights,
        stack.packed_bytes,
        stack.pack_s,
        pass_s,
        stack.packed_bytes / pass_s,
        stack.packed_bytes / read_s,
        median(read / one for one, read in turns),
        gops[8],
        gops[512],
    )


def main() -> None:
    """Measure the formats named, print a table, and write JSON where asked to."""
    arguments = _arguments()
    isa = min(detect(), Isa.AVX512_VNNI)  # byte dot products for many rows, too
    print(
        f"{this_machine().cpu}, {arguments.threads} threads, {isa.label}, "
        f"{arguments.layers * WEIGHTS_PER_LAYER / 1e6:.0f} M weights\n\n"
        "| format | layout | bits in file | packed | ms | GB/s | reading alone | share "
        "| 8 rows, GOPS | 512 rows |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    results = []
    for encoding in arguments.formats or BY_ENCODING:
        m = measure(encoding, arguments.layers, arguments.threads, arguments.passes, isa)
        results.append(asdict(m))
        print(
            f"| {encoding} | {m.layout} | {m.file_bits_per_weight:.4g} "
            f"| {m.packed_bits_per_weight:.4g} | {m.pass_s * 1e3:.1f} "
            f"| {m.read_bytes_per_s / 1e9:.1f} | {m.bandwidth_bytes_per_s / 1e9:.1f} "
            f"| {m.bandwidth_share:.0%} | {m.gops_8_rows:.0f} | {m.gops_512_rows:.0f} |",
            flush=True,
        )
    if arguments.json is not None:
        document = {
            "command": "formats",
            "date": datetime.now(UTC).date().isoformat(),
            "commit": commit(),
            "machine": this_machine().as_json(),
            "isa": isa.label,
            "threads": arguments.threads,
            "layers": arguments.layers,
            "passes": arguments.passes,
            "results": results,
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="GGUF's names; default: all")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
