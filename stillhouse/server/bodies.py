"""Bodies of requests: read up to a limit, as JSON whatever their type says, into checked fields."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from stillhouse.server.errors import BadField, BodyTooLarge


class Body(BaseModel):
    """Fields that are known; others are kept, to be warned of."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


BodyT = TypeVar("BodyT", bound=Body)


def read_as(kind: type[BodyT]) -> Callable[[Request], Awaitable[BodyT]]:
    """A dependency that reads this kind. Raises BadField and BodyTooLarge."""

    async def read(request: Request) -> BodyT:
        raw = await _read(request, request.app.state.settings.max_body_bytes)
        try:
            value = json.loads(raw.decode())
            if b"\\ud" in raw.lower():  # half of a character is no text, and breaks what takes it
                json.dumps(value, ensure_ascii=False).encode()
        except RecursionError:
            raise BadField("the body is nested too deeply", param=None) from None
        except ValueError as error:
            raise BadField(f"the body is no JSON: {error}", param=None) from None
        if not isinstance(value, dict):
            raise BadField("the body is no JSON object", param=None)
        try:
            return kind.model_validate(value)
        except ValidationError as error:
            raise _in_one_line(error) from None
        except RecursionError:
            raise BadField("the body is nested too deeply", param=None) from None

    return read


def described(kind: type[Body]) -> dict[str, Any]:
    """What OpenAPI shall say of a route that reads this kind."""
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def schemas(*kinds: type[Body]) -> dict[str, Any]:
    """Components for OpenAPI, by name."""
    found: dict[str, Any] = {}
    for kind in kinds:
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[kind.__name__] = schema
    return found


async def _read(request: Request, most_bytes: int) -> bytes:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > most_bytes:
            raise BodyTooLarge(f"the body has more than the {most_bytes:,} bytes that are read")
    return bytes(raw)


def _in_one_line(error: ValidationError) -> BadField:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    return BadField(f"{where}: {first['msg']}"[:500], param=where[:200] or None)
