"""What a machine allows an engine: memory is read at this speed, products are made at that one.

Prompts are at the limit of products, or of one reading of the weights, whichever takes longer; a
step that writes a token for each user is at the limit of reading weights and KV cache, or of
products. One phase at a time: an engine that hid one behind the other could exceed the sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from stillhouse import hub
from stillhouse.catalog import Shape
from stillhouse.checkpoints import open_checkpoint
from stillhouse.kernels import bandwidth, peak
from stillhouse.models import cost
from stillhouse.models.config import ModelConfig

_FLOATS = ("BF16", "F16", "F32")  # multiplied as bf16; everything else as int8


@dataclass(frozen=True, slots=True)
class Speeds:
    """Of this machine, now. The products of a kind are None where they cannot be measured."""

    read_bytes_per_s: float
    int8_operations_per_s: float | None
    bf16_operations_per_s: float | None

    @classmethod
    def measure(cls, threads: int) -> Speeds:
        """Takes a second and 512 MiB."""
        return cls(
            bandwidth.measure_read_bytes_per_s(threads),
            peak.measure_operations_per_s(threads, "int8"),
            peak.measure_operations_per_s(threads, "bf16"),
        )

    @classmethod
    def of(cls, samples: list[Speeds]) -> Speeds:
        """The median of each."""
        int8 = [sample.int8_operations_per_s for sample in samples]
        bf16 = [sample.bf16_operations_per_s for sample in samples]
        return cls(
            median(sample.read_bytes_per_s for sample in samples), _median(int8), _median(bf16)
        )

    def operations_per_s(self, numbers: peak.Numbers) -> float | None:
        return self.int8_operations_per_s if numbers == "int8" else self.bf16_operations_per_s


class Format(NamedTuple):
    """What an engine keeps in memory and multiplies.

    `weight_bytes` are read once a step, however many rows it has. `numbers` is what both sides of
    a product are when they are multiplied.
    """

    name: str
    weight_bytes: int
    kv_type: cost.KVType
    numbers: peak.Numbers


class TokenCounts(NamedTuple):
    """Of one request; what a prefix cache had of the prompt was not computed."""

    prompt_tokens: int
    computed_tokens: int
    output_tokens: int


def form_of(reference: str, kv_type: cost.KVType) -> tuple[Shape, Format]:
    """What a step of a model that is on this machine reads, from its own table of tensors.

    Raises what `hub.resolve` and opening a checkpoint do.
    """
    with open_checkpoint(hub.resolve(reference)) as checkpoint:
        tensors = checkpoint.tensors
        config = ModelConfig.from_metadata(
            checkpoint.metadata, tied_embeddings="output.weight" not in tensors
        )
        sizes = {name: tensor.num_bytes for name, tensor in tensors.items()}
        num_bytes: Counter[str] = Counter()
        for tensor in tensors.values():
            num_bytes[tensor.format_name] += tensor.num_bytes
        name = num_bytes.most_common(1)[0][0]
    weight_bytes = round(cost.weight_bytes_per_step(sizes, config.shape))
    numbers: peak.Numbers = "bf16" if name in _FLOATS else "int8"
    return config.shape, Format(name, weight_bytes, kv_type, numbers)


def prefill_tokens_per_s(
    shape: Shape, form: Format, speeds: Speeds, prompt_tokens: int
) -> float | None:
    """One prompt at the limit: weights read once, or its products, whichever takes longer."""
    operations = prompt_tokens * cost.operations_per_token(
        shape, prompt_tokens // 2, with_logits=False
    )
    return _rate(form, speeds, prompt_tokens, form.weight_bytes, operations)


def decode_tokens_per_s(
    shape: Shape, form: Format, speeds: Speeds, users: int, context_tokens: int
) -> float | None:
    """A step for all users at the limit: weights once and everyone's KV, or the products."""
    kv_bytes = users * context_tokens * cost.kv_bytes_per_token(shape, form.kv_type)
    operations = users * cost.operations_per_token(shape, context_tokens)
    return _rate(form, speeds, users, form.weight_bytes + kv_bytes, operations)


def least_s(
    shape: Shape, form: Format, speeds: Speeds, users: int, requests: Sequence[TokenCounts]
) -> float | None:
    """Seconds that these requests take at the limit, `users` of them always being written."""
    total_s = 0.0
    for request in requests:
        if request.computed_tokens:
            rate = prefill_tokens_per_s(shape, form, speeds, request.computed_tokens)
            if rate is None:
                return None
            total_s += request.computed_tokens / rate
        # The first token comes with the prompt.
        middle = request.prompt_tokens + request.output_tokens // 2
        rate = decode_tokens_per_s(shape, form, speeds, users, middle)
        if rate is None:
            return None
        total_s += max(0, request.output_tokens - 1) / rate
    return total_s


def _rate(
    form: Format, speeds: Speeds, tokens: int, step_bytes: int, operations: int
) -> float | None:
    operations_per_s = speeds.operations_per_s(form.numbers)
    if operations_per_s is None:
        return None
    return tokens / max(step_bytes / speeds.read_bytes_per_s, operations / operations_per_s)


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
