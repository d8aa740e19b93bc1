"""A table with something in it, to be backed up; what is restored from it goes when a test ends."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dynamo_chat import ChatStore, TableDefinition
from dynamo_chat.core.client import new_session
from dynamo_chat.provision.backups import Backups
from dynamo_chat.testing import Engine

ON = TableDefinition(deletion_protection=False, encryption_managed=False)


@dataclass
class Place:
    """A table with a conversation in it, and the names of those that are restored from it."""

    engine: Engine
    store: ChatStore
    names: list[str] = field(default_factory=list)

    @property
    def backups(self) -> Backups:
        return self.store.table.backups

    @property
    def name(self) -> str:
        return self.store.connection.table_name

    def fresh(self) -> str:
        """The name of a table that is not there yet."""
        self.names.append(f"dynamo-chat-restored-{uuid.uuid4().hex}")
        return self.names[-1]

    def at(self, name: str) -> ChatStore:
        """A store on another table of the engine."""
        return ChatStore(name, region=self.engine.region, endpoint_url=self.engine.endpoint_url)


@pytest.fixture
def place(dynamo_chat_engine: Engine) -> Iterator[Place]:
    engine = dynamo_chat_engine
    store = engine.store(f"dynamo-chat-source-{uuid.uuid4().hex}")
    store.table.create(ON)  # with point-in-time recovery
    store.conversations.create("user-1", conversation_id="talk-1", title="Films")
    made = Place(engine, store)
    yield made
    client = engine.client()
    for name in (made.name, *made.names):
        try:
            client.update_table(TableName=name, DeletionProtectionEnabled=False)
            client.delete_table(TableName=name)
        except client.exceptions.ResourceNotFoundException:
            pass


@pytest.fixture
def bucket(dynamo_chat_engine: Engine) -> Iterator[tuple[str, Any]]:
    engine = dynamo_chat_engine
    client = new_session().create_client(
        "s3", region_name=engine.region, endpoint_url=engine.endpoint_url
    )
    name = f"dynamo-chat-{uuid.uuid4().hex}"
    client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": engine.region}
    )
    yield name, client
    for found in client.list_objects_v2(Bucket=name).get("Contents", []):
        client.delete_object(Bucket=name, Key=found["Key"])
    client.delete_bucket(Bucket=name)
