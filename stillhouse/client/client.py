"""Chats with a model behind a URL."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, Literal, Self, TypeVar, Unpack, overload
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohttp

from stillhouse.client import describing
from stillhouse.client.bodies import body_of
from stillhouse.client.describing import ServerFacts
from stillhouse.client.failures import broken_off, broken_stream, no_reply, refusal, told_in_stream
from stillhouse.client.likelihoods import body_of_weighing, read_weighing
from stillhouse.client.replies import ServedReply, ServedReplyReader
from stillhouse.client.streams import ServedStream
from stillhouse.errors import Offline, UsageError
from stillhouse.likelihoods import Likelihood
from stillhouse.questions import Chat, ChatOptions, Prompt, seeds_of
from stillhouse.text import Delta
from stillhouse.timings import Clock

T = TypeVar("T")

_MOST_BODY_BYTES = 2**20  # of a response that is no stream
_MOST_WEIGHED = 64  # continuations in one request: what our own server takes
_MOST_WEIGHING_BYTES = 2**28  # 64 prompts of 32,768 tokens at some 100 bytes
# Shorter than servers keep idle connections (uvicorn and llama.cpp: 5 s), so that no request goes
# into one that is being closed.
_KEEPALIVE_S = 3.0


class Client:
    """A server with OpenAI's API. A context manager, for tasks or without.

        async with Client("http://localhost:8000") as client:
            reply = await client.achat("Hello")

        with Client("http://localhost:8000") as client:
            reply = client.chat("Hello")

    Any number of tasks of one event loop may chat at once, each over a connection of its own.
    `chat`, `samples` and `close` run a loop of the client's own, one at a time, and are not for
    use within another.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 300.0,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Asks nothing yet. `url` is the server's root, or that with `/v1`.

        `model` None is the only or first that is served. `timeout_s` of silence, before the
        response or within it, fails a request. Raises UsageError for what is no http(s) URL.
        """
        self.url = _root(url)
        self._model = model
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._clock = clock
        self._facts: ServerFacts | None = None
        self._describing = asyncio.Lock()
        self._keeps_connections = True
        self._streams: WeakSet[ServedStream] = WeakSet()
        self._session: aiohttp.ClientSession | None = None
        self._runner: asyncio.Runner | None = None

    async def describe(self) -> ServerFacts:
        """What answers there; asked once, then remembered.

        Raises Offline if nothing does, UsageError if the model is not served, RequestFailed for a
        refusal.
        """
        async with self._describing:
            if self._facts is None:
                async with self._new_session() as session:
                    get = partial(self._get, session)
                    self._facts = await describing.describe(get, self.url, self._model)
        return self._facts

    @overload
    async def achat(
        self, chat: Chat | Prompt, *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> ServedReply: ...

    @overload
    async def achat(
        self, chat: Chat | Prompt, *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> ServedStream: ...

    async def achat(
        self, chat: Chat | Prompt, *, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> ServedReply | ServedStream:
        """Answers a text or a list of messages: the reply, or with `stream` its pieces and it.

        Returns the stream once the server has accepted the request. The first chat of all has the
        server described, before its time begins. A `Prompt` goes to /v1/completions as it is.

        Raises what `describe` does; RequestFailed, of which FieldRefused if the server names a
        field that it does not take; UsageError for options that have no meaning over a URL.
        """
        facts = self._facts or await self.describe()
        asked_at = self._clock()
        body = body_of(chat, options, model=facts.model, engine=facts.engine)
        is_plain = isinstance(chat, Prompt)
        path = "/v1/completions" if is_plain else "/v1/chat/completions"
        answer = ServedStream(
            await self._post(path, body),
            ServedReplyReader(
                asked_at,
                is_plain=is_plain,
                may_be_inline=facts.engine != "stillhouse",
            ),
            url=self.url,
            timeout_s=self._timeout_s,
            clock=self._clock,
        )
        if not stream:
            return await answer.drain()
        self._streams.add(answer)
        return answer

    async def asamples(
        self,
        chat: Chat | Prompt,
        num_samples: int,
        *,
        seeds: Sequence[int] | None = None,
        **options: Unpack[ChatOptions],
    ) -> list[ServedStream]:
        """Streams of as many requests at once, with seeds as `LLM.samples` has them. Raises as
        `achat`, if any of them fails to begin.
        """
        asked = []
        for seed in seeds_of(num_samples, options.pop("seed", None), seeds):
            own: ChatOptions = {**options, "seed": seed}
            asked.append(self.achat(chat, stream=True, **own))
        begun = await asyncio.gather(*asked, return_exceptions=True)
        streams = [stream for stream in begun if isinstance(stream, ServedStream)]
        for failure in begun:
            if isinstance(failure, BaseException):
                for stream in streams:
                    stream.close()
                raise failure
        return streams

    @overload
    def chat(
        self, chat: Chat | Prompt, *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> ServedReply: ...

    @overload
    def chat(
        self, chat: Chat | Prompt, *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> Iterator[Delta | ServedReply]: ...

    def chat(
        self, chat: Chat | Prompt, *, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> ServedReply | Iterator[Delta | ServedReply]:
        """As `achat`, outside of an event loop."""
        if stream:
            return self._pieces(self._run(self.achat(chat, stream=True, **options)))
        return self._run(self.achat(chat, **options))

    def samples(
        self,
        chat: Chat | Prompt,
        num_samples: int,
        *,
        seeds: Sequence[int] | None = None,
        **options: Unpack[ChatOptions],
    ) -> list[ServedReply]:
        """Whole replies, as `asamples` asks for them, outside of an event loop."""

        async def drained() -> list[ServedReply]:
            streams = await self.asamples(chat, num_samples, seeds=seeds, **options)
            try:
                return await asyncio.gather(*(stream.drain() for stream in streams))
            finally:
                for stream in streams:
                    stream.close()

        return self._run(drained())

    async def alikelihoods(self, prompt: str, continuations: Sequence[str]) -> list[Likelihood]:
        """How probable each text is right after the prompt, by a server that echoes prompts.

        Raises what `describe` does; UsageError for a server that is known not to echo and for a
        continuation without tokens; RequestFailed.
        """
        facts = self._facts or await self.describe()
        found: list[Likelihood] = []
        for start in range(0, len(continuations), _MOST_WEIGHED):
            some = continuations[start : start + _MOST_WEIGHED]
            body = body_of_weighing(prompt, some, model=facts.model, engine=facts.engine)
            response = await self._send("/v1/completions", body)
            async with response:
                told = await self._read(response, _MOST_WEIGHING_BYTES)
            if response.status != 200:
                raise refusal(response.status, told, self.url, body)
            document = _parsed(told)
            found += read_weighing(document, prompt, some, engine=facts.engine, url=self.url)
        return found

    def likelihoods(self, prompt: str, continuations: Sequence[str]) -> list[Likelihood]:
        """As `alikelihoods`, outside of an event loop."""
        return self._run(self.alikelihoods(prompt, continuations))

    async def aclose(self) -> None:
        """Closes all connections; streams that are open end."""
        for stream in [*self._streams]:
            stream.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def close(self) -> None:
        """As `aclose`, outside of an event loop."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.run(self.aclose())
            runner.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work)

    def _pieces(self, stream: ServedStream) -> Iterator[Delta | ServedReply]:
        with stream:
            while items := self._run(stream.batch()):
                yield from items

    async def _post(self, path: str, body: dict[str, Any]) -> aiohttp.ClientResponse:
        """A response that has begun to stream."""
        response = await self._send(path, body)
        if response.status == 200 and response.content_type == "text/event-stream":
            return response
        async with response:
            told = await self._read(response)
        if response.status != 200:
            raise refusal(response.status, told, self.url, body)
        if response.content_type == "application/json" and b'"error"' in told[:100]:
            raise told_in_stream(told, self.url)
        raise broken_stream(self.url, f"is none, but {response.content_type}: {told[:100]!r}")

    async def _send(self, path: str, body: dict[str, Any]) -> aiohttp.ClientResponse:
        data = json.dumps(body, separators=(",", ":")).encode()
        try:
            return await self._opened().post(self.url + path, data=data)
        except (aiohttp.ClientError, OSError) as error:
            raise no_reply(error, self.url, self._timeout_s) from error

    async def _get(self, session: aiohttp.ClientSession, path: str) -> dict[str, Any] | None:
        """As describing.Get. Raises Offline, and RequestFailed for a key that is wrong or missing
        and for a server that is not ready.
        """
        try:
            response = await session.get(self.url + path)
        except (aiohttp.ClientError, OSError) as error:
            failure = no_reply(error, self.url, self._timeout_s)
            raise Offline(failure.message, hint=failure.hint) from error
        if "Keep-Alive" in response.headers:
            # The word of cpp-httplib, and so of llama.cpp: each connection serves 100 requests. But
            # it is closed at the end of a stream, and who is quick to ask again loses a request.
            self._keeps_connections = False
        async with response:
            told = await self._read(response)
        if response.status in (401, 403) or response.status >= 500:
            raise refusal(response.status, told, self.url, ())
        document = _parsed(told)
        return document if response.status == 200 and isinstance(document, dict) else None

    async def _read(
        self, response: aiohttp.ClientResponse, most_bytes: int = _MOST_BODY_BYTES
    ) -> bytes:
        parts, num_bytes = [], 0
        try:
            while num_bytes < most_bytes and (part := await response.content.readany()):
                parts.append(part)
                num_bytes += len(part)
        except (aiohttp.ClientError, OSError) as error:
            raise broken_off(error, self.url, self._timeout_s) from error
        return b"".join(parts)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        # Without compression: it would hold pieces back.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if self._keeps_connections:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
        else:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
        return aiohttp.ClientSession(
            headers=headers,
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s
            ),
        )


def _parsed(told: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(told)
    except (ValueError, RecursionError):
        return None


def _root(url: str) -> str:
    """The URL without `/v1` and slashes at its end."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # raises ValueError for what is none
    except ValueError:
        is_right = False
    if not is_right:
        raise UsageError(
            f"'{url[:200]}' is no URL of a server", hint="a URL is as http://localhost:8000"
        )
    return url.rstrip("/").removesuffix("/v1").rstrip("/")
