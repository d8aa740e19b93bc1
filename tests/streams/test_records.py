"""A record gives back what was written, in either spelling; or says why it cannot."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dynamo_chat import (
    Changed,
    Conversation,
    ConversationPreferences,
    CorruptItem,
    Created,
    Deleted,
    Expired,
    ImageMissing,
    InvalidArgument,
    UnknownKind,
    User,
    parse_stream_record,
)
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.item import plan
from dynamo_chat.keyspace import KEY_SPACE
from tests.streams.record import TTL_SERVICE, TTL_SERVICE_OF_THE_API, as_lambda, record
from tests.streams.strategies import ENTITIES, entities

NOW = datetime(2025, 12, 30, 14, tzinfo=UTC)
TALK = Conversation(conversation_id="c-1", user_id="u-1", created_at=NOW, updated_at=NOW)
ITEM = plan(Conversation).encode(TALK)
TOMBSTONE = {**ITEM, "kind": {"S": "conversation_tombstone"}}
STRANGE = {"PK": {"S": "X#"}, "SK": {"S": "Y#"}, "kind": {"S": "invoice"}, "secret": {"S": "1234"}}

every_entity = pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.__name__)


@pytest.mark.once
@every_entity
@settings(max_examples=25)  # for each entity
@given(data=st.data())
def test_what_was_written_is_told(entity: type[Entity], data: st.DataObject) -> None:
    """Any entity, created, changed, deleted and expired, as Lambda and as GetRecords tell it."""
    one, other = data.draw(entities(entity)), data.draw(entities(entity))
    before, after = plan(entity).encode(one), plan(entity).encode(other)
    told = [
        (Created(one), record(None, before)),
        (Changed(one, other), record(before, after)),
        (Deleted(one), record(before)),
        (Expired(one), record(before, by=TTL_SERVICE)),
    ]
    for change, made in told:
        assert parse_stream_record(made) == change
        assert parse_stream_record(as_lambda(made)) == change


def test_a_long_text_comes_as_base64() -> None:
    """Lambda has no bytes: a compressed body comes as text, and is read all the same."""
    preferences = {"likes": "silence, " * 500}
    kept = ConversationPreferences(conversation_id="c-1", preferences=preferences)
    made = record(None, plan(ConversationPreferences).encode(kept))
    assert isinstance(made["dynamodb"]["NewImage"]["preferences"]["B"], bytes)
    event = as_lambda(made)
    assert isinstance(event["dynamodb"]["NewImage"]["preferences"]["B"], str)
    assert parse_stream_record(event) == Created(kept)


def test_a_change_says_which_record_told_it() -> None:
    made = record(None, ITEM, number="4711")
    made["dynamodb"]["ApproximateCreationDateTime"] = NOW
    for each in (made, as_lambda(made)):
        change = parse_stream_record(each)
        assert change is not None
        assert change.sequence_number == "4711"
        assert change.event_id == "event-4711"
        assert change.recorded_at == NOW
    bare = parse_stream_record({"eventName": "INSERT", "dynamodb": {"NewImage": ITEM}})
    assert isinstance(bare, Created)
    assert (bare.sequence_number, bare.event_id, bare.recorded_at) == ("", "", None)


# -- expiry -------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [TTL_SERVICE, TTL_SERVICE_OF_THE_API])
def test_what_dynamodb_removed_has_expired(by: dict[str, str]) -> None:
    assert parse_stream_record(record(ITEM, by=by)) == Expired(TALK)


@pytest.mark.parametrize(
    "by",
    [
        {"type": "Service", "principalId": "backup.amazonaws.com"},
        {"type": "User", "principalId": "dynamodb.amazonaws.com"},
        {},
        "dynamodb.amazonaws.com",
    ],
)
def test_what_somebody_else_removed_was_deleted(by: Any) -> None:
    assert parse_stream_record(record(ITEM, by=by)) == Deleted(TALK)


def test_only_a_removal_is_an_expiry() -> None:
    assert parse_stream_record(record(ITEM, ITEM, by=TTL_SERVICE)) == Changed(TALK, TALK)
    assert parse_stream_record(record(ITEM, TOMBSTONE, by=TTL_SERVICE)) == Deleted(TALK)


# -- helpers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [layout.kind for layout in KEY_SPACE if layout.helper])
def test_helper_items_are_skipped(kind: str) -> None:
    item = {"kind": {"S": kind}, "v": {"N": "1"}}
    assert parse_stream_record(record(None, item)) is None
    assert parse_stream_record(record(item, item)) is None
    assert parse_stream_record(record(item)) is None
    assert parse_stream_record(record(item, by=TTL_SERVICE)) is None


def test_a_tombstone_in_an_entitys_place_is_its_deletion() -> None:
    assert parse_stream_record(record(ITEM, TOMBSTONE)) == Deleted(TALK)
    assert parse_stream_record(record(TOMBSTONE)) is None


def test_an_entity_in_a_tombstones_place_is_new() -> None:
    assert parse_stream_record(record(TOMBSTONE, ITEM)) == Created(TALK)


# -- what is not known --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [(None, STRANGE), (STRANGE, None), (STRANGE, STRANGE), (ITEM, STRANGE), (STRANGE, TOMBSTONE)],
)
def test_an_unknown_kind_is_told_as_such(old: Any, new: Any) -> None:
    change = parse_stream_record(record(old, new))
    assert change == UnknownKind("invoice", old, new)
    assert "1234" not in repr(change)


@pytest.mark.parametrize("kind", [None, {"N": "1"}, {"S": 1}, "conversation"])
def test_an_item_without_a_kind_is_of_no_known_one(kind: Any) -> None:
    item = {**ITEM, "kind": kind}
    assert parse_stream_record(record(None, item)) == UnknownKind(None, None, item)
    del item["kind"]
    assert parse_stream_record(record(item)) == UnknownKind(None, item, None)


@pytest.mark.parametrize(
    "damage",
    [
        {"user_id": {"N": "1"}},
        {"created_at": {"S": "yesterday"}},
        {"PK": {"S": "CONV"}},
        {"v": {"N": "99"}},
        {"preferences": {"B": b"not compressed"}},
        {"preferences": {"S": "{"}},
    ],
)
def test_a_damaged_image_is_told_as_such(damage: Any) -> None:
    for made in (record(None, {**ITEM, **damage}), record(ITEM, {**ITEM, **damage})):
        for each in (made, as_lambda(made)):
            with pytest.raises(CorruptItem) as caught:
                parse_stream_record(each)
            assert caught.value.kind == "conversation"


def test_an_entity_never_becomes_another() -> None:
    user = plan(User).encode(
        User(user_id="u-1", email="a@example.org", created_at=NOW, updated_at=NOW)
    )
    with pytest.raises(CorruptItem, match="it was a conversation before"):
        parse_stream_record(record(ITEM, user))


# -- what is missing ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "missing", "view_type"),
    [
        (None, ITEM, "NewImage", "KEYS_ONLY"),
        (ITEM, ITEM, "OldImage", "NEW_IMAGE"),
        (ITEM, ITEM, "NewImage", "OLD_IMAGE"),
        (ITEM, None, "OldImage", "NEW_IMAGE"),
    ],
)
def test_an_image_that_the_stream_does_not_carry_is_named(
    old: Any, new: Any, missing: str, view_type: str
) -> None:
    made = record(old, new)
    del made["dynamodb"][missing]
    made["dynamodb"]["StreamViewType"] = view_type
    with pytest.raises(ImageMissing, match=f"{missing}.*NEW_AND_OLD_IMAGES.*{view_type}") as caught:
        parse_stream_record(made)
    assert caught.value.event == made["eventName"]
    assert caught.value.image == missing
    assert caught.value.view_type == view_type


def test_an_image_that_is_not_needed_is_not_missed() -> None:
    """A stream of new images tells of what is created."""
    made = record(None, ITEM)
    made["dynamodb"]["StreamViewType"] = "NEW_IMAGE"
    assert parse_stream_record(made) == Created(TALK)


@pytest.mark.parametrize(
    "made",
    [
        {},
        None,
        [],
        "record",
        {"eventName": "INSERT"},
        {"eventName": "INSERT", "dynamodb": None},
        {"eventName": "PUT", "dynamodb": {"NewImage": ITEM}},
        {"eventName": ["INSERT"], "dynamodb": {"NewImage": ITEM}},
        {"eventName": "INSERT", "dynamodb": {"NewImage": json.dumps(ITEM, default=str)}},
    ],
)
def test_what_is_no_record_is_refused(made: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_stream_record(made)
    assert caught.value.argument.startswith("record")
