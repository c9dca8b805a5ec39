"""What a model is, for whoever lists or chooses models."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from stillhouse.catalog import Sampling
from stillhouse.checkpoints import Checkpoint
from stillhouse.questions import Speech


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the file says, and what it is loaded with."""

    name: str  # as the file says, or the reference
    architecture: str
    quantization: str  # the format of most of its bytes, as "Q4_K"
    num_parameters: int
    embedding_length: int
    file_bytes: int
    context_tokens: int  # prompt and reply together, as loaded
    context_reason: str
    trained_context_tokens: int
    template: str
    knows_thoughts: bool
    opens_thoughts: bool  # the template itself opens one, unasked
    renders_tools: bool  # the template knows tools; otherwise they are described in the system turn
    sampling: Sampling
    load_s: float = 0.0
    memory_bytes: int = 0  # resident in its process, once loaded
    predicted_load_bytes: int | None = None  # what the planner said of that,
    predicted_full_bytes: int | None = None  # and of all users' contexts full


def facts_of(
    checkpoint: Checkpoint,
    speech: Speech,
    reference: str,
    *,
    context_tokens: int,
    context_reason: str,
) -> ModelFacts:
    """Of an open checkpoint that is loaded with so long a context."""
    metadata, tensors = checkpoint.metadata, checkpoint.tensors.values()
    architecture = str(metadata.get("general.architecture", "unknown"))
    num_bytes: Counter[str] = Counter()
    for tensor in tensors:
        num_bytes[tensor.format_name] += tensor.num_bytes
    hello = speech.question("Hello", context_tokens=context_tokens)
    return ModelFacts(
        name=str(metadata.get("general.name", reference)),
        architecture=architecture,
        quantization=num_bytes.most_common(1)[0][0],
        num_parameters=sum(prod(tensor.shape) for tensor in tensors),
        embedding_length=_whole(metadata.get(f"{architecture}.embedding_length")),
        file_bytes=checkpoint.file_bytes,
        context_tokens=context_tokens,
        context_reason=context_reason,
        trained_context_tokens=_whole(metadata.get(f"{architecture}.context_length")),
        template=speech.template.source,
        knows_thoughts=speech.knows_thoughts,
        opens_thoughts=hello.in_thought,
        renders_tools=speech.template.renders_tools,
        sampling=speech.sampling,
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
