"""Finds where others' items name a person: as inviter or reviewer, perhaps an organization's name.

These items are not the person's and stay; an erasure replaces the id in them (`Layout.names`), and
lists the texts beside it for a human.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import head_key
from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import is_kind, key_parts, plan, text_in
from dynamo_chat.core.keys import KeyRange
from dynamo_chat.core.layout import GSI1, KIND, PK, SK, TABLE, Collection, Layout
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import key_of
from dynamo_chat.identity.user import user_key
from dynamo_chat.orgs.organization import Organization, organization_key
from dynamo_chat.workflows.belongings import Person, is_owned_by
from dynamo_chat.workflows.person_records import Mention

_OF_AN_ORGANIZATION = (keyspace.MEMBER, keyspace.INVITE)
_NAMES = sorted({name for layout in _OF_AN_ORGANIZATION for name in layout.names})


class Named(NamedTuple):
    """An item of somebody else's, and the fields that name the person."""

    item: AttributeValues
    fields: Sequence[str]


class Names(Repository):
    """Finds items of others that name a person."""

    def everywhere(self, person: Person) -> Iterator[tuple[str, Mention | None]]:
        """The kind of each item of others that names the person; with the texts to look at."""
        for organization_id in self._organization_ids(person):
            for item, fields in self.in_organization(organization_id, person.user_id):
                if not _is_theirs(item, person):
                    yield item[KIND]["S"], _accepted(item) if "accepted_by" in fields else None
        for review in self.reviews_by(person.user_id):
            head = self._get_item(head_key(review.conversation_id), consistent=True) or {}
            if head.get("user_id") != {"S": person.user_id}:  # otherwise it goes with that one
                ids = _ids(review, "conversation_id", "review_id")
                why = "written by the person about somebody else's conversation"
                kind = keyspace.REVIEW.kind
                yield kind, Mention(kind, ids, ("comments",), why)
        yield from self._organizations(person)

    def in_organization(self, organization_id: str, user_id: str) -> Iterator[Named]:
        """The members and invites of an organization that name the user in a field."""
        partition = keyspace.ORGANIZATION_PARTITION.encode(organization_id)
        everything = KeyRange("A", "a")  # every tag begins with an upper-case letter
        collection = Collection(TABLE, partition, everything, keyspace.ORGANIZATION.table.sk)
        for items in self._walk(collection, only=(PK, SK, KIND, "email", *_NAMES)):
            for item in items:
                for layout in _OF_AN_ORGANIZATION:
                    fields = _naming(layout, item, user_id) if is_kind(item, layout) else ()
                    if fields:
                        yield Named(item, fields)

    def reviews_by(self, user_id: str) -> Iterator[Review]:
        """The reviews by a user, as they are in the table now."""
        listed = keyspace.REVIEW.collection(GSI1, user_id)()
        for items in self._walk(listed, consistent=False, only=(PK, SK)):
            for item in self._get_items([key_of(each) for each in items], consistent=True):
                with suppress(CorruptItem):  # the doctor reports it
                    review = None if item is None else plan(Review).decode(item)
                    if review is not None and review.reviewed_by == user_id:
                        yield review

    def _organizations(self, person: Person) -> Iterator[tuple[str, Mention | None]]:
        """Organizations of the person whose name has the person's id, name or an address."""
        user = self._get_item(user_key(person.user_id), consistent=True) or {}
        name = text_in(user, "name")
        known = {each.casefold() for each in (person.user_id, *person.addresses, name) if each}
        for organization_id in self._organization_ids(person):
            item = self._get_item(organization_key(organization_id), consistent=True)
            with suppress(CorruptItem):
                if item is None or not is_kind(item, keyspace.ORGANIZATION):
                    continue
                called = plan(Organization).decode(item).name.casefold()
                if any(each in called for each in known):
                    kind, ids = keyspace.ORGANIZATION.kind, (("organization_id", organization_id),)
                    yield kind, Mention(kind, ids, ("name",), "it may be named after the person")

    def _organization_ids(self, person: Person) -> list[str]:
        collection = keyspace.MEMBERSHIP.collection(TABLE, person.user_id)()
        found = []
        for items in self._walk(collection, only=(PK, SK)):
            for item in items:
                with suppress(CorruptItem):
                    found.append(key_parts(keyspace.MEMBERSHIP, item, SK)[0])
        return found


def _naming(layout: Layout, item: Mapping[str, Any], user_id: str) -> Sequence[str]:
    """The fields by which an item that may be others' names the user."""
    return [name for name in layout.names if item.get(name) == {"S": user_id}]


def _accepted(item: AttributeValues) -> Mention | None:
    """An invite that the person accepted, to an address that nobody says is theirs."""
    with suppress(CorruptItem):
        (organization_id,) = key_parts(keyspace.INVITE, item, PK)
        _, invite_id = key_parts(keyspace.INVITE, item, SK)
        ids = (("organization_id", organization_id), ("invite_id", invite_id))
        why = "accepted by the person: its address may be theirs"
        return Mention(keyspace.INVITE.kind, ids, ("email",), why)
    return None


def _ids(entity: Entity, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, getattr(entity, name)) for name in names)


def _is_theirs(item: AttributeValues, person: Person) -> bool:
    """True for the person's own membership, and an invite to one of their addresses."""
    for layout in _OF_AN_ORGANIZATION:
        whose = layout.whose
        if whose is not None and is_kind(item, layout):
            return any(is_owned_by(whose, layout, item, each) for each in person.ids(whose.what))
    return False
