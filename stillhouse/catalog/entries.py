"""What the catalogue holds: models, the files published for them, and how to sample them.

The facts are in ``models.toml``; here they become checked, frozen values. A wrong entry is our own
bug and is found by the tests, so it is asserted and not reported to the user.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from stillhouse.catalog.shapes import Shape, TokenizerBytes, shape_from


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a family's makers say to draw its tokens; ``top_k`` 0 and ``min_p`` 0 are off."""

    family: str
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    source: str


@dataclass(frozen=True, slots=True)
class Scores:
    """Pass@1 in percent, as the makers publish it; None where they do not."""

    aime_2024: float | None
    math_500: float | None
    gpqa_diamond: float | None
    live_code_bench: float | None
    source: str
    mean_thinking_tokens: int | None = None  # a question of the AIME
    thinking_source: str | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """How GGUF files were made, as far as it decides their tensors.

    Attributes:
        imatrix: the quantiser had an importance matrix; some mixtures then choose otherwise.
        fused_kv_b: deepseek2 as llama.cpp converted it before April 2025, ``attn_kv_b`` in one.
        separate_head: tied embeddings were written twice, once as ``output.weight``.
        layers_by_name: the quantiser walked layers as 0, 1, 10, 11, ..., so the ones that get more
            bits are others.
    """

    imatrix: bool = False
    fused_kv_b: bool = False
    separate_head: bool = False
    layers_by_name: bool = False


@dataclass(frozen=True, slots=True)
class HubFiles:
    """A repository on the hub with one GGUF (or one set of parts) per quantisation."""

    repo: str
    quantizations: tuple[str, ...]
    sizes_bytes: Mapping[str, int]  # rounded to three digits where the listing was
    verified: frozenset[
        str
    ]  # seen in a published listing; the others follow the publisher's pattern
    source: str
    conversion: Conversion = Conversion()

    def is_verified(self, quantization: str) -> bool:
        return quantization in self.verified


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """One GGUF inside wheels of a package registry, its parts to be joined in order."""

    reference: str  # the reference as a user would type it, with its SHA-256
    file: str
    quantization: str
    size_bytes: int
    source: str
    conversion: Conversion = Conversion()

    @property
    def quantizations(self) -> tuple[str, ...]:
        return (self.quantization,)

    def is_verified(self, quantization: str) -> bool:
        """A package is named with its SHA-256, so it has been fetched and joined."""
        return quantization == self.quantization

    @property
    def sizes_bytes(self) -> Mapping[str, int]:
        return {self.quantization: self.size_bytes}


@dataclass(frozen=True, slots=True)
class Model:
    """One set of weights, whatever it is quantised to."""

    name: str
    title: str
    aliases: tuple[str, ...]
    ambiguous_aliases: tuple[str, ...]  # names that could mean another model: finding one says so
    family: str
    architecture: str
    parameters: int
    active_parameters: (
        int  # read for one token; smaller than ``parameters`` in a mixture of experts
    )
    context_tokens: int
    licence: str
    base: str
    reasoning: bool
    default_quantization: str
    source: str
    files: tuple[HubFiles | PackageFiles, ...]
    shape: Shape
    tokenizer: TokenizerBytes
    scores: Scores | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Everything this model may be called, its own name first."""
        return (self.name, *self.aliases, *self.ambiguous_aliases)

    @property
    def quantizations(self) -> tuple[str, ...]:
        """Every quantisation that somebody publishes, without repeats, in the publishers' order."""
        return tuple(dict.fromkeys(q for part in self.files for q in part.quantizations))


def load_models() -> tuple[Model, ...]:
    """All entries, in the order of the file."""
    document = _document("models.toml")
    loaded = tuple(_model(entry) for entry in document["model"])
    names = [name for model in loaded for name in model.names]
    assert len(names) == len(set(names)), "a name or alias means two models"
    return loaded


def load_samplings() -> tuple[tuple[Sampling, tuple[str, ...]], ...]:
    """Each family's sampling with the words that name the family in a model's own metadata."""
    return tuple(
        (
            Sampling(
                family=entry["family"],
                temperature=float(entry["temperature"]),
                top_p=float(entry["top_p"]),
                top_k=int(entry.get("top_k", 0)),
                min_p=float(entry.get("min_p", 0.0)),
                source=entry["source"],
            ),
            tuple(entry["words"]),
        )
        for entry in _document("sampling.toml")["sampling"]
    )


def _document(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _model(entry: dict[str, Any]) -> Model:
    published = tuple(_hub_files(part) for part in entry.get("hub", ()))
    packaged = tuple(_package_files(part) for part in entry.get("package", ()))
    model = Model(
        name=entry["name"],
        title=entry["title"],
        aliases=tuple(entry.get("aliases", ())),
        ambiguous_aliases=tuple(entry.get("ambiguous_aliases", ())),
        family=entry["family"],
        architecture=entry["architecture"],
        parameters=entry["parameters"],
        active_parameters=entry.get("active_parameters", entry["parameters"]),
        context_tokens=entry["context_tokens"],
        licence=entry["licence"],
        base=entry["base"],
        reasoning=entry["reasoning"],
        default_quantization=entry["default_quantization"],
        source=entry["source"],
        files=(*packaged, *published),
        shape=shape_from(entry["shape"], entry["architecture"]),
        tokenizer=TokenizerBytes(**entry["tokenizer"]),
        scores=_scores(entry["scores"]) if "scores" in entry else None,
    )
    assert model.default_quantization in model.quantizations, model.name
    assert 0 < model.active_parameters <= model.parameters, model.name
    return model


def _hub_files(part: dict[str, Any]) -> HubFiles:
    sizes = part.get("sizes_bytes", {})
    unverified = part.get("unverified", ())
    quantizations = tuple(part.get("quantizations", ())) or (*sizes, *unverified)
    assert set(sizes) <= set(quantizations), part["repo"]
    return HubFiles(
        repo=part["repo"],
        quantizations=quantizations,
        sizes_bytes={name: round(size) for name, size in sizes.items()},
        verified=frozenset(quantizations) - frozenset(unverified),
        source=part["source"],
        conversion=_conversion(part),
    )


def _package_files(part: dict[str, Any]) -> PackageFiles:
    return PackageFiles(
        reference=f"{part['reference']}#sha256={part['sha256']}",
        file=part["file"],
        quantization=part["quantization"],
        size_bytes=part["size_bytes"],
        source=part["source"],
        conversion=_conversion(part),
    )


def _conversion(part: dict[str, Any]) -> Conversion:
    return Conversion(**{name: part[name] for name in Conversion.__slots__ if name in part})


def _scores(entry: dict[str, Any]) -> Scores:
    return Scores(
        **{name: entry.get(name) for name in Scores.__slots__ if name != "source"},
        source=entry["source"],
    )
