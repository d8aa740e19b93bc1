"""Cursors that are out there stay valid: `cursors.json` holds some of every list, never changed."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from dynamo_chat import ChatStore, InvalidCursor, NotFound
from dynamo_chat.testing import EmbeddedEngine

KEPT: Final[list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("cursors.json").read_text("utf-8")
)
METHODS: Final = sorted({each["method"] for each in KEPT})


@pytest.fixture(scope="module")
def store() -> Iterator[ChatStore]:
    """The store that made them, with nothing in it any more."""
    with EmbeddedEngine() as engine:
        yield engine.store("cursors-out-there", cursor_secret=b"kept")


def ask(store: ChatStore, asked: dict[str, Any], cursor: str) -> None:
    """Read the page behind `cursor`; what is gone may be gone."""
    repository, _, method = asked["method"].partition(".")
    arguments = {
        name: datetime.fromisoformat(value) if name in {"since", "until"} else value
        for name, value in asked["arguments"].items()
    }
    called = getattr(getattr(store, repository), method)
    with suppress(NotFound):
        called(**arguments, page_size=1, cursor=cursor)


@pytest.mark.parametrize("method", METHODS)
def test_an_old_cursor_opens_for_its_question_alone(store: ChatStore, method: str) -> None:
    """Each is bound to all that chooses and orders its list."""
    kept = [each for each in KEPT if each["method"] == method]
    for asked in kept:
        for each in kept:
            if each is asked:
                ask(store, asked, each["cursor"])
            else:
                with pytest.raises(InvalidCursor):
                    ask(store, asked, each["cursor"])


def test_an_old_cursor_opens_for_no_other_list(store: ChatStore) -> None:
    """Even where the arguments are the same."""
    for asked in KEPT[::5]:
        for each in KEPT:
            if each["method"] != asked["method"]:
                with pytest.raises(InvalidCursor):
                    ask(store, asked, each["cursor"])
