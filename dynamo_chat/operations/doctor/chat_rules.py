"""Conversations and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import Conversation, head_key
from dynamo_chat.chat.message import (
    Message,
    MessageBody,
    NewMessage,
    content_digest,
    is_minted_form,
)
from dynamo_chat.chat.message_ids import message_id_fields, message_id_item
from dynamo_chat.chat.reviews import Review, review_id_item
from dynamo_chat.chat.snapshot import holds, life_of, snapshot_of
from dynamo_chat.chat.titles import title_item
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import plan, with_index_keys
from dynamo_chat.core.layout import GSI2, PK, TTL, VERSION
from dynamo_chat.core.transaction import Check, key_of
from dynamo_chat.operations.doctor.conditions import same, set_attributes, still
from dynamo_chat.operations.doctor.findings import Problem, Repair
from dynamo_chat.operations.doctor.forms import Subject, index_difference, older_version
from dynamo_chat.operations.doctor.relations import (
    Found,
    Relation,
    Rules,
    is_of,
    leads_nowhere,
    missing,
    orphan,
    reachable_orphan,
)
from dynamo_chat.operations.doctor.stored import index_keys

_HEADS: Final = (keyspace.CONVERSATION, keyspace.CONVERSATION_TOMBSTONE)


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
                "its title item is missing: it is not found by its title",
                Check(key_of(subject.item), _still_titled(head, subject)),
            )

    key = keyspace.CONVERSATION_TITLE.key(conversation_id=head.conversation_id)
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
            yield leads_nowhere(subject, key, "there is no conversation that it is the title of")
        elif head is not None and head.title is None:
            untitled = Check(key, same(("title",), found[0]))
            yield orphan(subject, "its conversation has no title", untitled)
        elif head is not None and head.title is not None:
            wanted = index_keys(title_item(snapshot_of(head), head.title))
            titled = Check(key, _still_titled(head, subject))
            yield from index_difference(subject.item, wanted, titled)
            yield from _deadline(subject, found[0])

    return Relation((key,), judge)


def _decoded(item: AttributeValues | None) -> Conversation | None:
    """The conversation of a head; None for a tombstone, and for a head that cannot be read."""
    if not is_of(item, keyspace.CONVERSATION):
        return None
    try:
        found = plan(Conversation).decode(item or {})
    except CorruptItem:
        return None  # which is told of the head itself
    return found


def _deadline(subject: Subject, head: AttributeValues | None) -> Iterator[Problem]:
    """Whether an item expires with its conversation."""
    if head is None or not is_of(head, keyspace.CONVERSATION) or "renewing_from" in head:
        return
    wanted, there = head.get(TTL), subject.item.get(TTL)
    if wanted == there:
        return
    if wanted is not None and set(wanted) != {"N"}:
        return  # which is told of the head itself
    if there is not None and set(there) != {"N"}:
        return  # a TTL of another type is told already
    unmoved = Check(key_of(head), same((TTL, "kind", "renewing_from"), head))
    repair = Repair(
        "let it expire with its conversation",
        (unmoved, set_attributes(subject.item, {TTL: wanted})),
    )
    yield Problem("deadline", "it does not expire with its conversation", repair)


def _state(subject: Subject) -> Relation:
    key = _head_of(subject.item)

    def judge(found: Found) -> Iterator[Problem]:
        if not is_of(found[0], *_HEADS):
            yield leads_nowhere(subject, key, "there is no conversation that it is the state of")
        yield from _deadline(subject, found[0])

    return Relation((key,), judge)


def _message(subject: Subject) -> Relation:
    message = subject.of(Message)
    key = _head_of(subject.item)
    keys = [key]
    if not is_minted_form(message.message_id):
        keys.append(keyspace.MESSAGE_ID.key(**message.__dict__))

    def judge(found: Found) -> Iterator[Problem]:
        if not is_of(found[0], *_HEADS):
            says = "there is no conversation that it belongs to"
            if index_keys(subject.item):
                yield reachable_orphan(f"{says}, but lists of feedback show it")
            else:
                yield leads_nowhere(subject, key, says)
            return
        yield from _deadline(subject, found[0])
        head = _decoded(found[0])
        if len(keys) > 1 and head is not None:
            yield from _named(subject, message, head, found[1])

    return Relation(tuple(keys), judge)


def _named(
    subject: Subject, message: Message, head: Conversation, by_id: AttributeValues | None
) -> Iterator[Problem]:
    """Whether a message is found by the id that its caller gave it."""
    if by_id is None:
        item = message_id_item(message, content_digest(_as_new(message)), head.user_id)
        yield missing(subject, item, "the item of its id is missing: a retry would append it again")
    elif by_id.get("position") != {"S": message.position}:
        yield Problem("leads_elsewhere", "the item of its id leads to another place")


def _as_new(message: Message) -> NewMessage:
    said = {name: getattr(message, name) for name in MessageBody.model_fields}
    return validated(NewMessage, **said, role=message.role)


def _message_id(subject: Subject) -> Relation:
    key = _head_of(subject.item)

    def judge(found: Found) -> Iterator[Problem]:
        # Without its message it is right: it tells late retries of what was pruned.
        if not is_of(found[0], *_HEADS):
            yield leads_nowhere(subject, key, "there is no conversation that it belongs to")
        yield from _deadline(subject, found[0])
        head = _decoded(found[0])
        if head is not None:
            yield from _of_its_owner(subject, head)

    return Relation((key,), judge)


def _of_its_owner(subject: Subject, head: Conversation) -> Iterator[Problem]:
    """Whether the item of a message's id is found by the owner of its conversation."""
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
            yield reachable_orphan("there is no conversation that it is of, but lists show it")
            return
        yield from _deadline(subject, head)
        if is_of(head, keyspace.CONVERSATION):
            yield from _found_by_id(subject, review, pointer)

    return Relation((_head_of(subject.item), by_id), judge)


def _found_by_id(
    subject: Subject, review: Review, pointer: AttributeValues | None
) -> Iterator[Problem]:
    if pointer is None:
        says = "the item of its id is missing: it is not found by its id"
        yield missing(subject, review_id_item(review), says)
        return
    wanted = review_id_item(review)
    yield from _expires_with(subject, pointer)
    if any(pointer.get(name) != wanted[name] for name in ("conversation_id", "reviewed_at")):
        yield Problem("leads_elsewhere", "the item of its id leads to another review")


def _expires_with(subject: Subject, pointer: AttributeValues) -> Iterator[Problem]:
    """Whether a review's id item expires when the review does: an older release moved it apart."""
    wanted, there = subject.item.get(TTL), pointer.get(TTL)
    if wanted is None or there is None or set(wanted) != {"N"} or set(there) != {"N"}:
        return
    if int(there["N"]) < int(wanted["N"]):
        repair = Repair(
            "let it expire with its review",
            (still(subject.item), set_attributes(pointer, {TTL: wanted})),
        )
        yield Problem("deadline", "the item of its id expires before it", repair)


CHAT_RULES: Final[Rules] = {
    keyspace.CONVERSATION.kind: _conversation,
    keyspace.CONVERSATION_TITLE.kind: _title,
    keyspace.CONVERSATION_STATE.kind: _state,
    keyspace.MESSAGE.kind: _message,
    keyspace.MESSAGE_ID.kind: _message_id,
    keyspace.REVIEW.kind: _review,
}
