"""A domain of one entity, to try the core with."""

from typing import Any, ClassVar

from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity, ExpiresAt, Id, Indexed
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import integer, partition, sort, text
from dynamo_chat.core.layout import GSI1, TABLE, Layout, Slot
from dynamo_chat.core.page import Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository
from dynamo_chat.core.transaction import Key

LAYOUT = Layout(
    "thing",
    table=Slot(partition("THING", text("group")), sort("THING", text("name"))),
    gsi1=Slot(partition("THINGS", integer("shard", 1)), sort("THING", text("name"), text("group"))),
)
SHARDS = 4


class Thing(Entity):
    """Something with a name, in a group."""

    layout: ClassVar[Layout] = LAYOUT

    group: Id
    name: Id
    is_hidden: bool = False
    note: str = "none"
    expires_at: ExpiresAt = None

    def indexed(self) -> Indexed:
        """In the shard that its name ends with."""
        return {GSI1: {**self.__dict__, "shard": int(self.name[-1]) % SHARDS}}


class Things(Repository):
    """Things by group, and all of them over four shards."""

    def add(self, *things: Thing) -> None:
        """Put things; each is in the shard that its name ends with."""
        self._batch_write([{"PutRequest": {"Item": item_of(each)}} for each in things])

    def remove(self, *things: Thing) -> int:
        """Delete things."""
        return self._delete_items([key_of(each) for each in things])

    def find(self, *things: Thing) -> list[AttributeValues | None]:
        """Items, in this order."""
        return self._get_items([key_of(each) for each in things])

    @access_pattern("X1", "Query", "1", owner="argument")
    def of_group(self, group: str, *, forward: bool = True, **options: Any) -> Page[Thing]:
        """Things of a group."""
        asked = PageRequest((group,), not forward, **options)
        return self._page(asked, [LAYOUT.collection(TABLE, group)()], self._read, is_kept=_is_shown)

    @access_pattern("X2", "Query", "4", index="GSI1", owner="argument")
    def everywhere(self, *, forward: bool = True, **options: Any) -> Page[Thing]:
        """Things of all groups, by name."""
        asked = PageRequest((), not forward, **options)
        shards = [LAYOUT.collection(GSI1, shard)() for shard in range(SHARDS)]
        return self._page(asked, shards, self._read, is_kept=_is_shown)

    @access_pattern("X3", "Query", "4", index="GSI1", owner="argument")
    def everywhere_again(self) -> Page[Thing]:
        """The same, through the other method."""
        return self.everywhere(page_size=1)

    def _read(self, item: AttributeValues) -> Thing:
        return plan(Thing).decode(item)


def _is_shown(item: AttributeValues) -> bool:
    return "is_hidden" not in item


def key_of(thing: Thing) -> Key:
    """Its table key."""
    return LAYOUT.key(group=thing.group, name=thing.name)


def item_of(thing: Thing) -> AttributeValues:
    """Its item, with index keys."""
    return plan(Thing).encode(thing)
