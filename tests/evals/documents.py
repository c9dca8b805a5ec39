"""Documents of `still eval --json` for the tests of its page: seeded, and plausible.

Their figures follow from their samples, by the plainest of formulas.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from stillhouse.evals.sample import Sample, Verdict

LADDER = {  # what a quantisation is: bits a weight, bytes, tok/s, and the skill that it leaves
    "BF16": (16.0, 3.09e9, 61.0, 1.15),
    "Q8_0": (8.5, 1.65e9, 118.0, 1.14),
    "Q4_K_M": (4.97, 0.99e9, 171.0, 1.02),
    "Q3_K_M": (4.19, 0.82e9, 158.0, 0.62),
    "Q2_K": (3.45, 0.68e9, 190.0, -0.9),
}
PROMPT = "{question}\n\nPlease reason step by step, and put your final answer within \\boxed{{}}."
TASKS = {"gsm8k": "GSM8K", "math500": "MATH-500"}
MODEL = "qwen2.5-coder:1.5b"


def question(rng: Generator) -> tuple[str, int]:
    many, price, given = (int(n) for n in rng.integers(3, 40, 3))
    return (
        f"A baker makes {many} loaves a day and sells each for ${price}. She gives {given} dollars"
        " of what she takes to a neighbour. How much does she keep in a week?",
        7 * (many * price - given),
    )


def sample(
    rng: Generator, verdict: Verdict, gold: int, *, task: str, problem: str, number: int
) -> Sample:
    found = {"right": gold, "wrong": gold + int(rng.integers(1, 90))}.get(verdict)
    thought = f"Each week has 7 days, so I multiply what is left of a day by 7 to get {found}. "
    answer = "" if verdict == "truncated" else "She keeps what is left after the gift.\n\n"
    repeats = 12 if verdict in ("truncated", "looped") else int(rng.integers(1, 5))
    return Sample(
        task=task, problem=problem, number=number, seed=int(rng.integers(2**31)), verdict=verdict,
        score=float(verdict == "right"), extracted=None if found is None else str(found),
        note="the loop guard ended the thought" if verdict == "looped" else None,
        reasoning=thought * repeats,
        answer=answer if found is None else f"{answer}The answer is $\\boxed{{{found}}}$.",
        finish_reason="length" if verdict == "truncated" else "stop",
        thinking_end={"truncated": "context", "looped": "loop"}.get(verdict, "natural"),
        prompt_tokens=int(rng.integers(70, 160)), reasoning_tokens=24 * repeats,
        answer_tokens=int(rng.integers(20, 60)),
    )  # fmt: skip


def samples_of(
    rng: Generator, label: str, skill: float, *, task: str, questions: int, number: int
) -> list[dict[str, Any]]:
    """The same questions, as hard, for every label: only `rng` and `skill` differ."""
    asked, found = np.random.default_rng(7), []
    for place in range(questions):
        text, gold = question(asked)
        hardness = asked.normal(0, 1.5)
        for k in range(number):
            p = 1 / (1 + np.exp(hardness - skill))
            others = ("wrong", "wrong", "wrong", "no_answer", "truncated", "looped")
            verdict: Any = "right" if rng.random() < p else str(rng.choice(others))
            made = sample(rng, verdict, gold, task=task, problem=f"test/{place}", number=k)
            prompt = PROMPT.format(question=text)
            found.append({"label": label, "prompt": prompt, "gold": str(gold)} | made.as_json())
    return found


def by_question(samples: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, Any]:
    """Scores, of shape (questions, samples a question)."""
    number = 1 + max(one["number"] for one in samples)
    return np.array([one["score"] for one in samples]).reshape(-1, number)


def task_figures(name: str, samples: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    scores = by_question(samples)
    questions, number = scores.shape
    means = scores.mean(1)
    mean = float(scores.mean())
    se = float(means.std(ddof=1) / np.sqrt(questions)) if questions > 1 else 0.0
    counts = {
        verdict: sum(one["verdict"] == verdict for one in samples)
        for verdict in ("right", "wrong", "no_answer", "truncated", "looped")
    }
    spent = sum(one["reasoning_tokens"] + one["answer_tokens"] for one in samples)
    right = counts["right"] or None
    return {
        "title": TASKS.get(name, name), "version": 1, "prompt": PROMPT,
        "source": "DeepSeek-R1's wording, README of the model",
        "options": {"seed": 0, "temperature": 0.6, "top_p": 0.95, "max_tokens": 32768},
        "questions": questions,
        "samples": number, "pass@1": mean,
        "stderr_sampling": float(np.sqrt((means * (1 - means)).mean() / scores.size)),
        "stderr_questions": se,
        "interval": [max(0.0, mean - 1.96 * se), min(1.0, mean + 1.96 * se)],
        "pass@k": {str(number): float(scores.max(1).mean())} if number > 1 else {},
        "maj@k": {str(number): float((means >= 0.5).mean())} if number > 1 else {},
        "pass@k_interval": {str(number): [0.5, 0.875]} if number > 1 else {},
        **counts,
        "mean_reasoning_tokens": float(np.mean([one["reasoning_tokens"] for one in samples])),
        "mean_answer_tokens": float(np.mean([one["answer_tokens"] for one in samples])),
        "tokens_per_correct": right and spent / right,
        "seconds_per_correct": right and seconds / right, "chance": 0.0, "groups": {},
    }  # fmt: skip


def comparison(
    a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], task: str
) -> dict[str, Any]:
    ours, base = by_question(b), by_question(a)
    each = ours.mean(1) - base.mean(1)
    mean, se = float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))
    low, high, score = mean - 1.96 * se, mean + 1.96 * se, float(base.mean())
    verdict = f"no difference that {base.size} samples can show"
    if high < 0 or low > 0:
        ends = sorted((abs(100 * low), abs(100 * high)))
        verdict = f"{'worse' if high < 0 else 'better'} by {abs(100 * mean):.1f} points"
        verdict += f" ({ends[0]:.1f} to {ends[1]:.1f})"
    return {
        "a": a[0]["label"], "b": b[0]["label"], "task": task, "questions": len(each),
        "samples": base.shape[1], "difference": mean, "low": low, "high": high,
        "recovery": 1 + mean / score, "recovery_low": 1 + low / score,
        "recovery_high": 1 + high / score, "verdict": verdict,
    }  # fmt: skip


def document(
    *,
    tasks: Sequence[str] = ("gsm8k",),
    labels: Sequence[str] = tuple(LADDER),
    budgets: Sequence[int | None] = (None,),
    questions: int = 40,
    number: int = 4,
    seed: int = 1,
) -> dict[str, Any]:
    """A ladder of quantisations, each with every thinking budget; the first is the baseline."""
    rng = np.random.default_rng(seed)
    results, samples, comparisons = [], [], []
    base: dict[str, list[dict[str, Any]]] = {}
    for name in labels:
        bits, size, speed, skill = LADDER[name]
        for budget in budgets:
            label = name if budgets == (None,) else f"{name} budget {budget or 'none'}"
            cut = 0.0 if budget is None else 60 / (budget + 30)
            figures = {}
            for task in tasks:
                own = samples_of(
                    rng, label, skill - cut, task=task, questions=questions, number=number
                )
                spent = sum(one["reasoning_tokens"] + one["answer_tokens"] for one in own)
                figures[task] = task_figures(task, own, spent / speed)
                if task in base:
                    comparisons.append(comparison(base[task], own, task))
                base.setdefault(task, own)
                samples += own
            results.append({
                "model": MODEL, "quantization": name, "engine": "stillhouse", "url": None,
                "file_bytes": int(size), "bits_per_weight": bits, "thinking_budget": budget,
                "label": label, "duration_s": 240.0, "output_tokens_per_s": speed,
                "tasks": figures,
            })  # fmt: skip
    shown = {
        "command": "eval", "stillhouse": "0.1.0", "commit": "8e27a1f0c4d6b3a59e71", "model": MODEL,
        "machine": {"cpu": "AMD EPYC", "physical_cores": 2, "logical_cores": 2,
                    "total_memory_bytes": 25276510208},
        "date": "2026-11-24", "results": results, "comparisons": comparisons, "warnings": [],
        "folder": "runs/gsm8k", "samples": samples, "samples_left_out": 0,
    }  # fmt: skip
    loaded: dict[str, Any] = json.loads(json.dumps(shown))
    return loaded


def compared(shown: dict[str, Any], label: str, **changes: Any) -> None:
    """Changes what the comparison of a result says."""
    next(one for one in shown["comparisons"] if one["b"] == label).update(changes)


def pictured(variable: str = "STILLHOUSE_EVAL_DOCUMENT", **made: Any) -> dict[str, Any]:
    """A real run's document where the environment names one, for the pictures in the documentation;
    else one that is made."""
    path = os.environ.get(variable)
    if path is None:
        return document(**made)
    loaded: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return loaded
