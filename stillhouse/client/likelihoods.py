"""Log-likelihoods of continuations from any server that echoes prompts with log-probabilities.

Each prompt is sent with one continuation, all in one request, and comes back with its tokens and
their offsets in the text. Which tokens are the continuation's is told by where they end, counted
from the end of the text: so a token that begins every text, which some servers count and some do
not, moves nothing. A token over the border belongs to the continuation, and so does white space at
the end of the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stillhouse.errors import RequestFailed, UsageError
from stillhouse.likelihoods import Likelihood

_WITHOUT_ECHO = ("llama.cpp", "ollama")


def body_of_weighing(
    prompt: str, continuations: Sequence[str], *, model: str, engine: str
) -> dict[str, Any]:
    """The JSON of a request. Raises UsageError for a server that is known not to answer it."""
    if engine in _WITHOUT_ECHO:
        raise UsageError(
            f"{engine} tells no log-probabilities of prompts, which log-likelihoods are made of",
            hint="ask Stillhouse, vLLM or SGLang, or evaluate in process",
        )
    for continuation in continuations:
        if not continuation:
            raise UsageError("a continuation is empty")
    return {
        "model": model,
        "prompt": [prompt + continuation for continuation in continuations],
        "max_tokens": _num_said(engine),
        "temperature": 0,
        "logprobs": 1,
        "echo": True,
    }


def read_weighing(
    document: Any, prompt: str, continuations: Sequence[str], *, engine: str, url: str
) -> list[Likelihood]:
    """What the answer says. Raises RequestFailed for one that does not, UsageError for a prompt
    that is empty where nothing begins a text.
    """
    try:
        choices = sorted(document["choices"], key=lambda choice: int(choice["index"]))
        if len(choices) != len(continuations):
            raise ValueError
        return [
            _likelihood(choice, prompt, continuation, _num_said(engine))
            for choice, continuation in zip(choices, continuations, strict=True)
        ]
    except (LookupError, TypeError, ValueError, AttributeError):
        raise RequestFailed(
            f"{url} did not echo the prompt with its tokens' log-probabilities",
            kind="server",
            hint="log-likelihoods need a server that knows echo with logprobs, as vLLM does",
        ) from None


def _num_said(engine: str) -> int:
    """Tokens that are said after the prompt: others than ours want one at least."""
    return 0 if engine == "stillhouse" else 1


def _likelihood(
    choice: dict[str, Any], prompt: str, continuation: str, num_said: int
) -> Likelihood:
    """Raises ValueError, TypeError and KeyError for what is no echo."""
    if not choice["text"].startswith(prompt + continuation):
        raise ValueError
    tail_chars = len(prompt) - len(prompt.rstrip()) + len(continuation)
    tokens = []
    for logprob, top in _tokens_of_end(choice["logprobs"], tail_chars, num_said):
        if logprob is None:
            raise UsageError(
                "the first token of a text has no log-probability: the prompt is empty"
            )
        tokens.append((float(logprob), logprob >= max(top.values())))
    return Likelihood.of_tokens(continuation, tokens)


def _tokens_of_end(
    logprobs: dict[str, Any], num_chars: int, num_said: int
) -> Iterator[tuple[Any, Any]]:
    """Log-probability and the likeliest of each token of the last so many characters."""
    texts, offsets = logprobs["tokens"], logprobs["text_offset"]
    num_tokens = len(texts) - num_said
    ends = [*offsets[1:], offsets[-1] + len(texts[-1])]
    border = ends[num_tokens - 1] - num_chars
    columns = (offsets, ends, logprobs["token_logprobs"], logprobs["top_logprobs"])
    rows = [*zip(*columns, strict=True)]
    for start, end, logprob, top in rows[:num_tokens]:
        if start >= border or end > border:
            yield logprob, top
