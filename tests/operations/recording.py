"""The requests that the methods of the catalogue send, recorded on the embedded engine."""

import uuid
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple
from unittest.mock import patch

from dynamo_chat import ChatStore
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Stage
from dynamo_chat.catalogue import catalogue
from dynamo_chat.core.connection import Connection
from dynamo_chat.operations.policies import MANAGEMENT
from dynamo_chat.testing import EmbeddedEngine, FakeClock
from dynamo_chat.testing.hook import ClientHook, Handler


class Request(NamedTuple):
    """One request, as the store gave it to botocore."""

    operation: str
    parameters: Mapping[str, Any]


class Recorder(ClientHook):
    """Notes the requests of one client while it is told to."""

    def __init__(self, client: Any, into: list[Request]) -> None:
        super().__init__(client)
        self._into = into

    def handlers(self) -> dict[str, Handler]:
        """As the caller gave them."""
        return {"before-parameter-build.dynamodb": self._note}

    def _note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        self._into.append(Request(model.name, dict(params)))


def record_management() -> dict[str, list[Request]]:
    """The requests of every method that manages the table, on whichever table it sends them."""
    recorded: defaultdict[str, list[Request]] = defaultdict(list)
    sent: list[Request] = []
    call, clock = Connection.call, FakeClock()

    def noted(connection: Connection, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        sent.append(Request(operation, dict(request)))
        return call(connection, operation, request)

    with EmbeddedEngine() as engine, patch.object(Connection, "call", noted):
        main = engine.store(f"dynamo-chat-recorded-{uuid.uuid4().hex}", clock=clock)

        def new_store(table_name: str | None) -> ChatStore:
            name = table_name or main.connection.table_name
            return ChatStore(name, region=engine.region, clock=clock)

        stage = Stage(new_store, clock)
        for entry in catalogue():
            if entry.domain == MANAGEMENT:
                for case in scenarios()[entry.method](stage):
                    sent.clear()
                    case.call()
                    recorded[entry.method] += sent
        stage.close()
    return dict(recorded)


def record_catalogue() -> dict[str, list[Request]]:
    """The requests of every method on items, in all its cases, by the method's name."""
    recorded: defaultdict[str, list[Request]] = defaultdict(list)
    sent: list[Request] = []
    clock = FakeClock()
    with EmbeddedEngine() as engine:
        main = engine.store(f"recorded-{uuid.uuid4().hex}", clock=clock)

        def new_store(table_name: str | None) -> ChatStore:
            name = table_name or main.connection.table_name
            store = ChatStore(name, region=engine.region, clock=clock)
            Recorder(store.connection.client, sent).attach()
            return store

        stage = Stage(new_store, clock)
        for entry in catalogue():
            if entry.domain == MANAGEMENT or entry.method not in scenarios():
                continue
            for case in scenarios()[entry.method](stage):
                stage.later()
                sent.clear()
                case.call()
                recorded[entry.method] += sent
        stage.close()
    return dict(recorded)
