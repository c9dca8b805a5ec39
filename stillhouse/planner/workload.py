"""What is asked of a model: tokens of prompt, thought and answer, and how many users at once."""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.errors import UsageError

# A guide's question to a distilled model is thought about for 500 to 2,000 tokens before the answer
# begins; R1 takes 12,000 for AIME problems, R1-0528 23,000.
PROMPT_TOKENS = 512
THINKING_TOKENS = 2000
ANSWER_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Workload:
    """One question for each of `users`, all at the same time.

    `context_tokens` is what memory is planned for, of each user: all of the tokens, or more.
    """

    prompt_tokens: int = PROMPT_TOKENS
    thinking_tokens: int = THINKING_TOKENS
    answer_tokens: int = ANSWER_TOKENS
    users: int = 1
    context_tokens: int = PROMPT_TOKENS + THINKING_TOKENS + ANSWER_TOKENS

    @classmethod
    def of(
        cls,
        *,
        users: int = 1,
        context_tokens: int | None = None,
        prompt_tokens: int | None = None,
        thinking_tokens: int | None = None,
        answer_tokens: int = ANSWER_TOKENS,
    ) -> Workload:
        """What is not said is usual. A context alone is shared out: of what the prompt and the
        answer leave, the thought takes the usual, or all. Raises UsageError for what does not fit.
        """
        prompt = PROMPT_TOKENS if prompt_tokens is None else prompt_tokens
        if context_tokens is not None and prompt_tokens is None:
            prompt = min(prompt, max(1, context_tokens // 4))
        if context_tokens is not None and context_tokens < prompt + answer_tokens:
            answer_tokens = max(1, min(answer_tokens, context_tokens // 4))
        thinking = THINKING_TOKENS if thinking_tokens is None else thinking_tokens
        if context_tokens is not None and thinking_tokens is None:
            thinking = max(0, min(thinking, context_tokens - prompt - answer_tokens))
        needed = prompt + thinking + answer_tokens
        context = needed if context_tokens is None else context_tokens
        if context < needed:
            raise UsageError(
                f"a context of {context} tokens does not hold {prompt} of a prompt, {thinking} of a"
                f" thought and {answer_tokens} of an answer",
                hint=f"--context {needed}, or a shorter thought",
            )
        return cls(prompt, thinking, answer_tokens, users, context)

    @property
    def middle_tokens(self) -> int:
        """Context in the middle of the thought, where an average token is written."""
        return self.prompt_tokens + (self.thinking_tokens + self.answer_tokens) // 2
