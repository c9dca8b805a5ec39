"""The chat prompt of `still run`; the model does not see its earlier thoughts again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stillhouse.cli.terminal import dim, note
from stillhouse.errors import StillhouseError

if TYPE_CHECKING:
    from stillhouse.llm import Reply
    from stillhouse.text import Message

_HELP = """\
/clear   forget the conversation
/exit    leave (so does Ctrl-D)
Ctrl-C   stop the answer"""


def chat(answer: Callable[[Sequence[Message]], Reply], opening: Sequence[Message]) -> None:
    """Read a line, `answer` it, repeat, until /exit or the end of input.

    `opening` stays at the conversation's head, after /clear too.
    """
    from stillhouse.text import Message

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() history and editing, where there is one
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
            reply = answer([*messages, question])
        except StillhouseError as error:  # too long a prompt ends neither chat nor conversation
            note(f"error: {error.message}" + (f" ({error.hint})" if error.hint else ""))
            continue
        messages += [question, Message("assistant", reply.answer)]


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
