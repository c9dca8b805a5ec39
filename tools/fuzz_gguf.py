"""Damage GGUF files at random: each must open or give one line, quickly and in little memory.

    python tools/fuzz_gguf.py [--cases 10000] [--seed 0] [--real MODEL.gguf ...]

One case in 50 damages the header of a real model, if one is given, in a sparse copy of it; the
others damage small files that hold every metadata type and a sample of tensor types. Prints one
line, and exits with 1 if a rule was broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from struct import pack

from stillhouse.checkpoints import Checkpoint, EncodedTensor, open_gguf
from stillhouse.encodings import ENCODINGS
from stillhouse.errors import BadCheckpoint

REAL_SHARE = 50
MAX_SECONDS = 1.0
MAX_BYTES = 256 << 20
SMALL_NUMBERS = (0, 1, 2, 5, 8, 9, 13, 31, 255)
POWERS = (1 << 16, 1 << 20, 1 << 31, 1 << 32, 1 << 40, 1 << 63, 1 << 64)
NUMBERS = (*SMALL_NUMBERS, *(power - below for power in POWERS for below in (1, 32)))


@dataclass
class Tally:
    """What happened so far."""

    cases: int = 0
    opened: int = 0
    errors: int = 0
    worst_seconds: float = 0.0
    worst_bytes: int = 0
    broken: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The summary."""
        return (
            f"{self.cases} cases: {self.errors} errors of one line, {self.opened} opened, "
            f"{len(self.broken)} rules broken; worst {self.worst_seconds:.3f} s, "
            f"{self.worst_bytes / (1 << 20):.1f} MiB"
        )


def main() -> int:
    """Run the cases; 0 if every rule held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    random, tally = Random(arguments.seed), Tally()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.gguf"
        real = [(copy_header(model, Path(folder)), header_bytes(model)) for model in arguments.real]
        for case in range(arguments.cases):
            if real and case % REAL_SHARE == 0:
                damaged, length = random.choice(real)
                undo = damage_in_place(damaged, length, random)
                measure(damaged, tally, f"case {case}")
                undo()
            else:
                path.write_bytes(damage(small_file(random), random))
                measure(path, tally, f"case {case}")
    print(tally.line())
    for line in tally.broken[:20]:
        print(line, file=sys.stderr)
    return 1 if tally.broken else 0


def measure(path: Path, tally: Tally, case: str) -> None:
    """Open one file, timed first and then with its memory traced, and note any broken rule."""
    tally.cases += 1
    try:
        outcome, seconds = timed(path)
        if seconds > MAX_SECONDS:  # the disk or other programs may have been the slow ones
            seconds = min(seconds, timed(path)[1])
    except Exception as error:
        tally.broken.append(f"{case}: {type(error).__name__}: {error}")
        return
    tracemalloc.start()
    use(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    tally.opened += outcome is None
    tally.errors += outcome is not None
    tally.worst_seconds = max(tally.worst_seconds, seconds)
    tally.worst_bytes = max(tally.worst_bytes, peak)
    if outcome is not None and not outcome.isprintable():
        tally.broken.append(f"{case}: not one printable line: {outcome!r}")
    if seconds > MAX_SECONDS:
        tally.broken.append(f"{case}: {seconds:.2f} s")
    if peak > MAX_BYTES:
        tally.broken.append(f"{case}: {peak} bytes")


def timed(path: Path) -> tuple[str | None, float]:
    """What ``use`` returns, and how many seconds it took."""
    began = time.perf_counter()
    return use(path), time.perf_counter() - began


def use(path: Path) -> str | None:
    """Open a file and read everything it holds; what the user would see if it is refused."""
    try:
        with open_gguf(path) as checkpoint:
            read_all(checkpoint)
    except BadCheckpoint as error:
        return f"{error.message} {error.hint or ''}"
    return None


def read_all(checkpoint: Checkpoint) -> None:
    """Decode all metadata, and of each tensor at most some rows."""
    for key in checkpoint.metadata:
        _ = checkpoint.metadata[key]
    for weights in checkpoint.tensors.values():
        assert isinstance(weights, EncodedTensor)
        if weights.num_bytes < 1 << 16:
            weights.decode()
        elif weights.shape[-1] < 1 << 20:
            weights.decode_rows([0, weights.raw.shape[0] - 1])


def damage(content: bytes, random: Random) -> bytes:
    """Apply one to four random edits."""
    edited = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(edited))
        match random.randrange(7):
            case 0:
                edited[at] ^= 1 << random.randrange(8)
            case 1:
                edited[at] = random.randrange(256)
            case 2:
                edited[at : at + 4] = pack("<I", random.choice(NUMBERS) & 0xFFFFFFFF)
            case 3:
                edited[at : at + 8] = pack("<Q", random.choice(NUMBERS))
            case 4:
                del edited[at : at + random.randint(1, 40)]
            case 5:
                edited[at:at] = edited[at : at + random.randint(1, 80)]
            case 6:
                del edited[max(at, 1) :]
        if not edited:
            return b"\0"
    return bytes(edited)


def damage_in_place(path: Path, length: int, random: Random) -> Callable[[], None]:
    """Overwrite up to three numbers or bytes of the first ``length``; returns how to undo it."""
    with path.open("r+b") as file:
        saved = []
        for _ in range(random.randint(1, 3)):
            # Most of a real header is token texts: aim at its dense beginning and end too.
            at = random.choice(
                [
                    random.randrange(1024),
                    random.randrange(length),
                    random.randrange(length - 9999, length),
                ]
            )
            patch = random.choice(
                [random.randbytes(1), random.randbytes(8), pack("<Q", random.choice(NUMBERS))]
            )
            file.seek(at)
            saved.append((at, file.read(len(patch))))
            file.seek(at)
            file.write(patch)

    def undo() -> None:
        with path.open("r+b") as file:
            for at, original in reversed(saved):
                file.seek(at)
                file.write(original)

    return undo


def header_bytes(model: Path) -> int:
    """Where the data of a real model begin."""
    with open_gguf(model) as checkpoint:
        tensors = checkpoint.tensors.values()
        return min(weights.start for weights in tensors if isinstance(weights, EncodedTensor))


def copy_header(model: Path, folder: Path) -> Path:
    """A sparse copy of a real model: its header, and zeros up to its size."""
    copy = folder / model.name
    with model.open("rb") as source, copy.open("wb") as target:
        target.write(source.read(header_bytes(model)))
        target.truncate(model.stat().st_size)
    return copy


def small_file(random: Random) -> bytes:
    """A valid file with every metadata type and a few tensors of random types."""
    scalars = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    entries = [
        _text(f"n{kind}") + pack("<I", kind) + b"\1" + bytes(size - 1)
        for kind, size in scalars.items()
    ]
    entries += [
        _text(f"a{kind}") + pack("<IIQ", 9, kind, 3) + bytes(3 * size)
        for kind, size in scalars.items()
    ]
    entries.append(_text("general.alignment") + pack("<II", 4, 32))
    entries.append(_text("s") + pack("<I", 8) + _text("some text"))
    entries.append(
        _text("list") + pack("<IIQ", 9, 8, 4) + b"".join(map(_text, ["", "a", "é", "🙂"]))
    )
    random.shuffle(entries)
    table, data = [], b""
    for i, encoding in enumerate(random.sample(ENCODINGS, 4)):
        rows, columns = random.randint(1, 3), 256
        table.append(
            _text(f"t{i}") + pack("<IQQIQ", 2, columns, rows, encoding.ggml_type, len(data))
        )
        size = rows * columns // encoding.block_size * encoding.block_bytes
        data += random.randbytes(size) + bytes(-size % 32)
    header = b"GGUF" + pack("<IQQ", random.choice((2, 3)), len(table), len(entries))
    header += b"".join(entries + table)
    return header + bytes(-len(header) % 32) + data


def _text(value: str) -> bytes:
    raw = value.encode()
    return pack("<Q", len(raw)) + raw


if __name__ == "__main__":
    sys.exit(main())
