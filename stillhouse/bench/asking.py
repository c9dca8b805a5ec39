"""One request, watched by the client's clock."""

from __future__ import annotations

from collections.abc import Callable

from stillhouse.bench.load import Observed
from stillhouse.bench.records import RequestRecord
from stillhouse.client import Client, ServedReply
from stillhouse.errors import RequestFailed, StillhouseError
from stillhouse.llm import LLM
from stillhouse.questions import ChatOptions
from stillhouse.replies import Reply
from stillhouse.timings import Clock

Talker = LLM | Client
"""What can be measured: a model here, or whatever answers at a URL."""


async def ask(
    talker: Talker,
    text: str,
    options: ChatOptions,
    *,
    number: int,
    started_s: float,
    clock: Clock,
    on_piece: Callable[[], None] = lambda: None,
) -> Observed:
    """Asks, reads all of the reply, and says what came of it. Never raises but when cancelled."""
    asked_at, gaps_s, reply = clock(), list[float](), None
    try:
        with await talker.achat(text, stream=True, **options) as stream:
            latest: float | None = None
            async for item in stream:
                if isinstance(item, Reply):
                    reply = item
                    continue
                now = clock()
                if latest is not None:
                    gaps_s.append(now - latest)
                latest = now
                on_piece()
    except StillhouseError as error:
        return Observed(
            RequestRecord(
                number,
                started_s,
                e2e_s=clock() - asked_at,
                error=error.kind if isinstance(error, RequestFailed) else "other",
                message=error.message,
            )
        )
    assert reply is not None, "a stream ends with a Reply"
    return Observed(_record(reply, number, started_s), tuple(gaps_s))


def _record(reply: Reply, number: int, started_s: float) -> RequestRecord:
    usage, timings = reply.usage, reply.timings
    tokens = usage.reasoning_tokens + usage.answer_tokens
    knows_cached = not isinstance(reply, ServedReply) or reply.knows_cached
    tpot_s = None
    if tokens > 1 and timings.e2e_s is not None and timings.ttft_s is not None:
        tpot_s = (timings.e2e_s - timings.ttft_s) / (tokens - 1)
    return RequestRecord(
        number,
        started_s,
        e2e_s=timings.e2e_s,
        ttft_s=timings.ttft_s,
        ttfat_s=timings.ttfat_s,
        tpot_s=tpot_s,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens if knows_cached else None,
        reasoning_tokens=usage.reasoning_tokens,
        answer_tokens=usage.answer_tokens,
        counted=reply.counted if isinstance(reply, ServedReply) else "usage",
        finish_reason=reply.finish_reason,
        thinking_end=reply.thinking_end,
    )
