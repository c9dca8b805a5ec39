"""What goes wrong between this client and a server, as one line."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import aiohttp

from stillhouse.errors import FieldRefused, RequestFailed

_MOST_CHARS = 300
# Of these words, a server's sentence may speak without meaning the field.
_PLAIN_WORDS = ("seed", "stop", "temperature", "think")
_UNNAMED = ("messages", "model", "prompt", "stream")


def no_reply(error: Exception, url: str, timeout_s: float) -> RequestFailed:
    """Of a request that got no response."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return RequestFailed(f"{url} took no connection in {timeout_s:g} s", kind="connect")
    if isinstance(error, TimeoutError):
        return silence(url, timeout_s)
    if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
        return RequestFailed(
            f"{url} cannot be reached: {one_line(str(error))}",
            kind="connect",
            hint="is the server running, and the URL right?",
        )
    return RequestFailed(f"{url} did not answer in HTTP: {one_line(str(error))}", kind="other")


def broken_off(error: Exception, url: str, timeout_s: float) -> RequestFailed:
    """Of a response that was not read to its end."""
    if isinstance(error, TimeoutError):
        return silence(url, timeout_s)
    return broken_stream(url, f"broke off: {one_line(str(error)) or type(error).__name__}")


def silence(url: str, timeout_s: float) -> RequestFailed:
    return RequestFailed(f"{url} was silent for {timeout_s:g} s", kind="timeout")


def broken_stream(url: str, how: str) -> RequestFailed:
    return RequestFailed(f"the stream of {url} {how}", kind="broken_stream")


def told_in_stream(data: bytes | dict[str, Any], url: str) -> RequestFailed:
    """Of an error that came as an event."""
    told = _parsed(data) if isinstance(data, bytes) else data
    return RequestFailed(f"{url} failed within its reply: {_message(told)}", kind="server")


def refusal(status: int, body: bytes, url: str, sent: Collection[str]) -> RequestFailed:
    """Of a response whose status is not 200; `sent` are the fields of the request."""
    told = _parsed(body)
    message = f"{url} answered {status}: {_message(told)}"
    field = _named(told, sent) if status in (400, 422) else None
    if field is not None:
        return FieldRefused(
            message, field=field, status=status, hint=f"it may do without '{field}'"
        )
    hint = "give the server's key as api_key" if status in (401, 403) else None
    return RequestFailed(
        message, kind="http_5xx" if status >= 500 else "http_4xx", status=status, hint=hint
    )


def one_line(text: str) -> str:
    return " ".join(text.split())[:_MOST_CHARS]


def _parsed(body: bytes) -> Any:
    text = body.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _message(told: Any) -> str:
    """The server's own words."""
    while isinstance(told, dict):
        inner = next((told[n] for n in ("error", "message", "detail") if told.get(n)), None)
        if inner is None:
            break
        told = inner
    text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
    return one_line(text) or "it says nothing"


def _named(told: Any, sent: Collection[str]) -> str | None:
    """The field of the request that the server gives as its reason."""
    fields = [name for name in sent if name not in _UNNAMED]
    for named in _names(told):
        for part in (named, *named.split(".")):
            if part in fields:
                return part
    text = _message(told)
    for name in sorted(fields, key=len, reverse=True):
        quote = "[`'\"]" if name in _PLAIN_WORDS else r"(?<![\w.])"
        end = "[`'\"]" if name in _PLAIN_WORDS else r"(?!\w)"
        if re.search(quote + re.escape(name) + end, text):
            return name
    return None


def _names(told: Any) -> Iterator[str]:
    """Where OpenAI's errors (`param`) and FastAPI's (`loc`) say which field it is."""
    if not isinstance(told, dict):
        return
    error = told.get("error")
    for part in (told, error if isinstance(error, dict) else {}):
        if isinstance(part.get("param"), str):
            yield part["param"]
        if isinstance(part.get("detail"), list):
            for item in part["detail"]:
                if isinstance(item, dict) and isinstance(item.get("loc"), list):
                    yield ".".join(map(str, item["loc"]))
