"""A plan ranks what could run, recommends one thing, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.catalog import find_device, models
from stillhouse.planner.plan import (
    Wish,
    engine_for,
    plan,
    recommended,
    why,
    with_more_memory,
)
from stillhouse.planner.targets import Target, target_of
from stillhouse.planner.weights import predicted_weights
from stillhouse.planner.workload import Workload

MODELS = {model.name: model for model in models()}
HERE = Target("here", "stillhouse", "this machine", 1, 24 * 10**9, None, None, 33e9, 900e9)
USUAL = Workload.of()


def on(device: str, **more: int) -> Target:
    return target_of(find_device(device), **more)


@pytest.mark.parametrize("device", ["RTX 4090", "RTX 4060 8GB", "M4 Max 48GB", "2x RTX 3090"])
@pytest.mark.parametrize("goal", ["quality", "speed", "cost"])
def test_what_is_recommended_fits_and_is_fast_enough(device: str, goal: str) -> None:
    wish = Wish(goal=goal)  # type: ignore[arg-type]
    options = plan(on(device), USUAL, wish)
    best = recommended(options, wish)
    assert best is not None
    assert best.verdict == "fits"
    assert best.user_tokens_per_s >= wish.least_tokens_per_s
    assert best.placement.worst_bytes <= best.target.memory_bytes
    assert "\n" not in why(best, options, wish)


def test_each_goal_is_met_by_no_other_option_better() -> None:
    target = on("RTX 3090")
    fast = Wish(goal="speed")
    options = plan(target, USUAL, fast)
    best = recommended(options, fast)
    assert best is not None
    assert best.user_tokens_per_s == max(
        one.user_tokens_per_s for one in options if one.verdict == "fits"
    )
    cheap = Wish(goal="cost")
    options = plan(target, USUAL, cheap)
    best = recommended(options, cheap)
    assert best is not None
    assert best.price is not None

    def usd_per_point(option) -> float:  # type: ignore[no-untyped-def]
        if option.price is None or option.quality.rank <= 0:
            return float("inf")
        return float(option.price.least_usd / option.quality.rank)

    fitting = [o for o in options if o.verdict == "fits" and o.user_tokens_per_s >= 5]
    assert usd_per_point(best) == min(map(usd_per_point, fitting))


def test_where_nothing_is_fast_enough_the_fastest_is_taken_and_it_is_said() -> None:
    slow = replace(HERE, read_bytes_per_s=2e9)
    wish = Wish(least_tokens_per_s=30)
    options = plan(slow, USUAL, wish)
    best = recommended(options, wish)
    assert best is not None
    assert best.user_tokens_per_s < 30
    assert "nothing that fits reaches 30 tok/s" in why(best, options, wish)


def test_where_nothing_fits_nothing_is_recommended() -> None:
    tiny = replace(HERE, memory_bytes=100_000_000)
    options = plan(tiny, USUAL, Wish())
    assert recommended(options, Wish()) is None
    assert {option.verdict for option in options} == {"does_not_fit"}
    assert all(option.speed is None and option.placement.reason for option in options)


def test_eight_gigabytes_more_let_a_better_model_in() -> None:
    wish = Wish()
    only = MODELS["r1-distill-qwen-32b"]
    target = on("RTX 4070 Ti Super")
    now = recommended(plan(target, USUAL, wish, only=only), wish)
    more = with_more_memory(target, 8 << 30)
    later = recommended(plan(more, USUAL, wish, only=only), wish)
    assert later is not None
    assert now is None or later.quality.rank > now.quality.rank


def test_one_model_is_planned_in_every_quantisation_that_is_published() -> None:
    options = plan(HERE, USUAL, Wish(), only=MODELS["r1-distill-qwen-7b"])
    names = {option.weights.quantization for option in options}
    assert {"Q2_K", "IQ4_XS", "Q4_K_M", "Q6_K", "Q8_0", "F16"} <= names


def test_processors_run_this_engine_and_gpus_run_others() -> None:
    dense = predicted_weights(MODELS["r1-distill-qwen-7b"], "Q4_K_M")
    experts = predicted_weights(MODELS["r1-671b"], "Q4_K_M")
    folder = predicted_weights(MODELS["r1-distill-qwen-7b"], "W4A16")
    assert engine_for(HERE, dense) == "stillhouse"
    assert engine_for(HERE, experts) == "llama.cpp"
    assert engine_for(on("RTX 4090"), dense) == "llama.cpp"
    assert engine_for(on("RTX 4090"), folder) == "vllm"


def test_experts_go_to_main_memory_before_layers_do() -> None:
    wish = Wish(least_tokens_per_s=1)
    target = on("RTX 4090", ram_bytes=512 << 30)
    options = plan(target, USUAL, wish, only=MODELS["r1-671b"], quantizations=["UD-IQ1_S"])
    assert options[0].placement.experts_in_ram
    assert "--cpu-moe" in options[0].command
    dense = plan(target, USUAL, wish, only=MODELS["r1-distill-llama-70b"])
    moved = next(o for o in dense if o.weights.quantization == "Q4_K_M")
    assert moved.placement.num_gpu_layers is not None
    assert 0 < moved.placement.num_gpu_layers < 80
    assert f"-ngl {moved.placement.num_gpu_layers}" in moved.command


def test_a_command_runs_what_was_planned() -> None:
    wish = Wish(kv_type="q8_0")
    work = Workload.of(users=4, context_tokens=4096)
    best = recommended(plan(HERE, work, wish, only=MODELS["r1-distill-qwen-1.5b"]), wish)
    assert best is not None
    assert best.command.startswith("still serve r1-distill-qwen-1.5b:")
    assert best.command.endswith("--context 4096 --users 4 --kv-type q8_0")


def test_a_score_that_nobody_published_is_not_made_up() -> None:
    options = plan(HERE, USUAL, Wish(), only=MODELS["r1-distill-qwen-7b"])
    unknown = next(o for o in options if o.weights.quantization == "IQ4_NL")
    assert unknown.quality.aime_2024 is None
    assert "nobody has published" in unknown.quality.source
    known = next(o for o in options if o.weights.quantization == "Q4_K_M")
    assert known.quality.aime_2024 == pytest.approx(55.5 * 0.97, abs=0.1)
    assert "published" in known.quality.source


def test_every_option_is_json_with_the_documented_names() -> None:
    for option in plan(on("RTX 3060 12GB"), USUAL, Wish()):
        document = option.as_json()
        assert {"model", "quantization", "verdict", "memory", "quality", "reason"} <= set(document)
        has_speed = option.verdict != "does_not_fit"
        assert ("decode_tokens_per_s" in document) == has_speed
        assert ("time_to_answer_s" in document) == has_speed
