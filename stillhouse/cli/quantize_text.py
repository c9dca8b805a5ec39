"""The text that shows a quantiser which weights matter: a file, or what the model says to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.cli.reading_bar import ReadingBar


@dataclass(frozen=True, slots=True)
class TextOptions:
    """What the command line says of it: at most `samples` pieces of `sample_tokens` are read.

    Either `text` is what is read, or `prompts` are what the model answers first, in at most
    as many tokens as a piece has, or there is none.
    """

    text: Path | None = None
    prompts: Path | None = None
    samples: int = 128
    sample_tokens: int = 512

    @property
    def is_given(self) -> bool:
        return self.text is not None or self.prompts is not None

    @property
    def name(self) -> str:
        """What files say of it."""
        if self.prompts is not None:
            return f"replies to {self.prompts.name}"
        return "" if self.text is None else self.text.name

    def check(self) -> None:
        """Raises UsageError where both are given."""
        if self.text is not None and self.prompts is not None:
            raise UsageError("--text and --prompts are given", hint="one of them is read")

    def read(self, reference: str, *, threads: int, bar: ReadingBar) -> str:
        """The text. Raises UsageError for a file that cannot be read, or holds none."""
        from stillhouse.cli.own_replies import own_replies
        from stillhouse.quantize.texts import read_text

        if self.prompts is None:
            assert self.text is not None
            return read_text(self.text)
        return own_replies(
            reference,
            self.prompts,
            enough_tokens=self.samples * self.sample_tokens,
            max_tokens=self.sample_tokens,
            seed=0,
            threads=threads,
            loading=bar.loading,
            progress=bar.writing,
        )
