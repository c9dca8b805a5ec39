"""Replies while they come: streams, and what ends them before their time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from stillhouse.llm import Reply
from stillhouse.text import Delta
from tests.speaker import Bench


def test_a_stream_is_the_reply_in_pieces_and_then_the_reply(bench: Bench) -> None:
    model = bench.llm("Größe…", "Acht 🕷 Beine")
    *pieces, reply = model.chat("Legs?", stream=True)
    assert isinstance(reply, Reply)
    assert all(isinstance(piece, Delta) and piece.text for piece in pieces)
    for kind, text in (("reasoning", reply.reasoning), ("answer", reply.answer)):
        of_kind = [p.text for p in pieces if isinstance(p, Delta) and p.kind == kind]
        assert "".join(of_kind) == text
        assert len(of_kind) > 3
    assert (reply.reasoning, reply.answer) == ("Größe…", "Acht 🕷 Beine")


def test_a_cancelled_stream_ends_with_what_there_was(bench: Bench) -> None:
    model = bench.llm("a long thought", "answer")
    stream = model.chat("Go", stream=True)
    first = [next(stream), next(stream)]
    stream.cancel()
    *_, reply = stream
    assert isinstance(reply, Reply)
    assert first == [Delta("reasoning", "a"), Delta("reasoning", " ")]
    assert reply.reasoning.startswith("a ")
    assert (reply.finish_reason, reply.thinking_end) == ("cancelled", "client")
    assert model.stats().held_blocks == 0


@pytest.mark.parametrize("pieces_taken", [0, 2])
def test_a_stream_stays_open_beside_another_chat(bench: Bench, pieces_taken: int) -> None:
    model = bench.llm(None, "hello world")
    stream = model.chat("Go", stream=True, max_tokens=20)
    taken = [next(stream) for _ in range(pieces_taken)]
    assert model.chat("Go").answer == "hello world"
    *rest, reply = [*taken, *stream]
    assert isinstance(reply, Reply)
    assert len(rest) == len(reply.answer) == len("hello world")


def test_a_closed_stream_gives_no_more_and_frees_its_blocks(bench: Bench) -> None:
    model = bench.llm(None, "x" * 1000)
    stream = model.chat("Go", stream=True)
    next(stream)
    stream.close()
    assert list(stream) == []
    assert model.stats().held_blocks == 0


def test_a_stream_that_is_dropped_frees_its_blocks(bench: Bench) -> None:
    model = bench.llm(None, "x" * 1000)
    for _ in range(3):
        next(model.chat("Go", stream=True))
    assert model.stats().held_blocks == 0


def test_threads_and_tasks_chat_at_once_and_each_has_its_answer(bench: Bench) -> None:
    model = bench.llm("Hm.", "Eight.", users=4)
    questions = [f"{'?' * n} Legs" for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(model.chat, questions))

    async def ask(question: str) -> Reply:
        *pieces, reply = [item async for item in await model.achat(question, stream=True)]
        assert isinstance(reply, Reply)
        assert "".join(p.text for p in pieces if isinstance(p, Delta)) == "Hm.Eight."
        again = await model.achat(question)
        assert again.answer == reply.answer
        return reply

    async def ask_all() -> list[Reply]:
        return await asyncio.gather(*map(ask, questions))

    replies += asyncio.run(ask_all())
    assert {(r.reasoning, r.answer, r.finish_reason) for r in replies} == {
        ("Hm.", "Eight.", "stop")
    }
    assert model.stats().held_blocks == 0


def test_a_cancelled_task_frees_its_blocks(bench: Bench) -> None:
    model = bench.llm(None, "x" * 1000)

    async def leave_early() -> None:
        with await model.achat("Go", stream=True) as stream:
            async with asyncio.timeout(0.05):
                async for _ in stream:
                    await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        asyncio.run(leave_early())
    assert model.stats().held_blocks == 0
