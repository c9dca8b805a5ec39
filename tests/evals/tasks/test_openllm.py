"""The leaderboard's six tasks ask what lm-eval asks, letter for letter.

Its 0.4.13 was given rows like these once, and built the same requests; what is written here is
what came, the numbers of the drawn examples too.
"""

from __future__ import annotations

from typing import Any

import pytest

from stillhouse.errors import UsageError
from stillhouse.evals.fields import WrongFields
from stillhouse.evals.tasks import task_named
from tests.evals.tasks.rows import (
    MYTHS,
    SCENES,
    SCHOOL,
    SENTENCES,
    SUBJECTS,
    WORDED,
    problems,
)


def test_gsm8k_shows_five_worked_answers_and_stops_where_a_sixth_would_begin() -> None:
    made = problems("openllm_gsm8k", WORDED[7:], WORDED[:7])
    shown = "".join(
        f"Question: {WORDED[i]['question']}\nAnswer: {WORDED[i]['answer']}\n\n"
        for i in (6, 3, 0, 4, 5)
    )
    assert made[0].prompt == f"{shown}Question: {WORDED[7]['question']}\nAnswer:"
    assert [each.gold for each in made] == ["16", "18", "20", "22", "24"]
    task = task_named("openllm_gsm8k")
    assert (task.asking, task.greedy, task.grader) == ("completion", True, "strict_number")
    assert task.stop == ("Question:", "</s>", "<|im_end|>")
    assert task.max_tokens == 256


def test_arc_shows_25_answers_in_words_and_weighs_each_by_its_length() -> None:
    made = problems("openllm_arc", SCHOOL[:5], SCHOOL)
    turns = made[0].prompt.split("\n\n")
    assert len(turns) == 26
    assert turns[0] == "Question: What falls 24 times?\nAnswer: a stone 24"  # lm-eval's first draw
    assert turns[1] == "Question: What falls 14 times?\nAnswer: light"
    assert turns[25] == "Question: What falls 0 times?\nAnswer:"
    assert made[3].choices == (" a stone 3", " smoke", " light")
    assert [each.gold for each in made] == ["0", "1", "2", "0", "1"]
    assert [each.id for each in made] == [f"Mercury_{n}" for n in range(5)]
    assert task_named("openllm_arc").metric == "normalised"


def test_arcs_labels_may_be_numbers() -> None:
    row = {**SCHOOL[0], "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}
    (made,) = problems("openllm_arc", [row], SCHOOL)
    assert made.gold == "1"


def test_hellaswag_cleans_scenes_and_endings_as_lm_eval_does() -> None:
    made = problems("openllm_hellaswag", SCENES[:5], SCENES)
    turns = made[0].prompt.split("\n\n")
    assert len(turns) == 11
    scene = "Roof work: How to mend {} roofs. Climb.  Go up. He then"  # of three spaces, two stay
    assert turns[10] == scene.format(0)
    assert turns[0] == scene.format(7) + " falls."
    assert made[0].choices == (" climbs 0 steps.", " sings.", " eats  it.", " falls.")
    assert [each.gold for each in made] == ["0", "1", "2", "3", "0"]
    assert [each.id for each in made] == ["0", "1", "2", "3", "4"]  # `ind` is not one a row
    assert task_named("openllm_hellaswag").metric == "normalised"


def test_winogrande_weighs_what_follows_after_either_name() -> None:
    made = problems("openllm_winogrande", SENTENCES[:5], SENTENCES)
    shown = "".join(
        f"Ann beat Bob at {n} games because {('Ann', 'Bob')[n % 2]} had trained.\n\n"
        for n in (6, 3, 0, 4, 5)
    )
    assert made[0].contexts == (
        f"{shown}Ann beat Bob at 0 games because Ann",
        f"{shown}Ann beat Bob at 0 games because Bob",
    )
    assert made[0].choices == (" had trained.", " had trained.")
    assert [each.gold for each in made] == ["0", "1", "0", "1", "0"]


def test_mmlu_shows_the_first_five_of_the_subject() -> None:
    made = problems("openllm_mmlu", SUBJECTS[:5], SUBJECTS)
    turns = made[1].prompt.split("\n\n")
    assert turns[0] == "The following are multiple choice questions (with answers) about anatomy."
    assert turns[1] == (
        "Which is number 1?\nA. no 1\nB. yes 1\nC. perhaps 1\nD. never 1\nAnswer: B"
    )
    assert [turn.splitlines()[0] for turn in turns[1:6]] == [
        f"Which is number {n}?" for n in (1, 3, 5, 7, 9)
    ]
    assert turns[6].endswith("\nAnswer:")
    assert "about us foreign policy.\n\n" in made[0].prompt
    assert made[0].choices == (" A", " B", " C", " D")
    assert [each.gold for each in made] == ["0", "1", "2", "3", "0"]
    assert made[0].group == "us_foreign_policy"


def test_mmlu_refuses_a_subject_that_has_too_few_examples() -> None:
    with pytest.raises(UsageError, match="there are 4 of 'us_foreign_policy'"):
        problems("openllm_mmlu", SUBJECTS[:1], SUBJECTS[:8])


def test_truthfulqa_asks_after_its_six_answers_and_keeps_what_is_true() -> None:
    made = problems("openllm_truthfulqa", MYTHS)
    opening, _, last = made[2].prompt.rpartition("\n\n")
    assert opening.startswith("Q: What is human life expectancy in the United States?\nA: Human")
    assert opening.endswith("A: The 1992 Olympics were held in Barcelona, Spain.")
    assert opening.count("\nA: ") == 6
    assert last == "Q: What are 2 stars made of?\nA:"
    assert made[2].choices == (" Hot gas", " Fire", " Plasma", " 2 coals")
    assert [each.extra for each in made[:2]] == [
        {"labels": [0, 0, 1, 0]},
        {"labels": [1, 0, 1, 0]},
    ]
    assert [each.gold for each in made] == ["2", "0", "2", "0", "2"]
    assert task_named("openllm_truthfulqa").metric == "mc2"


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("openllm_arc", {**SCHOOL[0], "choices": ["a", "b"]}, "'choices' has to hold the lists"),
        ("openllm_arc", {**SCHOOL[0], "answerKey": "D"}, "'answerKey' is 'D', of 3 answers"),
        (
            "openllm_arc",
            {**SCHOOL[0], "choices": {"text": ["a", "b", ""], "label": ["A", "B", "C"]}},
            "has an empty choice",
        ),
        ("openllm_hellaswag", {**SCENES[0], "endings": ["a", "b", "c", "[x] "]}, "empty ending"),
        ("openllm_hellaswag", {**SCENES[0], "label": ""}, "'label' is '', and none of the 4"),
        ("openllm_winogrande", {**SENTENCES[0], "sentence": "Ann won."}, "has no _ to fill"),
        ("openllm_winogrande", {**SENTENCES[0], "answer": ""}, "'answer' is '', and has to be 1"),
        ("openllm_truthfulqa", {**MYTHS[0], "mc2_targets": []}, "has to hold the lists 'choices'"),
        (
            "openllm_truthfulqa",
            {**MYTHS[0], "mc2_targets": {"choices": ["a", "b"], "labels": [0, 0]}},
            "2 choices, 2 labels, 0 true",
        ),
    ],
)
def test_rows_that_are_no_questions_are_refused(name: str, row: dict[str, Any], said: str) -> None:
    shots = {"openllm_arc": SCHOOL, "openllm_hellaswag": SCENES, "openllm_winogrande": SENTENCES}
    with pytest.raises(WrongFields, match=said):
        problems(name, [row], shots.get(name, []))
