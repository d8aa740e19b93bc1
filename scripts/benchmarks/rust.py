"""The same samples with pydynox, a client in Rust, if it is installed (it is no dependency)."""

from collections.abc import Callable
from typing import Any

import pydantic

from benchmarks.plain_models import Plain
from benchmarks.samples import TABLE
from dynamo_chat.testing.engine import DEFAULT_REGION

try:
    import pydynox
except ModuleNotFoundError:
    pydynox = None

Call = Callable[[], object]
NAME = "pydynox+pydantic"


def call(
    operation: str, request: dict[str, Any], answer: dict[str, Any], endpoint: str
) -> Call | None:
    """One sample: a ready made request, the answer as pydantic entities. None if it can't be."""
    if pydynox is None or operation not in _MAKERS:
        return None
    key = "testing"
    client = pydynox.DynamoDBClient(
        region=DEFAULT_REGION, access_key=key, secret_key=key, endpoint_url=endpoint
    )
    made: Call = _MAKERS[operation](client, request, answer, endpoint)
    return made


def _get(client: Any, request: dict[str, Any], answer: dict[str, Any], endpoint: str) -> Call:
    entity, key = _entity([answer["Item"]], endpoint), _plain(request["Key"])
    return lambda: entity.model_validate(client.sync_get_item(TABLE, key))


def _put(client: Any, request: dict[str, Any], _: dict[str, Any], endpoint: str) -> Call:
    entity, values = _entity([request["Item"]], endpoint), _plain(request["Item"])
    names = {"#p": "PK"}

    def put() -> object:
        item = {
            name: value for name, value in entity(**values).__dict__.items() if value is not None
        }
        return client.sync_put_item(TABLE, item, "attribute_not_exists(#p)", names)

    return put


def _query(client: Any, request: dict[str, Any], answer: dict[str, Any], endpoint: str) -> Call:
    entity = _entity(answer["Items"], endpoint)
    values = _plain(request["ExpressionAttributeValues"])

    def query() -> object:
        found = client.sync_query(
            TABLE,
            request["KeyConditionExpression"],
            expression_attribute_names=request["ExpressionAttributeNames"],
            expression_attribute_values=values,
            limit=request["Limit"],
            index_name=request.get("IndexName"),
        )
        return [entity.model_validate(each) for each in found]

    return query


def _transaction(client: Any, request: dict[str, Any], _: dict[str, Any], endpoint: str) -> Call:
    members = request["TransactItems"]
    update = next(member["Update"] for member in members if "Update" in member)
    put = next(member["Put"] for member in members if "Put" in member)
    entity, values = _entity([put["Item"]], endpoint), _plain(put["Item"])
    key, more = _plain(update["Key"]), _plain(update["ExpressionAttributeValues"])
    names = {"#p": "PK"}

    def append() -> object:
        item = {
            name: value for name, value in entity(**values).__dict__.items() if value is not None
        }
        with pydynox.SyncTransaction(client) as transaction:
            transaction.put(TABLE, item, "attribute_not_exists(#p)", names)
            transaction.update(
                TABLE,
                key,
                update["UpdateExpression"],
                update["ConditionExpression"],
                update["ExpressionAttributeNames"],
                more,
            )
        return item

    return append


_MAKERS: dict[str, Callable[..., Call]] = {
    "GetItem": _get,
    "PutItem": _put,
    "Query": _query,
    "TransactWriteItems": _transaction,
}


def _entity(items: list[dict[str, Any]], endpoint: str) -> type[pydantic.BaseModel]:
    return Plain(items, table=TABLE, endpoint=endpoint).entity


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """Python's values of an item."""
    return {name: _value(value) for name, value in item.items()}


def _value(value: dict[str, Any]) -> Any:
    ((tag, content),) = value.items()
    match tag:
        case "N":
            return float(content) if "." in content else int(content)
        case "L":
            return [_value(each) for each in content]
        case "M":
            return _plain(content)
        case "NULL":
            return None
    return content
