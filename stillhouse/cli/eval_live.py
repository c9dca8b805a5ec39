"""An evaluation while it runs: a bar for the task, its score so far, the time left."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stillhouse.cli.terminal import note
from stillhouse.evals.sentences import score_sentence
from stillhouse.units import format_seconds

if TYPE_CHECKING:
    from stillhouse.evals.sample import Sample
    from stillhouse.evals.summary import TaskSummary
    from stillhouse.evals.task import Task

_REDRAW_S = 0.2
_WINDOW_S = 30.0  # that tokens a second are counted over


class LiveEval:
    """Listens to a run and tells stderr. A context manager."""

    def __init__(self) -> None:
        self._began_at = self._drawn_at = self._window_at = time.monotonic()
        self._total = self._done = self._before = self._pieces = 0
        self._rate = 0.0
        self._right = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[score]}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("", score="", rate="", left="", visible=False)

    def __enter__(self) -> LiveEval:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """One line."""
        if self._bar.disable:
            note(text)
        else:
            self._bar.console.print(text, style="dim", highlight=False, markup=False)

    def warn(self, text: str) -> None:
        """One line that is not dim."""
        if self._bar.disable:
            print(f"warning: {text}", file=sys.stderr, flush=True)
        else:
            self._bar.console.print(f"warning: {text}", highlight=False, markup=False)

    def task_begins(self, label: str, task: Task, *, total: int, done: int, right: float) -> None:
        """The bar starts anew."""
        self._total, self._done, self._before = total, done, done
        self._right, self._pieces = right, 0
        self._began_at = self._window_at = time.monotonic()
        self._bar.reset(
            self._task,
            total=total,
            completed=done,
            description=f"{label} · {task.name}",
            visible=True,
            score=self._score(),
            rate="",
            left="",
        )
        if done:
            self.note(f"{label}, {task.name}: {done:,} of {total:,} samples were there already")

    def piece(self) -> None:
        """Of any answer."""
        self._pieces += 1
        now = time.monotonic()
        if now - self._drawn_at > _REDRAW_S:
            self._drawn_at = now
            self._rate = self._pieces / max(1e-9, now - self._window_at)
            if now - self._window_at > _WINDOW_S:
                self._window_at, self._pieces = now, 0
            self._bar.update(self._task, rate=f"{self._rate:.0f} tok/s", left=self._left(now))

    def sample_ended(self, sample: Sample) -> None:
        """The bar moves."""
        self._done += 1
        self._right += sample.score
        self._bar.update(
            self._task, advance=1, score=self._score(), left=self._left(time.monotonic())
        )

    def task_ended(self, label: str, summary: TaskSummary) -> None:
        """A line that stays."""
        self._bar.update(self._task, visible=False)
        self.note(f"{label}, {summary.task}: {score_sentence(summary)}")

    def _score(self) -> str:
        return f"pass@1 {self._right / self._done:.1%}" if self._done else ""

    def _left(self, now: float) -> str:
        """Of this task, if the samples to come take as long as those that came."""
        came = self._done - self._before
        if not came:
            return ""
        left_s = (now - self._began_at) / came * (self._total - self._done)
        return f"about {format_seconds(max(1.0, left_s))} left"
