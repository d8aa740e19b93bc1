"""A real browser, and the pages that it opens: from files, as a reader would."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from dynamo_chat import NewMessage
from dynamo_chat.catalogue import catalogue
from dynamo_chat.operations.atlas.collecting import WORKLOAD, collect
from dynamo_chat.operations.atlas.page import page as written
from dynamo_chat.operations.cost import CURRENT, embedded_list, load_prices
from dynamo_chat.testing import EmbeddedEngine

HOSTILE = "</script><img src=x onerror=pwned=1>\u202e{{data}}"
"""The title of a loaded conversation."""
SHOWN = ("conversations.get", "conversations.rename", "messages.latest_with_conversation")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]

Open = Callable[..., Page]


def _launch_options() -> dict[str, Any]:
    """The browser of the tests' environment, or the machine's own."""
    folder = os.environ.get("DYNAMO_CHAT_TEST_CHROMIUM")
    if folder is not None:
        libraries = {
            "LD_LIBRARY_PATH": f"{folder}/lib",
            "FONTCONFIG_FILE": f"{folder}/fonts.conf",
        }
        return {"executable_path": f"{folder}/chromium", "env": {**os.environ, **libraries}}
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser here; `tox -e browser` brings one")
    return {"executable_path": found}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser, in which each test has a window of its own."""
    options = _launch_options()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(args=FLAGS, **options)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas of a few methods, bills, and loaded items with a hostile title."""
    with EmbeddedEngine() as engine:
        loading = engine.store("browser-loaded")
        talk = loading.conversations.create("u-1", title=HOSTILE)
        said = NewMessage(role="user", content=f"{HOSTILE} said")
        loading.messages.append(talk.conversation_id, said)
        found = loading.connection.client.scan(TableName="browser-loaded")["Items"]
        playing = engine.store("browser-playing")

        def factory(table_name: str | None = None, **options: Any) -> Any:
            return type(playing)(table_name or "browser-playing", region=engine.region, **options)

        atlas = collect(
            factory,
            entries=[entry for entry in catalogue() if entry.method in SHOWN],
            items=found,
            bills=[embedded_list(WORKLOAD, load_prices()[CURRENT])],
            workload="A month of what the test says.",
        )
    path = tmp_path_factory.mktemp("atlas") / "small.html"
    path.write_text(written(atlas), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The atlas that the command writes."""
    path = tmp_path_factory.mktemp("atlas") / "whole.html"
    subprocess.run([sys.executable, "-m", "dynamo_chat.cli", "atlas", str(path)], check=True)
    return path


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a file in a new window. The test fails if its script does, or if it loads anything."""
    windows, troubles = [], []

    def open_page(path: Path, view: str = "", *, width: int = 1280, **options: Any) -> Page:
        window = browser.new_context(viewport={"width": width, "height": 800}, **options)
        windows.append(window)
        opened = window.new_page()
        opened.set_default_timeout(10_000)
        opened.on("pageerror", lambda error: troubles.append(str(error)))
        opened.on("console", lambda message: troubles.append(message.text))
        opened.on("dialog", lambda dialog: troubles.append(dialog.message))
        opened.on("request", lambda request: requests.append(request.url))
        requests: list[str] = []
        opened.goto(f"{path.as_uri()}{view}")
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
        assert len([url for url in requests if url.startswith("file:")]) == 1
        return opened

    yield open_page
    for window in windows:
        window.close()
    assert troubles == []
