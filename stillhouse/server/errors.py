"""What goes wrong, as the clients of either API expect to hear it."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from stillhouse.errors import (
    BadTemplate,
    ContextTooLong,
    EngineStopped,
    ModelNotFound,
    NotEnoughSpace,
    Overloaded,
    StillhouseError,
    UsageError,
    WorkerDied,
)

Api = Literal["openai", "ollama"]

_STATUS: dict[type[StillhouseError], tuple[int, str, str | None]] = {
    UsageError: (400, "invalid_request_error", None),
    BadTemplate: (400, "invalid_request_error", "bad_template"),
    ContextTooLong: (400, "invalid_request_error", "context_length_exceeded"),
    ModelNotFound: (404, "invalid_request_error", "model_not_found"),
    Overloaded: (429, "rate_limit_error", "overloaded"),
    NotEnoughSpace: (503, "unavailable_error", "not_enough_memory"),
    EngineStopped: (503, "unavailable_error", "stopped"),
    WorkerDied: (500, "server_error", "worker_died"),
}


class BodyTooLarge(StillhouseError):
    """A body that is not even read to its end."""


class NotAllowed(StillhouseError):
    """A key is missing or wrong, or the request comes by a name that is not this server's."""

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class BadField(UsageError):
    """A field of the request is wrong; `param` is its name."""

    def __init__(self, message: str, *, param: str | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.param = param


def api_of(path: str) -> Api:
    """Whose routes these are."""
    return "ollama" if path.startswith("/api/") else "openai"


def status_of(error: StillhouseError, api: Api) -> int:
    """The HTTP status. Ollama says 503 where OpenAI says 429."""
    if isinstance(error, NotAllowed):
        return error.status
    if isinstance(error, BodyTooLarge):
        return 413
    if isinstance(error, Overloaded) and api == "ollama":
        return 503
    return _found(error)[0]


def body_of_error(error: StillhouseError, api: Api) -> dict[str, Any]:
    """The JSON of an error, for a response or for a stream that has begun."""
    text = error.message if error.hint is None else f"{error.message} ({error.hint})"
    if api == "ollama":
        return {"error": text}
    _, kind, code = _found(error)
    param = error.param if isinstance(error, BadField) else None
    return {"error": {"message": text, "type": kind, "param": param, "code": code}}


def error_response(error: StillhouseError, api: Api) -> Response:
    """A whole response."""
    headers = {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(error.retry_after_s)
    status = status_of(error, api)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body_of_error(error, api), status, headers)


async def answer_error(request: Request, error: Exception) -> Response:
    """The handler of every StillhouseError that a route lets through."""
    assert isinstance(error, StillhouseError)
    return error_response(error, api_of(request.url.path))


def _found(error: StillhouseError) -> tuple[int, str, str | None]:
    if isinstance(error, NotAllowed):
        kind = "authentication_error" if error.status == 401 else "permission_error"
        return error.status, kind, None
    for kind_of_error in type(error).__mro__:
        if kind_of_error in _STATUS:
            return _STATUS[kind_of_error]
    return 500, "server_error", type(error).__name__
