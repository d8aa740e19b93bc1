"""The conventional form of the same data: one attribute per field, nested values as maps.

Items of dynamo_chat are turned into such items, and a PynamoDB model and a pydantic model are
derived from those; so every contender carries the same data.
"""

from collections.abc import Sequence
from typing import Any

import pydantic
from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.models import Model

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import Message
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KEY_ATTRIBUTES, KIND
from dynamo_chat.identity.user import User
from dynamo_chat.testing.engine import DEFAULT_REGION

AttributeValues = dict[str, dict[str, Any]]

ENTITIES = {entity.layout.kind: entity for entity in (Conversation, Message, User)}
ATTRIBUTES: dict[str, type[Attribute[Any]]] = {
    "S": UnicodeAttribute,
    "N": NumberAttribute,
    "BOOL": BooleanAttribute,
    "L": ListAttribute,
    "M": MapAttribute,
}
TYPES: dict[str, Any] = {"S": str, "N": float, "BOOL": bool, "L": list[Any], "M": Any}


def usual_item(item: AttributeValues) -> AttributeValues:
    """The entity in ``item`` as a table of its own would hold it; the keys stay as they are."""
    entity = plan(ENTITIES[item[KIND]["S"]]).decode(item)
    fields = entity.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    keys = {name: value for name, value in item.items() if name in KEY_ATTRIBUTES}
    return keys | {name: _attribute_value(value) for name, value in fields.items()}


def _attribute_value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case list() | tuple():
            return {"L": [_attribute_value(each) for each in value]}
        case dict():
            return {"M": {name: _attribute_value(each) for name, each in value.items()}}
    return {"NULL": True}


class Plain:
    """A PynamoDB model and a pydantic model with the attributes of some items."""

    def __init__(self, items: Sequence[AttributeValues], *, table: str, endpoint: str) -> None:
        tags = {name: next(iter(value)) for item in items for name, value in item.items()}
        self.model = _pynamo_model(tags, table=table, endpoint=endpoint)
        self.entity = _pydantic_model(tags)
        read = self.model.from_raw_data(items[0])
        self.values: dict[str, Any] = {name: getattr(read, name) for name in items[0]}
        """The first item, as a program holds it."""

    def entity_of(self, read: Model) -> pydantic.BaseModel:
        """The pydantic entity of a PynamoDB model that was read."""
        return self.entity.model_validate(read.attribute_values)


def _pynamo_model(tags: dict[str, str], *, table: str, endpoint: str) -> Any:
    settings = {"table_name": table, "host": endpoint, "region": DEFAULT_REGION}
    body: dict[str, Any] = {"Meta": type("Meta", (), settings)}
    for name, tag in tags.items():
        body[name] = ATTRIBUTES[tag](hash_key=name == "PK", range_key=name == "SK", null=True)
    return type("Item", (Model,), body)


def _pydantic_model(tags: dict[str, str]) -> type[pydantic.BaseModel]:
    fields: dict[str, Any] = {name: (TYPES[tag] | None, None) for name, tag in tags.items()}
    config = pydantic.ConfigDict(frozen=True, arbitrary_types_allowed=True)
    return pydantic.create_model("Entity", __config__=config, **fields)
