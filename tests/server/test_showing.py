"""However a transcript is cut into deltas, what is shown of it joins to the whole."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stillhouse.replies import Reply, Usage
from stillhouse.server.showing import Showing
from stillhouse.server.thinking import Thinking
from stillhouse.text import Delta
from stillhouse.timings import Timings

EMPTY = Reply("", "", "stop", "none", Usage(1, 1, 1, 0), Timings(0, None, None, None, None))
pieces = st.lists(st.text(min_size=1, max_size=6), max_size=6)


@given(
    thoughts=pieces,
    answers=pieces,
    show=st.sampled_from(["apart", "inline", "never"]),
    is_streamed=st.booleans(),
)
def test_streamed_pieces_joined_are_the_whole(
    thoughts: list[str], answers: list[str], show: str, is_streamed: bool
) -> None:
    thinking = Thinking(show=show, is_streamed=is_streamed)  # type: ignore[arg-type]
    showing = Showing(thinking)
    shown = [d for text in thoughts for d in showing.push(Delta("reasoning", text))]
    shown += [d for text in answers for d in showing.push(Delta("answer", text))]
    shown += showing.finish()
    reply = replace(EMPTY, reasoning="".join(thoughts), answer="".join(answers))
    whole = Showing(thinking).whole(reply)
    for kind, text in (("reasoning", whole.reasoning), ("answer", whole.answer)):
        assert "".join(d.text for d in shown if d.kind == kind) == text
    if show == "apart":
        assert (whole.reasoning, whole.answer) == (reply.reasoning, reply.answer)
    else:
        assert whole.reasoning == ""
    if show == "inline" and thoughts and answers:
        expected = f"<think>\n{reply.reasoning}\n</think>\n\n{reply.answer}"
        assert whole.answer == expected
