"""Finds messages by their id (C9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import head_key, is_live_head, is_part_of, life_in
from dynamo_chat.chat.message import Message, parse_minted
from dynamo_chat.chat.snapshot import Heads
from dynamo_chat.core.attributes import AttributeValue
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import MAX_ID_CHARACTERS
from dynamo_chat.core.errors import InvalidArgument, ItemTooLarge, NotFound
from dynamo_chat.core.item import corrupt, helper_item, helper_text, key_parts, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import GSI2, PK, SK, Collection
from dynamo_chat.core.owners import check_owner, is_owned
from dynamo_chat.core.repository import MAX_BATCH_GET, Repository
from dynamo_chat.core.size import MAX_ITEM_BYTES, attribute_size, item_size
from dynamo_chat.core.transaction import Key, is_live
from dynamo_chat.core.ulids import is_ulid

_FIRST_STEP = 10
_LARGEST_STEP = MAX_BATCH_GET // 2


class Spot(NamedTuple):
    """A message's position, and the life of its conversation."""

    position: str
    life: str | None


class MessageFinder(Repository):
    """Finds messages by their id."""

    def __init__(self, binding: Binding, heads: Heads) -> None:
        super().__init__(binding)
        self._heads = heads

    def position(self, conversation_id: str, message_id: str, user_id: str | None) -> str:
        """The position of a message; NotFound. No request for the store's own id.

        With `user_id`, the conversation is read in the same request as the caller's id, so a
        foreign conversation costs the same request as a missing id. For the store's own id the
        write's condition checks the owner.
        """
        own = self.own_position(conversation_id, message_id)
        if own is not None:
            return own
        if user_id is not None:
            return self.place(conversation_id, message_id, user_id).position
        key = keyspace.MESSAGE_ID.key(conversation_id=conversation_id, message_id=message_id)
        item = self._get_item(key, consistent=True)
        if item is None or not is_live(item, self._now()):
            raise NotFound("message", message_id)
        return pointed_position(item)

    def own_position(self, conversation_id: str, message_id: str) -> str | None:
        """The position in an id made by the store; None for a caller's id. NotFound."""
        if not isinstance(message_id, str) or not message_id:
            raise InvalidArgument("message_id", "must be text, not empty")
        minted = parse_minted(message_id)
        if minted is None:
            if len(message_id) > MAX_ID_CHARACTERS:
                raise NotFound("message", message_id)
            return None
        if minted.conversation_id != conversation_id:
            raise NotFound("message", message_id)
        return minted.position

    def place(
        self, conversation_id: str, message_id: str, user_id: str | None, *, consistent: bool = True
    ) -> Spot:
        """The position of a message in a live conversation of this user; NotFound. One request.

        For the store's own id this does not check that the message exists.
        """
        own = self.own_position(conversation_id, message_id)
        if own is not None:
            return Spot(own, self._heads.read(conversation_id, user_id, consistent=consistent).life)
        key = keyspace.MESSAGE_ID.key(conversation_id=conversation_id, message_id=message_id)
        head, item = self._get_items([head_key(conversation_id), key], consistent=consistent)
        life = self._heads.living(head, conversation_id, user_id).life
        if item is None or not is_live(item, self._now()):
            raise NotFound("message", message_id)
        return Spot(pointed_position(item), life)

    def find(
        self, conversation_id: str, message_id: str, user_id: str | None, *, consistent: bool
    ) -> Message:
        """The message with this id in a live conversation of this user; NotFound."""
        own = self.own_position(conversation_id, message_id)
        if own is None:
            spot = self.place(conversation_id, message_id, user_id, consistent=consistent)
            key = keyspace.MESSAGE.key(conversation_id=conversation_id, position=spot.position)
            item = self._get_item(key, consistent=consistent)
            return self.living(item, message_id, spot.life)
        key = keyspace.MESSAGE.key(conversation_id=conversation_id, position=own)
        head, item = self._get_items([head_key(conversation_id), key], consistent=consistent)
        life = self._heads.living(head, conversation_id, user_id).life
        return self.living(item, message_id, life)

    def find_alone(self, message_id: str, user_id: str | None) -> Message:
        """The message with this id, in any conversation; NotFound."""
        check_owner("user_id", user_id)
        if not isinstance(message_id, str) or not message_id:
            raise InvalidArgument("message_id", "must be text, not empty")
        minted = parse_minted(message_id)
        if minted is not None:
            return self.find(minted.conversation_id, message_id, user_id, consistent=False)
        if len(message_id) > MAX_ID_CHARACTERS:
            raise NotFound("message", message_id)
        for ids in self._named(message_id, user_id):
            for message in self._behind(ids, user_id):
                return message
        raise NotFound("message", message_id)

    def _named(self, message_id: str, user_id: str | None) -> Iterator[list[AttributeValues]]:
        """The id items with this id, of one user or of all."""
        of_id = keyspace.MESSAGE_ID.collection(GSI2, message_id)
        if user_id is None:
            yield from self._growing(of_id()._replace(keys=KeyRange("A", "a")))
            return
        yield from self._growing(of_id(keyspace.digest_of(user_id)))
        # Items of version 1 have no owner until the doctor upgrades them: look at a few.
        unsaid = of_id()._replace(keys=keyspace.MESSAGE_ID_OF_NO_OWNER.range())
        yield self._query(unsaid, limit=_LARGEST_STEP)[0]

    def _growing(self, collection: Collection) -> Iterator[list[AttributeValues]]:
        """`_walk` of an index in growing steps, as most ids have one message."""
        start: Any = None
        limit = _FIRST_STEP
        while True:
            items, start = self._query(collection, limit=limit, start=start)
            yield items
            if start is None:
                return
            limit = min(2 * limit, _LARGEST_STEP)

    def _behind(self, ids: Sequence[AttributeValues], user_id: str | None) -> Iterator[Message]:
        """The messages of these id items that are in live conversations of this user."""
        now = self._now()
        keys = [key for item in ids if is_live(item, now) for key in _head_and_message(item)]
        found = self._get_items(keys)
        for head, message in zip(found[::2], found[1::2], strict=True):
            is_there = is_live_head(head, now) and is_live(message, now)
            is_found = is_there and is_part_of(message, life_in(head))
            if is_found and is_owned(head or {}, "user_id", user_id):
                yield plan(Message).decode(message or {})

    def too_large(self, key: Key, changes: Mapping[str, AttributeValue]) -> ItemTooLarge:
        """The error for an update that DynamoDB refused because the item would be too large."""
        there = self._get_item(key, consistent=True) or {}
        largest = max(changes, key=lambda name: attribute_size(changes[name]))
        return ItemTooLarge(largest, item_size({**there, **changes}), MAX_ITEM_BYTES)

    def living(self, item: AttributeValues | None, message_id: str, life: str | None) -> Message:
        """The message stored as `item`; NotFound if None, expired, or of another life."""
        if item is None or not is_live(item, self._now()) or not is_part_of(item, life):
            raise NotFound("message", message_id)
        return plan(Message).decode(item)


def pointed_position(item: AttributeValues) -> str:
    """The position that an id item stores. CorruptItem."""
    position = helper_text(item, "position", keyspace.MESSAGE_ID)
    if not is_ulid(position):
        raise corrupt(item, "'position' is not a ULID", keyspace.MESSAGE_ID)
    return position


def message_id_item(message: Message, digest: str, user_id: str) -> AttributeValues:
    """The id item of a caller-supplied message id; `digest` recognises retries."""
    return helper_item(
        keyspace.MESSAGE_ID,
        _id_fields(message.conversation_id, message.message_id, user_id),
        GSI2,
        expires_at=message.expires_at,
        position=message.position,
        digest=digest,
    )


def message_id_fields(item: AttributeValues, user_id: str) -> dict[str, str]:
    """The key fields of an id item in a conversation of this user. CorruptItem."""
    (conversation_id,) = key_parts(keyspace.MESSAGE_ID, item, PK)
    (message_id,) = key_parts(keyspace.MESSAGE_ID, item, SK)
    return _id_fields(conversation_id, message_id, user_id)


def _id_fields(conversation_id: str, message_id: str, user_id: str) -> dict[str, str]:
    owner_hash = keyspace.digest_of(user_id)
    return {
        "conversation_id": conversation_id,
        "message_id": message_id,
        "owner_hash": owner_hash,
    }


def _head_and_message(item: AttributeValues) -> tuple[Key, Key]:
    """The keys of an id item's conversation head and of its message."""
    (conversation_id,) = key_parts(keyspace.MESSAGE_ID, item, PK)
    position = pointed_position(item)
    return head_key(conversation_id), keyspace.MESSAGE.key(
        conversation_id=conversation_id, position=position
    )
