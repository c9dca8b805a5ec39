"""A harness's scores beside ours: question by question, as JSON, and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness_questions import Asked, Questions

from stillhouse.evals.paired import difference_of
from stillhouse.evals.sample import Sample
from stillhouse.evals.statistics import pass_at_1


def comparison(
    questions: Questions, theirs: Sequence[Asked], ours: Sequence[Sample]
) -> dict[str, Any]:
    """Scores from 0 to 1. `difference` is theirs less ours, with its 95 % interval; they agree
    where it holds 0. Questions that were graded differently are listed with both answers.
    """
    problems = questions.problems
    their_scores = [[one.score] for one in theirs]
    our_scores = [[one.score] for one in ours]
    difference = difference_of(our_scores, their_scores, is_greedy=True)
    together = list(zip(problems, theirs, ours, strict=True))
    apart = [
        abs(a - b)
        for _, one, sample in together
        for a, b in zip(one.likelihoods, sample.loglikelihoods, strict=True)
    ]
    return {
        "task": questions.task.name,
        "asking": questions.task.asking,
        "questions": len(problems),
        "shots": questions.task.num_shots,
        "harness_score": asdict(pass_at_1(their_scores, is_greedy=True)),
        "own_score": asdict(pass_at_1(our_scores, is_greedy=True)),
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "agrees": not difference.is_shown,
        "empty_answers": sum(not one.text for one in theirs),  # what harnesses make of refusals
        "same_prompt": sum(one.prompt == problem.prompt for problem, one, _ in together),
        "same_answer": sum(one.text == sample.answer for _, one, sample in together),
        "same_grade": sum(one.score == sample.score for _, one, sample in together),
        "largest_likelihood_difference": max(apart) if apart else None,
        "differing": [
            {
                "problem": problem.id,
                "gold": problem.gold,
                "harness_score": one.score,
                "own_score": sample.score,
                "verdict": sample.verdict,
                "extracted": sample.extracted,
                "harness_answer": one.text,
                "own_answer": sample.answer,
            }
            for problem, one, sample in together
            if one.score != sample.score
        ],
    }


def line(cell: dict[str, Any]) -> str:
    number = cell["questions"]
    return (
        f"{cell['harness']:9} {cell['task']:13} {cell['harness_score']['value']:6.1%}, still eval"
        f" {cell['own_score']['value']:6.1%}: {cell['difference']:+.1%} [{cell['low']:+.1%},"
        f" {cell['high']:+.1%}]; of {number}: same prompt {cell['same_prompt']}, answer"
        f" {cell['same_answer']}, grade {cell['same_grade']}, empty {cell['empty_answers']};"
        f" {cell['duration_s']:.0f} s and"
        f" {cell['own_duration_s']:.0f} s"
    )


def markdown(document: dict[str, Any]) -> str:
    """The table beside the JSON."""
    machine = document["machine"]
    rows = [
        f"On {machine['cpu']}, {machine['physical_cores']} cores, {document['date']}:"
        f" `{document['model']}`, greedy, {document['users']} questions at once. Errors and the"
        " difference's interval (95 %) are for other questions like these.",
        "",
        "| harness | task | shots | questions | its score | `still eval --url` | difference |"
        " same prompt | same answer | same grade |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cell in document["results"]:
        number = cell["questions"]
        parts = [
            f"{cell['harness']} {cell['version']}, `{cell['client']}`",
            f"`{cell['task']}`",
            str(cell["shots"]),
            str(number),
            _score(cell["harness_score"]),
            _score(cell["own_score"]),
            f"{_points(cell['difference'])} [{_points(cell['low'])}, {_points(cell['high'])}]",
            f"{cell['same_prompt']} of {number}",
            f"{cell['same_answer']} of {number}",
            f"{cell['same_grade']} of {number}",
        ]
        rows.append(f"| {' | '.join(parts)} |")
    for cell in document["results"]:
        apart = cell["largest_likelihood_difference"]
        if apart is not None:
            how = f"differ from ours by at most {apart:.1g}" if apart else "equal ours bit for bit"
            rows += ["", f"{cell['harness']}'s log-likelihoods of `{cell['task']}` {how}."]
    return "\n".join(rows) + "\n"


def _score(score: dict[str, Any]) -> str:
    error = score["stderr_questions"]
    return f"{100 * score['value']:.1f} %" + ("" if error is None else f" ± {100 * error:.1f}")


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
