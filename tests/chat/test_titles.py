"""C5 and the renaming of C6: conversations are found by their exact title."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import InvalidArgument, InvalidCursor, NotFound
from dynamo_chat.keyspace import TITLE_SHARDS
from dynamo_chat.testing import FakeClock, RequestMeter
from tests.chat.scenes import assistant, say, user
from tests.scene import DAY, MINUTE, SECOND, Item, Scene, drained, just_before, requests

pytestmark = pytest.mark.engine


def found(store: ChatStore, title: str, user_id: str | None = None) -> list[str]:
    page = store.conversations.find_by_title(title, user_id=user_id)
    assert not page.unreadable
    return [each.conversation_id for each in page]


def test_found_by_exact_title(store: ChatStore, clock: FakeClock) -> None:
    """Of one user or of all, newest first; not by a part of it, nor in another case."""
    for number, owner in enumerate(["u-1", "u-2", "u-1", "u-2", "u-1"]):
        store.conversations.create(owner, conversation_id=f"c-{number}", title="New chat")
        clock.advance(MINUTE)
    store.conversations.create("u-1", conversation_id="other", title="New chat 2")
    with requests(store, TITLE_SHARDS + 1):
        assert found(store, "New chat") == ["c-4", "c-3", "c-2", "c-1", "c-0"]
    with requests(store, 2):
        assert found(store, "New chat", "u-1") == ["c-4", "c-2", "c-0"]
    assert found(store, "new chat") == found(store, "New") == found(store, "New chat ") == []
    assert found(store, "New chat", "u-3") == []


def test_what_is_found_is_the_conversation(store: ChatStore) -> None:
    """As `get` gives it, but without its preferences."""
    talk = store.conversations.create("u-1", title="T", preferences={"a": 1})
    say(store, talk.conversation_id, "hello")
    (one,) = store.conversations.find_by_title("T")
    found = store.conversations.get(talk.conversation_id)
    assert one == found.model_copy(update={"preferences": None})


def test_pages_over_all_shards(store: ChatStore, clock: FakeClock) -> None:
    """In one order, whichever shard a conversation is in."""
    for number in range(23):
        store.conversations.create("u-1", conversation_id=f"c-{number:02}", title="Popular")
        clock.advance(MINUTE)
    newest = [f"c-{number:02}" for number in reversed(range(23))]
    for owner in (None, "u-1"):
        for page_size in (1, 4, 22, 23, 24):
            pages = drained(
                lambda **more: store.conversations.find_by_title("Popular", **more),
                page_size=page_size,
                user_id=owner,
            )
            assert [each.conversation_id for page in pages for each in page] == newest
            assert all(len(page) == page_size for page in pages[:-2])
    page = store.conversations.find_by_title("Popular", page_size=2)
    with pytest.raises(InvalidCursor):
        store.conversations.find_by_title("Other", cursor=page.cursor)
    with pytest.raises(InvalidCursor):
        store.conversations.find_by_title("Popular", user_id="u-1", cursor=page.cursor)


def test_a_rename_changes_nothing_else(scene: Scene, store: ChatStore, clock: FakeClock) -> None:
    """Two requests, for the conversation is read to be returned."""
    store.conversations.create("u-1", conversation_id="c-1", title="Old", preferences={"a": 1})
    say(store, "c-1", "hello")
    before = store.conversations.get("c-1")
    clock.advance(DAY)
    with requests(store, 2):
        store.conversations.rename("c-1", "New", user_id="u-1")
    after = store.conversations.get("c-1")
    assert after == before.model_copy(update={"title": "New"})
    assert found(store, "Old") == found(store, "Old", "u-1") == []
    assert found(store, "New") == found(store, "New", "u-1") == ["c-1"]
    stranger = scene.new_store()
    with requests(stranger, 2):
        stranger.conversations.rename("c-1", "Newer")
    assert found(store, "Newer") == ["c-1"]


def test_renaming_to_the_same_title_and_back(store: ChatStore) -> None:
    """Found once, under the title it has."""
    store.conversations.create("u-1", conversation_id="c-1", title="A")
    for title in ("A", "B", "A"):
        store.conversations.rename("c-1", title)
        assert found(store, title) == ["c-1"]
    assert found(store, "B") == []


def test_renaming_what_is_not_there(scene: Scene, store: ChatStore) -> None:
    """Not found, and nothing is left behind: also where the store remembers the conversation."""
    with pytest.raises(NotFound):
        store.conversations.rename("c-1", "T")
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    scene.new_store().conversations.delete("c-1")
    with pytest.raises(NotFound):
        store.conversations.rename("c-1", "U")
    assert scene.items() == []


def test_a_conversation_without_a_title_gets_one(store: ChatStore) -> None:
    """By renaming, in the same way."""
    store.conversations.create("u-1", conversation_id="c-1")
    store.conversations.rename("c-1", "T")
    assert found(store, "T") == ["c-1"]
    say(store, "c-1", "hello")
    assert store.conversations.get("c-1").title == "T"


def test_no_automatic_title_where_the_caller_says_so(scene: Scene, store: ChatStore) -> None:
    """No store gives it one, whatever it remembers; a title of the caller's it takes."""
    made = store.conversations.create("u-1", conversation_id="c-1", auto_title=False)
    assert made.auto_title is False
    for each in (store, scene.new_store(), store):
        with requests(each, 1 if each is store else 2):
            each.messages.append("c-1", user("Hello"))
    head = store.conversations.get("c-1")
    assert (head.title, head.auto_title, head.message_count) == (None, False, 3)
    assert "conversation_title" not in scene.kinds()
    store.conversations.rename("c-1", "T")
    assert found(store, "T", "u-1") == ["c-1"]


def test_a_title_is_taken_away(scene: Scene, store: ChatStore) -> None:
    """It is found no more, and the next message gives it no other."""
    store.conversations.create("u-1", conversation_id="c-1", title="T", preferences={"a": 1})
    say(store, "c-1", "a")
    with requests(store, 2):
        taken = store.conversations.rename("c-1", None, user_id="u-1")
    assert taken == store.conversations.get("c-1").model_copy(update={"preferences": None})
    assert (taken.title, taken.auto_title, taken.message_count) == (None, False, 1)
    assert found(store, "T") == []
    assert "conversation_title" not in scene.kinds()
    before = scene.items()
    assert store.conversations.rename("c-1", None) == taken
    assert scene.items() == before
    say(store, "c-1", "b")
    assert store.conversations.get("c-1").title is None
    store.conversations.rename("c-1", "U")
    assert found(store, "U", "u-1") == ["c-1"]


def test_a_store_that_remembers_an_automatic_title_gives_none(
    scene: Scene, store: ChatStore
) -> None:
    """It knows the conversation from before it had any title, which came and went since."""
    store.conversations.create("u-1", conversation_id="c-1")
    other = scene.new_store()
    other.conversations.rename("c-1", "T")
    other.conversations.rename("c-1", None)
    with requests(store, 2):
        store.messages.append("c-1", user("Hello"))
    assert store.conversations.get("c-1").title is None
    assert "conversation_title" not in scene.kinds()


def test_a_title_is_taken_while_another_is_given(scene: Scene, store: ChatStore) -> None:
    """Whichever was last counts: head and title item agree."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    other = scene.new_store()
    with just_before(store, "TransactWriteItems", lambda: other.conversations.rename("c-1", "U")):
        assert store.conversations.rename("c-1", None).title is None
    assert "conversation_title" not in scene.kinds()
    with just_before(store, "TransactWriteItems", lambda: other.conversations.rename("c-1", None)):
        assert store.conversations.rename("c-1", "V").title == "V"
    assert found(store, "V", "u-1") == ["c-1"]


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("Show me 4K renders", "Show me 4K renders"),
        ("  Show \n\n me\t4K  ", "Show me 4K"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("word " * 60, "word " * 38 + "word…"),
        ("😀" * 300, "😀" * 199 + "…"),
        ("", None),
        (" \n ", None),
    ],
)
def test_the_first_user_message_gives_the_title(
    store: ChatStore, content: str, title: str | None
) -> None:
    """Its words, cut at 200 characters; in the same request, and found by it."""
    store.conversations.create("u-1", conversation_id="c-1")
    with requests(store, 1):
        store.messages.append_turn("c-1", [assistant("Welcome"), user(content)])
    assert store.conversations.get("c-1").title == title
    if title is not None:
        assert len(title) <= 200
        assert found(store, title) == found(store, title, "u-1") == ["c-1"]


def test_only_the_first_user_message_does(scene: Scene, store: ChatStore) -> None:
    """Neither an assistant's nor a later one; a title that was given stays."""
    store.conversations.create("u-1", conversation_id="c-1")
    store.messages.append("c-1", assistant("Welcome"))
    assert store.conversations.get("c-1").title is None
    say(store, "c-1", "First", "Second")
    say(scene.new_store(), "c-1", "Third")
    assert store.conversations.get("c-1").title == "First"
    store.conversations.create("u-1", conversation_id="c-2", title="Given")
    say(store, "c-2", "First")
    assert store.conversations.get("c-2").title == "Given"
    assert found(store, "First") == ["c-1"]


def test_a_store_that_knows_of_no_title(scene: Scene, store: ChatStore) -> None:
    """A title given elsewhere in between is kept."""
    store.conversations.create("u-1", conversation_id="c-1")
    scene.new_store().conversations.rename("c-1", "Elsewhere")
    say(store, "c-1", "First")
    assert store.conversations.get("c-1").title == "Elsewhere"
    assert found(store, "First") == []
    assert [each.content for each in store.messages.latest("c-1")] == ["First"]


def test_expired_and_deleted_conversations_are_not_found(
    store: ChatStore, clock: FakeClock
) -> None:
    """Nor is anything of them."""
    store.conversations.create("u-1", conversation_id="fixed", title="T", retention=DAY)
    store.conversations.create(
        "u-1", conversation_id="slid", title="T", retention=DAY, sliding=True
    )
    store.conversations.create("u-1", conversation_id="gone", title="T")
    store.conversations.create("u-1", conversation_id="kept", title="T")
    store.conversations.delete("gone")
    clock.advance(DAY + MINUTE)
    for owner in (None, "u-1"):
        assert found(store, "T", owner) == ["kept"]


def test_a_stale_title_item_misleads_nobody(scene: Scene, store: ChatStore) -> None:
    """An index may lag behind a rename: what the conversation itself says decides."""
    for number in range(4):
        store.conversations.create("u-1", conversation_id=f"c-{number}", title="Old")
    stale = [item for item in scene.items() if item["kind"]["S"] == "conversation_title"]
    for number in range(3):
        store.conversations.rename(f"c-{number}", "New")
    for item in stale:
        scene.put(item)
    assert found(store, "Old") == ["c-3"]
    page = store.conversations.find_by_title("Old", page_size=1)
    assert [each.conversation_id for each in page] == ["c-3"]


def stale_titles(scene: Scene) -> list[Item]:
    """What an index that lags behind shows later on."""
    return [item for item in scene.items() if item["kind"]["S"] == "conversation_title"]


def test_a_title_of_another_owner_or_of_another_life_is_not_found(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """An id is given anew with the same title, and the index is late."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    (old,) = stale_titles(scene)
    store.conversations.delete("c-1")
    clock.advance(MINUTE)
    store.conversations.create("u-2", conversation_id="c-1", title="T")
    scene.put(old)
    assert found(store, "T", "u-1") == found(store, "T") == []
    store.conversations.delete("c-1")
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    scene.put(old)
    assert found(store, "T", "u-1") == found(store, "T") == []


def test_a_renamed_conversation_is_found_by_the_title_that_the_index_shows(
    store: ChatStore,
) -> None:
    """The heads are read consistently: they are never behind the index."""
    store.conversations.create("u-1", conversation_id="c-1", title="A")
    store.conversations.rename("c-1", "B")
    asked: list[Any] = []

    def look(params: dict[str, Any], **_: Any) -> None:
        asked.append(json.loads(params["body"]))

    events = store.connection.client.meta.events
    events.register("before-call.dynamodb.BatchGetItem", look)
    assert found(store, "B") == found(store, "B", "u-1") == ["c-1"]
    events.unregister("before-call.dynamodb.BatchGetItem", look)
    assert len(asked) == 2
    for body in asked:
        (keys,) = body["RequestItems"].values()
        assert keys["ConsistentRead"] is True


def test_behind_hidden_conversations_the_steps_grow(store: ChatStore, clock: FakeClock) -> None:
    """120 that have expired unseen do not cost 120 requests."""
    store.conversations.create("u-1", conversation_id="first", title="T")
    for number in range(120):
        clock.advance(SECOND)
        store.conversations.create(
            "u-1", conversation_id=f"c-{number}", title="T", retention=DAY, sliding=True
        )
    clock.advance(DAY + SECOND)
    for owner, most in (("u-1", 10), (None, 25)):
        with RequestMeter(store.connection.client) as meter:
            page = store.conversations.find_by_title("T", user_id=owner, page_size=1)
        assert [each.conversation_id for each in page] == ["first"]
        assert meter.count <= most


def test_a_damaged_conversation_hides_no_other(scene: Scene, store: ChatStore) -> None:
    """It is told beside those that can be read."""
    for number in range(2):
        store.conversations.create("u-1", conversation_id=f"c-{number}", title="T")
    head = next(item for item in scene.items() if item["kind"]["S"] == "conversation")
    scene.put({**head, "created_at": {"S": "once"}})
    page = store.conversations.find_by_title("T")
    assert len(page) == 1
    assert [told.kind for told in page.unreadable] == ["conversation"]


@pytest.mark.parametrize("title", ["", "x" * 201, 5, None, "\ud800"])
def test_bad_titles(store: ChatStore, title: Any) -> None:
    """Named, and nothing is sent."""
    calls: list[Callable[[], object]] = [lambda: store.conversations.find_by_title(title)]
    if title is not None:
        calls.append(lambda: store.conversations.rename("c-1", title))
    for call in calls:
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            call()
        assert refused.value.argument == "title"


@pytest.mark.parametrize("page_size", [0, 101, True])
def test_page_sizes(store: ChatStore, page_size: Any) -> None:
    """From 1 to 100: as many heads as one request reads."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.conversations.find_by_title("T", page_size=page_size)
    assert refused.value.argument == "page_size"
