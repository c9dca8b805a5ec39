"""Speed stays below the physical limit, and moves the way physics moves it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stillhouse.catalog import efficiency_for, find_device, models
from stillhouse.planner.speed import decode_step_s, prefill_s_of, speed, step_bytes
from stillhouse.planner.targets import Target, target_of
from stillhouse.planner.weights import Weights, predicted_weights
from stillhouse.planner.workload import Workload

MODELS = {model.name: model for model in models()}
DEVICES = ("RTX 4090", "RTX 3060 12GB", "M4 Max 64GB", "H100 SXM", "24GB 900GB/s")


def weights(name: str, quantization: str = "Q4_K_M") -> Weights:
    return predicted_weights(MODELS[name], quantization)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("users", [1, 4, 16, 64])
def test_no_prediction_exceeds_the_memorys_bandwidth(device: str, users: int) -> None:
    target = target_of(find_device(device))
    for name in ("r1-distill-qwen-1.5b", "r1-distill-qwen-14b"):
        found = speed(weights(name), Workload.of(users=users), target, "f16")
        assert 0 < found.decode_tokens_per_s <= found.limit_tokens_per_s


def test_fewer_bits_are_faster_and_more_context_is_slower() -> None:
    target = target_of(find_device("RTX 3090"))
    q8, q4 = (
        speed(weights("r1-distill-qwen-14b", name), Workload.of(), target, "f16")
        for name in ("Q8_0", "Q4_K_M")
    )
    assert q4.decode_tokens_per_s > q8.decode_tokens_per_s
    thinking = Workload.of(thinking_tokens=30_000)
    long = speed(weights("r1-distill-qwen-14b"), thinking, target, "f16")
    assert long.decode_tokens_per_s < q4.decode_tokens_per_s


def test_more_users_write_more_together_and_less_each() -> None:
    target = target_of(find_device("RTX 4090"))
    before, each_before = 0.0, float("inf")
    for users in (1, 2, 4, 8, 16, 32, 64):
        found = speed(weights("r1-distill-qwen-7b"), Workload.of(users=users), target, "f16")
        assert found.decode_tokens_per_s > before
        assert found.decode_tokens_per_s / users < each_before
        before, each_before = found.decode_tokens_per_s, found.decode_tokens_per_s / users


def test_the_thinking_tax_is_tokens_over_the_speed_of_one_user() -> None:
    target = target_of(find_device("RTX 4090"))
    work = Workload.of(users=4, thinking_tokens=500)
    found = speed(weights("r1-distill-qwen-7b"), work, target, "f16")
    assert found.thinking_tax_s == pytest.approx(500 / (found.decode_tokens_per_s / 4))
    assert found.time_to_answer_s > found.thinking_tax_s + found.ttft_s / 2


def test_a_mixture_of_experts_reads_what_its_tokens_need() -> None:
    whole = weights("r1-671b")
    one = step_bytes(whole, 1, 0, "f16")
    assert 18e9 < one < 26e9
    assert one < step_bytes(whole, 8, 0, "f16") < step_bytes(whole, 256, 0, "f16")
    assert step_bytes(whole, 256, 0, "f16") < whole.total_bytes


def test_layers_in_main_memory_cost_speed_sharply() -> None:
    target = target_of(find_device("RTX 4090"), ram_bytes=64 << 30)
    entry = efficiency_for(target.kind, target.engine)
    model = weights("r1-distill-qwen-32b")
    alone = decode_step_s(model, 1, 1000, target, "f16", entry)
    assert decode_step_s(model, 1, 1000, target, "f16", entry, ram_share=0.3) > 3 * alone


def test_a_known_step_is_worked_by_hand() -> None:
    """1.5B, one user, no context: bytes / bandwidth and products / peak, overlapped."""
    target = Target("t", "stillhouse", "this machine", 1, 0, None, None, 40e9, 900e9)
    one = weights("r1-distill-qwen-1.5b")
    entry = replace(
        efficiency_for("this machine", "stillhouse"),
        read_share=0.5, batch_share=0.5, prefill_share=0.5, step_s=0.001, row_s=0.0,
        prefill_row_s=0.0,
    )  # fmt: skip
    read_s = step_bytes(one, 1, 0, "bf16") / 20e9
    multiply_s = 2 * 1_543_503_872 / 450e9  # 28 layers of 46,792,704 weights, and the head
    expected = (read_s**3 + multiply_s**3) ** (1 / 3) + 0.001
    assert decode_step_s(one, 1, 0, target, "bf16", entry) == pytest.approx(expected, rel=1e-3)
    assert prefill_s_of(one, 512, target, entry) > 512 * 2 * 1_310_000_000 / 450e9


def test_vllm_reads_from_all_devices_at_once_and_llama_cpp_one_after_the_other() -> None:
    folder = weights("r1-distill-qwen-32b", "W4A16")
    two = replace(target_of(find_device("2x RTX 3090")), engine="vllm")
    one = replace(two, count=1)
    work = Workload.of()
    parallel = speed(folder, work, two, "bf16").decode_tokens_per_s
    assert parallel > 1.4 * speed(folder, work, one, "bf16").decode_tokens_per_s
    gguf = weights("r1-distill-qwen-32b")
    in_turn = target_of(find_device("2x RTX 3090"))
    alone = speed(gguf, work, target_of(find_device("RTX 3090")), "f16").decode_tokens_per_s
    assert speed(gguf, work, in_turn, "f16").decode_tokens_per_s == pytest.approx(alone)
