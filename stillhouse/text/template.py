"""Chat templates: messages in, the prompt that the model was trained on out.

A template is a program that came with a file, so it runs in a sandbox: it can reach nothing but what is handed to
it, and it may not run for long or make large values. The other rule is in ``marking``: what people wrote never
becomes a special token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from stillhouse.errors import BadCheckpoint, BadTemplate
from stillhouse.text.marking import Marking
from stillhouse.text.messages import CLOSE_TAG, OPEN_TAG, Message, without_thoughts
from stillhouse.text.tokenizer import Tokenizer

# Far above what any real template needs: the largest has 30 kB, and a chat of 1,000 turns takes about 10,000 steps.
_MAX_SOURCE_CHARS = 1_000_000
_MAX_STEPS = 300_000
_MAX_VALUE_CHARS = 16_000_000
_MAX_NUMBER = 1_000_000

_CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class ChatTemplate:
    """A compiled template. Rendering is a pure function of the messages (and of the date, where a template asks)."""

    def __init__(
        self,
        source: str,
        *,
        bos_token: str,
        eos_token: str,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Raises BadTemplate if the source does not parse."""
        if len(source) > _MAX_SOURCE_CHARS:
            raise BadTemplate(f"the chat template has {len(source):,} characters")
        self.source = source
        self._constants = {
            "bos_token": bos_token,
            "eos_token": eos_token,
            "raise_exception": _raise_exception,
            "strftime_now": lambda form: now().strftime(form),
        }
        self._template = _compile(source)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], tokenizer: Tokenizer) -> ChatTemplate:
        """A file's own template; ChatML where it has none but knows <|im_start|>. Raises BadTemplate, BadCheckpoint."""
        source = metadata.get("tokenizer.chat_template")
        if source is None and tokenizer.token_id("<|im_start|>") is not None:
            source = _CHATML
        if not isinstance(source, str):
            raise BadCheckpoint(
                "the file holds no chat template",
                hint="a base model continues text, it does not chat",
            )
        bos_id = tokenizer.bos_id
        return cls(
            source,
            bos_token="" if bos_id is None else tokenizer.token_text(bos_id),
            eos_token=tokenizer.token_text(tokenizer.eos_id),
        )

    def render(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True, **extra: Any
    ) -> str:
        """The prompt as text, earlier thoughts left out; ``extra`` are further variables of the template.

        Raises BadTemplate if the template refuses the messages, fails on them, or does too much.
        """
        turns = [{"role": m.role, "content": m.content} for m in without_thoughts(messages)]
        return self._fill(turns, {**extra, "add_generation_prompt": add_generation_prompt})

    def prompt_ids(
        self,
        messages: Sequence[Message],
        tokenizer: Tokenizer,
        *,
        add_generation_prompt: bool = True,
        think: bool | None = None,
        **extra: Any,
    ) -> list[int]:
        """The prompt as ids: those of ``render``, with BOS once, and special tokens only where the template put them.

        ``think``: None leaves it to the template, True opens a thought at the prompt's end, False opens and closes
        an empty one (nothing where the model knows no thoughts).
        """
        if think is not None:  # the names that Qwen3's and DeepSeek-V3.1's templates read
            extra = {"enable_thinking": think, "thinking": think, **extra}
        turns = [{"role": m.role, "content": m.content} for m in without_thoughts(messages)]
        marking = Marking(tokenizer.special_texts, [self.source, *_texts([turns, extra])])
        extra = {**marking.mark(extra), "add_generation_prompt": add_generation_prompt}
        text = self._fill(marking.mark(turns), extra)
        if think is not None:
            text += self._thought_to_add(text, tokenizer, think)
        ids: list[int] = []
        for part in tokenizer.split_special(text):
            ids += [part] if isinstance(part, int) else tokenizer.encode(marking.unmark(part))
        if tokenizer.add_bos and tokenizer.bos_id is not None and ids[:1] != [tokenizer.bos_id]:
            ids.insert(0, tokenizer.bos_id)
        return ids

    def _thought_to_add(self, prompt: str, tokenizer: Tokenizer, think: bool) -> str:
        """What opens, or opens and closes, a thought at the end of this (marked) prompt."""
        is_open = prompt.rstrip().endswith(OPEN_TAG)
        if think:
            return "" if is_open else f"{OPEN_TAG}\n"
        if is_open:
            return f"\n{CLOSE_TAG}\n\n"
        knows_thoughts = tokenizer.token_id(CLOSE_TAG) is not None or CLOSE_TAG in self.source
        if not knows_thoughts or prompt.rstrip().endswith(CLOSE_TAG):
            return ""
        return f"{OPEN_TAG}\n\n{CLOSE_TAG}\n\n"

    def _fill(self, turns: list[dict[str, str]], variables: dict[str, Any]) -> str:
        values = {**variables, **self._constants, "messages": turns, _BUDGET: _Budget()}
        try:
            return self._template.render(values)
        except jinja2.TemplateError as error:
            raise BadTemplate(f"the chat template refuses these messages: {error}") from error
        except (RecursionError, MemoryError, OverflowError) as error:
            raise BadTemplate("the chat template runs without end, or makes huge values") from error
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise BadTemplate(
                f"the chat template fails on these messages: {type(error).__name__}: {error}"
            ) from error


def _compile(source: str) -> jinja2.Template:
    environment = _Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    for name in ("lipsum", "cycler", "joiner"):
        del environment.globals[name]
    del environment.filters["format"]  # a width in a format text can ask for any size
    environment.filters |= {"tojson": _to_json, _COUNTED: _counted, _MEASURED: _measured}
    try:
        tree = environment.parse(source)
        return environment.from_string(_Guards().visit(tree))
    except (jinja2.TemplateError, RecursionError, SyntaxError) as error:
        raise BadTemplate(f"the chat template does not parse: {error}") from error


class _Sandbox(ImmutableSandboxedEnvironment):
    """Nothing but the values given; and ``* % **`` only between numbers, so that no value grows out of proportion."""

    intercepted_binops = frozenset({"*", "%", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not all(isinstance(value, int | float) for value in (left, right)):
            raise jinja2.TemplateRuntimeError(f"'{operator}' is for numbers here")
        return super().call_binop(context, operator, left, right)

    def format_string(self, *_: Any, **__: Any) -> str:
        raise jinja2.TemplateRuntimeError("str.format is not allowed")


class _Budget:
    """What one rendering may still do."""

    def __init__(self) -> None:
        self.steps = _MAX_STEPS

    def spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise jinja2.TemplateRuntimeError(f"it takes more than {_MAX_STEPS:,} steps")


# No template can write these names: they are not words.
_BUDGET, _COUNTED, _MEASURED = " budget", " counted", " measured"


class _Guards(NodeTransformer):
    """Puts a guard around everything in a template that can repeat or grow."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _COUNTED)
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:
        self.generic_visit(node)
        node.filter = _filtered(node.filter, _MEASURED)
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        call = self.generic_visit(
            node.call
        )  # must stay a bare call, so only what is in it is guarded
        self.generic_visit(node)
        node.call = call
        return node

    def _measure(self, node: nodes.Expr) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, _MEASURED)

    visit_Add = visit_Sub = visit_Mul = visit_Concat = visit_Call = visit_Filter = _measure


def _filtered(node: nodes.Expr | None, name: str) -> nodes.Filter:
    line = 0 if node is None else node.lineno
    return nodes.Filter(node, name, [], [], None, None, lineno=line)


@jinja2.pass_context
def _counted(context: Context, items: Any) -> list[Any]:
    listed = list(items)
    context[_BUDGET].spend(len(listed))
    return listed


@jinja2.pass_context
def _measured(context: Context, value: Any) -> Any:
    context[_BUDGET].spend(1)
    if isinstance(value, str | list | tuple) and len(value) > _MAX_VALUE_CHARS:
        raise jinja2.TemplateRuntimeError(f"it makes a value of {len(value):,} characters")
    if isinstance(value, int | float) and abs(value) > _MAX_NUMBER:
        raise jinja2.TemplateRuntimeError("it computes a number above a million")
    return value


def _to_json(value: Any, indent: int | None = None) -> str:
    """As Hugging Face's templates expect it: not escaped for HTML, Unicode as it is."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _texts(value: Any) -> list[str]:
    """Every text inside lists and mappings, keys too."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in (*value.keys(), *value.values()) for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return []
