"""The table of tensors, counted against what the makers publish."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from stillhouse import catalog
from stillhouse.models.tensors import active_parameters, matrices, parameters, tensor_shapes

R1 = catalog.find("r1-671b").model.shape


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: model.name)
def test_the_tensors_hold_as_many_parameters_as_the_catalogue_says(model: catalog.Model) -> None:
    assert parameters(model.shape) == model.parameters


def test_of_the_mixture_of_experts_about_37_billion_are_active() -> None:
    assert active_parameters(R1) == pytest.approx(37e9, rel=0.02)


def test_a_dense_model_leaves_only_rows_of_its_embeddings_idle() -> None:
    shape = catalog.find("r1-distill-qwen-7b").model.shape
    idle = parameters(shape) - active_parameters(shape)
    assert idle == (shape.vocab_size - 1) * shape.hidden_size


def test_the_671b_has_as_many_tensors_as_its_files() -> None:
    """1025 in all, 361 of them vectors and routers: what llama.cpp prints of UD-IQ1_S."""
    shapes = tensor_shapes(R1, fused_kv_b=True)
    assert len(shapes) == 1025
    small = [name for name, sizes in shapes.items() if len(sizes) == 1 or "gate_inp" in name]
    assert len(small) == 361


def test_both_layouts_of_latent_attention_hold_the_same_weights() -> None:
    fused, split = matrices(R1, fused_kv_b=True), matrices(R1)
    assert fused["blk.0.attn_kv_b.weight"] == (128 * 256, 512)
    assert split["blk.0.attn_k_b.weight"] == (128, 512, 128)
    assert split["blk.0.attn_v_b.weight"] == (128, 128, 512)


def test_the_first_three_layers_of_the_671b_are_dense() -> None:
    shapes = tensor_shapes(R1)
    assert shapes["blk.2.ffn_down.weight"] == (7168, 18432)
    assert shapes["blk.3.ffn_down_exps.weight"] == (256, 7168, 2048)
    assert shapes["blk.3.exp_probs_b.bias"] == (256,)
    assert "blk.2.ffn_down_exps.weight" not in shapes


def test_a_tied_model_has_one_table() -> None:
    shape = catalog.find("smollm2-135m").model.shape
    assert "output.weight" not in tensor_shapes(shape)
    untied = dataclasses.replace(shape, tied_embeddings=False)
    assert parameters(untied) - parameters(shape) == shape.vocab_size * shape.hidden_size


def test_planning_imports_neither_numba_nor_kernels() -> None:
    planning = "import stillhouse.models.cost, stillhouse.models.file_size"
    planning += ", stillhouse.models.folder_size, sys"
    check = "assert not {'numba', 'stillhouse.kernels'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{planning}; {check}"], check=True)
