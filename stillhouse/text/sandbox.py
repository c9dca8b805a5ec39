"""Where a chat template runs: it came with a file, and may be hostile.

It reaches nothing but the values it is given, and may neither run for long nor make large values.
Jinja's own sandbox sees to the first. For the second, every value that an expression takes in or
gives out is measured, and one rendering has a budget for all of them together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from stillhouse.errors import BadTemplate

_MAX_SOURCE_CHARS = 1_000_000
# A step is an expression; a heavy value counts for several. In all about a second's work;
# a chat of 1,000 turns takes 20,000.
_MAX_STEPS = 500_000
_WEIGHT_PER_STEP = 256
# A value weighs its characters, and as much as some characters for every item that it holds.
_MAX_WEIGHT = 16_000_000
_ITEM_WEIGHT = 64
_MAX_NUMBER_BITS = 64
_MAX_INDENT = 16

_GLOBALS = ("range", "dict", "cycler", "joiner")
# What turns a short text into one of any length at once, or reaches for attributes by name.
_FILTERS_REMOVED = ("attr", "batch", "center", "format", "indent", "slice", "wordwrap")
_METHODS_REMOVED = ("center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill")


class SandboxedTemplate:
    """A template that has been compiled with its guards."""

    def __init__(self, source: str) -> None:
        """Raises BadTemplate if the source does not parse."""
        if len(source) > _MAX_SOURCE_CHARS:
            raise BadTemplate(f"the chat template has {len(source):,} characters")
        environment = _environment()
        try:
            guarded = _Guards().visit(environment.parse(source))
            self._template = environment.from_string(guarded)
        except (jinja2.TemplateError, RecursionError, SyntaxError, ValueError) as error:
            raise BadTemplate(f"the chat template does not parse: {_line(error)}") from error

    def render(self, values: Mapping[str, Any]) -> str:
        """Raises BadTemplate, in one line, if it refuses the values, fails, or does too much."""
        try:
            return self._template.render({**values, _BUDGET: _Budget()})
        except jinja2.TemplateError as error:
            raise BadTemplate(f"the chat template gives up: {_line(error)}") from error
        except (RecursionError, MemoryError, OverflowError) as error:
            raise BadTemplate("the chat template does not end, or makes huge values") from error
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise BadTemplate(f"the chat template fails: {_line(error)}") from error


def _environment() -> jinja2.Environment:
    """With what published templates expect of Hugging Face's environment."""
    environment = _Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals = {name: environment.globals[name] for name in _GLOBALS}
    environment.globals |= {"namespace": _Variables, "raise_exception": _raise_exception}
    for name in _FILTERS_REMOVED:
        del environment.filters[name]
    environment.filters |= {"tojson": _to_json, _MEASURED: _measured}
    return environment


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "%", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        are_numbers = all(isinstance(value, int | float) for value in (left, right))
        if operator == "**" or not are_numbers:
            raise jinja2.TemplateRuntimeError(f"'{operator}' is only for small numbers here")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, str) and attribute in _METHODS_REMOVED:
            return self.unsafe_undefined(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, str) and argument in _METHODS_REMOVED:
            return self.unsafe_undefined(obj, argument)
        return super().getitem(obj, argument)


class _Variables(Namespace):
    """What ``namespace()`` makes. Its text shows nothing of what it holds, which may be endless."""

    def __repr__(self) -> str:
        return "namespace"


# Names that no template can write: they are not words.
_BUDGET, _MEASURED = " budget", " measured"


class _Budget:
    def __init__(self) -> None:
        self.steps_left = _MAX_STEPS


class _Guards(NodeTransformer):
    """Has values measured, so that nothing grows or repeats for free.

    Only what costs next to nothing is left out: the base of ``base[key]`` and ``base.name``, and
    what a loop goes through if it skips nothing, since each of its turns counts.
    """

    def _visit_value(self, node: nodes.Expr) -> nodes.Node:
        self.generic_visit(node)
        return _measuring(node)

    visit_Filter = visit_Add = visit_Sub = visit_Mul = visit_Concat = _visit_value
    visit_List = visit_Dict = _visit_value

    def _visit_target_or_value(self, node: nodes.Name | nodes.Tuple) -> nodes.Node:
        return self._visit_value(node) if node.ctx == "load" else node

    visit_Name = visit_Tuple = _visit_target_or_value

    def _visit_access(self, node: nodes.Getattr | nodes.Getitem) -> nodes.Expr:
        self.generic_visit(node)
        node.node = _bare_name(node.node)
        return _measuring(node)

    visit_Getattr = visit_Getitem = _visit_access

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.node, nodes.Filter) and isinstance(node.node.node, nodes.Getattr):
            method = node.node.node
            method.node = _measuring(method.node)
        return _measuring(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise jinja2.TemplateSyntaxError("recursive loops are not allowed", node.lineno)
        self.generic_visit(node)
        if node.test is None:
            node.iter = _bare_name(node.iter)
        node.body.insert(0, nodes.ExprStmt(_measuring(nodes.Const(0)), lineno=node.lineno))
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:
        self.generic_visit(node)
        node.filter = _measuring(node.filter)
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        raise jinja2.TemplateSyntaxError("call blocks are not allowed", node.lineno)


def _measuring(node: nodes.Expr | None) -> nodes.Filter:
    line = 0 if node is None else node.lineno
    return nodes.Filter(node, _MEASURED, [], [], None, None, lineno=line)


def _bare_name(node: nodes.Node) -> Any:
    """The name, if the node is nothing but a measured name."""
    inner = node.node if isinstance(node, nodes.Filter) and node.name == _MEASURED else None
    return inner if isinstance(inner, nodes.Name) else node


@jinja2.pass_context
def _measured(context: Context, value: Any) -> Any:
    weight = _weight(value)
    if weight > _MAX_WEIGHT:
        raise jinja2.TemplateRuntimeError("it makes a huge value")
    if isinstance(value, int) and value.bit_length() > _MAX_NUMBER_BITS:
        raise jinja2.TemplateRuntimeError("it computes a huge number")
    budget: _Budget = context[_BUDGET]
    budget.steps_left -= 1 + weight // _WEIGHT_PER_STEP
    if budget.steps_left < 0:
        raise jinja2.TemplateRuntimeError(f"it takes more than {_MAX_STEPS:,} steps")
    return value


def _weight(value: Any) -> int:
    """Of the value with all that it holds; counting stops where it is too much."""
    weight, pending = 0, [value]
    while pending and weight <= _MAX_WEIGHT:
        item = pending.pop()
        if isinstance(item, str):
            weight += len(item)
        elif isinstance(item, list | tuple | dict | range):
            weight += _ITEM_WEIGHT * len(item)
            if isinstance(item, list | tuple):
                pending.extend(item)
            elif isinstance(item, dict):
                pending.extend(item.values())
    return weight


def _to_json(value: Any, indent: int | None = None) -> str:
    """As published templates expect it: not escaped for HTML, Unicode as it is."""
    if indent is not None and indent > _MAX_INDENT:
        raise jinja2.TemplateRuntimeError(f"tojson indents by {indent}")
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
