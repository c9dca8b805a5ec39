"""The engine in a thread of its own, for any number of threads and event loops.

The engine itself knows nothing of threads: this one alone touches it. What others want of it they
put into a queue, which is emptied before every step; while there is nothing to compute, the thread
sleeps on that queue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from stillhouse.engine.engine import Engine
from stillhouse.engine.model import CacheT
from stillhouse.engine.request import Request
from stillhouse.engine.streams import AsyncEventStream, EventStream, Inbox, deliver
from stillhouse.errors import EngineStopped, StillhouseError, UsageError

ResultT = TypeVar("ResultT")
StreamT = TypeVar("StreamT", EventStream, AsyncEventStream)


class _Call(NamedTuple):
    function: Callable[[Any], Any]
    future: Future[Any]


class EngineLoop(Generic[CacheT]):
    """Steps an engine while it has work. None of its methods waits for a step but `close`."""

    def __init__(self, engine: Engine[CacheT]) -> None:
        """The engine must not be used in any other way from now on."""
        self._engine = engine
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()  # None: come to an end
        self._open: dict[int, Inbox] = {}
        self._failure: BaseException | None = None
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name="still-engine", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> BaseException | None:
        """What ended the engine before its time. Everybody who listened has been told."""
        return self._failure

    def submit(self, request: Request) -> EventStream:
        """Queues a request, to be read in a thread. Raises what `Engine.check` does."""
        return self.submit_samples(request, (request.sampling.seed,))[0]

    def submit_samples(self, request: Request, seeds: Sequence[int | None]) -> list[EventStream]:
        """As `submit`, for an answer with each seed; the prompt is computed once."""
        return self._submit_samples(request, EventStream, seeds)

    def submit_async(self, request: Request) -> AsyncEventStream:
        """As `submit`, to be read in the event loop that runs now."""
        return self.submit_samples_async(request, (request.sampling.seed,))[0]

    def submit_samples_async(
        self, request: Request, seeds: Sequence[int | None]
    ) -> list[AsyncEventStream]:
        """As `submit_samples`, to be read in the event loop that runs now."""
        return self._submit_samples(request, AsyncEventStream, seeds)

    def submit_scored(
        self, request: Request, continuations: Sequence[Sequence[int]]
    ) -> list[EventStream]:
        """A stream of the request, and one for each continuation of its prompt, with a single event
        that scores it. The prompt is computed once. Raises as `submit`.
        """
        return self._submit_scored(request, EventStream, continuations)

    def submit_scored_async(
        self, request: Request, continuations: Sequence[Sequence[int]]
    ) -> list[AsyncEventStream]:
        """As `submit_scored`, to be read in the event loop that runs now."""
        return self._submit_scored(request, AsyncEventStream, continuations)

    def fork(
        self,
        stream: StreamT,
        num_forks: int,
        *,
        extra_ids: Sequence[int] = (),
        max_tokens: int | None = None,
    ) -> list[StreamT]:
        """Streams like this one, of forks of its request: see `Engine.fork`.

        They go on from wherever the engine is by then: the first event's index says where. What
        `Engine.fork` raises comes as the first event would.
        """
        forks = [type(stream)(self._cancel, self._close_thought) for _ in range(num_forks)]
        inbox = stream.inbox

        def enter(engine: Engine[CacheT]) -> list[int]:
            if inbox.request_id is None:
                raise UsageError("the request to fork was refused, and never ran")
            return engine.fork(
                inbox.request_id, num_forks, extra_ids=extra_ids, max_tokens=max_tokens
            )

        self._enter(enter, [fork.inbox for fork in forks])
        return forks

    def call(self, function: Callable[[Engine[CacheT]], ResultT]) -> Future[ResultT]:
        """Has the engine's thread call this between two steps. It may only do what is quick."""
        future: Future[ResultT] = Future()
        self._calls.put(_Call(function, future))
        if self._has_ended:  # perhaps too late for the thread to see it
            self._refuse_calls()
        return future

    def close(self) -> None:
        """Cancels what is open and ends the thread, after the step that it is in."""
        self._calls.put(None)
        self._thread.join()

    def _submit_samples(
        self, request: Request, kind: type[StreamT], seeds: Sequence[int | None]
    ) -> list[StreamT]:
        self._engine.check(request)
        if len(seeds) > 1 and not request.sampling.max_tokens:
            raise UsageError(
                f"{len(seeds)} samples of a request that only scores would be the same"
            )
        streams = [kind(self._cancel, self._close_thought) for _ in seeds]

        def enter(engine: Engine[CacheT]) -> list[int]:
            return engine.submit_samples(request, seeds)

        self._enter(enter, [stream.inbox for stream in streams])
        return streams

    def _submit_scored(
        self, request: Request, kind: type[StreamT], continuations: Sequence[Sequence[int]]
    ) -> list[StreamT]:
        self._engine.check(request)
        for ids in continuations:
            self._engine.check(_scoring(request, ids))
        streams = [kind(self._cancel, self._close_thought) for _ in (request, *continuations)]

        def enter(engine: Engine[CacheT]) -> list[int]:
            first_id: int = engine.submit(request)
            scored: list[int] = []
            for ids in continuations:
                scored += engine.fork(first_id, 1, extra_ids=ids, max_tokens=0, is_scored=True)
            return [first_id, *scored]

        self._enter(enter, [stream.inbox for stream in streams])
        return streams

    def _enter(
        self, enter: Callable[[Engine[CacheT]], list[int]], inboxes: Sequence[Inbox]
    ) -> None:
        """Has `enter` put requests into the engine, and listens to them from the start."""

        def listen(engine: Engine[CacheT]) -> None:
            for request_id, inbox in zip(enter(engine), inboxes, strict=True):
                inbox.request_id = request_id
                self._open[request_id] = inbox

        def tell(future: Future[None]) -> None:
            error = future.exception()
            if error is not None:
                assert isinstance(error, StillhouseError)
                deliver((inbox, error) for inbox in inboxes)

        self.call(listen).add_done_callback(tell)

    def _cancel(self, inbox: Inbox) -> None:
        self.call(partial(_cancel, inbox))

    def _close_thought(self, inbox: Inbox) -> None:
        self.call(partial(_close_thought, inbox))

    def _run(self) -> None:
        try:
            while self._obey():
                if self._engine.has_work:
                    self._step()
            for request_id in self._open:
                self._engine.cancel(request_id)
            self._step()
        except BaseException as failure:  # a broken engine must leave nobody waiting
            self._failure = failure
        finally:
            self._has_ended = True
            deliver((inbox, self._stopped()) for inbox in self._open.values())
            self._open.clear()
            self._refuse_calls()

    def _obey(self) -> bool:
        """Does what has been asked for, waiting for it if there is no other work; False to end."""
        must_wait = not self._engine.has_work
        while must_wait or not self._calls.empty():
            call = self._calls.get()
            must_wait = False
            if call is None:
                return False
            if call.future.set_running_or_notify_cancel():
                self._answer(call)
        return True

    def _answer(self, call: _Call) -> None:
        try:
            result = call.function(self._engine)
        except StillhouseError as error:
            call.future.set_exception(error)
        except BaseException as failure:
            self._failure = failure
            call.future.set_exception(self._stopped())
            raise
        else:
            call.future.set_result(result)

    def _step(self) -> None:
        """One step of the engine; tells what it says to those who listen."""
        told = []
        for event in self._engine.step():
            inbox = self._open.get(event.request_id)
            if inbox is not None:
                told.append((inbox, event))
                if event.finish_reason is not None:
                    del self._open[event.request_id]
        for inbox in deliver(told):
            _cancel(inbox, self._engine)

    def _refuse_calls(self) -> None:
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            if call is not None and call.future.set_running_or_notify_cancel():
                call.future.set_exception(self._stopped())

    def _stopped(self) -> EngineStopped:
        if self._failure is None:
            return EngineStopped("the model was closed")
        what = f"{type(self._failure).__name__}: {self._failure}"
        error = EngineStopped(f"the model failed in the middle of a step ({what})")
        error.__cause__ = self._failure
        return error


def _scoring(request: Request, ids: Sequence[int]) -> Request:
    """What scores these ids after the prompt, alone."""
    return replace(
        request,
        prompt_ids=(*request.prompt_ids, *ids),
        sampling=replace(request.sampling, max_tokens=0),
        score_from=request.num_prompt,
    )


def _cancel(inbox: Inbox, engine: Engine[Any]) -> None:
    if inbox.request_id is not None:
        engine.cancel(inbox.request_id)


def _close_thought(inbox: Inbox, engine: Engine[Any]) -> None:
    if inbox.request_id is not None:
        engine.close_thought(inbox.request_id)
