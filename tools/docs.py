"""Writes the documentation that the code itself knows, and checks the rest against the code.

    python tools/docs.py            # write
    python tools/docs.py --check    # exit 1 where a page is out of date or names a missing path

Generated: docs/reference/{cli,json,formats}.md, and README's table between its `bench` marks, from
the last result in benchmarks/results. Checked: every path in backticks in the pages below must
exist.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from stillhouse.cli.json_names import DOCUMENTS, EVERY_DOCUMENT
from stillhouse.cli.main import app
from stillhouse.encodings import ENCODINGS
from stillhouse.kernels import table
from stillhouse.kernels.isa import Isa

ROOT = Path(__file__).parents[1]
BENCH_RESULT = ROOT / "benchmarks/results/decode_prefill.md"
PAGES_WITH_PATHS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/**/*.md")

_GENERATED = "<!-- Written by `make docs`; change the code instead. -->\n\n"
_BENCH_BLOCK = re.compile(r"(?<=<!-- bench:begin -->\n).*?(?=<!-- bench:end -->)", re.DOTALL)
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
    }
    readme = ROOT / "README.md"
    if BENCH_RESULT.exists():
        result = BENCH_RESULT.read_text(encoding="utf-8")
        pages[readme] = _BENCH_BLOCK.sub(lambda _: result, readme.read_text(encoding="utf-8"))
    return pages


def missing_paths() -> Iterator[str]:
    """A line for every path in backticks that is neither below the root nor below the package."""
    for pattern in PAGES_WITH_PATHS:
        for page in sorted(ROOT.glob(pattern)):
            for name in sorted(set(_PATH.findall(page.read_text(encoding="utf-8")))):
                if not any((folder / name).exists() for folder in (ROOT, ROOT / "stillhouse")):
                    yield f"{page.relative_to(ROOT)} names `{name}`, which does not exist"


def _cli_page() -> str:
    parts = [_GENERATED + "# Commands\n"]
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        usage = " ".join(
            f"[{p.make_metavar_name()}]" if not p.required else p.make_metavar_name()
            for p in map(_Parameter, command.params)
            if not p.is_option
        )
        parts.append(f"\n## still {name}\n\n{command.help}\n\n    still {name} {usage} [OPTIONS]\n")
        rows = [(f"`{p.names}`", p.meaning) for p in map(_Parameter, command.params)]
        parts.append("\n" + _table(("", ""), rows))
    return "".join(parts)


class _Parameter:
    """What the page says of an option or argument; click's help differs from version to version."""

    def __init__(self, parameter: Any) -> None:
        self.is_option = parameter.param_type_name == "option"
        self.required = parameter.required
        self._parameter = parameter

    def make_metavar_name(self) -> str:
        return str(self._parameter.metavar or self._parameter.name).upper()

    @property
    def names(self) -> str:
        parameter = self._parameter
        if not self.is_option:
            return self.make_metavar_name()
        names = " / ".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.is_flag:
            return names
        choices = getattr(parameter.type, "choices", None)
        value = "|".join(map(str, choices)) if choices else parameter.metavar
        return f"{names} {value or parameter.type.name.upper().split()[0]}"

    @property
    def meaning(self) -> str:
        default = self._parameter.default
        shown = self.is_option and default not in (None, False) and not callable(default)
        return str(self._parameter.help or "") + (f" [default: {default}]" if shown else "")


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
    header = ("format", "GGUF type", "bits a weight", "block", *(isa.label for isa in Isa))
    rows = [
        (
            encoding.name,
            str(encoding.ggml_type),
            f"{encoding.bits_per_weight:.4g}",
            str(encoding.block_size),
            *(table.serving(encoding.name, isa) for isa in Isa),
        )
        for encoding in ENCODINGS
    ]
    return (
        _GENERATED
        + "# Number formats\n\nBits a weight counts the scales. The last columns say which kernel "
        "serves a format at each instruction-set level; `docs/concepts/formats.md` explains.\n\n"
        + _table(header, rows)
    )


def _table(header: tuple[str, ...], rows: Any) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(_cell(c) for c in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
