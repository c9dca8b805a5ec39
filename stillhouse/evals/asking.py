"""How a task's questions are asked of a system: every value said, so that servers have no say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.evals.systems import System
from stillhouse.evals.task import Problem, Task
from stillhouse.questions import ChatOptions

# Beside the prompt's bytes, which are at least as many as its tokens: a template, a closing tag.
_TEMPLATE_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants of every task; None leaves it to the task, and then to the model."""

    seed: int = 0
    samples: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    think: bool | None = None
    token_budget: int | None = None  # of each model and thinking budget


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task with its problems, made once and asked of every system."""

    task: Task
    problems: tuple[Problem, ...]

    @property
    def prompt_tokens(self) -> int:
        """At most, of the longest; a choice counts with its prompt."""
        longest = max(
            (
                max(map(_num_bytes, (one.prompt, *one.contexts)))
                + max(map(_num_bytes, one.choices), default=0)
                for one in self.problems
            ),
            default=0,
        )
        return longest + _TEMPLATE_TOKENS


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """A task as one system is asked it. Without max_tokens answers end where the context does."""

    samples: int
    options: ChatOptions
    context_tokens: int | None = None

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is drawn, so that the same would come again."""
        return self.options.get("temperature", 0.0) == 0

    def as_json(self, assignment: Assignment) -> dict[str, Any]:
        """What a resumed run must agree in; `questions` and `samples` may grow."""
        task = assignment.task
        options = {**self.options, "stop": list(self.options.get("stop", ()))}
        if task.asking != "choices" and "max_tokens" not in self.options:
            options["context_tokens"] = self.context_tokens
        return {
            "version": task.version,
            "prompt": task.prompt,
            "questions": len(assignment.problems),
            "samples": self.samples,
            "options": options,
        }


def check_thoughts(tasks: Sequence[Task], wishes: Wishes, budgets: Sequence[int | None]) -> None:
    """Raises UsageError where a thought is to be opened or limited, and a task has none: its
    results would be told apart by a budget that nothing was asked with. Also where there is to be
    no thought, and a budget for it.
    """
    if wishes.think is False and any(one is not None for one in budgets):
        raise UsageError("--no-think leaves nothing for a --thinking-budget to limit")
    plain = [task.name for task in tasks if task.asking != "chat"]
    if plain and (wishes.think is not None or any(one is not None for one in budgets)):
        raise UsageError(
            f"{', '.join(plain)}: asked without a chat, so there is no thought to open or to limit",
            hint="ask these tasks without --think, --no-think and --thinking-budget",
        )


def need_tokens(assignments: Sequence[Assignment], wishes: Wishes) -> int:
    """Of context, for the longest prompt and the longest answer of every task."""
    return max(one.prompt_tokens + (_most_tokens(one.task, wishes) or 0) for one in assignments)


def settings_for(
    assignment: Assignment,
    system: System,
    wishes: Wishes,
    thinking_budget: int | None,
    before: Mapping[str, Any] | None = None,
) -> TaskSettings:
    """`before` is how this system was asked the task in an earlier session, as `as_json` has it.

    Raises UsageError where samples would be copies of each other, or wishes contradict.
    """
    task = assignment.task
    samples = wishes.samples or task.samples
    is_weighed = task.asking == "choices"
    options: ChatOptions = {} if is_weighed else _sampling(task, system, wishes)
    if samples > 1 and (is_weighed or options["temperature"] == 0):
        how = "whose choices are weighed" if is_weighed else "at temperature 0"
        raise UsageError(
            f"{samples} samples of {task.name}, {how}, would be copies of one",
            hint="give --samples 1" + ("" if is_weighed else ", or a --temperature above 0"),
        )
    if is_weighed:
        return TaskSettings(1, {})
    if task.asking == "chat":
        options |= _thinking(wishes.think, thinking_budget)
    max_tokens = _most_tokens(task, wishes)
    context = system.context_tokens
    has_room = context is None or assignment.prompt_tokens + max_tokens <= context
    if before is not None:  # a server may tell its context only once its model is loaded
        has_room = "max_tokens" in before
        context = before.get("context_tokens") if context is None else context
    # A chat's limit is for thoughts as long as they get; a completion's is part of its protocol.
    if has_room or wishes.max_tokens is not None or task.asking == "completion":
        options["max_tokens"] = max_tokens
    if task.stop:
        options["stop"] = task.stop
    return TaskSettings(samples, options, context)


def _sampling(task: Task, system: System, wishes: Wishes) -> ChatOptions:
    own = system.sampling
    temperature = wishes.temperature
    if temperature is None:
        temperature = 0.0 if task.greedy else own.temperature
    if temperature == 0:
        return {"temperature": 0.0}
    options: ChatOptions = {
        "temperature": temperature,
        "top_p": own.top_p if wishes.top_p is None else wishes.top_p,
    }
    if system.takes_all_options:
        options |= {"top_k": own.top_k, "min_p": own.min_p}
    return options


def _thinking(think: bool | None, budget: int | None) -> ChatOptions:
    """A budget opens a thought, also in models that were not made to think."""
    if budget is None:
        return {} if think is None else {"think": think}
    return {"think": True, "thinking_budget": budget}


def _most_tokens(task: Task, wishes: Wishes) -> int:
    if task.asking == "choices":
        return 0
    return task.max_tokens if wishes.max_tokens is None else wishes.max_tokens


def _num_bytes(text: str) -> int:
    return len(text.encode())
