"""Tasks for `lighteval endpoint litellm --custom-tasks`: questions with their prompts in a folder.

Runs in that peer's environment, under `harness_lighteval.py`, which names the folder. Its file
test.jsonl has a `prompt` and a `gold` a line; "datasets" reads a folder as it reads the hub.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc


def _number(line: Mapping[str, str], task_name: str) -> Doc:
    return Doc(query=line["prompt"], choices=[line["gold"]], gold_index=0, task_name=task_name)


def _formula(line: Mapping[str, str], task_name: str) -> Doc:
    """LaTeX is only looked for between its marks."""
    gold = f"${line['gold']}$"
    return Doc(query=line["prompt"], choices=[gold], gold_index=0, task_name=task_name)


_COMMON = {
    "hf_repo": os.environ["QUESTIONS_FOLDER"],
    "hf_subset": "default",
    "hf_avail_splits": ["test"],
    "evaluation_splits": ["test"],
    "generation_size": int(os.environ["MAX_TOKENS"]),
    "stop_sequence": [],
}

TASKS_TABLE = [
    LightevalTaskConfig(
        name="boxed_number", prompt_function=_number, metrics=[Metrics.expr_gold_metric], **_COMMON
    ),
    LightevalTaskConfig(
        name="boxed_formula",
        prompt_function=_formula,
        metrics=[Metrics.pass_at_k_math(sample_params={"k": 1, "n": 1})],
        **_COMMON,
    ),
]
