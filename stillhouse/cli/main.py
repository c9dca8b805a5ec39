"""The command `still`: one command a file, and what all of them share, errors above all.

The command files are imported here, so none of them may import anything slow at its top:
`still --help` has 0.3 s.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stillhouse import __version__
from stillhouse.cli.bench import bench
from stillhouse.cli.bench_compare import COMMAND as BENCH_COMPARE
from stillhouse.cli.bench_compare import bench_compare
from stillhouse.cli.doctor import doctor
from stillhouse.cli.eval import evaluate
from stillhouse.cli.imatrix import imatrix
from stillhouse.cli.list_models import list_models
from stillhouse.cli.plan import plan
from stillhouse.cli.pull import pull
from stillhouse.cli.quality import quality
from stillhouse.cli.quantize import quantize
from stillhouse.cli.rm import rm
from stillhouse.cli.run import run
from stillhouse.cli.serve import serve
from stillhouse.cli.show import show
from stillhouse.errors import StillhouseError


class Commands(TyperGroup):
    """Knows commands of two words: `bench compare` beside `bench`, which takes any words."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The longer name, where there is one. Typer may bring a click of its own, hence Any."""
        two_words = " ".join(args[:2])
        if two_words in self.commands:
            args = [two_words, *args[2:]]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    help="Pull, run and measure quantised reasoning models on the machine you have.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich to draw boxes around help costs more than the help
    pretty_exceptions_enable=False,
)
app.command("doctor")(doctor)
app.command("plan")(plan)
app.command("pull")(pull)
app.command("list")(list_models)
app.command("show")(show)
app.command("quantize")(quantize)
app.command("rm")(rm)
app.command("run")(run)
app.command("serve")(serve)
app.command("imatrix")(imatrix)
app.command("quality")(quality)
app.command("bench")(bench)
app.command(BENCH_COMPARE)(bench_compare)
app.command("eval")(evaluate)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"still {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Options of `still` itself; each does its work in its callback."""


def main() -> None:
    """Run the command line. A user's mistake is two lines on stderr and exit 2."""
    try:
        app()
    except StillhouseError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
