"""The application: routes, errors and who may come in, put together."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from stillhouse import __version__
from stillhouse.errors import StillhouseError
from stillhouse.server import (
    metrics,
    ollama_answers,
    ollama_fields,
    ollama_models,
    openai_chat,
    openai_completions,
    openai_fields,
    openai_models,
    page,
)
from stillhouse.server.access import Access
from stillhouse.server.bodies import schemas
from stillhouse.server.errors import answer_error, api_of
from stillhouse.server.settings import ServerSettings
from stillhouse.server.streaming import ClientGone
from stillhouse.workers.pool import ModelPool


def create_app(pool: ModelPool, kept: metrics.Metrics, settings: ServerSettings) -> FastAPI:
    """Routes over a pool, which somebody else starts and closes, and `kept` counts its replies."""
    app = FastAPI(
        title="Stillhouse",
        version=__version__,
        description="Reasoning models: OpenAI's and Ollama's routes over one engine.",
        docs_url=None,  # its page would load scripts from elsewhere; ours is in page.py
        redoc_url=None,
    )
    app.state.pool = pool
    app.state.metrics = kept
    app.state.settings = settings
    app.state.started_at = time.time()
    for part in (
        openai_chat,
        openai_completions,
        openai_models,
        ollama_answers,
        ollama_models,
        metrics,
        page,
    ):
        app.include_router(part.router)
    app.mount("/web", page.WebFiles(), name="web")
    app.add_api_route("/health", health, methods=["GET"])
    app.add_exception_handler(StillhouseError, _answer_and_count)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(ClientGone, _nobody)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
        )
    app.add_middleware(Access, settings=settings)
    _describe(app)
    return app


async def health(request: Request) -> Response:
    """200 once a model answers, 503 while it is loaded or the server ends."""
    pool: ModelPool = request.app.state.pool
    if pool.is_ready:
        return JSONResponse({"status": "ok"})
    error = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
    return JSONResponse({"error": error}, 503)


async def _answer_and_count(request: Request, error: Exception) -> Response:
    assert isinstance(error, StillhouseError)
    request.app.state.metrics.refused(error)
    return await answer_error(request, error)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, in the form of the API that was meant."""
    assert isinstance(error, HTTPException)
    text = f"{request.method} {request.url.path[:200]} is not offered here ({error.detail})"
    body: dict[str, Any] = {"error": text}
    if api_of(request.url.path) == "openai":
        body = {
            "error": {"message": text, "type": "invalid_request_error", "param": None, "code": None}
        }
    return JSONResponse(body, error.status_code, error.headers)


async def _nobody(_request: Request, _error: Exception) -> Response:
    """The client has gone; nothing of this is sent."""
    return Response(status_code=499)


def _describe(app: FastAPI) -> None:
    """Adds the bodies, which routes read themselves, to the OpenAPI document."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = original()
            components = document.setdefault("components", {}).setdefault("schemas", {})
            components |= schemas(
                openai_fields.ChatRequest,
                openai_fields.CompletionRequest,
                openai_chat.ControlRequest,
                ollama_fields.OllamaChatRequest,
                ollama_fields.OllamaGenerateRequest,
                ollama_fields.OllamaNameRequest,
            )
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
