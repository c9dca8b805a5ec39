"""How clients ask for thoughts: every spelling of on, off, effort and budget, as one.

Peers' names, as their documents had them in 2026: vLLM `thinking_token_budget`,
`include_reasoning`; SGLang `custom_params.thinking_budget`, `separate_reasoning`,
`stream_reasoning`; llama.cpp `thinking_budget_tokens`, `reasoning_budget_tokens`,
`reasoning_budget`, `reasoning_format`; Ollama `think`; OpenAI `reasoning_effort`, `reasoning`;
DeepSeek and Anthropic `thinking`; Qwen's and DeepSeek's templates `chat_template_kwargs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stillhouse.server.errors import BadField

# What an effort means in tokens; None: no budget.
EFFORTS: dict[str, int | None] = {
    "none": 0,
    "minimal": 128,
    "low": 512,
    "medium": 2048,
    "high": 8192,
    "xhigh": None,
    "max": None,
}
BUDGET_FIELDS = (
    "thinking_token_budget",
    "thinking_budget_tokens",
    "reasoning_budget_tokens",
    "reasoning_budget",
    "thinking_budget",
)
FIELDS = (
    *BUDGET_FIELDS,
    "custom_params",
    "chat_template_kwargs",
    "thinking",
    "think",
    "reasoning",
    "reasoning_effort",
    "include_reasoning",
    "separate_reasoning",
    "stream_reasoning",
    "reasoning_format",
)

Show = Literal["apart", "inline", "never"]


@dataclass(frozen=True, slots=True)
class Thinking:
    """What was asked for. `think` None leaves it to the model."""

    think: bool | None = None
    budget_tokens: int | None = None
    show: Show = "apart"
    is_streamed: bool = True  # False: a thought comes in one piece, when it is whole


def thinking_of(fields: Mapping[str, Any], warnings: list[str]) -> Thinking:
    """One meaning of all that a request says. What has no effect goes into `warnings`.

    Raises BadField for values that mean nothing, and for fields that contradict each other.
    """
    given = {name: fields[name] for name in FIELDS if fields.get(name) is not None}
    modes: list[tuple[str, bool]] = []
    budgets: list[tuple[str, int | None]] = []
    for name in BUDGET_FIELDS:
        if name in given:
            _add_budget(name, given[name], budgets)
    _read_objects(given, modes, budgets, warnings)
    if isinstance(given.get("think"), bool):
        modes.append(("think", given["think"]))
    elif "think" in given and not isinstance(given["think"], str):
        _add_budget("think", given["think"], budgets)
        modes.append(("think", given["think"] != 0))
    efforts: list[tuple[str, int | None]] = []
    for name, effort in _efforts(given):
        if effort not in EFFORTS:
            raise _wrong(name, effort, ", ".join(EFFORTS))
        if effort == "none":
            modes.append((name, False))
        else:
            modes.append((name, True))
            efforts.append((name, EFFORTS[effort]))
    think = _agreed("thoughts are both on and off", modes)
    # A number is more exact than an effort, so only numbers can contradict each other.
    budget = _agreed("two budgets are given", budgets or efforts)
    if think is False and budget:
        warnings.append("thinking is off, so its budget has no effect")
        budget = None
    return Thinking(think, budget, _shown(given), _flag(given, "stream_reasoning", default=True))


def _read_objects(
    given: Mapping[str, Any],
    modes: list[tuple[str, bool]],
    budgets: list[tuple[str, int | None]],
    warnings: list[str],
) -> None:
    if "custom_params" in given:
        params = _object("custom_params", given["custom_params"])
        for name, value in params.items():
            if name == "thinking_budget":
                _add_budget("custom_params.thinking_budget", value, budgets)
            else:
                warnings.append(f"custom_params.{name[:100]} has no effect here")
    if "chat_template_kwargs" in given:
        kwargs = _object("chat_template_kwargs", given["chat_template_kwargs"])
        for name, value in kwargs.items():
            full = f"chat_template_kwargs.{name[:100]}"
            if name in ("enable_thinking", "thinking"):
                modes.append((full, _bool(full, value)))
            elif name == "thinking_budget":
                _add_budget(full, value, budgets)
            else:
                warnings.append(f"{full} has no effect here")
    if "thinking" in given:
        _read_thinking(given["thinking"], modes, budgets)


def _read_thinking(
    value: Any, modes: list[tuple[str, bool]], budgets: list[tuple[str, int | None]]
) -> None:
    """`thinking`: DeepSeek's and Anthropic's object, or a bare switch."""
    if isinstance(value, bool):
        modes.append(("thinking", value))
        return
    parts = _object("thinking", value)
    kind = parts.get("type")
    if kind not in (None, "enabled", "disabled", "adaptive"):
        raise _wrong("thinking.type", kind, "enabled, disabled, adaptive")
    if kind in ("enabled", "disabled"):
        modes.append(("thinking.type", kind == "enabled"))
    if parts.get("budget_tokens") is not None:
        _add_budget("thinking.budget_tokens", parts["budget_tokens"], budgets)


def _efforts(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Fields that name an effort; `think` may also be a switch, or a number of tokens."""
    if "reasoning_effort" in given:
        yield "reasoning_effort", _text("reasoning_effort", given["reasoning_effort"])
    if "reasoning" in given:
        parts = _object("reasoning", given["reasoning"])
        if parts.get("effort") is not None:
            yield "reasoning.effort", _text("reasoning.effort", parts["effort"])
    if isinstance(given.get("think"), str):
        yield "think", given["think"]


def _add_budget(name: str, value: Any, budgets: list[tuple[str, int | None]]) -> None:
    """A number of tokens; -1 is none at all, as llama.cpp spells it. 0 closes a thought at once."""
    if isinstance(value, bool) or not isinstance(value, int) or value < -1:
        raise _wrong(name, value, "a number of tokens, or -1 for no limit")
    budgets.append((name, None if value == -1 else value))


def _shown(given: Mapping[str, Any]) -> Show:
    form = given.get("reasoning_format", "auto")
    if form not in ("auto", "none", "deepseek", "deepseek-legacy"):
        raise _wrong("reasoning_format", form, "auto, none, deepseek, deepseek-legacy")
    if not _flag(given, "include_reasoning", default=True):
        return "never"
    if form == "none" or not _flag(given, "separate_reasoning", default=True):
        return "inline"
    return "apart"


def _agreed(complaint: str, votes: list[tuple[str, Any]]) -> Any:
    """What all fields say; None where there is none."""
    for name, value in votes[1:]:
        if value != votes[0][1]:
            raise BadField(f"{complaint}: {votes[0][0]} and {name}", param=name)
    return votes[0][1] if votes else None


def _flag(given: Mapping[str, Any], name: str, *, default: bool) -> bool:
    return _bool(name, given[name]) if name in given else default


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, value, "one of " + ", ".join(EFFORTS))
    return value


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(name, value, "an object")
    return value


def _wrong(name: str, value: Any, wanted: str) -> BadField:
    return BadField(f"{name} is {str(value)[:100]!r}, and must be {wanted}", param=name)
