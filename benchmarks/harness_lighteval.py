"""lighteval's client of endpoints against a server, on tasks of `peers/lighteval_tasks.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness_lm_eval import run_quietly
from harness_questions import Asked, Questions, write_lines

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Lighteval:
    """Where it is installed, and what it asks."""

    environment: Path
    url: str
    model: str
    users: int
    context_tokens: int
    max_tokens: int

    def chat(self, questions: Questions, work: Path) -> list[Asked]:
        """Chats, greedy; the answer is looked for in a box first, then elsewhere."""
        import pyarrow.parquet as parquet

        folder = work / "questions"
        folder.mkdir(parents=True)
        lines = [{"prompt": p.prompt, "gold": p.gold} for p in questions.problems]
        write_lines(folder / "test.jsonl", lines)
        settings = {
            "model_name": f"openai/{self.model}",
            "base_url": f"{self.url}/v1",
            "api_key": "none",
            "concurrent_requests": self.users,
            "max_model_length": self.context_tokens,
            "cache_dir": str(work / "cache"),  # of answers: another run must not find them
            "generation_parameters": {"temperature": 0.0, "max_new_tokens": self.max_tokens},
        }
        (work / "model.yaml").write_text(json.dumps({"model_parameters": settings}))
        task = "boxed_formula" if questions.task.grader == "mathematics" else "boxed_number"
        self._spare_a_download()
        command = [
            str(self.environment / "bin/lighteval"), "endpoint", "litellm",
            str(work / "model.yaml"), f"{task}|0",
            "--custom-tasks", str(_HERE / "peers/lighteval_tasks.py"),
            "--output-dir", str(work / "out"), "--save-details",
        ]  # fmt: skip
        environment = {
            "QUESTIONS_FOLDER": str(folder),
            "MAX_TOKENS": str(self.max_tokens),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "HF_HOME": str(work / "hub"),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # not from the network
        }
        run_quietly(command, work, environment)
        (details,) = work.glob("out/details/**/*.parquet")
        samples = parquet.read_table(details).to_pylist()
        return [_asked(one) for one in sorted(samples, key=lambda one: int(one["doc"]["id"]))]

    def _spare_a_download(self) -> None:
        """Of a file for tinyBenchmarks: all tasks are imported, and that one fetches it at once."""
        (tasks,) = self.environment.glob("lib/python*/site-packages/lighteval/tasks/tasks")
        (tasks / "tinyBenchmarks.pkl").touch()


def _asked(sample: dict[str, Any]) -> Asked:
    (score,) = sample["metric"].values()
    response = sample["model_response"]
    (message,) = response["input"]
    return Asked(message["content"], response["text"][0], float(score))
