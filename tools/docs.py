"""Writes the documentation that the code itself knows, and checks the rest against the code.

    python tools/docs.py            # write
    python tools/docs.py --check    # exit 1 where a page is out of date or names a missing path

Generated: docs/reference/{cli,json,formats,claims}.md, and what stands between marks in other
pages, from the last results in benchmarks/results (`RESULTS` says which where). Checked: every path
in backticks in the pages below must exist.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import claims_page
from typer.models import OptionInfo

from stillhouse.cli.json_names import DOCUMENTS, EVERY_DOCUMENT
from stillhouse.cli.main import app
from stillhouse.encodings import ENCODINGS
from stillhouse.kernels import table
from stillhouse.kernels.isa import Isa

ROOT = Path(__file__).parents[1]
# (page, name of its marks, as `<!-- bench:begin -->`, result)
RESULTS = (
    ("README.md", "bench", "throughput.md"),
    ("docs/concepts/planning.md", "planner", "planner.md"),
    ("docs/guides/quantize.md", "ladder", "ladder.md"),
    ("docs/guides/evaluate.md", "graders", "graders.md"),
    ("docs/guides/evaluate.md", "ladder", "evaluation.md"),
    ("docs/guides/evaluate.md", "served", "evaluation_served.md"),
    ("docs/guides/evaluate.md", "budgets", "budgets.md"),
    ("docs/guides/evaluate.md", "harnesses", "harnesses.md"),
)
LOG = ROOT / "docs/LOG.md"  # history: it names what has gone since
PAGES_WITH_PATHS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/**/*.md")

_GENERATED = "<!-- Written by `make docs`; change the code instead. -->\n\n"
# `stillhouse/cli/main.py`, `tools/`, `errors.py`; not `a/b` alone, which may be a ratio, nor globs.
_PATH = re.compile(r"`((?:[\w.-]+/)*(?:[\w-]+\.(?:py|md|toml|json)|[\w.-]+/))`")


def main() -> int:
    """Write or check; 1 if a check fails."""
    checks = sys.argv[1:] == ["--check"]
    problems = list(missing_paths())
    for path, text in generated_pages().items():
        current = path.read_text(encoding="utf-8") if path.exists() else ""
        if text == current:
            continue
        if checks:
            problems.append(f"{path.relative_to(ROOT)} is out of date: run `make docs`")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    print("\n".join(problems) or "documentation is in date", file=sys.stderr)
    return int(bool(problems))


def generated_pages() -> dict[Path, str]:
    """The whole text of every page that has something generated in it."""
    reference = ROOT / "docs/reference"
    pages = {
        reference / "cli.md": _cli_page(),
        reference / "json.md": _json_page(),
        reference / "formats.md": _formats_page(),
        reference / "claims.md": _claims_page(),
    }
    for name, mark, result_name in RESULTS:
        page, result = ROOT / name, ROOT / "benchmarks/results" / result_name
        if result.exists():
            text = pages.get(page) or page.read_text(encoding="utf-8")
            pages[page] = _with_block(text, mark, result.read_text(encoding="utf-8"))
    return pages


def _with_block(page: str, mark: str, result: str) -> str:
    """The page with the last committed result between its marks, if it has them."""
    begin, end = f"<!-- {mark}:begin -->\n", f"<!-- {mark}:end -->"
    block = re.compile(f"(?<={begin}).*?(?={end})", re.DOTALL)
    return block.sub(lambda _: result, page)


def missing_paths() -> Iterator[str]:
    """A line for every path in backticks that is neither below the root nor below the package."""
    for pattern in PAGES_WITH_PATHS:
        for page in sorted(set(ROOT.glob(pattern)) - {LOG}):
            for name in sorted(set(_PATH.findall(page.read_text(encoding="utf-8")))):
                if not any((folder / name).exists() for folder in (ROOT, ROOT / "stillhouse")):
                    yield f"{page.relative_to(ROOT)} names `{name}`, which does not exist"


def _cli_page() -> str:
    parts = [_GENERATED + "# Commands\n"]
    for command in app.registered_commands:
        assert command.callback is not None
        parameters = list(_parameters(command.callback))
        usage = " ".join([f"still {command.name}", *(p.usage for p in parameters if p.usage)])
        parts.append(f"\n## still {command.name}\n\n{inspect.getdoc(command.callback)}\n\n")
        parts.append(f"    {usage} [OPTIONS]\n\n")
        parts.append(_table(("", ""), [(f"`{p.names}`", p.meaning) for p in parameters]))
    return "".join(parts)


class _Parameter(NamedTuple):
    names: str  # as it is typed: `--seed INTEGER`, `MODEL`
    usage: str  # in the usage line; empty for an option
    meaning: str


def _parameters(callback: Callable[..., Any]) -> Iterator[_Parameter]:
    """Read from the annotations: how typer keeps them inside differs from version to version."""
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        value_type, info = get_args(hints[name])
        meaning = info.help or ""
        if not isinstance(info, OptionInfo):
            metavar = info.metavar or name.upper()
            required = parameter.default is inspect.Parameter.empty
            yield _Parameter(metavar, metavar if required else f"[{metavar}]", meaning)
            continue
        # In an annotation typer keeps the first declared name where a default would stand.
        declared = [word for word in (info.default, *(info.param_decls or ())) if word is not ...]
        names = declared[0] if declared else "--" + name.replace("_", "-")
        value = info.metavar or _value_name(value_type)
        if parameter.default not in (None, False):
            meaning += f" [default: {parameter.default}]"
        yield _Parameter(f"{names} {value}".rstrip(), "", meaning)


def _value_name(value_type: Any) -> str:
    """What stands for an option's value in its usage; a flag has none."""
    names = {int: "INTEGER", float: "NUMBER", str: "TEXT", bool: ""}
    for candidate in (value_type, *get_args(value_type)):
        if candidate in names:
            return names[candidate]
        if isinstance(candidate, type) and issubclass(candidate, Enum):
            return "|".join(str(member.value) for member in candidate)
    raise AssertionError(f"no name for values of {value_type}")


def _json_page() -> str:
    parts = [
        _GENERATED,
        "# JSON\n\n`--json` prints one document to stdout and nothing else. Names stay; new ones "
        "may come. Units are in the names. Every document has:\n\n",
        _table(("name", "meaning"), EVERY_DOCUMENT.items()),
    ]
    for command, names in DOCUMENTS.items():
        parts.append(f"\n## still {command}\n\n" + _table(("name", "meaning"), names.items()))
    return "".join(parts)


def _formats_page() -> str:
    rows = [
        (
            encoding.name,
            str(encoding.ggml_type),
            f"{encoding.bits_per_weight:.4g}",
            str(encoding.block_size),
            _served_by(partial(table.serving, encoding.name)),
        )
        for encoding in ENCODINGS
    ]
    schemes = [
        (name, _served_by(partial(table.serving_scheme, name))) for name in table.FOLDER_SCHEMES
    ]
    return (
        _GENERATED
        + "# Number formats\n\nBits a weight counts the scales. The last column is the layout in "
        "memory and the levels that serve it; [formats](../concepts/formats.md) explains.\n\n"
        + _table(("format", "GGUF type", "bits a weight", "block", "served by"), rows)
        + "\nOf folders quantised with compressed-tensors:\n\n"
        + _table(("scheme", "served by"), schemes)
    )


def _claims_page() -> str:
    return (
        _GENERATED
        + "# Claims\n\nWhat guides and benchmarks publish of these models, mistakes included, and "
        "what the planner's arithmetic says of it. `still plan --check` does the same for any "
        "claim.\n\n## Fits\n\nWhere a claim does not say for how long a context, 4,096 and 32,768 "
        "tokens are looked at.\n\n"
        + _table(*claims_page.fits_table())
        + "\n"
        + claims_page.fits_summary()
        + "\n## Speeds\n\nTokens a second of all users together, at 512 tokens of context. The "
        "limit is what the memory could deliver if its whole bandwidth were used; a range is "
        "possible if its middle is.\n\n"
        + _table(*claims_page.speeds_table())
        + "\n"
        + claims_page.speeds_summary()
        + "\n## Sizes\n\n"
        + _table(*claims_page.sizes_table())
    )


def _served_by(serving: Callable[[Isa], str]) -> str:
    """Layout, then the levels that share it: `k4, 4.625 bits a weight (portable, avx2, ...)`."""
    levels: dict[str, list[str]] = {}
    for isa in Isa:
        layout = serving(isa).removesuffix(f", {isa.label}")
        levels.setdefault(layout, []).append(isa.label)
    return "; ".join(f"{layout} ({', '.join(labels)})" for layout, labels in levels.items())


def _table(header: tuple[str, ...], rows: Any) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(_cell(c) for c in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
