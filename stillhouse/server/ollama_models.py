"""Ollama's routes about models: tags, show, ps, pull, version."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from stillhouse import __version__, hub
from stillhouse.errors import StillhouseError
from stillhouse.facts import ModelFacts
from stillhouse.server.bodies import described, read_as
from stillhouse.server.errors import BadField, body_of_error
from stillhouse.server.ollama_answers import NDJSON, as_line
from stillhouse.server.ollama_fields import OllamaNameRequest
from stillhouse.server.streaming import StreamedResponse, or_gone
from stillhouse.server.thinking import EFFORTS
from stillhouse.workers.pool import KnownModel, ModelPool

router = APIRouter(prefix="/api", tags=["Ollama"])

_FOREVER = "2318-01-01T00:00:00Z"  # about as Ollama writes it for models that stay
_TELL_S = 0.25


@router.get("/version")
async def version() -> dict[str, str]:
    """Ours; clients that compare it with Ollama's own look for features."""
    return {"version": __version__}


@router.get("/tags")
async def tags(request: Request) -> dict[str, Any]:
    """The models that are served."""
    pool: ModelPool = request.app.state.pool
    return {"models": [_tag(m, request.app.state.started_at) for m in pool.known()]}


@router.get("/ps")
async def ps(request: Request) -> dict[str, Any]:
    """The models that are in memory."""
    pool: ModelPool = request.app.state.pool
    loaded = [m for m in pool.known() if m.state == "loaded"]
    return {"models": [_running(m, request.app.state.started_at) for m in loaded]}


@router.post("/show", openapi_extra=described(OllamaNameRequest))
async def show(
    request: Request, body: Annotated[OllamaNameRequest, Depends(read_as(OllamaNameRequest))]
) -> dict[str, Any]:
    """What a model is; it is loaded if nobody knows yet."""
    pool: ModelPool = request.app.state.pool
    name = pool.resolve(body.model or body.name)
    facts = next(m.facts for m in pool.known() if m.name == name)
    if facts is None:
        async with pool.use(name) as worker:
            facts = await or_gone(worker.ready(), request.receive)
    architecture = facts.architecture
    capabilities = ["completion", "tools", *(["thinking"] if facts.knows_thoughts else [])]
    return {
        "modelfile": f"# served by stillhouse\nFROM {name}",
        "parameters": _parameters(facts),
        "template": facts.template,
        "details": _details(facts),
        "model_info": {
            "general.architecture": architecture,
            "general.parameter_count": facts.num_parameters,
            f"{architecture}.context_length": facts.trained_context_tokens,
            f"{architecture}.embedding_length": facts.embedding_length,
            "stillhouse.context_tokens": facts.context_tokens,
        },
        "capabilities": capabilities,
        "thinking": {
            "values": [True, False, *EFFORTS] if facts.knows_thoughts else [False],
            "default": facts.opens_thoughts,
        },
        "modified_at": _iso(request.app.state.started_at),
    }


@router.post("/pull", openapi_extra=described(OllamaNameRequest))
async def pull(
    request: Request, body: Annotated[OllamaNameRequest, Depends(read_as(OllamaNameRequest))]
) -> Response:
    """Fetches a model into the store. To serve it, name it when the server is started."""
    name = body.model or body.name
    if not name:
        raise BadField("no model is named", param="model")
    if body.stream is False:
        await or_gone(asyncio.to_thread(_fetch, name, hub.QUIET), request.receive)
        return JSONResponse({"status": "success"})
    return StreamedResponse(_pulling(name), AsyncExitStack(), NDJSON, {})


class _Told:
    """What a pull says, kept until somebody looks."""

    def __init__(self) -> None:
        self.status = "pulling manifest"
        self.file = ""
        self.total_bytes: int | None = None
        self.done_bytes = 0

    def note(self, text: str) -> None:
        self.status = text

    def start(self, file: str, total_bytes: int | None) -> None:
        self.file, self.total_bytes, self.done_bytes = file, total_bytes, 0

    def at(self, done_bytes: int, detail: str = "") -> None:  # noqa: ARG002
        self.done_bytes = done_bytes

    def end(self) -> None:
        self.file = ""

    def line(self) -> dict[str, Any]:
        if not self.file:
            return {"status": self.status}
        line: dict[str, Any] = {"status": f"pulling {self.file}", "digest": self.file}
        if self.total_bytes:
            line |= {"total": self.total_bytes, "completed": self.done_bytes}
        return line


def _fetch(name: str, progress: hub.Progress) -> None:
    hub.resolve(name, progress=progress)


async def _pulling(name: str) -> AsyncGenerator[bytes, None]:
    told = _Told()
    work = asyncio.ensure_future(asyncio.to_thread(_fetch, name, told))
    try:
        while not work.done():
            yield as_line(told.line())
            with suppress(TimeoutError, StillhouseError):
                await asyncio.wait_for(asyncio.shield(work), _TELL_S)
        work.result()
        yield as_line({"status": "success"})
    except StillhouseError as error:
        yield as_line(body_of_error(error, "ollama"))


def _tag(model: KnownModel, started_at: float) -> dict[str, Any]:
    facts = model.facts
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": _iso(started_at),
        "size": facts.file_bytes if facts else 0,
        "digest": hashlib.sha256(model.name.encode()).hexdigest(),
        "details": _details(facts),
    }


def _running(model: KnownModel, started_at: float) -> dict[str, Any]:
    facts = model.facts
    return {
        **_tag(model, started_at),
        "size": facts.memory_bytes if facts else 0,
        "size_vram": 0,
        "context_length": facts.context_tokens if facts else 0,
        "expires_at": _FOREVER if model.expires_at is None else _iso(model.expires_at),
    }


def _details(facts: ModelFacts | None) -> dict[str, Any]:
    family = facts.architecture if facts else ""
    size = facts.num_parameters if facts else 0
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family] if family else [],
        "parameter_size": f"{size / 1e9:.1f}B" if size >= 1e9 else f"{size / 1e6:.0f}M",
        "quantization_level": facts.quantization if facts else "",
    }


def _parameters(facts: ModelFacts) -> str:
    own = facts.sampling
    pairs = (("temperature", own.temperature), ("top_p", own.top_p), ("top_k", own.top_k))
    return "\n".join(f"{name:<30} {value}" for name, value in pairs)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
