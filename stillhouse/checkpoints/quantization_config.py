"""Which module of a folder is quantised how: config.json's `quantization_config`.

Two kinds are read: compressed-tensors (what llm-compressor writes), and "fp8" with block scales, as
DeepSeek and Qwen publish. Source: compressed-tensors, quant_args.py, quant_scheme.py and
utils/match.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from stillhouse.checkpoints.cursor import shown
from stillhouse.checkpoints.json_object import JsonObject
from stillhouse.errors import BadCheckpoint

Strategy = Literal["tensor", "channel", "group", "block"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the weights of a module are quantised: w = (code - zero point) * scale.

    Attributes:
        bits: of a code; 8 for floats (E4M3).
        is_float: whether codes are floats of one byte, or integers.
        strategy: what shares a scale: the matrix, an output row, or so many columns of one (and,
            for blocks, of so many rows).
        group_columns: columns that share a scale; 0 for all of them.
        group_rows: rows that do.
        symmetric: whether there are no zero points.
        is_packed: whether codes stand in words of 32 bits, or one in each byte.
        int8_activations: whether activations are rounded to int8 with one scale a token.
        scale_name: the parameter that holds the scales.
    """

    bits: int
    is_float: bool
    strategy: Strategy
    group_columns: int = 0
    group_rows: int = 1
    symmetric: bool = True
    is_packed: bool = False
    int8_activations: bool = False
    scale_name: str = "weight_scale"

    @property
    def label(self) -> str:
        """For people: "INT4 group 64", "FP8 block 128x128"."""
        number = f"{'FP' if self.is_float else 'INT'}{self.bits}"
        if self.strategy == "group":
            return f"{number} group {self.group_columns}"
        if self.strategy == "block":
            return f"{number} block {self.group_rows}x{self.group_columns}"
        return f"{number} {self.strategy}"


@dataclass(frozen=True, slots=True)
class QuantizationConfig:
    """Schemes by target, and what is left out. Targets are names, "re:" regexes, or a class."""

    schemes: Mapping[str, Scheme | None]
    ignore: tuple[str, ...]

    def scheme_for(self, module: str) -> Scheme | None:
        """The scheme of a Linear module, None where it is not quantised.

        Exact names win over regexes, and those over the class, as in compressed-tensors.
        """
        if any(_matches(target, module) for target in self.ignore):
            return None
        for target in sorted(self.schemes, key=lambda t: (t == "Linear", t.startswith("re:"), t)):
            if _matches(target, module):
                return self.schemes[target]
        return None


NOT_QUANTIZED = QuantizationConfig({}, ())

_PACKED = "pack-quantized"
_FORMATS = ("dense", "int-quantized", "float-quantized", "naive-quantized", _PACKED)
_MAX_PATTERN = 200  # characters of a regex
_MAX_REPEATS = 4  # of its repetitions: matching a module's name then takes no time worth naming


def read_quantization_config(config: JsonObject) -> QuantizationConfig:
    """What config.json says. Raises BadCheckpoint for a kind or setting that is not read."""
    given = config.child("quantization_config") or config.child("compression_config")
    if given is None:
        return NOT_QUANTIZED
    method = given.text("quant_method", "compressed-tensors")
    if method == "fp8":
        return _block_fp8(given)
    if method != "compressed-tensors":
        raise BadCheckpoint(
            f"quantisation '{method[:64]}' is not read",
            hint="read are compressed-tensors, fp8 with block scales, and GGUF files",
        )
    for key in ("sparsity_config", "transform_config"):
        inner = given.child(key)
        if inner is not None and inner.values and inner.text("format", "") != "dense":
            raise BadCheckpoint(f"{key} is not supported")
    targets = dict(_targets(given))
    ignore = tuple(given.texts("ignore"))
    for target in (*targets, *ignore):
        _check_target(target)
    return QuantizationConfig(targets, ignore)


def _targets(given: JsonObject) -> Iterator[tuple[str, Scheme | None]]:
    groups = given.child("config_groups") or JsonObject({})
    outer_format = given.text("format", "dense")
    for name in groups:
        if isinstance(groups.values[name], list):  # a preset by its name
            for target in groups.texts(name):
                yield target, _preset(name, outer_format)
            continue
        group = groups.child(name)
        if group is None:
            continue
        own_format = group.text("format", outer_format)
        scheme = _scheme(group, own_format)
        for target in group.texts("targets"):
            yield target, scheme


def _scheme(group: JsonObject, form: str) -> Scheme | None:
    if form not in _FORMATS:
        raise BadCheckpoint(
            f"the format '{form[:64]}' of compressed-tensors is not read",
            hint=f"read are {', '.join(_FORMATS)}",
        )
    if "output_activations" in group:
        raise BadCheckpoint(f"{group.where}output_activations are not supported")
    weights = group.child("weights")
    if weights is None or form == "dense":
        return None
    bits, is_float = weights.integer("num_bits"), weights.text("type", "int") == "float"
    if not 1 <= bits <= 8 or (is_float and bits != 8):
        kind = "floats" if is_float else "integers"
        raise BadCheckpoint(f"{group.where}weights of {bits}-bit {kind} are not read")
    symmetric = weights.flag("symmetric", True)
    if is_float and (form == _PACKED or not symmetric):
        raise BadCheckpoint(f"{group.where}weights are floats and packed or asymmetric")
    strategy, columns, rows = _sharing(weights)
    if is_float and strategy == "group":
        raise BadCheckpoint(f"{group.where}weights are floats with a scale for {columns} columns")
    return Scheme(
        bits,
        is_float,
        strategy,
        columns,
        rows,
        symmetric,
        is_packed=form == _PACKED,
        int8_activations=not is_float and _rounds_activations(group.child("input_activations")),
    )


def _sharing(weights: JsonObject) -> tuple[Strategy, int, int]:
    """What shares a scale: the strategy, columns (0: all) and rows."""
    group_size = weights.integer("group_size", 0)
    implied = "tensor" if group_size == 0 else "group" if group_size > 0 else "channel"
    strategy = weights.text("strategy", implied)
    if strategy == "tensor":
        return "tensor", 0, 1
    if strategy == "channel":
        return "channel", 0, 1
    if strategy == "group":
        if group_size < 1:
            raise BadCheckpoint(f"{weights.where}group_size is {group_size}")
        return "group", group_size, 1
    if strategy == "block":
        rows, columns = _block(weights.values.get("block_structure"))
        return "block", columns, rows
    raise BadCheckpoint(f"{weights.where}strategy '{strategy[:64]}' is not read")


def _rounds_activations(activations: JsonObject | None) -> bool:
    """Whether activations go as int8 with a scale for each token; refuses other integers."""
    if activations is None or activations.text("type", "int") == "float":
        return False
    form = (
        activations.integer("num_bits"),
        activations.values.get("dynamic"),
        activations.text("strategy", "tensor"),
        activations.flag("symmetric", True),
    )
    if form != (8, True, "token", True):
        bits, dynamic, strategy, symmetric = form
        raise BadCheckpoint(
            f"{bits}-bit activations with {'a' if symmetric else 'an a'}symmetric"
            f" {'dynamic' if dynamic else 'static'} scale a {shown(strategy)[1:-1]} are not"
            " supported",
            hint="supported: 8 bits with a symmetric dynamic scale a token",
        )
    return True


def _preset(name: str, form: str) -> Scheme | None:
    """The scheme that a group's name alone stands for (compressed-tensors, PRESET_SCHEMES)."""
    match = re.fullmatch(r"W([2-8])A16(_ASYM)?", name)
    packed = form == _PACKED
    if match is not None:
        return Scheme(int(match[1]), False, "group", 128, symmetric=not match[2], is_packed=packed)
    known: Mapping[str, Scheme | None] = {
        "UNQUANTIZED": None,
        "W8A8": Scheme(8, False, "channel", int8_activations=True),
        "INT8": Scheme(8, False, "channel", int8_activations=True),
        "FP8": Scheme(8, True, "tensor"),
        "FP8_DYNAMIC": Scheme(8, True, "channel"),
        "FP8_BLOCK": Scheme(8, True, "block", 128, 128),
    }
    if name not in known:
        raise BadCheckpoint(
            f"the quantisation preset {shown(name)} is not read",
            hint=f"read are {', '.join(known)}, W2A16 to W8A16",
        )
    return known[name]


def _block_fp8(given: JsonObject) -> QuantizationConfig:
    """DeepSeek's own fp8: blocks whose scales are called weight_scale_inv, and multiply."""
    if given.text("fmt", "e4m3") != "e4m3":
        raise BadCheckpoint("8-bit floats other than e4m3 are not read")
    rows, columns = _block(given.values.get("weight_block_size"))
    scheme = Scheme(8, True, "block", columns, rows, scale_name="weight_scale_inv")
    ignore = tuple(given.texts("modules_to_not_convert"))
    return QuantizationConfig({"Linear": scheme}, (*ignore, "lm_head"))


def _block(shape: object) -> tuple[int, int]:
    """Rows and columns of a block, from [128, 128] or "128x128"."""
    if isinstance(shape, str):
        shape = [int(part) if part.isdecimal() else 0 for part in shape[:32].split("x")]
    if shape != [128, 128]:
        raise BadCheckpoint(
            f"blocks of {shown(str(shape))} are not supported; those of 128x128 are"
        )
    return 128, 128


def _matches(target: str, module: str) -> bool:
    if target.startswith("re:"):
        return re.match(target.removeprefix("re:"), module) is not None
    return target in ("Linear", module)


def _check_target(target: str) -> None:
    """Regexes come with files: let through those that cannot take long on a module's name."""
    if not target.startswith("re:"):
        return
    pattern = target.removeprefix("re:")
    repeats = re.findall(r"(?<!\\)[*+?{]", pattern)
    is_slow = re.search(r"\)[*+?{]", pattern) is not None or len(repeats) > _MAX_REPEATS
    if is_slow or len(pattern) > _MAX_PATTERN:
        raise BadCheckpoint(
            f"the target {shown(target)} could take long to match",
            hint=f"up to {_MAX_REPEATS} repetitions are read, and none of a group",
        )
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadCheckpoint(f"the target {shown(target)} is no regex: {error}") from error
