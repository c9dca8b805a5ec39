"""A scripted model behind a real LLM: what it says is written, the rest is as always."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stillhouse import llm as llm_module
from stillhouse.llm import LLM
from stillhouse.text import Tokenizer
from tests.factories import tiny_model
from tests.fakes import FakeKV, FakeModel, scripted
from tests.text.vocabularies import CHATML, byte_metadata

VOCAB = 320
TEMPLATE_THAT_OPENS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n<think>\n"
)


class Speaker:
    """Says a thought between tags and then an answer, byte by byte, and goes on from wherever it
    finds itself: also when somebody else has closed its thought.
    """

    def __init__(self, tokenizer: Tokenizer, thought: str | None, answer: str) -> None:
        self._tokenizer = tokenizer
        self._answer = answer.encode()
        self._all = self._answer
        if thought is not None:
            self._all = b"<think>\n" + thought.encode() + b"</think>" + self._answer

    def next_id(self, history: list[int]) -> int:
        text = b"".join(map(self._tokenizer.token_bytes, history))
        said, wanted = text.rpartition(b"<|im_start|>assistant\n")[2], self._all
        if b"</think>" in said:
            said, wanted = said.rpartition(b"</think>")[2], self._answer
        if said.startswith(b"\n\n") and not wanted.startswith(b"\n\n"):
            said = said[2:]  # came with a forced tag
        rest = wanted[len(said) :]
        for tag in ("<think>", "</think>"):
            if rest.startswith(tag.encode()) and tag in self._tokenizer.special_ids:
                return self._tokenizer.special_ids[tag]
        return rest[0] if rest else self._tokenizer.eos_id


class LoadedModel(FakeModel):
    """What `load_model` would give."""

    def __init__(self, next_id: Callable[[list[int]], int], context: int) -> None:
        super().__init__(scripted(VOCAB, next_id), vocab_size=VOCAB, context_length=context)
        self.is_closed = False
        self.num_measurements = 0

    def step_bytes(self, context_tokens: int, kv_type: str) -> int:
        return 1_000_000 + context_tokens * len(kv_type)

    def measure_read_bytes_per_s(self) -> float:
        self.num_measurements += 1
        return 4_000_000.0

    def close(self) -> None:
        self.is_closed = True


class Bench:
    """Makes LLMs that say what a test wants, on a clock that ticks once a look."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = folder / "tiny.gguf"
        self._patch = monkeypatch
        self._opened = ExitStack()
        self.model: LoadedModel
        self.load_options: dict[str, object] = {}

    def llm(
        self,
        thought: str | None,
        answer: str,
        *,
        context: int = 512,
        think_tokens: bool = True,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> LLM:
        more = dict(metadata or {})
        if not think_tokens:
            more |= byte_metadata(CHATML, eos="<|im_end|>", bos="<|endoftext|>")
            more["tokenizer.ggml.token_type"] = more["tokenizer.ggml.token_type"].tolist()
        tiny_model(self._path, layers=1, hidden=32, ffn=32, context=context, extra_metadata=more)

        def load(checkpoint: Any, **load_options: object) -> LoadedModel:
            self.load_options = load_options
            speaker = Speaker(Tokenizer.from_metadata(checkpoint.metadata), thought, answer)
            self.model = LoadedModel(speaker.next_id, context)
            return self.model

        self._patch.setattr(llm_module, "load_model", load)
        self._patch.setattr(llm_module, "KVCache", lambda _config, blocks, _type: FakeKV(blocks))
        options = {"clock": itertools.count().__next__, "max_memory_bytes": 10**9} | options
        return self._opened.enter_context(LLM(str(self._path), **options))

    def close(self) -> None:
        self._opened.close()
