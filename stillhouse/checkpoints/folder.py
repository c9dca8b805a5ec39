"""Opening model folders: config.json, safetensors files, tokenizer.json and what goes with them.

What comes out is in the words of GGUF, names and metadata, so that all else knows one vocabulary.
The tokenizer's files are handed on as they are (`tokenizer.huggingface.json`, GGUF's own key for
that, and `tokenizer.huggingface.config`); `text/tokenizer_json.py` reads them.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from stillhouse.checkpoints.checkpoint import Checkpoint, Tensor
from stillhouse.checkpoints.compressed import compressed
from stillhouse.checkpoints.config_json import model_metadata
from stillhouse.checkpoints.cursor import shown
from stillhouse.checkpoints.json_object import JsonObject, read_json_file, read_text_file
from stillhouse.checkpoints.mapped_files import map_file, naming
from stillhouse.checkpoints.metadata import MetaValue
from stillhouse.checkpoints.quantization_config import (
    QuantizationConfig,
    Scheme,
    read_quantization_config,
)
from stillhouse.checkpoints.safetensors import read_safetensors_header
from stillhouse.checkpoints.tensor import EncodedTensor
from stillhouse.checkpoints.tensor_names import is_unused, parse_tensor_name
from stillhouse.errors import BadCheckpoint, ModelNotFound

_INDEX = "model.safetensors.index.json"
_UNKNOWN = 3  # names of tensors that an error lists


def open_folder(folder: Path) -> Checkpoint:
    """Map a model folder and check it whole.

    Raises:
        ModelNotFound: there is no config.json in it, or no safetensors file.
        BadCheckpoint: a file is truncated or malformed, or the model of a kind that is not read.
    """
    config_path = folder / "config.json"
    if not config_path.is_file():
        raise ModelNotFound(
            f"{folder} has no config.json", hint="give a GGUF file, or a folder of safetensors"
        )
    config = read_json_file(config_path)
    with naming(config_path):
        metadata: dict[str, MetaValue] = {**model_metadata(config)}
        quantization = read_quantization_config(config)
        is_tied = config.flag("tie_word_embeddings", False)
    metadata["general.name"] = folder.resolve().name
    metadata |= _tokenizer_metadata(folder, config)
    with ExitStack() as opened:
        files, tensors = _open_files(folder, opened)
        with naming(folder):
            named = _in_gguf_words(tensors, quantization)
            if is_tied:  # a copy in the file is not what transformers computes with either
                named = {name: t for name, t in named.items() if not name.startswith("output.")}
            elif "output.weight" not in named:
                raise BadCheckpoint("it has no lm_head, and config.json does not tie it")
        opened.pop_all()  # they stay open: the checkpoint owns them now
        return Checkpoint(metadata, named, files)


def _open_files(
    folder: Path, opened: ExitStack
) -> tuple[list[mmap.mmap], dict[str, EncodedTensor]]:
    """All safetensors files of a folder, and their tensors by the names that stand in them."""
    files: list[mmap.mmap] = []
    tensors: dict[str, EncodedTensor] = {}
    file_of: dict[str, str] = {}
    expected = _indexed(folder)
    for path in _weight_paths(folder, expected):
        file = opened.enter_context(map_file(path))
        files.append(file)
        with naming(path):
            for name, shape, encoding, start in read_safetensors_header(file):
                if name in tensors:
                    raise BadCheckpoint(f"tensor {shown(name)} is in {file_of[name]} too")
                tensors[name] = EncodedTensor(name, shape, encoding, file, start)
                file_of[name] = path.name
    if expected is not None and file_of != expected:
        name = min(
            name for name in {*expected, *file_of} if expected.get(name) != file_of.get(name)
        )
        raise BadCheckpoint(
            f"{_INDEX} has tensor {shown(name)} in {shown(str(expected.get(name, 'no file')))}, and"
            f" it is in {file_of.get(name, 'none')}"
        )
    return files, tensors


def _indexed(folder: Path) -> dict[str, str] | None:
    """File names by tensor, where an index says so. Raises BadCheckpoint."""
    path = folder / _INDEX
    if not path.is_file():
        return None
    index = read_json_file(path)
    with naming(path):
        entries = index.child("weight_map") or JsonObject({})
        named = {tensor: entries.text(tensor) for tensor in entries}
        for name in sorted(set(named.values())):
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise BadCheckpoint(f"{shown(name)} is no safetensors file beside it")
    return named


def _weight_paths(folder: Path, indexed: Mapping[str, str] | None) -> list[Path]:
    if indexed is not None:
        return [folder / name for name in sorted(set(indexed.values()))]
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ModelNotFound(f"{folder} has no safetensors file", hint="pull the model again")
    if len(paths) > 1:
        raise BadCheckpoint(
            f"{folder.name} has {len(paths)} safetensors files, and no {_INDEX} that joins them"
        )
    return paths


def _in_gguf_words(
    tensors: Mapping[str, EncodedTensor], quantization: QuantizationConfig
) -> dict[str, Tensor]:
    modules: dict[str, dict[str, EncodedTensor]] = {}
    schemes: dict[str, Scheme | None] = {}
    unknown: list[str] = []
    for name, tensor in tensors.items():
        parsed = parse_tensor_name(name)
        if parsed is None:
            if not is_unused(name):
                unknown.append(name)
            continue
        modules.setdefault(parsed.gguf_module, {})[parsed.parameter] = tensor
        if parsed.gguf_module not in schemes:
            scheme = quantization.scheme_for(parsed.module) if parsed.is_linear else None
            schemes[parsed.gguf_module] = scheme
    if unknown:
        names = ", ".join(map(shown, unknown[:_UNKNOWN]))
        more = f" and {len(unknown) - _UNKNOWN} more" if len(unknown) > _UNKNOWN else ""
        raise BadCheckpoint(f"it holds {names}{more}, which its architecture does not have")
    result: dict[str, Tensor] = {}
    for module, parameters in modules.items():
        scheme = schemes[module]
        plain = ("bias",) if scheme is not None else ("weight", "bias")
        if scheme is not None:
            name = f"{module}.weight"
            result[name] = compressed(name, parameters, scheme)
        elif set(parameters) - set(plain):
            extra = min(set(parameters) - set(plain))
            raise BadCheckpoint(
                f"tensor {shown(parameters[extra].name)} is there, and config.json does not say how"
                " its module is quantised"
            )
        for parameter in plain:
            if parameter in parameters:
                name, part = f"{module}.{parameter}", parameters[parameter]
                result[name] = EncodedTensor(name, part.shape, part.encoding, part.file, part.start)
    return result


def _tokenizer_metadata(folder: Path, config: JsonObject) -> dict[str, MetaValue]:
    values: dict[str, MetaValue] = {}
    tokenizer, settings = folder / "tokenizer.json", folder / "tokenizer_config.json"
    template = folder / "chat_template.jinja"
    if tokenizer.is_file():
        values["tokenizer.huggingface.json"] = read_text_file(tokenizer)
    if settings.is_file():
        values["tokenizer.huggingface.config"] = read_text_file(settings)
        source = _template_of(read_json_file(settings))
        if source is not None:
            values["tokenizer.chat_template"] = source
    if template.is_file():
        values["tokenizer.chat_template"] = read_text_file(template)
    generation = folder / "generation_config.json"
    ids = None
    if generation.is_file():
        ids = read_json_file(generation).values.get("eos_token_id")
    ids = config.values.get("eos_token_id") if ids is None else ids
    ids = [] if ids is None else ids if isinstance(ids, list) else [ids]
    if not all(isinstance(i, int) and 0 <= i < 1 << 31 for i in ids):
        raise BadCheckpoint(f"eos_token_id is {shown(str(ids))}, not whole numbers")
    values["tokenizer.huggingface.eos_token_ids"] = np.array(ids, np.int64)
    return values


def _template_of(settings: JsonObject) -> str | None:
    """The chat template in tokenizer_config.json: a string, or of several the one for chats."""
    source = settings.values.get("chat_template")
    if isinstance(source, list):
        named = [entry for entry in source if isinstance(entry, dict)]
        source = next((e.get("template") for e in named if e.get("name") == "default"), None)
    return source if isinstance(source, str) else None
