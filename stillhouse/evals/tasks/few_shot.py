"""Which examples lm-eval shows before a question. Read in its 0.4.13, `lm_eval/api/samplers.py`."""

from __future__ import annotations

import random
from collections.abc import Sequence

from stillhouse.errors import UsageError
from stillhouse.evals.task import Row

LM_EVAL = "github.com/EleutherAI/lm-evaluation-harness 0.4.13, lm_eval/tasks"
_SEED = 1234  # lm-eval's default `fewshot_random_seed`; a run's own seed changes no example


def drawn(task: str, shots: Sequence[Row], count: int, num_problems: int) -> list[list[Row]]:
    """`count` examples for each problem, in the order that they are shown.

    One generator serves all problems in the order of the data. So problem n has the same examples
    in a run over the first n + 1 as in one over all; the size of the pool counts too.
    """
    if len(shots) < count:
        raise UsageError(
            f"{task} shows {count} examples before a question, and there are {len(shots)} rows to"
            " take them from",
            hint="--shots-data FILE, with the data set's training split",
        )
    generator = random.Random(_SEED)
    return [generator.sample(shots, count) for _ in range(num_problems)]


def shown(examples: Sequence[tuple[str, str]]) -> str:
    """Questions and answers as they stand before the last question."""
    return "".join(f"{question} {answer}\n\n" for question, answer in examples)
