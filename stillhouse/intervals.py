"""How many standard errors hold what is looked for in 95 of 100 cases."""

from __future__ import annotations

Z = 1.959963984540054
"""97.5 % of a normal distribution."""


def student_t(freedom: float) -> float:
    """97.5 % of Student's distribution, within 1 % from 2 degrees of freedom on (Abramowitz and
    Stegun, 26.7.5)."""
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
