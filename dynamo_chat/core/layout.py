"""The layout of one kind of item: its keys in the table and indexes, and what it is for.

`keyspace` lists one `Layout` per kind. Component names are the names of entity fields, so an
entity's keys follow from its layout, and fields in a key are not stored a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, Protocol

from dynamo_chat.core.keys import Component, KeyRange, Shape, flag, integer

if TYPE_CHECKING:
    from dynamo_chat.core.entity import Entity

PK = "PK"
SK = "SK"
TTL = "ttl"
KIND = "kind"
VERSION = "v"
PACKAGE = "dynamo_chat"
INTEGRATIONS = "dynamo_chat.integrations."
"""How the names of modules begin whose kinds an application adds to its store, like its own."""
APPLICATION = "application"
"""The domain of the kinds that applications declare."""


class Slot(NamedTuple):
    """The partition key and sort key of the table, or of one index."""

    pk: Shape
    sk: Shape


@dataclass(frozen=True, slots=True)
class Place:
    """The table or an index: its name and its two key attributes."""

    index: str | None
    pk: str
    sk: str


TABLE = Place(None, PK, SK)
GSI1 = Place("GSI1", "GSI1PK", "GSI1SK")
GSI2 = Place("GSI2", "GSI2PK", "GSI2SK")
PLACES = (TABLE, GSI1, GSI2)
KEY_ATTRIBUTES = frozenset(name for place in PLACES for name in (place.pk, place.sk))


class Collection(NamedTuple):
    """What a query reads: an index or the table, a partition, a range of sort keys."""

    place: Place
    partition: str
    keys: KeyRange
    shape: Shape
    """The shape that a cursor's position must have."""


@dataclass(frozen=True, slots=True)
class Whose:
    """To whom the items of a kind belong, for handing out and erasing a person's data."""

    what: Literal["user", "account", "address", "nobody"]
    """What the fields hold: a user's id, an account's id, an e-mail address."""
    fields: tuple[str, ...] = ()
    """Each may name the owner: a call has two users."""
    shards: int = 1
    """The number of shards, if the owner's list is spread over some."""

    @property
    def component(self) -> str | None:
        """How keys name the owner; None if nobody owns it."""
        return _OWNER_IN_KEY.get(self.what)


_OWNER_IN_KEY: Final[Mapping[str, str]] = {
    "user": "user_id",
    "account": "account_id",
    "address": "address",
}
_OWNERS: Final[Mapping[str, Whose]] = {
    "user_id": Whose("user", ("user_id",)),
    "account_id": Whose("account", ("account_id",)),
    "organization_id": Whose("nobody"),
}
"""To whom an application's items belong by what their partitions are named by."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of item: its keys, its entity and its parent."""

    kind: str
    table: Slot
    gsi1: Slot | None = None
    gsi2: Slot | None = None
    entity: str | type[Entity] = ""
    """The class of this kind of item, or its path ``module:Class``, so that the key space imports
    no domain. Modules of this package start with a dot. Empty for a helper item without a class."""
    of: Layout | None = None
    """The kind of its parent item, whose key can be built from this item's fields. Without its
    parent, an item is an orphan."""
    root: bool = False
    """True if it has no parent. Every kind has either `of` or `root`."""
    says: tuple[Component, ...] = ()
    """A helper item's attributes other than its keys: texts, and times written as text."""
    status: str = "active"
    helper: bool = False
    """True for an item that is not an entity, but makes one findable or unique."""
    version: int = 1
    """The schema version of a helper item; an entity's class has its own."""
    whose: Whose | None = None
    """To whom it belongs; None for whoever its parent belongs to. A root kind must say it, an
    application's only if no partition says it: see `owner`."""
    names: tuple[str, ...] = ()
    """Fields with the id of a user to whom it does not belong. Erasing the user replaces it."""
    note: str = ""

    @property
    def domain(self) -> str:
        """The package of its entity, or of what it belongs to; else ``provision``."""
        if self.of is not None and (self.of.is_own or not self.is_own):
            return self.of.domain
        if self.is_own:
            return APPLICATION
        module = self.entity if isinstance(self.entity, str) else self.entity.__module__
        return module.split(".")[1] if module else "provision"

    @property
    def is_own(self) -> bool:
        """True if an application declared this kind, or added it to its store."""
        if isinstance(self.entity, str):
            return self.helper and self.of is not None and self.of.is_own
        module = self.entity.__module__
        return module.partition(".")[0] != PACKAGE or module.startswith(INTEGRATIONS)

    def bind(self, entity: type[Entity]) -> None:
        """Note the class of this kind, unless the declaration names one. Called once per class."""
        if self.entity == "" and not self.helper:
            object.__setattr__(self, "entity", entity)

    @property
    def is_tombstone(self) -> bool:
        """True if it replaces its parent item while that is being deleted."""
        return self.helper and self.of is not None and self.table == self.of.table

    @property
    def top(self) -> Layout:
        """The parent of its parents; itself if it has none."""
        return self if self.of is None else self.of.top

    @property
    def owner(self) -> Whose | None:
        """To whom its items belong by themselves; None for whoever its parent belongs to.

        An application's kind in partitions of its own need not say it if these are named by a
        user, an account or an organization: it is what they are named by.
        """
        if self.whose is not None or not self.is_own:
            return self.whose
        top = self.top.table.pk
        if not self.top.is_own:  # in a user's own partition, it is next to the user
            is_users = self.table.pk.names == top.names == ("user_id",)
            return _OWNERS["user_id"] if is_users and self.table.pk.tag != top.tag else None
        slots = (self.slot(place) for place in PLACES)
        firsts = {slot.pk.names[0] for slot in slots if slot is not None and slot.pk.names}
        named = [_OWNERS[name] for name in firsts & _OWNERS.keys()]
        if len(named) != 1:
            return None
        (owner,) = named
        if owner.component is None:
            return owner if self.of is None else None
        return owner if self.places_of(owner) else None

    def places_of(self, whose: Whose) -> tuple[Place, ...]:
        """Where the items of one owner are: one place for each field that may name the owner.

        Such a partition is named by the owner, and spread over nothing but shards and flags.
        """
        found = []
        for place in PLACES:
            slot = self.slot(place)
            first, *rest = (None,) if slot is None else slot.pk.components or (None,)
            if first is None or first.name != whose.component:
                continue
            is_spread = all(isinstance(each, flag) for each in rest) or (
                whose.shards > 1 and all(isinstance(each, (integer, flag)) for each in rest)
            )
            if is_spread:
                found.append(place)
        return tuple(found[: len(whose.fields)])

    def is_under(self, other: Layout) -> bool:
        """True if it is `other`, or belongs to it or to a kind that does; not one with an owner."""
        layout: Layout | None = self
        while layout is not None and layout is not other:
            layout = None if layout.owner is not None else layout.of
        return layout is other

    def resolved(self) -> type[Entity] | None:
        """The class of this kind of item; None for a helper without one."""
        if not isinstance(self.entity, str):
            return self.entity
        if not self.entity:
            return None
        module, _, name = self.entity.partition(":")
        found: type[Entity] = getattr(import_module(module, "dynamo_chat"), name)
        return found

    @property
    def newest(self) -> int:
        """The schema version in which items of this kind are written now."""
        entity = self.resolved()
        return self.version if entity is None else entity.schema_version

    def slot(self, place: Place) -> Slot | None:
        """The slot of this kind in `place`; None if it has none."""
        if place.index is None:
            return self.table
        return self.gsi1 if place.index == GSI1.index else self.gsi2

    def key(self, **fields: Any) -> dict[str, dict[str, str]]:
        """The table key of the item with these fields, as DynamoDB's ``Key``."""
        return {
            PK: {"S": self.table.pk.encode(*(fields[name] for name in self.table.pk.names))},
            SK: {"S": self.table.sk.encode(*(fields[name] for name in self.table.sk.names))},
        }

    def index_key(self, place: Place, fields: Mapping[str, Any]) -> dict[str, str]:
        """Both key attributes of `place`, built from `fields`."""
        slot = self.slot(place)
        if slot is None:
            raise TypeError(f"a {self.kind} has no slot in {place.index}")
        return {
            place.pk: slot.pk.encode(*(fields[name] for name in slot.pk.names)),
            place.sk: slot.sk.encode(*(fields[name] for name in slot.sk.names)),
        }

    def collection(self, place: Place, *partition: Any) -> Callable[..., Collection]:
        """A function that makes the `Collection` of this kind in one partition of `place`.

        ``collection(GSI1, user_id)(status, lower=…, until=…)``: it takes `Shape.range`'s arguments.
        """
        slot = self.slot(place)
        if slot is None:
            raise TypeError(f"a {self.kind} has no slot in {place.index}")
        key = slot.pk.encode(*partition)

        def narrowed(*values: Any, lower: Any = None, until: Any = None) -> Collection:
            return Collection(place, key, slot.sk.range(*values, lower=lower, until=until), slot.sk)

        return narrowed


class KeySpace:
    """Every kind of item in a table, by domain."""

    def __init__(self, layouts: Iterable[Layout], own: Iterable[Layout] = ()) -> None:
        self.own: tuple[Layout, ...] = tuple(own)
        """The kinds that the application declares; they are in `domains`, too."""
        self.domains: dict[str, list[Layout]] = {}
        for layout in layouts:
            self.domains.setdefault(layout.domain, []).append(layout)
        if self.own:
            self.domains[APPLICATION] = list(self.own)

    def with_own(self, own: Iterable[Layout]) -> KeySpace:
        """This key space with an application's own kinds."""
        return KeySpace(self, own)

    def __iter__(self) -> Iterator[Layout]:
        """Every layout, domain by domain."""
        return (layout for layouts in self.domains.values() for layout in layouts)

    @cached_property
    def layouts(self) -> Mapping[str, Layout]:
        """Every layout, by its kind."""
        return {layout.kind: layout for layout in self}

    @cached_property
    def entities(self) -> Mapping[str, type[Entity]]:
        """The class of each kind, without helpers that have none. Imports every domain."""
        found = ((layout.kind, layout.resolved()) for layout in self)
        return {kind: entity for kind, entity in found if entity is not None}

    def in_place_of(self, root: Layout) -> frozenset[str]:
        """The kinds that can have the key of a `root` item: its own, and its tombstone's."""
        tombstones = (each.kind for each in self if each.is_tombstone and each.of is root)
        return frozenset({root.kind, *tombstones})


class HasKeySpace(Protocol):
    """A store: its class knows the kinds of items in its table."""

    key_space: ClassVar[KeySpace]
    """Every kind of item in the table."""
