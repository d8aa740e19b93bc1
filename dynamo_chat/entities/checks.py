"""Checks an application's own kinds when its store class is made.

A key that overlaps with another's, or that sorts where a query of the package reads, would damage
data silently. So the class is refused, with a sentence for each problem. What is legal but probably
slow is a `HotSpotWarning`.

Own kinds in the package's partitions have sort keys whose tag begins with ``APP``: no tag of the
package begins so, and no query of the package reads a range that contains one, except those of
whole collections.
"""

from __future__ import annotations

import re
import types
import typing
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import combinations
from typing import Any, Final, Literal, get_args

from dynamo_chat import keyspace
from dynamo_chat.core.entity import Entity, Text
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import Component, Shape, flag, integer, text, time
from dynamo_chat.core.layout import (
    KEY_ATTRIBUTES,
    KIND,
    PACKAGE,
    PLACES,
    TABLE,
    TTL,
    VERSION,
    KeySpace,
    Layout,
    Place,
    Slot,
    Whose,
)
from dynamo_chat.core.own import own_repositories
from dynamo_chat.core.patterns import declared_pattern
from dynamo_chat.core.repository import Repository as BaseRepository
from dynamo_chat.entities.base import Repository

OWN_TAG: Final = "APP"
"""How the tags of own sort keys in the package's partitions begin."""

RESERVED: Final = frozenset(
    {*KEY_ATTRIBUTES, KIND, VERSION, TTL, "life", "sure_until", "deletion_id", "clearing"}
)
"""Names of stored attributes that the package writes itself."""

ROOTS: Final = (
    keyspace.CONVERSATION,
    keyspace.USER,
    keyspace.ORGANIZATION,
    keyspace.EMAIL_THREAD,
)
"""The kinds of the package in whose partitions own kinds may be: they are deleted with them."""

_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
_PATTERN_ID: Final = re.compile(r"[A-Z]{2,8}[0-9]{1,4}")
_WHAT: Final = typing.get_type_hints(Whose)["what"]
_TYPES: Final[dict[Any, type]] = {text: str, time: datetime, integer: int, flag: bool}


class LayoutError(TypeError):
    """An application's own kinds cannot be in the table. `problems` has a sentence for each."""

    def __init__(self, store: str, problems: Sequence[str]) -> None:
        self.store = store
        self.problems = tuple(problems)
        super().__init__(f"{store}: " + "\n".join(self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.store, self.problems)


class HotSpotWarning(UserWarning):
    """Writes of a kind may all go to a few partitions, of which each takes 1,000 a second."""


def checked_key_space(store: type, base: type) -> KeySpace:
    """The package's key space with the own kinds of `store`. LayoutError; HotSpotWarning."""
    repositories = own_repositories(store)
    problems = list(_repository_problems(repositories, base))
    layouts: list[Layout] = []
    for name, made in repositories.items():
        for kind in getattr(made, "kinds", ()):
            found = _layout_of(kind)
            if found is None:
                problems.append(
                    f"{name}: {_named(kind)} is no kind; list entities that have a `layout`, and "
                    "layouts of helper items."
                )
                continue
            if isinstance(kind, type) and found.entity is not kind:
                problems.append(
                    f"{found.kind}: two classes have this layout, {_named(found.entity)} and "
                    f"{_named(kind)}; each class has its own."
                )
            if not any(found is each for each in layouts):
                layouts.append(found)
    if not problems:
        problems = [
            *(each for layout in layouts for each in _layout_problems(layout, layouts)),
            *_overlaps(layouts),
        ]
    if problems:
        raise LayoutError(store.__name__, problems)
    for warning in (each for layout in layouts for each in _hot_spots(layout)):
        warnings.warn(f"{store.__name__}: {warning}", HotSpotWarning, stacklevel=4)
    return keyspace.KEY_SPACE.with_own(layouts)


# -- repositories -------------------------------------------------------------------------------


def _repository_problems(repositories: dict[str, type], base: type) -> Iterator[str]:
    for name, made in repositories.items():
        if not isinstance(made, type) or not issubclass(made, BaseRepository):
            yield f"{name}: {_named(made)} must extend dynamo_chat.entities.Repository."
            continue
        taken = getattr(base, name, None)
        if taken is not None or name == "connection":
            wanted = _returned(taken)
            if wanted is None or not any(each.__name__ == wanted for each in made.__mro__[1:]):
                yield (
                    f"{name}: the package's store has this name; choose another one, or extend "
                    f"{wanted or 'its class'} to add methods to it."
                )
                continue
            if "__init__" in vars(made):
                yield f"{name}: {made.__name__} is made like {wanted}, so it has no __init__."
        elif not issubclass(made, Repository):
            yield f"{name}: {made.__name__} must extend dynamo_chat.entities.Repository."
        if name.startswith("_"):
            yield f"{name}: a repository's name must not begin with an underscore."
        yield from _pattern_problems(name, made)


def _pattern_problems(name: str, made: type) -> Iterator[str]:
    for owner in made.__mro__:
        if owner.__module__.partition(".")[0] == PACKAGE:
            continue
        for method, function in vars(owner).items():
            declared = declared_pattern(function)
            if declared is None:
                continue
            inherited = declared_pattern(getattr(super(owner, made), method, None))
            if inherited is not None and inherited.id == declared.id:
                continue
            if _PATTERN_ID.fullmatch(declared.id) is None:
                yield (
                    f"{name}.{method}: the pattern {declared.id!r} must be two or more capital "
                    "letters and a number, such as NO1; those with one letter are the package's."
                )


def _returned(member: Any) -> str | None:
    """The name of the class that a property of the package's store returns."""
    hints = getattr(getattr(member, "func", None), "__annotations__", {})
    found = hints.get("return")
    return found if isinstance(found, str) else None


# -- one layout ---------------------------------------------------------------------------------


def _layout_problems(layout: Layout, own: Sequence[Layout]) -> Iterator[str]:
    """What is wrong with one own layout, besides its overlaps with others."""
    kind = layout.kind
    if not isinstance(kind, str) or _KIND.fullmatch(kind) is None:
        yield (
            f"{kind!r}: a kind is named in lower-case letters, digits and _, as in user_note; it "
            "is stored with every item."
        )
        return
    if kind in keyspace.KEY_SPACE.layouts:
        yield f"{kind}: the package has a kind of this name; choose another one."
    slots = list(_slots(layout))
    halves = [place for place, slot in slots if not _is_whole(slot)]
    for place in halves:
        yield (
            f"{kind}: its key in {_where(place)} is half; give a Slot of a partition(…) and a "
            "sort(…)."
        )
    if halves:
        return
    wrong = [each for place, slot in slots for each in _slot_problems(layout, place, slot)]
    wrong = wrong or [*_parent_problems(layout, own)]
    yield from wrong or _owner_problems(layout)
    if layout.helper:
        return
    if not isinstance(layout.entity, type):
        yield f"{kind}: no entity has this layout; a class needs `layout: ClassVar[Layout] = …`."
        return
    yield from _entity_problems(layout, layout.entity)


def _slot_problems(layout: Layout, place: Place, slot: Slot) -> Iterator[str]:
    kind, names = layout.kind, (*slot.pk.names, *slot.sk.names)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{kind}: {name} is twice in its key in {_where(place)}; once is enough."
    if not slot.pk.names:
        yield (
            f"{kind}: all its items would share the partition {slot.pk.tag} in {_where(place)}, "
            "which takes 1,000 writes a second; add an id, or integer('shard', 2) with shard_of."
        )
    lacking = [name for name in _table_names(layout) if name not in names]
    if place is not TABLE and lacking and not layout.helper:
        yield (
            f"{kind}: its key in {place.index} doesn't lead to the item, and two items could share "
            f"it; add {', '.join(lacking)} to the end of its sort key."
        )
    hosts = [each for each in _package_slots(place) if each.pk.tag == slot.pk.tag]
    if not hosts:
        return
    if hosts[0].pk.pattern() != slot.pk.pattern() or not _same_types(hosts[0].pk, slot.pk):
        yield (
            f"{kind}: partitions {slot.pk.tag} of {_where(place)} are the package's, and have the "
            f"form {hosts[0].pk.pattern()}; choose another tag."
        )
    elif not slot.sk.tag.startswith(OWN_TAG):
        yield (
            f"{kind}: a sort key in the package's partitions {slot.pk.pattern()} must have a tag "
            f"that begins with {OWN_TAG}, such as {OWN_TAG}{slot.sk.tag}: others may sort between "
            "items that the package reads together."
        )
    elif place is not TABLE and slot.pk.tag != keyspace.USER_PARTITION.tag:
        yield (
            f"{kind}: partitions {slot.pk.pattern()} of {place.index} are the package's, which may "
            "read them whole; choose another tag."
        )
    elif not any(each.table.pk.tag == slot.pk.tag for each in ROOTS):
        yield (
            f"{kind}: nothing would delete it from the package's partition {slot.pk.pattern()}; "
            f"only those of {_listed(each.kind for each in ROOTS)} take own kinds."
        )


def _parent_problems(layout: Layout, own: Sequence[Layout]) -> Iterator[str]:
    """What is wrong with `of`: each item must be found by the deletion of its parent."""
    kind, parent = layout.kind, layout.of
    host = next((each for each in ROOTS if each.table.pk.tag == layout.table.pk.tag), None)
    if parent is None:
        if layout.helper:
            yield f"{kind}: it is a helper item; say of which kind with of=…."
        elif host is not None:
            yield (
                f"{kind}: it is in the partition of a {_words(host)} and is deleted with it; say "
                f"so with of={host.kind.upper()}."
            )
        return
    if layout.root:
        yield f"{kind}: it has a parent (`of`), so it is no `root`."
    if not any(parent is each for each in (*ROOTS, *own)):
        yield (
            f"{kind}: its parent {parent.kind} must be one of this store's own kinds, or one of "
            f"{_listed(each.kind for each in ROOTS)}."
        )
        return
    known = {*_table_names(layout), *(each.name for each in layout.says), *_fields_of(layout)}
    lacking = [name for name in _table_names(parent) if name not in known]
    if lacking:
        yield (
            f"{kind}: the key of its parent {parent.kind} can't be made of its fields; add "
            f"{', '.join(lacking)}."
        )
    top = layout.top
    if top in ROOTS and host is not top and not _is_found_by_user(layout, top):
        yield (
            f"{kind}: deleting its {_words(top)} wouldn't find it; put it into the partition "
            f"{top.table.pk.pattern()}"
            + (", or into one of its own with only user_id in it." if top is keyspace.USER else ".")
        )


def _is_found_by_user(layout: Layout, top: Layout) -> bool:
    """True for a partition of its own that is named by the user alone."""
    return top is keyspace.USER and layout.table.pk.names == keyspace.USER_PARTITION.names


def _owner_problems(layout: Layout) -> Iterator[str]:
    """Whether exporting and erasing a person's data finds its items."""
    kind, whose = layout.kind, layout.owner
    if whose is None:
        if not _is_beneath(layout):
            yield (
                f"{kind}: nothing says whose its items are, so exporting and erasing a person's "
                "data would leave them out; name its partition by user_id or account_id, or say "
                'whose=Whose("user", ("user_id",)), or whose=Whose("nobody").'
            )
        return
    if not isinstance(whose, Whose) or whose.what not in get_args(_WHAT):
        yield f"{kind}: its owner must be a Whose of {_listed(get_args(_WHAT))}."
        return
    if whose.component is None:
        return
    known = {*_table_names(layout), *(each.name for each in layout.says), *_fields_of(layout)}
    lacking = [name for name in whose.fields if name not in known]
    if lacking or not whose.fields:
        yield f"{kind}: its owner is in {_listed(lacking) or 'no field'}; name fields of its own."
        return
    places = layout.places_of(whose)
    if len(places) < len(whose.fields):
        yield (
            f"{kind}: its items can't be found by their {whose.what}; a partition for each of "
            f"{_listed(whose.fields)} must begin with {whose.component}, and have nothing else but "
            "flags, or shards whose number is said by Whose(…, shards=…)."
        )
        return
    for place in places:
        optional = _may_be_missing(layout, place)
        if optional:
            yield (
                f"{kind}: its items are found by their {whose.what} in {_where(place)}, but not "
                f"those without {_listed(optional)}; these fields must always have a value there."
            )


def _is_beneath(layout: Layout) -> bool:
    """True if its items are found, or left, with what they belong to."""
    top = layout.top
    if not top.is_own:
        return True
    above = layout.of
    while above is not None:
        owner = above.owner
        is_head = above.table.pk.tag == layout.table.pk.tag and not above.table.sk.names
        if is_head or (owner is not None and owner.component is None):
            return True
        above = above.of
    return False


def _may_be_missing(layout: Layout, place: Place) -> list[str]:
    """Components of an index key that may have no value: then the item is not in the index."""
    slot, entity = layout.slot(place), layout.entity
    if place is TABLE or slot is None or not isinstance(entity, type) or _computes(entity):
        return []
    hints = typing.get_type_hints(entity, include_extras=True)
    names = (*slot.pk.names, *slot.sk.names)
    return [name for name in names if name in hints and _bare(hints[name])[1]]


def _entity_problems(layout: Layout, entity: type[Entity]) -> Iterator[str]:
    kind, model_fields = layout.kind, entity.model_fields
    for name in model_fields:
        if name in RESERVED:
            yield f"{kind}: the field {name} has a name that the package uses; rename it."
    for place, slot in _slots(layout):
        for component in (*slot.pk.components, *slot.sk.components):
            yield from _component_problems(layout, entity, place, component)
    for version in range(1, entity.schema_version):
        if version not in entity.upgrades:
            yield f"{kind}: schema version {version} can't be read; add it to `upgrades`."
    if any(name in RESERVED for name in model_fields):
        return
    try:
        deadline = plan(entity).deadline
    except (TypeError, NameError) as error:
        yield f"{kind}: {error}."
        return
    in_talk = layout.table.pk.tag == keyspace.CONVERSATION_PARTITION.tag
    if in_talk and layout.top is keyspace.CONVERSATION and deadline is None:
        yield (
            f"{kind}: it expires with its conversation, so it needs a field "
            "`expires_at: ExpiresAt = None`."
        )


def _component_problems(
    layout: Layout, entity: type[Entity], place: Place, component: Component
) -> Iterator[str]:
    kind, name = layout.kind, component.name
    info = entity.model_fields.get(name)
    if info is None:
        if entity.indexed is Entity.indexed or place is TABLE or not _computes(entity):
            yield (
                f"{kind}: {name} is part of its key in {_where(place)}, but {entity.__name__} has "
                "no such field."
            )
        return
    hint = typing.get_type_hints(entity, include_extras=True)[name]
    bare, is_optional = _bare(hint)
    if place is TABLE and (is_optional or not info.is_required()):
        yield f"{kind}: {name} is part of its key in the table, so it must always have a value."
    wanted = _TYPES.get(type(component))
    if wanted is not None and _plain(bare) is not wanted:
        yield (
            f"{kind}: {name} is {type(component).__name__} in its key in {_where(place)}, but "
            f"another type in {entity.__name__}; make it {wanted.__name__}."
        )
    elif bare == Text:
        yield (
            f"{kind}: {name} is text of any length, which a key can't hold; make it an Id, or put "
            "digest_of(…) of it into the key."
        )


# -- several layouts ----------------------------------------------------------------------------


def _overlaps(layouts: Sequence[Layout]) -> Iterator[str]:
    """What two own kinds have in common that each must have alone."""
    for one, other in combinations(layouts, 2):
        if one.kind == other.kind:
            yield f"{one.kind}: two of this store's kinds have this name; rename one."
            continue
        for place, left in _slots(one):
            right = other.slot(place)
            if right is None or left.pk.tag != right.pk.tag:
                continue
            if left.pk.pattern() != right.pk.pattern() or not _same_types(left.pk, right.pk):
                yield (
                    f"{one.kind} and {other.kind}: their partitions {left.pk.tag} in "
                    f"{_where(place)} have different components; give one another tag."
                )
            elif left.sk.tag == right.sk.tag:
                yield (
                    f"{one.kind} and {other.kind}: their keys {left.sk.tag} in {_where(place)} "
                    "overlap; give one another tag."
                )


def _hot_spots(layout: Layout) -> Iterator[str]:
    """Partitions of which there are few, or of which only one is written at any time."""
    hints = (
        typing.get_type_hints(layout.entity, include_extras=True)
        if isinstance(layout.entity, type)
        else {}
    )
    for place, slot in _slots(layout):
        parts = slot.pk.components
        if any(isinstance(each, integer) for each in parts):
            continue  # a shard, or a number
        if all(_is_few(each, hints.get(each.name)) for each in parts):
            yield (
                f"{layout.kind}: there are only a few partitions {slot.pk.pattern()} in "
                f"{_where(place)}, and each takes 1,000 writes a second; add integer('shard', 2) "
                "with shard_of."
            )
        elif all(isinstance(each, time) or _is_few(each, hints.get(each.name)) for each in parts):
            yield (
                f"{layout.kind}: everything that is written at one time goes to one partition "
                f"{slot.pk.pattern()} in {_where(place)}; add an id or integer('shard', 2)."
            )


# -- parts --------------------------------------------------------------------------------------


def _layout_of(kind: Any) -> Layout | None:
    if isinstance(kind, Layout):
        return kind
    found = getattr(kind, "layout", None) if isinstance(kind, type) else None
    return found if isinstance(found, Layout) and issubclass(kind, Entity) else None


def _slots(layout: Layout) -> Iterator[tuple[Place, Slot]]:
    for place in PLACES:
        slot = layout.slot(place)
        if slot is not None:
            yield place, slot


def _package_slots(place: Place) -> Iterator[Slot]:
    for layout in keyspace.KEY_SPACE:
        slot = layout.slot(place)
        if slot is not None:
            yield slot


def _is_whole(slot: Any) -> bool:
    return isinstance(slot, Slot) and all(isinstance(each, Shape) for each in slot)


def _same_types(one: Shape, other: Shape) -> bool:
    return [repr(each) for each in one.components] == [repr(each) for each in other.components]


def _table_names(layout: Layout) -> tuple[str, ...]:
    return (*layout.table.pk.names, *layout.table.sk.names)


def _fields_of(layout: Layout) -> tuple[str, ...]:
    return tuple(layout.entity.model_fields) if isinstance(layout.entity, type) else ()


def _computes(entity: type[Entity]) -> bool:
    """True if an application's entity computes the components of its index keys itself."""
    return entity.indexed.__module__.partition(".")[0] != PACKAGE


def _bare(hint: Any) -> tuple[Any, bool]:
    """A field's type without ``| None``, and whether it may be None."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        kept = [each for each in typing.get_args(hint) if each is not type(None)]
        if len(kept) == 1:
            return kept[0], True
    return hint, False


def _plain(hint: Any) -> Any:
    while typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is Literal:
        return type(typing.get_args(hint)[0])
    return hint


def _is_few(component: Component, hint: Any) -> bool:
    """True if a component has only a few different values."""
    if isinstance(component, flag):
        return True
    bare = _bare(hint)[0]
    while typing.get_origin(bare) is typing.Annotated:
        bare = typing.get_args(bare)[0]
    return bare is bool or typing.get_origin(bare) is Literal


def _where(place: Place) -> str:
    return place.index or "the table"


def _words(layout: Layout) -> str:
    return layout.kind.replace("_", " ")


def _listed(names: Any) -> str:
    return ", ".join(names)


def _named(thing: Any) -> str:
    return getattr(thing, "__name__", None) or type(thing).__name__
