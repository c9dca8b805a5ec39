"""What an answer must look like, as far as the engine is concerned."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray


class TokenConstraint(Protocol):
    """Says which tokens may come next in one sequence's answer; see `choosing` for when it does."""

    def fork(self) -> Self:
        """The same for another sequence that goes on from here."""
        ...

    def allowed(self) -> NDArray[np.bool_]:
        """(vocab,): which tokens may come next, at least one; the caller's to change.

        Stop ids are among them where the answer may end.
        """
        ...

    def push(self, token_id: int) -> None:
        """Takes an allowed token."""
        ...
