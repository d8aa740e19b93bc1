"""An organization as the owner of conversations.

Whoever owns a conversation is one text: in its items, in the keys of the lists, in the conditions
of writes. A user is named by the id; an organization by its id behind a prefix that no user's id
may have. So every list and every owner check knows both, and a conversation costs the same.

The ``#`` in the prefix is escaped in keys. A policy that limits users to their own partitions
denies ids with it (`operations.user_policy`), so no user's id reaches an organization's lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from dynamo_chat.core.errors import InvalidArgument

PREFIX: Final = "organization#"
USER_ARGUMENTS: Final = frozenset(
    {
        "heir_id",
        "invited_by",
        "new_user_id",
        "owner_id",
        "reviewed_by",
        "user_a",
        "user_b",
        "user_id",
    }
)
"""The arguments of access patterns that name a user."""

OWNER_ARGUMENTS: Final = frozenset({"new_user_id", "user_id"})
"""Those that name the owner of a conversation, in the methods of conversations."""


class OfOrganization(str):
    """The owner of an organization's conversations: give it where a chat method takes `user_id`.

    It does not check that anybody is a member: `Members.authorize` returns it for one who is.
    InvalidArgument unless the id is text that is not empty.
    """

    __slots__ = ()

    def __new__(cls, organization_id: str) -> Self:
        if not isinstance(organization_id, str) or not organization_id:
            raise InvalidArgument("organization_id", "must be text, not empty")
        if isinstance(organization_id, OfOrganization):
            raise InvalidArgument("organization_id", "must be the id, not an OfOrganization")
        try:
            organization_id.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument("organization_id", "must not contain lone surrogates") from error
        return super().__new__(cls, PREFIX + organization_id)

    @property
    def organization_id(self) -> str:
        """The organization's id."""
        return self.removeprefix(PREFIX)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.organization_id!r})"

    def __getnewargs__(self) -> tuple[str]:
        """What copy and pickle make it from."""
        return (self.organization_id,)


def as_owner(stored: str) -> str:
    """The owner that is stored: a user's id, or an `OfOrganization`."""
    if not stored.startswith(PREFIX) or stored == PREFIX:
        return stored
    return OfOrganization(stored.removeprefix(PREFIX))


def check_users_in(argument: str, fields: Mapping[str, Any], *, may_be_organization: bool) -> None:
    """`check_user` for each field of a record that names a user."""
    for name in USER_ARGUMENTS & fields.keys():
        value = fields[name]
        if isinstance(value, str):
            may_be = may_be_organization and name in OWNER_ARGUMENTS
            check_user(f"{argument}.{name}", value, may_be_organization=may_be)


def check_user(argument: str, value: str, *, may_be_organization: bool) -> None:
    """InvalidArgument for a text that only looks like an organization, and for a misplaced one.

    A client that chose its user id could otherwise choose an organization's conversations.
    """
    if isinstance(value, OfOrganization):
        if not may_be_organization:
            raise InvalidArgument(
                argument, "must be a user; an organization owns conversations only"
            )
    elif value.startswith(PREFIX):
        raise InvalidArgument(
            argument,
            f"must not begin with {PREFIX!r}; pass OfOrganization for an organization's "
            "conversations",
        )
