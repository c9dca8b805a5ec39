"""What an engine is doing now, and what it has done since it was made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Requests and blocks at this moment; tokens, steps and preemptions since the start.

    Every block is held by somebody, cached (nobody's, but filled with a known prefix) or blank. A
    prompt counts when it first enters, and a fork's with it: what its parent has computed of it
    comes from the cache too. `rows` are token positions computed, again after a preemption.
    """

    waiting_requests: int
    running_requests: int
    total_blocks: int
    held_blocks: int
    cached_blocks: int
    blank_blocks: int
    prompt_tokens: int
    prompt_tokens_from_cache: int
    generated_tokens: int
    preemptions: int
    steps: int
    rows: int

    @property
    def hit_rate(self) -> float:
        """Share of the prompt tokens that needed no computing; 0 before the first prompt."""
        return self.prompt_tokens_from_cache / self.prompt_tokens if self.prompt_tokens else 0.0
