"""An id that is somebody else's is refused to whoever brings it, and nothing of theirs is shown."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dynamo_chat import AlreadyExists, ChatStore, Conflict, NewEmail, NewInteraction, NewInvocation
from dynamo_chat.testing import EmbeddedEngine, FakeClock

_NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

Bring = Callable[[ChatStore, str, str], Any]
"""Makes something under one id, for an owner, with words of theirs."""


def _email(store: ChatStore, owner: str, words: str) -> Any:
    said = NewEmail(
        account_id=owner,
        sender_email="a@example.com",
        recipient_email="b@example.com",
        body=words,
        response_id="r-1",
    )
    return store.emails.add("talk-1", said)


def _interaction(store: ChatStore, owner: str, words: str) -> Any:
    used = NewInteraction(
        account_id=owner,
        function_name="f",
        model_used="m",
        prompt_tokens=1,
        response_tokens=1,
        response_time_ms=1,
        interaction_id="i-1",
        generated_at=_NOON,
        prompt=words,
    )
    return store.llm.record("talk-1", used)


def _invocation(store: ChatStore, owner: str, words: str) -> Any:
    ran = NewInvocation(
        account_id=owner,
        function_name="f",
        status="error",
        duration_ms=Decimal(1),
        invocation_id="v-1",
        error_message=words,
    )
    return store.invocations.record(ran)


def _report(store: ChatStore, owner: str, words: str) -> Any:
    built = store.reports.build(owner, "2026-01")
    changes = {"report_id": "p-1", "report_period": words}
    return store.reports.load(built.model_copy(update=changes))


def _invite(store: ChatStore, owner: str, words: str) -> Any:
    address = f"{words}@example.com"
    return store.invites.create(owner, address, invited_by="boss", invite_id="n-1")


def _organization(store: ChatStore, owner: str, words: str) -> Any:
    return store.organizations.create(words, owner, organization_id="o-1")


def _user(store: ChatStore, owner: str, words: str) -> Any:
    return store.users.create(f"{owner}@example.com", user_id="u-1", name=words)


def _review(store: ChatStore, owner: str, words: str) -> Any:
    return store.reviews.create("talk-3", owner, comments=words, review_id="w-1")


def _call(store: ChatStore, owner: str, words: str) -> Any:
    return store.calls.start(owner, f"friend of {owner}", call_id="c-1", room_name=words)


@pytest.fixture(scope="module")
def store() -> Iterator[ChatStore]:
    with EmbeddedEngine() as engine:
        store = engine.store("taken-ids", clock=FakeClock(_NOON))
        for owner in ("ann", "eve"):
            store.users.create(f"founder-{owner}@example.com", user_id=owner)
            store.organizations.create(owner, owner, organization_id=owner)
            for each in (owner, f"friend of {owner}"):
                store.callers.create(each)
        store.conversations.create("bob", conversation_id="talk-3")
        yield store


@pytest.mark.parametrize(
    "bring",
    [
        _email,
        _interaction,
        _invocation,
        _report,
        _invite,
        _organization,
        _user,
        _review,
    ],
)
def test_a_taken_id_shows_what_is_there_to_its_owner_alone(store: ChatStore, bring: Bring) -> None:
    bring(store, "ann", "secret")
    with pytest.raises(AlreadyExists) as own:
        bring(store, "ann", "changed")
    assert "secret" in repr(own.value.current)
    with pytest.raises(Conflict) as foreign:
        bring(store, "eve", "curious")
    assert foreign.value.current is None
    assert "secret" not in str(foreign.value)
    # Nor is it told by saying the very same.
    with pytest.raises(Conflict) as same:
        bring(store, "eve", "secret")
    assert same.value.current is None


def test_a_taken_caller_is_shown_to_whoever_has_its_address(store: ChatStore) -> None:
    """A user id that was given anew is another person's: the address tells them apart."""
    store.callers.create("u-2", email="secret@example.com", time_zone="Europe/Paris")
    with pytest.raises(AlreadyExists) as own:
        store.callers.create("u-2", email="secret@example.com")
    assert own.value.current is not None
    for curious in ("curious@example.com", None):
        with pytest.raises(AlreadyExists) as foreign:
            store.callers.create("u-2", email=curious)
        assert foreign.value.current is None


def test_a_taken_call_shows_nobody_elses(store: ChatStore) -> None:
    _call(store, "ann", "secret")
    with pytest.raises(AlreadyExists) as foreign:
        _call(store, "eve", "curious")
    assert foreign.value.current is None
    assert "secret" not in str(foreign.value)
    assert "ann" not in str(foreign.value)


def test_a_taken_conversation_shows_nobody_elses(store: ChatStore) -> None:
    store.conversations.create("ann", conversation_id="talk-4", title="secret")
    with pytest.raises(AlreadyExists) as foreign:
        store.conversations.create("eve", conversation_id="talk-4", title="secret")
    assert foreign.value.current is None
    assert "secret" not in str(foreign.value)


def test_a_taken_login_secret_shows_nobodys(store: ChatStore) -> None:
    store.logins.create("ann", secret="s" * 40, user_agent="secret")
    with pytest.raises(AlreadyExists) as foreign:
        store.logins.create("eve", secret="s" * 40)
    assert foreign.value.current is None
    assert "ann" not in str(foreign.value)


def test_a_taken_response_id_is_told_like_a_free_one(store: ChatStore) -> None:
    """To another account, a conversation is one and the same, whatever e-mails it has."""
    store.emails.add("talk-2", _new("ann", "r-2"))
    errors = []
    for response_id in ("r-2", "r-3"):
        with pytest.raises(Conflict) as refused:
            store.emails.add("talk-2", _new("eve", response_id))
        errors.append((type(refused.value), str(refused.value), refused.value.current))
    assert errors[0] == errors[1]


def _new(owner: str, response_id: str) -> NewEmail:
    return NewEmail(
        account_id=owner,
        sender_email="a@example.com",
        recipient_email="b@example.com",
        response_id=response_id,
    )
