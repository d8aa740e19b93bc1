"""Messages larger than an item may be: compressed, or refused with the size and the limit."""

import random
import string

import pytest

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.core.errors import ItemTooLarge
from tests.chat.scenes import assistant, said, user
from tests.scene import Scene, requests

pytestmark = pytest.mark.engine


def noise(length: int, seed: int = 1) -> str:
    """Text that hardly compresses: its letters alone take three quarters of it."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=length))


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


def test_long_messages_come_back(scene: Scene, store: ChatStore, talk: str) -> None:
    """Nearly a megabyte each, where they compress."""
    words = "All work and no play makes Jack a dull boy. " * 20_000
    made = store.messages.append(
        talk, assistant(words, documents=[{"text": words}], metadata={"k": words})
    )
    assert len(made.content) > 800_000
    assert store.messages.get(talk, made.message_id) == made
    item = scene.only("message")
    assert [next(iter(item[name])) for name in ("content", "documents", "metadata")] == ["B"] * 3


def test_short_messages_stay_readable(scene: Scene, store: ChatStore, talk: str) -> None:
    """For whoever looks at the table."""
    store.messages.append(talk, user("hello", metadata={"a": 1}))
    item = scene.only("message")
    assert item["content"] == {"S": "hello"}
    assert item["metadata"] == {"S": '{"a":1}'}


def test_what_does_not_fit_is_refused(scene: Scene, store: ChatStore, talk: str) -> None:
    """With the part that is too large, its size and the limit; nothing is sent."""
    before = scene.items()
    for name, message in {
        "content": user(noise(700_000)),
        "metadata": user(metadata={"k": noise(700_000)}),
        "documents": assistant(documents=[{"k": noise(700_000)}]),
    }.items():
        with requests(store, 0), pytest.raises(ItemTooLarge, match="at most 409,600") as refused:
            store.messages.append(talk, message)
        assert refused.value.argument == name
        assert refused.value.size is not None
        assert refused.value.size > refused.value.limit == 409_600
    assert scene.items() == before


def test_up_to_the_limit(store: ChatStore, talk: str) -> None:
    """A message that just fits is stored; the title is cut from it."""
    store.conversations.create("u-1", conversation_id="c-2")
    low, high = 400_000, 700_000
    while high - low > 1_000:
        middle = (low + high) // 2
        try:
            store.messages.append("c-2", user(noise(middle)))
            low = middle
        except ItemTooLarge:
            high = middle
    assert len(store.messages.latest("c-2", 1)[0].content) == low
    assert len(store.conversations.get("c-2").title or "") == 200


@pytest.mark.once
def test_a_turn_over_four_megabytes(scene: Scene, store: ChatStore, talk: str) -> None:
    """Refused before it is sent: DynamoDB takes no larger transaction. In two it goes."""
    large = [assistant(noise(450_000, seed), message_id=f"m-{seed}") for seed in range(14)]
    before = scene.items()
    with requests(store, 0), pytest.raises(ItemTooLarge, match="appended turn") as refused:
        store.messages.append_turn(talk, large)
    assert refused.value.argument == "messages"
    assert refused.value.size is not None
    assert refused.value.size > refused.value.limit - 16_384
    assert scene.items() == before
    store.messages.append_turn(talk, large[:7])
    store.messages.append_turn(talk, large[7:])
    assert store.conversations.get(talk).message_count == 14


def test_pages_longer_than_an_answer(store: ChatStore, talk: str) -> None:
    """DynamoDB answers 1 MB at a time: a page is full all the same, in either direction."""
    for seed in range(9):
        store.messages.append(talk, user(noise(300_000, seed)))
    expected = [noise(300_000, seed) for seed in range(9)]
    assert said(store, talk) == expected
    page = store.messages.list(talk, newest_first=True, page_size=9)
    assert [message.content for message in page] == expected[::-1]
    assert [message.content for message in store.messages.latest(talk, 8)] == expected[1:]
    assert store.messages.prune(talk, 1) == 8
    assert said(store, talk) == expected[8:]
    assert store.conversations.delete(talk) == 3


def test_the_latest_messages_say_when_their_bodies_ended_them_early(store: ChatStore) -> None:
    """All of them together would be more than a reader should hold at once."""
    store.conversations.create("ann", conversation_id="large")
    for number in range(18):
        store.messages.append("large", NewMessage(role="user", content=f"{number} " + "a" * 10**6))
    latest = store.messages.latest("large", 18)
    assert latest.is_cut
    assert [message.content.split()[0] for message in latest] == [
        str(number) for number in range(18 - len(latest), 18)
    ]
    assert not store.messages.latest("large", len(latest)).is_cut
    assert not store.messages.latest("large", 5).is_cut
