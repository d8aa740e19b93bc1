"""A second client on the same endpoint, whose requests the first one's hooks do not see."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.config import Config

from dynamo_chat.core.forks import ProcessLock
from dynamo_chat.core.size import item_size
from dynamo_chat.testing.capacity import Item
from dynamo_chat.testing.hook import Client
from dynamo_chat.testing.schema import TableSchema

MAX_BATCH_GET = 100

Address = tuple[str, str, str]
"""The table, partition key and sort key of an item."""

_making = ProcessLock()


class Probe:
    """Reads items without being measured. Its reads of items are strongly consistent."""

    def __init__(self, client: Client, schema: TableSchema) -> None:
        self._client = second_client(client)
        self._schema = schema

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def items(self, addresses: Iterable[Address]) -> dict[Address, Item]:
        """The items that exist at these addresses now."""
        wanted = list(dict.fromkeys(addresses))
        found: dict[Address, Item] = {}
        for start in range(0, len(wanted), MAX_BATCH_GET):
            requests = self._requests(wanted[start : start + MAX_BATCH_GET])
            while requests:
                answer = self._client.batch_get_item(RequestItems=requests)
                for table, items in answer["Responses"].items():
                    found.update({address(table, item, self._schema): item for item in items})
                requests = answer.get("UnprocessedKeys")
        return found

    def page_size(self, operation: str, request: Mapping[str, Any], scanned: int) -> int:
        """The full size in bytes of the `scanned` items that a Query or Scan read."""
        if not scanned:
            return 0
        shared = ("TableName", "IndexName", "ExclusiveStartKey", "ScanIndexForward")
        again = {name: request[name] for name in shared if name in request}
        again["Limit"] = scanned
        if "KeyConditionExpression" in request:
            again.update(_key_condition_alone(request))
        answer = self._client._make_api_call(operation, again)  # noqa: SLF001 - by its API name
        return sum(map(item_size, answer["Items"]))

    def _requests(self, addresses: Iterable[Address]) -> dict[str, Any]:
        tables: dict[str, Any] = {}
        for table, *values in addresses:
            part = tables.setdefault(table, {"ConsistentRead": True, "Keys": []})
            key = zip(self._schema.keys, values, strict=True)
            part["Keys"].append({name: {"S": value} for name, value in key})
        return tables


def address(table: str, key: Mapping[str, Any], schema: TableSchema) -> Address:
    """The address of a key, or of an item."""
    partition, sort = schema.keys
    return table, key[partition]["S"], key[sort]["S"]


def _key_condition_alone(request: Mapping[str, Any]) -> dict[str, Any]:
    """The key condition with only the placeholders that it uses."""
    text = request["KeyConditionExpression"]
    used = set(re.findall(r"[#:]\w+", text))
    found: dict[str, Any] = {"KeyConditionExpression": text}
    for what in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        given = request.get(what) or {}
        found[what] = {name: each for name, each in given.items() if name in used}
    return {name: given for name, given in found.items() if given}


def second_client(client: Client) -> Client:
    """A client of the same endpoint, with the same credentials, that has no hooks."""
    credentials = client._get_credentials()  # noqa: SLF001 - there is no public way
    frozen = credentials.get_frozen_credentials() if credentials else None
    # botocore's sessions are not thread-safe while they create clients.
    with _making:
        return _session("moto.core.models" in sys.modules).create_client(
            "dynamodb",
            region_name=client.meta.region_name,
            endpoint_url=client.meta.endpoint_url,
            aws_access_key_id=frozen and frozen.access_key,
            aws_secret_access_key=frozen and frozen.secret_key,
            aws_session_token=frozen and frozen.token,
            config=Config(
                parameter_validation=False,
                max_pool_connections=50,
                retries={"mode": "standard", "total_max_attempts": 5},
            ),
        )


@lru_cache
def _session(moto_loaded: bool) -> botocore.session.Session:  # noqa: ARG001 - a key of the cache
    """A session, cached because creating one is slow. Moto only serves sessions made after it."""
    return botocore.session.Session()
