"""The planner's predictions beside what this engine really takes and does on this machine.

    python benchmarks/planner.py                 # three models, three contexts, 1, 4, 16 users
    python benchmarks/planner.py --models smollm2:135m --contexts 512 --users 1 --json out.json
    python benchmarks/planner.py --again out.json --json out.json   # predict anew, measure nothing

Each cell is a process of its own: it loads the model and lets all users ask at once (half the
context is the prompt, the rest a thought and a short answer, closed by its budget). Before and
after it the memory's bandwidth and the int8 products that the processor makes are measured, and
the prediction is made with those figures: other people's programs move them by a factor of two
within minutes. Nothing else of the cell is used but the numbers of its tokens. Short cells are
measured several times (`--tries`), and medians are what is compared. Resident memory is read when
the contexts are full. A first run of each model, which compiles its kernels, is not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import planner_table
import psutil

from stillhouse import __version__
from stillhouse.cli.document import commit
from stillhouse.hardware import this_machine
from stillhouse.kernels import bandwidth, peak
from stillhouse.llm import LLM, Reply
from stillhouse.planner.local import loaded_weights
from stillhouse.planner.memory import memory
from stillhouse.planner.speed import speed
from stillhouse.planner.targets import Target
from stillhouse.planner.weights import Weights
from stillhouse.planner.workload import Workload

_MODELS = ("smollm2:135m", "qwen2.5-coder:0.5b", "qwen2.5-coder:1.5b")
_ANSWER_TOKENS = 24
_SHORT_S = 25.0
_TEXT = (
    "the spider spins a web of silk and waits in the quiet garden for rain while seven old clocks"
    " count slow hours above a river that carries leaves paper boats and light to the sea"
)


def main() -> None:
    """Measure every cell, print a line for each, write the JSON if asked to."""
    arguments = _arguments()
    if arguments.cell:
        print(json.dumps(_measure(arguments.models[0], arguments.contexts[0], arguments.users[0])))
        return
    if arguments.again is not None:
        run = json.loads(arguments.again.read_text())
        run |= {"cells": [*map(_again, run["cells"])], "predicted_by": commit()}
        _report(run, arguments.json)
        return
    cells = []
    for model in arguments.models:
        _in_a_process(model, min(arguments.contexts), 1)
        for context in arguments.contexts:
            for users in arguments.users:
                cells.append(_cell(model, context, users, arguments.tries))
                print(planner_table.line(cells[-1]), flush=True)
    run = {
        "command": "planner",
        "date": datetime.now(UTC).date().isoformat(),
        "stillhouse": __version__,
        "commit": commit(),
        "machine": this_machine().as_json(),
        "cells": cells,
    }
    _report(run, arguments.json)


def _report(run: dict[str, Any], path: Path | None) -> None:
    """The errors of all cells, and the files: JSON, and beside it the table."""
    cells = run["cells"]
    for name in cells[0]["errors"]:
        values = [abs(cell["errors"][name]) for cell in cells]
        print(f"{name}: median error {median(values):.1%}, worst {max(values):.1%}")
    if path is not None:
        path.write_text(json.dumps(run, indent=1) + "\n")
        path.with_suffix(".md").write_text(planner_table.markdown(cells))


def _again(cell: dict[str, Any]) -> dict[str, Any]:
    """The same measurements, predicted by the planner as it is now."""
    weights, vocabulary = loaded_weights(cell["model"])
    workload = Workload(**{name: cell[name] for name in Workload.__dataclass_fields__})
    reads, makes = cell["read_bytes_per_s"], cell["int8_operations_per_s"]
    predicted = _predicted(weights, workload, vocabulary, reads, makes)
    errors = {name: predicted[name] / cell["measured"][name] - 1 for name in predicted}
    return cell | {"predicted": predicted, "errors": errors}


def _cell(model: str, context: int, users: int, most: int) -> dict[str, Any]:
    """The medians of so many measurements, or one where that takes long."""
    tries = [_in_a_process(model, context, users)]
    if tries[0]["measured"]["time_to_answer_s"] < _SHORT_S:
        tries += [_in_a_process(model, context, users) for _ in range(most - 1)]
    cell = tries[0]
    for kind in ("measured", "predicted"):
        cell[kind] = {name: median(one[kind][name] for one in tries) for name in cell[kind]}
    for name in ("read_bytes_per_s", "int8_operations_per_s"):
        cell[name] = median(one[name] for one in tries)
    cell["errors"] = {n: cell["predicted"][n] / cell["measured"][n] - 1 for n in cell["measured"]}
    cell["measurements"] = len(tries)
    return cell


def _in_a_process(model: str, context: int, users: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--cell", "--models", model]
    command += ["--contexts", str(context), "--users", str(users)]
    threads = this_machine().physical_cores
    speeds = [_machine_speeds(threads)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    speeds.append(_machine_speeds(threads))
    return _with_prediction(model, json.loads(told.stdout), speeds)


@dataclass
class _Stream:
    """One user's reply, with the times of its pieces."""

    times_s: list[float]
    reply: Reply | None = None


def _measure(model: str, context: int, users: int) -> dict[str, Any]:
    prompt_tokens = context // 2
    with LLM(model, context_tokens=context, users=users) as llm:
        thought = context - prompt_tokens - _ANSWER_TOKENS - 40  # the template and the tags
        streams = [_Stream([]) for _ in range(users)]
        started = time.perf_counter()
        workers = [
            threading.Thread(target=_ask, args=(llm, stream, n, prompt_tokens, thought))
            for n, stream in enumerate(streams)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        resident = psutil.Process().memory_info().rss
    replies = [stream.reply for stream in streams if stream.reply is not None]
    measured = _measured(streams, replies, started) | {"memory_bytes": resident}
    used = replies[0].usage
    workload = Workload(
        prompt_tokens=round(sum(r.usage.prompt_tokens for r in replies) / users),
        thinking_tokens=round(sum(r.usage.reasoning_tokens for r in replies) / users),
        answer_tokens=used.answer_tokens,
        users=users,
        context_tokens=context,
    )
    return {"workload": asdict(workload), "measured": measured}


def _with_prediction(
    model: str, found: dict[str, Any], speeds: list[tuple[float, float]]
) -> dict[str, Any]:
    read_per_s = sum(read for read, _ in speeds) / len(speeds)
    made_per_s = sum(made for _, made in speeds) / len(speeds)
    weights, vocabulary = loaded_weights(model)
    workload = Workload(**found["workload"])
    predicted = _predicted(weights, workload, vocabulary, read_per_s, made_per_s)
    measured = found["measured"]
    return {
        "model": model,
        **found["workload"],
        "read_bytes_per_s": read_per_s,
        "int8_operations_per_s": made_per_s,
        "measured": measured,
        "predicted": predicted,
        "errors": {name: predicted[name] / measured[name] - 1 for name in measured},
    }


def _machine_speeds(threads: int) -> tuple[float, float]:
    made = peak.measure_operations_per_s(threads, "int8")
    assert made is not None, "the peak of this processor cannot be measured"
    return bandwidth.measure_read_bytes_per_s(threads, 256 << 20), made


def _ask(llm: LLM, stream: _Stream, number: int, prompt_tokens: int, thought: int) -> None:
    known = _TEXT.split()
    words = [known[(number * 7 + i * (number + 3)) % len(known)] for i in range(prompt_tokens)]
    text = f"{number}: " + " ".join(words)
    text = text[: int(len(text) * 0.8)]  # a word is a token or a little more
    options: dict[str, Any] = {
        "think": True,
        "thinking_budget": thought,
        "max_tokens": thought + _ANSWER_TOKENS,
        "ignore_eos": True,
        "temperature": 0.8,
        "seed": number,
    }
    running = llm.chat(text, stream=True, **options)
    for item in running:
        if isinstance(item, Reply):
            stream.reply = item
        else:
            stream.times_s.append(time.perf_counter())


def _measured(streams: list[_Stream], replies: list[Reply], started: float) -> dict[str, float]:
    """Decoding counts from when all have begun to when the first one ends."""
    begun = max(stream.times_s[0] for stream in streams)
    ended = min(stream.times_s[-1] for stream in streams)
    written = 0.0
    for stream, reply in zip(streams, replies, strict=True):
        pieces = sum(begun < at <= ended for at in stream.times_s)
        tokens = reply.usage.reasoning_tokens + reply.usage.answer_tokens
        written += pieces * tokens / len(stream.times_s)
    prompts = sum(reply.usage.prompt_tokens for reply in replies)
    answers_s = [reply.timings.ttfat_s for reply in replies]
    assert all(answers_s)
    return {
        "decode_tokens_per_s": written / (ended - begun),
        "prefill_tokens_per_s": prompts / (begun - started),
        "time_to_answer_s": sum(s for s in answers_s if s) / len(answers_s),
    }


def _predicted(
    weights: Weights, workload: Workload, vocabulary: int, read_per_s: float, made_per_s: float
) -> dict[str, float]:
    target = Target(
        "this machine", "stillhouse", "this machine", 1, 0, None, None, read_per_s, made_per_s
    )
    pace = speed(weights, workload, target, "bf16")
    tree = memory(weights, workload, engine="stillhouse", kv_type="bf16", vocabulary=vocabulary)
    return {
        "decode_tokens_per_s": pace.decode_tokens_per_s,
        "prefill_tokens_per_s": pace.prefill_tokens_per_s,
        "time_to_answer_s": pace.time_to_answer_s,
        "memory_bytes": float(tree.num_bytes),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(_MODELS))
    parser.add_argument("--contexts", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--users", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--tries", type=int, default=3, help="of each short cell")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--again", type=Path, metavar="FILE", help="a run's JSON")
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
