"""The image of a table in dicts, which answers reads and writes at once, damaged items included.

It behaves as DynamoDB does where that matters to a reader: items by key, ranges in order, limits,
the last evaluated key. The dice decide whether the conditions of writes hold. Of the writes, only
deletes change something: a call that deletes what it finds, until it finds nothing, must end.
"""

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any, Final

from dynamo_chat.core.connection import ConditionFailed, TransactionClash
from dynamo_chat.core.layout import PLACES

Item = dict[str, Any]
Key = tuple[str, str]

MOST_REQUESTS: Final = 400
"""The most requests of one call. A call that sends more never ends."""


class NeverEnds(Exception):
    """A call kept sending requests."""


class Image:
    """The content of a table at one moment."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items: dict[Key, Item] = {}
        self._places: dict[str | None, dict[str, list[tuple[str, Key]]]] = {
            place.index: {} for place in PLACES
        }
        for item in items:
            key = _key_of(item)
            self.items[key] = item
            for index, partition, sort in _entries(item):
                self._places[index].setdefault(partition, []).append((sort, key))

    def within(self, index: str | None, partition: str) -> list[tuple[str, Key]]:
        """Sort keys and table keys of one partition of the table or an index."""
        return self._places[index].get(partition, [])


class Table:
    """Answers a store's requests from an image, with some items changed."""

    def __init__(self) -> None:
        self._image = Image(())
        self._changes: dict[Key, Item | None] = {}
        self._dice = Random(0)
        self._asked = 0
        self.shown: set[Key] = set()
        """The keys of items that were returned."""

    def show(self, image: Image, changes: Mapping[Key, Item | None], dice: int) -> None:
        """Answer from this image from now on, with these items changed, or missing if None."""
        self._image, self._changes = image, dict(changes)
        self._dice = Random(dice)
        self._asked = 0
        self.shown = set()

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The response to a request; replaces a connection's own `call`."""
        self._asked += 1
        if self._asked > MOST_REQUESTS:
            raise NeverEnds(f"more than {MOST_REQUESTS} requests, {operation} the last")
        answer: dict[str, Any] = getattr(self, f"_{operation.lower()}")(request)
        return answer

    def _at(self, key: Mapping[str, Any]) -> Item | None:
        place = _key_of(key)
        self.shown.add(place)
        if place in self._changes:
            return self._changes[place]
        return self._image.items.get(place)

    # -- reads --------------------------------------------------------------------------------

    def _getitem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        item = self._at(request["Key"])
        return {} if item is None else {"Item": item}

    def _batchgetitem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        ((table, asked),) = request["RequestItems"].items()
        found = (self._at(key) for key in asked["Keys"])
        return {"Responses": {table: [item for item in found if item is not None]}}

    def _query(self, request: Mapping[str, Any]) -> dict[str, Any]:
        index = request.get("IndexName")
        place = next(each for each in PLACES if each.index == index)
        values = request["ExpressionAttributeValues"]
        lower, upper = values[":l"]["S"], values[":u"]["S"]
        found = sorted(
            (sort, key)
            for sort, key in self._within(index, values[":p"]["S"])
            if lower <= sort <= upper
        )
        if not request["ScanIndexForward"]:
            found.reverse()
        start = request.get("ExclusiveStartKey")
        if start is not None:
            seen = (start[place.sk]["S"], _key_of(start))
            found = [
                each
                for each in found
                if (each > seen if request["ScanIndexForward"] else each < seen)
            ]
        taken = found[: request.get("Limit", len(found))]
        answer: dict[str, Any] = {"Items": [self._given(key, request) for _, key in taken]}
        if taken and len(taken) == request.get("Limit"):
            sort, (pk, sk) = taken[-1]
            last = {"PK": {"S": pk}, "SK": {"S": sk}, place.pk: values[":p"]}
            answer["LastEvaluatedKey"] = last | {place.sk: {"S": sort}}
        return answer

    def _within(self, index: str | None, partition: str) -> Iterator[tuple[str, Key]]:
        for sort, key in self._image.within(index, partition):
            if key not in self._changes:
                yield sort, key
        for key, item in self._changes.items():
            for at, within, sort in _entries(item or {}):
                if (at, within) == (index, partition):
                    yield sort, key

    def _given(self, key: Key, request: Mapping[str, Any]) -> Item:
        self.shown.add(key)
        item = (self._changes[key] if key in self._changes else self._image.items[key]) or {}
        if "ProjectionExpression" not in request:
            return item
        names = request["ExpressionAttributeNames"]
        wanted = {names[each] for each in request["ProjectionExpression"].split(", ")}
        return {name: value for name, value in item.items() if name in wanted}

    # -- writes -------------------------------------------------------------------------------

    def _write(self, request: Mapping[str, Any]) -> dict[str, Any]:
        there = self._at(request.get("Key") or request["Item"])
        if "ConditionExpression" in request and self._dice.random() < 0.4:
            raise ConditionFailed({0: there}, was_resent=self._dice.random() < 0.2)
        return {} if there is None else {"Attributes": there}

    _putitem = _updateitem = _write

    def _deleteitem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._write(request)
        self._changes[_key_of(request["Key"])] = None
        return answer

    def _transactwriteitems(self, request: Mapping[str, Any]) -> dict[str, Any]:
        writes = [next(iter(each.values())) for each in request["TransactItems"]]
        there = [self._at(each.get("Key") or each["Item"]) for each in writes]
        deleted = [each["Delete"] for each in request["TransactItems"] if "Delete" in each]
        thrown = self._dice.random()
        if thrown < 0.1:
            raise TransactionClash("busy")
        if thrown < 0.5:
            failed = {
                place: item
                for place, item in enumerate(there)
                if "ConditionExpression" in writes[place] and self._dice.random() < 0.5
            }
            if failed:
                raise ConditionFailed(failed, was_resent=self._dice.random() < 0.2)
        self._changes.update((_key_of(each["Key"]), None) for each in deleted)
        return {}

    def _batchwriteitem(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self._dice.random() < 0.1:
            return {"UnprocessedItems": request["RequestItems"]}
        return {}


def _key_of(item: Mapping[str, Any]) -> Key:
    return item["PK"]["S"], item["SK"]["S"]


def _entries(item: Mapping[str, Any]) -> Iterator[tuple[str | None, str, str]]:
    """Where an item is found: index, partition and sort key. DynamoDB accepts only text there."""
    for place in PLACES:
        partition, sort = _text(item.get(place.pk)), _text(item.get(place.sk))
        if partition and sort:
            yield place.index, partition, sort


def _text(stored: Any) -> str:
    found = stored.get("S") if isinstance(stored, dict) else None
    return found if isinstance(found, str) else ""
