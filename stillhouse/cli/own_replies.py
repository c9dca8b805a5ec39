"""What a model thinks and answers to people's prompts, as a text that shows which weights matter.

A reasoning model spends its life in its own thoughts, and no book reads like them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_AT_ONCE = 8


def own_replies(
    model: str,
    prompts: Path,
    *,
    enough_tokens: int | None = None,
    max_tokens: int | None,
    seed: int | None,
    threads: int,
    loading: Callable[[str, int, int], None],
    progress: Callable[[int, int], None],
) -> str:
    """Each prompt with the reply, as one text; the file's order, whatever ends first.

    Args:
        enough_tokens: of replies, after which no more prompts are asked.
        max_tokens: of one reply.
        progress: hears of prompts, answered and in all.

    Raises UsageError for a file that has no prompts, and what `LLM` raises.
    """
    from stillhouse.bench.prompts import read_prompts
    from stillhouse.llm import LLM

    asked = read_prompts(prompts).texts
    parts: list[str] = []
    done_tokens = 0
    with (
        # Without matrix tiles a reply does not depend on who else is answered.
        LLM(model, threads=threads, users=_AT_ONCE, deterministic=True, progress=loading) as llm,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        for first in range(0, len(asked), _AT_ONCE):
            group = asked[first : first + _AT_ONCE]
            replies = pool.map(lambda one: llm.chat(one, max_tokens=max_tokens, seed=seed), group)
            for prompt, reply in zip(group, replies, strict=True):
                parts += filter(None, (prompt, reply.reasoning, reply.answer))
                done_tokens += reply.usage.reasoning_tokens + reply.usage.answer_tokens
            progress(first + len(group), len(asked))
            if enough_tokens is not None and done_tokens >= enough_tokens:
                break
    return "\n\n".join(parts)
