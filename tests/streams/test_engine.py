"""Records as an engine makes them: for every entity and kind of change, and for the store's work.

No engine sends TTL expiries: those are an engine's removals with DynamoDB's identity added.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config
from hypothesis import assume, given, settings, strategies as st

from dynamo_chat import (
    Change,
    Changed,
    ChatStore,
    Created,
    Deleted,
    Expired,
    Feedback,
    Message,
    NewEmail,
    NewMessage,
    parse_stream_record,
)
from dynamo_chat.core.client import new_session
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.item import plan
from dynamo_chat.mail.email import EmailContent, EmailSummary
from dynamo_chat.testing import Engine
from tests.streams.record import TTL_SERVICE, TTL_SERVICE_OF_THE_API, as_lambda
from tests.streams.strategies import ENTITIES, entities

pytestmark = [pytest.mark.engine, pytest.mark.once]


class Tail:
    """Reads the stream of a store's table: each call gives what came since the last."""

    def __init__(self, store: ChatStore, client: Any) -> None:
        self.store = store
        self.client = client
        self.seen: set[str] = set()

    def records(self) -> list[dict[str, Any]]:
        name = self.store.connection.table_name
        (stream,) = self.client.list_streams(TableName=name)["Streams"]
        described = self.client.describe_stream(StreamArn=stream["StreamArn"])
        found: list[dict[str, Any]] = []
        # From the start each time: the embedded engine forgets iterators when it rolls back.
        for shard in described["StreamDescription"]["Shards"]:
            iterator = self.client.get_shard_iterator(
                StreamArn=stream["StreamArn"],
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )["ShardIterator"]
            found += self.client.get_records(ShardIterator=iterator)["Records"]
        fresh = [each for each in found if each["eventID"] not in self.seen]
        self.seen.update(each["eventID"] for each in fresh)
        return fresh

    def changes(self) -> list[Change]:
        """Parsed twice: as GetRecords tells them, and as Lambda would."""
        records = self.records()
        told = [change for each in records if (change := parse_stream_record(each))]
        events = [change for each in records if (change := parse_stream_record(as_lambda(each)))]
        assert told == events
        return told


@pytest.fixture(scope="module")
def tail(dynamo_chat_engine: Engine) -> Iterator[Tail]:
    engine = dynamo_chat_engine
    store = engine.store(f"dynamo-chat-stream-{uuid.uuid4()}")
    client = store.connection.client
    client.update_table(
        TableName=store.connection.table_name,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    streams = new_session().create_client(
        "dynamodbstreams",
        region_name=engine.region,
        endpoint_url=engine.endpoint_url,
        config=Config(account_id_endpoint_mode="disabled"),
    )
    yield Tail(store, streams)
    client.delete_table(TableName=store.connection.table_name)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.__name__)
@settings(max_examples=2)  # for each entity
@given(data=st.data())
def test_every_change_of_every_entity(
    tail: Tail, entity: type[Entity], data: st.DataObject
) -> None:
    before = data.draw(entities(entity))
    keys = {*plan(entity).pk_names, *plan(entity).sk_names} & set(entity.model_fields)
    after = data.draw(entities(entity)).model_copy(
        update={name: getattr(before, name) for name in keys}
    )
    old, new = plan(entity).encode(before), plan(entity).encode(after)
    assume(old != new)
    connection = tail.store.connection
    table = {"TableName": connection.table_name}
    connection.call("PutItem", {**table, "Item": old})
    connection.call("PutItem", {**table, "Item": new})
    connection.call("DeleteItem", {**table, "Key": {name: new[name] for name in ("PK", "SK")}})
    records = tail.records()
    told = [Created(before), Changed(before, after), Deleted(after)]
    assert [parse_stream_record(each) for each in records] == told
    assert [parse_stream_record(as_lambda(each)) for each in records] == told
    removed = records[-1]
    expired = {**removed, "userIdentity": TTL_SERVICE_OF_THE_API}
    assert parse_stream_record(expired) == Expired(after)
    event = {**as_lambda(removed), "userIdentity": TTL_SERVICE}
    assert parse_stream_record(event) == Expired(after)


def names(changes: list[Change]) -> list[tuple[str, str]]:
    """What happened to which entity."""
    return [
        (
            type(change).__name__,
            type(change.entity if isinstance(change, Created) else change.before).__name__,
        )
        for change in changes
    ]


def test_a_conversation_from_its_first_to_its_last_item(tail: Tail) -> None:
    store = tail.store
    talk = store.conversations.create("user-1", title="Films", conversation_id="talk-1")
    long = "It was a dark and stormy night. " * 100
    message = store.messages.append(
        talk.conversation_id, NewMessage(role="user", content=long, message_id="m-1")
    )
    head = store.conversations.get(talk.conversation_id)
    assert sorted(tail.changes(), key=repr) == sorted(
        [Created(talk), Created(message), Changed(talk, head)], key=repr
    )
    store.messages.give_feedback(talk.conversation_id, "m-1", Feedback(type="positive", rank=5))
    rated = store.messages.get(talk.conversation_id, "m-1")
    assert rated.feedback is not None
    assert tail.changes() == [Changed(message, rated)]
    store.conversations.delete(talk.conversation_id)
    assert tail.changes() == [Deleted(head), Deleted(rated)]
    again = store.conversations.create("user-2", conversation_id="talk-1")
    assert tail.changes() == [Created(again)]


def test_a_user_with_a_login_and_an_organization(tail: Tail) -> None:
    store = tail.store
    user = store.users.create(email="ann@example.org", user_id="user-9")
    login = store.logins.create(user.user_id).login
    assert tail.changes() == [Created(user), Created(login)]
    organization = store.organizations.create("Example", owner_id=user.user_id)
    first = tail.changes()
    assert sorted(names(first)) == [("Created", "Member"), ("Created", "Organization")]
    assert Created(organization) in first
    store.logins.revoke_all(user.user_id)
    assert tail.changes() == [Deleted(login)]


def test_an_email_is_two_items(tail: Tail) -> None:
    store = tail.store
    email = store.emails.add(
        "mail-1",
        NewEmail(
            account_id="account-1",
            sender_email="ann@example.org",
            recipient_email="us@example.org",
            body="Hello",
        ),
    )
    told = tail.changes()
    assert sorted(names(told)) == [
        ("Created", "EmailContent"),
        ("Created", "EmailSummary"),
        ("Created", "EmailThread"),
    ]
    found = {type(each.entity): each.entity for each in told if isinstance(each, Created)}
    assert found[EmailSummary] == EmailSummary(
        **{name: getattr(email, name) for name in EmailSummary.model_fields}
    )
    content = found[EmailContent]
    assert isinstance(content, EmailContent)
    assert content.body == "Hello"
    store.threads.delete("mail-1")
    assert sorted(names(tail.changes())) == [
        ("Deleted", "EmailContent"),
        ("Deleted", "EmailSummary"),
        ("Deleted", "EmailThread"),
    ]


def test_a_streamed_answer_from_its_begin_to_its_end(tail: Tail) -> None:
    """Its status is told, and each checkpoint; what lists it is nobody's business."""
    store = tail.store
    store.conversations.create("user-1", title="Films", conversation_id="streamed-talk")
    tail.changes()
    with store.messages.stream("streamed-talk", message_id="streamed") as answer:
        answer.write("It was")
        answer.checkpoint()
        answer.fail("too dark")
    with store.messages.stream("streamed-talk", message_id="streamed") as answer:
        answer.write("a night.")
    told = [
        change.entity if isinstance(change, Created) else change.after
        for change in tail.changes()
        if isinstance(change, (Created, Changed))
    ]
    assert [(each.status, each.content) for each in told if isinstance(each, Message)] == [
        ("streaming", ""),
        ("streaming", "It was"),
        ("failed", "It was"),
        ("streaming", "It was"),
        ("complete", "a night."),
    ]
