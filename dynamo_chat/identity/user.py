"""A user: the entity, its items, and the condition that it exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import Address, address_key
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Entity, Id, JsonObject, Text, Time
from dynamo_chat.core.errors import AlreadyExists
from dynamo_chat.core.item import helper_item, kind_of
from dynamo_chat.core.layout import KIND, Layout
from dynamo_chat.core.transaction import Key

UserStatus = Literal["active", "inactive", "suspended"]
UserRole = Literal["admin", "user", "member"]


class User(Entity):
    """A person's account."""

    layout: ClassVar[Layout] = keyspace.USER

    user_id: Id
    email: Address
    """As it was given. Unique in its normal form: see `dynamo_chat.core.addresses`."""
    response_email: Address | None = None
    """The address that replies are sent from; unique among response addresses."""
    name: Text | None = None
    status: UserStatus = "active"
    role: UserRole = "user"
    preferences: JsonObject = Field(default_factory=dict)
    organization_id: Id | None = None
    """The user's default organization. Plain data: it does not have to match a membership."""
    created_at: Time
    updated_at: Time
    """When `update` or `change_addresses` last changed the user."""


class UserExists(AlreadyExists):
    """The user's id or address is taken."""

    current: User | None


def user_key(user_id: str) -> Key:
    """The table key of a user."""
    return keyspace.USER.key(user_id=user_id)


def password_key(user_id: str) -> Key:
    """The table key of the item with a user's password hash."""
    return keyspace.USER_PASSWORD.key(user_id=user_id)


def is_user(item: AttributeValues | None) -> bool:
    """True if `item` is a user; False if it is missing or a tombstone."""
    return bool(item) and kind_of(item or {}, keyspace.USER) == keyspace.USER.kind


def user_exists() -> Condition:
    """`is_user` as a condition."""
    condition: Condition = Path(KIND) == keyspace.USER.kind
    return condition


def address_keys(email: str, response_email: str | None) -> Iterator[tuple[Layout, str]]:
    """The layout and the normal form of each address item that a user has."""
    yield keyspace.USER_EMAIL, address_key(email)
    if response_email is not None:
        yield keyspace.USER_RESPONSE_EMAIL, address_key(response_email)


def address_item(layout: Layout, address: str, user_id: str) -> AttributeValues:
    """The item that points from an address, in its normal form, to a user."""
    return helper_item(layout, {"address": address}, user_id=user_id)


def owned_by(user_id: str) -> Condition:
    """Condition: the address item or the login is this user's."""
    condition: Condition = Path("user_id") == user_id
    return condition
