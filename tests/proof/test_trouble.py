"""What goes wrong in a round, and the order of what is planned."""

import time

import pytest

from dynamo_chat import ChatStore
from proof import faults
from proof.domains import DOMAINS
from proof.steps import Dice, Planner, Step


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made; no time passes."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def test_a_slow_request_waits_and_is_done(chat_store: ChatStore, waits: list[float]) -> None:
    faults.forget()
    with faults.Slow(chat_store.connection.client, "seed", 1.0):
        talk = chat_store.conversations.create("u", conversation_id="c", title="t")
        assert chat_store.conversations.get("c") == talk
    assert faults.forget() == ["Slow", "Slow"]
    assert len(set(waits)) == 2
    assert all(0 <= wait <= faults.SLOWEST for wait in waits)


def test_a_share_of_the_requests_is_slow(chat_store: ChatStore, waits: list[float]) -> None:
    chat_store.conversations.create("u", conversation_id="c")
    with faults.troubled(chat_store.connection.client, "seed", 0.0, slow=0.2):
        for _ in range(200):
            chat_store.conversations.get("c")
    assert 20 < len(waits) < 60
    assert set(faults.forget()) == {"Slow"}


def test_nobody_is_killed_where_faults_are_not_fatal(
    chat_store: ChatStore, waits: list[float]
) -> None:
    """Eight times as many faults as planned, of which the client survives each."""
    chat_store.conversations.create("u", conversation_id="c")
    with faults.troubled(chat_store.connection.client, "seed", 8.0, fatal=False):
        for _ in range(100):
            chat_store.conversations.get("c")
    met = set(faults.forget())
    assert {"Throttled", "ServerError"} <= met
    assert "Kill" not in met


def test_what_is_planned_to_follow_comes_next() -> None:
    """In its order, before anything else is planned."""
    dice = Dice("s", "p")
    planner = iter(Planner(dice, DOMAINS))
    groups = [[Step("a", {})], [Step("b", {}), Step("c", {})]]
    dice.then(*groups)
    assert [next(planner), next(planner)] == groups
    assert next(planner)[0].kind not in {"a", "b", "c"}
