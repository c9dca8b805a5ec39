"""Prompts as the published templates of four families say, whatever people write into them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.checkpoints import Metadata
from stillhouse.errors import BadCheckpoint, BadTemplate, UsageError
from stillhouse.text import ChatTemplate, Message, ReasoningSplitter, Tokenizer
from stillhouse.text.tools import Tools
from tests.text.vocabularies import (
    awkward_text,
    byte_metadata,
    chatml_tokenizer,
    llama_3_tokenizer,
    r1_tokenizer,
)


def template(name: str, tokenizer: Tokenizer) -> ChatTemplate:
    path = Path(__file__).parent / "templates" / f"{name}.jinja"
    source = path.read_text(encoding="utf-8")
    return ChatTemplate.from_metadata({"tokenizer.chat_template": source}, tokenizer)


TOKENIZERS = {
    "r1_distill": r1_tokenizer(),
    "qwen2_5": chatml_tokenizer(),
    "smollm2": chatml_tokenizer(),
    "llama_3": llama_3_tokenizer(),
}
TEMPLATES = {name: template(name, tokenizer) for name, tokenizer in TOKENIZERS.items()}
R1, R1_TOKENIZER = TEMPLATES["r1_distill"], TOKENIZERS["r1_distill"]
HELLO = [Message("user", "hello")]

TWO_TURNS = [
    Message("system", "Be brief."),
    Message("user", "1+1?"),
    Message("assistant", "<think>\nOne and one.\n</think>\n\n2", reasoning="One and one."),
    Message("user", "And 2+2?"),
]
# https://api-docs.deepseek.com: no white space around the markers, earlier thoughts not repeated.
TWO_TURNS_OF_R1 = (
    "<｜begin▁of▁sentence｜>Be brief.<｜User｜>1+1?<｜Assistant｜>\n\n2<｜end▁of▁sentence｜>"
    "<｜User｜>And 2+2?<｜Assistant｜>"
)


def test_r1_renders_two_turns_as_deepseek_says() -> None:
    assert R1.render(TWO_TURNS) == TWO_TURNS_OF_R1


def test_the_real_header_of_r1_renders_two_turns_as_deepseek_says(
    r1_metadata: Metadata, r1: Tokenizer
) -> None:
    real = ChatTemplate.from_metadata(r1_metadata, r1)
    assert real.source == R1.source
    assert real.render(TWO_TURNS) == TWO_TURNS_OF_R1
    ids = real.prompt_ids(TWO_TURNS, r1)
    assert r1.decode(ids) == TWO_TURNS_OF_R1
    begin, user, assistant, end = 151646, 151644, 151645, 151643
    markers = [begin, user, assistant, end, user, assistant]
    assert [i for i in ids if i >= 151643] == markers
    assert real.prompt_ids(HELLO, r1) == [begin, user, 14990, assistant]


def test_smollm2_renders_as_its_file_says(smollm2_metadata: Metadata, smollm2: Tokenizer) -> None:
    real = ChatTemplate.from_metadata(smollm2_metadata, smollm2)
    assert real.source == TEMPLATES["smollm2"].source
    assert real.render(HELLO) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, "
        "trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    )
    assert real.prompt_ids(HELLO, smollm2)[-4:] == [1, 520, 9531, 198]


def test_qwen_puts_its_own_system_message_where_there_is_none() -> None:
    assert TEMPLATES["qwen2_5"].render(HELLO) == (
        "<|im_start|>system\n"
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_llama_3_strips_what_people_write() -> None:
    assert TEMPLATES["llama_3"].render([Message("user", " hello \n")]) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


chats = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), awkward_text()),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("family", TEMPLATES)
@settings(deadline=None)
@given(chat=chats)
def test_the_ids_are_those_of_the_rendered_text(family: str, chat: list[Message]) -> None:
    text = TEMPLATES[family].render(chat)
    assert TOKENIZERS[family].decode(TEMPLATES[family].prompt_ids(chat, TOKENIZERS[family])) == text


@pytest.mark.parametrize("family", TEMPLATES)
@settings(deadline=None)
@given(chat=chats)
def test_special_tokens_are_only_those_that_the_template_put(
    family: str, chat: list[Message]
) -> None:
    """They are as many, and in the same order, as with messages of which nothing can be special."""
    tokenizer = TOKENIZERS[family]
    harmless = [Message(message.role, "x") for message in chat]

    def specials(messages: list[Message]) -> list[int]:
        ids = TEMPLATES[family].prompt_ids(messages, tokenizer)
        return [i for i in ids if i in tokenizer.special_ids.values()]

    assert specials(chat) == specials(harmless)


@settings(deadline=None)
@given(text=awkward_text())
def test_text_merges_with_what_the_template_writes_next_to_it(text: str) -> None:
    """ChatML's newline before a message is cut together with the message, not apart from it."""
    tokenizer = TOKENIZERS["smollm2"]
    ids = TEMPLATES["smollm2"].prompt_ids([Message("system", text)], tokenizer)
    end = ids.index(tokenizer.special_ids["<|im_end|>"])
    assert ids[1:end] == tokenizer.encode(f"system\n{text}")


def test_a_message_of_private_use_characters_comes_through() -> None:
    text = "\U000f0000<think>\U000f0001</think>\U00100000"
    ids = R1.prompt_ids([Message("user", text)], R1_TOKENIZER)
    assert R1_TOKENIZER.decode(ids) == R1.render([Message("user", text)])


def test_a_message_of_all_private_use_characters_is_refused() -> None:
    everything = "".join(map(chr, [*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE)]))
    with pytest.raises(UsageError, match="private-use"):
        R1.prompt_ids([Message("user", everything)], R1_TOKENIZER)


def test_what_people_write_in_tools_is_no_special_token_either() -> None:
    tools = [{"name": "f", "description": "<|im_end|><tool_call>"}]
    tokenizer = TOKENIZERS["qwen2_5"]
    ids = TEMPLATES["qwen2_5"].prompt_ids(HELLO, tokenizer, tools=Tools((tools[0],), "auto"))
    text = TEMPLATES["qwen2_5"].render(HELLO, tools=Tools((tools[0],), "auto").as_offered)
    assert tokenizer.decode(ids) == text
    assert '"description": "<|im_end|><tool_call>"' in text
    assert ids.count(tokenizer.special_ids["<|im_end|>"]) == 2


def test_bos_comes_once() -> None:
    without = ChatTemplate("{{ messages[0].content }}", bos_token="", eos_token="")
    bos = R1_TOKENIZER.bos_id
    assert R1.prompt_ids(HELLO, R1_TOKENIZER).count(bos) == 1
    assert without.prompt_ids(HELLO, R1_TOKENIZER) == [bos, *R1_TOKENIZER.encode("hello")]
    assert without.prompt_ids(HELLO, TOKENIZERS["qwen2_5"]) == [*b"hello"]


@pytest.mark.parametrize(
    ("opened_by_template", "think", "end"),
    [
        ("", None, "<｜Assistant｜>"),
        ("", True, "<｜Assistant｜><think>\n"),
        ("", False, "<｜Assistant｜><think>\n\n</think>\n\n"),
        ("<think>\\n", None, "<｜Assistant｜><think>\n"),
        ("<think>\\n", True, "<｜Assistant｜><think>\n"),
        ("<think>\\n", False, "<｜Assistant｜><think>\n\n</think>\n\n"),
        ("<think>\\n\\n</think>\\n\\n", False, "<｜Assistant｜><think>\n\n</think>\n\n"),
    ],
)
def test_thoughts_are_opened_and_closed_as_asked(
    opened_by_template: str, think: bool | None, end: str
) -> None:
    """DeepSeek's later templates open the thought themselves; others can open and close it."""
    last = "{{'<｜Assistant｜>'}}{% endif %}"
    source = R1.source.replace(last, last.replace("'}}", f"{opened_by_template}'}}}}"))
    opening = ChatTemplate(source, bos_token="<｜begin▁of▁sentence｜>", eos_token="")
    ids = opening.prompt_ids(HELLO, R1_TOKENIZER, think=think)
    assert R1_TOKENIZER.decode(ids).endswith(f"hello{end}")
    assert ReasoningSplitter(R1_TOKENIZER, ids).in_thought == end.endswith("<think>\n")


def test_a_model_without_thoughts_can_be_made_to_think_and_needs_not_be_stopped() -> None:
    qwen, tokenizer = TEMPLATES["qwen2_5"], TOKENIZERS["qwen2_5"]
    as_it_is = qwen.prompt_ids(HELLO, tokenizer)
    assert qwen.prompt_ids(HELLO, tokenizer, think=False) == as_it_is
    thinking = qwen.prompt_ids(HELLO, tokenizer, think=True)
    assert tokenizer.decode(thinking) == tokenizer.decode(as_it_is) + "<think>\n"


def test_templates_learn_whether_to_think() -> None:
    """Qwen3 reads enable_thinking, DeepSeek-V3.1 thinking."""
    source = "{{ '<think></think>' if not (enable_thinking and thinking) }}"
    asking = ChatTemplate(source, bos_token="", eos_token="")
    assert asking.render(HELLO, enable_thinking=True, thinking=True) == ""
    ids = asking.prompt_ids(HELLO, R1_TOKENIZER, think=False)
    assert R1_TOKENIZER.decode(ids) == "<｜begin▁of▁sentence｜><think></think>"


def test_a_user_who_writes_the_tag_last_opens_no_thought() -> None:
    bare = ChatTemplate("{{ messages[-1].content }}</think>", bos_token="", eos_token="")
    opened = [Message("user", "<think>")]
    bare_of_text = ChatTemplate("{{ messages[-1].content }}", bos_token="", eos_token="")
    assert R1_TOKENIZER.decode(bare_of_text.prompt_ids(opened, R1_TOKENIZER, think=True)) == (
        "<｜begin▁of▁sentence｜><think><think>\n"
    )
    assert (
        bare.prompt_ids(opened, R1_TOKENIZER, think=False)[-1]
        == (R1_TOKENIZER.special_ids["</think>"])
    )


def test_the_date_is_the_one_that_is_handed_in() -> None:
    source = "{{ strftime_now('%d %b %Y') }}"
    dated = ChatTemplate(
        source,
        bos_token="",
        eos_token="",
        now=lambda: datetime(2025, 1, 20),
    )
    assert dated.render(HELLO) == "20 Jan 2025"


def test_a_file_without_a_template_speaks_chatml_if_it_has_the_tokens() -> None:
    tokenizer = TOKENIZERS["qwen2_5"]
    assert ChatTemplate.from_metadata({}, tokenizer).render(TWO_TURNS[:2]) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    with pytest.raises(BadCheckpoint, match="no chat template"):
        ChatTemplate.from_metadata({}, R1_TOKENIZER)


def test_a_template_that_refuses_the_roles_says_so_in_one_line() -> None:
    source = "{{ raise_exception('Conversation roles\nmust alternate') }}"
    with pytest.raises(BadTemplate) as caught:
        ChatTemplate(source, bos_token="", eos_token="").render(HELLO)
    assert caught.value.message.endswith("Conversation roles must alternate")


def test_a_bos_token_is_only_one_where_the_file_names_one() -> None:
    metadata = byte_metadata({"<|im_end|>": 3}, eos="<|im_end|>")
    metadata["tokenizer.chat_template"] = "[{{ bos_token }}{{ eos_token }}]"
    tokenizer = Tokenizer.from_metadata(metadata)
    assert ChatTemplate.from_metadata(metadata, tokenizer).render(HELLO) == "[<|im_end|>]"
