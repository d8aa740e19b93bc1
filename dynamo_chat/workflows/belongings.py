"""Finds everything that belongs to a person: by the declarations of the key space (`Layout.owner`).

A kind is found in the partitions that name its owner: of the table, or of an index, whose answer is
then read again in the table. What belongs to such an item is next to it: a conversation's messages
in its partition, an interaction's content beside its usage. Only items that readers see are found:
none that has expired, is being deleted, or is somebody else's by now.

Items are read page by page and returned one by one, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from dynamo_chat import keyspace
from dynamo_chat.calls.caller import Caller, as_of, place_of
from dynamo_chat.chat.conversation import LIFE, is_live_head, is_part_of, life_in
from dynamo_chat.chat.deletion import interactions_of
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.item import (
    UNREADABLE,
    corrupt,
    identity_of,
    is_kind,
    key_parts,
    plan,
    text_in,
)
from dynamo_chat.core.keys import KeyRange, flag, integer
from dynamo_chat.core.layout import KIND, PK, SK, TABLE, Collection, Layout, Place, Whose
from dynamo_chat.core.pairs import CONTENT
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.sharding import Spread
from dynamo_chat.core.transaction import Key, is_live, key_of
from dynamo_chat.identity.user import user_key


@dataclass(frozen=True, slots=True)
class Person:
    """Whose data is wanted: a user id, and what else is theirs."""

    user_id: str
    account_ids: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    """E-mail addresses in their normal form."""

    def ids(self, what: str) -> tuple[str, ...]:
        """The person's ids of a sort: user, account, address."""
        known = {"user": (self.user_id,), "account": self.account_ids, "address": self.addresses}
        return known.get(what, ())


class Found(NamedTuple):
    """An item that belongs to the person."""

    layout: Layout
    item: AttributeValues
    doubt: CorruptItem | None = None
    """Why it may be somebody else's: it is in the person's list, but does not say whose it is."""

    @property
    def entity(self) -> Entity:
        """The item as its entity. CorruptItem."""
        if self.doubt is not None:
            raise self.doubt
        entity = self.layout.resolved()
        if entity is None:
            raise TypeError(f"a {self.layout.kind} is no entity")
        return plan(entity).decode(self.item)


class Finder(Repository):
    """Finds the items of a person."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        own: tuple[Layout, ...] = getattr(binding, "own", ())
        self._layouts = (*keyspace.KEY_SPACE, *own)
        self._kinds = {each.kind: each for each in self._layouts}

    def with_addresses(self, person: Person) -> Person:
        """The person with the addresses that are stored for them."""
        item = self._get_item(user_key(person.user_id), consistent=True)
        found = [] if item is None else addresses_in(item)
        known = dict.fromkeys([*person.addresses, *found])
        return Person(person.user_id, person.account_ids, tuple(known))

    def find(
        self, person: Person, layouts: Sequence[Layout] = (), *, helpers: bool = False
    ) -> Iterator[Found]:
        """Everything that belongs to the person; each before what belongs to it.

        With `layouts`, only items of these kinds, and what belongs to them. Entities only, unless
        `helpers` are wanted, too.
        """
        for layout in layouts or self._layouts:
            whose = layout.owner
            if whose is None or not (helpers or _is_entity(layout)):
                continue
            for owner in person.ids(whose.what):
                if layout is keyspace.QUEUE_TICKET:
                    yield from self._tickets(owner)
                    continue
                for place, collection in _collections(layout, whose, owner):
                    for items in self._current(layout, whose, place, collection, owner):
                        yield from self._with_what_is_beneath(layout, items, person, helpers)

    # -- the items of one kind ----------------------------------------------------------------

    def _current(
        self, layout: Layout, whose: Whose, place: Place, collection: Collection, owner: str
    ) -> Iterator[list[Found]]:
        """The items of a collection that are still there, and still the owner's; page by page."""
        for shown in self._walk(collection, consistent=place is TABLE):
            yield [
                Found(layout, item, _doubt(layout, whose, item))
                for item in (shown if place is TABLE else self._read_again(shown))
                if is_kind(item, layout) and self._is_shown(layout, whose, item, owner)
            ]

    def _read_again(self, items: Sequence[AttributeValues]) -> list[AttributeValues]:
        """The items as they are in the table now."""
        found = self._get_items([key_of(each) for each in items], consistent=True)
        return [each for each in found if each is not None]

    def _is_shown(self, layout: Layout, whose: Whose, item: AttributeValues, owner: str) -> bool:
        now = self._now()
        if not is_live(item, now):
            return False
        if layout is keyspace.CONVERSATION and not is_live_head(item, now):
            return False
        return _doubt(layout, whose, item) is not None or is_owned_by(whose, layout, item, owner)

    def _tickets(self, user_id: str) -> Iterator[Found]:
        """The user's ticket in a queue, which the caller names."""
        item = self._get_item(keyspace.CALLER.key(user_id=user_id), consistent=True)
        if item is None:
            return
        with suppress(CorruptItem):  # the caller itself is reported
            place = place_of(as_of(plan(Caller).decode(item), self._now()))
            ticket = None if place is None else self._get_item(place.key, consistent=True)
            if ticket is not None and is_owned_by(
                keyspace.OF_A_USER, keyspace.QUEUE_TICKET, ticket, user_id
            ):
                yield Found(keyspace.QUEUE_TICKET, ticket)

    # -- what belongs to an item --------------------------------------------------------------

    def _with_what_is_beneath(
        self, layout: Layout, roots: Sequence[Found], person: Person, helpers: bool
    ) -> Iterator[Found]:
        """`roots`, which are of this kind, each with what is its own and stored next to it."""
        pair = self._content_of(layout)
        contents: list[AttributeValues | None] = [None] * len(roots)
        if pair is not None:
            contents = self._contents(layout, pair, roots)
        is_head = pair is None and not layout.table.sk.names and self._has_inside(layout, helpers)
        for root, content in zip(roots, contents, strict=True):
            yield root
            if root.doubt is not None:
                continue
            if pair is not None and content is not None:
                yield Found(pair, content)
            if is_head:
                yield from self._inside(layout, root.item, helpers)
            if layout is keyspace.CONVERSATION:
                with suppress(CorruptItem):  # its key leads nowhere; decoding the head reports it
                    yield from self._interactions(root.item, person)

    def _contents(
        self, layout: Layout, pair: Layout, roots: Sequence[Found]
    ) -> list[AttributeValues | None]:
        """The content of each root; None if it has none, or its key leads nowhere."""
        keys: dict[int, Key] = {}
        for number, root in enumerate(roots):
            with suppress(CorruptItem):  # decoding the root reports it
                keys[number] = _content_key(layout, pair, root.item)
        found = dict(zip(keys, self._get_items([*keys.values()], consistent=True), strict=True))
        return [found.get(number) for number in range(len(roots))]

    def _content_of(self, layout: Layout) -> Layout | None:
        """The kind of the content that is stored beside each item of this kind."""
        beside = (each for each in self._layouts if each.of is layout and _is_entity(each))
        return next((each for each in beside if each.table == layout.table), None)

    def _has_inside(self, layout: Layout, helpers: bool) -> bool:
        return any(_is_inside(each, layout, helpers) for each in self._layouts)

    def _inside(self, layout: Layout, root: AttributeValues, helpers: bool) -> Iterator[Found]:
        """What the partition of `root` holds of it."""
        now, life = self._now(), life_in(root)
        everything = KeyRange("A", "a")  # every tag begins with an upper-case letter
        shape = layout.table.sk
        for items in self._walk(Collection(TABLE, root[PK]["S"], everything, shape)):
            for item in items:
                kind = self._kinds.get(text_in(item, KIND) or "")
                if kind is None or not _is_inside(kind, layout, helpers) or not is_live(item, now):
                    continue
                if layout is not keyspace.CONVERSATION or is_part_of(item, life):
                    yield Found(kind, item)

    def _interactions(self, head: AttributeValues, person: Person) -> Iterator[Found]:
        """LLM interactions of a conversation, except those of the person's accounts.

        Those are found by their accounts.
        """
        (conversation_id,) = key_parts(keyspace.CONVERSATION, head, PK)
        life, now = life_in(head), self._now()
        content: AttributeValues | None = None
        for items in self._walk(interactions_of(conversation_id)):
            for item in items:
                if LIFE not in item or not is_live(item, now) or not is_part_of(item, life):
                    content = None
                elif is_kind(item, keyspace.LLM_CONTENT):
                    content = item  # it sorts just before its usage, which has the account
                else:
                    if text_in(item, "account_id") not in person.account_ids:
                        yield Found(keyspace.LLM_USAGE, item)
                        if content is not None:
                            yield Found(keyspace.LLM_CONTENT, content)
                    content = None


def _is_entity(layout: Layout) -> bool:
    """True for a kind that is handed out; helper items only make one findable."""
    return not layout.helper and layout.resolved() is not None


def _is_inside(layout: Layout, root: Layout, helpers: bool) -> bool:
    """True for a kind that is in the partition of its root; entities only, or `helpers`, too."""
    is_there = layout.table.pk.tag == root.table.pk.tag and layout is not root
    return is_there and (helpers or _is_entity(layout)) and layout.is_under(root)


def _collections(layout: Layout, whose: Whose, owner: str) -> Iterator[tuple[Place, Collection]]:
    """Where items of this kind with this owner are."""
    for place in layout.places_of(whose):
        slot = layout.slot(place)
        rest = () if slot is None else slot.pk.components[1:]
        for shard in product(*(_values(each, whose.shards) for each in rest)):
            yield place, layout.collection(place, owner, *shard)()


def addresses_in(user: AttributeValues) -> list[str]:
    """The normal forms of the addresses of a stored user, or of the user's tombstone."""
    found = []
    for name in ("email", "response_email"):
        with suppress(*UNREADABLE, InvalidArgument):
            found.append(address_key(user[name]["S"]))
    return found


def is_owned_by(whose: Whose, layout: Layout, item: AttributeValues, owner: str) -> bool:
    """True if a field of the item that may name its owner names this one."""
    values = _owners(whose, layout, item)
    if whose.what == "address":
        with suppress(InvalidArgument):
            values = [address_key(each) for each in values]
    return owner in values


def _owners(whose: Whose, layout: Layout, item: AttributeValues) -> list[str]:
    """What the fields that may name the owner hold, as far as they can be read."""
    in_key = identity_of(layout, item)
    found = (in_key.get(name) or text_in(item, name) for name in whose.fields)
    return [each for each in found if each is not None]


def _doubt(layout: Layout, whose: Whose, item: AttributeValues) -> CorruptItem | None:
    """Why it cannot be known whose the item is, and what is beside it; None if it says so."""
    if layout is keyspace.EMAIL_THREAD and not _is_at_its_key(layout, item):
        return corrupt(item, "its key leads to no e-mails", layout)
    if _owners(whose, layout, item):
        return None
    return corrupt(item, f"{' and '.join(whose.fields)}: missing or not text", layout)


def _is_at_its_key(layout: Layout, item: AttributeValues) -> bool:
    """True if the item, a root, has the key that its ids lead to."""
    with suppress(CorruptItem):
        parts = dict(zip(layout.table.pk.names, key_parts(layout, item, PK), strict=True))
        return layout.key(**parts) == key_of(item)
    return False


def _values(component: object, shards: int) -> Sequence[Any]:
    """All values of a component that spreads an owner's list over several partitions."""
    if isinstance(component, integer):
        return shards.shards() if isinstance(shards, Spread) else range(shards)
    if isinstance(component, flag):
        return (False, True)
    raise TypeError("an owner's list is spread over integers and flags only")


def _content_key(layout: Layout, content: Layout, record: AttributeValues) -> Key:
    names = (*layout.table.pk.names, *layout.table.sk.names)
    parts = (*key_parts(layout, record, PK), *key_parts(layout, record, SK))
    return content.key(**{**dict(zip(names, parts, strict=True)), names[-1]: CONTENT})
