"""The reader of single samples in an evaluation's page, in Chromium."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.evals.conftest import OpenEval
from tests.evals.documents import document, pictured

Picture = Callable[[Page, str], None]


@pytest.fixture
def two() -> dict[str, Any]:
    """Two results on few questions."""
    return document(labels=("BF16", "Q2_K"), questions=12)


def counted(page: Page) -> int:
    return int(page.locator("#reader output").inner_text().split()[0].replace(",", ""))


def verdicts(shown: dict[str, Any], label: str) -> dict[tuple[str, int], str]:
    return {
        (one["problem"], one["number"]): one["verdict"]
        for one in shown["samples"]
        if one["label"] == label
    }


def test_a_sample_is_shown_with_its_grade_texts_and_tokens(
    open_eval: OpenEval, two: dict[str, Any]
) -> None:
    first = two["samples"][0]
    first |= {"verdict": "wrong", "extracted": "17", "note": "two answers: the last counts"}
    shown = open_eval(two).locator(".shown")
    expect(shown.locator(".tag")).to_have_text("✕ wrong")
    assert shown.locator(".grade dd").all_inner_texts() == ["17", first["gold"]]
    for text in (
        first["note"],
        f"{first['prompt_tokens']} prompt, {first['reasoning_tokens']} thought",
        f"seed {first['seed']}",
        "finish: stop",
    ):
        expect(shown).to_contain_text(text)
    for name, text in (("prompt", first["prompt"]), ("thought", first["reasoning"].strip())):
        expect(shown.locator(f".text.{name}")).to_have_text(text)


def test_other_questions_under_the_same_name_are_no_pair(
    open_eval: OpenEval, two: dict[str, Any]
) -> None:
    """As rows without a name of two files, or made problems of two seeds."""
    for one in two["samples"]:
        if one["label"] == "Q2_K" and one["problem"] != "test/3":
            one["prompt"] += " And in a year?"
    page = open_eval(two)
    page.get_by_label("side by side").check()
    expect(page.locator("#reader output")).to_have_text(re.compile("^4 pairs"))


def test_filters_leave_what_they_name(open_eval: OpenEval, two: dict[str, Any]) -> None:
    two["samples"][5]["reasoning"] += " a Needle (in hay)."
    page = open_eval(two)
    samples = two["samples"]
    assert counted(page) == len(samples)
    page.locator("select[name=label]").select_option("Q2_K")
    assert counted(page) == sum(one["label"] == "Q2_K" for one in samples)
    page.locator("select[name=verdict]").select_option("truncated")
    wanted = [one for one in samples if (one["label"], one["verdict"]) == ("Q2_K", "truncated")]
    assert counted(page) == len(wanted)
    expect(page.locator(".shown .tag")).to_have_text("✂ truncated")
    for name in ("label", "verdict"):
        page.locator(f"select[name={name}]").select_option("")
    page.keyboard.press("Escape")
    page.locator("#reader h2").first.click()
    page.keyboard.press("/")
    page.keyboard.type("needle (IN")
    expect(page.locator("#reader output")).to_have_text(f"1 of {len(samples)} samples")
    expect(page.locator(".shown mark")).to_have_text("Needle (in")
    page.locator("[name=text]").fill("nowhere")
    expect(page.locator(".shown")).to_contain_text("No sample is like that.")


def test_what_is_found_is_marked_wherever_it_was_found_last(
    open_eval: OpenEval, two: dict[str, Any]
) -> None:
    two["samples"][0]["answer"] = "A needle, and here another needle."
    two["samples"][-1]["answer"] = "Much hay first, and at the very end a needle"
    page = open_eval(two)
    page.locator("[name=text]").fill("needle")
    expect(page.locator("#reader output")).to_have_text(f"2 of {len(two['samples'])} samples")
    assert page.locator(".shown mark").all_inner_texts() == ["needle", "needle"]
    page.locator(".row").nth(1).click()
    assert page.locator(".shown mark").all_inner_texts() == ["needle"]


def test_a_part_of_a_bar_leads_to_its_samples(open_eval: OpenEval, two: dict[str, Any]) -> None:
    page = open_eval(two)
    page.locator('#outcomes [data-n="1"][data-verdict="wrong"]').click()
    assert counted(page) == two["results"][1]["tasks"]["gsm8k"]["wrong"]
    expect(page.locator("select[name=label]")).to_have_value("Q2_K")
    expect(page.locator(".shown .tag")).to_have_text("✕ wrong")


def test_side_by_side_what_was_lost_comes_first(open_eval: OpenEval, two: dict[str, Any]) -> None:
    page = open_eval(two)
    page.get_by_role("button", name="What changed").click()
    a, b = verdicts(two, "BF16"), verdicts(two, "Q2_K")
    lost = [key for key in a if a[key] == "right" != b[key]]
    gained = [key for key in a if b[key] == "right" != a[key]]
    expect(page.locator("#reader output")).to_have_text(
        f"{len(a)} pairs: {len(lost)} lost, {len(gained)} gained"
    )
    came = page.locator(".shown .came")
    assert came.locator("h2").all_inner_texts() == ["BF16", "Q2_K"]
    expect(page.locator(".shown h3").first).to_contain_text(f"{lost[0][0]}, sample {lost[0][1]}")
    expect(came.first.locator(".tag")).to_have_text("✓ right")
    expect(came.last.locator(".tag")).not_to_have_text("✓ right")
    page.locator("select[name=change]").select_option("gained")
    assert counted(page) == len(gained)
    page.locator("select[name=change]").select_option("same")
    assert counted(page) == sum(a[key] == b[key] for key in a)


def test_keys_go_from_one_sample_to_the_next(open_eval: OpenEval, two: dict[str, Any]) -> None:
    page = open_eval(two)
    heading = page.locator(".shown h3").first
    for key, number in (("j", 1), ("j", 2), ("k", 1), ("k", 0), ("k", 0)):
        page.keyboard.press(key)
        expect(heading).to_contain_text(f"test/0, sample {number}")
    expect(page.locator('.row[aria-selected="true"]')).to_have_count(1)
    page.locator("[name=text]").focus()
    page.keyboard.type("jk")
    expect(page.locator("[name=text]")).to_have_value("jk")


def test_the_same_problem_is_one_press_away(open_eval: OpenEval, two: dict[str, Any]) -> None:
    page = open_eval(two)
    siblings = page.locator(".siblings button")
    expect(siblings).to_have_count(8)
    other = [one for one in two["samples"] if one["problem"] == "test/0"][6]
    siblings.nth(6).click()
    expect(page.locator(".shown .came h2")).to_have_text("Q2_K")
    expect(page.locator(".shown")).to_contain_text(f"seed {other['seed']}")
    expect(siblings.nth(6)).to_have_attribute("aria-pressed", "true")


def test_a_long_thought_is_cut_until_it_is_asked_for(
    open_eval: OpenEval, two: dict[str, Any]
) -> None:
    two["samples"][0]["reasoning"] = thought = "start " + "around and " * 3000 + "the end"
    page = open_eval(two)
    text = page.locator(".text.thought")
    expect(text).to_contain_text("the end")
    assert len(text.inner_text()) < 2000
    text.get_by_role("button").click()
    expect(text).to_have_text(thought)


def test_of_thousands_of_samples_only_those_in_sight_are_in_the_page(open_eval: OpenEval) -> None:
    shown = document(labels=("BF16", "Q2_K"), questions=1500, number=1)
    page = open_eval(shown)
    assert counted(page) == 3000
    assert page.locator(".row").count() < 60
    page.locator(".list").focus()
    page.keyboard.press("End")
    expect(page.locator('.row[aria-selected="true"]')).to_contain_text("test/1499")
    expect(page.locator(".shown h3").first).to_contain_text("test/1499, sample 0")
    assert page.locator(".row").count() < 60
    page.keyboard.press("Home")
    expect(page.locator('.row[aria-selected="true"]')).to_contain_text("test/0")


def test_a_page_says_how_many_samples_it_leaves_out(open_eval: OpenEval, two: Any) -> None:
    page = open_eval(two | {"samples_left_out": 12345})
    expect(page.locator(".left-out")).to_contain_text("12,345 samples not in this page")
    expect(page.locator(".left-out")).to_contain_text("All are in runs/gsm8k.")


def test_choices_show_how_likely_each_was(open_eval: OpenEval, two: Any) -> None:
    two["samples"][0] |= {"loglikelihoods": [-12.5, -3.25, -8.0], "reasoning": "", "answer": "b"}
    weighed = open_eval(two).locator(".weighed li")
    assert weighed.all_inner_texts() == ["-12.500", "-3.250", "-8.000"]
    expect(weighed.nth(1)).to_have_class("strong")


def test_a_choice_that_is_impossible_is_blank(open_eval: OpenEval, two: Any) -> None:
    two["samples"][0]["loglikelihoods"] = (-12.5, -math.inf, -8.0)
    weighed = open_eval(two).locator(".weighed li")
    assert weighed.all_inner_texts() == ["-12.500", "–", "-8.000"]
    expect(weighed.nth(2)).to_have_class("strong")


def test_what_changed_can_be_read(open_eval: OpenEval, picture: Picture) -> None:
    page = open_eval(pictured(), viewport={"width": 1280, "height": 900})
    page.locator("#recovery .small").last.click()
    expect(page.locator(".shown .came")).to_have_count(2)
    picture(page, "eval-reader")
