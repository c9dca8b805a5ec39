"""The model `auto`: what `still plan` recommends for this machine, with the context it planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stillhouse.cli.terminal import note
from stillhouse.errors import NotEnoughSpace
from stillhouse.units import format_bytes

if TYPE_CHECKING:
    from stillhouse.facts import ModelFacts

AUTO = "auto"
_SURPRISE = 0.1  # of the predicted memory: a difference that somebody should look at


def recommended_model(context_tokens: int | None, users: int) -> tuple[str, int]:
    """A reference and a context, and a line on stderr that says why.

    Raises NotEnoughSpace where no model of the catalogue fits.
    """
    from stillhouse.planner.here import this_target
    from stillhouse.planner.plan import Wish, plan, recommended, why
    from stillhouse.planner.workload import Workload

    wish = Wish()
    workload = Workload.of(users=users, context_tokens=context_tokens)
    target = this_target()
    options = [one for one in plan(target, workload, wish) if one.target.engine == "stillhouse"]
    best = recommended(options, wish)
    if best is None:
        raise NotEnoughSpace(
            f"no reasoning model of the catalogue fits into {format_bytes(target.memory_bytes)}",
            hint="'still plan --all' shows what each one takes",
        )
    note(f"auto: {best.weights.model}, {why(best, options, wish)}")
    return best.weights.model, workload.context_tokens


def memory_line(facts: ModelFacts, resident_bytes: int) -> str:
    """What a loaded model takes beside what was predicted; a difference is said."""
    taken = f"{format_bytes(resident_bytes)} of memory"
    if facts.predicted_load_bytes is None or facts.predicted_full_bytes is None:
        return f"{taken}; nothing was predicted for files of this kind"
    predicted = format_bytes(facts.predicted_load_bytes)
    full = format_bytes(facts.predicted_full_bytes)
    line = f"{taken} ({predicted} predicted; {full} when its context is full)"
    off = resident_bytes / facts.predicted_load_bytes - 1
    if abs(off) > _SURPRISE:
        line = f"warning: {line}: {off:+.0%}"
    return line
