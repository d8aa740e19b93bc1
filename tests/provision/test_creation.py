"""Creating the table when DynamoDB is not ready for all of it at once."""

import uuid

import pytest

from dynamo_chat import ChatStore, RequestRejected
from dynamo_chat.provision import table
from dynamo_chat.testing import EmbeddedEngine, ErrorAnswer, FaultInjector


def injected(engine: EmbeddedEngine, code: str, times: int) -> tuple[ChatStore, FaultInjector]:
    # A name of its own: an engine inside of another has the tables of that one.
    store = ChatStore(f"chat-created-{uuid.uuid4().hex}", region=engine.region)
    injector = FaultInjector(store.connection.client)
    fault = ErrorAnswer(code, "not yet", 400)
    injector.plan(fault, times=times, operation="UpdateContinuousBackups")
    return store, injector


def test_recovery_is_switched_on_as_soon_as_a_new_table_is_ready_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table, "_POLL_SECONDS", 0.0)
    with EmbeddedEngine() as engine:
        store, injector = injected(engine, table.BACKUPS_NOT_YET, times=3)
        with injector:
            assert store.table.create()
        assert len(injector.injected) == 3
        assert store.table.check() == []


def test_another_refusal_of_recovery_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_POLL_SECONDS", 0.0)
    with EmbeddedEngine() as engine:
        store, injector = injected(engine, "SomethingElseException", times=1)
        with injector, pytest.raises(RequestRejected, match="SomethingElse"):
            store.table.create()
