"""The atlas in a real browser: clicked through, with the keyboard, on a phone, in both themes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import HOSTILE, Open

VIEWS = (
    "",
    "#kind/conversation",
    "#pattern/messages.latest_with_conversation",
    "#costs",
    "#items",
)
LOOK_AT_ALL = """views => views.filter(view => {
    history.replaceState(null, "", `#${view}`);
    dispatchEvent(new Event("hashchange"));
    const root = document.documentElement;
    const shown = document.querySelector("main");
    const isNamed = shown.querySelector("h1").textContent.includes(view.split("/")[1] ?? "");
    const isWhole = !/undefined|NaN|\\[object/.test(shown.textContent);
    return !isNamed || !isWhole || root.scrollWidth > root.clientWidth;
})"""
"""Goes to each view. Returns those that show something else, or are wider than the screen."""


def data(path: Path) -> Any:
    found = re.search(r'id="atlas">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


def too_wide(page: Page) -> int:
    width: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return width


# -- looking ------------------------------------------------------------------------------------


def test_a_click_on_a_method_shows_what_it_touches_in_order_and_what_it_costs(
    small: Path, open_page: Open
) -> None:
    page = open_page(small)
    page.get_by_role("searchbox", name="Search").fill("rename")
    page.get_by_role("link", name="conversations.rename").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("conversations.rename")
    atlas = data(small)
    shown = next(each for each in atlas["patterns"] if each["method"] == "conversations.rename")
    case = shown["cases"][0]
    numbers = page.locator(".numbers b").all_inner_texts()
    assert [float(number) for number in numbers] == [case["requests"], case["wcu"], case["rcu"]]
    touched = [
        (how if how != "missing" else "not there", atlas["items"][number]["kind"])
        for step in case["steps"]
        for how, number in step["touched"]
    ]
    listed = page.locator("ol.items > li")
    assert [
        (row.locator(".how").inner_text(), row.locator("a").inner_text()) for row in listed.all()
    ] == touched
    assert page.locator(".turn").all_inner_texts() == [str(n + 1) for n in range(len(touched))]
    assert page.locator(".square").count() == len(touched)
    expect(page.locator("figcaption")).to_contain_text("2 items in 1 partition of the table")


def test_another_way_of_calling_is_one_button_away(small: Path, open_page: Open) -> None:
    """It is an address of its own, to which the browser's back button returns."""
    page = open_page(small, "#pattern/conversations.rename")
    buttons = page.get_by_role("group", name="Ways of calling it").get_by_role("button")
    expect(buttons.nth(0)).to_have_attribute("aria-pressed", "true")
    buttons.nth(1).focus()
    page.keyboard.press("Enter")
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(buttons.nth(1)).to_be_focused()
    assert page.url.endswith("#pattern/conversations.rename/1")
    page.go_back()
    expect(buttons.nth(0)).to_have_attribute("aria-pressed", "true")


def test_a_kind_leads_to_its_methods_and_back(small: Path, open_page: Open) -> None:
    page = open_page(small)
    page.get_by_role("main").get_by_role("link", name="conversation", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("conversation")
    page.get_by_role("main").get_by_role("link", name="conversations.get").click()
    expect(page).to_have_title("conversations.get C2 · Atlas of the table")
    page.locator("ol.items a", has_text="conversation").first.click()
    assert page.url.endswith("#kind/conversation")


@pytest.mark.parametrize("view", ["#kind/nothing", "#pattern/%E0%A4%A", "#what"])
def test_an_address_of_nothing_shows_all_kinds(small: Path, open_page: Open, view: str) -> None:
    page = open_page(small, view)
    expect(page.get_by_role("heading", level=1)).to_have_text("Every kind of item in the table")


def test_search_finds_methods_kinds_and_ids(small: Path, open_page: Open) -> None:
    page = open_page(small)
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Search")
    expect(search).to_be_focused()
    search.press_sequentially("c2")
    expect(page.get_by_role("status")).to_have_text("1 method, 0 kinds")
    page.keyboard.press("Enter")
    assert page.url.endswith("#pattern/conversations.get")
    search.fill("no such thing")
    expect(page.get_by_role("status")).to_have_text("0 methods, 0 kinds")
    search.press("Escape")
    expect(search).to_have_value("")
    expect(page.get_by_role("status")).to_contain_text("3 methods")


def test_costs_are_sorted_by_the_column_that_is_chosen(small: Path, open_page: Open) -> None:
    page = open_page(small, "#costs")
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("button", name="read units").click()
    column = page.locator("tbody td:nth-child(4)").all_inner_texts()
    assert column == sorted(column, key=float, reverse=True)
    expect(page.get_by_role("button", name="read units")).to_be_focused()
    page.get_by_role("button", name="read units").click()
    assert page.locator("tbody td:nth-child(4)").all_inner_texts() == column[::-1]
    (bill,) = data(small)["bills"]
    expect(page.get_by_text(bill["design"])).to_be_visible()


# -- every reader -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "dark"), (768, "light"), (1280, "light"), (1280, "dark")]
)
def test_axe_finds_nothing(small: Path, open_page: Open, width: int, scheme: str) -> None:
    """Contrast, names, roles and order, of every kind of page; and nothing is cut off."""
    axe = Axe()
    for view in VIEWS:
        page = open_page(small, view, width=width, color_scheme=scheme)
        found = axe.run(page).response
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        assert "color-contrast" in {each["id"] for each in found["passes"]}
        assert too_wide(page) == 0, view


def test_everything_is_reached_by_keyboard(small: Path, open_page: Open) -> None:
    page = open_page(small)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#kind/conversation"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("conversation")
    expect(page.get_by_role("main")).to_be_focused()


def test_the_theme_follows_the_system_until_one_is_chosen(small: Path, open_page: Open) -> None:
    page = open_page(small, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Theme: automatic").click()
    light = page.evaluate(ground)
    assert (dark, light) == ("rgb(20, 23, 28)", "rgb(255, 255, 255)")
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Theme: dark").click()
    expect(page.get_by_role("button", name="Theme: automatic")).to_be_visible()


def test_on_a_phone_the_index_is_behind_a_button(small: Path, open_page: Open) -> None:
    page = open_page(small, width=360, has_touch=True, is_mobile=True)
    index = page.get_by_role("navigation", name="Kinds and patterns")
    browse = page.get_by_role("button", name="Browse")
    expect(index).to_be_hidden()
    browse.tap()
    expect(index).to_be_visible()
    expect(browse).to_have_attribute("aria-expanded", "true")
    page.get_by_role("searchbox", name="Search").fill("rename")
    index.get_by_role("link", name="conversations.rename").tap()
    expect(index).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_contain_text("conversations.rename")


def test_nothing_moves_for_those_who_asked_for_that(small: Path, open_page: Open) -> None:
    moving = "getComputedStyle(document.querySelector('.fill')).transitionDuration"
    still = open_page(small, "#costs", reduced_motion="reduce")
    assert still.evaluate(moving) == "0s"
    assert open_page(small, "#costs").evaluate(moving) != "0s"


# -- texts of others ----------------------------------------------------------------------------


def test_a_hostile_title_is_shown_and_does_nothing(small: Path, open_page: Open) -> None:
    page = open_page(small, "#items")
    shown = HOSTILE.replace("\u202e", "\\u{202e}")
    expect(page.get_by_text(f"user: {shown} said")).to_have_count(1)
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.locator("img").count() == 0
    page.get_by_role("button", name="GSI1").click()
    expect(page.get_by_role("button", name="GSI1")).to_be_focused()
    expect(page.locator("main summary", has_text="USER#u-1#")).to_have_count(1)


def test_a_script_that_got_in_would_not_run(small: Path, tmp_path: Path, browser: Browser) -> None:
    """As if something on the page had been markup after all: the page's policy stops it."""
    text = small.read_text("utf-8").replace("</body>", "<script>pwned = 1</script></body>")
    damaged = tmp_path / "damaged.html"
    damaged.write_text(text, encoding="utf-8")
    with browser.new_context() as window:
        page = window.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        page.goto(damaged.as_uri())
        assert page.evaluate("typeof pwned") == "undefined"
        assert page.get_by_role("heading", level=1).count() == 1
    assert len(told) == 1
    assert "Content Security Policy" in told[0]


# -- all of it ----------------------------------------------------------------------------------


def test_every_kind_and_every_method_has_a_page_that_fits_a_phone(
    whole: Path, open_page: Open
) -> None:
    """And so has every way of calling it."""
    page = open_page(whole, width=360)
    atlas = data(whole)
    views = [f"kind/{kind['kind']}" for kind in atlas["kinds"]]
    for pattern in atlas["patterns"]:
        ways = range(len(pattern["cases"]))
        views += [f"pattern/{pattern['method']}/{number}" for number in ways]
    assert page.evaluate(LOOK_AT_ALL, [*views, "costs", ""]) == []


def test_every_method_of_the_whole_atlas_is_played_and_every_kind_is_met(whole: Path) -> None:
    """And each call costs what its requests cost."""
    atlas = data(whole)
    assert [each["method"] for each in atlas["patterns"] if not each["cases"]] == []
    assert [kind["kind"] for kind in atlas["kinds"] if not kind["patterns"]] == []
    for case in (case for each in atlas["patterns"] for case in each["cases"]):
        assert len(case["steps"]) == case["requests"]
        for units in ("wcu", "rcu"):
            spent = sum(sum(step[units].values()) for step in case["steps"])
            assert spent == pytest.approx(case[units])
    touched = {
        number
        for each in atlas["patterns"]
        for case in each["cases"]
        for step in case["steps"]
        for _, number in step["touched"]
    }
    kinds = {kind["kind"] for kind in atlas["kinds"]}
    assert {atlas["items"][number]["kind"] for number in touched} <= kinds
    assert [bill["of"] for bill in atlas["bills"]].count("own") == 2
    assert whole.stat().st_size < 1_000_000
