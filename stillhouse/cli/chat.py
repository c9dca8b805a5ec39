"""The chat prompt of `still run`; the model does not see its earlier thoughts again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stillhouse.cli.answer import note_figures, show_reply
from stillhouse.cli.terminal import dim, note
from stillhouse.errors import StillhouseError

if TYPE_CHECKING:
    from stillhouse.cli.answer import ReplyStream
    from stillhouse.text import Message

_HELP = """\
/clear   forget the conversation
/exit    leave (so does Ctrl-D)
Ctrl-C   stop the answer"""


def chat(
    ask: Callable[[Sequence[Message]], ReplyStream], opening: Sequence[Message], *, thoughts: bool
) -> None:
    """Read, answer, repeat, until /exit or the end of input. `opening` is never forgotten."""
    from stillhouse.text import Message

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() history and editing, where the platform has it
    note("/help for help")
    messages = list(opening)
    while (line := _read_line()) is not None:
        match line.split():
            case []:
                continue
            case ["/exit"]:
                return
            case ["/clear"]:
                messages = list(opening)
                continue
            case ["/help"]:
                note(_HELP)
                continue
        question = Message("user", line)
        try:
            shown = show_reply(ask([*messages, question]), thoughts=thoughts)
        except StillhouseError as error:  # a prompt too long ends neither chat nor conversation
            note(f"error: {error.message}" + (f" ({error.hint})" if error.hint else ""))
            continue
        note_figures(shown.reply)
        messages += [question, Message("assistant", shown.answer)]


def _read_line() -> str | None:
    """One line of the user's; None at the end. Ctrl-C gives the line up, not the chat."""
    try:
        return input(dim(">>> ", sys.stdout))
    except EOFError:
        print()
        return None
    except KeyboardInterrupt:
        print()
        return ""
