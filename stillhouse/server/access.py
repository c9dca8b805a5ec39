"""Who may come in: keys, and the names by which this server may be called."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from stillhouse.server.errors import NotAllowed, api_of, error_response
from stillhouse.server.settings import LOOPBACK, ServerSettings

_OPEN_PATHS = ("/health", "/", "/favicon.ico")


class Access:
    """ASGI middleware. On loopback only local names are answered: a page from elsewhere that had
    its own name point to this machine (DNS rebinding) gets nothing. Pages of other origins get
    nothing either, unless they were named.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings
        self._keys = [key.encode() for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                response = error_response(refusal, api_of(scope["path"]))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> NotAllowed | None:
        headers = Headers(scope=scope)
        host = _without_port(headers.get("host", ""))
        if self._settings.is_loopback and host not in LOOPBACK:
            return NotAllowed(
                f"this server does not answer for '{host[:100]}'",
                status=403,
                hint="it listens on this machine only",
            )
        origin = headers.get("origin", "")
        if not self._may_call(origin, headers.get("host", "")):
            return NotAllowed(
                f"pages of '{origin[:100]}' may not call this server",
                status=403,
                hint="allow them with --cors-origin",
            )
        path = scope["path"]
        if not self._keys or path in _OPEN_PATHS or path.startswith("/web/"):
            return None
        if scope["method"] == "OPTIONS":  # a browser asks before it sends the key
            return None
        kind, _, key = headers.get("authorization", "").partition(" ")
        given = key.strip().encode()
        is_known = sum(hmac.compare_digest(given, known) for known in self._keys) > 0
        if kind.lower() == "bearer" and is_known:
            return None
        return NotAllowed(
            "the API key is missing or wrong",
            status=401,
            hint="send 'Authorization: Bearer KEY'",
        )

    def _may_call(self, origin: str, host: str) -> bool:
        """A page can send simple requests to any host, and without this they would be computed,
        although the page never sees the answer. Only browsers send an Origin.
        """
        allowed = self._settings.cors_origins
        is_page = origin == "null" or origin.startswith(("http://", "https://"))
        is_ours = origin.partition("://")[2] == host
        return not is_page or is_ours or origin in allowed or "*" in allowed


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host
