"""The title item of a conversation, for finding it by its exact title (C5).

The title has its own item, so that an append does not rewrite it in two indexes. Keys hold the
title's hash; a title that many conversations share ("New chat") is spread over shards.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from dynamo_chat.chat.snapshot import Snapshot
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import helper_item, index_key_parts, key_parts
from dynamo_chat.core.layout import GSI1, GSI2, PK, Collection
from dynamo_chat.core.transaction import Key
from dynamo_chat.keyspace import CONVERSATION_TITLE, TITLE_SHARDS, digest_of


def title_item(snapshot: Snapshot, title: str) -> AttributeValues:
    """The title item of a conversation."""
    fields = {
        "title_hash": digest_of(title),
        "shard": TITLE_SHARDS.shard_of(snapshot.conversation_id),
        "conversation_id": snapshot.conversation_id,
        "user_id": snapshot.user_id,
        "created_at": snapshot.created_at,
    }
    return helper_item(CONVERSATION_TITLE, fields, GSI1, GSI2, expires_at=snapshot.kept_until)


def title_key(conversation_id: str) -> Key:
    """The table key of a conversation's title item."""
    return CONVERSATION_TITLE.key(conversation_id=conversation_id)


def titles_of_all(title: str) -> list[Collection]:
    """The collections of all title items with this title."""
    return [
        CONVERSATION_TITLE.collection(GSI1, digest_of(title), shard)()
        for shard in TITLE_SHARDS.shards()
    ]


def titles_of_user(title: str, user_id: str) -> list[Collection]:
    """The collection of title items with this title in this user's conversations."""
    return [CONVERSATION_TITLE.collection(GSI2, user_id)(digest_of(title))]


class Titled(NamedTuple):
    """The conversation of a title item."""

    conversation_id: str
    user_id: str
    created_at: datetime


def title_owner(item: AttributeValues) -> Titled:
    """The conversation that a title item belongs to. CorruptItem."""
    (conversation_id,) = key_parts(CONVERSATION_TITLE, item, PK)
    user_id, _, created_at, _ = index_key_parts(CONVERSATION_TITLE, item, GSI2)
    return Titled(conversation_id, user_id, created_at)
