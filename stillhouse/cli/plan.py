"""`still plan`: which model and quantisation fits, how fast, how good, what it costs, and why."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stillhouse.cli import options
from stillhouse.cli.document import print_document, whole_document, write_whole
from stillhouse.units import parse_bytes

if TYPE_CHECKING:
    from stillhouse.catalog import Model
    from stillhouse.planner.plan import Option, Wish
    from stillhouse.planner.targets import Target
    from stillhouse.planner.workload import Workload

_MORE_BYTES = 8 << 30
# Beside this machine, where `still plan MODEL` is asked for no device.
_USUAL_DEVICES = (
    "RTX 3060 12GB", "RTX 4060 Ti 16GB", "RTX 3090", "RTX 4090", "RTX 5090", "2x RTX 3090",
    "M4 Pro 24GB", "M4 Max 64GB", "H100 SXM 80GB",
)  # fmt: skip


class GoalName(StrEnum):
    """What a plan is ranked by."""

    QUALITY = "quality"
    SPEED = "speed"
    COST = "cost"


class PlannedKVTypeName(StrEnum):
    """How a KV cache stores a number; q4_0 in other engines alone."""

    BF16 = "bf16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


def plan(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Plan this model alone: every quantisation."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Somewhere else, as 'RTX 4090', '2x RTX 3090', 'M4 Max 48GB', '24GB 900GB/s'; may"
            " be repeated. [default: this machine]",
        ),
    ] = None,
    ram: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Main memory, as 64GB. [default: what is]")
    ] = None,
    users: Annotated[int, typer.Option(min=1, help="Who ask at the same time.")] = 1,
    context: options.Context = None,
    prompt_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="[default: 512]")
    ] = None,
    thinking_tokens: Annotated[
        int | None, typer.Option(min=0, metavar="TOKENS", help="Of a thought. [default: 2000]")
    ] = None,
    min_speed: Annotated[
        float, typer.Option(min=0, metavar="TOK/S", help="What each user needs at least.")
    ] = 5.0,
    goal: Annotated[GoalName, typer.Option(help="What to rank by.")] = GoalName.QUALITY,
    kv_type: Annotated[
        PlannedKVTypeName, typer.Option(help="How the KV cache stores a number.")
    ] = PlannedKVTypeName.BF16,
    kwh_price: Annotated[
        float, typer.Option(min=0, metavar="USD", help="Of a kWh of electricity.")
    ] = 0.30,
    every: Annotated[
        bool, typer.Option("--all", help="Show every option, not the best of each model.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the arithmetic of what is recommended.")
    ] = False,
    check: Annotated[
        str | None,
        typer.Option(metavar="CLAIM", help="Check a claim, as '70B Q4 on M4 Max: 100 tok/s'."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with tables and plots.")
    ] = None,
    json: options.Json = False,
) -> None:
    """What fits, how fast, how good, and what it costs. Nothing is downloaded.

    still plan --users 4 --goal speed

    still plan deepseek-r1:14b --device "RTX 4090" --explain

    still plan --check "70B Q4 on M4 Max: 100 tok/s"
    """
    if check is not None:
        from stillhouse.cli.plan_claim import check_claim

        check_claim(check, as_json=json)
        return
    from stillhouse import catalog
    from stillhouse.planner.plan import Wish
    from stillhouse.planner.workload import Workload

    only = None if model is None else catalog.find(model).model
    workload = Workload.of(
        users=users,
        context_tokens=context,
        prompt_tokens=prompt_tokens,
        thinking_tokens=thinking_tokens,
    )
    wish = Wish(goal.value, min_speed, kv_type.value, kwh_price)
    ram_bytes = None if ram is None else parse_bytes(ram)
    if kv_type is PlannedKVTypeName.Q4_0:
        print(
            "warning: q4_0 keys are known to ruin the answers of Qwen2.5 and its distills"
            " (lmdeploy issue 2822); q8_0 is not",
            file=sys.stderr,
        )
    targets = _targets(device, ram_bytes, usual=only is not None and not device)
    plans = [_Planned.of(target, workload, wish, only) for target in targets]
    if html is not None:
        from stillhouse.planner.page import page

        document = whole_document("plan", model=model, **_document(plans, workload, wish))
        write_whole(html, page(document))
    if json:
        print_document("plan", model=model, **_document(plans, workload, wish))
    elif html is None or explain:
        _print(plans, workload, every=every, explain=explain)


class _Planned:
    """The options of one system, and what is recommended there."""

    def __init__(
        self, target: Target, found: list[Option], wish: Wish, more_memory: str | None
    ) -> None:
        from stillhouse.planner.plan import recommended, why

        self.target = target
        self.options = found
        self.best = recommended(found, wish)
        self.reason = "" if self.best is None else why(self.best, found, wish)
        self.more_memory = more_memory

    @classmethod
    def of(cls, target: Target, workload: Workload, wish: Wish, only: Model | None) -> _Planned:
        from stillhouse.planner.plan import plan as plan_for
        from stillhouse.planner.plan import recommended, with_more_memory

        found = plan_for(target, workload, wish, only=only)
        now = recommended(found, wish)
        later = recommended(
            plan_for(with_more_memory(target, _MORE_BYTES), workload, wish, only=only), wish
        )
        more = None
        if later is not None and (now is None or _name(later) != _name(now)):
            more = f"{_name(later)}, {later.user_tokens_per_s:.3g} tok/s"
            if later.quality.aime_2024 is not None:
                more += f", AIME 2024 {later.quality.aime_2024:.0f} %"
        return cls(target, found, wish, more)


def _targets(devices: list[str] | None, ram_bytes: int | None, *, usual: bool) -> list[Target]:
    from stillhouse.catalog import find_device
    from stillhouse.planner.here import accelerator_targets, this_target
    from stillhouse.planner.targets import target_of

    if devices:
        return [target_of(find_device(name), ram_bytes=ram_bytes) for name in devices]
    here = [*accelerator_targets(ram_bytes), this_target(ram_bytes=ram_bytes)]
    if usual:
        here += [target_of(find_device(name)) for name in _USUAL_DEVICES]
    return here


def _document(plans: list[_Planned], workload: Workload, wish: Wish) -> dict[str, Any]:
    first = plans[0]
    best = first.best
    recommendation = None
    if best is not None:
        recommendation = {
            "model": best.model.name,
            "quantization": best.weights.quantization,
            "device": best.target.name,
            "reason": first.reason,
            "command": best.command,
        }
    return {
        "device": first.target.as_json(),
        "devices": [planned.target.as_json() for planned in plans],
        "workload": asdict(workload),
        "goal": wish.goal,
        "options": [option.as_json() for planned in plans for option in planned.options],
        "recommendation": recommendation,
        "more_memory": first.more_memory,
    }


def _print(plans: list[_Planned], workload: Workload, *, every: bool, explain: bool) -> None:
    from stillhouse.cli.plan_tables import device_table, explanation, heading, option_table

    if len(plans) > 1 and len({option.model.name for p in plans for option in p.options}) == 1:
        print("\n".join(device_table([p.options for p in plans], workload)))
    for number, planned in enumerate(plans if len(plans) < 3 else plans[:1]):
        if number:
            print()
        print("\n".join(heading(planned.target, workload)))
        print()
        print("\n".join(option_table(planned.options, planned.best, every=every)))
        print()
        if planned.best is None:
            print(f"nothing fits into {planned.target.name}; a smaller quantisation, a shorter"
                  " context or more memory would help")  # fmt: skip
            continue
        print(f"recommended: {_name(planned.best)}, {planned.reason}")
        print(f"  {planned.best.command}")
        if planned.more_memory:
            print(f"with 8 GB more: {planned.more_memory}")
        if explain:
            print()
            print("\n".join(explanation(planned.best)))


def _name(option: Option) -> str:
    return f"{option.model.name} {option.weights.quantization}"
