"""config.json in the words of GGUF: defaults, rope's scalings, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.checkpoints.config_json import model_metadata
from stillhouse.checkpoints.json_object import JsonObject, read_json_file
from stillhouse.errors import BadCheckpoint
from stillhouse.models.config import ModelConfig
from stillhouse.models.rope import RopeTable, angles_per_position
from tests.checkpoints.folders import CONFIG

ANGLES = Path(__file__).parent / "fixtures/rope.json"


def config(**changes: Any) -> ModelConfig:
    return ModelConfig.from_metadata(model_metadata(JsonObject({**CONFIG, **changes})))


def test_a_llama_keeps_its_rows_in_the_order_of_the_model() -> None:
    assert config().rope.kind == "half"
    assert config().num_kv_heads == 1
    assert config(num_key_value_heads=None).num_kv_heads == 2
    assert config(head_dim=None).head_dim == 32


def test_rope_may_stand_in_an_object_of_its_own() -> None:
    assert config(rope_theta=5e5).rope.base == 5e5
    inner = {"rope_theta": 1e6, "rope_type": "default"}
    assert config(rope_parameters=inner).rope.base == 1e6
    assert config().rope.base == 10_000


def test_yarn_reaches_as_far_as_its_factor_says() -> None:
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
    for length in (32_768, 131_072):
        scaled = config(rope_scaling=yarn, max_position_embeddings=length)
        assert scaled.context_length == 131_072
        assert scaled.rope.original_context == 32_768


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["MixtralForCausalLM"]}, "MixtralForCausalLM"),
        ({"architectures": None}, "'none'"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"hidden_size": "64"}, "hidden_size is '64'"),
        ({"num_hidden_layers": None}, "does not say num_hidden_layers"),
        ({"partial_rotary_factor": 0.5}, "a part of the dimensions"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "'dynamic'"),
        ({"rope_scaling": {"type": "longrope", "factor": 2.0}}, "'longrope'"),
        ({"rope_scaling": {"type": "yarn", "factor": 0.5}}, "factor is 0.5"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0, "truncate": False}}, "truncate"),
        ({"rope_scaling": {"type": "llama3", "factor": 8.0}}, "low_freq_factor"),
        ({"rope_scaling": [1]}, "not an object"),
        ({"rope_theta": 10**400}, "finite"),
    ],
)
def test_what_would_change_the_result_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadCheckpoint, match=message):
        config(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "not JSON"), ("[]", "not a JSON object"), ('{"a": 1, "a": 2}', "twice"), ("\xff", "")],
)
def test_a_file_that_is_not_json_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadCheckpoint, match=f"config.json.*{message}"):
        read_json_file(path)


@pytest.mark.parametrize("case", json.loads(ANGLES.read_text()), ids=lambda case: case["name"])
def test_angles_are_those_of_transformers(case: dict[str, Any]) -> None:
    """The fixture holds what transformers computes, in float32 (tools/make_compressed_fixtures)."""
    rope = config(head_dim=128, **case["config"]).rope
    np.testing.assert_allclose(angles_per_position(rope), case["inv_freq"], rtol=2e-6)
    table = RopeTable(rope, 1)
    table.reach(0)
    np.testing.assert_allclose(table.cosines[0], case["attention_factor"], rtol=1e-6)
