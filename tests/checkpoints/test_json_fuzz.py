"""Whatever the JSON files of a folder hold, there is a model or one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.checkpoints.config_json import model_metadata
from stillhouse.checkpoints.json_object import JsonObject
from stillhouse.checkpoints.quantization_config import read_quantization_config
from stillhouse.errors import BadCheckpoint
from stillhouse.models.config import ModelConfig
from stillhouse.text import Tokenizer
from stillhouse.text.tokenizer_json import JSON_KEY
from tests.checkpoints.folders import CONFIG

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
FOLDER = Path(__file__).parent / "fixtures/w4a16"
WHOLE: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
TOKENIZER: dict[str, Any] = json.loads((FOLDER / "tokenizer.json").read_text())
SMALL = TOKENIZER | {"model": TOKENIZER["model"] | {"vocab": {"a": 18, "b": 19}, "merges": []}}

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
    | st.sampled_from(["Linear", "re:.*", "yarn", "channel", "BPE", "ByteLevel", 10**400, -1, 0]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "factor", "weights", "content", "id"]), inner),
    max_leaves=6,
)  # fmt: skip


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, as keys and indices from outside."""
    inner = value.items() if isinstance(value, dict) else []
    inner = enumerate(value) if isinstance(value, list) else inner
    return [at, *(path for key, child in inner for path in paths(child, (*at, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A copy with another value at one place."""
    if not path:
        return by
    copy: Any = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


def changed(value: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The value with one to three places changed, or as many as still are there."""
    places = st.lists(
        st.tuples(st.sampled_from(paths(value)[1:]), ANYTHING), min_size=1, max_size=3
    )

    def apply(changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
        result: Any = value
        for path, by in changes:
            if path in paths(result):
                result = replaced(result, path, by)
        return result

    return places.map(apply)


@QUICK
@given(changed(WHOLE) | changed({**CONFIG, "rope_scaling": {"type": "yarn", "factor": 2.0}}))
def test_any_config_is_read_or_gives_one_line(values: dict[str, Any]) -> None:
    try:
        config = JsonObject(values)
        shape = ModelConfig.from_metadata(model_metadata(config))
        scheme = read_quantization_config(config).scheme_for("model.layers.0.mlp.up_proj")
    except BadCheckpoint as error:
        line = f"{error.message} {error.hint}"
        assert line.isprintable()
    else:
        assert shape.num_heads % shape.num_kv_heads == 0
        assert scheme is None or scheme.label


@QUICK
@given(changed(SMALL))
def test_any_tokenizer_is_read_or_gives_one_line(values: dict[str, Any]) -> None:
    metadata = {
        "general.architecture": "llama",
        "llama.vocab_size": 20,
        JSON_KEY: json.dumps(values),
        "tokenizer.huggingface.eos_token_ids": [0],
    }
    try:
        tokenizer = Tokenizer.from_metadata(metadata)
    except BadCheckpoint as error:
        line = f"{error.message} {error.hint}"
        assert line.isprintable()
    else:
        assert tokenizer.decode(tokenizer.encode("a b")).isprintable()
