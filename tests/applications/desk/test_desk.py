"""The desk's own kinds behave like the package's."""

import asyncio
import json
import pickle
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

import pytest
from desk.attachments import Attachment
from desk.awaiting import AsyncDeskStore
from desk.checkpoints import MAX_BYTES, Checkpoint, CheckpointPart
from desk.messages import Cost, DeskMessages
from desk.notes import Note
from desk.store import DeskStore

from dynamo_chat import (
    AlreadyExists,
    ChatStore,
    Conflict,
    CorruptItem,
    Created,
    Deleted,
    Expired,
    InvalidArgument,
    InvalidCursor,
    Message,
    NewMessage,
    NotFound,
    Page,
    UnknownKind,
    parse_stream_record,
    stream_handler,
)
from dynamo_chat.aio.stubs import stub_of
from dynamo_chat.cases.playing import measure_all
from dynamo_chat.catalogue import catalogue
from dynamo_chat.importing.person import load_person
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.operations.policies import data_entries, service_policy
from dynamo_chat.operations.user_policy import user_policy
from dynamo_chat.testing import DropAnswer, FakeClock, FaultInjector, Kill, Killed, RequestMeter
from dynamo_chat.testing.engine import Engine
from dynamo_chat.workflows.person_records import read_record, record_schema

DAY = timedelta(days=1)
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/desk"


def talk_of(store: DeskStore, user: str = "u-1", **options: Any) -> str:
    return store.conversations.create(user, **options).conversation_id


def add(store: DeskStore, talk: str, user: str = "u-1", name: str = "plan.pdf") -> Attachment:
    return store.attachments.add(
        talk, user, name, media_type="application/pdf", size=7, sha256=b"\x00\xff"
    )


def stored(store: DeskStore, kind: str) -> list[dict[str, Any]]:
    items = store.connection.client.scan(TableName=store.connection.table_name)["Items"]
    return [item for item in items if item["kind"]["S"] == kind]


def doctor(store: DeskStore, clock: FakeClock) -> Doctor:
    return Doctor(
        store.connection,
        DoctorOptions(settle_seconds=0),
        clock=clock,
        sleep=lambda _: None,
        store=DeskStore,
    )


# -- attachments --------------------------------------------------------------------------------


def test_a_file_is_found_in_its_conversation(store: DeskStore) -> None:
    talk = talk_of(store)
    first, second = add(store, talk), add(store, talk, name="map.png")
    assert store.attachments.get(talk, first.attachment_id, user_id="u-1") == first
    assert first.sha256 == b"\x00\xff"
    page = store.attachments.list(talk, page_size=1)
    rest = store.attachments.list(talk, page_size=1, cursor=page.cursor)
    assert [*page, *rest] == [first, second]
    store.attachments.remove(talk, first.attachment_id)
    store.attachments.remove(talk, first.attachment_id)
    assert list(store.attachments.list(talk)) == [second]
    with pytest.raises(NotFound, match="attachment"):
        store.attachments.get(talk, first.attachment_id)


def test_files_of_others_are_hidden(store: DeskStore) -> None:
    talk = talk_of(store)
    file = add(store, talk)
    for call in (
        lambda: add(store, talk, user="u-2"),
        lambda: store.attachments.get(talk, file.attachment_id, user_id="u-2"),
        lambda: store.attachments.list(talk, user_id="u-2"),
        lambda: store.attachments.remove(talk, file.attachment_id, user_id="u-2"),
        lambda: add(store, "nowhere"),
    ):
        with pytest.raises(NotFound, match="conversation"):
            call()
    page = store.attachments.list(talk, page_size=1)
    add(store, talk)
    cursor = store.attachments.list(talk, page_size=1).cursor
    other = talk_of(store)
    with pytest.raises(InvalidCursor):
        store.attachments.list(other, page_size=1, cursor=cursor)
    assert list(page) == [file]


def test_a_lost_answer_adds_a_file_once(store: DeskStore) -> None:
    talk = talk_of(store)
    with FaultInjector(store.connection.client) as faults:
        faults.plan(DropAnswer(), at=1)
        file = add(store, talk)
        assert faults.injected
    assert list(store.attachments.list(talk)) == [file]


def test_an_id_is_taken_once(store: DeskStore) -> None:
    talk = talk_of(store)
    about = {"media_type": "text/plain", "size": 1, "sha256": b"", "attachment_id": "a-1"}
    file = store.attachments.add(talk, "u-1", "a.txt", **about)  # type: ignore[arg-type]
    assert store.attachments.add(talk, "u-1", "a.txt", **about) == file  # type: ignore[arg-type]
    with pytest.raises(AlreadyExists) as taken:
        store.attachments.add(talk, "u-1", "b.txt", **about)  # type: ignore[arg-type]
    assert taken.value.current == file


def test_files_go_with_their_conversation(store: DeskStore) -> None:
    talk, other = talk_of(store), talk_of(store)
    add(store, talk)
    kept = add(store, other)
    before = len(stored(store, "attachment"))
    assert store.conversations.delete(talk) >= 2
    assert (before, len(stored(store, "attachment"))) == (2, 1)
    assert list(store.attachments.list_by_user("u-1")) == [kept]


@pytest.mark.parametrize("died_after", [1, 2, 3])
def test_a_deletion_that_dies_hides_files_and_spares_the_next_life(
    store: DeskStore, clock: FakeClock, died_after: int
) -> None:
    talk = talk_of(store, conversation_id="talk-1")
    for _ in range(3):
        add(store, talk)
    with FaultInjector(store.connection.client) as faults:
        faults.plan(Kill(after_sending=True), at=died_after)
        with pytest.raises(Killed):
            store.conversations.delete(talk)
    if died_after > 1:  # the first request only looks
        assert not list(store.attachments.list_by_user("u-1"))
        with pytest.raises(NotFound):
            store.attachments.list(talk)
        with pytest.raises(NotFound):
            add(store, talk)
    report = doctor(store, clock).examine()
    assert set(report.counts) <= {"unfinished_deletion"}
    doctor(store, clock).repair(report.findings)
    if died_after == 1:
        store.conversations.delete(talk)
    assert not stored(store, "attachment")
    talk_of(store, conversation_id="talk-1")
    file = add(store, talk)
    assert list(store.attachments.list(talk)) == [file]


def test_a_slow_deletion_leaves_the_next_life_alone(
    store: DeskStore, dynamo_chat_engine: Engine, clock: FakeClock
) -> None:
    talk = talk_of(store, conversation_id="talk-1")
    add(store, talk)
    seen: list[str] = []

    def meanwhile(event: Any) -> None:
        seen.append(event.operation)
        if len(seen) == 3:  # it has begun, and read what to delete
            store.conversations.delete(talk)
            talk_of(store, conversation_id="talk-1")
            add(store, talk)

    slow = DeskStore(
        "desk-test", region=dynamo_chat_engine.region, clock=clock, on_request=meanwhile
    )
    slow.conversations.delete(talk)
    assert len(seen) >= 3
    assert len(store.attachments.list(talk)) == 1


def test_files_slide_with_their_conversation(store: DeskStore, clock: FakeClock) -> None:
    talk = talk_of(store, retention=10 * DAY, sliding=True)
    file = add(store, talk)
    assert file.expires_at is not None
    for _ in range(6):
        clock.advance(5 * DAY)
        store.messages.append(talk, NewMessage(role="user", content="still here"))
    (found,) = store.attachments.list(talk)
    assert found.expires_at is not None
    assert found.expires_at > file.expires_at
    assert doctor(store, clock).examine().is_clean
    clock.advance(10 * DAY)
    with pytest.raises(NotFound):
        store.attachments.get(talk, file.attachment_id)
    assert not list(store.attachments.list_by_user("u-1"))


# -- checkpoints --------------------------------------------------------------------------------


def test_a_checkpoint_may_be_larger_than_an_item(store: DeskStore) -> None:
    talk = talk_of(store)
    for size in (0, 1, 300_000, 1_500_001):
        data = bytes(number % 251 for number in range(size))
        saved = store.checkpoints.save(talk, data)
        found, loaded = store.checkpoints.latest(talk)
        assert (found, loaded == data) == (saved, True)
    with pytest.raises(InvalidArgument, match="data"):
        store.checkpoints.save(talk, bytes(MAX_BYTES + 1))
    store.checkpoints.remove(saved)
    assert store.checkpoints.latest(talk)[0].size == 300_000
    store.conversations.delete(talk)
    assert not stored(store, "checkpoint")
    assert not stored(store, "checkpoint_part")


def test_a_checkpoint_is_saved_whole_or_not(store: DeskStore) -> None:
    talk = talk_of(store)
    with FaultInjector(store.connection.client) as faults:
        faults.plan(Kill(), at=1)
        with pytest.raises(Killed):
            store.checkpoints.save(talk, bytes(700_000))
    with pytest.raises(NotFound, match="checkpoint"):
        store.checkpoints.latest(talk)
    assert not stored(store, "checkpoint_part")


# -- notes --------------------------------------------------------------------------------------


def test_notes_go_with_their_user(store: DeskStore) -> None:
    store.users.create("ann@example.com", user_id="u-1")
    store.users.create("bob@example.com", user_id="u-2")
    note = store.notes.write("u-1", "Call back")
    kept = store.notes.write("u-2", "Buy milk")
    assert store.notes.edit("u-1", note.note_id, content="Called").content == "Called"
    assert store.notes.get("u-1", note.note_id).content == "Called"
    assert store.users.delete("u-1") >= 2
    assert not list(store.notes.list("u-1"))
    assert list(store.notes.list("u-2")) == [kept]
    with pytest.raises(Conflict):
        store.notes.write("u-1", "too late")


# -- messages -----------------------------------------------------------------------------------


def test_messages_have_a_pattern_and_fields_of_the_desk(chat_store: DeskStore) -> None:
    store = chat_store
    talk = talk_of(store)
    assert isinstance(store.messages, DeskMessages)
    assert store.messages.last_answer(talk) is None
    cost = Cost(model="m-1", cents=3)
    answer = NewMessage(role="assistant", content="Hi", metadata=cost.to({"other": 1}))
    sent = store.messages.append(talk, answer)
    store.messages.append(talk, NewMessage(role="user", content="Bye"))
    found = store.messages.last_answer(talk, user_id="u-1")
    assert found == sent
    assert found is not None
    assert Cost.of(found) == cost
    assert found.metadata["other"] == 1
    assert [Cost.of(each) for each in store.messages.list(talk)] == [cost, None]
    store.conversations.merge_preferences(talk, cost.to())
    assert Cost.of(store.conversations.get(talk)) == cost
    (listed,) = store.conversations.list_by_user("u-1")
    with pytest.raises(InvalidArgument, match="preferences"):
        Cost.of(listed)


def test_damaged_fields_are_told(store: DeskStore) -> None:
    talk = talk_of(store)
    bad = NewMessage(role="user", content="?", metadata={"cost": {"model": 1}})
    with pytest.raises(CorruptItem, match=r"cost\.model"):
        Cost.of(store.messages.append(talk, bad))


# -- the tools ----------------------------------------------------------------------------------


def test_every_pattern_keeps_its_budget(dynamo_chat_engine: Engine) -> None:
    def factory(table_name: str | None = None, **options: Any) -> ChatStore:
        return DeskStore(table_name or "measured", region=dynamo_chat_engine.region, **options)

    dynamo_chat_engine.store("measured")
    entries = [entry for entry in catalogue(DeskStore) if entry.domain == "application"]
    assert {entry.repository for entry in entries} == {
        "attachments",
        "checkpoints",
        "messages",
        "notes",
    }
    measured = list(measure_all(factory, entries))
    assert [(each.entry.method, each.problems) for each in measured if each.problems] == []


def test_the_package_is_still_in_the_catalogue() -> None:
    names = [entry.method for entry in catalogue(DeskStore)]
    assert {entry.method for entry in catalogue()} < set(names)
    assert len(names) == len(set(names))


def populated(store: DeskStore) -> str:
    talk = talk_of(store, retention=30 * DAY)
    add(store, talk)
    store.checkpoints.save(talk, bytes(400_000))
    store.users.create("ann@example.com", user_id="u-1")
    store.notes.write("u-1", "Call back")
    return talk


def test_the_doctor_knows_the_desks_kinds(store: DeskStore, clock: FakeClock) -> None:
    populated(store)
    report = doctor(store, clock).examine()
    assert report.is_clean, report.findings
    assert report.kinds["attachment"] == report.kinds["checkpoint"] == report.kinds["note"] == 1
    stranger = Doctor(store.connection, DoctorOptions(settle_seconds=0), clock=clock)
    assert stranger.examine().counts["unknown_kind"] == 5


def test_the_doctor_finds_and_repairs_what_is_wrong(store: DeskStore, clock: FakeClock) -> None:
    populated(store)
    client, table = store.connection.client, store.connection.table_name
    (file,) = stored(store, "attachment")
    key = {name: file[name] for name in ("PK", "SK")}
    client.put_item(TableName=table, Item={**file, "ttl": {"N": "2000000000"}})
    client.put_item(
        TableName=table,
        Item={**{n: v for n, v in file.items() if n != "GSI1SK"}, "SK": {"S": "APPFILE#half#"}},
    )
    (part, _) = stored(store, "checkpoint_part")
    lost = {**part, "SK": {"S": "APPPART#nowhere#000#"}}
    client.put_item(TableName=table, Item=lost)
    (note,) = stored(store, "note")
    client.put_item(TableName=table, Item={**note, "PK": {"S": "NOTE#nobody#"}})
    gone = {**part, "PK": {"S": "CONV#gone#"}}
    client.put_item(TableName=table, Item=gone)
    report = doctor(store, clock).examine()
    assert dict(report.counts) == {"deadline": 1, "half_index_key": 1, "orphan": 3}
    outcomes = Counter(
        (each.finding.code, each.finding.kind, each.outcome)
        for each in doctor(store, clock).repair(report.findings)
    )
    assert outcomes == {
        ("deadline", "attachment", "repaired"): 1,
        ("half_index_key", "attachment", "repaired"): 1,
        ("orphan", "checkpoint_part", "repaired"): 1,  # nothing can reach it
        ("orphan", "checkpoint_part", "left"): 1,  # a list of parts returns it
        ("orphan", "note", "left"): 1,  # so does a list of notes
    }
    assert client.get_item(TableName=table, Key=key)["Item"]["ttl"] == file["ttl"]


def test_a_persons_export_and_erasure_have_the_desks_kinds(store: DeskStore) -> None:
    populated(store)
    other = store.conversations.create("u-2").conversation_id
    kept = add(store, other, user="u-2")
    kinds = Counter(each.kind for each in store.people.export("u-1"))
    assert kinds["attachment"] == kinds["checkpoint"] == kinds["note"] == 1
    assert kinds["checkpoint_part"] == 2
    receipt = store.people.erase("u-1")
    assert receipt.erased["attachment"] == receipt.erased["note"] == 1
    assert not stored(store, "note")
    assert not stored(store, "checkpoint_part")
    assert list(store.attachments.list(other)) == [kept]


def test_an_export_with_the_desks_kinds_is_read_and_loaded(
    store: DeskStore, dynamo_chat_engine: Engine, clock: FakeClock
) -> None:
    """Bytes and all: the loaded person's export is equal, and what was loaded can be used."""
    talk = populated(store)
    lines = [each.line() for each in store.people.export("u-1")]
    described = record_schema(DeskStore.key_space)["$defs"]
    for record in map(json.loads, lines):
        assert set(record["fields"]) == set(described[record["kind"]]["required"])
    for line in lines:
        if '"kind":"note"' in line:
            with pytest.raises(InvalidArgument, match=r"line\.kind"):
                read_record(line)
    name = f"{store.connection.table_name}-loaded"
    other = dynamo_chat_engine.store(name, store=DeskStore, clock=clock)
    records = [read_record(line, DeskStore.key_space) for line in lines]
    for _ in range(2):
        load_person(other, records)
        assert [each.line() for each in other.people.export("u-1")] == lines
    assert other.checkpoints.latest(talk) == store.checkpoints.latest(talk)
    assert list(other.attachments.list(talk)) == list(store.attachments.list(talk))
    other.people.erase("u-1")
    left = other.connection.client.scan(TableName=name)["Items"]
    other.connection.client.delete_table(TableName=name)
    assert left == []


def record(event: str, item: dict[str, Any], **more: Any) -> dict[str, Any]:
    image = "NewImage" if event == "INSERT" else "OldImage"
    return {"eventName": event, "dynamodb": {image: item, "SequenceNumber": "1"}, **more}


def test_streams_have_the_desks_entities(store: DeskStore) -> None:
    talk = populated(store)
    (item,) = stored(store, "attachment")
    (file,) = store.attachments.list(talk)
    assert parse_stream_record(record("INSERT", item), DeskStore) == Created(file)
    assert parse_stream_record(record("REMOVE", item), store) == Deleted(file)
    by_ttl = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    expired = parse_stream_record(record("REMOVE", item, userIdentity=by_ttl), DeskStore)
    assert expired == Expired(file)
    assert isinstance(parse_stream_record(record("INSERT", item)), UnknownKind)
    seen: list[Any] = []
    handle = stream_handler(seen.append, DeskStore)
    items = [*stored(store, "note"), *stored(store, "checkpoint"), *stored(store, "conversation")]
    assert handle({"Records": [record("INSERT", each) for each in items]}, None) == {
        "batchItemFailures": []
    }
    assert [type(each.entity).__name__ for each in seen] == ["Note", "Checkpoint", "Conversation"]
    (note, checkpoint) = (each.entity for each in seen[:2])
    assert isinstance(note, Note)
    assert isinstance(checkpoint, Checkpoint)
    part = parse_stream_record(record("INSERT", stored(store, "checkpoint_part")[0]), DeskStore)
    assert isinstance(part, Created)
    assert isinstance(part.entity, CheckpointPart)


def test_policies_know_the_desks_methods() -> None:
    entries = data_entries(repositories=["attachments"], entries=catalogue(DeskStore))
    statements = service_policy(entries, ARN)["Statement"]
    granted = {(a, r) for each in statements for a in each["Action"] for r in each["Resource"]}
    assert ("dynamodb:Query", f"{ARN}/index/GSI1") in granted
    assert ("dynamodb:PutItem", ARN) in granted
    assert not any(action == "dynamodb:Scan" for action, _ in granted)
    made = user_policy(data_entries(entries=catalogue(DeskStore)), ARN)
    reasons = {each.entry.method: each.reason for each in made.refused}
    assert reasons["notes.list"].startswith("reads outside the user's own partition")
    assert reasons["attachments.add"].startswith("writes")
    assert made.policy == user_policy(data_entries(), ARN).policy


def test_a_store_is_sent_to_other_processes(chat_store: DeskStore) -> None:
    store = chat_store
    talk = populated(store)
    again = pickle.loads(pickle.dumps(store))
    assert repr(again) == repr(store)
    assert repr(store).startswith("DeskStore('dynamo-chat-test-")
    assert again.attachments.list(talk) == store.attachments.list(talk)
    assert isinstance(again.messages, DeskMessages)
    repository = pickle.loads(pickle.dumps(store.attachments))
    assert repository.list(talk) == store.attachments.list(talk)


def test_the_repositories_share_what_they_know_of_conversations(store: DeskStore) -> None:
    talk = talk_of(store)
    with RequestMeter(store.connection.client) as meter:
        add(store, talk)
        store.messages.append(talk, NewMessage(role="user", content="Hi"))
        store.checkpoints.save(talk, b"state")
    assert [each.operation for each in meter.requests] == ["TransactWriteItems"] * 3
    assert [each.pattern for each in meter.requests] == ["FI1", "C7", "CK1"]


# -- on an event loop -----------------------------------------------------------------------------


def test_the_desk_on_an_event_loop(store: DeskStore, dynamo_chat_engine: Engine) -> None:
    """Its own repositories and the package's, with the types of their methods."""

    async def main() -> None:
        async with AsyncDeskStore(
            store.connection.table_name,
            region=dynamo_chat_engine.region,
            endpoint_url=dynamo_chat_engine.endpoint_url,
        ) as desk:
            user = await desk.users.create("ann@example.com")
            note = await desk.notes.write(user.user_id, "call back")
            assert_type(note, Note)
            page = await desk.notes.list(user.user_id)
            assert_type(page, Page[Note])
            assert page.items == (note,)
            talk = await desk.conversations.create(user.user_id)
            answer = NewMessage(role="assistant", content="Yes.")
            sent = await desk.messages.append(talk.conversation_id, answer)
            assert_type(sent, Message)
            assert await desk.messages.last_answer(talk.conversation_id) == sent
            assert [each async for each in desk.messages.iterate(talk.conversation_id)] == [sent]

    asyncio.run(main())


def test_what_type_checkers_see_is_up_to_date() -> None:
    """If not: ``python -m dynamo_chat.aio.stubs desk.store:DeskStore > desk/awaiting.pyi``."""
    there = Path(__file__).parent / "desk" / "awaiting.pyi"
    assert there.read_text("utf-8") == stub_of(DeskStore)
