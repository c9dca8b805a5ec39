"""What a folder keeps, mends and refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from stillhouse.errors import UsageError
from stillhouse.evals.lines import line_of, parse_line
from stillhouse.evals.sample import Sample
from stillhouse.evals.seeds import sample_seed
from stillhouse.evals.store import Done, RunFolder, file_name, read_questions, runs_in
from stillhouse.evals.task import Problem

PROBLEMS = [Problem(f"p/{n}", f"Question {n}?", "8", extra={"tests": [n]}) for n in range(4)]
SETTINGS: dict[str, Any] = {
    "label": "m",
    "model": "m",
    "url": "http://here:1",
    "tasks": {
        "toy": {
            "version": 1,
            "prompt": "{q}",
            "questions": 4,
            "samples": 2,
            "options": {"temperature": 0.6, "max_tokens": 9},
        }
    },
}


def sample(problem: str = "p/0", number: int = 0, **fields: Any) -> Sample:
    return Sample(
        **{
            "task": "toy",
            "problem": problem,
            "number": number,
            "seed": 3,
            "verdict": "right",
            "score": 1.0,
            "extracted": "8",
            "note": None,
            "reasoning": "",
            "answer": "8",
            "finish_reason": "stop",
            "thinking_end": "none",
            "prompt_tokens": 5,
            "reasoning_tokens": 0,
            "answer_tokens": 1,
        }
        | fields
    )


def done(problem: str = "p/0", number: int = 0, session: int = 0, at_s: float = 1.5) -> Done:
    return Done(problem, number, session, at_s, None, 1.0)


def with_task(**fields: Any) -> dict[str, Any]:
    return SETTINGS | {"tasks": {"toy": SETTINGS["tasks"]["toy"] | fields}}


def test_a_torn_last_line_is_dropped_with_a_note(tmp_path: Path) -> None:
    notes: list[str] = []
    with RunFolder(tmp_path, notes.append) as folder:
        run = folder.run("m", SETTINGS)
        with run.open("toy") as store:
            store.add(sample(), done())
            store.add(sample(number=1), done(number=1))
        path = tmp_path / "m" / "toy.jsonl"
        whole = path.read_bytes()
        for cut in (len(whole) - 1, len(whole) // 2 + 1):
            path.write_bytes(whole[:cut])
            with run.open("toy") as store:
                assert [one.number for one in store.samples] == [0]
            assert path.read_bytes() == whole[: len(whole) // 2]
    assert [note.partition(": ")[2] for note in notes] == [
        "its last line was torn, and is dropped"
    ] * 2


def test_who_only_reads_leaves_a_torn_line_to_its_writer(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        run = folder.run("m", SETTINGS)
        with run.open("toy") as store:
            store.add(sample(), done())
    path = tmp_path / "m" / "toy.jsonl"
    torn = path.read_bytes() + b'{"task": "to'
    path.write_bytes(torn)
    with run.open("toy", to_read=True) as store:
        assert len(store.samples) == 1
    assert path.read_bytes() == torn


def test_a_damaged_line_is_refused_with_its_place(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        run = folder.run("m", SETTINGS)
        path = tmp_path / "m" / "toy.jsonl"
        for bad, complaint in (
            (b"{]\n", "line 2: Invalid JSON"),
            (line_of(sample().as_json() | {"number": "1"}), "line 2: number"),
            (line_of(sample(task="other").as_json()), "holds a sample of other"),
        ):
            path.write_bytes(line_of(sample().as_json()) + bad)
            with pytest.raises(UsageError, match=complaint):
                run.open("toy")


def test_the_file_is_sorted_by_problem_and_number(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        with folder.run("m", SETTINGS).open("toy") as store:
            for number, problem in ((1, "p/2"), (0, "p/10"), (0, "p/2"), (0, "p/3")):
                store.add(sample(problem, number), done(problem, number))
            store.sort([Problem("p/3", "", ""), Problem("p/2", "", ""), Problem("p/10", "", "")])
            assert not list((tmp_path / "m").glob("*.part"))
        with folder.run("m", SETTINGS).open("toy") as store:
            keys = [(one.problem, one.number) for one in store.samples]
    assert keys == [("p/3", 0), ("p/2", 0), ("p/2", 1), ("p/10", 0)]


def test_the_duration_is_that_of_all_sessions(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        run = folder.run("m", SETTINGS)
        with run.open("toy") as store:
            store.add(sample(), done(at_s=4.0))
            store.add(sample(number=1), done(number=1, at_s=3.0))
        with run.open("toy") as store:
            assert (store.session, store.duration_s) == (1, 4.0)
            store.add(sample("p/1"), done("p/1", session=1, at_s=2.5))
            assert (store.duration_s, store.num_tokens) == (6.5, 3)


@pytest.mark.parametrize(
    ("given_now", "complaint"),
    [
        (SETTINGS | {"model": "n"}, '^model was "m" in .*, and is "n" now'),
        (with_task(version=2), "^toy: version was 1 in .*, and is 2 now"),
        (with_task(prompt="{p}"), '^toy: prompt was "{q}"'),
        (with_task(options={"temperature": 0.6}), "^toy: max_tokens was 9 in .*, and is null now"),
    ],
)
def test_a_resume_with_other_settings_is_refused(
    given_now: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with RunFolder(tmp_path) as folder:
        folder.run("m", SETTINGS)
        with pytest.raises(UsageError, match=complaint) as raised:
            folder.run("m", given_now)
        assert "\n" not in raised.value.message
        assert folder.run("m", SETTINGS).settings() == SETTINGS


def test_more_samples_other_tasks_and_a_server_that_moved_are_taken(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        folder.run("m", SETTINGS)
        more = with_task(samples=8) | {"url": "http://there:2"}
        more["tasks"]["other"] = SETTINGS["tasks"]["toy"]
        folder.run("m", more)
        assert folder.run("m", SETTINGS | {"tasks": {}}).settings()["tasks"] == more["tasks"]
    assert [run.settings()["label"] for run in runs_in(tmp_path)] == ["m"]


def test_fewer_samples_and_questions_are_a_view_of_what_is_there(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        folder.ask("toy", PROBLEMS)
        folder.ask("toy", PROBLEMS[:2])
        assert len(read_questions(tmp_path, "toy")) == len(PROBLEMS)
        folder.run("m", SETTINGS)
        run = folder.run("m", with_task(samples=1, questions=1))
        assert run.settings() == SETTINGS
        with run.open("toy") as store:
            for problem, number in (("p/3", 1), ("p/3", 0), ("p/1", 1), ("p/0", 1), ("p/0", 0)):
                store.add(sample(problem, number), done(problem, number))
            found = store.of(PROBLEMS[:2], 1)
            assert [(one.problem, one.number) for one in found] == [("p/0", 0)]
            store.sort(PROBLEMS[:2])
        keys = [(one.problem, one.number) for one in run.open("toy", to_read=True).samples]
        assert keys == [("p/0", 0), ("p/0", 1), ("p/1", 1), ("p/3", 1), ("p/3", 0)]


def test_a_run_that_is_neither_larger_nor_a_part_is_refused(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        folder.run("m", with_task(questions=9, samples=1))
        with pytest.raises(UsageError, match="9 questions × 1 samples, and 4 questions × 2 sam"):
            folder.run("m", with_task(questions=4, samples=2))
        folder.run("m", with_task(questions=9, samples=2))
        folder.run("m", with_task(questions=4, samples=1))


def test_a_server_is_refused_under_the_label_of_another(tmp_path: Path) -> None:
    """Two servers of one model are told apart by their order: swapped, each would get the other's
    samples."""
    here = SETTINGS | {"url": "http://here:1", "thinking_budget": None}
    there = here | {"label": "m at http://there:2", "url": "http://there:2"}
    with RunFolder(tmp_path) as folder:
        folder.run("m", here)
        folder.run(there["label"], there)
        with pytest.raises(UsageError, match="there:2 would go on as 'm', and is 'm at http"):
            folder.run("m", here | {"url": "http://there:2"})
        folder.run("m", here | {"url": "http://moved:3"})
        budget = here | {"label": "m, 8", "thinking_budget": 8}
        folder.run("m, 8", budget)
        folder.run("m", here | {"url": "http://moved:4"})
        folder.run("m, 8", budget | {"url": "http://moved:4"})
        folder.run("other", here | {"label": "other", "engine": "vllm", "url": "http://moved:4"})


def test_a_folder_knows_how_a_task_was_asked(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        assert folder.options("m") == {}
        folder.run("m", SETTINGS)
        assert folder.options("m") == {"toy": SETTINGS["tasks"]["toy"]["options"]}


def test_other_questions_are_refused_and_more_of_them_taken(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        folder.ask("toy", PROBLEMS[:2])
        folder.ask("toy", PROBLEMS)
        worded = [*PROBLEMS[:2], replace(PROBLEMS[2], prompt="What?"), PROBLEMS[3]]
        with pytest.raises(UsageError, match="question 3 of toy is 'p/2', and another one"):
            folder.ask("toy", worded)
        found = read_questions(tmp_path, "toy")
    assert found == [replace(problem, extra=None) for problem in PROBLEMS]


def test_comparing_questions_writes_nothing(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        assert folder.compare("toy", PROBLEMS) == 0
        assert not (tmp_path / "questions").exists()
        folder.ask("toy", PROBLEMS[:2])
        assert folder.compare("toy", PROBLEMS) == 2
        assert len(read_questions(tmp_path, "toy")) == 2


def test_a_folder_is_for_one_process(tmp_path: Path) -> None:
    with RunFolder(tmp_path), pytest.raises(UsageError, match="another process is at work"):
        RunFolder(tmp_path)
    with RunFolder(tmp_path):
        pass


def test_a_file_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        RunFolder(tmp_path / "file")
    with pytest.raises(UsageError, match="holds no run"):
        runs_in(tmp_path)


texts = st.text(max_size=40)


@settings(deadline=None)
@given(
    texts,
    texts,
    st.floats(0, 1),
    st.lists(st.floats(max_value=0, allow_nan=False), max_size=4).map(tuple),
)
def test_a_sample_comes_back_as_it_went(
    answer: str, reasoning: str, score: float, nats: tuple[float, ...]
) -> None:
    kept = sample(answer=answer, reasoning=reasoning, score=score, loglikelihoods=nats)
    line = line_of(kept.as_json())
    assert line.count(b"\n") == 1
    assert parse_line(TypeAdapter(Sample), line[:-1], Path("f"), 1) == kept


def test_a_lone_surrogate_does_not_stop_a_run() -> None:
    assert b'"answer": "a?b"' in line_of({"answer": "a\ud800b"})


@settings(deadline=None)
@given(st.text(max_size=30))
def test_a_name_is_fit_for_a_file(name: str) -> None:
    made = file_name(name)
    assert made
    assert made not in (".", "..")
    assert not set(made) & set('/\\:*?"<>| ')


def test_seeds_are_stable_and_of_31_bits() -> None:
    seeds = {
        sample_seed(run, task, problem, number)
        for run in (0, 1)
        for task in ("a", "b")
        for problem in ("1", "11")
        for number in (1, 11)
    }
    assert len(seeds) == 16
    assert all(0 <= seed < 2**31 for seed in seeds)
    # By hand: sha256 of '[0, "gsm8k", "0", 0]', its first 31 bits.
    assert sample_seed(0, "gsm8k", "0", 0) == 1295193600
    assert math.log2(max(seeds)) > 24
