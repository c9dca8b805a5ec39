"""Templates that mean harm get one line, soon."""

from __future__ import annotations

import time
from typing import Any

import pytest

from stillhouse.errors import BadTemplate
from stillhouse.text.sandbox import SandboxedTemplate

GROWING = (
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = STEP %}{% endfor %}"
)
LONG = "{% set xs = range(100000) | list %}{% for i in range(100000) %}STEP{% endfor %}"

HOSTILE = {
    "nested loops": LONG.replace("STEP", "{% for j in range(100000) %}{% endfor %}"),
    "loops that skip all": LONG.replace("STEP", "{% for j in xs if false %}{% endfor %}"),
    "a long sum in a loop": LONG.replace("STEP", "{{ xs | sum }}"),
    "a long search in a loop": LONG.replace("STEP", "{{ -1 in xs }}"),
    "a long join in a loop": LONG.replace("STEP", "{{ xs | map('string') | join }}"),
    "recursion without end": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "recursion that branches": (
        "{% macro f(s) %}{% if s %}{{ f(s[1:]) }}{{ f(s[1:]) }}{% endif %}{% endmacro %}"
        "{{ f('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') }}"
    ),
    "call blocks": "{% macro f() %}{% call f() %}{% endcall %}{% endmacro %}",
    "recursive loops": "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "a text doubled by +": GROWING.replace("STEP", "ns.s + ns.s"),
    "a text doubled by ~": GROWING.replace("STEP", "ns.s ~ ns.s"),
    "a text doubled by join": GROWING.replace("STEP", "[ns.s, ns.s] | join"),
    "a text doubled by replace": GROWING.replace("STEP", "ns.s.replace('a', ns.s)"),
    "a text doubled by a block": GROWING.replace(
        "{% set ns.s = STEP %}", "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}"
    ),
    "lists in lists": GROWING.replace("STEP", "[ns.s, ns.s]") + "{{ ns.s }}",
    "tuples in tuples": GROWING.replace("STEP", "(ns.s, ns.s)") + "{{ ns.s }}",
    "mappings in mappings": GROWING.replace("STEP", "dict(a=ns.s, b=ns.s)") + "{{ ns.s }}",
    "a number squared": GROWING.replace("'ab'", "3").replace("STEP", "ns.s * ns.s"),
    "a text multiplied": "{{ 'a' * 10000000000 }}",
    "a power": "{{ 9 ** 99999999 }}",
    "a wide text": "{{ 'a'.ljust(10000000000) }}",
    "a wide text by key": "{{ 'a'['ljust'](10000000000) }}",
    "a wide format": "{{ '%999999999d' % 1 }}",
    "another wide format": "{{ '{:>999999999}'.format(1) }}",
    "a wide filter": "{{ 'a' | center(10000000000) }}",
    "a deep indent": "{{ [1] | tojson(indent=999999999) }}",
    "a wide batch": "{{ 'x' | batch(999999999, 'y') | list }}",
    "a huge range": "{{ range(10000000000) }}",
    "Python's insides": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "a function's insides": "{{ raise_exception.__globals__['json'] }}",
    "changing the messages": "{{ messages.append(1) }}",
    "changing a message": "{{ messages[0].update(role='system') }}",
    "a file": "{% include '/etc/passwd' %}",
    "an import": "{% import 'os' as os %}",
    "an open brace": "{{ messages",
    "an unknown filter": "{{ messages | nonsense }}",
    "brackets in brackets": "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    "an endless sum": "{{" + "+1" * 20000 + "}}",
    "a huge source": "x" * 1_000_001,
    "a wrong type": "{% for x in 5 %}{% endfor %}",
    "a division": "{{ 1 / 0 }}",
    "a missing message": "{{ messages[9].content }}",
    "a missing function": "{{ nonsense() }}",
    "lines in its message": "{{ raise_exception('a\nb') }}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_gives_one_line_soon(source: str) -> None:
    start = time.process_time()
    with pytest.raises(BadTemplate) as caught:
        SandboxedTemplate(source).render({"messages": [{"role": "user", "content": "hello"}]})
    assert time.process_time() - start < 10
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for m in messages %}{% break %}x{% endfor %}", ""),
        ("{% if true %}\n  a\n  {% endif %}", "  a\n"),
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{{ [1] | tojson(indent=1) }}", "[\n 1\n]"),
        ("{% set ns = namespace(n=1) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}", "2"),
        ("{{ messages[0]['role'] }} {{ messages[-1].content | trim }}", "user hello"),
        ("{{ messages[0].tool_calls is defined }} {{ tools is none }}", "False False"),
        ("{{ 5 % 2 }}{{ 2 * 3 }}{{ messages | length }}", "161"),
        ("{% macro twice(s) %}{{ s }}{{ s }}{% endmacro %}{{ twice('ab') }}", "abab"),
        ("{% set x %}a{% endset %}{{ x }}{% filter upper %}b{% endfilter %}", "aB"),
        ("{{ 'a-b'.split('-')[-1] }}{{ 'x' ~ 1 }}{{ 'abc'[1:] }}{{ 'A'.lower() }}", "bx1bca"),
        ("{% for k, v in {'a': 1}.items() %}{{ loop.index }}{{ k }}{{ v }}{% endfor %}", "1a1"),
        ("{% for m in messages %}{{ loop.first and loop.last }}{% else %}none{% endfor %}", "True"),
    ],
)
def test_what_published_templates_use_works(source: str, text: str) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": " hello\n"}]
    assert SandboxedTemplate(source).render({"messages": messages}) == text


def test_a_long_chat_is_well_within_the_limits() -> None:
    source = (
        "{% for m in messages %}{% if messages[loop.index0 - 1].role != m.role %}"
        "{{ '<' + m['role'] + '>' + m['content'] | trim }}{% endif %}{% endfor %}"
    )
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": "some words " * 200} for i in range(1000)]
    text = SandboxedTemplate(source).render({"messages": messages})
    assert text.count("<user>") == 500
