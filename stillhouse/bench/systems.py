"""What stands in the table: a model in this process, or whatever answers at a URL."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from stillhouse import hub
from stillhouse.bench.asking import Talker
from stillhouse.bench.measure import SystemFacts
from stillhouse.bench.roofline import form_of
from stillhouse.client import Client
from stillhouse.hub.quantizations import quantization_of
from stillhouse.llm import LLM
from stillhouse.models.batch import BLOCK_TOKENS
from stillhouse.models.cost import KVType


@dataclass(frozen=True, slots=True)
class System:
    """`pid` is the process whose memory and machine are watched; None: it runs elsewhere."""

    facts: SystemFacts
    talker: Talker
    pid: int | None
    context_tokens: int | None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As progress and notes call it."""
        quantization = "" if self.facts.quantization is None else f" {self.facts.quantization}"
        return f"{self.facts.engine} {self.facts.model}{quantization}"


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How a model is loaded into this process."""

    users: int
    context_tokens: int | None  # None: the model's default
    kv_type: KVType = "bf16"
    threads: int | None = None
    max_memory_bytes: int | None = None


@contextmanager
def in_process(
    reference: str, settings: LoadSettings, progress: Callable[[str, int, int], None] | None = None
) -> Iterator[System]:
    """This engine with a model that is on this machine. Raises as `LLM` does."""
    path = hub.resolve(reference)
    shape, form = form_of(reference, settings.kv_type)
    with LLM(
        reference,
        context_tokens=settings.context_tokens,
        kv_type=settings.kv_type,
        threads=settings.threads,
        max_memory_bytes=settings.max_memory_bytes,
        users=settings.users,
        progress=progress,
    ) as llm:
        facts = SystemFacts(
            engine="stillhouse",
            version=None,
            url=None,
            model=path.stem if Path(reference).exists() else reference,
            quantization=_quantization(path) or form.name,
            parameters=llm.facts.num_parameters,
            form=(shape, form),
        )
        yield System(facts, llm, os.getpid(), llm.context_tokens, _room_notes(llm, settings))


@asynccontextmanager
async def served(
    url: str, *, model: str | None, served_reference: str | None, api_key: str | None,
    timeout_s: float,
) -> AsyncIterator[System]:  # fmt: skip
    """A server that runs. `served_reference` names what it serves, if that is on this machine too:
    then its bytes are known. Raises Offline, UsageError where it does not serve `model`.
    """
    async with Client(url, model=model, api_key=api_key, timeout_s=timeout_s) as client:
        known = await client.describe()
        pid = listening_pid(url)
        form = None
        why = "nobody has said what it reads: --served names it"
        quantization = quantization_of(Path(known.model).name.removesuffix(".gguf"))
        if served_reference is not None:
            form = form_of(served_reference, "bf16")
            quantization = _quantization(hub.resolve(served_reference)) or form[1].name
        facts = SystemFacts(
            engine=known.engine,
            version=known.version,
            url=url,
            model=known.model,
            quantization=quantization,
            form=form,
            no_roofline=why,
        )
        yield System(facts, client, pid, known.context_tokens)


def listening_pid(url: str) -> int | None:
    """The process of this machine that listens there; None where there is none, or none is seen."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    if parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:  # macOS shows other processes' connections to root alone
        return None
    return next(
        (
            one.pid
            for one in connections
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
        ),
        None,
    )


def _quantization(path: Path) -> str | None:
    """As a file's or folder's name gives it."""
    return quantization_of(path.stem if path.suffix == ".gguf" else path.name)


def _room_notes(llm: LLM, settings: LoadSettings) -> tuple[str, ...]:
    room = llm.stats().total_blocks * BLOCK_TOKENS // llm.context_tokens
    if room >= settings.users:
        return ()
    return (
        f"the KV cache has room for {room} whole contexts of {llm.context_tokens} tokens;"
        f" of {settings.users} users the others wait",
    )
