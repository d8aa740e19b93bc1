"""The store's tools know Pydantic AI's records: the catalogue, export, erasure, the doctor."""

from dataclasses import replace
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.cases.playing import measure_all
from dynamo_chat.catalogue import catalogue
from dynamo_chat.integrations.pydantic_ai import DynamoConversationStore
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.testing.engine import Engine
from tests.integrations.pydantic_ai.stored import AsyncRecordStore, RecordStore, conversation
from tests.integrations.served import served
from tests.scene import Scene


@pytest.mark.once
def test_the_catalogue_knows_the_patterns(dynamo_chat_engine: Engine) -> None:
    """Each has a worked call, which keeps its budget."""

    def factory(table_name: str | None = None, **options: Any) -> ChatStore:
        name = table_name or "pydantic-ai-cases"
        made: ChatStore = dynamo_chat_engine.store(name, store=RecordStore, **options)
        return made

    entries = [
        entry for entry in catalogue(RecordStore) if entry.method.startswith("pydantic_ai_records.")
    ]
    measured = list(measure_all(factory, entries))
    assert len(measured) == 3
    assert [(each.entry.method, each.problems) for each in measured if each.problems] == []


@pytest.mark.once
def test_exported_erased_and_examined(scene: Scene) -> None:
    """A record is part of its conversation, and goes with the person's data."""

    async def work(store: Any) -> None:
        for user in ("u-1", "u-2"):
            talk = replace(conversation(), conversation_id=f"of {user}")
            await DynamoConversationStore(store, user).save(talk)

    served(scene, work, AsyncRecordStore)
    engine = scene.engine
    store = RecordStore(
        scene.table, region=engine.region, endpoint_url=engine.endpoint_url, clock=scene.clock
    )
    doctor = Doctor(store.connection, DoctorOptions(settle_seconds=0), store=RecordStore)
    assert not doctor.examine().findings
    kinds = {each.kind for each in store.people.export("u-1")}
    assert kinds == {"conversation", "message", "pydantic_ai_record"}
    store.people.erase("u-1")
    assert [*store.people.export("u-1")] == []
    assert len([*store.people.export("u-2")]) == 2 + len(conversation().messages)
