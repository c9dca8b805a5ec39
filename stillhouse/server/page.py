"""The web page, from files that come with the package; no other host is ever asked."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

_FOLDER = Path(__file__).parent / "web"
_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    """The chat."""
    return FileResponse(_FOLDER / "index.html", headers=_HEADERS)


@router.get("/docs")
async def docs() -> Response:
    """The routes and their fields, from `/openapi.json`, to be read and tried."""
    return FileResponse(_FOLDER / "docs.html", headers=_HEADERS)


class WebFiles(StaticFiles):
    """Its scripts, styles and fonts."""

    def __init__(self) -> None:
        super().__init__(directory=_FOLDER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(k.lower().encode(), v.encode()) for k, v in _HEADERS.items()]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await super().__call__(scope, receive, send_with_policy)
