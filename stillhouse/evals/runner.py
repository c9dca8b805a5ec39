"""Asks a task's questions of a system, grades what comes while more comes, and keeps it.

Questions are asked in order, as many samples at once as there is room for. Samples of a question
that find room together share one reading of its prompt, and those after them find it in the cache.
A sample that is kept is never asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Unpack

from stillhouse.errors import RequestFailed, StillhouseError
from stillhouse.evals.asking import Assignment, TaskSettings
from stillhouse.evals.choosing import choose
from stillhouse.evals.early_warnings import EarlyWarning
from stillhouse.evals.patience import Patience, Sleep
from stillhouse.evals.sample import Grade, Sample
from stillhouse.evals.seeds import sample_seed
from stillhouse.evals.store import Done, TaskStore
from stillhouse.evals.task import GraderName, Problem
from stillhouse.likelihoods import Likelihood
from stillhouse.questions import Chat, ChatOptions, Prompt
from stillhouse.replies import Reply
from stillhouse.text import Delta
from stillhouse.timings import Clock


class ReplyStream(Protocol):
    """A reply as it comes, which nobody computes any more once it is closed."""

    def __aiter__(self) -> AsyncIterator[Delta | Reply]: ...

    def close(self) -> None: ...


class Talker(Protocol):
    """What is asked of a model here or behind a URL."""

    async def asamples(
        self,
        chat: Chat | Prompt,
        num_samples: int,
        *,
        seeds: Sequence[int] | None = None,
        **options: Unpack[ChatOptions],
    ) -> Sequence[ReplyStream]: ...

    async def alikelihoods(
        self, prompt: str, continuations: Sequence[str]
    ) -> Sequence[Likelihood]: ...


class Graders(Protocol):
    """Judges answers without holding up the event loop."""

    async def grade(
        self,
        grader: GraderName,
        problem: Problem,
        *,
        answer: str,
        finish_reason: str,
        thinking_end: str,
    ) -> Grade: ...


class Listener(Protocol):
    """Told what happens while it does."""

    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def piece(self) -> None: ...

    def sample_ended(self, sample: Sample) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`tokens` may be spent on thoughts and answers, those kept already included; None: any."""

    concurrency: int
    tokens: int | None = None


class TaskRunner:
    """One task, one system, one use. `stop` ends it, and what is whole by then is kept."""

    def __init__(
        self,
        assignment: Assignment,
        settings: TaskSettings,
        run_seed: int,
        talker: Talker,
        graders: Graders,
        store: TaskStore,
        limits: Limits,
        listener: Listener,
        stop: asyncio.Event,
        *,
        clock: Clock = time.perf_counter,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._task = assignment.task
        self._problems = assignment.problems
        self._settings = settings
        self._run_seed = run_seed
        self._talker = talker
        self._graders = graders
        self._store = store
        self._limits = limits
        self._listener = listener
        self._stop = stop
        self._clock = clock
        self._patience = Patience(stop, listener.note, sleep)
        self._room = asyncio.Semaphore(limits.concurrency)
        self._early_warning = EarlyWarning(self._task, store.samples)
        self._began_at = clock()

    async def run(self) -> None:
        """Asks what is missing, and sorts the file once all is there that there will be.

        Raises what the model or server does, once other requests have been let go of.
        """
        with self._patience:
            try:
                async with asyncio.TaskGroup() as group:
                    await self._launch(group)
            except* StillhouseError as failures:
                raise _first(failures) from None
        if not self._stop.is_set():
            self._store.sort(self._problems)

    async def _launch(self, group: asyncio.TaskGroup) -> None:
        """Finds room for every sample that is missing, in order."""
        for problem in self._problems:
            missing = [
                number
                for number in range(self._settings.samples)
                if (problem.id, number) not in self._store
            ]
            while missing:
                await self._patience.unless_stopped(self._room.acquire())
                if self._stop.is_set() or self._has_spent_all():
                    return
                together = [missing.pop(0)]
                while missing and not self._room.locked():
                    await self._room.acquire()
                    together.append(missing.pop(0))
                if self._task.asking == "choices":
                    group.create_task(self._weigh(problem))
                else:
                    group.create_task(self._ask(problem, together))

    def _has_spent_all(self) -> bool:
        tokens = self._limits.tokens
        return tokens is not None and self._store.num_tokens >= tokens

    async def _ask(self, problem: Problem, numbers: Sequence[int]) -> None:
        streams = await self._patience.until_it_works(lambda: self._begin(problem, numbers))
        async with asyncio.TaskGroup() as group:
            for number, stream in zip(numbers, streams or (), strict=bool(streams)):
                group.create_task(self._follow(problem, number, stream))

    async def _begin(self, problem: Problem, numbers: Sequence[int]) -> Sequence[ReplyStream]:
        is_plain = self._task.asking == "completion"
        return await self._talker.asamples(
            Prompt(problem.prompt) if is_plain else problem.prompt,
            len(numbers),
            seeds=[self._seed(problem, number) for number in numbers],
            **self._settings.options,
        )

    async def _follow(self, problem: Problem, number: int, stream: ReplyStream) -> None:
        """One sample to its end and into the store. If its stream breaks it is asked again."""
        streams = [stream]

        async def attempt() -> Reply:
            current = streams.pop() if streams else (await self._begin(problem, [number]))[0]
            return await self._drain(current)

        try:
            reply = await self._patience.until_it_works(attempt)
        finally:
            self._room.release()
        if reply is not None:
            assert self._task.grader is not None, "a task that asks for texts has a grader"
            grade = await self._graders.grade(
                self._task.grader,
                problem,
                answer=reply.answer,
                finish_reason=reply.finish_reason,
                thinking_end=reply.thinking_end,
            )
            sample = self._graded(problem, number, reply, grade)
            self._keep(sample, reply.timings.ttft_s, reply.timings.e2e_s)

    async def _drain(self, stream: ReplyStream) -> Reply:
        try:
            async for item in stream:
                if isinstance(item, Reply):
                    if item.finish_reason == "cancelled":  # by the server: no word of the model's
                        raise RequestFailed("the answer was given up", kind="broken_stream")
                    return item
                self._listener.piece()
        finally:
            stream.close()
        raise AssertionError("a stream ends with a Reply")

    def _graded(self, problem: Problem, number: int, reply: Reply, grade: Grade) -> Sample:
        return Sample(
            task=self._task.name,
            problem=problem.id,
            number=number,
            seed=self._seed(problem, number),
            verdict=grade.verdict,
            score=float(grade.verdict == "right"),
            extracted=grade.extracted,
            note=grade.note,
            reasoning=reply.reasoning,
            answer=reply.answer,
            finish_reason=reply.finish_reason,
            thinking_end=reply.thinking_end,
            prompt_tokens=reply.usage.prompt_tokens,
            reasoning_tokens=reply.usage.reasoning_tokens,
            answer_tokens=reply.usage.answer_tokens,
            group=problem.group,
        )

    async def _weigh(self, problem: Problem) -> None:
        """A question whose choices are weighed instead of written."""
        began_at = self._clock()

        async def attempt() -> list[Likelihood]:
            if not problem.contexts:
                return [*await self._talker.alikelihoods(problem.prompt, problem.choices)]
            pairs = zip(problem.contexts, problem.choices, strict=True)
            return [(await self._talker.alikelihoods(a, (b,)))[0] for a, b in pairs]

        try:
            found = await self._patience.until_it_works(attempt)
        finally:
            self._room.release()
        if found is not None:
            totals = tuple(one.total for one in found)
            self._keep(self._chosen(problem, totals), None, self._clock() - began_at)

    def _chosen(self, problem: Problem, loglikelihoods: tuple[float, ...]) -> Sample:
        choice = choose(self._task, problem, loglikelihoods)
        return Sample(
            task=self._task.name,
            problem=problem.id,
            number=0,
            seed=None,
            verdict=choice.verdict,
            score=choice.score,
            extracted=str(choice.index),
            note=None,
            reasoning="",
            answer=problem.choices[choice.index],
            finish_reason="stop",
            thinking_end="none",
            prompt_tokens=0,
            reasoning_tokens=0,
            answer_tokens=0,
            group=problem.group,
            loglikelihoods=loglikelihoods,
        )

    def _keep(self, sample: Sample, ttft_s: float | None, e2e_s: float | None) -> None:
        at_s = self._clock() - self._began_at
        session = self._store.session
        self._store.add(sample, Done(sample.problem, sample.number, session, at_s, ttft_s, e2e_s))
        self._listener.sample_ended(sample)
        for warning in self._early_warning.look(sample):
            self._listener.warn(warning)

    def _seed(self, problem: Problem, number: int) -> int:
        return sample_seed(self._run_seed, self._task.name, problem.id, number)


def _first(failures: BaseExceptionGroup[StillhouseError]) -> StillhouseError:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    assert isinstance(failure, StillhouseError)
    return failure
