"""`POST /v1/chat/completions`, and what controls a chat that runs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse

from stillhouse.errors import ModelNotFound, StillhouseError
from stillhouse.replies import Reply
from stillhouse.server import openai_forms as forms
from stillhouse.server.asking import asked
from stillhouse.server.bodies import Body, described, read_as
from stillhouse.server.errors import BadField, body_of_error
from stillhouse.server.openai_fields import ChatRequest, read_chat
from stillhouse.server.showing import Showing
from stillhouse.server.streaming import SIGN_OF_LIFE, StreamedResponse, batch_or_silence, or_gone
from stillhouse.server.thinking import Thinking
from stillhouse.text import Delta
from stillhouse.workers.conversation import Conversation
from stillhouse.workers.messages import Accepted, Finished

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class ControlRequest(Body):
    """`POST /v1/chat/completions/control`."""

    id: str
    action: str


@dataclass(frozen=True, slots=True)
class _Chat:
    """A chat that has been accepted, and how its client wants it."""

    model: str
    conversation: Conversation
    accepted: Accepted
    thinking: Thinking
    has_logprobs: bool
    include_usage: bool
    warnings: list[str]

    def head(self, kind: str) -> dict[str, Any]:
        """What every document of it begins with."""
        return {
            "id": self.conversation.id,
            "object": kind,
            "created": int(self.conversation.created_at),
            "model": self.model,
        }

    def tail(self) -> dict[str, Any]:
        return {"warnings": self.warnings} if self.warnings else {}


@router.post("/chat/completions", openapi_extra=described(ChatRequest))
async def chat_completions(
    request: HttpRequest, body: Annotated[ChatRequest, Depends(read_as(ChatRequest))]
) -> Response:
    """A chat's next message, whole or as a stream of server-sent events."""
    warnings: list[str] = []
    options, thinking = read_chat(body, warnings)
    async with AsyncExitStack() as opened:

        async def begin() -> _Chat:
            model, conversation, accepted = await opened.enter_async_context(
                asked(request, body.model, body.messages, options, body.n or 1, body.keep_alive)
            )
            return _Chat(
                model,
                conversation,
                accepted,
                thinking,
                has_logprobs=bool(body.logprobs),
                include_usage=bool(body.stream_options and body.stream_options.include_usage),
                warnings=warnings,
            )

        if not body.stream:

            async def answer() -> Response:
                return await _whole(await begin())

            return await or_gone(answer(), request.receive)
        chat = await or_gone(begin(), request.receive)
        headers = {"X-Request-Id": chat.conversation.id}
        return StreamedResponse(_streamed(chat), opened.pop_all(), "text/event-stream", headers)


@router.post("/chat/completions/control", openapi_extra=described(ControlRequest))
async def control(
    request: HttpRequest, body: Annotated[ControlRequest, Depends(read_as(ControlRequest))]
) -> dict[str, Any]:
    """Has a running chat answer now ("reasoning_end"), or stop ("cancel")."""
    conversation = request.app.state.pool.find_conversation(body.id)
    if conversation is None:
        raise ModelNotFound(f"no chat '{body.id[:100]}' is running", hint="it may have ended")
    if body.action == "reasoning_end":
        conversation.answer_now()
    elif body.action == "cancel":
        conversation.cancel()
    else:
        raise BadField("action must be reasoning_end or cancel", param="action")
    return {"success": True, "id": body.id, "action": body.action}


async def _whole(chat: _Chat) -> Response:
    replies: dict[int, Reply] = {}
    async for item in chat.conversation:
        if isinstance(item, Finished):
            replies[item.sample] = item.reply
    choices = []
    for index in sorted(replies):
        reply = Showing(chat.thinking).whole(replies[index])
        choices.append(
            {
                "index": index,
                "message": forms.message(reply),
                "logprobs": forms.chat_logprobs(reply.logprobs) if chat.has_logprobs else None,
                "finish_reason": forms.finish_reason(reply),
                "stillhouse": forms.vendor(reply, chat.accepted),
            }
        )
    document = {
        **chat.head("chat.completion"),
        "choices": choices,
        "usage": forms.usage([replies[index] for index in sorted(replies)]),
        "timings": forms.timings(replies[max(replies)]),
        **chat.tail(),
    }
    return JSONResponse(document, headers={"X-Request-Id": chat.conversation.id})


class _Writer:
    """Makes the events of one stream. What is the same in all of them is made once."""

    def __init__(self, chat: _Chat) -> None:
        self._chat = chat
        head = forms.compact(chat.head("chat.completion.chunk"))
        self._start = f'data: {head[:-1]},"choices":[{{"index":'
        self._showings = [Showing(chat.thinking) for _ in range(chat.conversation.num_samples)]
        self._num_calls = [0] * chat.conversation.num_samples

    def role(self, sample: int) -> bytes:
        """The first of a sample."""
        return self._event(sample, {"role": "assistant", "content": ""})

    def piece(self, sample: int, delta: Delta) -> bytes:
        """What is to be shown of a piece."""
        return b"".join(self._shown(sample, d) for d in self._showings[sample].push(delta))

    def end(self, sample: int, reply: Reply) -> bytes:
        """The last of a sample: why it ended."""
        rest = [self._shown(sample, delta) for delta in self._showings[sample].finish()]
        vendor = forms.vendor(reply, self._chat.accepted)
        more = {"timings": forms.timings(reply), **self._chat.tail()}
        choice = {
            "index": sample,
            "delta": {},
            "finish_reason": forms.finish_reason(reply),
            "stillhouse": vendor,
        }
        head = self._chat.head("chat.completion.chunk")
        return b"".join([*rest, forms.event({**head, "choices": [choice], **more})])

    def usage(self, replies: list[Reply]) -> bytes:
        """The last of all, where it was asked for."""
        head = self._chat.head("chat.completion.chunk")
        more = {"usage": forms.usage(replies), "timings": forms.timings(replies[-1])}
        return forms.event({**head, "choices": [], **more})

    def _shown(self, sample: int, delta: Delta) -> bytes:
        if delta.kind == "answer" and not delta.logprobs:  # nearly all of them: only text to quote
            return self._raw(sample, f'{{"content":{json.dumps(delta.text)}}}')
        logprobs = forms.chat_logprobs(delta.logprobs) if self._chat.has_logprobs else None
        document = forms.delta_of(delta, self._num_calls[sample])
        self._num_calls[sample] += len(delta.tool_calls)
        return self._event(sample, document, logprobs)

    def _event(
        self, sample: int, delta: dict[str, Any], logprobs: dict[str, Any] | None = None
    ) -> bytes:
        return self._raw(sample, forms.compact(delta), logprobs)

    def _raw(self, sample: int, delta: str, logprobs: dict[str, Any] | None = None) -> bytes:
        scores = f',"logprobs":{forms.compact(logprobs)}' if logprobs else ""
        end = f'{sample},"delta":{delta}{scores},"finish_reason":null}}]}}\n\n'
        return (self._start + end).encode(errors="replace")


async def _streamed(chat: _Chat) -> AsyncGenerator[bytes, None]:
    """One piece of bytes for what each step of the engine says.

    The role comes with the first token, as vLLM's server sends it: clients that time the first
    event would otherwise time the way here alone.
    """
    writer = _Writer(chat)
    replies: list[Reply] = []
    roles = b"".join(writer.role(sample) for sample in range(chat.conversation.num_samples))
    try:
        while (items := await batch_or_silence(chat.conversation)) != []:
            if items is None:
                yield SIGN_OF_LIFE
                continue
            parts = [roles]
            roles = b""
            for item in items:
                if isinstance(item, Finished):
                    replies.append(item.reply)
                    parts.append(writer.end(item.sample, item.reply))
                elif not isinstance(item, Accepted):
                    parts.append(writer.piece(item.sample, item.delta))
            yield b"".join(parts)
    except StillhouseError as error:
        yield forms.event(body_of_error(error, "openai"))
    else:
        if chat.include_usage:
            yield writer.usage(replies)
    yield forms.DONE
