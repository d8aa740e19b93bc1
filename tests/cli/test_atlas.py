"""``dynamo-chat atlas``: where the page goes, and what is refused before anything is measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import InvalidArgument
from dynamo_chat.operations.atlas import collecting
from dynamo_chat.operations.atlas.page import page
from dynamo_chat.operations.atlas.shown import Atlas

Run = Callable[..., Any]
EMPTY = Atlas(store="ChatStore", version="", kinds=(), patterns=(), items=())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The stores that were measured; which takes no time."""
    found: list[Any] = []

    def collected(store: Any, *, progress: Callable[[str], None]) -> Atlas:
        progress("C1 conversations.create")
        found.append(store)
        return EMPTY

    monkeypatch.setattr(collecting, "collect_embedded", collected)
    return found


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_is_written_to_a_new_file(run: Run, measured: list[Any], here: Path) -> None:
    done = run("atlas")
    assert done.exit_code == 0
    assert (done.stdout, done.stderr) == ("", "wrote atlas.html\n")
    assert (here / "atlas.html").read_text("utf-8") == page(EMPTY)
    assert run("atlas", "other.html").exit_code == 0
    assert (here / "other.html").exists()


def test_the_page_goes_to_standard_output(run: Run, measured: list[Any], here: Path) -> None:
    assert run("atlas", "-").stdout == page(EMPTY)
    assert not list(here.iterdir())


def test_a_file_is_only_replaced_by_force(run: Run, measured: list[Any], here: Path) -> None:
    (here / "atlas.html").write_text("mine")
    refused = run("atlas")
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr
    assert not measured
    assert (here / "atlas.html").read_text() == "mine"
    assert run("atlas", "--force").exit_code == 0
    assert (here / "atlas.html").read_text() == page(EMPTY)


def test_a_file_that_came_in_the_meantime_stays(
    run: Run, measured: list[Any], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: Any, **__: Any) -> Atlas:
        (here / "atlas.html").write_text("mine")
        return EMPTY

    monkeypatch.setattr(collecting, "collect_embedded", slow)
    refused = run("atlas")
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (1, 1)
    assert (here / "atlas.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("missing/atlas.html",), "there is no folder"),
        ((".",), "is a folder"),
        (("--store", "nowhere"), "must be MODULE:CLASS"),
        (("a.html", "b.html"), "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_measured(
    run: Run, measured: list[Any], here: Path, arguments: tuple[str, ...], told: str
) -> None:
    refused = run("atlas", *arguments)
    assert refused.exit_code == 2
    assert told in " ".join(refused.stderr.replace("│", " ").split())
    assert not measured
    assert not list(here.iterdir())


def test_an_error_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    def failing(*_: Any, **__: Any) -> Atlas:
        raise InvalidArgument("atlas", "needs the embedded engine")

    monkeypatch.setattr(collecting, "collect_embedded", failing)
    refused = run("atlas")
    assert refused.exit_code == 1
    assert refused.stderr == "error: atlas: needs the embedded engine\n"
    assert not list(here.iterdir())
