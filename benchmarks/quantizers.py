"""How near each format's blocks come to real weights, and how soon: Stillhouse and llama.cpp.

    python benchmarks/quantizers.py --environments DIR smollm2:135m qwen2.5-coder:1.5b
    python benchmarks/quantizers.py --environments DIR --formats Q4_K Q6_K --output FILE MODEL

Rows are taken evenly from matrices all over a model, decoded (a model's file is quantised itself: a
matrix is left out for the format that it has already), and written by both, in this process and by
turns. Errors are squared and summed, each matrix over the mean of its squares; with importance,
every column's error by its importance. Importance is drawn here, log-normal of deviation 1 from
`--seed`: no text was read for it. Printed are ratios, ours to llama.cpp's (below 1: less error) and
llama.cpp's time to ours, the median of rounds (above 1: we are faster): by the clock, and of the
processors' time, which other work on the machine hardly moves.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
from ggml_quantizers import GgmlQuantizers
from numpy.typing import NDArray

from stillhouse import hub
from stillhouse.checkpoints import open_gguf
from stillhouse.cli.document import commit
from stillhouse.encodings import by_name
from stillhouse.hardware import this_machine
from stillhouse.kernels.quantizers import has_quantizer
from stillhouse.quantize.rows import encode_rows

_FLOATS = ("F32", "F16", "BF16")
_FORMATS = """F32 F16 BF16 Q8_0 Q6_K Q5_K Q5_1 Q5_0 Q4_K Q4_1 Q4_0 IQ4_NL IQ4_XS Q3_K IQ3_S IQ3_XXS
Q2_K IQ2_S IQ2_XS IQ2_XXS IQ1_M IQ1_S"""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Matrix:
    """Some rows of one matrix, and the importance of its columns."""

    name: str
    stored_as: str
    rows: Floats
    importance: Floats


@dataclass(frozen=True)
class Measured:
    """One format on one model's matrices. Errors are relative: over the mean square of weights.

    A ratio is None where llama.cpp errs nowhere, and we do.
    """

    model: str
    format: str
    with_importance: bool
    matrices: int
    weights: int
    error: float
    error_llama_cpp: float
    error_ratio: float | None
    worst_matrix_error_ratio: float | None
    seconds: float
    seconds_llama_cpp: float
    speedup: float
    speedup_lowest: float
    speedup_of_cpu_time: float


def main() -> None:
    """Measure every format on every model, print a table, and write the JSON if asked."""
    arguments = _arguments()
    theirs = GgmlQuantizers(arguments.environments)
    formats = arguments.formats or [name for name in _FORMATS.split() if has_quantizer(name)]
    print(
        f"{theirs.version}; {arguments.threads} threads, {arguments.rounds} rounds; importance is "
        f"drawn, log-normal, seed {arguments.seed}\n\n"
        "|                      |         |            |          | error, ours/theirs "
        "| Mweights/s      | times faster            |\n"
        "| model                | format  | importance |    error |      all |   worst "
        "|   ours | theirs |   clock | least |    CPU |\n"
        "|----------------------|---------|------------|----------|----------|---------"
        "|--------|--------|---------|-------|--------|"
    )
    results = []
    for model in arguments.models:
        matrices = _matrices(model, arguments)
        for name in formats:
            for with_importance in (False, True):
                if name in _FLOATS and with_importance:
                    continue
                if theirs.requires_importance(name) and not with_importance:
                    continue
                found = _measure(model, name, with_importance, matrices, theirs, arguments)
                if found is not None:
                    results.append(found)
                    print(_line(found), flush=True)
    if arguments.output:
        document = {
            "command": "quantizers",
            "date": datetime.now(UTC).date().isoformat(),
            "commit": commit(),
            "machine": this_machine().as_json(),
            "llama_cpp": theirs.version,
            "threads": arguments.threads,
            "rounds": arguments.rounds,
            "rows": arguments.rows,
            "importance": f"log-normal of deviation 1, seed {arguments.seed}",
            "results": [asdict(result) for result in results],
        }
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")


def _matrices(model: str, arguments: argparse.Namespace) -> list[Matrix]:
    found = []
    rng = np.random.default_rng(arguments.seed)
    with open_gguf(hub.resolve(model, progress=hub.TerminalProgress())) as checkpoint:
        tensors = [tensor for tensor in checkpoint.tensors.values() if len(tensor.shape) == 2]
        for index in np.unique(np.linspace(0, len(tensors) - 1, arguments.matrices).astype(int)):
            tensor = tensors[index]
            count, columns = tensor.shape
            rows = np.linspace(0, count - 1, min(arguments.rows, count)).astype(int)
            importance = rng.lognormal(0, 1, columns).astype(np.float32)
            values = np.ascontiguousarray(tensor.decode_rows(rows))
            found.append(Matrix(tensor.name, tensor.format_name, values, importance))
    return found


def _measure(
    model: str,
    name: str,
    with_importance: bool,
    matrices: list[Matrix],
    theirs: GgmlQuantizers,
    arguments: argparse.Namespace,
) -> Measured | None:
    """None where no matrix has rows that the format takes."""
    fmt, threads = by_name(name), arguments.threads
    taken = [
        (matrix.rows, matrix.importance if with_importance else None)
        for matrix in matrices
        if matrix.rows.shape[1] % fmt.block_size == 0 and matrix.stored_as != name
    ]
    if not taken:
        return None
    ours_s: list[tuple[float, float]] = []  # by the clock, and the processors'
    theirs_s: list[tuple[float, float]] = []
    encode_rows(name, taken[0][0][:1], threads=1)  # compiles

    def by_us() -> list[NDArray[np.uint8]]:
        return [encode_rows(name, *matrix, threads=threads) for matrix in taken]

    def by_them() -> list[NDArray[np.uint8]]:
        return [theirs.encode_rows(name, *matrix, threads=threads) for matrix in taken]

    for number in range(arguments.rounds):
        turns = [(by_us, ours_s), (by_them, theirs_s)]
        blocks = {}
        for work, times in turns if number % 2 else reversed(turns):
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            blocks[work] = work()
            times.append((time.perf_counter() - start_s, time.process_time() - start_cpu_s))
    errors = np.array(
        [
            [_error(name, *matrix, ours), _error(name, *matrix, other)]
            for matrix, ours, other in zip(taken, blocks[by_us], blocks[by_them], strict=True)
        ]
    )
    counts = np.array([rows.size for rows, _ in taken])
    error, error_llama_cpp = counts @ errors / counts.sum()
    speedups = np.array(theirs_s) / np.array(ours_s)
    ratios = [_ratio(*pair) for pair in errors]
    known = [ratio for ratio in ratios if ratio is not None]
    return Measured(
        model,
        name,
        with_importance,
        len(taken),
        int(counts.sum()),
        float(error),
        float(error_llama_cpp),
        _ratio(error, error_llama_cpp),
        max(known) if len(known) == len(ratios) else None,
        median(clock_s for clock_s, _ in ours_s),
        median(clock_s for clock_s, _ in theirs_s),
        float(np.median(speedups[:, 0])),
        float(speedups[:, 0].min()),
        float(np.median(speedups[:, 1])),
    )


def _ratio(ours: float, theirs: float) -> float | None:
    if ours == theirs:
        return 1.0
    return float(ours / theirs) if theirs else None


def _error(name: str, rows: Floats, importance: Floats | None, blocks: NDArray[np.uint8]) -> float:
    """Mean squared error over the mean square; both weighted where there is importance."""
    fmt = by_name(name)
    decoded = fmt.decode(blocks.reshape(-1, fmt.block_bytes)).reshape(rows.shape)
    weights = np.ones(1) if importance is None else importance.astype(np.float64)
    squares = weights * (decoded - rows.astype(np.float64)) ** 2
    return float(squares.sum() / (weights * rows.astype(np.float64) ** 2).sum())


def _line(found: Measured) -> str:
    ours, theirs = (
        found.weights / seconds / 1e6 for seconds in (found.seconds, found.seconds_llama_cpp)
    )
    importance = "drawn" if found.with_importance else "none"
    ratio, worst = (
        "-" if ratio is None else f"{ratio:.4f}"
        for ratio in (found.error_ratio, found.worst_matrix_error_ratio)
    )
    return (
        f"| {found.model:20} | {found.format:7} | {importance:10} | {found.error:8.3g} "
        f"| {ratio:>8} | {worst:>7} | {ours:6.1f} | {theirs:6.1f} | {found.speedup:7.2f} "
        f"| {found.speedup_lowest:5.2f} | {found.speedup_of_cpu_time:6.2f} |"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--environments", type=Path, required=True, help="the peers' environments")
    parser.add_argument("--formats", nargs="+", metavar="FORMAT", help="default: all written ones")
    parser.add_argument("--matrices", type=int, default=12, help="how many of a model's")
    parser.add_argument("--rows", type=int, default=512, help="of each matrix, at most")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="where to write the JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
