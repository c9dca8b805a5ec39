"""A GGUF file's tokenizer as the files that Hugging Face's libraries read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import decoders

from stillhouse.text.tokenizer import byte_level_bpe
from stillhouse.text.tokenizer_json import JSON_KEY
from stillhouse.text.vocabulary import TokenKind, Vocabulary, vocabulary_of_gguf

_NO_LIMIT = 10**30  # what transformers writes for a model that sets no length


def tokenizer_files(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Texts by file name: tokenizer.json, tokenizer_config.json, and the chat template's own file.

    Every id stays what it is. Raises BadCheckpoint for a vocabulary that is not read.
    """
    template = metadata.get("tokenizer.chat_template")
    files = {} if template is None else {"chat_template.jinja": str(template)}
    if JSON_KEY in metadata and "tokenizer.ggml.model" not in metadata:
        return files | {"tokenizer.json": str(metadata[JSON_KEY])}
    vocabulary = vocabulary_of_gguf(metadata)
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": _NO_LIMIT,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": vocabulary.add_bos,
        "eos_token": vocabulary.tokens[vocabulary.eos_id],
    }
    if vocabulary.bos_id is not None:
        settings["bos_token"] = vocabulary.tokens[vocabulary.bos_id]
    if template is not None:
        settings["chat_template"] = str(template)
    return files | {
        "tokenizer.json": _tokenizer_json(vocabulary),
        "tokenizer_config.json": json.dumps(settings, indent=2, ensure_ascii=False) + "\n",
    }


def _tokenizer_json(vocabulary: Vocabulary) -> str:
    """All tokens stand in the model, special ones too, so that none is given a new id."""
    ids = {token: i for i, token in enumerate(vocabulary.tokens)}
    bpe = byte_level_bpe(ids, vocabulary.merges, vocabulary.cuts)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_tokens(
        [
            tokenizers.AddedToken(
                vocabulary.tokens[i], special=kind == TokenKind.CONTROL, normalized=False
            )
            for i, kind in vocabulary.kinds.items()
            if kind in (TokenKind.CONTROL, TokenKind.USER_DEFINED) and vocabulary.tokens[i]
        ]
    )
    return str(bpe.to_str(pretty=False))
