"""What goes to main memory: counted on every device, and slower than the limit without it."""

from __future__ import annotations

from stillhouse import catalog
from stillhouse.planner.placement import place
from stillhouse.planner.speed import speed
from stillhouse.planner.targets import target_of
from stillhouse.planner.weights import Weights, predicted_weights
from stillhouse.planner.workload import Workload


def _weights(name: str, quantization: str) -> Weights:
    model = next(model for model in catalog.models() if model.name == name)
    return predicted_weights(model, quantization)


def test_layers_in_main_memory_lower_the_limit_too() -> None:
    weights, workload = _weights("r1-distill-llama-70b", "Q4_K_M"), Workload.of(context_tokens=4096)
    target = target_of(catalog.find_device("RTX 5090 64GB RAM"))
    placement = place(weights, workload, target, "f16")
    assert placement.verdict == "marginal"
    assert placement.ram_share > 0.2
    there = speed(weights, workload, target, "f16", ram_share=placement.ram_share)
    whole = speed(weights, workload, target, "f16")
    assert there.decode_tokens_per_s < there.limit_tokens_per_s < whole.limit_tokens_per_s / 3


def test_the_fullest_device_holds_no_more_than_it_has() -> None:
    workload = Workload.of(context_tokens=32768)
    for name, quantization, system in (
        ("r1-distill-llama-70b", "Q4_K_M", "2x RTX 3090 64GB RAM"),
        ("r1-distill-llama-70b", "Q8_0", "4x RTX 4060 Ti 16GB 128GB RAM"),
        ("r1-671b", "Q4_K_M", "RTX 4090 512GB RAM"),
        ("r1-671b", "Q4_K_M", "2x RTX 3060 12GB 512GB RAM"),
    ):
        target = target_of(catalog.find_device(system))
        placement = place(_weights(name, quantization), workload, target, "f16")
        assert placement.verdict == "marginal", (name, system)
        assert placement.worst_bytes <= target.memory_bytes, (name, system)


def test_more_users_read_more_of_the_experts_in_main_memory() -> None:
    weights = _weights("r1-671b", "Q4_K_M")
    target = target_of(catalog.find_device("RTX 4090 512GB RAM"))
    one, ten = (
        place(weights, Workload.of(context_tokens=4096, users=users), target, "f16").ram_share
        for users in (1, 10)
    )
    assert 0.5 < one < ten < 1
