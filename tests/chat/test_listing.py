"""C3 and C4: a user's conversations, by creation and by latest activity."""

from datetime import datetime
from typing import Any

import pytest

from dynamo_chat import ChatStore, Conversation
from dynamo_chat.core.errors import InvalidArgument, InvalidCursor
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import say
from tests.scene import DAY, MINUTE, SECOND, Scene, drained, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def created(store: ChatStore, clock: FakeClock) -> list[Conversation]:
    """Seven conversations of u-1, a minute apart, oldest first; and others of somebody else."""
    made = []
    for number in range(7):
        made.append(store.conversations.create("u-1", conversation_id=f"c-{number}"))
        store.conversations.create("u-10", conversation_id=f"other-{number}")
        clock.advance(MINUTE)
    return made


def ids(listed: Any) -> list[str]:
    return [each.conversation_id for each in listed]


def test_by_creation_in_both_directions(store: ChatStore, created: list[Conversation]) -> None:
    """Newest first unless told otherwise, in one request, and only the user's own."""
    with requests(store, 1):
        page = store.conversations.list_by_user("u-1")
    assert list(page) == created[::-1]
    assert page.cursor is None
    with requests(store, 1):
        assert list(store.conversations.list_by_user("u-1", newest_first=False)) == created


def test_nobody_has_none(store: ChatStore, created: list[Conversation]) -> None:
    """An empty page, no error."""
    for listed in (store.conversations.list_by_user, store.conversations.list_by_activity):
        page = listed("u-")
        assert (page.items, page.cursor, page.unreadable, len(page)) == ((), None, (), 0)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 8])
def test_pages_are_full_and_add_up(
    store: ChatStore, created: list[Conversation], page_size: int, newest_first: bool
) -> None:
    """Each holds `page_size` unless there are no more; a cursor may lead to an empty last page."""
    order = created[::-1] if newest_first else created
    for ask in (store.conversations.list_by_user, store.conversations.list_by_activity):
        pages = drained(
            lambda **more: ask("u-1", **more),  # noqa: B023 - used within the loop
            page_size=page_size,
            newest_first=newest_first,
        )
        assert [each for page in pages for each in page] == order
        assert all(len(page) == page_size for page in pages[:-2])
        assert len(pages) <= len(created) // page_size + 1


def test_a_range_holds_its_start_and_not_its_end(
    store: ChatStore, created: list[Conversation]
) -> None:
    """[since, until), by creation or by activity, to the microsecond."""
    moments = [each.created_at for each in created]
    for ask in (store.conversations.list_by_user, store.conversations.list_by_activity):
        assert ids(ask("u-1", since=moments[2], until=moments[5])) == ["c-4", "c-3", "c-2"]
        assert ids(ask("u-1", since=moments[5])) == ["c-6", "c-5"]
        assert ids(ask("u-1", until=moments[1])) == ["c-0"]
        assert ids(ask("u-1", since=moments[3], until=moments[3])) == []
        step = SECOND / 1_000_000
        assert ids(ask("u-1", since=moments[3] + step, until=moments[4] + step)) == ["c-4"]


def test_an_empty_range_asks_nothing(store: ChatStore, created: list[Conversation]) -> None:
    """DynamoDB would reject it."""
    with requests(store, 0):
        moment = created[0].created_at
        assert not store.conversations.list_by_user("u-1", since=moment, until=moment).items


def test_pages_of_a_range(store: ChatStore, created: list[Conversation]) -> None:
    """A cursor keeps to the range it came from."""
    moments = [each.created_at for each in created]
    pages = drained(
        lambda **more: store.conversations.list_by_user("u-1", **more),
        since=moments[1],
        until=moments[6],
        page_size=2,
        newest_first=False,
    )
    assert [ids(page) for page in pages if page.items] == [["c-1", "c-2"], ["c-3", "c-4"], ["c-5"]]


def test_activity_moves_a_conversation_up(
    store: ChatStore, created: list[Conversation], clock: FakeClock
) -> None:
    """An append does; a rename, a status, preferences, state, feedback and reviews do not."""
    (message,) = say(store, "c-2", "hello")
    moved = ["c-2", "c-6", "c-5", "c-4", "c-3", "c-1", "c-0"]
    assert ids(store.conversations.list_by_activity("u-1")) == moved
    clock.advance(MINUTE)
    store.conversations.rename("c-0", "Title")
    store.conversations.set_preferences("c-0", {"a": 1})
    store.conversations.set_status("c-0", "active")
    store.states.save("c-0", {"a": 1})
    store.reviews.create("c-0", "admin")
    store.messages.edit("c-2", message.message_id, content="hello again")
    assert ids(store.conversations.list_by_activity("u-1")) == moved
    assert ids(store.conversations.list_by_user("u-1")) == ids(created[::-1])


def test_active_and_archived_are_two_lists(
    store: ChatStore, created: list[Conversation], clock: FakeClock
) -> None:
    """Archived ones leave the first list for the second; appending brings them back."""
    for number in (1, 4):
        changed = store.conversations.set_status(f"c-{number}", "archived")
        assert changed.status == "archived"
    listed = store.conversations.list_by_activity
    assert ids(listed("u-1")) == ["c-6", "c-5", "c-3", "c-2", "c-0"]
    assert ids(listed("u-1", status="archived")) == ["c-4", "c-1"]
    say(store, "c-1", "hello")
    assert ids(listed("u-1")) == ["c-1", "c-6", "c-5", "c-3", "c-2", "c-0"]
    assert ids(listed("u-1", status="archived")) == ["c-4"]
    assert store.conversations.get("c-1").status == "active"


def test_expired_conversations_are_passed_over(store: ChatStore, clock: FakeClock) -> None:
    """Long before DynamoDB deletes them, and without making a page shorter."""
    for number in range(12):
        store.conversations.create(
            "u-1",
            conversation_id=f"c-{number:02}",
            retention=DAY if number % 3 else 30 * DAY,
            sliding=number % 2 == 0,
        )
        clock.advance(MINUTE)
    clock.advance(2 * DAY)
    kept = ["c-09", "c-06", "c-03", "c-00"]
    for ask in (store.conversations.list_by_user, store.conversations.list_by_activity):
        assert ids(ask("u-1")) == kept
        first = ask("u-1", page_size=3)
        assert ids(first) == kept[:3]
        assert ids(ask("u-1", page_size=3, cursor=first.cursor)) == kept[3:]
    clock.advance(60 * DAY)
    for ask in (store.conversations.list_by_user, store.conversations.list_by_activity):
        page = ask("u-1", page_size=2)
        assert (page.items, page.cursor) == ((), None)


def test_a_cursor_survives_what_it_points_at(
    store: ChatStore, created: list[Conversation], clock: FakeClock
) -> None:
    """What is at the cursor may be deleted or move away: the list goes on after it."""
    first = store.conversations.list_by_user("u-1", page_size=3)
    assert ids(first) == ["c-6", "c-5", "c-4"]
    store.conversations.delete("c-4")
    rest = store.conversations.list_by_user("u-1", cursor=first.cursor)
    assert ids(rest) == ["c-3", "c-2", "c-1", "c-0"]

    active = store.conversations.list_by_activity("u-1", page_size=2)
    say(store, "c-5", "to the top")
    rest = store.conversations.list_by_activity("u-1", cursor=active.cursor)
    assert ids(rest) == ["c-3", "c-2", "c-1", "c-0"]


def test_a_cursor_is_for_its_own_list(
    scene: Scene, store: ChatStore, created: list[Conversation]
) -> None:
    """Another user's, another direction's, range's, status's or list's is refused, unread."""
    moment = created[2].created_at
    talks = store.conversations
    cursor = talks.list_by_user("u-1", page_size=2).cursor
    active = talks.list_by_activity("u-1", page_size=2).cursor
    assert cursor is not None
    assert active is not None
    attempts: list[Any] = [
        lambda: talks.list_by_user("u-10", cursor=cursor),
        lambda: talks.list_by_user("u-1", cursor=cursor, newest_first=False),
        lambda: talks.list_by_user("u-1", cursor=cursor, since=moment),
        lambda: talks.list_by_user("u-1", cursor=cursor, until=moment),
        lambda: talks.list_by_activity("u-1", cursor=cursor),
        lambda: talks.list_by_user("u-1", cursor=active),
        lambda: talks.list_by_activity("u-1", cursor=active, status="archived"),
        lambda: talks.list_by_activity("u-10", cursor=active),
        lambda: talks.list_by_user("u-1", cursor=""),
        lambda: talks.list_by_user("u-1", cursor=cursor + "A"),
        lambda: talks.list_by_user("u-1", cursor=cursor[:-1]),
    ]
    for attempt in attempts:
        with requests(store, 0), pytest.raises(InvalidCursor, match="cursor: pass a page's cursor"):
            attempt()
    assert len(scene.new_store().conversations.list_by_user("u-1", cursor=cursor)) == 5


def test_cursors_of_another_secret_or_table(
    scene: Scene, store: ChatStore, created: list[Conversation]
) -> None:
    """All servers of one application share the secret."""
    sealed = scene.new_store(cursor_secret=b"one").conversations
    cursor = sealed.list_by_user("u-1", page_size=2).cursor
    same = scene.new_store(cursor_secret=b"one").conversations
    assert len(same.list_by_user("u-1", cursor=cursor)) == 5
    for secret in (b"two", None):
        other = scene.new_store(cursor_secret=secret).conversations
        with pytest.raises(InvalidCursor):
            other.list_by_user("u-1", cursor=cursor)


@pytest.mark.parametrize("page_size", [0, -1, 1_001, 1.0, "5", None, True])
def test_page_sizes(store: ChatStore, page_size: Any) -> None:
    """From 1 to 1,000."""
    for ask in (store.conversations.list_by_user, store.conversations.list_by_activity):
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            ask("u-1", page_size=page_size)
        assert refused.value.argument == "page_size"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("user_id", ""),
        ("user_id", None),
        ("user_id", "\ud800"),
        ("since", datetime(2025, 1, 1)),  # noqa: DTZ001 - naive on purpose
        ("since", "yesterday"),
        ("until", 5),
        ("status", "gone"),
        ("cursor", 5),
        ("cursor", b"x"),
    ],
)
def test_bad_arguments(store: ChatStore, argument: str, value: Any) -> None:
    """Named, and nothing is sent."""
    arguments: dict[str, Any] = {"user_id": "u-1", argument: value}
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.conversations.list_by_activity(**arguments)
    assert refused.value.argument == argument


def test_a_range_the_wrong_way_round(store: ChatStore, clock: FakeClock) -> None:
    """Told, rather than empty."""
    with pytest.raises(InvalidArgument, match="since: must not be later than until"):
        store.conversations.list_by_user("u-1", since=clock(), until=clock() - SECOND)
