"""C13 to C15: reviews are written once, found by id, by conversation and by status."""

from datetime import datetime
from typing import Any

import pytest

from dynamo_chat import ChatStore, Review
from dynamo_chat.chat import reviews
from dynamo_chat.core.errors import (
    AlreadyExists,
    CorruptItem,
    InvalidArgument,
    InvalidCursor,
    InvalidKey,
    NotFound,
)
from dynamo_chat.keyspace import REVIEW_SHARDS
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import not_there
from tests.scene import DAY, MINUTE, SECOND, Scene, drained, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation."""
    return store.conversations.create("u-1", conversation_id="c-1", title="T").conversation_id


def ids(reviews: Any) -> list[str]:
    assert not reviews.unreadable
    return [review.review_id for review in reviews]


def test_what_was_written_is_what_is_read(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """In one request where the conversation is known; in two by its id."""
    at = clock() - DAY
    with requests(store, 1):
        made = store.reviews.create(talk, "admin", comments="Good.", review_id="r-1", at=at)
    assert (made.reviewed_by, made.comments, made.reviewed_at) == ("admin", "Good.", at)
    assert made.archived_at is None
    assert not made.is_archived
    with requests(store, 2):
        assert store.reviews.get("r-1") == made
    least = store.reviews.create(talk, "admin")
    assert (least.comments, least.reviewed_at) == (None, clock())
    assert store.reviews.get(least.review_id) == least


def test_comments_are_short_and_older_longer_ones_stay(
    store: ChatStore, talk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in two indexes. A longer one, which was allowed before, is read and archived."""
    longest = "x" * reviews.MAX_COMMENTS
    with pytest.raises(InvalidArgument) as refused:
        store.reviews.create(talk, "admin", comments=longest + "x")
    assert refused.value.argument == "comments"
    assert store.reviews.create(talk, "admin", comments=longest).comments == longest
    with monkeypatch.context() as before:
        before.setattr(reviews, "MAX_COMMENTS", 10**6)
        made = store.reviews.create(talk, "admin", comments=longest * 10, review_id="r-1")
    assert store.reviews.get("r-1") == made
    assert store.reviews.archive("r-1").comments == made.comments
    (listed,) = store.reviews.list_by_status(archived=True).items
    assert listed.comments == made.comments


def test_writing_again_returns_what_is_there(
    scene: Scene, store: ChatStore, talk: str, clock: FakeClock
) -> None:
    """The same review; another one under the id is refused, and shows only the reviewer's own."""
    made = store.reviews.create(talk, "admin", comments="Good.", review_id="r-1")
    store.conversations.create("u-1", conversation_id="c-2")
    clock.advance(DAY)
    before = scene.items()
    for each in (store, scene.new_store()):
        assert each.reviews.create(talk, "admin", comments="Good.", review_id="r-1") == made
    for arguments in (
        (talk, "admin", "Bad."),
        (talk, "other", "Good."),
        ("c-2", "admin", "Good."),
        (talk, "admin", None),
    ):
        conversation_id, reviewer, comments = arguments
        with pytest.raises(AlreadyExists, match="review id 'r-1' is taken") as refused:
            store.reviews.create(conversation_id, reviewer, comments=comments, review_id="r-1")
        is_own = (conversation_id, reviewer) == (talk, "admin")
        assert refused.value.current == (made if is_own else None)
    assert scene.items() == before


def test_archiving(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """Once: archiving again changes nothing; it moves from one list to the other."""
    made = store.reviews.create(talk, "admin", comments="Good.", review_id="r-1")
    clock.advance(DAY)
    with requests(store, 2):
        archived = store.reviews.archive("r-1")
    assert archived == made.model_copy(update={"archived_at": clock()})
    assert archived.is_archived
    clock.advance(DAY)
    assert store.reviews.archive("r-1") == archived
    assert store.reviews.archive("r-1", at=clock()) == archived
    assert store.reviews.get("r-1") == archived
    assert store.reviews.list_by_conversation(talk).items == (archived,)
    for reviewer in (None, "admin"):
        listed = store.reviews.list_by_status
        assert ids(listed(reviewed_by=reviewer)) == []
        assert ids(listed(archived=True, reviewed_by=reviewer)) == ["r-1"]
    at = clock() - 5 * DAY
    store.reviews.create(talk, "admin", review_id="r-2")
    assert store.reviews.archive("r-2", at=at).archived_at == at


@pytest.fixture
def many(store: ChatStore, talk: str, clock: FakeClock) -> list[Review]:
    """Nine reviews by two reviewers, every third of them archived, oldest first."""
    store.conversations.create("u-1", conversation_id="c-2")
    made = []
    for number in range(9):
        made.append(
            store.reviews.create(
                talk if number % 2 else "c-2", f"admin-{number % 2}", review_id=f"r-{number}"
            )
        )
        if number % 3 == 0:
            store.reviews.archive(f"r-{number}")
        clock.advance(MINUTE)
    return made


def test_by_conversation(store: ChatStore, talk: str, many: list[Review]) -> None:
    """Newest first, in one request, in ranges and pages."""
    with requests(store, 1):
        assert ids(store.reviews.list_by_conversation(talk)) == ["r-7", "r-5", "r-3", "r-1"]
    listed = store.reviews.list_by_conversation
    assert ids(listed(talk, newest_first=False, consistent=True)) == ["r-1", "r-3", "r-5", "r-7"]
    since, until = many[3].reviewed_at, many[7].reviewed_at
    assert ids(listed(talk, since=since, until=until)) == ["r-5", "r-3"]
    pages = drained(lambda **more: listed(talk, page_size=3, **more))
    assert [ids(page) for page in pages if page.items] == [["r-7", "r-5", "r-3"], ["r-1"]]
    assert ids(listed("nobody")) == []


def test_by_status(store: ChatStore, many: list[Review]) -> None:
    """Of all reviewers, over the shards; of one, in one request."""
    listed = store.reviews.list_by_status
    with requests(store, REVIEW_SHARDS):
        assert ids(listed()) == ["r-8", "r-7", "r-5", "r-4", "r-2", "r-1"]
    assert ids(listed(archived=True)) == ["r-6", "r-3", "r-0"]
    with requests(store, 1):
        assert ids(listed(reviewed_by="admin-0")) == ["r-8", "r-4", "r-2"]
    assert ids(listed(reviewed_by="admin-1", archived=True, newest_first=False)) == ["r-3"]
    assert ids(listed(reviewed_by="admin-")) == []
    since, until = many[2].reviewed_at, many[7].reviewed_at
    for reviewer, expected in ((None, ["r-5", "r-4", "r-2"]), ("admin-0", ["r-4", "r-2"])):
        assert ids(listed(reviewed_by=reviewer, since=since, until=until)) == expected
        pages = drained(
            listed,
            reviewed_by=reviewer,
            since=since,
            until=until,
            page_size=2,
        )
        assert [each for page in pages for each in ids(page)] == expected


def test_cursors_keep_to_their_list(store: ChatStore, talk: str, many: list[Review]) -> None:
    """Status and reviewer are part of the question."""
    reviews = store.reviews
    cursor = reviews.list_by_status(page_size=1).cursor
    own = reviews.list_by_status(page_size=1, reviewed_by="admin-0").cursor
    of_talk = reviews.list_by_conversation(talk, page_size=1).cursor
    attempts: list[Any] = [
        lambda: reviews.list_by_status(cursor=cursor, archived=True),
        lambda: reviews.list_by_status(cursor=cursor, reviewed_by="admin-0"),
        lambda: reviews.list_by_status(cursor=own, reviewed_by="admin-1"),
        lambda: reviews.list_by_status(cursor=own),
        lambda: reviews.list_by_status(cursor=of_talk),
        lambda: reviews.list_by_conversation("c-2", cursor=of_talk),
        lambda: reviews.list_by_conversation(talk, cursor=cursor),
    ]
    for attempt in attempts:
        with requests(store, 0), pytest.raises(InvalidCursor):
            attempt()


def test_no_such_review(store: ChatStore) -> None:
    """Not found, by either call."""
    for call in (store.reviews.get, store.reviews.archive):
        with pytest.raises(NotFound, match="review 'r-9' was not found"):
            call("r-9")


def test_no_such_conversation(scene: Scene, store: ChatStore) -> None:
    """Nothing is reviewed that is not there, and nothing is left behind."""
    identities = not_there(scene, store)
    before = scene.items()
    for each in (store, scene.new_store()):
        for identity in identities:
            with pytest.raises(NotFound, match="conversation"):
                each.reviews.create(identity, "admin", review_id="r-1")
    assert scene.items() == before


def test_reviews_go_with_their_conversation(scene: Scene, store: ChatStore) -> None:
    """Deleted, expired or slid away: by id they are not found; a deleted one is in no list."""
    not_there(scene, store, lambda each: store.reviews.create(each, "admin", review_id=f"r-{each}"))
    assert not [item for item in scene.items() if "gone" in item["PK"]["S"]]
    for identity in ("gone", "fixed", "slid"):
        with pytest.raises(NotFound):
            store.reviews.get(f"r-{identity}")
    for identity in ("gone", "fixed"):
        with pytest.raises(NotFound):
            store.reviews.archive(f"r-{identity}")
        assert ids(store.reviews.list_by_conversation(identity)) == []
    scene.clock.advance(DAY)
    assert ids(store.reviews.list_by_status()) == []
    assert ids(store.reviews.list_by_status(reviewed_by="admin")) == []


def test_the_id_of_an_expired_review_is_free(store: ChatStore, clock: FakeClock) -> None:
    """And deleting the old conversation's leftovers does not take it from the new review."""
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY)
    store.reviews.create("c-1", "admin", review_id="r-1")
    clock.advance(DAY + SECOND)
    store.conversations.create("u-1", conversation_id="c-2")
    made = store.reviews.create("c-2", "other", review_id="r-1")
    store.conversations.create("u-1", conversation_id="c-1")
    store.conversations.delete("c-1")
    assert store.reviews.get("r-1") == made
    # In the same conversation: the leftover and the new one are two items of one id.
    store.conversations.create("u-1", conversation_id="c-3", retention=DAY)
    store.reviews.create("c-3", "admin", review_id="r-3")
    clock.advance(DAY + SECOND)
    store.conversations.create("u-1", conversation_id="c-3")
    store.reviews.create("c-3", "admin", review_id="r-3")
    store.conversations.delete("c-3")
    with pytest.raises(NotFound):
        store.reviews.get("r-3")


def test_the_id_of_a_review_that_slid_away_is_free(store: ChatStore, clock: FakeClock) -> None:
    """Although its items outlive its conversation."""
    store.conversations.create("u-1", conversation_id="c-1", retention=DAY, sliding=True)
    store.reviews.create("c-1", "admin", review_id="r-1")
    store.conversations.create("u-1", conversation_id="c-2")
    clock.advance(DAY - SECOND)
    with pytest.raises(AlreadyExists):
        store.reviews.create("c-2", "other", review_id="r-1")
    clock.advance(SECOND)
    made = store.reviews.create("c-2", "other", review_id="r-1")
    assert store.reviews.get("r-1") == made
    store.conversations.create("u-1", conversation_id="c-1")
    assert store.conversations.delete("c-1")
    assert store.reviews.get("r-1") == made


def test_a_damaged_id_item(scene: Scene, store: ChatStore, talk: str) -> None:
    """Told."""
    store.reviews.create(talk, "admin", review_id="r-1")
    item = scene.only("review_id")
    for damage in ({"reviewed_at": {"S": "once"}}, {"conversation_id": {"N": "1"}}):
        scene.put({**item, **damage})
        for call in (store.reviews.get, store.reviews.archive):
            with pytest.raises(CorruptItem, match="review_id"):
                call("r-1")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("conversation_id", ""),
        ("conversation_id", 5),
        ("reviewed_by", ""),
        ("reviewed_by", None),
        ("reviewed_by", "x" * 257),
        ("review_id", ""),
        ("review_id", 5),
        ("comments", 5),
        ("comments", "\ud800"),
        ("at", datetime(2025, 1, 1)),  # noqa: DTZ001 - naive on purpose
        ("at", "now"),
    ],
)
def test_bad_arguments(
    scene: Scene, store: ChatStore, talk: str, argument: str, value: Any
) -> None:
    """Named, and nothing is written."""
    before = scene.items()
    arguments: dict[str, Any] = {
        "conversation_id": talk,
        "reviewed_by": "admin",
        argument: value,
    }
    with pytest.raises(InvalidArgument) as refused:
        store.reviews.create(**arguments)
    assert refused.value.argument == argument
    assert scene.items() == before


def test_bad_questions(store: ChatStore, talk: str) -> None:
    """Named, and nothing is sent."""
    attempts: list[tuple[str, Any]] = [
        ("archived", lambda: store.reviews.list_by_status(archived=1)),  # type: ignore[arg-type]
        ("reviewed_by", lambda: store.reviews.list_by_status(reviewed_by="")),
        ("page_size", lambda: store.reviews.list_by_status(page_size=0)),
        ("cursor", lambda: store.reviews.list_by_conversation(talk, cursor="x")),
        ("review_id", lambda: store.reviews.get("")),
        ("review_id", lambda: store.reviews.archive(5)),  # type: ignore[arg-type]
        ("at", lambda: store.reviews.archive("r", at=5)),  # type: ignore[arg-type]
    ]
    for argument, attempt in attempts:
        with requests(store, 0), pytest.raises(InvalidArgument) as refused:
            attempt()
        assert refused.value.argument == argument


def test_ids_too_long_together(scene: Scene, store: ChatStore) -> None:
    """Each may be 256 characters; what does not fit into a key is refused and named."""
    store.conversations.create("u-1", conversation_id="c" * 256)
    made = store.reviews.create("c" * 256, "a" * 256, review_id="r" * 256)
    assert store.reviews.get("r" * 256) == made
    before = scene.items()
    with pytest.raises(InvalidKey) as refused:
        store.reviews.create("c" * 256, "a", review_id="😀" * 200)
    assert refused.value.argument == "review_id"
    assert scene.items() == before
