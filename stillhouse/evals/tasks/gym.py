"""Problems that reasoning-gym makes up, as many as wanted; its own scorers say what is right."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib.metadata import version

from stillhouse.errors import UsageError
from stillhouse.evals.fields import pick
from stillhouse.evals.grading.entries import Entry, entries, question_hash
from stillhouse.evals.task import Problem, Row, Task

PREFIX = "gym:"
# Some data sets of the library make other problems where they are to make more, so it is told one
# size whatever the limit.
LARGEST = 1000
_PROMPT = (
    "Given a problem, your task is to answer the question by thinking step-by-step in a clear and"
    " specific manner.\nOnce you have thought about the reasoning process, provide the answer in"
    " the following format:\n<answer>answer here</answer>\nDo not explain your reasoning inside the"
    " answer tags, provide only the final answer. When an example is provided, you should strictly"
    " follow the format of the output/answer in that example.\n\n{question}"
)
_REFUSED = {
    "composite": "is made of others, by a configuration of its own",
    "game_of_life_halting": "has a scorer that calls every answer right",
}


def gym_task(name: str) -> Task:
    """The task `gym:<name>`, with the library's default difficulty.

    Raises UsageError for a name that reasoning-gym does not have, or that cannot be scored, or
    where it isn't installed.
    """
    data_set = name.removeprefix(PREFIX)
    known = _names()
    if data_set in _REFUSED:
        raise UsageError(f"{name} {_REFUSED[data_set]}", hint=f"there are {len(known)} others")
    if data_set not in known:
        close = get_close_matches(data_set, known, n=3, cutoff=0.5)
        raise UsageError(
            f"reasoning-gym makes no {data_set!r}",
            hint="did you mean " + " or ".join(PREFIX + each for each in close) + "?"
            if close
            else f"it makes {len(known)} kinds of problem, as gym:chain_sum",
        )

    def problems(rows: Sequence[Row], _shots: Sequence[Row], seed: int) -> list[Problem]:
        indices = [int(pick(row, "index")[0]) for row in rows]
        if max(indices, default=0) >= LARGEST:
            raise UsageError(f"{name} makes at most {LARGEST} problems a seed")
        made = entries(data_set, seed, LARGEST, indices)
        return [
            _problem(data_set, entry, seed, index)
            for entry, index in zip(made, indices, strict=True)
        ]

    return Task(
        name=PREFIX + data_set,
        version=2,  # 1 made some problems anew in each process, and read plain notation only
        title=f"reasoning-gym, {data_set.replace('_', ' ')}",
        source=f"reasoning-gym {version('reasoning-gym')}, its default system prompt asked as part"
        " of the question",
        asking="chat",
        prompt=_PROMPT,
        problems=problems,
        grader="procedural",
    )


def _problem(data_set: str, entry: Entry, seed: int, index: int) -> Problem:
    """`extra` is what the library makes the entry of again, for its scorer, and how to know it.

    The entry itself may hold tuples, which JSON turns into lists, and some scorers take no lists.
    """
    return Problem(
        str(index),
        _PROMPT.format(question=entry.question),
        entry.answer or "",  # none: many are right, the scorer checks
        extra={
            "dataset": data_set,
            "seed": seed,
            "size": LARGEST,
            "index": index,
            "question": question_hash(entry.question),
        },
    )


def _names() -> list[str]:
    try:
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise UsageError(
            "gym tasks need reasoning-gym", hint="pip install 'stillhouse[eval]'"
        ) from error
    return sorted(set(DATASETS) - set(_REFUSED))
