"""Continuations are cut as lm-evaluation-harness cuts them, and weighed as they would be alone."""

from __future__ import annotations

import asyncio
import math
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.engine import Score, TokenEvent
from stillhouse.errors import ContextTooLong, EngineStopped, UsageError
from stillhouse.likelihoods import Likelihood, weighed, weighing
from stillhouse.llm import LLM
from stillhouse.questions import Prompt
from tests.fakes import hashed
from tests.reference import sampling as naive
from tests.speaker import VOCAB, Bench

BOS = 999
# Pairs of letters that are one token, so that the border may fall within one.
PAIRS = {left + right: 200 + n for n, (left, right) in enumerate(pairwise("a b c"))}


def encode(text: str) -> list[int]:
    """Letters, and pairs of them where they meet, from the left."""
    ids, at = [], 0
    while at < len(text):
        pair = text[at : at + 2]
        ids.append(PAIRS.get(pair, ord(text[at])))
        at += 2 if pair in PAIRS else 1
    return ids


texts = st.text("abc \n", max_size=8)


@given(prompt=texts, continuations=st.lists(texts, max_size=3))
def test_tokens_after_those_of_the_prompt_alone_are_the_continuations(
    prompt: str, continuations: list[str]
) -> None:
    spaces = len(prompt) - len(prompt.rstrip())
    bare, moved = prompt[: len(prompt) - spaces], prompt[len(prompt) - spaces :]
    expected = [encode(bare + moved + c)[len(encode(bare)) :] for c in continuations]
    if not all(expected):
        with pytest.raises(UsageError, match="no token of its own"):
            weighing(prompt, continuations, encode, start_id=BOS)
        return
    request, tails = weighing(prompt, continuations, encode, start_id=BOS)
    assert list(request.prompt_ids) == (encode(bare) or [BOS])
    assert tails == expected


def test_what_begins_every_text_begins_the_prompt_once() -> None:
    def with_bos(text: str) -> list[int]:
        return [BOS, *encode(text)]

    for prompt in ("", "ba", "ba "):
        request, tails = weighing(prompt, ["ca"], with_bos, start_id=7)
        assert list(request.prompt_ids) == with_bos(prompt.rstrip())
        assert BOS not in tails[0]


@given(st.lists(st.tuples(st.floats(-50, 0), st.booleans()), min_size=1))
def test_a_likelihood_is_the_sum_and_greedy_if_all_are(tokens: list[tuple[float, bool]]) -> None:
    likelihood = Likelihood.of_tokens("é 🕷", tokens)
    assert math.isclose(likelihood.total, math.fsum(p for p, _ in tokens), abs_tol=1e-9)
    assert likelihood.is_greedy == all(best for _, best in tokens)
    assert (likelihood.num_tokens, likelihood.num_bytes) == (len(tokens), 7)


def test_what_was_cancelled_has_no_likelihood() -> None:
    said = TokenEvent(0, 5, 0, False, "length")
    scored = TokenEvent(1, None, 1, False, "length", scores=(Score(5, -0.5, ((6, -0.4),)),))
    assert weighed([" a"], [said, scored]) == [Likelihood(-0.5, 1, 2, is_greedy=False)]
    with pytest.raises(EngineStopped):
        weighed([" a"], [said, TokenEvent(1, None, 0, False, "cancelled")])


def hashing(bench: Bench) -> LLM:
    """One whose every token depends on all before it."""
    model = bench.llm(None, "")
    bench.model._logits_of = hashed(VOCAB)
    return model


CONTINUATIONS = ["a", "bc", " def 🕷", "a", "x" * 70]


def test_continuations_weigh_what_a_naive_sum_says(bench: Bench) -> None:
    model = hashing(bench)
    prompt = "Legs of a spider:"
    for text, found in zip(CONTINUATIONS, model.likelihoods(prompt, CONTINUATIONS), strict=True):
        history, tail = model._speech.text_ids(prompt), model._speech.text_ids(text)
        total, is_greedy = 0.0, True
        for token_id in tail:
            logprobs = naive.log_softmax(hashed(VOCAB)(np.array(history, np.int32)))
            total += logprobs[token_id]
            is_greedy &= bool(logprobs.argmax() == token_id)
            history.append(token_id)
        assert found.total == pytest.approx(total, abs=1e-4)
        assert (found.num_tokens, found.num_bytes) == (len(tail), len(text.encode()))
        assert found.is_greedy == is_greedy


def test_together_weighs_exactly_what_alone_weighs_and_costs_the_prompt_once(bench: Bench) -> None:
    alone = hashing(bench)
    prompt = "Question: how many legs has a spider, and why are there so many of them?\nAnswer:"
    expected = [alone.likelihoods(prompt, [text])[0] for text in CONTINUATIONS]
    model = hashing(bench)
    assert model.likelihoods(prompt, CONTINUATIONS) == expected
    num_prompt = len(model._speech.text_ids(prompt))
    num_tail_rows = sum(found.num_tokens - 1 for found in expected)
    assert sum(bench.model.num_rows_seen) == num_prompt + num_tail_rows
    assert model.stats().held_blocks == 0
    assert model.likelihoods(prompt, []) == []


def test_what_the_model_says_at_temperature_0_is_greedy_and_weighs_what_it_told(
    bench: Bench,
) -> None:
    model = bench.llm(None, "Eight legs.")
    prompt = "<|im_start|>assistant\nE"
    reply = model.chat(Prompt(prompt), temperature=0, logprobs=0, max_tokens=8)
    found, other = model.likelihoods(prompt, [reply.answer, "leven"])
    assert found.num_tokens == len(reply.logprobs) == 8
    assert found.is_greedy
    assert not other.is_greedy
    assert found.total == sum(token.logprob or 0.0 for token in reply.logprobs)


def test_chats_and_likelihoods_at_once_are_those_of_each_alone(bench: Bench) -> None:
    model = hashing(bench)
    prompts = [f"{n} spiders have" for n in range(4)]
    weights = [model.likelihoods(prompt, CONTINUATIONS) for prompt in prompts]
    replies = [model.chat(prompt, seed=3, max_tokens=40).answer for prompt in prompts]

    async def all_at_once() -> list[object]:
        asked = [model.alikelihoods(prompt, CONTINUATIONS) for prompt in prompts]
        chats = [model.achat(prompt, seed=3, max_tokens=40) for prompt in prompts]
        return [*await asyncio.gather(*asked), *(r.answer for r in await asyncio.gather(*chats))]

    assert asyncio.run(all_at_once()) == [*weights, *replies]
    assert model.stats().held_blocks == 0


def test_a_task_that_is_cancelled_leaves_nothing_in_the_engine(bench: Bench) -> None:
    model = hashing(bench)

    async def leave() -> None:
        task = asyncio.create_task(model.alikelihoods("Legs:", ["x" * 300, "y" * 300]))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    assert model.stats().held_blocks == 0


def test_what_cannot_be_weighed_is_one_line(bench: Bench) -> None:
    model = bench.llm(None, "", context=64)
    with pytest.raises(UsageError, match="no token of its own"):
        model.likelihoods("Legs:", ["a", ""])
    with pytest.raises(ContextTooLong, match="70 prompt tokens, but the context holds 64"):
        model.likelihoods("x" * 50, ["a", "y" * 20])
    assert model.stats().held_blocks == 0
    model.close()
    with pytest.raises(EngineStopped):
        model.likelihoods("Legs:", ["a"])


def test_a_prompt_comes_back_with_its_logprobs_where_it_is_wanted(bench: Bench) -> None:
    model = hashing(bench)
    text = "🕷 legs"
    reply = model.chat(Prompt(text), echo=True, logprobs=1, max_tokens=0)
    assert (reply.echo, reply.answer, reply.finish_reason) == (text, "", "length")
    assert b"".join(token.bytes for token in reply.prompt_logprobs).decode() == text
    first, *others = [token.logprob for token in reply.prompt_logprobs]
    assert first is None
    (found,) = model.likelihoods("🕷", [" legs"])
    assert sum(p for p in others[-found.num_tokens :] if p is not None) == found.total
    ids = tuple(token.token_id for token in reply.prompt_logprobs)
    again = model.chat(Prompt(ids), echo=True, logprobs=1, max_tokens=1)
    assert (again.echo, again.prompt_logprobs) == (text, reply.prompt_logprobs)
    assert len(again.logprobs) == 1
    plain = model.chat(Prompt(text), echo=True, max_tokens=3)
    assert (plain.echo, plain.prompt_logprobs, plain.logprobs) == (text, (), ())
    with pytest.raises(UsageError, match="echo is for prompts"):
        model.chat("Legs?", echo=True)
    with pytest.raises(UsageError, match="only scores"):
        model.samples(Prompt(text), 2, echo=True, logprobs=1, max_tokens=0)


@pytest.mark.parametrize("ids", [(5, 10**9), (VOCAB,), (-1, 5)])
def test_ids_of_another_vocabulary_are_refused(bench: Bench, ids: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=f"not in the vocabulary of {VOCAB}"):
        bench.llm(None, "").chat(Prompt(ids), echo=True)


def test_an_echo_tells_a_stop_token_too_so_that_the_counts_add_up(bench: Bench) -> None:
    model = bench.llm(None, "")
    reply = model.chat(
        Prompt("<|im_start|>assistant\n"), echo=True, logprobs=1, max_tokens=1, temperature=0
    )
    assert (reply.answer, reply.finish_reason, len(reply.logprobs)) == ("", "stop", 1)


def test_threads_may_weigh_at_once(bench: Bench) -> None:
    model = hashing(bench)
    expected = model.likelihoods("Legs:", CONTINUATIONS)
    found: list[list[Likelihood]] = []

    def weigh() -> None:
        found.append(model.likelihoods("Legs:", CONTINUATIONS))

    threads = [threading.Thread(target=weigh) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [expected] * 4
