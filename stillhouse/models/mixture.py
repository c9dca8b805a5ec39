"""A mixture: which format each tensor of a file gets. Rules are data; this is how they are read.

What llama-quantize does is in its src/llama-quant.cpp, read here at commit 007dbbf3fd17. In short:
vectors, norms and routers stay as they are; the head and the embedding table have rules of their
own; of the other matrices, those that quality depends on get more bits in some layers; and a format
whose blocks do not divide the rows gives way to one of blocks of 32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stillhouse.catalog.shapes import Shape
from stillhouse.encodings import Encoding, by_name
from stillhouse.models.tensors import head_name, tensor_shapes

_EMBEDDING = "token_embd.weight"
_FLOATS = ("F32", "F16", "BF16")
_ROUTER = "ffn_gate_inp"

# Where rows are no whole number of blocks; each has blocks of 32.
_SMALLER_BLOCKS = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S"), "IQ4_NL"),
    **dict.fromkeys(("IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a matrix stands: the `index`-th of `count` of its kind as the quantiser walks them."""

    shape: Shape
    layer: int
    index: int
    count: int
    has_imatrix: bool

    @property
    def heads_a_key(self) -> int:
        """Query heads that share a key: upstream's n_gqa."""
        return self.shape.num_heads // self.shape.num_kv_heads

    @property
    def num_experts(self) -> int:
        return self.shape.experts.count if self.shape.experts else 0


Condition = Callable[[Place], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """Matrices of this kind get this format where the condition holds; the first rule that does
    decides. "ffn_down" means experts too, "ffn_down_exps" them alone, and "" everything.
    """

    kind: str
    encoding: str
    condition: Condition | None = None

    def applies(self, kind: str, place: Place) -> bool:
        if self.kind not in ("", kind, re.sub("_(exps|shexp)$", "", kind)):
            return False
        return self.condition is None or self.condition(place)


@dataclass(frozen=True, slots=True)
class Mixture:
    """A file's formats by name, as "Q4_K_M".

    Attributes:
        base: what no rule speaks of.
        rules: for the matrices of the layers, the first that applies.
        head: for the head, and for a table that is tied to it; None: the base.
        embedding: for a table of its own; None: the base.
        counts_every_down: of the feed-forward matrices of experts, the quantiser counts shared and
            routed ones alike, where otherwise it takes the layer's number.
        source: where the choices are from.
    """

    name: str
    base: str
    rules: tuple[Rule, ...]
    head: str | None
    embedding: str | None
    source: str
    counts_every_down: bool = False

    def encodings(
        self,
        shape: Shape,
        *,
        imatrix: bool = False,
        fused_kv_b: bool = False,
        layers_by_name: bool = False,
    ) -> dict[str, Encoding]:
        """The format of every tensor by GGUF name.

        Args:
            imatrix: with an importance matrix, some mixtures choose otherwise.
            fused_kv_b: see `tensor_shapes`.
            layers_by_name: the quantiser meets layers as 0, 1, 10, 11, ..., as in some old files.
        """
        chosen: dict[str, Encoding] = {}
        shapes = tensor_shapes(shape, fused_kv_b=fused_kv_b)
        places = _places(shape, shapes, imatrix, layers_by_name, self.counts_every_down)
        for name, sizes in shapes.items():
            wanted = self._wanted(name, sizes, shape, places.get(name))
            chosen[name] = _fitting(wanted, sizes[-1])
        return chosen

    def _wanted(self, name: str, sizes: tuple[int, ...], shape: Shape, place: Place | None) -> str:
        kind = _kind(name)
        if len(sizes) < 2 or kind == _ROUTER:
            return "F32"
        if self.base in _FLOATS:
            return self.base
        if name == head_name(shape):
            if sizes[-1] % by_name(self.base).block_size:
                return "Q8_0"
            return self.head or self.base
        if name == _EMBEDDING:
            return self.embedding or self.base
        assert place is not None, name
        return next((rule.encoding for rule in self.rules if rule.applies(kind, place)), self.base)


def _places(
    shape: Shape,
    names: Iterable[str],
    imatrix: bool,
    layers_by_name: bool,
    counts_every_down: bool,
) -> dict[str, Place]:
    """Every layer's tensors with their number among those of their kind."""
    layers = range(shape.num_layers)
    walked = sorted(layers, key=str) if layers_by_name else layers
    walk = {layer: step for step, layer in enumerate(walked)}
    in_layers = [name for name in names if name.startswith("blk.")]
    met: dict[str, int] = {}
    places = {}
    for name in sorted(in_layers, key=lambda name: (walk[_layer(name)], name)):
        layer, kind = _layer(name), _kind(name)
        index = walk[layer] if shape.experts is None else layer
        if shape.experts is not None and counts_every_down and kind.startswith("ffn_down"):
            index = met["ffn_down"] = met.get("ffn_down", -1) + 1
        places[name] = Place(shape, layer, index, shape.num_layers, imatrix)
    return places


def _layer(name: str) -> int:
    return int(name.split(".")[1])


def _kind(name: str) -> str:
    """ "attn_v" of "blk.3.attn_v.weight"."""
    return name.split(".")[-2]


def _fitting(wanted: str, row: int) -> Encoding:
    """The format, or the one that upstream falls back to where its blocks do not divide rows.

    In the end that is F16, where upstream would rather fail for formats that have blocks of 32.
    """
    for name in (wanted, _SMALLER_BLOCKS.get(wanted, "F16")):
        encoding = by_name(name)
        if row % encoding.block_size == 0:
            return encoding
    return by_name("F16")
