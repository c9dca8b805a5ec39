"""From a name as people type it to one published file, and from a model's metadata to its sampling.

A name is ``MODEL``, ``MODEL:QUANTIZATION``, or an Ollama-style tag ``deepseek-r1:7b`` with
``-QUANTIZATION`` after it. Case never matters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from stillhouse.catalog.entries import (
    HubFiles,
    Model,
    PackageFiles,
    Sampling,
    load_models,
    load_samplings,
)
from stillhouse.errors import ModelNotFound

# What is drawn from when nobody has said how: warm enough to vary, cut where the tail begins.
_UNKNOWN_FAMILY = Sampling("unknown", 0.7, 0.95, 0, 0.0, "no recommendation is known")


@dataclass(frozen=True, slots=True)
class Found:
    """One model in one quantisation, and where it is published."""

    model: Model
    quantization: str
    files: HubFiles | PackageFiles
    note: str | None  # what a tag with more than one possible meaning was taken for

    @property
    def name(self) -> str:
        """The one name that every way of asking for this file comes to: ``smollm2-135m:q4_1``."""
        return f"{self.model.name}:{self.quantization.lower()}"

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all parts, to three digits at least; None where no listing says."""
        return self.files.sizes_bytes.get(self.quantization)


class _Published(NamedTuple):
    files: HubFiles | PackageFiles
    quantization: str


@cache
def models() -> tuple[Model, ...]:
    """Every model of the catalogue."""
    return load_models()


def find(name: str) -> Found:
    """The published file that ``name`` means. Raises ModelNotFound with the closest names."""
    wanted = name.strip().lower()
    known = _names()
    model = known.get(wanted)
    if model is not None:
        default = _published(model, model.default_quantization)
        assert default is not None, model.name
        return _found(model, default, ambiguous=wanted)
    # What follows the name after ':' or, in a tag, '-' is the quantisation: longest name first.
    for match in reversed(list(re.finditer("[:-]", wanted))):
        model = known.get(wanted[: match.start()])
        if model is not None and (published := _published(model, wanted[match.end() :])):
            return _found(model, published, ambiguous=wanted[: match.start()])
        if model is not None and wanted[: match.start()] not in model.ambiguous_aliases:
            raise _not_published(model, wanted[match.end() :], name)
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    raise ModelNotFound(
        f"no model is called '{name}'",
        hint=_did_you_mean(close) or "'still list --all' shows what the catalogue knows",
    )


def sampling_for(name: str) -> Sampling:
    """The sampling that suits a model, by catalogue name or by the name in its metadata.

    Takes anything a GGUF calls itself (``general.name``, ``general.basename``) or a name of the
    catalogue; a family without a published recommendation gets temperature 0.7 and top-p 0.95.
    """
    squeezed = re.sub(r"[^a-z0-9]+", " ", name.lower())
    for sampling, words in _samplings():
        if any(word in squeezed for word in words):
            return sampling
    return _UNKNOWN_FAMILY


@cache
def _samplings() -> tuple[tuple[Sampling, tuple[str, ...]], ...]:
    return load_samplings()


def _names() -> Mapping[str, Model]:
    return {name: model for model in models() for name in model.names}


def _found(model: Model, published: _Published, *, ambiguous: str) -> Found:
    note = None
    if ambiguous in model.ambiguous_aliases:
        note = f"{ambiguous} means {model.title} here ({model.name})"
    return Found(model, published.quantization, published.files, note)


def _published(model: Model, quantization: str) -> _Published | None:
    """The first publisher seen to have ``quantization``, plain or dynamic ("UD-")."""
    wanted = quantization.upper()
    candidates = [
        _Published(files, name)
        for spelling in (wanted, f"UD-{wanted}")
        for files in model.files
        for name in files.quantizations
        if name == spelling
    ]
    return min(
        candidates, key=lambda one: not one.files.is_verified(one.quantization), default=None
    )


def _not_published(model: Model, quantization: str, asked: str) -> ModelNotFound:
    close = difflib.get_close_matches(quantization.upper(), model.quantizations, n=3, cutoff=0.5)
    return ModelNotFound(
        f"'{asked}': {model.title} is not published as '{quantization}'",
        hint=_did_you_mean([f"{model.name}:{name.lower()}" for name in close])
        or f"published: {', '.join(name.lower() for name in model.quantizations)}",
    )


def _did_you_mean(names: list[str]) -> str:
    return f"did you mean {', '.join(names)}?" if names else ""
