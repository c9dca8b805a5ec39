"""lm_eval against a server, on its own tasks where it has them: only their data is a local file."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from harness_questions import Asked, Questions, subject_of, write_lines

_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

# A number in the last box, as lm_eval's regular expressions go: no nested braces.
_BOXED = r"\\boxed\{([^{}]+)\}"
_IGNORED = [",", r"\$", r"\\[!, ]", r"\.$"]


@dataclass(frozen=True)
class LMEval:
    """Where it is installed, and what it asks. `tokenizer`: a folder as transformers reads it."""

    environment: Path
    url: str
    model: str
    tokenizer: Path
    users: int
    context_tokens: int
    max_tokens: int  # of chats

    def generate(self, questions: Questions, work: Path) -> list[Asked]:
        """Its gsm8k, strict-match, over `local-completions`, which need no tokenizer."""
        task = {
            **self._theirs("gsm8k/gsm8k.yaml"),
            **_local(test=questions.folder / "test.jsonl", train=questions.folder / "shots.jsonl"),
            "task": "asked",
        }
        self._run(work, [task], "local-completions", ["tokenizer_backend=None"])
        samples = _samples(work, "asked", "strict-match")
        return [Asked(_argument(one, 0), one["resps"][0][0], one["exact_match"]) for one in samples]

    def weigh(self, questions: Questions, work: Path) -> list[Asked]:
        """Its mmlu, a task a subject, by the likelihoods of the letters.

        It has to know how many tokens a prompt is, to tell where in its echo a choice begins.
        """
        tasks, names = [], []
        for subject, rows in groupby(questions.rows, subject_of):
            parts = {"test": list(rows)}
            parts["dev"] = [row for row in questions.shots if subject_of(row) == subject]
            files = {part: work / f"{subject}-{part}.jsonl" for part in parts}
            work.mkdir(exist_ok=True)
            for part, path in files.items():
                write_lines(path, parts[part])
            names.append(f"asked_{subject}")
            tasks.append(
                {
                    **self._theirs(f"mmlu/default/mmlu_{subject}.yaml"),
                    **_local(**files),
                    "task": names[-1],
                    "num_fewshot": questions.task.num_shots,
                }
            )
        self._run(work, tasks, "local-completions", [f"tokenizer={self.tokenizer}"])
        asked = []
        for name in names:
            for one in _samples(work, name, "none"):
                likelihoods = tuple(float(response[0][0]) for response in one["resps"])
                chosen = _argument(one, likelihoods.index(max(likelihoods)), 1)
                asked.append(Asked(_argument(one, 0), chosen, one["acc"], likelihoods))
        return asked

    def chat(self, questions: Questions, work: Path) -> list[Asked]:
        """A task of ours in its form, over `local-chat-completions`: it has none like it."""
        path = work.with_suffix(".jsonl")
        write_lines(path, [{"prompt": p.prompt, "gold": p.gold} for p in questions.problems])
        task = {
            **_local(test=path),
            "task": "asked",
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "{{prompt}}",
            "doc_to_target": "{{gold}}",
            "generation_kwargs": {
                "until": [],
                "do_sample": False,
                "temperature": 0.0,
                "max_gen_toks": self.max_tokens,
            },
            "metric_list": [{"metric": "exact_match", "regexes_to_ignore": _IGNORED}],
            "filter_list": [
                {
                    "name": "boxed",
                    "filter": [
                        {"function": "regex", "regex_pattern": _BOXED, "group_select": -1},
                        {"function": "take_first"},
                    ],
                }
            ],
        }
        self._run(work, [task], "local-chat-completions", ["tokenizer_backend=None"], "chat/")
        return [
            Asked(_message(one), one["resps"][0][0], one["exact_match"])
            for one in _samples(work, "asked", "boxed")
        ]

    def _theirs(self, name: str) -> dict[str, Any]:
        (installed,) = self.environment.glob("lib/python*/site-packages/lm_eval/tasks")
        return {"include": str(installed / name), "tag": None}

    def _run(
        self,
        work: Path,
        tasks: list[dict[str, Any]],
        model: str,
        settings: list[str],
        kind: str = "",
    ) -> None:
        """Leaves result and sample files in `work`."""
        folder = work / "tasks"
        folder.mkdir(parents=True)
        for task in tasks:  # JSON is YAML
            (folder / f"{task['task']}.yaml").write_text(json.dumps(task))
        command = [
            str(self.environment / "bin/lm_eval"), "run", "--model", model,
            "--model_args", f"model={self.model}", f"base_url={self.url}/v1/{kind}completions",
            f"num_concurrent={self.users}", f"max_length={self.context_tokens}", "max_retries=1",
            "timeout=3600", *settings,
            "--tasks", ",".join(task["task"] for task in tasks), "--include_path", str(folder),
            "--output_path", str(work), "--log_samples",
            *(["--apply_chat_template"] if kind else []),
        ]  # fmt: skip
        run_quietly(command, work, _OFFLINE | {"HF_HOME": str(work / "cache")})


def run_quietly(command: list[str], work: Path, environment: dict[str, str]) -> None:
    """Its words go into work/log, whose end is shown where it fails."""
    log = work / "log"
    with log.open("w") as out:
        done = subprocess.run(
            command, stdout=out, stderr=subprocess.STDOUT, env=os.environ | environment, cwd=work
        )
    if done.returncode:
        raise SystemExit(f"{Path(command[0]).name} failed:\n{log.read_text()[-4000:]}")


def _local(**files: Path) -> dict[str, Any]:
    return {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {split: str(path) for split, path in files.items()}},
    }


def _samples(work: Path, task: str, kept: str) -> Iterator[dict[str, Any]]:
    """In the order of the data. A question has a line for each filter."""
    (path,) = work.glob(f"*/samples_{task}_2*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return iter(sorted((one for one in lines if one["filter"] == kept), key=_number))


def _number(sample: dict[str, Any]) -> int:
    return int(sample["doc_id"])


def _argument(sample: dict[str, Any], request: int, place: int = 0) -> str:
    return str(sample["arguments"][f"gen_args_{request}"][f"arg_{place}"])


def _message(sample: dict[str, Any]) -> str:
    """Of a chat, which it keeps as JSON in a list of one."""
    (chat,) = sample["arguments"]["gen_args_0"]["arg_0"]
    (message,) = json.loads(chat)
    return str(message["content"])
