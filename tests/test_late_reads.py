"""What is done about reads that are late, where a caller would notice."""

import math
from collections.abc import Iterator
from datetime import timedelta

import pytest

from dynamo_chat import ChatStore, NewEmail, NewInteraction, NewMessage, NotFound
from dynamo_chat.testing import Lag
from tests.scene import DAY, MINUTE, Scene, requests

pytestmark = pytest.mark.engine
AGES = 36_500 * DAY
"""As late as this, a read shows nothing that was written since the lag began."""


@pytest.fixture
def lag(scene: Scene) -> Iterator[Lag]:
    """Where stores that are late are attached."""
    with Lag(AGES, seed=1, clock=scene.clock) as made:
        yield made


@pytest.fixture
def late(scene: Scene, lag: Lag) -> ChatStore:
    """A server whose plain reads are late from the first one on."""
    return lag.attach(scene.new_store())


def interaction() -> NewInteraction:
    return NewInteraction(
        account_id="acme",
        function_name="answer",
        model_used="m",
        prompt_tokens=1,
        response_tokens=1,
        response_time_ms=1,
    )


def test_calls_that_another_ended_are_not_counted_as_ended_here(scene: Scene, lag: Lag) -> None:
    for user in ("ann", "bob", "cem", "dan"):
        scene.store.callers.create(user)
    for number, (one, two) in enumerate((("ann", "bob"), ("cem", "dan"))):
        scene.store.calls.start(one, two, room_name=f"r{number}", call_id=f"c{number}")
        scene.clock.advance(1)
    scene.clock.advance(timedelta(hours=3))
    late = lag.attach(scene.new_store())
    lag.attach(scene.store).calls.end("c0")
    ended = late.calls.end_overdue(timedelta(hours=1), limit=1)
    assert [call.call_id for call in ended] == ["c1"]
    assert scene.store.calls.get("c1", consistent=True).ended_at is not None


def test_a_report_from_an_older_index_replaces_none_from_a_newer_one(
    scene: Scene, late: ChatStore
) -> None:
    month = f"{scene.clock.now():%Y-%m}"
    for _ in range(3):
        scene.store.llm.record("talk", interaction())
    full = scene.store.reports.build("acme", month)
    assert full.total_requests == 3
    scene.clock.advance(1)
    assert late.reports.build("acme", month) == full
    assert scene.store.reports.get(full.report_id, consistent=True) == full


def test_a_report_gets_smaller_when_less_is_left(scene: Scene) -> None:
    month = f"{scene.clock.now():%Y-%m}"
    for _ in range(2):
        scene.store.llm.record("talk", interaction())
    scene.store.reports.build("acme", month)
    for each in [*scene.store.llm.iterate_by_account("acme")][:1]:
        scene.store.llm.delete("talk", each.interaction_id, each.generated_at)
    scene.clock.advance(MINUTE + timedelta(seconds=1))
    assert scene.store.reports.build("acme", month).total_requests == 1


def test_a_member_who_was_removed_is_none_at_once(scene: Scene, lag: Lag) -> None:
    for user in ("ann", "bob"):
        scene.store.users.create(f"{user}@example.com", user_id=user)
    scene.store.organizations.create("Acme", "ann", organization_id="acme")
    scene.store.members.add("acme", "bob", role="admin")
    late = lag.attach(scene.new_store())
    lag.attach(scene.store).members.remove("acme", "bob")
    assert late.members.get("acme", "bob", consistent=False).role == "admin"
    with pytest.raises(NotFound):
        late.members.get("acme", "bob")


def test_the_call_in_a_room_is_the_one_that_is_there_now(scene: Scene, lag: Lag) -> None:
    for user in ("ann", "bob"):
        scene.store.callers.create(user)
    scene.store.calls.start("ann", "bob", room_name="blue", call_id="first")
    late = lag.attach(scene.new_store())
    lag.attach(scene.store).calls.end("first")
    scene.store.calls.start("ann", "bob", room_name="blue", call_id="second")
    assert late.calls.get_by_room("blue").call_id == "second"
    assert late.calls.get_by_room("blue", consistent=False).call_id == "first"


def test_a_review_and_exchanges_are_read_at_once_if_asked_for(
    scene: Scene, late: ChatStore
) -> None:
    talk = late.conversations.create("ann").conversation_id
    late.messages.append(talk, NewMessage(role="user", content="Hi"))
    review = late.reviews.create(talk, "ann")
    with pytest.raises(NotFound):
        late.reviews.get(review.review_id)
    assert late.reviews.get(review.review_id, consistent=True) == review
    assert len(late.messages.list_exchanges(talk, consistent=True)) == 1


@pytest.mark.once
def test_an_email_whose_content_is_late_is_shown_with_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record and its content are two items, and one of them was read from another moment."""

    def moment(_: Lag, place: tuple[str, ...], now: float) -> float:
        return -math.inf if place[-1].endswith("content#") else now

    monkeypatch.setattr(Lag, "_moment", moment)
    with Lag(AGES, seed=1, clock=scene.clock, torn=True) as lag:
        late = lag.attach(scene.new_store())
        added = late.emails.add(
            "talk",
            NewEmail(
                account_id="acme",
                sender_email="a@example.com",
                recipient_email="b@example.com",
                body="Hello",
            ),
        )
        assert [each.body for each in late.emails.list_by_conversation("talk")] == ["Hello"]
        assert late.emails.get("talk", added.response_id).body == "Hello"
        assert lag.late


def test_a_late_read_makes_no_store_forget_what_it_knows(scene: Scene, lag: Lag) -> None:
    """The append after it knows that the conversation has a title, and takes one request."""
    talk = scene.store.conversations.create("ann").conversation_id
    late = lag.attach(scene.new_store())
    late.messages.append(talk, NewMessage(role="user", content="Hi"))
    assert late.conversations.get(talk).title is None
    assert late.messages.latest(talk, 5) == ()
    with requests(late, 1):
        late.messages.append(talk, NewMessage(role="user", content="Hi again"))
