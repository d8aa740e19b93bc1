"""Removing a user with what belongs to it (U8), resumably.

    user ──tombstone──▶ no reader finds it, under its id or an address; nothing can be added to it
         ──walk──────▶ logins are revoked, activity is deleted
         ──finish────▶ address items and tombstone go together: addresses and id are free again

The tombstone keeps the addresses until then, so a crash at any step is finished by the next call.
Address items go with it in one transaction because a new user might take the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import CorruptItem, NotFound
from dynamo_chat.core.item import Item, helper_text, is_kind, key_parts, plan
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Delete, Key, Update, key_of
from dynamo_chat.identity.user import User, address_keys, owned_by, user_exists, user_key

_KEPT_BY_TOMBSTONE = ("email", "response_email")


class UserRemover(Repository):
    """The removal of users, step by step."""

    def _bury(self, user_id: str) -> AttributeValues:
        """Put a tombstone in the user's place, or find the one that is there. NotFound."""
        kept = {KIND, *_KEPT_BY_TOMBSTONE}
        stored = (each.attr_name for each in plan(User).attributes.values())
        actions = [
            Path(KIND).set(keyspace.USER_TOMBSTONE.kind),
            *(Path(name).remove() for name in stored if name not in kept),
        ]
        try:
            return self._write(
                Update(user_key(user_id), actions, user_exists() | _is_tombstone()), returning=True
            )
        except ConditionFailed as failed:
            raise NotFound("user", user_id) from failed

    def _belongings(self, user_id: str) -> Iterator[list[AttributeValues]]:
        """Keys and kinds of what is in the user's partition, other domains' items too, by page."""
        everything = KeyRange("A", "a")  # every tag begins with an upper-case letter
        partition = keyspace.USER_PARTITION.encode(user_id)
        collection = Collection(TABLE, partition, everything, keyspace.USER.table.sk)
        return self._walk(collection, only=(PK, SK, KIND))

    def _clear(self, items: Sequence[AttributeValues]) -> int:
        """Delete the logins and the activity among `items`; the number of items that went."""
        listings = [key_of(item) for item in items if is_kind(item, keyspace.LOGIN_LISTING)]
        activity = [key_of(item) for item in items if is_kind(item, keyspace.ACTIVITY)]
        logins = []
        for listing in listings:
            with suppress(CorruptItem):  # it leads nowhere, and must not keep the user here
                logins.append(login_of(listing))
        # A listing is what the next call finds its login by, so it goes last.
        count = self._delete_items([*logins, *activity])
        return count + self._delete_items(listings)

    def _finish(self, user_id: str, tombstone: AttributeValues) -> int:
        """Free the addresses and the id; the number of items that went."""
        addresses = [
            layout.key(address=key)
            for layout, key in address_keys(
                helper_text(tombstone, "email", keyspace.USER_TOMBSTONE),
                helper_text(tombstone, "response_email", keyspace.USER_TOMBSTONE)
                if "response_email" in tombstone
                else None,
            )
        ]
        is_own = Item.PK.does_not_exist() | owned_by(user_id)
        try:
            self._write(
                Delete(user_key(user_id), _is_tombstone()),
                *(Delete(each, is_own) for each in addresses),
            )
        except ConditionFailed as failed:
            if 0 in failed.items:
                return 0  # another call of the same removal finished first
            raise CorruptItem("user_email", "it leads to another user than the one it is of") from (
                failed
            )
        return 1 + len(addresses)


def login_of(listing: Key) -> Key:
    """The key of the login that a listing is of."""
    _, login_id = key_parts(keyspace.LOGIN_LISTING, listing, SK)
    return keyspace.LOGIN.key(login_id=login_id)


def _is_tombstone() -> Condition:
    condition: Condition = Path(KIND) == keyspace.USER_TOMBSTONE.kind
    return condition
