"""What people do on the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.server.conftest import Served
from tests.server.page.conftest import OpenPage

Picture = Callable[[Page, str], None]

QUESTION = "How many legs have three spiders and two ants together?"
STORY = "Tell me a long story about a spider who learns to count."
WORKED = (
    "How many legs have three spiders and two ants together? Give the sum as a LaTeX formula, a"
    " Markdown table of both animals, and a Python function that computes it."
)
RICH = r"""Each spider has $8$ legs and each ant has $6$, so

$$3 \cdot 8 + 2 \cdot 6 = 24 + 12 = 36.$$

As a function:

```python
def legs(spiders: int, ants: int) -> int:
    return 8 * spiders + 6 * ants
```

| animal | legs |
|---|---|
| spider | 8 |
| ant | 6 |

It costs $5 and $6, and \(x^2\) is *inline*."""
THOUGHT = "A spider has 8 legs, an ant has 6.\n\nThree spiders: $3 \\cdot 8 = 24$. Two ants: 12."


def chat_with(answer: str, thought: str = "", **more: Any) -> list[dict[str, Any]]:
    """One chat, as a browser keeps it."""
    reply = {"role": "assistant", "content": answer, "reasoning": thought, **more}
    messages = [{"role": "user", "content": QUESTION}, reply]
    return [{"id": "1", "title": QUESTION, "messages": messages}]


def ask(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")


def think(page: Page, how: str, budget: int = 10) -> None:
    page.locator("#think").select_option(how)
    page.locator("#budget").fill(str(budget))


def let_no_reply_end_by_itself(page: Page) -> None:
    """So that a test that must come upon a thought while it lasts cannot come too late."""

    def change(route: Route, request: Request) -> None:
        endless = {"ignore_eos": True, "stop_loops": False, "max_tokens": 600, "seed": 1}
        route.continue_(post_data=request.post_data_json | endless)

    page.route("**/chat/completions", change)


def test_a_thought_is_shown_live_and_folds_when_the_answer_comes(
    open_page: OpenPage, picture: Picture
) -> None:
    page = open_page()
    let_no_reply_end_by_itself(page)
    think(page, "on", 4)
    ask(page, STORY)
    expect(page.locator(".thought.live[open]")).to_be_visible()
    expect(page.locator(".thought .quiet")).to_contain_text("of 256 tokens")
    expect(page.get_by_role("button", name="Answer now")).to_be_visible()
    expect(page.locator(".thought .text")).to_contain_text(re.compile(r"[\s\S]{60}"))
    picture(page, "page-thinking")
    expect(page.locator(".thought:not([open])")).to_be_visible(timeout=60_000)
    expect(page.locator(".answer")).not_to_be_empty()
    expect(page.locator(".figures")).to_contain_text("tok/s")
    kept = page.evaluate("JSON.parse(localStorage['stillhouse.chats'])[0].messages")
    assert len(kept) == 2
    counted = kept[1]["usage"]["completion_tokens_details"]["reasoning_tokens"]
    expect(page.locator(".thought .quiet")).to_contain_text(f"{counted} tokens")


def test_answer_now_ends_the_thought(open_page: OpenPage) -> None:
    page = open_page()
    let_no_reply_end_by_itself(page)
    think(page, "on")
    ask(page, STORY)
    page.get_by_role("button", name="Answer now").click()
    expect(page.locator(".thought .quiet")).to_contain_text("on your word")
    expect(page.locator(".answer")).not_to_be_empty()
    page.keyboard.press("Escape")


def test_escape_stops_a_reply(open_page: OpenPage) -> None:
    page = open_page()
    let_no_reply_end_by_itself(page)
    ask(page, STORY)
    expect(page.locator(".answer")).not_to_be_empty()
    page.keyboard.press("Escape")
    expect(page.locator(".figures")).to_have_text("stopped")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_the_budget_reaches_the_server(open_page: OpenPage) -> None:
    page = open_page()
    think(page, "on", 2)
    with page.expect_request("**/chat/completions") as sent:
        ask(page, QUESTION)
    assert sent.value.post_data_json["thinking_token_budget"] == 64
    expect(page.locator(".figures")).to_contain_text("tok/s")
    page.locator("#think").select_option("off")
    with page.expect_request("**/chat/completions") as sent:
        ask(page, "And four ants?")
    assert "thinking_token_budget" not in sent.value.post_data_json
    assert sent.value.post_data_json["chat_template_kwargs"] == {"enable_thinking": False}
    assert len(sent.value.post_data_json["messages"]) == 3
    expect(page.locator(".figures").last).to_contain_text("tok/s")


def test_chats_are_kept_renamed_and_deleted(open_page: OpenPage) -> None:
    page = open_page()
    ask(page, "Hello there")
    expect(page.locator(".figures")).to_contain_text("tok/s")
    page.reload()
    expect(page.locator(".user")).to_contain_text("Hello there")
    page.get_by_label("Rename Hello there").click(force=True)
    page.get_by_label("Title").fill("Greetings")
    page.keyboard.press("Enter")
    expect(page.locator("#chats .title")).to_have_text("Greetings")
    page.keyboard.press("Control+k")
    expect(page.locator(".empty")).to_be_visible()
    page.get_by_label("Delete Greetings").click(force=True)
    page.reload()
    expect(page.get_by_text("Greetings")).to_have_count(0)


def test_a_question_can_be_edited_and_asked_again(open_page: OpenPage) -> None:
    page = open_page(chat_with("36"))
    page.get_by_role("button", name="Edit").click(force=True)
    expect(page.get_by_label("Message")).to_have_value(QUESTION)
    ask(page, "How many legs has one spider?")
    expect(page.locator(".user")).to_have_count(1)
    expect(page.locator(".figures")).to_contain_text("tok/s")


def test_markdown_code_and_formulas_are_rendered(open_page: OpenPage) -> None:
    page = open_page(chat_with(RICH, THOUGHT), color_scheme="light")
    answer = page.locator(".answer")
    expect(answer.locator(".katex-display")).to_have_count(1)
    expect(answer.locator(".katex")).to_have_count(4)
    expect(answer.locator("table td")).to_have_count(4)
    expect(answer.locator("code .hljs-keyword").first).to_have_text("def")
    expect(answer).to_contain_text("It costs $5 and $6")
    page.locator(".thought summary").click()
    expect(page.locator(".thought .katex")).to_have_count(1)


@pytest.fixture(scope="module")
def real_chats() -> list[dict[str, Any]]:
    """What a browser keeps of a real conversation, once somebody has had one."""
    return []


def have_chat(open_page: OpenPage, real_chats: list[dict[str, Any]]) -> None:
    if real_chats:
        return
    page = open_page()
    think(page, "on", 3)
    ask(page, WORKED)
    expect(page.locator(".figures")).to_contain_text("tok/s")
    real_chats += page.evaluate("JSON.parse(localStorage['stillhouse.chats'])")


def test_light_is_the_default(
    open_page: OpenPage, picture: Picture, real_chats: list[dict[str, Any]]
) -> None:
    have_chat(open_page, real_chats)
    page = open_page(real_chats, color_scheme="light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(page.locator(".answer")).not_to_be_empty()
    page.locator(".user").scroll_into_view_if_needed()
    picture(page, "page-light")


def test_dark_is_what_the_system_says_or_the_button(
    open_page: OpenPage, picture: Picture, real_chats: list[dict[str, Any]]
) -> None:
    have_chat(open_page, real_chats)
    page = open_page(real_chats, color_scheme="dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator(".user").scroll_into_view_if_needed()
    picture(page, "page-dark")
    page.get_by_label("Dark or light").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_a_phone_has_all_of_it_without_scrolling_sideways(
    open_page: OpenPage, picture: Picture, real_chats: list[dict[str, Any]]
) -> None:
    have_chat(open_page, real_chats)
    for kept in (real_chats, chat_with(RICH, THOUGHT)):
        page = open_page(kept, viewport={"width": 360, "height": 740}, is_mobile=True)
        scrolled, width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert scrolled <= width == 360
        if kept is real_chats:
            picture(page, "page-phone")
    page.get_by_role("button", name="Chats").click()
    expect(page.locator("#sidebar")).to_be_in_viewport()
    page.locator("#veil").click(position={"x": 330, "y": 300})
    expect(page.locator("#sidebar")).not_to_be_in_viewport()


def test_what_a_model_writes_can_do_no_harm(open_page: OpenPage) -> None:
    hostile = (
        "<script>window.harm = 1</script><img src=x onerror='window.harm = 2'>\n\n"
        "![x](https://example.com/x.png) [a](javascript:window.harm=3)\n\n"
        "$\\href{javascript:window.harm=4}{x}$ "
        "<a href='javascript:window.harm=5'>b</a>\n\n```html\n<script>window.harm = 6</script>\n```"
    )
    page = open_page(chat_with(hostile, hostile))
    expect(page.locator(".answer")).to_contain_text("window.harm")
    assert page.locator(".answer img, .answer script, .thought script").count() == 0
    hrefs = page.eval_on_selector_all("#messages a", "links => links.map(a => a.protocol)")
    assert all(protocol in ("http:", "https:") for protocol in hrefs)
    assert page.evaluate("window.harm") is None


def test_a_whole_chat_by_keyboard(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.get_by_label("Message")).to_be_focused()
    page.keyboard.type("Hello")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("there")
    page.keyboard.press("Enter")
    expect(page.locator(".user")).to_have_text("Hello\nthereEdit")
    expect(page.locator(".figures")).to_contain_text("tok/s")
    page.keyboard.press("Tab")
    expect(page.locator("#think")).to_be_focused()


def test_a_server_that_is_full_is_asked_again(open_page: OpenPage) -> None:
    page = open_page(may_complain=True)
    body = '{"error": {"message": "64 requests wait", "type": "rate_limit_error"}}'
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(status=429, headers={"Retry-After": "7"}, body=body),
    )
    ask(page, QUESTION)
    expect(page.get_by_role("alert")).to_contain_text("Room again in about 7 s")
    page.unroute("**/v1/chat/completions")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".figures")).to_contain_text("tok/s")
    expect(page.locator(".user")).to_have_count(1)


def test_the_routes_are_documented_without_another_host(
    browser: Browser, page_server: Served
) -> None:
    page = browser.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.goto(f"{page_server.url}/docs")
    expect(page.get_by_text("/v1/chat/completions", exact=True)).to_be_visible()
    expect(page.get_by_text("/api/generate", exact=True)).to_be_visible()
    assert all(url.startswith((page_server.url, "data:")) for url in elsewhere)
    page.close()
