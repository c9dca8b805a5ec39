"""One compiler for all kernel tests, and teams of one to three threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stillhouse.kernels.compiler import KernelCompiler
from stillhouse.kernels.team import Team


@pytest.fixture(scope="session")
def compiler() -> KernelCompiler:
    """Kernels by name, each compiled once (or found in the user's cache on disk)."""
    return KernelCompiler()


@pytest.fixture(scope="session")
def teams() -> Iterator[dict[int, Team]]:
    """Teams by their number of threads."""
    teams = {threads: Team(threads) for threads in (1, 2, 3)}
    yield teams
    for team in teams.values():
        team.close()


@pytest.fixture(scope="session")
def team(teams: dict[int, Team]) -> Team:
    """The team for tests to which the number of threads is nothing."""
    return teams[2]
