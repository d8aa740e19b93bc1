"""The built documentation in a real browser: nothing is cut off, and axe finds nothing.

`tox -e docs` builds it. In `scripts/test --all` that is done long before this.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

SITE = Path(os.environ.get("DYNAMO_CHAT_TEST_SITE", "docs/_build/html"))
pytestmark = pytest.mark.skipif(
    not (SITE / "index.html").exists(), reason="needs the built site: tox -e docs"
)
PAGES = (
    "index.html",
    "guide/provisioning.html",
    "reference/access-patterns.html",
    "reference/api/entities-chat.html",
    "reference/api/messages.html",
)
PHONE = {"width": 360, "height": 900}
NOT_OURS = ("definition-list", "empty-table-header")
"""Sphinx writes long signatures as lists without terms, and a head above every table."""
CUT_OFF = """() => [...document.querySelectorAll("article *")].filter(each => {
    const style = getComputedStyle(each);
    return style.overflowX === "hidden" && each.scrollWidth > each.clientWidth + 1;
}).map(each => each.outerHTML.slice(0, 200))"""
"""The elements that hide a part of their text."""


@pytest.fixture(scope="module", params=[(360, "dark"), (768, "light"), (1280, "light")], ids=str)
def screen(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window of this width, in this theme."""
    width, scheme = request.param
    window = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield window.new_page()
    window.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_axe_finds_nothing(screen: Page, name: str) -> None:
    """Contrast, names, roles and order; tables scroll inside of the page."""
    screen.goto((SITE / name).resolve().as_uri())
    root = "document.documentElement"
    assert screen.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
    assert screen.evaluate(CUT_OFF) == []
    if screen.viewport_size != PHONE and name.startswith("reference/"):
        return  # axe takes seconds on these long pages; their theme is that of the others
    rules = {"rules": {rule: {"enabled": False} for rule in NOT_OURS}}
    found = Axe().run(screen, context="article", options=rules).response
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == []
    assert "color-contrast" in {each["id"] for each in found["passes"]}
