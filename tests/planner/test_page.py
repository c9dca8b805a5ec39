"""What a plan's page shows and does, in Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from stillhouse.planner.page import page as page_of
from tests.planner.conftest import OpenPlan, document

Picture = Callable[[Page, str], None]

THREE = ("RTX 4090", "RTX 3060", "2x RTX 3090")
HOSTILE = "</script><img src=x onerror=\"document.title='harm'\">{{script}}"


def column(page: Page, key: str) -> list[str]:
    """Texts of the shown rows under a header, from the top."""
    keys = page.locator("#table thead th").evaluate_all("all => all.map(th => th.dataset.key)")
    cells = page.locator(f"#table tr.option > :nth-child({keys.index(key) + 1})")
    return cells.all_inner_texts()


def numbers(texts: Sequence[str]) -> list[float]:
    return [float(re.sub(r"[^\d.]", "", text)) for text in texts if text != "–"]


def running(shown: dict[str, Any]) -> list[dict[str, Any]]:
    return [option for option in shown["options"] if option["verdict"] != "does_not_fit"]


def test_the_head_names_the_system_the_workload_and_the_recommendation(
    open_plan: OpenPlan, picture: Picture
) -> None:
    shown = document()
    page = open_plan(shown, color_scheme="light")
    head = page.locator("#head")
    for text in ("RTX 4090 24GB", "25.8 GB", "1.01 TB/s, as published", "llama.cpp, vllm"):
        expect(head).to_contain_text(text)
    expect(head).to_contain_text("512 prompt + 2,000 thinking + 512 answer tokens")
    expect(head).to_contain_text(shown["recommendation"]["reason"][1:])
    expect(head).not_to_contain_text("With 8 GB more")
    expect(head.locator("code")).to_have_text(shown["recommendation"]["command"])
    expect(page).to_have_title("Plan: RTX 4090 24GB")
    picture(page, "plan-light")


def test_what_more_memory_would_change_is_said_where_it_would(open_plan: OpenPlan) -> None:
    page = open_plan(document() | {"more_memory": "another model"})
    expect(page.locator("#head")).to_contain_text("With 8 GB more: another model")


def test_the_command_can_be_copied(open_plan: OpenPlan) -> None:
    shown = document()
    page = open_plan(shown)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#head").get_by_role("button", name="Copy").click()
    expect(page.locator("#head").get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == shown["recommendation"]["command"]


def test_every_option_is_a_row_with_its_verdict_in_words(open_plan: OpenPlan) -> None:
    shown = document()
    page = open_plan(shown)
    words = [option["verdict"].replace("_", " ") for option in shown["options"]]
    assert column(page, "verdict") == words
    assert len(set(words)) == 3
    expect(page.locator("#count")).to_have_text(f"{len(words)} options")
    assert "device" not in page.locator("#table th").evaluate_all("a => a.map(t => t.dataset.key)")


@pytest.mark.parametrize(
    ("key", "first"), [("memory", "ascending"), ("decode", "descending"), ("aime", "descending")]
)
def test_a_click_on_a_header_sorts_by_number_and_another_turns_it(
    open_plan: OpenPlan, key: str, first: str
) -> None:
    page = open_plan()
    header = page.locator(f'#table th[data-key="{key}"]')
    expect(header).to_have_attribute("aria-sort", "none")
    for order in (first, "ascending" if first == "descending" else "descending"):
        header.get_by_role("button").click()
        expect(header).to_have_attribute("aria-sort", order)
        expect(header.locator(".arrow")).to_have_text("▲" if order == "ascending" else "▼")
        texts = column(page, key)
        found = numbers(texts)
        assert found == sorted(found, reverse=order == "descending")
        assert texts[len(found) :] == ["–"] * (len(texts) - len(found))  # blanks last, both ways
    if key == "memory":
        assert found[0] > 400 > 20 > found[-1]


def test_filters_narrow_the_rows_and_both_plots(open_plan: OpenPlan) -> None:
    shown = document()
    page = open_plan(shown)
    dots, bars = page.locator("#scatter .dot"), page.locator("#bars .bar")
    expect(dots).to_have_count(len(running(shown)))
    expect(bars).to_have_count(24)

    page.get_by_label("Model").select_option("DeepSeek-R1-Distill-Qwen-32B")
    page.get_by_label("Verdict").select_option("runs")
    wanted = [o for o in running(shown) if o["model"] == "r1-distill-qwen-32b"]
    assert [o["quantization"] for o in wanted] == column(page, "quantization")
    expect(dots).to_have_count(len(wanted))
    expect(bars).to_have_count(len(wanted))
    expect(page.locator("#count")).to_have_text(f"{len(wanted)} of {len(shown['options'])} options")

    page.get_by_label("Min tok/s").fill("45")
    assert all(rate >= 45 for rate in numbers(column(page, "decode")))
    page.get_by_label("Search").fill("vllm")
    expect(page.locator("#scatter")).to_contain_text("Nothing of what is shown runs here")
    expect(bars).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    expect(bars).to_have_count(24)
    page.get_by_label("Quantisation").select_option("W4A16")
    assert set(column(page, "engine")) == {"vllm"}


def test_a_row_opens_to_a_memory_tree_that_adds_up_and_to_its_sources(
    open_plan: OpenPlan, picture: Picture
) -> None:
    shown = document()
    page = open_plan(shown, color_scheme="light")
    option = shown["options"][0]
    page.locator("#table tr.option").first.get_by_role("button").click()
    detail = page.locator(".detail")
    expect(page.locator("#table tr.option").first.get_by_role("button")).to_have_attribute(
        "aria-expanded", "true"
    )
    rows = detail.locator(".tree tr").evaluate_all(
        "all => all.map(tr => [Number(tr.dataset.depth), Number(tr.dataset.bytes)])"
    )
    assert sum(size for depth, size in rows if depth == 1) == rows[0][1]
    assert rows[0] == [0, option["memory"]["bytes"]]
    for part in option["memory"]["parts"]:
        expect(detail.locator(".tree")).to_contain_text(part["how"])
    for text in (
        *option["speed"],
        option["reason"],
        option["weights_source"],
        option["quality"]["source"],
    ):
        expect(detail).to_contain_text(text[1:])
    expect(detail).to_contain_text(option["cost"]["how"])
    expect(detail.locator("code")).to_have_text(option["command"])
    assert detail.locator(".stack span").count() == len(option["memory"]["parts"])
    page.locator("#options").scroll_into_view_if_needed()
    page.locator("#options").evaluate("node => scrollTo(0, node.offsetTop - 90)")
    picture(page, "plan-detail")
    page.locator("#table tr.option td").first.click()
    expect(detail).to_have_count(0)


def test_plots_name_what_is_pointed_at_and_lead_to_its_row(open_plan: OpenPlan) -> None:
    shown = document()
    page = open_plan(shown)
    best = page.locator("#scatter .dot.best")
    expect(best).to_have_count(1)
    expect(page.locator("#scatter .ring")).to_have_count(1)
    best.focus()
    expect(page.locator("#scatter .tip")).to_contain_text(shown["recommendation"]["quantization"])
    page.locator("#bars .bar").nth(3).hover()
    expect(page.locator("#bars .tip")).to_contain_text("KV cache")
    expect(page.locator("#scatter svg")).to_contain_text("time to the answer (log)")
    expect(page.locator("#scatter svg")).to_contain_text("expected AIME 2024, %")
    expect(page.locator("#bars svg")).to_contain_text("memory, GB")
    page.locator("#bars .bar").nth(3).click()
    opened = page.locator('#table tr.option[data-rank="4"]')
    expect(opened).to_be_in_viewport()
    expect(opened).to_have_class(re.compile("open"))


def test_the_enter_key_opens_the_row_of_a_mark(open_plan: OpenPlan) -> None:
    page = open_plan()
    for mark, rank in (("#scatter .dot.best", 1), ("#bars .bar:nth-of-type(2)", 2)):
        page.locator(mark).focus()
        page.keyboard.press("Enter")
        opened = page.locator(f'#table tr.option[data-rank="{rank}"]').get_by_role("button")
        expect(opened).to_be_focused()
        expect(opened).to_have_attribute("aria-expanded", "true")


def test_a_limit_is_drawn_where_the_systems_memory_ends(open_plan: OpenPlan) -> None:
    shown = document()
    del shown["devices"]  # one system may also be named alone
    page = open_plan(shown)
    page.get_by_label("Verdict").select_option("does_not_fit")
    ends = page.locator("#bars .bar").evaluate_all(
        """bars => bars.map(bar => [
            Math.max(...[...bar.querySelectorAll('rect:not(.catch)')].map(
                r => r.x.baseVal.value + r.width.baseVal.value)),
            bar.querySelector('line.limit').x1.baseVal.value])"""
    )
    assert len(ends) == 24
    assert all(end > limit for end, limit in ends)


def test_several_systems_get_a_column_and_a_heat_map(open_plan: OpenPlan) -> None:
    shown = document(*THREE, model="r1-distill-qwen-14b", users=4)
    page = open_plan(shown)
    assert set(column(page, "device")) == {option["device"] for option in shown["options"]}
    assert numbers(column(page, "each"))[0] < numbers(column(page, "decode"))[0]
    heads = page.locator("#heat thead th").all_inner_texts()
    assert heads == ["Quantisation", *(device["name"] for device in shown["devices"])]
    names = page.locator("#heat tbody th").all_inner_texts()
    assert set(names) == {option["quantization"] for option in shown["options"]}
    assert page.locator("#heat .heat").count() == len(shown["options"])
    for verdict in ("fits", "marginal", "does_not_fit"):
        cells = page.locator(f"#heat .heat.{verdict}")
        assert cells.count() == sum(o["verdict"] == verdict for o in shown["options"])
    page.locator("#heat .heat.does_not_fit button").first.click()
    expect(page.locator(".detail")).to_contain_text("no speed is predicted")


@pytest.mark.parametrize("devices", [("RTX 4090",), ("RTX 4090", "RTX 3060")])
def test_on_a_phone_the_table_scrolls_and_the_page_does_not(
    open_plan: OpenPlan, devices: tuple[str, ...]
) -> None:
    model = None if len(devices) == 1 else "r1-distill-qwen-14b"
    page = open_plan(document(*devices, model=model), viewport={"width": 360, "height": 740})
    page.locator("#table tr.option").first.get_by_role("button").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    inner, outer = page.locator("#options .scroll").evaluate("n => [n.scrollWidth, n.clientWidth]")
    assert inner > outer
    box = page.locator(".detail").bounding_box()
    assert box is not None
    assert box["width"] <= 360
    assert page.locator("#plots svg").evaluate_all("all => all.every(s => s.clientWidth <= 360)")


def test_a_hostile_name_is_only_text(open_plan: OpenPlan) -> None:
    shown = document()
    for option in shown["options"]:
        if option["model"] == shown["recommendation"]["model"]:
            option["model"] = option["title"] = HOSTILE
    shown["recommendation"]["model"] = HOSTILE
    shown["devices"][0]["name"] = HOSTILE
    page = open_plan(shown)
    expect(page.locator("#head h2").first).to_contain_text(HOSTILE)
    expect(page).to_have_title(f"Plan: {HOSTILE}")
    assert column(page, "model")[0].startswith(HOSTILE)
    assert page.locator("img").count() == 0


def test_the_page_is_dark_where_the_reader_is_and_can_be_turned(
    open_plan: OpenPlan, picture: Picture
) -> None:
    page = open_plan(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    assert dark == "rgb(25, 24, 22)"
    picture(page, "plan-dark")
    page.get_by_role("button", name="Dark or light").click()
    assert page.evaluate(ground) == "rgb(251, 250, 247)"
    page.reload()
    assert page.evaluate(ground) == "rgb(251, 250, 247)"


def test_where_nothing_fits_the_page_says_so(open_plan: OpenPlan) -> None:
    shown = document("RTX 3060", model="r1-671b")
    assert shown["recommendation"] is None
    page = open_plan(shown)
    expect(page.locator("#head")).to_contain_text("Nothing fits")
    expect(page.locator("#head")).to_contain_text("UD-IQ1_S")


def test_the_page_lets_only_its_own_script_run() -> None:
    text = page_of(document())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r'(?:src|href)="(?!data:)', text)


def test_a_number_that_json_has_no_form_for_is_refused() -> None:
    shown = document()
    shown["options"][0]["ttft_s"] = float("inf")
    with pytest.raises(ValueError, match="not JSON compliant"):
        page_of(shown)
