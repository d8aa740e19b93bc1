"""Conversations and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import PREFERENCES, Conversation, head_key, is_part_of
from dynamo_chat.chat.message import (
    Message,
    as_appended,
    content_digest,
    is_minted_form,
)
from dynamo_chat.chat.message_ids import message_id_fields, message_id_item
from dynamo_chat.chat.opening import WRITER, listing_fields, stream_item, stream_key, streamed
from dynamo_chat.chat.preferences import preferences_item, preferences_key
from dynamo_chat.chat.reviews import Review, review_id_item
from dynamo_chat.chat.snapshot import holds, life_of, snapshot_of
from dynamo_chat.chat.titles import title_item
from dynamo_chat.core.attributes import AttributeValue
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import plan, with_index_keys
from dynamo_chat.core.layout import GSI1, GSI2, PK, TTL, VERSION
from dynamo_chat.core.transaction import Check, Put, absent, key_of
from dynamo_chat.operations.doctor.conditions import same, set_attributes, still
from dynamo_chat.operations.doctor.findings import Problem, Repair
from dynamo_chat.operations.doctor.forms import Subject, index_difference, older_version
from dynamo_chat.operations.doctor.relations import (
    Found,
    Relation,
    Rules,
    belongs,
    is_of,
    leads_nowhere,
    missing,
    orphan,
    reachable_orphan,
)
from dynamo_chat.operations.doctor.stored import index_keys

_HEADS: Final = (keyspace.CONVERSATION, keyspace.CONVERSATION_TOMBSTONE)
_ORGANIZATIONS: Final = (keyspace.ORGANIZATION, keyspace.ORGANIZATION_TOMBSTONE)


def _head_of(item: AttributeValues) -> Any:
    (conversation_id,) = keyspace.CONVERSATION_PARTITION.decode(item[PK]["S"])
    return head_key(conversation_id)


def _conversation(subject: Subject) -> Relation:
    head = subject.of(Conversation)

    def judge(found: Found) -> Iterator[Problem]:
        if head.title is not None and found[0] is None:
            snapshot = snapshot_of(head)
            yield missing(
                subject,
                title_item(snapshot, head.title),
                "the title item is missing: searches by title don't find the conversation",
                Check(key_of(subject.item), _still_titled(head, subject)),
            )
        yield from _preferences_of(subject, head, found[1])
        if organization_id is not None and not is_of(found[2], *_ORGANIZATIONS):
            says = "its organization doesn't exist, but lists still return the conversation"
            yield reachable_orphan(says)

    title = keyspace.CONVERSATION_TITLE.key(conversation_id=head.conversation_id)
    organization_id = head.organization_id
    keys = [title, preferences_key(head.conversation_id)]
    if organization_id is not None:
        keys.append(keyspace.ORGANIZATION.key(organization_id=organization_id))
    return Relation(tuple(keys), judge)


def _preferences_of(
    subject: Subject, head: Conversation, beside: AttributeValues | None
) -> Iterator[Problem]:
    """A problem if the preferences are still in the head, or the head is wrong about them."""
    item, is_older = subject.item, head.schema_version != int(subject.item[VERSION]["N"])
    there = beside is not None and is_part_of(beside, head.life)
    if is_older:
        return  # reported; the preferences are moved after that
    if PREFERENCES in item:
        gone = set_attributes(item, {PREFERENCES: None})
        copy = () if there else (Put(preferences_item(head), absent(subject.now)),)
        repair = Repair("move its preferences to an item of their own", (gone, *copy))
        yield Problem("older_version", "its preferences are in the head, as in version 1", repair)
    elif head.has_preferences != there:
        flag: AttributeValue | None = {"BOOL": True} if there else None
        repair = Repair("correct it", (set_attributes(item, {"has_preferences": flag}),))
        says = "it has preferences" if there else "it has no preferences"
        yield Problem("counter", f"{says}, but the head says otherwise", repair, says)


def _preferences(subject: Subject) -> Relation:
    key = _head_of(subject.item)

    def judge(found: Found) -> Iterator[Problem]:
        if not is_of(found[0], *_HEADS):
            yield leads_nowhere(subject, key, "the conversation of these preferences doesn't exist")
        yield from _deadline(subject, found[0])

    return Relation((key,), judge)


def _still_titled(head: Conversation, subject: Subject) -> Condition:
    condition: Condition = holds(snapshot_of(head), subject.now) & (
        plan(Conversation).model.title == head.title
    )
    return condition


def _title(subject: Subject) -> Relation:
    key = _head_of(subject.item)

    def judge(found: Found) -> Iterator[Problem]:
        head = _decoded(found[0])
        if found[0] is None:
            yield leads_nowhere(subject, key, "the conversation of this title doesn't exist")
        elif head is not None and head.title is None:
            untitled = Check(key, same(("title",), found[0]))
            yield orphan(subject, "the conversation has no title", untitled)
        elif head is not None and head.title is not None:
            wanted = index_keys(title_item(snapshot_of(head), head.title))
            titled = Check(key, _still_titled(head, subject))
            yield from index_difference(subject.item, wanted, titled)
            yield from _deadline(subject, found[0])

    return Relation((key,), judge)


def _decoded(item: AttributeValues | None) -> Conversation | None:
    """The conversation of a head item; None if it is a tombstone or can't be read."""
    if not is_of(item, keyspace.CONVERSATION):
        return None
    try:
        found = plan(Conversation).decode(item or {})
    except CorruptItem:
        return None  # reported for the head itself
    return found


def _deadline(subject: Subject, head: AttributeValues | None) -> Iterator[Problem]:
    """A problem if the item doesn't expire at the same time as its conversation."""
    if head is None or not is_of(head, keyspace.CONVERSATION) or "renewing_from" in head:
        return
    wanted, there = head.get(TTL), subject.item.get(TTL)
    if wanted == there:
        return
    if wanted is not None and set(wanted) != {"N"}:
        return  # reported for the head itself
    if there is not None and set(there) != {"N"}:
        return  # a TTL of another type is reported already
    unmoved = Check(key_of(head), same((TTL, "kind", "renewing_from"), head))
    repair = Repair(
        "set its TTL to the conversation's",
        (unmoved, set_attributes(subject.item, {TTL: wanted})),
    )
    yield Problem("deadline", "its TTL differs from the conversation's", repair)


def _state(subject: Subject) -> Relation:
    key = _head_of(subject.item)

    def judge(found: Found) -> Iterator[Problem]:
        if not is_of(found[0], *_HEADS):
            yield leads_nowhere(subject, key, "the conversation of this state doesn't exist")
        yield from _deadline(subject, found[0])

    return Relation((key,), judge)


def _message(subject: Subject) -> Relation:
    message = subject.of(Message)
    key = _head_of(subject.item)
    keys = [key, stream_key(message.conversation_id, message.position)]
    if not is_minted_form(message.message_id):
        keys.append(keyspace.MESSAGE_ID.key(**message.__dict__))

    def judge(found: Found) -> Iterator[Problem]:
        if not is_of(found[0], *_HEADS):
            says = "its conversation doesn't exist"
            if index_keys(subject.item):
                yield reachable_orphan(f"{says}, but lists of feedback still return the message")
            else:
                yield leads_nowhere(subject, key, says)
            return
        yield from _deadline(subject, found[0])
        head = _decoded(found[0])
        if head is None:
            return
        if message.is_streaming and WRITER in subject.item and found[1] is None:
            listed = stream_item(message, head.life, head.kept_until)
            yield missing(subject, listed, "it is streamed, but not listed as unfinished")
        if len(keys) > 2:
            yield from _named(subject, message, head, found[2])

    return Relation(tuple(keys), judge)


def _named(
    subject: Subject, message: Message, head: Conversation, by_id: AttributeValues | None
) -> Iterator[Problem]:
    """A problem if a message can't be found by its caller-supplied id."""
    if by_id is None:
        item = message_id_item(message, content_digest(as_appended(message)), head.user_id)
        yield missing(
            subject, item, "the message id item is missing: a retry would append the message again"
        )
    elif by_id.get("position") != {"S": message.position}:
        yield Problem("leads_elsewhere", "the message id item points to another position")


def _stream(subject: Subject) -> Relation:
    message = keyspace.MESSAGE.key(**streamed(subject.item)._asdict())
    key = _head_of(subject.item)

    def judge(found: Found) -> Iterator[Problem]:
        head, there = found
        if not is_of(head, *_HEADS):
            yield leads_nowhere(subject, key, "the conversation of this stream doesn't exist")
        elif there is None:
            yield leads_nowhere(subject, message, "the message of this stream doesn't exist")
        elif "is_streaming" not in there:
            ended = Check(message, same(("is_streaming",), there))
            yield orphan(subject, "the message of this stream is finished", ended)
        else:
            yield from _deadline(subject, head)
            layout = keyspace.MESSAGE_STREAM
            wanted = with_index_keys({}, layout, listing_fields(*streamed(subject.item)), GSI1)
            yield from index_difference(subject.item, wanted)

    return Relation((key, message), judge)


def _message_id(subject: Subject) -> Relation:
    key = _head_of(subject.item)

    def judge(found: Found) -> Iterator[Problem]:
        # It may outlive its message: late retries of pruned messages are recognised by it.
        if not is_of(found[0], *_HEADS):
            yield leads_nowhere(subject, key, "its conversation doesn't exist")
        yield from _deadline(subject, found[0])
        head = _decoded(found[0])
        if head is not None:
            yield from _of_its_owner(subject, head)

    return Relation((key,), judge)


def _of_its_owner(subject: Subject, head: Conversation) -> Iterator[Problem]:
    """A problem if a message id item isn't indexed by the owner of its conversation."""
    layout, item = keyspace.MESSAGE_ID, subject.item
    wanted = with_index_keys({}, layout, message_id_fields(item, head.user_id), GSI2)
    owned = Check(head_key(head.conversation_id), life_of(head).condition)
    version = int(item[VERSION]["N"])
    if version < layout.version:
        changes = {**wanted, VERSION: {"N": str(layout.version)}}
        yield older_version(version, layout.version, owned, set_attributes(item, changes))
        return
    yield from index_difference(item, wanted, owned)


def _review(subject: Subject) -> Relation:
    review = subject.of(Review)
    by_id = keyspace.REVIEW_ID.key(review_id=review.review_id)

    def judge(found: Found) -> Iterator[Problem]:
        head, pointer = found
        if not is_of(head, *_HEADS):
            yield reachable_orphan(
                "its conversation doesn't exist, but lists still return the review"
            )
            return
        yield from _deadline(subject, head)
        if is_of(head, keyspace.CONVERSATION):
            yield from _found_by_id(subject, review, pointer)

    return Relation((_head_of(subject.item), by_id), judge)


def _found_by_id(
    subject: Subject, review: Review, pointer: AttributeValues | None
) -> Iterator[Problem]:
    if pointer is None:
        says = "the review id item is missing: the review can't be found by its id"
        yield missing(subject, review_id_item(review), says)
        return
    wanted = review_id_item(review)
    yield from _expires_with(subject, pointer)
    if any(pointer.get(name) != wanted[name] for name in ("conversation_id", "reviewed_at")):
        yield Problem("leads_elsewhere", "the review id item points to another review")


def _expires_with(subject: Subject, pointer: AttributeValues) -> Iterator[Problem]:
    """A problem if a review's id item expires before it: an older release let the two differ."""
    wanted, there = subject.item.get(TTL), pointer.get(TTL)
    if wanted is None or there is None or set(wanted) != {"N"} or set(there) != {"N"}:
        return
    if int(there["N"]) < int(wanted["N"]):
        repair = Repair(
            "set its id item's TTL to the review's",
            (still(subject.item), set_attributes(pointer, {TTL: wanted})),
        )
        yield Problem("deadline", "the review id item expires before the review", repair)


def in_conversation(subject: Subject) -> Relation:
    """The rule of an application's own kinds in the partitions of conversations.

    Beside `belongs`: its deadline is the conversation's.
    """
    parent = belongs(subject)
    keys = (*parent.keys, _head_of(subject.item))

    def judge(found: Found) -> Iterator[Problem]:
        head = found[-1]
        if not is_of(head, *_HEADS):
            says = "its conversation doesn't exist"
            if index_keys(subject.item):
                yield reachable_orphan(f"{says}, but an index still has the item")
            else:
                yield leads_nowhere(subject, keys[-1], says)
            return
        if subject.layout.of is not keyspace.CONVERSATION:
            yield from parent.judge(found[:-1])
        yield from _deadline(subject, head)

    return Relation(keys, judge)


CHAT_RULES: Final[Rules] = {
    keyspace.CONVERSATION.kind: _conversation,
    keyspace.CONVERSATION_TITLE.kind: _title,
    keyspace.CONVERSATION_STATE.kind: _state,
    keyspace.CONVERSATION_PREFERENCES.kind: _preferences,
    keyspace.MESSAGE.kind: _message,
    keyspace.MESSAGE_ID.kind: _message_id,
    keyspace.MESSAGE_STREAM.kind: _stream,
    keyspace.REVIEW.kind: _review,
}
