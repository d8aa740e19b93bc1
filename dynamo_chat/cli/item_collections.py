"""Show the items of the table and of each index, grouped by partition key.

Partitions are read one by one, without a Scan. What an index contains follows from the index keys
of the items that were read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dynamo_chat import keyspace
from dynamo_chat.cases.words import describe
from dynamo_chat.cli.console import (
    Text,
    domain_of,
    domain_style,
    folded,
    key_words,
    kind_style,
    visible,
)
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.layout import KIND, PLACES, SK, Place
from dynamo_chat.core.size import item_size
from dynamo_chat.core.text import cut
from dynamo_chat.orgs.invite import HASH_ATTRIBUTE
from dynamo_chat.store import ChatStore

ALIKE_SHOWN = 2
"""How many neighbouring collections with one item of the same kind are shown."""

_WHAT_WIDTH = 64
_LEAST_WHAT_WIDTH = 12
_BYTES_WIDTH = 7
_GAP = 2
_INDENT = 2


class ItemCollection(NamedTuple):
    """The items with one partition key, in sort key order."""

    partition: str
    items: list[AttributeValues]

    @property
    def only_kind(self) -> str | None:
        """The kind of its item if it has only one; else None."""
        return self.items[0][KIND]["S"] if len(self.items) == 1 else None


class _Widths(NamedTuple):
    key: int
    kind: int
    what: int


def read_conversation_items(
    store: ChatStore, conversation_ids: Iterable[str]
) -> list[AttributeValues]:
    """All items of these conversations, including those in other partitions."""
    items: list[AttributeValues] = []
    for conversation_id in conversation_ids:
        found = read_partitions(store, [keyspace.CONVERSATION_PARTITION.encode(conversation_id)])
        items += found
        for item in found:
            if item[KIND]["S"] == keyspace.REVIEW.kind:
                _, review_id = keyspace.REVIEW.table.sk.decode(item[SK]["S"])
                items += read_partitions(store, [keyspace.REVIEW_ID.table.pk.encode(review_id)])
    return items


def read_record_items(store: ChatStore, partitions: Iterable[str]) -> list[AttributeValues]:
    """All items under these partition keys, and the token items of their invites."""
    items = read_partitions(store, partitions)
    hashes = [item[HASH_ATTRIBUTE]["S"] for item in items if HASH_ATTRIBUTE in item]
    return items + read_partitions(store, map(keyspace.INVITE_TOKEN.table.pk.encode, hashes))


def read_partitions(store: ChatStore, partitions: Iterable[str]) -> list[AttributeValues]:
    """All items of the table under these partition keys, each partition in sort key order."""
    return [item for each in partitions for item in _partition(store, each)]


def _partition(store: ChatStore, partition: str) -> list[AttributeValues]:
    items: list[AttributeValues] = []
    request: dict[str, Any] = {
        "TableName": store.connection.table_name,
        "KeyConditionExpression": "PK = :p",
        "ExpressionAttributeValues": {":p": {"S": partition}},
        "ConsistentRead": True,
    }
    while True:
        answer = store.connection.call("Query", dict(request))
        items += answer.get("Items", [])
        if not answer.get("LastEvaluatedKey"):
            return items
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def collections_in(place: Place, items: Sequence[AttributeValues]) -> list[ItemCollection]:
    """Group `items` by their partition key in the table or an index."""
    found: defaultdict[str, list[AttributeValues]] = defaultdict(list)
    for item in items:
        if place.pk in item and place.sk in item:
            found[item[place.pk]["S"]].append(item)
    for members in found.values():
        members.sort(key=lambda item: item[place.sk]["S"].encode())
    ordered = sorted(found.items(), key=lambda pair: pair[0].encode())
    return [ItemCollection(partition, members) for partition, members in ordered]


# -- showing ------------------------------------------------------------------------------------


def show_collections(
    console: Console, items: Sequence[AttributeValues], *, most_alike: int | None = None
) -> None:
    """Print the item collections of the table and of each index, coloured by kind of item.

    Of neighbours of one kind only the first `most_alike` are shown, and how many more follow.
    """
    for place in PLACES:
        collections = collections_in(place, items)
        count = sum(len(collection.items) for collection in collections)
        held = f"{_counted(count, 'item')} in {_counted(len(collections), 'collection')}"
        console.print(
            Text.assemble(
                (place.index or "Table", "bold underline"), (f"  {held}, by {place.pk}", "dim")
            )
        )
        _show_place(console, place, collections, most_alike)
        console.print()
    for domain, kinds in _by_domain(items).items():
        legend = Text(f"{domain}: ", style=f"bold {domain_style(domain)}")
        for kind in kinds:
            legend.append(f"{kind}  ", style=kind_style(kind))
        console.print(legend)


def _by_domain(items: Iterable[AttributeValues]) -> dict[str, list[str]]:
    """The kinds of these items, by domain."""
    there = {item[KIND]["S"] for item in items}
    found: defaultdict[str, list[str]] = defaultdict(list)
    for kind in keyspace.KEY_SPACE.layouts:
        if kind in there:
            found[domain_of(kind)].append(kind)
    return found


def _show_place(
    console: Console,
    place: Place,
    collections: Sequence[ItemCollection],
    most_alike: int | None,
) -> None:
    widths = _widths(console, place, collections)
    for each in _with_gaps(collections):
        if isinstance(each, str):
            console.print(Text(each, style="dim italic"))
            continue
        for line in folded(visible(each.partition), console.width):
            console.print(Text(line, style="bold"))
        console.print(Padding(_members_table(place, each, widths, most_alike), (0, 0, 0, _INDENT)))


def _members_table(
    place: Place, collection: ItemCollection, widths: _Widths, most_alike: int | None
) -> Table:
    """The items of one collection, with given widths so that all collections align."""
    shown = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    shown.add_column(width=widths.key, overflow="fold")
    shown.add_column(width=widths.kind, no_wrap=True)
    shown.add_column(width=widths.what, no_wrap=True, overflow="ellipsis")
    shown.add_column(width=_BYTES_WIDTH, justify="right", no_wrap=True)
    for kind, neighbours in groupby(collection.items, key=lambda item: item[KIND]["S"]):
        alike, style = list(neighbours), kind_style(kind)
        most = len(alike) if most_alike is None or len(alike) <= most_alike + 1 else most_alike
        for item in alike[:most]:
            first, *rest = folded(visible(item[place.sk]["S"]), widths.key)
            said = cut(describe(item), widths.what)
            shown.add_row(
                Text(first, style=style), Text(kind, style=style), said, f"{item_size(item):,}"
            )
            for line in rest:
                shown.add_row(Text(line, style=style))
        if more := len(alike) - most:
            shown.add_row(Text(f"… and {more} more", style="dim italic"), Text(kind, style=style))
    return shown


def _widths(console: Console, place: Place, collections: Sequence[ItemCollection]) -> _Widths:
    """Widths of the columns: what keys need, at least for their longest word, then the rest."""
    items = [item for collection in collections for item in collection.items]
    keys = [visible(item[place.sk]["S"]) for item in items]
    key = max(map(len, keys), default=0)
    word = max((len(each) for text in keys for each in key_words(text)), default=0)
    kind = max((len(item[KIND]["S"]) for item in items), default=0)
    free = console.width - _INDENT - kind - _BYTES_WIDTH - 4 * _GAP
    what = min(_WHAT_WIDTH, max(free - key, free // 2))
    key = max(min(key, free - what), min(word, free - _LEAST_WHAT_WIDTH))
    return _Widths(key, kind, min(what, free - key))


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _with_gaps(collections: Sequence[ItemCollection]) -> Iterator[ItemCollection | str]:
    """The collections, but only the first of many similar ones, and how many more follow."""
    for kind, alike in groupby(collections, key=lambda collection: collection.only_kind):
        found = list(alike)
        layout = None if kind is None else keyspace.KEY_SPACE.layouts.get(kind)
        if layout is None or not layout.helper or len(found) <= ALIKE_SHOWN + 1:
            yield from found
            continue
        yield from found[:ALIKE_SHOWN]
        yield f"… and {len(found) - ALIKE_SHOWN} more, with one {kind} each"
