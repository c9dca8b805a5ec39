"""What a sample of requests says of the rest: percentiles, and how far chance could have moved them.

Percentiles are numpy's, linear between the two nearest values: the same definition as that of
vLLM's benchmark, so that both may stand in one table.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stillhouse.bench.records import Spread


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """Mean and percentiles of what has a value (None has none); None where nothing has one."""
    known = np.array([value for value in values if value is not None], np.float64)
    if not known.size:
        return None
    p50, p95, p99 = np.percentile(known, (50, 95, 99))
    return Spread(known.size, float(known.mean()), float(p50), float(p95), float(p99))
