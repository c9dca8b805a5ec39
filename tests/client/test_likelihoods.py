"""Likelihoods from what servers echo, each in its own way of counting."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.client import Client
from stillhouse.client.likelihoods import read_weighing
from stillhouse.errors import RequestFailed, UsageError
from stillhouse.likelihoods import Likelihood
from tests.stub_server import Script, StubServer

URL = "http://localhost:1"


def echoed(
    tokens: Sequence[str], logprobs: Sequence[float | None], *, bos: str = "", said: str = "!"
) -> dict[str, Any]:
    """As vLLM answers: a token that begins the text counts in the offsets, but not in the text."""
    whole = [*([bos] if bos else []), *tokens, *([said] if said else [])]
    values = [*([None] if bos else []), *logprobs, *([-9.0] if said else [])]
    offsets = [sum(map(len, whole[:n])) for n in range(len(whole))]
    tops = [None if p is None else {"other": -1.0} for p in values]
    return {
        "text": "".join(tokens) + said,
        "logprobs": {
            "tokens": whole,
            "token_logprobs": values,
            "top_logprobs": tops,
            "text_offset": offsets,
        },
    }


def read(choice: dict[str, Any], prompt: str, continuation: str, engine: str) -> Likelihood:
    document = {"choices": [{"index": 0, **choice}]}
    (found,) = read_weighing(document, prompt, [continuation], engine=engine, url=URL)
    return found


words = st.text("ab é🕷\n", min_size=1, max_size=4)


@given(
    tokens=st.lists(words, min_size=2, max_size=8),
    data=st.data(),
    bos=st.sampled_from(["", "<s>"]),
    is_ours=st.booleans(),
)
def test_tokens_that_reach_beyond_the_prompt_are_the_continuations(
    tokens: list[str], data: st.DataObject, bos: str, is_ours: bool
) -> None:
    text = "".join(tokens)
    border = data.draw(st.integers(len(tokens[0]), len(text) - 1))
    prompt, continuation = text[:border], text[border:]
    logprobs = [None if not n and not bos else -1.0 * 2**-n for n in range(len(tokens))]
    starts = [len("".join(tokens[:n])) for n in range(len(tokens) + 1)]
    own = [n for n in range(len(tokens)) if starts[n + 1] > len(prompt.rstrip())]
    choice = echoed(tokens, logprobs, bos=bos, said="" if is_ours else "!")
    engine = "stillhouse" if is_ours else "vllm"
    if logprobs[own[0]] is None:
        with pytest.raises(UsageError, match="no log-probability"):
            read(choice, prompt, continuation, engine)
        return
    found = read(choice, prompt, continuation, engine)
    assert found.total == sum(logprobs[n] or 0.0 for n in own)
    assert found.num_tokens == len(own)
    assert found.num_bytes == len(continuation.encode())
    assert found.is_greedy == all((logprobs[n] or -9) >= -1.0 for n in own)


def test_parts_of_a_character_belong_to_who_has_the_character() -> None:
    choice = {
        "text": "é🕷🕷",
        "logprobs": {
            "tokens": ["é", "�", "�", "�", "�"],
            "token_logprobs": [None, -1.0, -2.0, -4.0, -8.0],
            "top_logprobs": [None, *({"x": -0.5},) * 4],
            "text_offset": [0, 1, 1, 2, 2],
        },
    }
    assert read(choice, "é🕷", "🕷", "stillhouse") == Likelihood(-12.0, 2, 4, is_greedy=False)
    assert read(choice, "é", "🕷🕷", "stillhouse") == Likelihood(-15.0, 4, 8, is_greedy=False)


def test_all_continuations_are_asked_at_once_and_read_by_their_number() -> None:
    first = {"index": 0, **echoed(["The", " sky"], [None, -2.0])}
    second = {"index": 1, **echoed(["The", " sea", "s"], [None, -0.5, -0.25])}
    script = _script({"choices": [second, first]})
    with StubServer(script) as stub, Client(stub.url) as client:
        found = client.likelihoods("The", [" sky", " seas"])
    assert found == [Likelihood(-2.0, 1, 4, False), Likelihood(-0.75, 2, 5, True)]
    (asked,) = stub.asked
    assert asked.path == "/v1/completions"
    assert asked.body == {
        "model": "stub",
        "prompt": ["The sky", "The seas"],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "echo": True,
    }


def test_more_than_a_server_takes_at_once_are_asked_in_turn() -> None:
    choices = [{"index": n, **echoed(["The", " sky"], [None, -1.0])} for n in range(64)]
    scripts = [_script({"choices": choices}), _script({"choices": choices[:6]})]
    with StubServer(*scripts) as stub, Client(stub.url) as client:
        assert len(client.likelihoods("The", [" sky"] * 70)) == 70
        assert client.likelihoods("The", []) == []
    assert [len(asked.body["prompt"]) for asked in stub.asked] == [64, 6]


@pytest.mark.parametrize("engine", ["llama.cpp", "ollama"])
def test_a_server_without_echo_is_told_in_one_line(engine: str) -> None:
    with StubServer(engine=engine) as stub, Client(stub.url) as client:
        with pytest.raises(UsageError, match=f"{engine} tells no log-probabilities of prompts"):
            client.likelihoods("The", [" sky"])
        assert not stub.asked


@pytest.mark.parametrize(
    "document",
    [
        {"choices": [{"index": 0, "text": " is blue", "logprobs": None}]},  # no echo
        {"choices": [{"index": 0, "text": "The sky!", "logprobs": None}]},
        {"choices": [{"index": 0, "text": "The sky!", "logprobs": {"content": []}}]},
        {
            "choices": [
                {"index": 0, "text": "The sky!", "logprobs": {"tokens": [], "text_offset": []}}
            ]
        },
        {"choices": [{"index": 0, **echoed(["The", " sky"], [None, -1.0]), "text": None}]},
        {"choices": []},
        {"choices": None},
        [],
        None,
    ],
    ids=range(9),
)
def test_what_is_no_echo_is_one_line(document: Any) -> None:
    with (
        StubServer(_script(document)) as stub,
        Client(stub.url) as client,
        pytest.raises(RequestFailed, match="did not echo the prompt"),
    ):
        client.likelihoods("The", [" sky"])


def test_a_refusal_is_the_servers_word() -> None:
    script = Script(status=400, body=b'{"error": {"message": "echo is not my thing"}}')
    with (
        StubServer(script) as stub,
        Client(stub.url) as client,
        pytest.raises(RequestFailed, match="echo is not my thing"),
    ):
        client.likelihoods("The", [" sky"])


def _script(document: Any) -> Script:
    return Script(content_type="application/json", body=json.dumps(document).encode())
