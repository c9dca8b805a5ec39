"""`POST /api/chat` and `/api/generate`: Ollama's chats, as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse

from stillhouse.errors import StillhouseError
from stillhouse.questions import Chat, Prompt
from stillhouse.replies import Reply
from stillhouse.server.asking import asked
from stillhouse.server.bodies import described, read_as
from stillhouse.server.errors import BadField, body_of_error
from stillhouse.server.ollama_fields import (
    OllamaChatRequest,
    OllamaGenerateRequest,
    OllamaRequest,
    read_options,
)
from stillhouse.server.openai_fields import keep_alive_s
from stillhouse.server.showing import Showing
from stillhouse.server.streaming import StreamedResponse, batch_or_silence, or_gone
from stillhouse.server.thinking import Thinking
from stillhouse.text import Delta
from stillhouse.workers.conversation import Conversation
from stillhouse.workers.messages import Finished, Piece
from stillhouse.workers.pool import KeepAlive, ModelPool

router = APIRouter(prefix="/api", tags=["Ollama"])

Form = Callable[[Delta | Reply | None], dict[str, Any]]
"""The texts of a line: of a piece, of a whole reply, or of nothing."""

NDJSON = "application/x-ndjson"


@router.post("/chat", openapi_extra=described(OllamaChatRequest))
async def chat(
    request: HttpRequest, body: Annotated[OllamaChatRequest, Depends(read_as(OllamaChatRequest))]
) -> Response:
    """A chat's next message; without messages the model is only loaded, or unloaded."""
    if not body.messages:
        return await _preload(request, body, {"message": {"role": "assistant", "content": ""}})
    return await _answer(request, body, body.messages, _as_message, tools=body.tools)


@router.post("/generate", openapi_extra=described(OllamaGenerateRequest))
async def generate(
    request: HttpRequest,
    body: Annotated[OllamaGenerateRequest, Depends(read_as(OllamaGenerateRequest))],
) -> Response:
    """An answer to one prompt; with `raw` the prompt is gone on from as it is."""
    for name in ("suffix", "images", "template", "context"):
        if getattr(body, name):
            raise BadField(f"{name} is not supported", param=name)
    if not body.prompt:
        return await _preload(request, body, {"response": ""})
    if body.raw:
        if body.system:
            raise BadField("raw prompts have no system message", param="system")
        return await _answer(request, body, Prompt(body.prompt), _as_response)
    messages = [{"role": "user", "content": body.prompt}]
    if body.system:
        messages.insert(0, {"role": "system", "content": body.system})
    return await _answer(request, body, messages, _as_response)


@dataclass(frozen=True, slots=True)
class _Running:
    model: str
    conversation: Conversation
    thinking: Thinking
    form: Form
    warnings: list[str]

    def line(self, item: Delta | Reply | None, *, done: bool) -> dict[str, Any]:
        return {
            "model": self.model,
            "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            **self.form(item),
            "done": done,
        }

    def ending(self, reply: Reply) -> dict[str, Any]:
        more: dict[str, Any] = {"warnings": self.warnings} if self.warnings else {}
        return {
            "done_reason": "length" if reply.finish_reason in ("length", "loop") else "stop",
            **_durations(reply),
            "thinking_end": reply.thinking_end,
            **more,
        }


async def _answer(
    request: HttpRequest,
    body: OllamaRequest,
    chat: Chat | Prompt,
    form: Form,
    tools: list[dict[str, Any]] | None = None,
) -> Response:
    pool: ModelPool = request.app.state.pool
    served = pool.resolve(body.model)
    facts = next(known.facts for known in pool.known() if known.name == served)
    warnings: list[str] = []
    options, thinking = read_options(
        body, warnings, context_tokens=facts.context_tokens if facts else None
    )
    if tools:
        options["tools"] = tools
    async with AsyncExitStack() as opened:

        async def begin() -> _Running:
            _, conversation, _ = await opened.enter_async_context(
                asked(request, body.model, chat, options, 1, body.keep_alive)
            )
            return _Running(body.model or served, conversation, thinking, form, warnings)

        if body.stream is False:

            async def whole() -> Response:
                running = await begin()
                async for item in running.conversation:
                    if isinstance(item, Finished):
                        reply = Showing(thinking).whole(item.reply)
                line = running.line(reply, done=True)
                return JSONResponse(line | running.ending(reply))

            return await or_gone(whole(), request.receive)
        running = await or_gone(begin(), request.receive)
        return StreamedResponse(_streamed(running), opened.pop_all(), NDJSON, {})


async def _streamed(running: _Running) -> AsyncGenerator[bytes, None]:
    showing = Showing(running.thinking)
    try:
        while (items := await batch_or_silence(running.conversation)) != []:
            lines = []  # none after a silence: this format has no comments
            for item in items or ():
                if isinstance(item, Piece):
                    shown = showing.push(item.delta)
                    lines += [running.line(delta, done=False) for delta in shown]
                elif isinstance(item, Finished):
                    lines += [running.line(delta, done=False) for delta in showing.finish()]
                    lines.append(running.line(None, done=True) | running.ending(item.reply))
            if lines:
                yield b"".join(map(as_line, lines))
    except StillhouseError as error:
        yield as_line(body_of_error(error, "ollama"))


async def _preload(request: HttpRequest, body: OllamaRequest, empty: dict[str, Any]) -> Response:
    """Loads a model, or with keep_alive 0 unloads it."""
    pool: ModelPool = request.app.state.pool
    kept: KeepAlive = "as before" if body.keep_alive is None else keep_alive_s(body.keep_alive)
    reason = "load"
    if kept == 0:
        await pool.unload(body.model)
        reason = "unload"
    else:
        async with pool.use(body.model, kept) as worker:
            await or_gone(worker.ready(), request.receive)
    return JSONResponse(
        {
            "model": body.model or pool.resolve(None),
            "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            **empty,
            "done": True,
            "done_reason": reason,
        }
    )


def as_line(document: dict[str, Any]) -> bytes:
    """One line of NDJSON."""
    return json.dumps(document, ensure_ascii=False).encode(errors="replace") + b"\n"


def _as_message(item: Delta | Reply | None) -> dict[str, Any]:
    thought, text = _texts(item)
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thought:
        message["thinking"] = thought
    calls = () if item is None else item.tool_calls
    if calls:
        message["tool_calls"] = [
            {"id": c.id, "function": {"name": c.name, "arguments": json.loads(c.arguments)}}
            for c in calls
        ]
    return {"message": message}


def _as_response(item: Delta | Reply | None) -> dict[str, Any]:
    thought, text = _texts(item)
    return {"response": text, "thinking": thought} if thought else {"response": text}


def _texts(item: Delta | Reply | None) -> tuple[str, str]:
    """Thought and answer."""
    if item is None:
        return "", ""
    if isinstance(item, Reply):
        return item.reasoning, item.answer
    return (item.text, "") if item.kind == "reasoning" else ("", item.text)


def _durations(reply: Reply) -> dict[str, int]:
    """In nanoseconds, and counts of tokens."""
    used, times = reply.usage, reply.timings
    ttft_s, e2e_s = times.ttft_s or 0.0, times.e2e_s or 0.0
    return {
        "total_duration": _ns(e2e_s),
        "load_duration": 0,  # of this request: the model was there
        "prompt_eval_count": used.prompt_tokens,
        "prompt_eval_duration": _ns(ttft_s - (times.queue_s or 0.0)),
        "eval_count": used.reasoning_tokens + used.answer_tokens,
        "eval_duration": _ns(e2e_s - ttft_s),
    }


def _ns(seconds: float) -> int:
    return max(0, round(seconds * 1e9))
