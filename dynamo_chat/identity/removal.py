"""The steps of deleting a user (U8). After a crash, the deletion can be resumed.

    user ──tombstone──▶ no reader finds it, by id or by address; nothing can be added to it
         ──logins────▶ deleted first: nobody can log in, even if the deletion stops here
         ──walk──────▶ what belongs to the user alone is deleted: activity
         ──finish────▶ address items, password and tombstone are deleted together: addresses and
                       id are free
         ──or retire─▶ address items and password are deleted; the tombstone stays without the
                       user's data, so that nobody can reuse the id and see what was kept

Each step is fenced to this deletion: see `dynamo_chat.core.deletion`. The tombstone keeps the
user's data until the end, so that a deletion that is refused later can be undone. Address items
are deleted in the same transaction because a new user might claim the same addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Final, Literal, NamedTuple

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.core.attributes import Raw
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.deletion import DELETION_ID, Deletion, begin, resume
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.fence import Group, Overtaken
from dynamo_chat.core.item import Item, helper_item, helper_text, is_kind, key_parts, plan
from dynamo_chat.core.keys import KeyRange, format_time
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, Collection, Layout
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Delete, Key, Put, Update, key_of
from dynamo_chat.identity.user import (
    User,
    address_keys,
    owned_by,
    password_key,
    user_exists,
    user_key,
)

KeepOrRemove = Literal["remove", "keep"]

_TOMBSTONE: Final = keyspace.USER_TOMBSTONE
_RETIRED: Final = "retired_at"
CLEARING: Final = "clearing"
"""Attribute of a tombstone: the conversation that this deletion began to delete last."""
CLEARING_THREAD: Final = "clearing_thread"
"""Attribute of a tombstone: the e-mail thread that this deletion began to delete last."""
_NOTES: Final = (CLEARING, CLEARING_THREAD)
_ADDRESSES: Final = ("email", "response_email")
_OF_THE_USER: Final = tuple(
    each
    for each in keyspace.KEY_SPACE
    if each.of is keyspace.USER
    and each.table.pk is keyspace.USER_PARTITION
    and not each.is_tombstone
)
"""Kinds in a user's partition that belong to the user and to nothing else, such as activity."""


class Wishes(NamedTuple):
    """Whether to keep the user's memberships and conversations. Stored on the tombstone."""

    memberships: KeepOrRemove
    conversations: KeepOrRemove

    @property
    def actions(self) -> list[Action]:
        """Update actions that store them on the tombstone."""
        return [Path(name).set(value) for name, value in self._asdict().items()]

    def are_noted(self, tombstone: AttributeValues) -> bool:
        """True if the tombstone stores the same wishes."""
        return all(tombstone.get(name) == {"S": value} for name, value in self._asdict().items())


class Seen(NamedTuple):
    """The item of a user or its tombstone, and the ids of the user's organizations."""

    item: AttributeValues
    organization_ids: list[str]


def noted_wishes(tombstone: AttributeValues) -> Wishes:
    """The wishes that the tombstone stores.

    Tombstones of older versions store none. Those versions kept conversations.
    """
    memberships = tombstone.get("memberships") == {"S": "keep"}
    conversations = tombstone.get("conversations") == {"S": "remove"}
    return Wishes("keep" if memberships else "remove", "remove" if conversations else "keep")


def is_retired(item: AttributeValues) -> bool:
    """True for the tombstone of a finished deletion, which keeps the id from being reused."""
    return is_kind(item, _TOMBSTONE) and _RETIRED in item and DELETION_ID not in item


class UserDeletionSteps(Repository):
    """The steps of deleting a user. `UserRemover` calls them in order."""

    def look(self, user_id: str) -> Seen | None:
        """The user and their memberships, in one request; None if the user does not exist."""
        first = keyspace.MEMBERSHIP.table.sk.range().lower
        last = keyspace.USER.table.sk.range().upper
        partition = keyspace.USER_PARTITION.encode(user_id)
        collection = Collection(TABLE, partition, KeyRange(first, last), keyspace.USER.table.sk)
        only = (PK, SK, KIND, DELETION_ID, _RETIRED, "created_at", *Wishes._fields)
        items = list(chain.from_iterable(self._walk(collection, only=only)))
        root = items[-1] if items and items[-1][SK] == user_key(user_id)[SK] else None
        return None if root is None else Seen(root, organizations_of(items))

    def begin(self, user_id: str, seen: AttributeValues, wishes: Wishes) -> Deletion | None:
        """Replace the user with a tombstone, or take over the tombstone that was read.

        None if the item has changed since.
        """
        if is_kind(seen, _TOMBSTONE):
            found = resume(self._connection, seen, self._new_id(), _TOMBSTONE)
            if found is not None and not wishes.are_noted(seen):
                try:
                    self._write(Update(found.check.key, wishes.actions, found.check.condition))
                except ConditionFailed:
                    return None
            return found
        is_still = user_exists()
        if "created_at" in seen:  # the same user, not a new one with the same id
            is_still &= Path("created_at") == Raw(seen["created_at"])
        bury = Update(
            user_key(user_id), [Path(KIND).set(_TOMBSTONE.kind), *wishes.actions], is_still
        )
        try:
            return begin(
                self._connection, bury, self._new_id(), _TOMBSTONE, may_resume=lambda _: False
            )
        except ConditionFailed:
            return None

    def begin_without_user(self, user_id: str, wishes: Wishes) -> Deletion | None:
        """Put a tombstone where there is no user, for what is stored under the id without one.

        None if there is a user, or a tombstone, by now.
        """
        stored = {name: {"S": value} for name, value in wishes._asdict().items()}
        bare = helper_item(_TOMBSTONE, {"user_id": user_id}) | stored
        put = Put(bare, Item.PK.does_not_exist())
        try:
            return begin(
                self._connection, put, self._new_id(), _TOMBSTONE, may_resume=lambda _: False
            )
        except ConditionFailed:
            return None

    def take_back(self, deletion: Deletion, *beside: Check) -> None:
        """Turn the tombstone into the user again, if `beside` holds. ConditionFailed; Overtaken."""
        actions = [
            Path(KIND).set(keyspace.USER.kind),
            *(Path(name).remove() for name in (DELETION_ID, *_NOTES, *Wishes._fields)),
        ]
        is_leaving = Path("memberships") == "remove"
        goes_on = deletion.check.condition & is_leaving
        try:
            self._write(Update(deletion.check.key, actions, goes_on), *beside)
        except ConditionFailed as failed:
            if 0 in failed.items:
                raise Overtaken from failed
            raise

    def revoke_logins(self, user_id: str, deletion: Deletion) -> Belongings:
        """Revoke all logins and return what else the partition holds. Overtaken."""
        everything = KeyRange("A", "a")  # every tag begins with an upper-case letter
        partition = keyspace.USER_PARTITION.encode(user_id)
        collection = Collection(TABLE, partition, everything, keyspace.USER.table.sk)
        # Backwards: tombstone, memberships and logins come before whatever sorts below them.
        only = (PK, SK, KIND, *_NOTES, *_ADDRESSES)
        pages = self._walk(collection, forward=False, only=only)
        last_of_logins = keyspace.LOGIN_LISTING.table.sk.range().lower
        count, found = 0, list[AttributeValues]()
        for items in pages:
            listings = [item for item in items if is_kind(item, keyspace.LOGIN_LISTING)]
            count += deletion.clear(login_deletes(each, user_id) for each in listings)
            found += [item for item in items if not is_kind(item, keyspace.LOGIN_LISTING)]
            if items and items[-1][SK]["S"] < last_of_logins:
                break
        root = next((item for item in found if item[SK] == user_key(user_id)[SK]), None)
        if root is None or not is_kind(root, _TOMBSTONE):
            raise Overtaken
        return Belongings(root, [item for item in found if item is not root], pages, count)

    def finish(
        self, user_id: str, deletion: Deletion, left: Belongings, late: Sequence[Delete]
    ) -> int:
        """Delete the rest and free addresses and id. Returns the number of items deleted.

        `late` deletes items that others may have created during the deletion; they do not count.
        """
        late = [Delete(password_key(user_id)), *late]
        last = [*_address_deletes(user_id, left.tombstone), *late]
        count = deletion.run(self._rest(user_id, left), last)
        return max(0, count - len(late))

    def retire(self, user_id: str, deletion: Deletion, left: Belongings) -> int:
        """Delete the rest, free the addresses, retire the id; the number of items deleted."""
        stored = (each.attr_name for each in plan(User).attributes.values())
        gone = (*stored, DELETION_ID, *_NOTES, *Wishes._fields)
        actions = [
            Path(_RETIRED).set(format_time(self._now())),
            *(Path(name).remove() for name in gone if name != KIND),
        ]
        key, goes_on = deletion.check.key, deletion.check.condition
        count = deletion.clear(self._rest(user_id, left))
        addresses = list(_address_deletes(user_id, left.tombstone))
        while True:
            try:
                self._write(
                    Update(key, actions, goes_on), *addresses, Delete(password_key(user_id))
                )
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise Overtaken from failed
                addresses = [e for at, e in enumerate(addresses, 1) if at not in failed.items]
            else:
                return count + len(addresses)

    def _rest(self, user_id: str, left: Belongings) -> Iterator[Group]:
        """Deletes of what belongs to the user alone, and of memberships with unreadable keys.

        An application's own kinds may be in the user's partition, or in one named by the user.
        """
        own = [each for each in self._binding.own if _is_of_the_user(each)]
        inside = [each for each in own if each.table.pk.tag == keyspace.USER_PARTITION.tag]
        of_the_user = (*_OF_THE_USER, *inside)
        for item in chain(left.read, chain.from_iterable(left.unread)):
            is_astray = is_kind(item, keyspace.MEMBERSHIP) and not organizations_of([item])
            if is_astray or any(is_kind(item, layout) for layout in of_the_user):
                yield [Delete(key_of(item))]
        for layout in own:
            if layout not in inside:
                collection = layout.collection(TABLE, user_id)()
                for items in self._walk(collection, only=(PK, SK)):
                    yield from ([Delete(key_of(item))] for item in items)


class Belongings(NamedTuple):
    """The items in a user's partition except the logins; also those of other domains."""

    tombstone: AttributeValues
    read: list[AttributeValues]
    """The items read so far; they include all memberships."""
    unread: Iterator[list[AttributeValues]]
    revoked: int
    """The number of login items deleted."""


def login_deletes(listing: AttributeValues, user_id: str) -> list[Delete]:
    """Deletes of a listing and its login, unless the login is another user's by now."""
    group = [Delete(key_of(listing))]
    with suppress(CorruptItem):  # it points nowhere, but must not block the deletion
        is_own = Item.PK.does_not_exist() | owned_by(user_id)
        group.append(Delete(login_of(key_of(listing)), is_own))
    return group


def login_of(listing: Key) -> Key:
    """The key of the login that a listing points to."""
    _, login_id = key_parts(keyspace.LOGIN_LISTING, listing, SK)
    return keyspace.LOGIN.key(login_id=login_id)


def organizations_of(items: Iterable[AttributeValues]) -> list[str]:
    """The organization ids of the memberships among `items`."""
    layout, found = keyspace.MEMBERSHIP, []
    for item in items:
        if is_kind(item, layout):
            with suppress(CorruptItem):  # it points nowhere
                found.append(key_parts(layout, item, SK)[0])
    return found


def _address_deletes(user_id: str, tombstone: AttributeValues) -> Sequence[Delete]:
    """Deletes of the user's address items, except those that point to another user."""
    # A damaged one that points nowhere is the user's as well: its key is the user's address.
    is_own: Condition = ~Path("user_id").is_type("S") | owned_by(user_id)
    deletes: list[Delete] = []
    with suppress(CorruptItem, InvalidArgument):  # damaged
        given: Any = [
            helper_text(tombstone, name, _TOMBSTONE) if name in tombstone else None
            for name in _ADDRESSES
        ]
        if given[0] is not None:
            for layout, key in address_keys(*given):
                deletes.append(Delete(layout.key(address=key), is_own))
    return deletes


def _is_of_the_user(layout: Layout) -> bool:
    """True for an application's own kind that belongs to a user, directly or by its parents."""
    while layout.of is not None:
        if layout.of is keyspace.USER:
            return True
        layout = layout.of
    return False
