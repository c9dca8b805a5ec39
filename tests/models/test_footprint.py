"""What is predicted of a loaded model is what it allocates, to the byte, without loading it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.checkpoints import open_checkpoint
from stillhouse.kernels.isa import Isa
from stillhouse.models import footprint
from stillhouse.models.buffers import LinearInput, StepBuffers
from stillhouse.models.config import ModelConfig
from stillhouse.models.rope import RopeTable
from stillhouse.models.weights import pack_weights


@pytest.fixture(scope="module")
def real(smollm2_path: Path):  # type: ignore[no-untyped-def]
    with open_checkpoint(smollm2_path) as checkpoint:
        config = ModelConfig.from_metadata(
            checkpoint.metadata, tied_embeddings="output.weight" not in checkpoint.tensors
        )
        weights = pack_weights(config, checkpoint.tensors, threads=1)
        encodings = {name: tensor.encoding for name, tensor in checkpoint.tensors.items()}
        yield config, weights, footprint.Matrices(config.shape, encodings)


def test_packed_weights_take_what_is_predicted(real) -> None:  # type: ignore[no-untyped-def]
    _, weights, model = real
    room_for_prefetch = 65536
    assert model.packed_bytes() == len(weights.arena) - room_for_prefetch


def test_buffers_take_what_is_predicted(real) -> None:  # type: ignore[no-untyped-def]
    config, weights, model = real
    buffers = StepBuffers(config, weights, isa=Isa.PORTABLE, threads=1)

    def bytes_of(part: LinearInput) -> int:
        return part.values.nbytes + sum(q.nbytes for q in part._buffers.values())

    plain = (buffers.hidden, buffers.qkv, buffers.queries, buffers.up, buffers.logits)
    inputs = (buffers.normed, buffers.final, buffers.mixed, buffers.gate)
    allocated = sum(array.nbytes for array in plain) + sum(map(bytes_of, inputs))
    rows = footprint.STEP_ROWS
    assert footprint.buffer_bytes(model, rows=rows, outputs=rows) == allocated


def test_rope_tables_fill_up_in_steps(real) -> None:  # type: ignore[no-untyped-def]
    config, _, _ = real
    table = RopeTable(config.rope, 4096)
    table.reach(1500)
    filled = 2 * table._filled * table.cosines.shape[1] * 4
    assert footprint.rope_bytes(config.shape, 1500) == filled


def test_nothing_has_to_be_compiled_for_it() -> None:
    program = (
        "import sys, stillhouse.planner.plan, stillhouse.planner.here;"
        "sys.exit('numba' in sys.modules or 'llvmlite' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
