"""The changes of a store's table, as a stream handler would get them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from botocore.config import Config

from dynamo_chat.core.client import new_session
from dynamo_chat.streams.records import parse_stream_record

if TYPE_CHECKING:
    from dynamo_chat.store import ChatStore
    from dynamo_chat.streams.changes import Change

_STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
_TTL_SERVICE = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
_ATTEMPTS = 100


class TableChanges:
    """What changes in a store's table, from the moment that this is made; see `Engine.changes`."""

    def __init__(self, store: ChatStore, *, region: str, endpoint_url: str | None) -> None:
        self._store = store
        self._streams = new_session().create_client(
            "dynamodbstreams",
            region_name=region,
            endpoint_url=endpoint_url,
            # moto does not serve the addresses that name an account.
            config=Config(account_id_endpoint_mode="disabled"),
        )
        self._arn = _stream_of(store)
        self._seen: set[str] = set()
        self._expired: list[Mapping[str, Any]] = []
        self.records()  # of changes before this

    def read(self) -> list[Change]:
        """The changes since the last call, the changes of each item in their order.

        As in a stream handler, helper items give no change. CorruptItem if an item cannot be read.
        """
        changes = (parse_stream_record(each, self._store) for each in self.records())
        return [each for each in changes if each is not None]

    def mark_expired(self, item: Mapping[str, Any]) -> None:
        """Let the deletion of an item, as it was, count as one by DynamoDB's TTL; see `Sweeper`."""
        self._expired.append(item)

    def records(self) -> list[dict[str, Any]]:
        """The stream's records since the last call, as GetRecords returns them."""
        described = self._streams.describe_stream(StreamArn=self._arn)["StreamDescription"]
        found: list[dict[str, Any]] = []
        for shard in described["Shards"]:
            # From the start each time: the embedded engine forgets iterators when it rolls back.
            place: str | None = self._streams.get_shard_iterator(
                StreamArn=self._arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while place is not None:
                page = self._streams.get_records(ShardIterator=place)
                found += page["Records"]
                place = page.get("NextShardIterator") if page["Records"] else None
        fresh = [each for each in found if each["eventID"] not in self._seen]
        self._seen.update(each["eventID"] for each in fresh)
        for each in fresh:
            if each["eventName"] == "REMOVE" and each["dynamodb"]["OldImage"] in self._expired:
                self._expired.remove(each["dynamodb"]["OldImage"])
                each["userIdentity"] = _TTL_SERVICE
        return fresh


def _stream_of(store: ChatStore) -> str:
    """The ARN of the table's stream, which is switched on if it is not."""
    client, name = store.connection.client, store.connection.table_name
    for attempt in range(_ATTEMPTS):
        table = client.describe_table(TableName=name)["Table"]
        if table.get("StreamSpecification", {}).get("StreamEnabled"):
            return str(table["LatestStreamArn"])
        if attempt == 0:
            client.update_table(TableName=name, StreamSpecification=_STREAM)
        else:
            time.sleep(0.1)
    raise TimeoutError(f"the stream of table {name!r} was not switched on in time")


@contextmanager
def one_record_per_change() -> Iterator[None]:
    """Make moto's streams record a creation by update once, and an equal write not at all.

    Moto first creates an item that has only its key, and records that, too.
    """
    from moto.dynamodb.models.table import StreamShard

    add = StreamShard.add

    def add_one(shard: Any, old: Any, new: Any) -> None:
        if old is not None and new is not None and old.to_json() == new.to_json():
            return
        if old is None and shard.items:
            last = shard.items[-1].record
            keys = {name: new.to_json()["Attributes"][name] for name in last["dynamodb"]["Keys"]}
            if last["eventName"] == "INSERT" and last["dynamodb"]["Keys"] == keys:
                shard.items.pop()
        add(shard, old, new)

    with patch.object(StreamShard, "add", add_one):
        yield
