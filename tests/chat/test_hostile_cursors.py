"""Ten thousand altered, forged and borrowed cursors: `InvalidCursor`, or the caller's own data."""

import base64
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dynamo_chat import ChatStore, Feedback, Page
from dynamo_chat.core.errors import InvalidCursor
from dynamo_chat.core.page import CursorCodec
from dynamo_chat.testing import RequestMeter
from tests.chat.scenes import user
from tests.scene import SECOND, Scene, drained

pytestmark = [pytest.mark.engine, pytest.mark.once]

ATTEMPTS = 10_000
Ask = Callable[..., Page[Any]]


def questions(store: ChatStore, owner: str) -> dict[str, tuple[Ask, dict[str, Any]]]:
    """Every list that a user may page through, with the arguments of this user."""
    talk = f"c-{owner}"
    talks, messages, reviews = store.conversations, store.messages, store.reviews
    return {
        "by creation": (talks.list_by_user, {"user_id": owner}),
        "oldest first": (talks.list_by_user, {"user_id": owner, "newest_first": False}),
        "by activity": (talks.list_by_activity, {"user_id": owner}),
        "by title": (talks.find_by_title, {"title": "T", "user_id": owner}),
        "messages": (messages.list, {"conversation_id": talk, "user_id": owner}),
        "latest": (
            messages.list,
            {"conversation_id": talk, "user_id": owner, "newest_first": True},
        ),
        "exchanges": (messages.list_exchanges, {"conversation_id": talk, "user_id": owner}),
        "reviews": (reviews.list_by_conversation, {"conversation_id": talk}),
        "reviewer": (reviews.list_by_status, {"reviewed_by": owner}),
        "category": (
            messages.list_by_feedback,
            {"feedback_type": "positive", "category": owner},
        ),
    }


@pytest.fixture
def filled(scene: Scene, store: ChatStore) -> ChatStore:
    """Three users, each with a few of everything."""
    for owner in ("ann", "bob", "eve"):
        for number in range(4):
            identity = f"c-{owner}" if number == 0 else f"c-{owner}-{number}"
            store.conversations.create(owner, conversation_id=identity, title="T")
            scene.clock.advance(SECOND)
        for number in range(4):
            message = store.messages.append(f"c-{owner}", user(f"{owner} {number}"))
            scene.clock.advance(SECOND)
            store.messages.give_feedback(
                f"c-{owner}", message.message_id, Feedback(type="positive", category=owner)
            )
            store.reviews.create(f"c-{owner}", owner)
    return store


def owner_of(entity: Any) -> str:
    """Whose data this is."""
    name: str = getattr(entity, "user_id", None) or entity.conversation_id
    return name.removeprefix("c-").split("-")[0]


def forged(dice: random.Random, table: str, real: list[str]) -> Iterator[str]:
    """Cursors as somebody would make them who knows everything but the secret."""
    codec = CursorCodec(table)
    positions = [unpacked(cursor)[17:].decode(errors="replace") for cursor in real]
    patterns = ["C3", "C4", "C5", "C8", "C8x", "C12", "C14", "C15"]
    while True:
        arguments: list[Any] = [
            dice.choice(["ann", "bob", "c-ann", "c-bob", "T", None, True, False])
        ]
        arguments += [dice.choice(["ann", None, False]) for _ in range(dice.randrange(5))]
        yield codec.seal(dice.choice(patterns), arguments, dice.choice(positions))


def unpacked(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def altered(dice: random.Random, cursor: str) -> str:
    """A cursor with something wrong in it."""
    packed = bytearray(unpacked(cursor))
    match dice.randrange(6):
        case 0:
            packed[dice.randrange(len(packed))] ^= 1 << dice.randrange(8)
        case 1:
            del packed[dice.randrange(len(packed)) :]
        case 2:
            packed += dice.randbytes(3)
        case 3:
            packed[17:] = packed[17:].replace(b"ann", b"bob").replace(b"eve", b"bob")
        case 4:
            return cursor[::-1]
        case _:
            place = dice.randrange(len(cursor))
            return cursor[:place] + dice.choice("ABC-_=+/ é\n") + cursor[place + 1 :]
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


@pytest.mark.parametrize("secret", [None, b"secret"], ids=["digest", "secret"])
def test_nobody_sees_anothers_data(scene: Scene, filled: ChatStore, secret: bytes | None) -> None:
    """And most attempts are told before anything is sent."""
    store = scene.new_store(cursor_secret=secret)
    dice = random.Random(11)
    asked = {owner: questions(store, owner) for owner in ("ann", "bob")}
    real: dict[tuple[str, str], list[str]] = {
        (owner, name): [
            page.cursor
            for page in drained(ask, page_size=1, **arguments)
            if page.cursor is not None
        ]
        for owner, lists in asked.items()
        for name, (ask, arguments) in lists.items()
    }
    assert all(len(cursors) >= 3 for cursors in real.values())
    everything = [cursor for cursors in real.values() for cursor in cursors]
    forgeries = forged(dice, scene.table, everything)
    outcomes = {"refused": 0, "own": 0}
    for _ in range(ATTEMPTS // 2):
        name = dice.choice(list(asked["bob"]))
        ask, arguments = asked["bob"][name]
        match dice.randrange(3):
            case 0:
                cursor = altered(dice, dice.choice(everything))
            case 1:
                cursor = dice.choice(everything)
            case _:
                cursor = next(forgeries)
        try:
            page = ask(cursor=cursor, page_size=2, **arguments)
        except InvalidCursor:
            outcomes["refused"] += 1
        else:
            outcomes["own"] += 1
            assert {owner_of(each) for each in page} <= {"bob"}
            # What was not made for this very list cannot have moved the caller about in it.
            assert secret is None or cursor in real["bob", name]
    assert outcomes["refused"] > ATTEMPTS * 0.4
    assert outcomes["own"] > 20


def test_a_refused_cursor_reads_nothing(scene: Scene, filled: ChatStore) -> None:
    """But the head, where a list begins with it."""
    for name, (ask, arguments) in questions(filled, "bob").items():
        with RequestMeter(filled.connection.client) as meter:
            for cursor in ("", "AAAA", "x" * 3_000):
                with pytest.raises(InvalidCursor):
                    ask(cursor=cursor, **arguments)
        assert {record.operation for record in meter.requests} <= {"GetItem"}, name
