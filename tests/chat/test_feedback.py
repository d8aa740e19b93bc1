"""C11 and C12: feedback is given, changed, withdrawn, and found in every index it belongs in."""

from datetime import datetime
from typing import Any

import pytest

from dynamo_chat import ChatStore, Feedback
from dynamo_chat.core.errors import InvalidArgument, InvalidCursor, ItemTooLarge, NotFound
from dynamo_chat.keyspace import FEEDBACK_CATEGORY_SHARDS, FEEDBACK_RANK_SHARDS
from dynamo_chat.testing import FakeClock
from tests.chat.scenes import assistant, say, user
from tests.scene import DAY, MINUTE, SECOND, Scene, drained, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def talk(store: ChatStore) -> str:
    """A conversation with three messages: m-0, m-1, m-2."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    for number in range(3):
        store.messages.append("c-1", assistant(str(number), message_id=f"m-{number}"))
    return "c-1"


def listed(store: ChatStore, feedback_type: Any, **options: Any) -> str:
    """The contents of the messages in a list."""
    page = store.messages.list_by_feedback(feedback_type, **options)
    assert not page.unreadable
    return "".join(message.content for message in page)


def places(store: ChatStore) -> dict[str, str]:
    """Every list that has something in it."""
    found = {}
    for kind in ("positive", "negative"):
        found[kind] = listed(store, kind)
        found |= {f"{kind} {rank}": listed(store, kind, rank=rank) for rank in range(1, 6)}
        found |= {f"{kind} {name}": listed(store, kind, category=name) for name in ("a", "b")}
    return {name: contents for name, contents in found.items() if contents}


def test_what_was_given_is_part_of_the_message(
    scene: Scene, store: ChatStore, talk: str, clock: FakeClock
) -> None:
    """Returned as stored, with the time of giving; nothing else of the message changes."""
    before = store.messages.get(talk, "m-1")
    clock.advance(MINUTE)
    with requests(store, 2):
        given = store.messages.give_feedback(
            talk, "m-1", Feedback(type="positive", rank=5, category="a", text="So true 😀")
        )
    assert given.given_at == clock()
    assert store.messages.get(talk, "m-1") == before.model_copy(update={"feedback": given})
    (found,) = store.messages.list_by_feedback("positive")
    assert found == store.messages.get(talk, "m-1")
    at = clock() - DAY
    given = store.messages.give_feedback(talk, "m-1", Feedback(type="positive", given_at=at))
    assert given.given_at == at


def test_one_request_for_the_stores_own_id(store: ChatStore, talk: str) -> None:
    """The condition that the message exists is the check, with an owner or without."""
    message = store.messages.append(talk, user())
    for owner in (None, "u-1"):
        with requests(store, 1):
            store.messages.give_feedback(
                talk, message.message_id, Feedback(type="negative"), user_id=owner
            )
        with requests(store, 1):
            store.messages.withdraw_feedback(talk, message.message_id, user_id=owner)


@pytest.mark.parametrize("rank", [None, 1, 5])
@pytest.mark.parametrize("category", [None, "a"])
@pytest.mark.parametrize("kind", ["positive", "negative"])
def test_it_stands_in_every_list_it_belongs_in(
    store: ChatStore, talk: str, kind: Any, category: str | None, rank: int | None
) -> None:
    """Under its type, under its rank and under its category, and in no other list."""
    store.messages.give_feedback(talk, "m-1", Feedback(type=kind, rank=rank, category=category))
    expected = {kind: "1"}
    if rank is not None:
        expected[f"{kind} {rank}"] = "1"
    if category is not None:
        expected[f"{kind} {category}"] = "1"
    assert places(store) == expected


def test_changing_it_moves_it(store: ChatStore, talk: str) -> None:
    """Another type, rank or category: out of the old lists, into the new ones."""
    steps: list[tuple[Feedback, dict[str, str]]] = [
        (
            Feedback(type="positive", rank=2, category="a"),
            {"positive": "1", "positive 2": "1", "positive a": "1"},
        ),
        (
            Feedback(type="negative", rank=2, category="a"),
            {"negative": "1", "negative 2": "1", "negative a": "1"},
        ),
        (
            Feedback(type="negative", rank=3, category="b"),
            {"negative": "1", "negative 3": "1", "negative b": "1"},
        ),
        (Feedback(type="negative", rank=3), {"negative": "1", "negative 3": "1"}),
        (Feedback(type="negative"), {"negative": "1"}),
        (Feedback(type="positive", category="b"), {"positive": "1", "positive b": "1"}),
    ]
    for feedback, expected in steps:
        given = store.messages.give_feedback(talk, "m-1", feedback)
        assert places(store) == expected
        assert store.messages.get(talk, "m-1").feedback == given
    for _ in range(2):  # withdrawing what is not there is no error
        store.messages.withdraw_feedback(talk, "m-1")
        assert places(store) == {}
        assert store.messages.get(talk, "m-1").feedback is None


@pytest.mark.once
def test_newest_first_over_all_shards(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """By the time it was given, whatever the rank and whichever the conversation; in pages."""
    letters = "abcdefghijklmnopq"
    for place, letter in enumerate(letters):
        identity = f"talk-{place}"
        store.conversations.create("u-1", conversation_id=identity, title="T")
        message = store.messages.append(identity, assistant(letter))
        clock.advance(MINUTE)
        rank = place % 6 or None
        store.messages.give_feedback(
            identity, message.message_id, Feedback(type="positive", rank=rank, category="a")
        )
    assert listed(store, "positive") == letters[::-1]
    for options in ({}, {"category": "a"}):
        for newest_first in (True, False):
            order = letters[::-1] if newest_first else letters
            for page_size in (1, 5, 16, 17, 18):
                pages = drained(
                    lambda **more: store.messages.list_by_feedback("positive", **more),
                    page_size=page_size,
                    newest_first=newest_first,
                    **options,
                )
                assert "".join(m.content for page in pages for m in page) == order
                assert all(len(page) == page_size for page in pages[:-2])
    assert listed(store, "positive", rank=2) == "oic"


def test_a_range_by_the_time_of_giving(store: ChatStore, talk: str, clock: FakeClock) -> None:
    """[since, until), not by the time of the message."""
    moments = []
    for number in range(3):
        clock.advance(DAY)
        moments.append(clock())
        store.messages.give_feedback(
            talk, f"m-{number}", Feedback(type="positive", rank=1, category="a")
        )
    for options in ({}, {"rank": 1}, {"category": "a"}):

        def found(options: Any = options, **bounds: Any) -> str:
            return listed(store, "positive", **options, **bounds)

        assert found(since=moments[1]) == "21"
        assert found(until=moments[1]) == "0"
        assert found(since=moments[0], until=moments[2]) == "10"
        assert found(since=moments[1], until=moments[1]) == ""


def test_budgets(store: ChatStore, talk: str) -> None:
    """As many queries as partitions."""
    with requests(store, 6 * FEEDBACK_RANK_SHARDS):
        store.messages.list_by_feedback("positive")
    with requests(store, FEEDBACK_RANK_SHARDS):
        store.messages.list_by_feedback("positive", rank=3)
    with requests(store, FEEDBACK_CATEGORY_SHARDS):
        store.messages.list_by_feedback("positive", category="a")


def test_cursors_keep_to_their_list(store: ChatStore, talk: str) -> None:
    """Type, rank and category are part of the question."""
    for number in range(3):
        store.messages.give_feedback(
            talk, f"m-{number}", Feedback(type="positive", rank=1, category="a")
        )
    cursor = store.messages.list_by_feedback("positive", page_size=1).cursor
    for kind, options in (
        ("negative", {}),
        ("positive", {"rank": 1}),
        ("positive", {"category": "a"}),
        ("positive", {"newest_first": False}),
    ):
        with requests(store, 0), pytest.raises(InvalidCursor):
            listed(store, kind, cursor=cursor, **options)


def test_no_such_message(scene: Scene, store: ChatStore, talk: str) -> None:
    """An error, and nothing is left behind."""
    own = store.messages.append(talk, user()).message_id
    store.messages.delete(talk, own)
    store.messages.delete(talk, "m-0")
    before = scene.items()
    for message_id in (own, "m-0", "m-9", f"{talk}~{'0' * 26}"):
        with pytest.raises(NotFound, match="message"):
            store.messages.give_feedback(talk, message_id, Feedback(type="positive"))
        with pytest.raises(NotFound):
            store.messages.withdraw_feedback(talk, message_id)
    with pytest.raises(NotFound):
        store.messages.give_feedback("c-9", "m-1", Feedback(type="positive"))
    assert scene.items() == before


def test_a_deleted_message_leaves_every_list(store: ChatStore, talk: str) -> None:
    """So does a pruned one, and those of a deleted conversation."""
    for number in range(3):
        store.messages.give_feedback(
            talk, f"m-{number}", Feedback(type="positive", rank=1, category="a")
        )
    store.messages.delete(talk, "m-1")
    assert places(store) == {"positive": "20", "positive 1": "20", "positive a": "20"}
    store.messages.prune(talk, 1)
    assert places(store) == {"positive": "2", "positive 1": "2", "positive a": "2"}
    store.conversations.delete(talk)
    assert places(store) == {}


def test_expired_messages_are_passed_over(store: ChatStore, clock: FakeClock) -> None:
    """In every list; and feedback on them is not found."""
    ids: list[str] = []
    for number in range(6):
        identity = f"talk-{number}"
        retention = DAY if number % 2 else None
        store.conversations.create("u-1", conversation_id=identity, retention=retention)
        ids.append(store.messages.append(identity, assistant(str(number))).message_id)
        clock.advance(SECOND)
        store.messages.give_feedback(identity, ids[-1], Feedback(type="positive", category="a"))
    clock.advance(DAY)
    assert places(store) == {"positive": "420", "positive a": "420"}
    with pytest.raises(NotFound):
        store.messages.give_feedback("talk-1", ids[1], Feedback(type="negative"))
    with pytest.raises(NotFound):
        store.messages.withdraw_feedback("talk-1", ids[1])


def test_feedback_survives_an_edit(store: ChatStore, talk: str) -> None:
    """And a renewal of the conversation's deadline."""
    given = store.messages.give_feedback(talk, "m-1", Feedback(type="positive", rank=4))
    store.messages.edit(talk, "m-1", content="edited")
    assert store.messages.get(talk, "m-1").feedback == given
    assert listed(store, "positive") == "edited"


@pytest.mark.parametrize(
    ("argument", "fields"),
    [
        ("type", {}),
        ("type", {"type": "neutral"}),
        ("rank", {"type": "positive", "rank": 0}),
        ("rank", {"type": "positive", "rank": 6}),
        ("rank", {"type": "positive", "rank": 1.0}),
        ("rank", {"type": "positive", "rank": True}),
        ("category", {"type": "positive", "category": ""}),
        ("category", {"type": "positive", "category": "x" * 101}),
        ("category", {"type": "positive", "category": "\ud800"}),
        ("text", {"type": "positive", "text": "\ud800"}),
        ("given_at", {"type": "positive", "given_at": datetime(2025, 1, 1)}),  # noqa: DTZ001
    ],
)
def test_bad_feedback(argument: str, fields: dict[str, Any]) -> None:
    """Refused when it is made, and the part is named."""
    with pytest.raises(InvalidArgument) as refused:
        Feedback(**fields)
    assert refused.value.argument == argument


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("feedback_type", {"feedback_type": "neutral"}),
        ("feedback_type", {"feedback_type": None}),
        ("rank", {"rank": 0}),
        ("rank", {"rank": 6}),
        ("rank", {"rank": True}),
        ("rank", {"rank": "5"}),
        ("category", {"category": ""}),
        ("category", {"category": 5}),
        ("category", {"category": "a", "rank": 1}),
        ("page_size", {"page_size": 0}),
        ("since", {"since": datetime(2025, 1, 1)}),  # noqa: DTZ001
        ("cursor", {"cursor": "x"}),
    ],
)
def test_bad_questions(store: ChatStore, argument: str, options: dict[str, Any]) -> None:
    """Named, and nothing is sent."""
    asked: dict[str, Any] = {"feedback_type": "positive", **options}
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.messages.list_by_feedback(**asked)
    assert refused.value.argument == argument


def test_not_feedback(store: ChatStore, talk: str) -> None:
    """A dict is not taken for it."""
    with requests(store, 0), pytest.raises(InvalidArgument, match="feedback: must be Feedback"):
        store.messages.give_feedback(talk, "m-1", {"type": "positive"})  # type: ignore[arg-type]


def test_feedback_that_does_not_fit(scene: Scene, store: ChatStore, talk: str) -> None:
    """Refused with the size and the limit, and the message stays as it was."""
    before = scene.items()
    noise = "".join(chr(0x4E00 + n * 7_919 % 20_000) for n in range(300_000))
    with pytest.raises(ItemTooLarge, match="allows at most 409,600 bytes") as refused:
        store.messages.give_feedback(talk, "m-1", Feedback(type="positive", text=noise))
    assert refused.value.argument == "feedback"
    assert refused.value.size is not None
    assert refused.value.size > refused.value.limit
    assert scene.items() == before


def test_feedback_that_does_not_fit_beside_the_message(
    scene: Scene, store: ChatStore, talk: str
) -> None:
    """Both together decide; the size in the error is that of the item."""
    noise = "".join(chr(0x4E00 + n * 7_919 % 20_000) for n in range(110_000))
    store.messages.append(talk, assistant(noise, message_id="large"))
    before = scene.items()
    with pytest.raises(ItemTooLarge) as refused:
        store.messages.give_feedback(talk, "large", Feedback(type="positive", text=noise))
    assert refused.value.argument == "feedback"
    assert refused.value.size is not None
    assert 409_600 < refused.value.size < 660_000
    assert scene.items() == before


def test_any_text_may_be_a_category(store: ChatStore, talk: str) -> None:
    """Up to 100 characters."""
    for category in ("#", "$", "a#b", "\x00", "😀" * 100, " "):
        store.messages.give_feedback(talk, "m-1", Feedback(type="positive", category=category))
        assert listed(store, "positive", category=category) == "1"
    assert say(store, talk, "after")
