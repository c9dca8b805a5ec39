"""One user to many on this machine: Stillhouse and its peers in one run, on the same model and
prompts.

    make bench                                             # everything; needs 24 GiB
    python benchmarks/throughput.py --users 1 16 --rounds 1

Engines take turns: in each round every one is given the same fresh random prompts, so that no cache
helps, and writes greedily past any end token. Prefill is the tokens of one long prompt over the
time to the first token. Decode is what all users get together while all of them write (`turns.py`).
Figures are medians over the rounds, and a ratio is the median of the rounds' own ratios: on a
shared machine only those can be compared. What the machine allows is measured in each round too
(`stillhouse/bench/roofline.py`). Before anything is timed, every engine must answer a question
rightly.

All engines read one GGUF, but vLLM: that gets its numbers in BF16, and rounded to INT8 W8A8, which
`hf_checkpoint.py` writes into a work folder.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from contenders import Contender, with_gguf, with_safetensors
from throughput_table import table
from turns import Task, Turn, Worker

from stillhouse import __version__, hub, paths
from stillhouse.bench import roofline
from stillhouse.bench.roofline import Speeds
from stillhouse.checkpoints import open_gguf
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.models.config import ModelConfig
from stillhouse.text import ChatTemplate, Tokenizer, as_messages

_HERE = Path(__file__).parent
_FIRST_ID, _LAST_ID = 1_000, 40_000  # within every vocabulary that is measured
_PREFILL_TOKENS, _PROMPT_TOKENS, _OUTPUT_TOKENS = 512, 128, 48
_BLOCK_TOKENS = 128  # a multiple of every engine's: vLLM's CPU backend has the largest
_WARM_UP_TOKENS = 512  # of all prompts together: enough for every kernel
_QUESTION, _ANSWER, _ANSWER_TOKENS = "What is the capital of France?", "Paris", 12


class Shape(NamedTuple):
    """A row of the table: so many users at once, each with a prompt and an answer of one length."""

    users: int
    prompt_tokens: int
    output_tokens: int
    rounds: int

    @property
    def context_tokens(self) -> int:
        """Prompt and output, rounded up to whole KV blocks of any engine."""
        return -(-(self.prompt_tokens + self.output_tokens) // _BLOCK_TOKENS) * _BLOCK_TOKENS

    @property
    def is_prefill(self) -> bool:
        return self.prompt_tokens == _PREFILL_TOKENS


# The slowest peer takes three minutes for one turn of 64 users: many users get fewer rounds.
_ROUNDS = {1: 5, 8: 2, 16: 2, 64: 1}


def main() -> None:
    """Run the rounds, write the JSON and the table beside it, and print the table."""
    arguments = _arguments()
    path = hub.resolve(arguments.model, progress=hub.TerminalProgress())
    with open_gguf(path) as checkpoint, ExitStack() as started:
        config = ModelConfig.from_metadata(
            checkpoint.metadata, tied_embeddings="output.weight" not in checkpoint.tensors
        )
        engines = [
            *with_gguf(path, checkpoint, config, arguments.environments),
            *with_safetensors(path, config, arguments.environments, arguments.work),
        ]
        workers: dict[str, Worker] = {}
        shapes = _shapes(arguments.users, arguments.rounds)
        for engine in engines:
            workers[engine.name] = engine.start(
                arguments.threads,
                users=max(shape.users for shape in shapes),
                context_tokens=max(shape.context_tokens for shape in shapes),
                # One user more than there are: vLLM keeps a block for itself.
                kv_tokens=max((shape.users + 1) * shape.context_tokens for shape in shapes),
            )
            started.callback(workers[engine.name].close)
            _say(f"{engine.name} is ready")
        answers = _check_answers(workers, checkpoint.metadata)
        generator = random.Random(arguments.seed)
        rows = [
            _measure(shape, engines, workers, config, arguments.threads, generator)
            for shape in shapes
        ]
    document = {
        "command": "throughput",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "model": arguments.model,
        "threads": arguments.threads,
        "engines": {
            engine.name: workers[engine.name].about
            | engine.form._asdict()
            | {"answer": answers[engine.name]}
            for engine in engines
        },
        "rows": rows,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    page = table(document)
    arguments.output.with_suffix(".md").write_text(page)
    print(page, end="")


def _shapes(users: list[int], most_rounds: int) -> list[Shape]:
    prefill = Shape(1, _PREFILL_TOKENS, 2, min(_ROUNDS[1], most_rounds))
    return [prefill] + [
        Shape(count, _PROMPT_TOKENS, _OUTPUT_TOKENS, min(_ROUNDS.get(count, 1), most_rounds))
        for count in users
    ]


def _check_answers(workers: dict[str, Worker], metadata: Any) -> dict[str, str]:
    """What each engine says to a question, by its name; an engine that is wrong ends the run."""
    tokenizer = Tokenizer.from_metadata(metadata)
    template = ChatTemplate.from_metadata(metadata, tokenizer)
    prompt = template.prompt_ids(as_messages(_QUESTION), tokenizer)
    answers = {}
    for name, worker in workers.items():
        (answer,) = worker.ask(Task([list(prompt)], _ANSWER_TOKENS)).answers
        text = answer if isinstance(answer, str) else tokenizer.decode(answer)
        if _ANSWER not in text:
            raise SystemExit(f"{name} says {text!r} to {_QUESTION!r}: its figures mean nothing")
        answers[name] = text
    return answers


def _measure(
    shape: Shape,
    engines: list[Contender],
    workers: dict[str, Worker],
    config: ModelConfig,
    threads: int,
    generator: random.Random,
) -> dict[str, Any]:
    """One row: every engine's turns, and the machine's speeds between them."""
    warm_up = min(shape.prompt_tokens, _WARM_UP_TOKENS // shape.users)
    for worker in workers.values():
        worker.ask(_task(shape._replace(prompt_tokens=warm_up, output_tokens=4), generator))
    speeds, turns = [Speeds.measure(threads)], dict[str, list[Turn]]()
    for round_number in range(shape.rounds):
        task = _task(shape, generator)
        for name, worker in workers.items():
            turn = worker.ask(task)
            turns.setdefault(name, []).append(turn)
            _say(
                f"{shape.users:2} users, round {round_number}: {name:20}"
                f"{_rate(shape, turn):8.1f} tok/s, first token {turn.ttft_s:.2f} s"
            )
        speeds.append(Speeds.measure(threads))
    return _row(shape, engines, turns, Speeds.of(speeds), config)


def _task(shape: Shape, generator: random.Random) -> Task:
    prompts = [
        [generator.randint(_FIRST_ID, _LAST_ID) for _ in range(shape.prompt_tokens)]
        for _ in range(shape.users)
    ]
    return Task(prompts, shape.output_tokens)


def _rate(shape: Shape, turn: Turn) -> float:
    return shape.prompt_tokens / turn.ttft_s if shape.is_prefill else turn.decode_tokens_per_s


def _row(
    shape: Shape,
    engines: list[Contender],
    turns: dict[str, list[Turn]],
    speeds: Speeds,
    config: ModelConfig,
) -> dict[str, Any]:
    rates = {name: [_rate(shape, turn) for turn in own] for name, own in turns.items()}
    results = {}
    for engine in engines:
        own, rate = turns[engine.name], median(rates[engine.name])
        if shape.is_prefill:
            limit = roofline.prefill_tokens_per_s(
                config.shape, engine.form, speeds, shape.prompt_tokens
            )
        else:
            middle = shape.prompt_tokens + shape.output_tokens // 2
            limit = roofline.decode_tokens_per_s(
                config.shape, engine.form, speeds, shape.users, middle
            )
        results[engine.name] = {
            "tokens_per_s": rate,
            "limit_tokens_per_s": limit,
            "limit_share": None if limit is None else rate / limit,
            "ttft_s": median(turn.ttft_s for turn in own),
            "rounds_tokens_per_s": rates[engine.name],
            "rounds_prefill_s": [turn.prefill_s for turn in own],
        }
    return {
        "phase": "prefill" if shape.is_prefill else "decode",
        **shape._asdict(),
        "machine_speeds": asdict(speeds),
        "results": results,
        "ratios": {
            engine.name: _ratio(engine, engines, rates) for engine in engines if engine.is_ours
        },
    }


def _ratio(
    ours: Contender, engines: list[Contender], rates: dict[str, list[float]]
) -> dict[str, Any] | None:
    """Against each peer in the same rounds, and against the one that is best here; None without
    peers.
    """
    peers = [engine.name for engine in engines if not engine.is_ours]
    if not peers:
        return None
    to = {
        name: median(mine / its for mine, its in zip(rates[ours.name], rates[name], strict=True))
        for name in peers
    }
    best = max(peers, key=lambda name: median(rates[name]))
    return {"best_peer": best, "ratio": to[best], "to": to}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="qwen2.5-coder:1.5b", help="a GGUF of Qwen 2")
    parser.add_argument(
        "--environments",
        type=Path,
        default=_HERE / "peers/.venv",
        help="the folder of the peers' virtual environments; `make bench` sets them up",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--users", type=int, nargs="+", default=[1, 8, 16, 64])
    parser.add_argument("--rounds", type=int, default=5, help="at most so many for a row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--work",
        type=Path,
        default=paths.home() / "benchmarks",
        help="for vLLM's checkpoints, 6 GB",
    )
    parser.add_argument("--output", type=Path, default=_HERE / "results/throughput.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
