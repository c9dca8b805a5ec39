"""What is evaluated: a model in this process, or whatever answers at a URL."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stillhouse import __version__, hub
from stillhouse.catalog import Sampling, sampling_for
from stillhouse.checkpoints import Checkpoint, open_checkpoint
from stillhouse.client import Client
from stillhouse.errors import UsageError
from stillhouse.hub.quantizations import quantization_of
from stillhouse.llm import LLM
from stillhouse.models.config import ModelConfig
from stillhouse.models.cost import KVType

# Tokens that the KV cache holds for each sample at once, on average; who needs more waits.
_KV_TOKENS = 8192
# Engines that take all of our words for sampling; others may refuse what is not OpenAI's.
_TAKE_ALL = ("stillhouse", "llama.cpp", "vllm", "sglang", "ollama")


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """Who answers, for the report. A server's bytes are known where its model is here too."""

    model: str
    quantization: str | None
    engine: str
    version: str | None
    url: str | None  # None: in process
    file_bytes: int | None
    bits_per_weight: float | None  # of all tensors
    weights: str | None  # `Checkpoint.fingerprint`: a run goes on with the same ones only

    @property
    def name(self) -> str:
        """What tells it from its neighbours in a table."""
        parts = [self.model] if self.url is None else [self.engine, self.model]
        quantization = self.quantization
        if quantization is not None and quantization.lower() not in self.model.lower():
            parts.append(quantization)
        return " ".join(parts)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class System:
    """`sampling` is what its makers advise, for whatever is not asked for otherwise."""

    facts: SystemFacts
    talker: LLM | Client
    sampling: Sampling
    context_tokens: int | None

    @property
    def takes_all_options(self) -> bool:
        """Whether top_k and min_p may be sent."""
        return self.facts.url is None or self.facts.engine in _TAKE_ALL


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How a model is loaded into this process."""

    concurrency: int
    kv_type: KVType = "bf16"
    threads: int | None = None
    max_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class InProcess:
    """A model that is on this machine. `context_tokens` None: as much as the tasks need.
    `name` is what it is called in tables: see `names_of`."""

    reference: str
    name: str
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs. `served_reference` names what it serves, if that is here too."""

    url: str
    model: str | None
    served_reference: str | None
    api_key: str | None
    timeout_s: float


async def reach(target: InProcess | Served) -> None:
    """Raises Offline or UsageError for a server that can't be asked, before others are asked for
    hours."""
    if isinstance(target, Served):
        async with Client(
            target.url, model=target.model, api_key=target.api_key, timeout_s=target.timeout_s
        ) as client:
            await client.describe()


@asynccontextmanager
async def opened(
    target: InProcess | Served,
    need_tokens: int,
    loading: LoadSettings,
    progress: Callable[[str, int, int], None] | None = None,
) -> AsyncIterator[System]:
    """The system, ready to answer. `need_tokens`: what the longest prompt and its answer may take.

    Raises as `LLM` does, Offline for a server that is none, UsageError where it lacks the model.
    """
    if isinstance(target, InProcess):
        with _in_process(target, need_tokens, loading, progress) as system:
            yield system
        return
    async with Client(
        target.url, model=target.model, api_key=target.api_key, timeout_s=target.timeout_s
    ) as client:
        known = await client.describe()
        quantization = quantization_of(Path(known.model).name.removesuffix(".gguf"))
        file_bytes, bits, weights = None, None, None
        if target.served_reference is not None:
            path = hub.resolve(target.served_reference)
            with open_checkpoint(path) as checkpoint:
                quantization = _quantization(path) or quantization
                file_bytes, bits = checkpoint.file_bytes, _bits_per_weight(checkpoint)
                weights = checkpoint.fingerprint()
        facts = SystemFacts(
            model=Path(known.model).name,
            quantization=quantization,
            engine=known.engine,
            version=known.version,
            url=target.url,
            file_bytes=file_bytes,
            bits_per_weight=bits,
            weights=weights,
        )
        sampling = sampling_for(target.served_reference or known.model)
        yield System(facts, client, sampling, known.context_tokens)


@contextmanager
def _in_process(
    target: InProcess,
    need_tokens: int,
    loading: LoadSettings,
    progress: Callable[[str, int, int], None] | None,
) -> Iterator[System]:
    """Deterministic, so that a sample has the same bytes whoever is answered beside it. Blocks are
    lent as thoughts grow: few of them become as long as they may.
    """
    path = hub.resolve(target.reference)
    with open_checkpoint(path) as checkpoint:
        most_tokens = ModelConfig.from_metadata(checkpoint.metadata).context_length
        bits, file_bytes = _bits_per_weight(checkpoint), checkpoint.file_bytes
        weights = checkpoint.fingerprint()
    context_tokens = target.context_tokens or min(need_tokens, most_tokens)
    kv_tokens = loading.concurrency * min(context_tokens, _KV_TOKENS)
    with LLM(
        target.reference,
        context_tokens=context_tokens,
        kv_type=loading.kv_type,
        threads=loading.threads,
        max_memory_bytes=loading.max_memory_bytes,
        users=math.ceil(kv_tokens / context_tokens),
        deterministic=True,
        admission="overcommit",
        progress=progress,
    ) as llm:
        facts = SystemFacts(
            model=target.name,
            quantization=_quantization(path) or llm.facts.quantization,
            engine="stillhouse",
            version=__version__,
            url=None,
            file_bytes=file_bytes,
            bits_per_weight=bits,
            weights=weights,
        )
        yield System(facts, llm, llm.sampling, llm.context_tokens)


def names_of(references: Sequence[str]) -> list[str]:
    """What tells models apart in a table: of a path its last name, and the folders before it that
    it takes; of others the reference. Raises UsageError for a model that is named twice.
    """
    places = [_place(reference) for reference in references]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UsageError(f"'{references[number]}' is named twice", hint="name each model once")
    short = [_without_suffix(place) for place in places]
    # A file and a folder may differ in nothing else.
    parts = [
        place if short.count(own) > 1 else own for place, own in zip(places, short, strict=True)
    ]
    taken = [1] * len(parts)
    while True:
        names = ["/".join(own[-most:]) for own, most in zip(parts, taken, strict=True)]
        if len(set(names)) == len(names):
            return names
        for at, name in enumerate(names):
            taken[at] += names.count(name) > 1


def _place(reference: str) -> tuple[str, ...]:
    """A path's parts, or the reference alone. Links keep their own name: what the hub's cache links
    to is called by a digest."""
    path = Path(reference)
    if not path.exists():
        return (reference,)
    own = path.parent.resolve() / path.name if path.name else path.resolve()
    return own.parts


def _without_suffix(place: tuple[str, ...]) -> tuple[str, ...]:
    """Of a path; a folder's name may well end in '1.5B', and keeps that."""
    return place if len(place) == 1 else (*place[:-1], place[-1].removesuffix(".gguf"))


def _quantization(path: Path) -> str | None:
    """As a file's or folder's name gives it."""
    return quantization_of(path.stem if path.suffix == ".gguf" else path.name)


def _bits_per_weight(checkpoint: Checkpoint) -> float:
    tensors = checkpoint.tensors.values()
    numbers = sum(math.prod(tensor.shape) for tensor in tensors)
    return 8 * sum(tensor.num_bytes for tensor in tensors) / numbers
