"""What has expired, or is being deleted, is shown by no list: those across conversations, too.

Items of a sliding conversation outlive it in the table, and a deletion takes its time.
"""

from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, Feedback
from dynamo_chat.core.errors import InvalidArgument, InvalidCursor, NotFound
from dynamo_chat.testing import FakeClock, Kill, Killed
from tests.chat.scenes import assistant, say
from tests.scene import DAY, SECOND, Scene, drained, faults, requests

pytestmark = pytest.mark.engine


def rated(store: ChatStore, identity: str, **options: Any) -> None:
    """A conversation with a rated message and a review, of its own id each."""
    options = {"retention": DAY, "sliding": True, **options}
    store.conversations.create("u-1", conversation_id=identity, **options)
    store.messages.append(identity, assistant(identity, message_id="m"))
    store.messages.give_feedback(identity, "m", Feedback(type="positive", rank=5, category="a"))
    store.reviews.create(identity, "admin", review_id=f"r-{identity}", comments="fine")


def shown(store: ChatStore) -> set[tuple[str, ...]]:
    """What each list across conversations shows of which conversation; all show the same."""
    lists = (
        store.messages.list_by_feedback("positive"),
        store.messages.list_by_feedback("positive", rank=5),
        store.messages.list_by_feedback("positive", category="a"),
        store.reviews.list_by_status(),
        store.reviews.list_by_status(reviewed_by="admin"),
    )
    return {tuple(sorted(each.conversation_id for each in page)) for page in lists}


def test_a_sliding_conversation_is_shown_until_it_ends(store: ChatStore, clock: FakeClock) -> None:
    rated(store, "c-1")
    rated(store, "c-2")
    clock.advance(DAY / 2)
    say(store, "c-2", "still used")
    clock.advance(DAY / 2 - SECOND)
    assert shown(store) == {("c-1", "c-2")}
    assert store.reviews.list_by_conversation("c-1").items
    clock.advance(SECOND)
    assert shown(store) == {("c-2",)}
    for newest_first in (True, False):
        assert not store.reviews.list_by_conversation("c-1", newest_first=newest_first).items
        assert store.reviews.list_by_conversation("c-2", newest_first=newest_first).items
    clock.advance(DAY / 2)
    assert shown(store) == {()}


def test_looking_at_heads_costs_nothing_until_it_may_matter(
    store: ChatStore, clock: FakeClock
) -> None:
    """And then one request a page."""
    for number in range(3):
        rated(store, f"c-{number}")
    clock.advance(DAY - SECOND)
    with requests(store, 1):
        assert len(store.reviews.list_by_status(reviewed_by="admin")) == 3
    with requests(store, 2):
        assert len(store.messages.list_by_feedback("positive", rank=5)) == 3
    for number in range(3):
        say(store, f"c-{number}", "more")
    clock.advance(2 * SECOND)
    with requests(store, 2):
        assert len(store.reviews.list_by_status(reviewed_by="admin")) == 3
    with requests(store, 3):
        assert len(store.messages.list_by_feedback("positive", rank=5)) == 3


def test_pages_are_full_behind_what_expired(store: ChatStore, clock: FakeClock) -> None:
    """However many expired in between, in either direction, and with every cursor."""
    names = [f"c-{number:02}" for number in range(30)]
    kept = names[::10]
    for name in names:
        store.conversations.create("u-1", conversation_id=name, retention=DAY, sliding=True)
        store.messages.append(name, assistant("answer", message_id="m"))
        if name in kept:
            say(store, name, "much later", at=clock() + timedelta(minutes=5))
        store.messages.give_feedback(name, "m", Feedback(type="positive", rank=1))
        clock.advance(SECOND)
    clock.advance(DAY)
    for size in (1, 2, 3):
        for newest_first in (True, False):
            pages = drained(
                lambda **more: store.messages.list_by_feedback(
                    "positive",
                    rank=1,
                    page_size=size,  # noqa: B023
                    newest_first=newest_first,  # noqa: B023
                    **more,
                )
            )
            found = [message.conversation_id for page in pages for message in page]
            assert found == (kept[::-1] if newest_first else kept)
            assert all(len(page) == size for page in pages[: len(kept) // size])


def test_what_is_being_deleted_has_no_reviews(scene: Scene, store: ChatStore) -> None:
    """From its tombstone on; and no review of it is archived any more."""
    rated(store, "c-1", retention=None, sliding=False)
    for number in range(99):  # more than go with the tombstone
        store.reviews.create("c-1", "admin", review_id=f"r-{number}")
    with faults(store) as injector:
        injector.plan(Kill(after_sending=True), operation="TransactWriteItems")
        with pytest.raises(Killed):
            store.conversations.delete("c-1")
    assert "review" in scene.kinds()
    before = scene.items()
    for newest_first in (True, False):
        assert not store.reviews.list_by_conversation("c-1", newest_first=newest_first).items
    with pytest.raises(NotFound):
        store.reviews.archive("r-c-1")
    with pytest.raises(NotFound):
        store.reviews.get("r-c-1")
    assert scene.items() == before


def test_what_the_indexes_show_goes_with_the_tombstone(scene: Scene, store: ChatStore) -> None:
    """A deletion that dies right after it leaves nothing that a list across conversations shows."""
    store.conversations.create("u-1", conversation_id="c-1")
    for start in (0, 40):
        store.messages.append_turn("c-1", [assistant(str(start + n)) for n in range(40)])
    last = say(store, "c-1", "last")[0]
    praise = Feedback(type="positive", rank=5, category="a")
    store.messages.give_feedback("c-1", last.message_id, praise)
    store.reviews.create("c-1", "admin")
    with faults(store) as injector:
        injector.plan(Kill(after_sending=True), operation="TransactWriteItems")
        with pytest.raises(Killed):
            store.conversations.delete("c-1")
    assert scene.kinds()["message"] > 40
    assert shown(store) == {()}


def test_a_review_of_an_idle_conversation_is_not_archived(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    rated(store, "c-1")
    clock.advance(DAY)
    before = scene.items()
    with pytest.raises(NotFound):
        store.reviews.archive("r-c-1")
    assert scene.items() == before


@pytest.mark.parametrize("comments", [None, "", "fine", "a long comment " * 1_000])
def test_an_archived_review_is_answered_whole(
    scene: Scene, store: ChatStore, comments: str | None
) -> None:
    """In two requests, whatever its comments are; and as it is stored."""
    store.conversations.create("u-1", conversation_id="c-1", retention=30 * DAY)
    made = store.reviews.create("c-1", "admin", review_id="r", comments=comments)
    with requests(store, 2):
        archived = store.reviews.archive("r")
    assert archived.is_archived
    assert archived == made.model_copy(update={"archived_at": archived.archived_at})
    assert store.reviews.get("r") == archived
    assert store.reviews.archive("r") == archived
    assert store.reviews.list_by_status(archived=True, reviewed_by="admin").items == (archived,)


def test_reviews_of_a_conversation_in_pages(store: ChatStore, clock: FakeClock) -> None:
    """One request where the page reaches the head, two where it does not."""
    store.conversations.create("u-1", conversation_id="c-1")
    say(store, "c-1", *"abc")
    made = []
    for number in range(7):
        clock.advance(SECOND)
        made.append(store.reviews.create("c-1", "admin", review_id=str(number)))
    for newest_first in (True, False):
        expected = made[::-1] if newest_first else made
        for size in (1, 3, 6, 7, 8):
            pages = drained(
                lambda **more: store.reviews.list_by_conversation(
                    "c-1",
                    page_size=size,  # noqa: B023
                    newest_first=newest_first,  # noqa: B023
                    **more,
                )
            )
            assert [review for page in pages for review in page] == expected
            assert all(len(page) == size for page in pages[: len(made) // size])
        with requests(store, 1):
            assert len(store.reviews.list_by_conversation("c-1", newest_first=newest_first)) == 7
    with requests(store, 2):
        page = store.reviews.list_by_conversation("c-1", page_size=3)
    ranged = store.reviews.list_by_conversation(
        "c-1", since=made[2].reviewed_at, until=made[5].reviewed_at
    )
    assert ranged.items == tuple(made[4:1:-1])
    assert store.reviews.list_by_conversation("c-1", until=made[0].reviewed_at).items == ()
    store.conversations.create("u-1", conversation_id="c-2")
    assert store.reviews.list_by_conversation("c-2").items == ()
    assert store.reviews.list_by_conversation("nobody's").items == ()
    with pytest.raises(InvalidCursor):
        store.reviews.list_by_conversation("c-2", cursor=page.cursor)


def test_history_may_be_brought_over_and_the_future_may_not(
    store: ChatStore, clock: FakeClock
) -> None:
    """What lists are sorted by lies at most 5 minutes ahead: as far as clocks may disagree."""
    early = clock() - 5_000 * DAY
    made = store.conversations.create("u-1", conversation_id="c-1", at=early)
    assert made.created_at == early
    old = store.messages.append("c-1", assistant("old", message_id="m", at=early, sent_at=early))
    store.messages.give_feedback("c-1", "m", Feedback(type="positive", given_at=early))
    assert store.reviews.create("c-1", "a", review_id="r", at=early).reviewed_at == early
    assert old.sent_at == early
    soon, later = clock() + timedelta(minutes=5), clock() + timedelta(minutes=5, seconds=1)
    store.conversations.create("u-1", at=soon)
    calls: list[tuple[str, Any]] = [
        ("at", lambda: store.conversations.create("u-1", at=later)),
        ("at", lambda: store.messages.append("c-1", assistant("new", at=later))),
        (
            "feedback.given_at",
            lambda: store.messages.give_feedback(
                "c-1", "m", Feedback(type="negative", given_at=later)
            ),
        ),
        ("at", lambda: store.reviews.create("c-1", "a", at=later)),
        ("at", lambda: store.reviews.archive("r", at=later)),
    ]
    for argument, call in calls:
        with pytest.raises(InvalidArgument, match="5 minutes ahead") as caught:
            call()
        assert caught.value.argument == argument
    assert len(store.conversations.list_by_user("u-1")) == 2
    assert not store.reviews.get("r").is_archived
