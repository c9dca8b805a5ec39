"""`GET /v1/models`: what is served."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from stillhouse.workers.pool import KnownModel, ModelPool

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.get("/models")
async def models(request: Request) -> dict[str, Any]:
    """All of them, loaded or not."""
    pool: ModelPool = request.app.state.pool
    started = request.app.state.started_at
    return {"object": "list", "data": [_model(m, started) for m in pool.known()]}


@router.get("/models/{name:path}")
async def model(request: Request, name: str) -> dict[str, Any]:
    """One of them."""
    pool: ModelPool = request.app.state.pool
    served = pool.resolve(name)
    found = next(m for m in pool.known() if m.name == served)
    return _model(found, request.app.state.started_at)


def _model(model: KnownModel, started_at: float) -> dict[str, Any]:
    facts = None
    if model.facts is not None:
        facts = {k: v for k, v in asdict(model.facts).items() if k != "template"}
    return {
        "id": model.name,
        "object": "model",
        "created": int(started_at),
        "owned_by": "stillhouse",
        "stillhouse": {"state": model.state, **(facts or {})},
    }
