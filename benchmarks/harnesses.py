"""Other people's harnesses against `still serve`, beside `still eval` of the same server.

    python benchmarks/harnesses.py --gsm8k gsm8k_test.jsonl --mmlu mmlu.jsonl       # the 1.5B
    python benchmarks/harnesses.py --gsm8k gsm8k_test.jsonl --limit 10 --model smollm2:135m \\
        --json try.json

Everybody asks the same questions, greedily, of one server with --deterministic, whose answers do
not depend on who else is being answered. What is left to differ is the harness's prompt, its fields
over HTTP and its grading. lm_eval asks its own gsm8k (strict-match) and mmlu
(log-likelihoods), whose prompts Stillhouse's openllm_gsm8k and openllm_mmlu must equal, and a chat;
lighteval asks chats through litellm.

Needs `make benchmarks/peers/.venv/lm_eval/ready benchmarks/peers/.venv/lighteval/ready`. Writes
results/harnesses.json and .md. Exits with 1 where a harness disagrees by more than chance. By the
speeds in results/throughput.json the 1.5B needs about 50 minutes on 2 cores, 65 with --math500.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from harness_lighteval import Lighteval
from harness_lm_eval import LMEval
from harness_questions import Asked, Questions, questions
from harness_table import comparison, line, markdown

from stillhouse import __version__, hub
from stillhouse.checkpoints import open_gguf
from stillhouse.cli.document import commit
from stillhouse.evals.sample import Sample
from stillhouse.hardware import this_machine
from stillhouse.text.tokenizer_files import tokenizer_files

_HERE = Path(__file__).parent
_CONTEXT_TOKENS = 4096


class Run(NamedTuple):
    """One harness at one task. `ask` takes the questions and a folder to work in."""

    harness: str
    client: str
    task: str
    ask: Callable[[Questions, Path], list[Asked]]


def main() -> int:
    """Run, print, write both files."""
    arguments = _arguments()
    files = {"gsm8k": arguments.gsm8k, "openllm_gsm8k": arguments.gsm8k,
             "openllm_mmlu": arguments.mmlu, "math500": arguments.math500}  # fmt: skip
    cells = []
    with tempfile.TemporaryDirectory() as temporary, _served(arguments) as url:
        work = Path(temporary)
        asked: dict[str, Questions] = {}
        ours: dict[str, tuple[list[Sample], float]] = {}
        for number, run in enumerate(_runs(arguments, url, work)):
            if files[run.task] is None or f"{run.harness}/{run.task}" not in arguments.only:
                continue
            if run.task not in asked:
                folder = work / f"questions-{run.task}"
                limit = arguments.mmlu_limit if run.task == "openllm_mmlu" else arguments.limit
                asked[run.task] = questions(run.task, files[run.task].resolve(), limit, folder)
                ours[run.task] = _still_eval(asked[run.task], arguments, url, work)
            began = time.monotonic()
            theirs = run.ask(asked[run.task], work / str(number))
            duration_s = time.monotonic() - began
            samples, own_duration_s = ours[run.task]
            cell = {
                "harness": run.harness,
                "version": _version(arguments.environments / run.harness, run.harness),
                "client": run.client,
                **comparison(asked[run.task], theirs, samples),
                "duration_s": duration_s,
                "own_duration_s": own_duration_s,
            }
            print(line(cell), flush=True)
            cells.append(cell)
    document = {
        "command": "harnesses",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": arguments.model,
        "users": arguments.users,
        "max_tokens": arguments.max_tokens,
        "results": cells,
    }
    arguments.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    arguments.json.with_suffix(".md").write_text(markdown(document))
    return 0 if all(cell["agrees"] for cell in cells) else 1


def _runs(arguments: argparse.Namespace, url: str, work: Path) -> list[Run]:
    tokenizer = work / "tokenizer"
    tokenizer.mkdir()
    with open_gguf(hub.resolve(arguments.model)) as checkpoint:
        for name, text in tokenizer_files(checkpoint.metadata).items():
            (tokenizer / name).write_text(text, encoding="utf-8")
    lm_eval = LMEval(
        arguments.environments / "lm_eval", url, arguments.model, tokenizer,
        arguments.users, _CONTEXT_TOKENS, arguments.max_tokens,
    )  # fmt: skip
    lighteval = Lighteval(
        arguments.environments / "lighteval", url, arguments.model,
        arguments.users, _CONTEXT_TOKENS, arguments.max_tokens,
    )  # fmt: skip
    return [
        Run("lm_eval", "local-completions", "openllm_gsm8k", lm_eval.generate),
        Run("lm_eval", "local-completions", "openllm_mmlu", lm_eval.weigh),
        Run("lm_eval", "local-chat-completions", "gsm8k", lm_eval.chat),
        Run("lighteval", "endpoint litellm", "gsm8k", lighteval.chat),
        Run("lighteval", "endpoint litellm", "math500", lighteval.chat),
    ]


def _still_eval(
    asked: Questions, arguments: argparse.Namespace, url: str, work: Path
) -> tuple[list[Sample], float]:
    """Our samples in the order of the questions, and how long they took."""
    folder = work / f"still-{asked.task.name}"
    chat = ["--temperature", "0", "--max-tokens", str(arguments.max_tokens)]
    command = [
        sys.executable, "-m", "stillhouse.cli.main", "eval", "--url", url,
        "--served-name", arguments.model, "--task", asked.task.name, *asked.data,
        "--samples", "1", "--concurrency", str(arguments.users), "--folder", str(folder),
        *(chat if asked.task.asking == "chat" else []), "--json",
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"still eval failed:\n{done.stderr[-4000:]}")
    duration_s = time.monotonic() - began
    (path,) = (each for each in folder.glob(f"*/{asked.task.name}.jsonl") if _is_samples(each))
    samples = {}
    for text in path.read_text().splitlines():
        sample = Sample(**json.loads(text))
        samples[sample.problem] = sample
    return [samples[problem.id] for problem in asked.problems], duration_s


def _is_samples(path: Path) -> bool:
    return path.parent.name != "questions"


def _version(environment: Path, distribution: str) -> str:
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    python = str(environment / "bin/python")
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


@contextmanager
def _served(arguments: argparse.Namespace) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "stillhouse.cli.main", "serve", arguments.model, "--deterministic",
        "--port", str(port), "--users", str(arguments.users), "--context", str(_CONTEXT_TOKENS),
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def _wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server was not ready after 600 s")


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gsm8k", type=Path, metavar="FILE", help="JSON lines: question, answer")
    parser.add_argument(
        "--mmlu", type=Path, metavar="FILE", help="question, choices, answer, subject (or type)"
    )
    parser.add_argument("--math500", type=Path, metavar="FILE", help="problem, answer")
    parser.add_argument("--model", default="qwen2.5-coder:1.5b")
    parser.add_argument("--limit", type=int, default=100, help="questions of each task")
    parser.add_argument(
        "--mmlu-limit", type=int, default=25, metavar="LIMIT",
        help="of mmlu, where every choice costs a prompt of about 700 tokens, twice",
    )  # fmt: skip
    parser.add_argument("--users", type=int, default=4, help="questions asked at once")
    parser.add_argument("--max-tokens", type=int, default=1024, help="of an answer in a chat")
    runs = ["lm_eval/openllm_gsm8k", "lm_eval/openllm_mmlu", "lm_eval/gsm8k", "lighteval/gsm8k",
            "lighteval/math500"]  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=runs, default=runs, metavar="RUN",
                        help=", ".join(runs))  # fmt: skip
    parser.add_argument("--environments", type=Path, default=_HERE / "peers/.venv")
    parser.add_argument("--json", type=Path, default=_HERE / "results/harnesses.json")
    arguments = parser.parse_args(given)
    if not (arguments.gsm8k or arguments.mmlu or arguments.math500):
        parser.error("no questions: give --gsm8k, --mmlu or --math500")
    arguments.environments = arguments.environments.resolve()
    return arguments


if __name__ == "__main__":
    sys.exit(main())
