"""Stopping a step between its operations, to look at what each matrix is multiplied with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stillhouse.models.program import MatrixOperation, Step

Watch = Callable[[tuple[str, ...], NDArray[np.float32]], None]
"""Given the names of matrices and the rows that all of them read."""


class Segment(NamedTuple):
    """Operations, and the matrices that come next, which read ``values``; none at the very end."""

    before: Sequence[Step]
    names: tuple[str, ...]
    values: NDArray[np.float32]


def segments(steps: Sequence[Step]) -> Iterator[Segment]:
    """Cut a program before each run of neighbouring matrices that read the same rows.

    The products of the last run are nobody's business if the program ends with them: they are left
    out.
    """
    before: list[Step] = []
    at = 0
    while at < len(steps):
        first = steps[at]
        if not isinstance(first, MatrixOperation):
            before.append(first)
            at += 1
            continue
        group = []
        for step in steps[at:]:
            if not isinstance(step, MatrixOperation) or step.source is not first.source:
                break
            group.append(step)
        yield Segment(before, tuple(step.matrix for step in group), first.source.values)
        before = list(group)
        at += len(group)
    if before and not isinstance(before[-1], MatrixOperation):
        yield Segment(before, (), np.empty((0, 0), np.float32))
