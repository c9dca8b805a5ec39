"""An evaluation while it runs: a bar for the task, its score so far, the time left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stillhouse.cli.live_bar import LiveBar, time_left
from stillhouse.evals.sentences import score_sentence

if TYPE_CHECKING:
    from stillhouse.evals.runs import Part
    from stillhouse.evals.sample import Sample
    from stillhouse.evals.summary import TaskSummary
    from stillhouse.evals.task import Task

_REDRAW_S = 0.2
_WINDOW_S = 30.0  # that tokens a second are counted over


class LiveEval(LiveBar):
    """Listens to a run and tells stderr."""

    def __init__(self) -> None:
        super().__init__("score", "rate")
        self._began_at = self._drawn_at = self._window_at = time.monotonic()
        self._total = self._done = self._before = self._pieces = 0
        self._right = 0.0

    def task_begins(
        self, label: str, task: Task, part: Part, *, total: int, done: int, right: float
    ) -> None:
        """The bar starts anew, for this part of the run."""
        self._total, self._done, self._before = total, done, done
        self._right, self._pieces = right, 0
        self._began_at = self._window_at = time.monotonic()
        place = f" ({part.number} of {part.of})" if part.of > 1 else ""
        self.begin(f"{label} · {task.name}{place}", total=total, done=done, score=self._score())
        if done:
            self.note(f"{label}, {task.name}: {done:,} of {total:,} samples were there already")

    def piece(self) -> None:
        """Of any answer."""
        self._pieces += 1
        now = time.monotonic()
        if now - self._drawn_at > _REDRAW_S:
            self._drawn_at = now
            rate = self._pieces / max(1e-9, now - self._window_at)
            if now - self._window_at > _WINDOW_S:
                self._window_at, self._pieces = now, 0
            self.update(rate=f"{rate:.0f} tok/s", left=self._left(now))

    def sample_ended(self, sample: Sample) -> None:
        """The bar moves."""
        self._done += 1
        self._right += sample.score
        self.update(advance=1, score=self._score(), left=self._left(time.monotonic()))

    def task_ended(self, label: str, summary: TaskSummary) -> None:
        """A line that stays."""
        self.hide()
        self.note(f"{label}, {summary.task}: {score_sentence(summary)}")

    def _score(self) -> str:
        return f"pass@1 {self._right / self._done:.1%}" if self._done else ""

    def _left(self, now: float) -> str:
        """Of this task."""
        came = self._done - self._before
        return time_left(now - self._began_at, came, self._total - self._done)
