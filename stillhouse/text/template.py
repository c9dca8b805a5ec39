"""Chat templates: messages in, the prompt that the model was trained on out.

They run in ``sandbox``. The other rule is that of ``marking``: what people wrote never becomes a
special token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from stillhouse.errors import BadCheckpoint, UsageError
from stillhouse.text.marking import Marking
from stillhouse.text.messages import CLOSE_TAG, OPEN_TAG, Message, without_thoughts
from stillhouse.text.sandbox import SandboxedTemplate
from stillhouse.text.tokenizer import Tokenizer
from stillhouse.text.tools import Tools, told_in_text

_CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class ChatTemplate:
    """A compiled template: the same messages always give the same prompt, but for today's date."""

    def __init__(
        self,
        source: str,
        *,
        bos_token: str,
        eos_token: str,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Raises BadTemplate if the source does not parse."""
        self.source = source
        self._template = SandboxedTemplate(source)
        self._given = {
            "bos_token": bos_token,
            "eos_token": eos_token,
            "strftime_now": lambda form: now().strftime(form),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, object], tokenizer: Tokenizer) -> ChatTemplate:
        """The file's own template, or ChatML where it has none but the tokens for it.

        Raises BadCheckpoint where there is neither, BadTemplate as the constructor does.
        """
        source = metadata.get("tokenizer.chat_template")
        if source is None and "<|im_start|>" in tokenizer.special_ids:
            source = _CHATML
        if not isinstance(source, str):
            raise BadCheckpoint(
                "it has no chat template", hint="base models continue a text; they do not chat"
            )
        bos_id, eos_id = tokenizer.bos_id, tokenizer.eos_id
        return cls(
            source,
            bos_token="" if bos_id is None else tokenizer.decode([bos_id]),
            eos_token=tokenizer.decode([eos_id]),
        )

    @property
    def renders_tools(self) -> bool:
        """Whether the template itself tells a model of the tools it may call."""
        return re.search(r"\btools\b", self.source) is not None

    @property
    def knows_thoughts(self) -> bool:
        """Whether the template's own text speaks of thoughts."""
        return CLOSE_TAG in self.source

    def render(
        self, messages: Iterable[Message], *, add_generation_prompt: bool = True, **extra: Any
    ) -> str:
        """The prompt as text, without earlier thoughts; ``extra`` are variables for the template.

        Raises BadTemplate if the template refuses the messages, fails on them, or does too much.
        """
        return self._fill(
            _turns(messages), {**extra, "add_generation_prompt": add_generation_prompt}
        )

    def prompt_ids(
        self,
        messages: Iterable[Message],
        tokenizer: Tokenizer,
        *,
        add_generation_prompt: bool = True,
        think: bool | None = None,
        tools: Tools | None = None,
        continue_last: bool = False,
        **extra: Any,
    ) -> list[int]:
        """The ids of ``render``: BOS once, special tokens only where the template itself put them.

        ``think`` True opens a thought at the end, False opens and closes an empty one (nothing
        where the model knows no thoughts), None leaves it to the template. ``tools`` are offered in
        the template's way, or described in the system turn. With ``continue_last`` the prompt ends
        in the last message, the assistant's, whose <think> may be open. Raises as ``render``, and
        UsageError where there is nothing to continue.
        """
        messages = list(messages)
        begun = _begun_turn(messages) if continue_last else None
        if begun is not None:
            messages.pop()
            think = begun.startswith(OPEN_TAG)
            begun = begun.removeprefix(OPEN_TAG).lstrip("\n") if think else begun
        if not self.renders_tools:
            messages = told_in_text(messages, tools)
        elif tools is not None:
            extra = {"tools": tools.as_offered, **extra}
        if think is not None:  # the names that Qwen3's and DeepSeek-V3.1's templates read
            extra = {"enable_thinking": think, "thinking": think, **extra}
        turns = _turns(messages)
        marking = Marking(tokenizer.special_ids, [self.source, *_texts([turns, extra])])
        marked = marking.mark({**extra, "add_generation_prompt": add_generation_prompt})
        prompt = self._fill(marking.mark(turns), marked)
        if think is not None and add_generation_prompt:
            prompt += self._thought_to_add(prompt, tokenizer, think)
        ids: list[int] = []
        for part in tokenizer.split_special(prompt):
            ids += [part] if isinstance(part, int) else tokenizer.encode(marking.unmark(part))
        if begun is not None:
            ids += _encoded_turn(begun, tokenizer)
        if tokenizer.add_bos and tokenizer.bos_id is not None and ids[:1] != [tokenizer.bos_id]:
            ids.insert(0, tokenizer.bos_id)
        return ids

    def _thought_to_add(self, prompt: str, tokenizer: Tokenizer, think: bool) -> str:
        end = prompt.rstrip()
        is_open = end.endswith(OPEN_TAG)
        if think:
            return "" if is_open else f"{OPEN_TAG}\n"
        if is_open:
            return f"\n{CLOSE_TAG}\n\n"
        knows_thoughts = CLOSE_TAG in tokenizer.special_ids or self.knows_thoughts
        if not knows_thoughts or end.endswith(CLOSE_TAG):
            return ""
        return f"{OPEN_TAG}\n\n{CLOSE_TAG}\n\n"

    def _fill(self, turns: list[dict[str, Any]], variables: dict[str, Any]) -> str:
        return self._template.render({**variables, **self._given, "messages": turns})


def _turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [_turn(message) for message in without_thoughts(messages)]


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return turn


def _begun_turn(messages: list[Message]) -> str:
    """What the assistant has said so far in a chat that ends with it."""
    if not messages or messages[-1].role != "assistant":
        raise UsageError("there is nothing to continue: the last message is not the assistant's")
    last = messages[-1]
    if last.reasoning is None:
        return last.content
    thought = f"{OPEN_TAG}\n{last.reasoning}"
    return f"{thought}\n{CLOSE_TAG}\n\n{last.content}" if last.content else thought


def _encoded_turn(text: str, tokenizer: Tokenizer) -> list[int]:
    """An assistant's turn whose closing tag, and nothing else, may be special."""
    thought, tag, answer = text.partition(CLOSE_TAG)
    if not tag:
        return tokenizer.encode(text)
    close_ids = tokenizer.encode(tag, special=True)
    return [*tokenizer.encode(thought), *close_ids, *tokenizer.encode(answer)]


def _texts(value: Any) -> list[str]:
    """Every text inside lists and mappings."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return []
