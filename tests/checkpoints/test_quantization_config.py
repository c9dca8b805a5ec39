"""Which module is quantised how, as config.json says it."""

from __future__ import annotations

from typing import Any

import pytest

from stillhouse.checkpoints.json_object import JsonObject
from stillhouse.checkpoints.quantization_config import (
    QuantizationConfig,
    Scheme,
    read_quantization_config,
)
from stillhouse.errors import BadCheckpoint

INT4 = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 64}
INT8 = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
FP8 = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel"}
BY_TOKEN = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
Q_PROJ, UP, DOWN = (
    f"model.layers.1.{part}" for part in ("self_attn.q_proj", "mlp.up_proj", "mlp.down_proj")
)


def read(**settings: Any) -> QuantizationConfig:
    return read_quantization_config(JsonObject({"quantization_config": settings}))


def group(weights: Any, *targets: str, **more: Any) -> dict[str, Any]:
    return {"targets": list(targets or ("Linear",)), "weights": weights, **more}


def one(weights: Any, form: str = "pack-quantized", **more: Any) -> Scheme | None:
    return read(format=form, config_groups={"g": group(weights, **more)}).scheme_for(UP)


def test_a_folder_without_the_key_is_not_quantised() -> None:
    assert read_quantization_config(JsonObject({})).scheme_for(UP) is None


def test_the_old_key_is_read_as_well() -> None:
    settings = {"format": "int-quantized", "config_groups": {"g": group(INT8)}}
    config = read_quantization_config(JsonObject({"compression_config": settings}))
    assert config.scheme_for(UP) == Scheme(8, False, "channel")


@pytest.mark.parametrize(
    ("weights", "form", "more", "scheme", "label"),
    [
        (
            INT4, "pack-quantized", {},
            Scheme(4, False, "group", 64, is_packed=True), "INT4 group 64",
        ),
        (
            INT8, "int-quantized", {"input_activations": BY_TOKEN},
            Scheme(8, False, "channel", int8_activations=True), "INT8 channel",
        ),
        (FP8, "float-quantized", {}, Scheme(8, True, "channel"), "FP8 channel"),
        (
            {**FP8, "strategy": "block", "block_structure": "128x128"}, "float-quantized", {},
            Scheme(8, True, "block", 128, 128), "FP8 block 128x128",
        ),
        (
            {**INT4, "symmetric": False, "num_bits": 3}, "pack-quantized", {},
            Scheme(3, False, "group", 64, symmetric=False, is_packed=True), "INT3 group 64",
        ),
        ({"num_bits": 8, "group_size": -1}, "naive-quantized", {}, Scheme(8, False, "channel"),
         "INT8 channel"),
        ({"num_bits": 8}, "naive-quantized", {}, Scheme(8, False, "tensor"), "INT8 tensor"),
    ],
)  # fmt: skip
def test_a_group_says_how_its_weights_are_kept(
    weights: Any, form: str, more: Any, scheme: Scheme, label: str
) -> None:
    assert one(weights, form, **more) == scheme
    assert scheme.label == label


def test_names_win_over_regexes_and_regexes_over_classes() -> None:
    config = read(
        format="mixed-precision",
        config_groups={
            "by_class": group(INT4, "Linear", format="pack-quantized"),
            "by_regex": group(INT8, r"re:.*\.mlp\.(up|down)_proj$", format="int-quantized"),
            "by_name": group(FP8, DOWN, format="float-quantized"),
        },
        ignore=["lm_head", r"re:.*layers\.0\..*"],
    )
    labels = {
        name: None if (scheme := config.scheme_for(name)) is None else scheme.label
        for name in (Q_PROJ, UP, DOWN, "lm_head", "model.layers.0.mlp.up_proj")
    }
    assert labels == {
        Q_PROJ: "INT4 group 64",
        UP: "INT8 channel",
        DOWN: "FP8 channel",
        "lm_head": None,
        "model.layers.0.mlp.up_proj": None,
    }


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("W8A8", "INT8 channel"),
        ("W4A16", "INT4 group 128"),
        ("W4A16_ASYM", "INT4 group 128"),
        ("FP8_DYNAMIC", "FP8 channel"),
        ("FP8_BLOCK", "FP8 block 128x128"),
    ],
)
def test_presets_stand_for_their_schemes(name: str, label: str) -> None:
    scheme = read(format="pack-quantized", config_groups={name: ["Linear"]}).scheme_for(UP)
    assert scheme is not None
    assert scheme.label == label
    assert scheme.symmetric == (name != "W4A16_ASYM")


def test_deepseeks_own_blocks_are_read() -> None:
    config = read(
        quant_method="fp8", fmt="e4m3", weight_block_size=[128, 128], activation_scheme="dynamic",
        modules_to_not_convert=[Q_PROJ],
    )  # fmt: skip
    scheme = config.scheme_for(UP)
    assert scheme is not None
    assert (scheme.label, scheme.scale_name) == ("FP8 block 128x128", "weight_scale_inv")
    assert config.scheme_for(Q_PROJ) is None
    assert config.scheme_for("lm_head") is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quant_method": "awq"}, "'awq' is not read"),
        ({"format": "nvfp4-pack-quantized", "config_groups": {"g": group(INT4)}}, "nvfp4-pack"),
        ({"format": "marlin-24", "config_groups": {"g": group(INT4)}}, "marlin-24"),
        ({"config_groups": {"NVFP4": ["Linear"]}}, "'NVFP4'"),
        ({"sparsity_config": {"format": "sparse-24-bitmask"}}, "sparsity_config"),
        ({"transform_config": {"config_groups": {}}}, "transform_config"),
        ({"quant_method": "fp8", "weight_block_size": [64, 64]}, "64, 64"),
        ({"quant_method": "fp8", "weight_block_size": None}, "None"),
    ],
)
def test_other_kinds_are_refused_by_name(settings: Any, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=message):
        read(**settings)


@pytest.mark.parametrize(
    ("weights", "more", "message"),
    [
        ({**INT4, "num_bits": 9}, {}, "9-bit integers"),
        ({**FP8, "num_bits": 4}, {}, "4-bit floats"),
        ({**FP8, "strategy": "group", "group_size": 32}, {}, "a scale for 32 columns"),
        ({**INT4, "group_size": 0}, {}, "group_size is 0"),
        ({**INT4, "strategy": "tensor_group"}, {}, "tensor_group"),
        ({**INT4, "symmetric": 1}, {}, "not true or false"),
        (INT8, {"input_activations": {**BY_TOKEN, "dynamic": False}}, "static"),
        (INT8, {"input_activations": {**BY_TOKEN, "symmetric": False}}, "asymmetric"),
        (INT8, {"input_activations": {**BY_TOKEN, "num_bits": 4}}, "4-bit activations"),
        (INT8, {"output_activations": BY_TOKEN}, "output_activations"),
        (INT8, {"targets": ["re:(a+)+b"]}, "long to match"),
        (INT8, {"targets": ["re:.*.*.*.*.*x"]}, "long to match"),
        (INT8, {"targets": ["re:(["]}, "no regex"),
    ],
)
def test_settings_that_are_not_computed_are_refused(weights: Any, more: Any, message: str) -> None:
    with pytest.raises(BadCheckpoint, match=message) as caught:
        one(weights, "int-quantized", **more)
    assert caught.value.message.isprintable()
