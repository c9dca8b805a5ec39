"""The text that shows a quantiser which weights matter: a file, or what the model says to it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from stillhouse.cli.terminal import StageLine, note

_AT_ONCE = 8
_REPLY_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class TextOptions:
    """What the command line says of it: at most `samples` pieces of `sample_tokens` are read.

    With `own_thoughts` the lines of `text` are questions, and the model's replies are the text.
    """

    text: Path | None
    own_thoughts: bool
    samples: int
    sample_tokens: int

    @property
    def name(self) -> str:
        """What files say of it."""
        name = "" if self.text is None else self.text.name
        return f"own thoughts on {name}" if self.own_thoughts else name

    def read(self, reference: str, *, threads: int) -> str:
        """The text. Raises UsageError for a file that cannot be read, or holds none."""
        from stillhouse.quantize.texts import read_text

        assert self.text is not None
        if not self.own_thoughts:
            return read_text(self.text)
        return self._thoughts(self.text, reference, threads)

    def _thoughts(self, questions: Path, reference: str, threads: int) -> str:
        """Questions, thoughts and answers, until there are enough tokens. Seeds count from 0."""
        from concurrent.futures import ThreadPoolExecutor

        from stillhouse.bench.prompts import read_prompts
        from stillhouse.llm import LLM

        prompts = read_prompts(questions).texts
        wanted_tokens = self.samples * self.sample_tokens
        longest = max(map(len, prompts))  # characters, and a token is one or more of them
        line, texts, done_tokens = StageLine(), [], 0
        with (
            LLM(
                reference,
                threads=threads,
                users=_AT_ONCE,
                context_tokens=_REPLY_TOKENS + 512 + longest // 2,
                progress=line,
            ) as llm,
            ThreadPoolExecutor(_AT_ONCE) as pool,
        ):
            asked = enumerate(cycle(prompts))
            while done_tokens < wanted_tokens:
                batch = [next(asked) for _ in range(_AT_ONCE)]
                replies = pool.map(
                    lambda one: llm.chat(one[1], seed=one[0], max_tokens=_REPLY_TOKENS), batch
                )
                for (_, prompt), reply in zip(batch, replies, strict=True):
                    texts.append("\n".join((prompt, reply.reasoning or "", reply.answer)))
                    usage = reply.usage
                    done_tokens += usage.reasoning_tokens + usage.answer_tokens
                line("thoughts", min(done_tokens, wanted_tokens), wanted_tokens)
        line.clear()
        note(f"the model wrote {done_tokens:,} tokens in reply to {len(texts)} questions")
        return "\n\n".join(texts)
