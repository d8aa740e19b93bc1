"""Whatever a caller gives to whichever argument: it is done, or refused shortly by a typed error.

Arguments are found by looking at the methods and models, so a new one is tried by itself. What the
time is that it takes, `scripts/bench inputs` measures; here, what is dear sees nothing long.
"""

from __future__ import annotations

import traceback
import unicodedata
from typing import Any

import pytest

from dynamo_chat.core import keys
from dynamo_chat.core.errors import MAX_SHOWN, DynamoChatError
from fuzzing.hostile import VALUES, Arena, Place, methods, places
from fuzzing.image import NeverEnds

SIZES = (50, 5_000)
LONGEST_KEY = 4_096
LONGEST_ADDRESS = 1_024
PLACES = {name: [place for place in places() if place.method == name] for name in methods()}


@pytest.fixture(scope="module")
def arena() -> Arena:
    """A store that never waits for an answer."""
    return Arena()


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """One of each kind, made once: no call may change what it is given."""
    return {f"{name}, {size:,}": make(size) for size in SIZES for name, make in VALUES.items()}


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was long, and yet reached what takes more than a look at each letter."""
    seen: list[str] = []
    normalize, write = unicodedata.normalize, keys.text.write

    def normalized(form: Any, text: str) -> str:
        if len(text) > LONGEST_ADDRESS:
            seen.append(f"{len(text):,} letters were normalised")
        return normalize(form, text)

    def written(component: keys.text, value: Any) -> str:
        found = write(component, value)  # which refuses what is long before it looks at it
        if isinstance(value, str) and len(value) > LONGEST_KEY:
            seen.append(f"{len(value):,} letters of {component.name} were made a key")
        return found

    monkeypatch.setattr(unicodedata, "normalize", normalized)
    monkeypatch.setattr(keys.text, "write", written)
    return seen


@pytest.mark.once
@pytest.mark.parametrize("method", PLACES)
def test_a_call_is_done_or_refused(
    arena: Arena, values: dict[str, Any], dear: list[str], method: str
) -> None:
    wrong = []
    for place in PLACES[method]:
        for name, value in values.items():
            said = outcome(arena, place, value)
            if said or dear:
                wrong.append(f"{place}, {name}: {said} {'; '.join(dear)}")
            dear.clear()
    assert not wrong


@pytest.mark.once
def test_a_number_is_refused_for_its_length_alone(arena: Arena) -> None:
    """Turned into a decimal or into text, an integer of a megabyte takes a minute and a half."""
    number = VALUES["an integer of as many bits"](1_000_000)
    wrong = [said for place in places() if (said := outcome(arena, place, number))]
    assert not wrong


def outcome(arena: Arena, place: Place, value: Any) -> str:
    """What is wrong with how a call ended; empty when nothing is."""
    try:
        arena.call(place, value)
    except DynamoChatError as error:
        return unshown(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"{type(error).__name__}: {str(error)[:200]}"
    return ""


def unshown(error: DynamoChatError) -> str:
    """Whether an error shows more than a piece of what was given."""
    if len(str(error)) > MAX_SHOWN + 200 or len(repr(error)) > 2 * MAX_SHOWN:
        return f"{type(error).__name__} of {len(str(error)):,} characters"
    shown = "".join(traceback.format_exception(error, limit=0))
    return f"a traceback of {len(shown):,} characters" if len(shown) > 10 * MAX_SHOWN else ""


# -- it finds what is wrong ---------------------------------------------------------------------


def test_places_are_found_in_methods_and_in_models() -> None:
    found = {str(place) for place in places()}
    assert {
        "ChatStore(table_name)",
        "conversations.create(title)",
        "messages.append(message.content)",
        "emails.add(email.body)",
        "organizations.create(settings.max_users)",
    } <= found


def test_most_calls_do_something(arena: Arena) -> None:
    """Without anything hostile, most are done: what follows the checks is reached."""
    refused = []
    for name in methods():
        try:
            arena.plain(name)
        except DynamoChatError as error:
            refused.append(f"{name}: {error}")
        except NeverEnds:
            pass  # it deletes until an index shows nothing, and no write changes this image
    assert len(refused) < len(methods()) / 5, refused
