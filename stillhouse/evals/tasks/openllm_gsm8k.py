"""GSM8K as the Open LLM Leaderboard v1 has it: five worked examples, greedy, `####` or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from stillhouse.evals.fields import row_id, texts
from stillhouse.evals.task import Problem, Row, Task
from stillhouse.evals.tasks.few_shot import LM_EVAL, drawn, shown
from stillhouse.evals.tasks.gsm8k import TEST, TRAIN, final_number

NAME, SHOTS = "openllm_gsm8k", 5
QUESTION = "Question: {question}\nAnswer:"


def _problems(rows: Sequence[Row], shots: Sequence[Row], _seed: int) -> list[Problem]:
    examples = drawn(NAME, shots, SHOTS, len(rows))
    return [_problem(row, number, examples[number]) for number, row in enumerate(rows)]


def _problem(row: Row, number: int, examples: Sequence[Row]) -> Problem:
    before = shown([_read(example) for example in examples])
    question, answer = _read(row)
    return Problem(row_id(row, number), before + question, final_number(row, answer))


def _read(row: Row) -> tuple[str, str]:
    question, answer = texts(row, "question", "answer")
    return QUESTION.format(question=question), answer


OPENLLM_GSM8K = Task(
    name=NAME,
    version=1,
    title="GSM8K, 5 shots (Open LLM Leaderboard v1)",
    source=f"{LM_EVAL}/gsm8k/gsm8k.yaml, strict-match",
    asking="completion",
    prompt=QUESTION,
    problems=_problems,
    grader="strict_number",
    data=TEST,
    shots_data=TRAIN,
    num_shots=SHOTS,
    max_tokens=256,  # lm-eval's default `max_gen_toks`
    stop=("Question:", "</s>", "<|im_end|>"),
    greedy=True,
)
