"""What is written for other libraries reads texts as the file's own tokenizer does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers

from stillhouse.checkpoints import open_gguf
from stillhouse.text import Tokenizer
from stillhouse.text.tokenizer_files import tokenizer_files
from stillhouse.text.tokenizer_json import JSON_KEY

TEXTS = ("Hello, world!", "  two  spaces\n\n\ttab 12345", "naïve Größe 数学 😀", "don't x_y = f(z)")


@pytest.fixture(scope="module")
def metadata(smollm2_path: Path) -> dict[str, object]:
    with open_gguf(smollm2_path) as checkpoint:
        return dict(checkpoint.metadata)


def test_the_library_gives_the_same_ids(metadata: dict[str, object]) -> None:
    files = tokenizer_files(metadata)
    theirs = tokenizers.Tokenizer.from_str(files["tokenizer.json"])
    ours = Tokenizer.from_metadata(metadata)
    for text in (*TEXTS, "<|im_start|>user\nHi<|im_end|>\n"):
        assert theirs.encode(text).ids == ours.encode(text, special=True)
    for text in TEXTS:
        assert theirs.decode(theirs.encode(text).ids) == text
    assert theirs.get_vocab_size() == ours.vocab_size


def test_the_files_read_back_give_the_same_tokenizer(metadata: dict[str, object]) -> None:
    ours, files = Tokenizer.from_metadata(metadata), tokenizer_files(metadata)
    back = Tokenizer.from_metadata(
        {
            JSON_KEY: files["tokenizer.json"],
            "tokenizer.huggingface.config": files["tokenizer_config.json"],
        }
    )
    for text in TEXTS:
        assert back.encode(text) == ours.encode(text)
    assert back.special_ids == ours.special_ids


def test_the_settings_name_the_ends_and_the_template(metadata: dict[str, object]) -> None:
    files = tokenizer_files(metadata)
    settings = json.loads(files["tokenizer_config.json"])
    assert settings["eos_token"] == "<|im_end|>"
    assert settings["chat_template"] == metadata["tokenizer.chat_template"]
    assert files["chat_template.jinja"] == metadata["tokenizer.chat_template"]
