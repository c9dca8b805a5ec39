"""`POST /v1/completions`: texts or ids gone on from as they are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse

from stillhouse.errors import StillhouseError
from stillhouse.questions import Prompt
from stillhouse.replies import Reply
from stillhouse.server import openai_forms as forms
from stillhouse.server.asking import asked
from stillhouse.server.bodies import described, read_as
from stillhouse.server.errors import BadField, body_of_error
from stillhouse.server.openai_fields import CompletionRequest, read_completion
from stillhouse.server.streaming import SIGN_OF_LIFE, StreamedResponse, batch_or_silence, or_gone
from stillhouse.text import TokenLogprob
from stillhouse.workers.conversation import Conversation
from stillhouse.workers.messages import Accepted, Finished, Piece

router = APIRouter(prefix="/v1", tags=["OpenAI"])

_MOST_PROMPTS = 64


@dataclass(frozen=True, slots=True)
class _Completions:
    """Prompts that have been accepted, all of one request; choices are numbered through."""

    model: str
    conversations: list[tuple[Conversation, Accepted]]
    has_logprobs: bool
    include_usage: bool
    warnings: list[str]

    def head(self) -> dict[str, Any]:
        first = self.conversations[0][0]
        return {
            "id": first.id.replace("chatcmpl-", "cmpl-"),
            "object": "text_completion",
            "created": int(first.created_at),
            "model": self.model,
        }

    def choice(
        self,
        index: int,
        text: str,
        logprobs: Sequence[TokenLogprob],
        start_chars: int = 0,
        *,
        num_silent: int = 0,
    ) -> dict[str, Any]:
        scores = None
        if self.has_logprobs:
            scores = forms.completion_logprobs(logprobs, start_chars, num_silent=num_silent)
        return {"index": index, "text": text, "logprobs": scores, "finish_reason": None}

    def tail(self) -> dict[str, Any]:
        return {"warnings": self.warnings} if self.warnings else {}


@router.post("/completions", openapi_extra=described(CompletionRequest))
async def completions(
    request: HttpRequest, body: Annotated[CompletionRequest, Depends(read_as(CompletionRequest))]
) -> Response:
    """What comes after a prompt, whole or as a stream; thoughts are text like any other."""
    warnings: list[str] = []
    options = read_completion(body, warnings)
    prompts = _prompts(body)
    async with AsyncExitStack() as opened:

        async def begin() -> _Completions:
            conversations = []
            for prompt in prompts:
                model, conversation, accepted = await opened.enter_async_context(
                    asked(request, body.model, prompt, options, body.n or 1, body.keep_alive)
                )
                conversations.append((conversation, accepted))
            return _Completions(
                model,
                conversations,
                has_logprobs=body.logprobs is not None,
                include_usage=bool(body.stream_options and body.stream_options.include_usage),
                warnings=warnings,
            )

        if not body.stream:

            async def answer() -> Response:
                return await _whole(await begin())

            return await or_gone(answer(), request.receive)
        running = await or_gone(begin(), request.receive)
        return StreamedResponse(_streamed(running), opened.pop_all(), "text/event-stream", {})


async def _whole(running: _Completions) -> Response:
    choices: list[dict[str, Any]] = []
    per_prompt: list[list[Reply]] = []
    for conversation, accepted in running.conversations:
        replies: dict[int, Reply] = {}
        async for item in conversation:
            if isinstance(item, Finished):
                replies[item.sample] = item.reply
        given = replies[0].prompt_logprobs
        for sample in sorted(replies):
            reply = replies[sample]
            choice = running.choice(
                len(choices),
                reply.echo + reply.answer,
                (*given, *reply.logprobs),
                num_silent=_num_silent(reply.echo, given),
            )
            choices.append(choice | _ending(reply, accepted))
        per_prompt.append([replies[sample] for sample in sorted(replies)])
    document = {
        **running.head(),
        "choices": choices,
        "usage": _usage(per_prompt),
        "timings": forms.timings(per_prompt[-1][-1]),
        **running.tail(),
    }
    return JSONResponse(document)


async def _streamed(running: _Completions) -> AsyncGenerator[bytes, None]:
    """The prompts one after the other; meanwhile all of them are computed."""
    per_prompt: list[list[Reply]] = []
    first_index = 0
    try:
        for conversation, accepted in running.conversations:
            per_prompt.append([])
            num_chars = [0] * conversation.num_samples
            while (items := await batch_or_silence(conversation)) != []:
                parts = [] if items else [SIGN_OF_LIFE]
                for item in items or ():
                    if isinstance(item, Piece):
                        delta, sample = item.delta, item.sample
                        choice = running.choice(
                            first_index + sample, delta.text, delta.logprobs, num_chars[sample]
                        )
                        num_chars[sample] += len(delta.text)
                        parts.append(forms.event({**running.head(), "choices": [choice]}))
                    elif isinstance(item, Finished):
                        per_prompt[-1].append(item.reply)
                        choice = running.choice(first_index + item.sample, "", ())
                        choice |= _ending(item.reply, accepted)
                        end = {**running.head(), "choices": [choice], **running.tail()}
                        parts.append(forms.event(end))
                yield b"".join(parts)
            first_index += conversation.num_samples
    except StillhouseError as error:
        yield forms.event(body_of_error(error, "openai"))
    else:
        if running.include_usage:
            yield forms.event({**running.head(), "choices": [], "usage": _usage(per_prompt)})
    yield forms.DONE


def _num_silent(echo: str, given: Sequence[TokenLogprob]) -> int:
    """Tokens before a prompt's own text: what begins every text, if the model wants it."""
    return int(bool(given) and not echo.encode(errors="replace").startswith(given[0].bytes))


def _ending(reply: Reply, accepted: Accepted) -> dict[str, Any]:
    return {
        "finish_reason": forms.finish_reason(reply),
        "stillhouse": forms.vendor(reply, accepted),
    }


def _prompts(body: CompletionRequest) -> list[Prompt]:
    given = body.prompt
    if isinstance(given, str):
        return [Prompt(given)]
    if not given:
        raise BadField("prompt is empty", param="prompt")
    if isinstance(given[0], int):
        return [Prompt(tuple(given))]
    if len(given) > _MOST_PROMPTS:
        raise BadField(
            f"{len(given)} prompts, and {_MOST_PROMPTS} may be given at once", param="prompt"
        )
    return [Prompt(p if isinstance(p, str) else tuple(p)) for p in given]


def _usage(per_prompt: list[list[Reply]]) -> dict[str, Any]:
    """Of all prompts together."""
    total: dict[str, Any] = forms.usage(per_prompt[0])
    for replies in per_prompt[1:]:
        more = forms.usage(replies)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            total[name] += more[name]
        for name, part in (
            ("prompt_tokens_details", "cached_tokens"),
            ("completion_tokens_details", "reasoning_tokens"),
        ):
            total[name][part] += more[name][part]
    return total
