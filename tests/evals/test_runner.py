"""A run asks every sample once, whatever happens to it, and ends in the same bytes."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stillhouse.client import Client
from stillhouse.errors import FieldRefused, RequestFailed
from stillhouse.evals.runner import ReplyStream
from stillhouse.evals.seeds import sample_seed
from stillhouse.evals.task import Problem
from stillhouse.likelihoods import Likelihood
from stillhouse.llm import LLM
from tests.evals.killable import QUESTIONS, SAMPLES, run_slowly
from tests.evals.runs import HOT, RUN_SEED, assignment, evaluate, samples_file, toy
from tests.speaker import Bench
from tests.stub_server import Script, StubServer


def hot(bench: Bench) -> LLM:
    return bench.llm(None, "x" * 1000, users=4)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in samples_file(path).read_bytes().splitlines()]


def test_every_sample_is_what_its_seed_gives_alone(bench: Bench, tmp_path: Path) -> None:
    llm, asked = hot(bench), assignment(5)
    ear = evaluate(llm, tmp_path / "run", asked, 3)
    kept = read(tmp_path / "run")
    assert [(one["problem"], one["number"]) for one in kept] == [
        (problem.id, number) for problem in asked.problems for number in range(3)
    ]
    prompts = {problem.id: problem.prompt for problem in asked.problems}
    for one in kept:
        assert one["seed"] == sample_seed(RUN_SEED, "toy", one["problem"], one["number"])
        alone = llm.chat(prompts[one["problem"]], seed=one["seed"], **HOT)
        assert (alone.answer, alone.usage.prompt_tokens) == (one["answer"], one["prompt_tokens"])
    assert len({one["answer"] for one in kept}) == 15
    assert ear.pieces > 15


def test_samples_of_a_question_read_its_prompt_once(bench: Bench, tmp_path: Path) -> None:
    llm = hot(bench)
    evaluate(llm, tmp_path, assignment(4), 6, concurrency=8)
    stats = llm.stats()
    prompt_tokens = read(tmp_path)[0]["prompt_tokens"]
    assert stats.prompt_tokens == 24 * prompt_tokens
    computed = stats.prompt_tokens - stats.prompt_tokens_from_cache
    assert computed < 4 * prompt_tokens + 20 * 33  # the others read less than a block of 32


def test_a_run_that_is_whole_asks_nothing(bench: Bench, tmp_path: Path) -> None:
    llm, asked = hot(bench), assignment(3)
    evaluate(llm, tmp_path, asked, 2)
    before = samples_file(tmp_path).read_bytes()
    steps = llm.stats().steps
    assert evaluate(llm, tmp_path, asked, 2).samples == []
    assert (samples_file(tmp_path).read_bytes(), llm.stats().steps) == (before, steps)


def test_a_stopped_run_keeps_what_is_whole_and_ends_the_same(bench: Bench, tmp_path: Path) -> None:
    llm, asked = hot(bench), assignment(6)
    evaluate(llm, tmp_path / "whole", asked, 2)
    kept = len(evaluate(llm, tmp_path / "stopped", asked, 2, stop_after=3).samples)
    assert 3 <= kept < 12
    rest = evaluate(llm, tmp_path / "stopped", asked, 2)
    assert len(rest.samples) == 12 - kept
    whole, stopped = (samples_file(tmp_path / name) for name in ("whole", "stopped"))
    assert whole.read_bytes() == stopped.read_bytes()
    assert llm.stats().held_blocks == 0


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_a_run_killed_three_times_ends_in_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    evaluate(hot(bench), tmp_path / "whole", assignment(QUESTIONS), SAMPLES, concurrency=5)
    folder, seen = tmp_path / "killed", 0
    processes = multiprocessing.get_context("forkserver")  # which has imported all of it once
    processes.set_forkserver_preload(["tests.evals.killable"])
    for _ in range(3):
        process = processes.Process(target=run_slowly, args=(folder,))
        process.start()
        wanted = seen + 5
        while seen < wanted:
            assert process.is_alive(), "it was to be killed before it ends"
            time.sleep(0.005)
            path = samples_file(folder)
            seen = path.read_bytes().count(b"\n") if path.exists() else 0
        process.kill()
        process.join()
    seen = samples_file(folder).read_bytes().count(b"\n")
    assert 15 <= seen < QUESTIONS * SAMPLES
    process = processes.Process(target=run_slowly, args=(folder,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert samples_file(folder).read_bytes() == samples_file(tmp_path / "whole").read_bytes()
    times = (folder / "model" / "toy.times.jsonl").read_bytes().splitlines()
    assert {json.loads(line)["session"] for line in times} == {0, 1, 2, 3}
    assert len(times) <= QUESTIONS * SAMPLES  # nothing was asked twice


def test_a_budget_of_tokens_ends_the_asking(bench: Bench, tmp_path: Path) -> None:
    llm, asked = hot(bench), assignment(10)
    first = evaluate(llm, tmp_path / "a", asked, 1, tokens=60, concurrency=1).samples
    spent = [one.answer_tokens for one in first]
    assert sum(spent) >= 60 > sum(spent[:-1])
    assert evaluate(llm, tmp_path / "a", asked, 1, tokens=60).samples == []
    evaluate(llm, tmp_path / "a", asked, 1)
    evaluate(llm, tmp_path / "b", asked, 1)
    assert samples_file(tmp_path / "a").read_bytes() == samples_file(tmp_path / "b").read_bytes()


GOOD = Script(usage={"prompt_tokens": 9, "completion_tokens": 2})


@pytest.mark.parametrize(
    "failure",
    [
        Script(status=503, body=b"busy"),
        Script(status=429, body=b"busy"),
        Script(fault="reset"),
        Script(fault="end", fault_after=1),
        Script(finish_reason="abort"),  # vLLM's, of a request that it gave up
    ],
)
def test_a_failure_that_may_pass_is_asked_again(failure: Script, tmp_path: Path) -> None:
    with StubServer(GOOD, failure, failure, GOOD) as stub:
        ear = evaluate(Client(stub.url), tmp_path, assignment(4), 1, concurrency=1, options={})
    assert len(ear.samples) == 4
    assert [note.rpartition("; ")[2] for note in ear.notes] == [
        "trying again in 1 s",
        "trying again in 4 s",
    ]
    seeds = [asked.body["seed"] for asked in stub.asked]
    assert seeds[1] == seeds[2] == seeds[3] != seeds[4]


def test_a_failure_that_stays_ends_the_run_with_all_that_was_kept(tmp_path: Path) -> None:
    dead = Script(status=503, body=b"down")
    with StubServer(GOOD, GOOD, dead) as stub:
        with pytest.raises(RequestFailed, match="503: down"):
            evaluate(Client(stub.url), tmp_path, assignment(4), 1, concurrency=1, options={})
        assert len(stub.asked) == 2 + 4
    with StubServer(GOOD) as stub:
        assert len(evaluate(Client(stub.url), tmp_path, assignment(4), 1, options={}).samples) == 2
    assert len(read(tmp_path)) == 4


def test_a_refusal_is_not_asked_again(tmp_path: Path) -> None:
    refused = Script(status=400, body=b'{"error": {"message": "bad", "param": "seed"}}')
    with StubServer(refused) as stub:
        with pytest.raises(FieldRefused):
            evaluate(Client(stub.url), tmp_path, assignment(4), 1, concurrency=1, options={})
        assert len(stub.asked) == 1


def test_a_completion_goes_on_from_the_text_itself(tmp_path: Path) -> None:
    asked = assignment(1, toy(asking="completion"))
    with StubServer(GOOD) as stub:
        evaluate(Client(stub.url), tmp_path, asked, options={"stop": ("Q:",), "max_tokens": 7})
    (one,) = stub.asked
    assert one.path == "/v1/completions"
    assert one.body["prompt"] == asked.problems[0].prompt
    assert (one.body["stop"], one.body["max_tokens"]) == (["Q:"], 7)


class Scales:
    """Weighs continuations by their length; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    async def asamples(self, *_: object, **__: object) -> Sequence[ReplyStream]:
        raise NotImplementedError

    async def alikelihoods(self, prompt: str, continuations: Sequence[str]) -> list[Likelihood]:
        self.asked.append((prompt, tuple(continuations)))
        return [Likelihood(-float(len(prompt + text)), 1, 1, True) for text in continuations]


def test_choices_are_weighed_and_kept_with_their_likelihoods(tmp_path: Path) -> None:
    problems = (
        Problem("c/0", "Legs:", "1", choices=(" eight", " six")),
        Problem("c/1", "", "0", choices=(" fell.", " fell."), contexts=("It", "The cup")),
    )
    scales = Scales()
    task = toy(asking="choices", grader=None)
    asked = type(assignment(0))(task, problems)
    ear = evaluate(scales, tmp_path, asked)
    assert scales.asked == [
        ("Legs:", (" eight", " six")),
        ("It", (" fell.",)),
        ("The cup", (" fell.",)),
    ]
    assert [(one.extracted, one.verdict) for one in ear.samples] == [("1", "right"), ("0", "right")]
    assert [one["loglikelihoods"] for one in read(tmp_path)] == [[-11.0, -9.0], [-8.0, -13.0]]
    assert evaluate(scales, tmp_path, asked).samples == []
