"""The measurement that ``still doctor`` prints and decoding is judged by."""

from __future__ import annotations

import pytest

from stillhouse.kernels.bandwidth import measure_read_bytes_per_s


@pytest.mark.parametrize("threads", [1, 2])
def test_reading_is_faster_than_a_disk_and_slower_than_light(threads: int) -> None:
    rate = measure_read_bytes_per_s(threads, buffer_bytes=16 << 20)
    assert 2e8 < rate < 2e13
