"""The dynamic recipe: of all ways to stay under a size, the one that is expected to lose least.

Losses of matrices add up, so this is a knapsack of many small items: a price for a byte decides for
every matrix at once, and is lowered until the file would be too large; what is left of the size
then goes to the matrices that gain most by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stillhouse.encodings import Encoding, by_name
from stillhouse.errors import UsageError
from stillhouse.quantize.importance_facts import Importance, ImportanceFacts
from stillhouse.quantize.plan import Plan, make_plan, quantized_names
from stillhouse.quantize.sensitivity import Choice, measured_choices
from stillhouse.quantize.source import Source
from stillhouse.units import format_bytes

NAME = "dynamic"
_GUESSED = 1024  # LLAMA_FTYPE_GUESSED: a type that is none of the named mixtures
_HALVINGS = 60


def plan_dynamic(
    source: Source,
    size_bytes: int,
    *,
    importance: Importance | None = None,
    importance_facts: ImportanceFacts | None = None,
    threads: int,
    progress: Callable[[int, int], None],
) -> Plan:
    """Measure, choose and plan a file of at most `size_bytes`.

    `progress(done, total)` counts matrices that are measured. Raises UsageError for a size below
    the smallest that is possible.
    """
    names = quantized_names(source)

    def planned(chosen: Mapping[str, Choice]) -> Plan:
        encodings: dict[str, Encoding] = {n: by_name(c.encoding) for n, c in chosen.items()}
        return make_plan(
            source,
            encodings,
            name=f"{NAME}, at most {format_bytes(size_bytes)}",
            file_type=_GUESSED,
            importance=importance,
            importance_facts=importance_facts,
        )

    choices = measured_choices(
        source,
        names,
        importance=importance,
        threads=threads,
        alignment=source.alignment,
        progress=progress,
    )
    smallest = {name: min(choices[name], key=lambda one: one.num_bytes) for name in names}
    least = planned(smallest)
    spare_bytes = size_bytes - least.file_bytes
    if spare_bytes < 0:
        raise UsageError(
            f"{format_bytes(size_bytes)} is too small: the smallest file is"
            f" {format_bytes(least.file_bytes)} ({least.file_bytes} bytes)",
            hint=None if importance else "with --imatrix there are smaller formats",
        )
    tensor_bytes = sum(choice.num_bytes for choice in smallest.values())
    plan = planned(allocate([*choices.values()], names, tensor_bytes + spare_bytes))
    assert plan.file_bytes <= size_bytes, (plan.file_bytes, size_bytes)
    return plan


def allocate(
    choices: Sequence[Sequence[Choice]], names: Sequence[str], budget_bytes: int
) -> dict[str, Choice]:
    """One choice for each name, of least loss together within the budget, which holds the least."""

    def at_price(price: float) -> list[Choice]:
        return [
            min(one, key=lambda choice: (choice.loss + price * choice.num_bytes, choice.num_bytes))
            for one in choices
        ]

    def size_bytes(chosen: Sequence[Choice]) -> int:
        return sum(choice.num_bytes for choice in chosen)

    chosen = at_price(0.0)
    if size_bytes(chosen) > budget_bytes:
        chosen = [min(one, key=lambda choice: choice.num_bytes) for one in choices]
        low, high = 0.0, max(choice.loss for one in choices for choice in one) + 1.0
        for _ in range(_HALVINGS):
            price = (low + high) / 2
            candidate = at_price(price)
            if size_bytes(candidate) <= budget_bytes:
                chosen, high = candidate, price
            else:
                low = price
    left_bytes = budget_bytes - size_bytes(chosen)
    while better := _best_step(choices, chosen, left_bytes):
        number, choice = better
        left_bytes -= choice.num_bytes - chosen[number].num_bytes
        chosen[number] = choice
    return dict(zip(names, chosen, strict=True))


def _best_step(
    choices: Sequence[Sequence[Choice]], chosen: Sequence[Choice], left_bytes: int
) -> tuple[int, Choice] | None:
    """The change that gains most a byte, among those that fit into what is left."""
    best: tuple[int, Choice] | None = None
    best_rate = 0.0
    for number, (options, now) in enumerate(zip(choices, chosen, strict=True)):
        for choice in options:
            more_bytes, gain = choice.num_bytes - now.num_bytes, now.loss - choice.loss
            if gain > 0 and more_bytes <= left_bytes:
                rate = gain / max(more_bytes, 1)
                if rate > best_rate:
                    best, best_rate = (number, choice), rate
    return best
