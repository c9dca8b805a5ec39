"""Claims of others against arithmetic: every figure that cannot be true is found, and says why."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stillhouse.errors import UsageError
from stillhouse.planner.acceptance import fit_rows, median_error, size_rows, speed_rows
from stillhouse.planner.claims import Verdict, check, contradictions, parse_claim


def _check(text: str) -> Verdict:
    return check(parse_claim(text))


# -- what cannot be true -----------------------------------------------------------------------


def test_the_70b_at_100_tokens_a_second_is_more_than_an_m4_max_reads() -> None:
    found = _check("70B Q4 on M4 Max: 100 tok/s")
    assert (found.verdict, found.is_possible) == ("impossible", False)
    assert found.headline == (
        "impossible: 100 tok/s x 42.1 GB read a token = 4,209 GB/s; the M4 Max 16-core reads"
        " 546 GB/s at the most, so at most 13.0 tok/s at one user"
    )
    assert found.limit_tokens_per_s == pytest.approx(13, abs=0.1)
    assert found.predicted_tokens_per_s is not None
    assert found.predicted_tokens_per_s < found.limit_tokens_per_s
    assert any("could mean M4 Max 14-core" in reason for reason in found.reasons)


def test_the_70b_does_not_fit_a_card_of_32_gb_without_offloading() -> None:
    found = _check("The 70B at 4 bits runs on a 32 GB RTX 5090 with a meaningful context")
    assert (found.verdict, found.is_possible) == ("does_not_fit", False)
    assert "the weights alone are 42.5 GB" in found.headline
    assert any("layers go to main memory" in reason for reason in found.reasons)


def test_the_1_5b_fits_the_smallest_mac_and_needs_more_than_0_8_gb() -> None:
    found = _check("The 1.5B needs 0.8 GB, which exceeds most Macs' unified memory")
    assert (found.verdict, found.is_possible) == ("fits", False)
    assert "M1 8GB" in found.headline
    assert any("0.8 GB is below the file itself, 1.12 GB" in reason for reason in found.reasons)


def test_twice_the_users_cannot_have_three_times_the_tokens() -> None:
    eight = parse_claim("32B Q2_K on RTX 5090, 8 users: 154 tok/s")
    sixteen = parse_claim("32B Q2_K on RTX 5090 x16: 469 tokens/s, 467 ms TTFT")
    (line,) = contradictions([sixteen, eight])
    assert "cannot both be of the same set-up" in line
    assert "3.05 times" in line
    assert check(eight).is_possible
    assert check(sixteen).is_possible  # each alone is: only both together are not
    assert not contradictions([eight, parse_claim("32B Q2_K on RTX 5090 x16: 300 tok/s")])


def test_the_14b_on_an_rtx_3060_depends_on_the_context_and_says_up_to_which() -> None:
    comfortable, marginal = (
        parse_claim(f"14B on RTX 3060 is {word}") for word in ("comfortable", "marginal")
    )
    assert check(comfortable).verdict == check(marginal).verdict == "depends"
    assert "fits up to 13,312 tokens, barely up to 18,688" in check(comfortable).headline
    (line,) = contradictions([comfortable, marginal])
    assert "depends on the context" in line
    assert _check("14B on RTX 3060 fits with 13312 context").verdict == "fits"
    assert _check("14B on RTX 3060 fits with 18688 context").verdict == "marginal"
    assert _check("14B on RTX 3060 fits with 18944 context").verdict == "does_not_fit"


def test_the_math_500_of_the_7b_is_its_makers() -> None:
    claims = [parse_claim(f"MATH-500 of the 7B is {score}") for score in ("92.8", "83", "92")]
    (line,) = contradictions(claims)
    assert "83 is claimed, and its makers publish 92.8" in line
    assert "83.9 is that of DeepSeek-R1-Distill-Qwen-1.5B" in line


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_possible"),
    [
        ("deepseek-r1:70b @ 2x RTX 3090: 15-22 tok/s", True),
        ("70B Q4 on RTX 4090: 100 tok/s", False),  # neither fits nor is read so fast
        ("70B Q4 on RTX 4090: 23 tok/s", False),  # within the card's bandwidth, but not its memory
        ("70B Q4 on RTX 4090: 2 tok/s", True),  # offloaded
        ("671B Q4 on RTX 4090: 5 tok/s", True),  # experts in main memory
        ("671B 1.58-bit on 2x H100 80GB: 14 tok/s", True),
        ("671B 1.58-bit, 2x H100 80GB, 10 users, 140 t/s", True),
        ("14B FP8 on H100 SXM, 8 users: 500 tok/s each", False),
        ("32B Q2_K on RTX 5090, 5000 users: 100000 tok/s", False),  # arithmetic, and memory
        ("7B on RTX 4090: prompt of 32000 tokens, 100 ms TTFT", False),
        ("7B on RTX 4090: prompt of 512 tokens, 100 ms TTFT", True),
        ("7B on RTX 4090: TTFT 1 ms", False),  # not even one pass over the weights
        ("RTX 4090, 7B, 80–100 tok/s", True),
    ],
)
def test_a_speed_is_possible_within_bandwidth_arithmetic_and_memory(
    text: str, is_possible: bool
) -> None:
    found = _check(text)
    assert found.is_possible == is_possible, found.headline
    assert found.verdict == ("possible" if is_possible else "impossible")


def test_a_speed_far_above_the_prediction_is_possible_with_a_remark() -> None:
    assert "above what" in _check("32B Q2_K on RTX 5090 x16: 469 tok/s").headline
    assert "above what" not in _check("32B Q4 on RTX 4090: 35 tok/s").headline


def test_one_thing_that_cannot_be_decides() -> None:
    found = _check("7B on RTX 4090: 90 tok/s, TTFT 1 ms")
    assert not found.is_possible
    assert "first token" in found.headline
    assert any("90 tok/s of at most" in reason for reason in found.reasons)


def test_a_mac_whose_limit_can_be_raised_says_so() -> None:
    found = _check("70B Q4 runs on M4 Max 48GB")
    assert (found.verdict, found.is_possible) == ("does_not_fit", True)
    assert "iogpu.wired_limit_mb" in found.headline


# -- what people write -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "model", "quantization"),
    [
        ("70B on RTX 5090", "r1-distill-llama-70b", "Q4_K_M"),
        ("RTX 5090: DEEPSEEK-R1:70B q8", "r1-distill-llama-70b", "Q8_0"),
        ("1.5b fp8 on RTX 3060", "r1-distill-qwen-1.5b", "FP8"),
        ("671B 1.58-bit on 2x H100 80GB", "r1-671b", "UD-IQ1_S"),
        ("32b distill @ RTX 4090, 4-bit", "r1-distill-qwen-32b", "Q4_K_M"),
        ("R1-0528 8B Q6_K on RTX 4060", "r1-0528-qwen3-8b", "Q6_K"),
        ("8B on RTX 4060", "r1-0528-qwen3-8b", "Q4_K_M"),
        ("Llama 8B on RTX 4060", "r1-distill-llama-8b", "Q4_K_M"),
        ("r1-distill-qwen-14b:q8_0 on RTX 4090", "r1-distill-qwen-14b", "Q8_0"),
        ("on M3 Ultra 512GB the full R1", "r1-671b", "Q4_K_M"),
    ],
)
def test_a_model_and_a_quantisation_as_people_write_them(
    text: str, model: str, quantization: str
) -> None:
    claim = parse_claim(text)
    assert (claim.model.name, claim.quantization) == (model, quantization)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("2 × EPYC, 384 GB: 671B IQ4_XS 5–8 tok/s", "2x EPYC 9005 384GB"),
        ("M4 Max 48 GB | 70B 4-bit | ~100 tok/s", "M4 Max 16-core 48GB"),
        ("70B at 20 tok/s on my M4 Max 64GB", "M4 Max 16-core 64GB"),
        ("32B Q4_K_M @ RTX 4090 — 35 t/s, 300 ms to first token", "RTX 4090 24GB"),
        ("a 24GB 900GB/s card, 32B: 30 tok/s", "900GB/s 24GB"),
        ("7B Q8 fits in 12 GB", "12 GB"),
    ],
)
def test_a_device_is_found_wherever_it_stands(text: str, device: str) -> None:
    assert parse_claim(text).device == device


def test_running_at_a_speed_is_a_claim_of_speed_alone() -> None:
    assert parse_claim("32B Q8 runs 2 tok/s on a 4090").fit is None
    assert parse_claim("32B Q8 fits a 4090 at 2 tok/s").fit == "fits"


def test_experts_are_read_from_a_disk_as_often_as_they_are_needed() -> None:
    found = _check("671B Q4 on Ryzen AI Max+ 395 128GB: 3 tok/s")
    assert not found.is_possible
    assert found.limit_tokens_per_s == pytest.approx(1.6, abs=0.2)


def test_what_was_taken_for_what_is_noted() -> None:
    notes = " ".join(parse_claim("8B on 4090: 90 tok/s").notes)
    assert "R1-Distill-Llama-8B could be meant" in notes
    assert "no quantisation is said" in notes


def test_numbers_are_taken_with_their_units() -> None:
    claim = parse_claim("16 users, 32B on RTX 5090: 1,469 tok/s each, 0.5 s TTFT, 32K context")
    assert (claim.users, claim.tokens_per_s_low) == (16, 16 * 1469)
    assert (claim.ttft_s, claim.context_tokens) == (0.5, 32768)
    ranged = parse_claim("7B on RTX 4090 80 – 100 tokens per second")
    assert (ranged.tokens_per_s_low, ranged.tokens_per_s_high) == (80, 100)
    assert parse_claim("70B needs 40 GB VRAM").needs_bytes == 40 << 30


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "70B",
        "70B on foo 9000: 3 tok/s",
        "70B Q4 on M3 Ultra 192GB: 18 tok/s",
        "70B in 24 GB: 20 tok/s",
        "7B Q4 on RTX 4090, 0 users: 3 tok/s",
        "7B on RTX 4090 fits with 900K context",
        "7B UD-IQ1_S on RTX 4090",
        "x" * 400,
    ],
)
def test_what_cannot_be_understood_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        _check(text)
    assert "\n" not in caught.value.message


_WORDS = st.sampled_from(
    re.split(
        " ",
        "70B 8b 671B 1.5B r1 deepseek-r1:14b Q4 q8_0 FP8 1.58-bit awq on @ , : RTX 4090 5090 M4 Max"
        " 48GB 2x x16 16 users batch 8 100 tok/s 0 t/s 80–100 tokens/s 467 ms TTFT fits runs needs"
        " 0.8 GB exceeds most Macs' memory 32K context 1 prompt of 99999 tokens MATH-500 is 83 %"
        " CPU 64GB RAM 24GB 900GB/s marginal does not fit each",
    )
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=12).map(" ".join)))
@example("7B on RTX 4090 fits with 1 context")
@example("671B on 1x RTX 4090 x9999 1 t/s 163840 context")
def test_any_text_gives_a_verdict_or_an_error_of_one_line(text: str) -> None:
    try:
        found = _check(text)
    except UsageError as error:
        lines = error.message + (error.hint or "")
        found = None
    if found is None:
        assert "\n" not in lines
        return
    assert found.headline
    assert "\n" not in found.headline
    assert found.limit_tokens_per_s is None or found.limit_tokens_per_s > 0


# -- the tables --------------------------------------------------------------------------------


def test_every_fit_claim_is_reproduced_or_contradicted_with_a_reason() -> None:
    rows = fit_rows()
    assert all(row.reason and "GB" in row.reason for row in rows)
    contradicted = [
        (row.claim.model, row.claim.quantization, row.where, row.claim.verdict)
        for row in rows
        if row.agreement == "contradicts"
    ]
    assert contradicted == [
        ("r1-distill-qwen-1.5b", "Q4_K_M", "4 GB of graphics memory", "marginal"),
        ("r1-distill-llama-70b", "Q4_K_M", "40 GB of graphics memory", "marginal"),
        ("r1-distill-llama-70b", "Q4_K_M", "RTX 5090", "fits"),
        ("r1-distill-qwen-1.5b", "Q4_K_M", "M1 8GB", "does_not_fit"),
        ("r1-distill-qwen-32b", "Q8_0", "RTX 5090", "fits"),
    ]


def test_the_speeds_that_no_memory_delivers_are_these() -> None:
    impossible = [
        (row.run.device, row.run.model, row.run.quantization, row.run.users)
        for row in speed_rows()
        if not row.run.is_possible
    ]
    assert impossible == [
        ("RTX 4060 Ti 16GB", "r1-distill-qwen-14b", "Q4_K_M", 1),
        ("M4 Max 48GB", "r1-distill-llama-70b", "Q4_K_M", 1),
        ("RTX 5060 Ti 16GB", "r1-distill-qwen-1.5b", "F16", 1),
        ("RTX 5060 Ti 16GB", "r1-distill-qwen-7b", "FP8", 1),
        ("RTX 5060 Ti 16GB", "r1-distill-llama-8b", "FP8", 1),
        ("RTX 5060 Ti 16GB", "r1-distill-qwen-14b", "AWQ", 1),
        ("RTX 5060 Ti 16GB", "r1-distill-qwen-7b", "FP8", 8),
    ]


def test_the_median_error_of_possible_measured_speeds_is_within_15_percent() -> None:
    error, count = median_error(speed_rows())
    assert error <= 0.15
    assert count > 70


def test_every_size_is_that_of_the_file_or_nominal_and_below_it() -> None:
    for row in size_rows():
        if row.claim.how == "nominal":
            assert row.claim.size_bytes < row.predicted_bytes
            assert "nominal" in row.remark
        else:
            assert row.is_same, row
