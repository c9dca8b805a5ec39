"""Folders that llm-compressor wrote, against the logits that transformers computes from them.

How near ours come is a matter of what each side rounds. Both read the same codes and scales, and:

- our KV cache is bf16, which alone moves logits by 1.2e-3 (the folder that is all BF16);
- transformers rounds code * scale to the scales' bf16, and we do not: 2^-9 of each weight, and as
  much again;
- activations: W8A8's are rounded alike, but one that lies just between two codes falls either way,
  and a code is 1/127.5 of the row's largest number, so what rounding costs at all is the limit;
  those of W4A16 we round to int8 by 32 columns and transformers does not, but for columns in the
  order of their activations, which are decoded; those of FP8 transformers rounds to eight bits
  (4.4e-2) and we do not.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stillhouse.checkpoints import Checkpoint, CompressedTensor, open_folder
from stillhouse.errors import BadCheckpoint
from stillhouse.kernels.isa import Isa, detect
from stillhouse.models.decoder import Decoder
from stillhouse.models.kv import KVCache
from stillhouse.models.loading import load_model
from stillhouse.text import ChatTemplate, Message, Tokenizer
from tests.checkpoints.folders import CONFIG, write_folder
from tests.models.test_decoder import distance, run
from tests.reference.decoder import logits

FIXTURES = Path(__file__).parents[1] / "checkpoints/fixtures"
LEVELS = [isa for isa in Isa if isa <= detect(environment={})]
# What is compared (see logits.npz in tools/make_compressed_fixtures.py), and how near it has to be.
FOLDERS = {
    "bf16": ("logits", 2e-3),
    "w8a8": ("logits", 2.5e-2),
    "w4a16": ("logits", 2e-2),
    "w4a16_asymmetric": ("logits", 2e-2),
    "w4a16_actorder": ("logits", 2e-3),
    "fp8_dynamic": ("weights_only", 2e-3),
    "fp8_block": ("weights_only", 2e-3),
}
FORMS = {
    "bf16": {"BF16"},
    "w8a8": {"INT8 channel", "BF16"},
    "w4a16": {"INT4 group 64", "BF16"},
    "w4a16_asymmetric": {"INT4 group 32", "BF16"},
    "w4a16_actorder": {"INT4 group 32", "BF16"},
    "fp8_dynamic": {"FP8 channel", "BF16"},
    "fp8_block": {"FP8 block 128x128", "BF16"},
}


def answer(model: Decoder, tokens: list[int]) -> npt.NDArray[np.float32]:
    return run(model, KVCache(model.config, 1, "bf16"), (tokens, 0, (0,)))


@pytest.mark.parametrize("isa", LEVELS, ids=lambda isa: isa.label)
@pytest.mark.parametrize("name", FOLDERS)
def test_logits_are_those_of_transformers(name: str, isa: Isa) -> None:
    reference, limit = FOLDERS[name]
    expected = np.load(FIXTURES / name / "logits.npz")
    tokens = expected["token_ids"].tolist()
    with open_folder(FIXTURES / name) as checkpoint:
        assert {tensor.format_name for tensor in checkpoint.tensors.values()} == FORMS[name]
        model = load_model(checkpoint, threads=2, isa=isa)
        result = answer(model, tokens)
        alone = [answer(model, tokens[: n + 1])[n] for n in (0, 5)]
        model.close()
    assert distance(result, expected[reference]) < limit
    if isa < Isa.AMX:  # tiles read activations otherwise than one row's kernel does
        np.testing.assert_array_equal(np.stack(alone), result[[0, 5]])


@pytest.mark.parametrize("name", FOLDERS)
def test_nothing_but_rounding_differs_from_the_naive_decoder(name: str) -> None:
    with open_folder(FIXTURES / name) as checkpoint:
        model = load_model(checkpoint, threads=2, isa=min(detect(environment={}), Isa.AVX512_VNNI))
        tokens = list(range(0, 384, 16))
        distances = [
            distance(answer(model, [token])[0], twin(checkpoint, token)) for token in tokens
        ]
        model.close()
    # The typical token, as one code more anywhere changes all behind it (see test_decoder).
    assert np.median(distances) < 1e-5


def twin(checkpoint: Checkpoint, token: int) -> npt.NDArray[np.float64]:
    """Logits from weights that are code * scale, rounded to the scales' type where ours are."""
    exact: dict[str, Any] = {
        name: _Exact(tensor)
        if isinstance(tensor, CompressedTensor) and tensor.group_of_column is None
        else tensor
        for name, tensor in checkpoint.tensors.items()
    }
    return logits(Checkpoint(checkpoint.metadata, exact, []), [token], rounded=True)[0]


class _Exact(CompressedTensor):
    """A compressed tensor that decodes to products in float32."""

    def __init__(self, tensor: CompressedTensor) -> None:
        fields = (getattr(tensor, name) for name in CompressedTensor.__dataclass_fields__)
        super().__init__(*fields)

    @property
    def decoded_as(self) -> str:
        return "F32"


@pytest.mark.parametrize("architecture", ["Qwen2ForCausalLM", "Qwen3ForCausalLM"])
def test_qwens_are_computed_with_their_biases_and_norms(tmp_path: Path, architecture: str) -> None:
    config = CONFIG | {"architectures": [architecture]}
    with open_folder(write_folder(tmp_path, config=config)) as checkpoint:
        model = load_model(checkpoint, threads=2)
        result = answer(model, [7, 8, 9])
        model.close()
        assert distance(result, logits(checkpoint, [7, 8, 9], rounded=False)) < 5e-3


def test_a_weight_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(FIXTURES / "fp8_dynamic", folder)
    with open_folder(folder) as checkpoint:
        up = checkpoint.tensors["blk.1.ffn_up.weight"]
        assert isinstance(up, CompressedTensor)
        at = up.codes.start + 100
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[at] = 0xFF
    (folder / "model.safetensors").write_bytes(content)
    with (
        open_folder(folder) as checkpoint,
        pytest.raises(BadCheckpoint, match=r"blk.1.ffn_up.weight holds what is not a number"),
    ):
        load_model(checkpoint, threads=1)


def test_a_folders_tokenizer_and_template_make_a_prompt() -> None:
    folder = FIXTURES / "w8a8"
    with open_folder(folder) as checkpoint:
        tokenizer = Tokenizer.from_metadata(checkpoint.metadata)
        template = ChatTemplate.from_metadata(checkpoint.metadata, tokenizer)
    prompt = template.render([Message("user", "a cat")])
    assert prompt.endswith("<|im_start|>user\na cat<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.decode(tokenizer.encode("a cat")) == "a cat"
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] in tokenizer.stop_ids
