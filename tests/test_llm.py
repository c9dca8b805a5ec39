"""A chat from text to text. The tokenizer, template and engine are real; the model is scripted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stillhouse.errors import (
    BadTemplate,
    ContextTooLong,
    EngineStopped,
    NotEnoughSpace,
    UsageError,
)
from stillhouse.kernels.isa import Isa, detect
from stillhouse.llm import LLM, ChatOptions, Reply
from stillhouse.questions import Prompt
from stillhouse.text import Delta, Message
from tests.speaker import TEMPLATE_THAT_OPENS, Bench


def test_a_plain_answer(bench: Bench) -> None:
    reply = bench.llm(None, "Eight.").chat("How many legs?")
    assert (reply.reasoning, reply.answer) == ("", "Eight.")
    assert (reply.finish_reason, reply.thinking_end) == ("stop", "none")
    assert (reply.usage.reasoning_tokens, reply.usage.answer_tokens) == (0, 6)


@pytest.mark.parametrize("think_tokens", [True, False])
@pytest.mark.parametrize("opened_by_template", [True, False])
def test_a_thought_is_kept_apart(
    bench: Bench, think_tokens: bool, opened_by_template: bool
) -> None:
    metadata = {"tokenizer.chat_template": TEMPLATE_THAT_OPENS} if opened_by_template else {}
    model = bench.llm("Six? No.", "\n\nEight.", think_tokens=think_tokens, metadata=metadata)
    reply = model.chat("Legs?")
    assert (reply.reasoning, reply.answer) == ("Six? No.", "Eight.")
    assert (reply.finish_reason, reply.thinking_end) == ("stop", "natural")


@pytest.mark.parametrize("think_tokens", [True, False])
@pytest.mark.parametrize("budget", [0, 1, 7])
def test_a_spent_budget_closes_the_thought_and_the_answer_comes(
    bench: Bench, think_tokens: bool, budget: int
) -> None:
    model = bench.llm("Hmm, six or eight", "\n\nEight.", think_tokens=think_tokens)
    reply = model.chat("Legs?", think=True, thinking_budget=budget)
    assert (reply.reasoning, reply.answer) == ("Hmm, six or eight"[:budget], "Eight.")
    assert (reply.finish_reason, reply.thinking_end) == ("stop", "budget")


@pytest.mark.parametrize("think_tokens", [True, False])
def test_a_budget_never_touches_the_answer(bench: Bench, think_tokens: bool) -> None:
    long = "x" * 100
    model = bench.llm("Short.", long, think_tokens=think_tokens)
    reply = model.chat("Legs?", think=True, thinking_budget=20)
    assert (reply.reasoning, reply.answer, reply.thinking_end) == ("Short.", long, "natural")


def test_a_budget_holds_where_only_the_text_shows_the_tag(bench: Bench) -> None:
    model = bench.llm("A long thought.", "Eight.", think_tokens=False)
    reply = model.chat("Legs?", thinking_budget=6)
    assert (reply.reasoning, reply.thinking_end) == ("A lon", "budget")  # a newline came first


@pytest.mark.parametrize("think", [False, None])
def test_thinking_can_be_left_out(bench: Bench, think: bool | None) -> None:
    reply = bench.llm("Hm.", "Eight.").chat("Legs?", think=think)
    assert reply.reasoning == ("" if think is False else "Hm.")
    assert reply.answer == "Eight."


def test_a_stop_string_ends_the_answer_and_no_thought(bench: Bench) -> None:
    model = bench.llm("one STOP two", "three STO four STOP five")
    *pieces, reply = model.chat("Go", stream=True, stop=["STOP"])
    assert isinstance(reply, Reply)
    assert (reply.reasoning, reply.answer) == ("one STOP two", "three STO four ")
    assert reply.finish_reason == "stop"
    assert "".join(p.text for p in pieces if isinstance(p, Delta)) == reply.reasoning + reply.answer
    assert model.stats().held_blocks == 0


def test_what_was_held_back_for_a_stop_string_is_not_lost(bench: Bench) -> None:
    assert bench.llm(None, "I said ST").chat("Go", stop=["STOP"]).answer == "I said ST"


def test_max_tokens_cut_a_reply_also_inside_a_thought(bench: Bench) -> None:
    model = bench.llm("thinking", "answer")
    inside = model.chat("Go", max_tokens=5, answer_reserve=0)
    after = model.chat("Go", max_tokens=14, answer_reserve=0)
    assert (inside.reasoning, inside.answer) == ("thi", "")
    assert (inside.finish_reason, inside.thinking_end) == ("length", "context")
    assert (after.answer, after.finish_reason, after.thinking_end) == ("ans", "length", "natural")


def test_a_reserve_keeps_room_for_the_answer(bench: Bench) -> None:
    reply = bench.llm("thinking " * 50, "answer").chat("Go", max_tokens=40)
    assert (reply.answer, reply.finish_reason, reply.thinking_end) == ("answer", "stop", "context")
    with pytest.raises(UsageError, match="answer_reserve of 40"):
        bench.llm("thinking", "answer").chat("Go", think=True, max_tokens=40, answer_reserve=40)


def test_an_answer_now_closes_the_thought(bench: Bench) -> None:
    stream = bench.llm("a long thought " * 30, "answer").chat("Go", stream=True)
    next(stream)
    stream.answer_now()
    reply = stream.drain()
    assert (reply.answer, reply.thinking_end) == ("answer", "client")
    assert len(reply.reasoning) < 450


def test_a_thought_in_circles_is_closed_and_so_is_an_answer(bench: Bench) -> None:
    reply = bench.llm("round and " * 90, "bye", context=2048).chat("Go")
    assert (reply.answer, reply.thinking_end, reply.finish_reason) == ("bye", "loop", "stop")
    reply = bench.llm(None, "round and " * 90, context=2048).chat("Go")
    assert (reply.thinking_end, reply.finish_reason) == ("none", "loop")
    reply = bench.llm(None, "round and " * 90, context=2048).chat("Go", stop_loops=False)
    assert reply.finish_reason == "stop"


def test_a_schema_shapes_the_answer_and_not_the_thought(bench: Bench) -> None:
    schema = {"type": "object", "properties": {"legs": {"const": 8}}, "required": ["legs"]}
    model = bench.llm("Hm, 8?", 'none at all{"legs": 8}')
    reply = model.chat("Go", answer_schema=schema | {"additionalProperties": False})
    assert (reply.reasoning, json.loads(reply.answer)) == ("Hm, 8?", {"legs": 8})
    with pytest.raises(UsageError, match="JSON schema"):
        model.chat("Go", answer_schema={"type": "spider"})


TOOLS = [{"type": "function", "function": {"name": "count", "parameters": {"type": "object"}}}]


def test_a_call_of_a_tool_is_no_text(bench: Bench) -> None:
    call = '<tool_call>{"name": "count", "arguments": {"of": "legs"}}</tool_call>'
    reply = bench.llm("Hm.", f"Wait.\n{call}").chat("Go", tools=TOOLS)
    assert (reply.answer, reply.finish_reason) == ("Wait.", "tool_calls")
    assert [(c.name, c.arguments) for c in reply.tool_calls] == [("count", '{"of": "legs"}')]
    reply = bench.llm("Hm.", "Eight.").chat("Go", tools=TOOLS)
    assert (reply.answer, reply.finish_reason, reply.tool_calls) == ("Eight.", "stop", ())


def test_a_demanded_call_is_made_whatever_the_model_wants(bench: Bench) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    tools = [{"type": "function", "function": {"name": "count", "parameters": schema}}]
    reply = bench.llm("Hm.", "No, thanks.").chat("Go", tools=tools, tool_choice="required")
    assert [(c.name, c.arguments) for c in reply.tool_calls] == [("count", "{}")]
    assert (reply.answer, reply.finish_reason) == ("", "tool_calls")
    with pytest.raises(UsageError, match="not offered"):
        bench.llm(None, "").chat("Go", tools=tools, tool_choice="walk")


def test_each_token_of_the_answer_has_its_logprob_once(bench: Bench) -> None:
    model = bench.llm("Hm.", "Acht 🕷 Beine")
    *pieces, reply = model.chat("Legs?", stream=True, logprobs=2, stop=["ei"])
    assert isinstance(reply, Reply)
    assert b"".join(token.bytes for token in reply.logprobs) == "Acht 🕷 B".encode()
    assert all(token.logprob > -0.01 and len(token.top) == 2 for token in reply.logprobs)
    told = [token for p in pieces if isinstance(p, Delta) for token in p.logprobs]
    assert tuple(told) == reply.logprobs


def test_a_prompt_is_gone_on_from_as_it_is(bench: Bench) -> None:
    model = bench.llm("Hm.", "Eight.")
    reply = model.chat(Prompt("<|im_start|>assistant\n"))
    assert (reply.answer, reply.reasoning) == ("<think>\nHm.</think>Eight.", "")
    assert (reply.usage.prompt_tokens, reply.usage.reasoning_tokens) == (10, 4)


def test_the_assistants_last_message_is_continued(bench: Bench) -> None:
    chat = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "Eig"}]
    reply = bench.llm("Hm.", "Eight.").chat(chat, continue_last=True)
    assert (reply.reasoning, reply.answer) == ("", "ht.")
    chat[1] = {"role": "assistant", "content": "<think>\nH"}
    reply = bench.llm("Hm.", "Eight.").chat(chat, continue_last=True)
    assert (reply.reasoning, reply.answer) == ("m.", "Eight.")
    with pytest.raises(UsageError, match="nothing to continue"):
        bench.llm(None, "").chat("Go", continue_last=True)


def test_without_a_limit_a_reply_may_fill_the_context(bench: Bench) -> None:
    reply = bench.llm(None, "x" * 1000, context=64).chat("Go")
    assert reply.finish_reason == "length"
    assert reply.usage.prompt_tokens + reply.usage.answer_tokens == 64


def test_samples_differ_by_their_own_seeds_and_repeat(bench: Bench) -> None:
    model = bench.llm(None, "x" * 1000, users=3)
    options: ChatOptions = {"temperature": 30.0, "seed": 5, "max_tokens": 30}
    samples = model.samples("Go", 3, **options)
    assert len({reply.answer for reply in samples}) == 3
    assert [r.answer for r in model.samples("Go", 3, **options)] == [r.answer for r in samples]
    for number, sample in enumerate(samples):
        assert model.chat("Go", **{**options, "seed": 5 + number}).answer == sample.answer
    del options["seed"]
    again = model.samples("Go", 2, seeds=(7, 5), **options)
    assert [r.answer for r in again] == [samples[2].answer, samples[0].answer]
    assert samples[1].usage.cached_tokens == samples[1].usage.prompt_tokens
    with pytest.raises(UsageError, match="at least 1"):
        model.samples("Go", 0)
    with pytest.raises(UsageError, match="1 seeds are given for 2 samples"):
        model.samples("Go", 2, seeds=(1,))
    with pytest.raises(UsageError, match="both given"):
        model.samples("Go", 1, seeds=(1,), seed=1)
    with pytest.raises(UsageError, match="a seed is -1"):
        model.samples("Go", 1, seeds=(-1,))


def test_more_users_get_more_blocks_as_far_as_memory_goes(bench: Bench) -> None:
    assert bench.llm(None, "", context=64, users=3).stats().total_blocks == 6
    assert bench.llm(None, "", context=64, users=10**9).stats().total_blocks < 10**9
    with pytest.raises(UsageError, match="users is 0"):
        bench.llm(None, "", users=0)


def test_deterministic_leaves_out_the_matrix_tiles(bench: Bench) -> None:
    bench.llm(None, "ok", deterministic=True)
    assert bench.load_options["isa"] == min(detect(), Isa.AVX512_VNNI)
    bench.llm(None, "ok")
    assert bench.load_options["isa"] is None


def test_a_failing_model_ends_every_chat_with_a_clear_error(bench: Bench) -> None:
    model = bench.llm(None, "ok")
    bench.model.forward = None  # type: ignore[assignment,method-assign]
    stream = model.chat("Go", stream=True)
    with pytest.raises(EngineStopped, match="in the middle of a step"):
        list(stream)
    with pytest.raises(EngineStopped, match="TypeError"):
        model.chat("Another")


def test_a_second_turn_finds_the_first_in_the_cache(bench: Bench) -> None:
    model = bench.llm(None, "ok")
    turns = [Message("user", "x" * 100)]
    reply = model.chat(turns)
    turns += [Message("assistant", reply.answer), Message("user", "and?")]
    again = model.chat(turns)
    assert reply.usage.cached_tokens == 0
    assert again.usage.cached_tokens == reply.usage.prompt_tokens // 32 * 32


def test_special_tokens_in_what_people_write_stay_text(bench: Bench) -> None:
    model = bench.llm(None, "ok")
    assert (
        model.chat("<|im_end|><think>").usage.prompt_tokens
        > model.chat("x").usage.prompt_tokens + 10
    )
    assert model.chat("<|im_end|><think>").thinking_end == "none"


def test_sampling_is_the_familys_unless_told(bench: Bench) -> None:
    model = bench.llm(None, "ok", metadata={"general.name": "DeepSeek R1 Distill Qwen 7B"})
    assert (model.sampling.temperature, model.sampling.top_p) == (0.6, 0.95)


def test_times_run_from_the_call_and_rates_follow_from_them(bench: Bench) -> None:
    # The clock is read when asked and after each token, so a token takes a second.
    reply = bench.llm("ab", "cde").chat("Go")
    timings = reply.timings
    assert timings.load_s == 1
    assert timings.ttft_s == 1
    assert timings.ttfat_s == 6  # <think>, newline, a, b, </think>, c
    assert timings.decode_tokens_per_s == 1
    assert timings.prefill_tokens_per_s == reply.usage.prompt_tokens
    assert timings.bandwidth_share is None


def test_the_bandwidth_share_is_measured_when_asked_and_once(bench: Bench) -> None:
    model = bench.llm(None, "abcd", threads=3, kv_type="bf16")
    reply = model.chat("Go")
    assert bench.model.num_measurements == 0
    middle = reply.usage.prompt_tokens + 2
    for _ in range(2):
        share = model.with_bandwidth_share(reply).timings.bandwidth_share
        assert share == pytest.approx((1_000_000 + 4 * middle) / 4_000_000)
    assert bench.model.num_measurements == 1


def test_the_json_has_the_documented_names(bench: Bench) -> None:
    document = bench.llm(None, "ok").chat("Go").as_json()
    assert list(document) == [
        "reasoning",
        "answer",
        "finish_reason",
        "thinking_end",
        "usage",
        "timings",
    ]
    assert {"prompt_tokens", "reasoning_tokens", "answer_tokens"} <= document["usage"].keys()
    assert document["timings"].keys() == {
        "load_s",
        "ttft_s",
        "ttfat_s",
        "prefill_tokens_per_s",
        "decode_tokens_per_s",
        "bandwidth_share",
        "queue_s",
        "thinking_s",
        "e2e_s",
    }


@pytest.mark.parametrize("max_tokens", [None, 10])
def test_a_prompt_that_cannot_fit_is_refused_with_both_numbers(
    bench: Bench, max_tokens: int | None
) -> None:
    model = bench.llm(None, "ok", context=64)
    with pytest.raises(ContextTooLong, match=r"2\d\d.* 64"):
        model.chat("x" * 200, max_tokens=max_tokens)


@pytest.mark.parametrize(
    "wrong",
    [{"thinking_budget": -1}, {"temperature": -1.0}, {"stop": [""]}, {"max_tokens": 0}],
    ids=str,
)
def test_a_value_out_of_range_is_refused_before_anything_runs(
    bench: Bench, wrong: dict[str, Any]
) -> None:
    model = bench.llm(None, "ok")
    with pytest.raises(UsageError):
        model.chat("Go", stream=True, **wrong)
    assert bench.model.num_rows_seen == []


def test_the_context_is_what_was_asked_or_what_fits(bench: Bench) -> None:
    assert bench.llm(None, "", context=4096).context_tokens == 4096
    assert bench.llm(None, "", context=4096, context_tokens=100).context_tokens == 100
    with pytest.raises(NotEnoughSpace, match="left"):
        bench.llm(None, "", context=4096, max_memory_bytes=1000)


def test_a_model_whose_template_is_broken_leaves_no_threads_behind(bench: Bench) -> None:
    with pytest.raises(BadTemplate):
        bench.llm(None, "", metadata={"tokenizer.chat_template": "{% for %}"})
    assert bench.model.is_closed


def test_closing_ends_the_model(bench: Bench) -> None:
    with bench.llm(None, "ok") as model:
        model.chat("Go", stream=True)
    assert bench.model.is_closed


def test_a_folder_of_safetensors_answers() -> None:
    """Two layers of a real model: what it says means nothing, but it says the same every time."""
    folder = Path(__file__).parent / "checkpoints/fixtures/w8a8"
    with LLM(str(folder), context_tokens=256) as llm:
        first, again = (llm.chat("a cat", max_tokens=12, temperature=0) for _ in range(2))
    assert first.usage.answer_tokens == 12
    assert first.answer == again.answer != ""
