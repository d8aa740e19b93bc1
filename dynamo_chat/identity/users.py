"""The repository of users: U1–U3, U5, U8, U9. The entity and its items are in `user`.

An address is an item of its own, keyed by its normal form: the key makes the address unique, the
content points to the user. It is written, replaced and deleted in the same transaction as the
user, so neither exists without the other.

Deleting a user spans domains: the store passes in the function (`workflows.delete_user`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.changes import actions, check_rewritten, checked
from dynamo_chat.core.clock import not_ahead
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Unchanged, validated
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import Item, helper_item, helper_text, leading, plan
from dynamo_chat.core.layout import Layout
from dynamo_chat.core.page import Found
from dynamo_chat.core.patterns import STAFF, access_pattern
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Delete, Put, Update, Write, absent, contended
from dynamo_chat.identity.removal import KeepOrRemove, Wishes, is_retired
from dynamo_chat.identity.user import (
    User,
    UserExists,
    UserRole,
    UserStatus,
    address_item,
    address_keys,
    is_user,
    owned_by,
    password_key,
    user_exists,
    user_key,
)

_MAX_HASH: Final = 1_024
_NOT_COMPARED = {"created_at", "updated_at"}


DeleteUser: TypeAlias = Callable[[str, Wishes, str | None], int]
"""Deletes a user and what belongs to them; takes user id, wishes and heir: see `Users.delete`."""


class Users(Repository):
    """Create, find, change and delete users."""

    def __init__(self, binding: Binding, delete: DeleteUser) -> None:
        super().__init__(binding)
        self._delete = delete

    @access_pattern("U1", "TransactWriteItems", "1", owner="creation")
    def create(
        self,
        email: str,
        *,
        user_id: str | None = None,
        response_email: str | None = None,
        name: str | None = None,
        status: UserStatus = "active",
        role: UserRole = "user",
        preferences: Mapping[str, Any] | None = None,
        organization_id: str | None = None,
    ) -> User:
        """Create a user and return it. A retry with the same id returns the existing user.

        AlreadyExists if the id belongs to a different user, or an address is taken. The same
        transaction checks the addresses: of concurrent sign-ups with one address, one succeeds.
        """
        now = self._now()
        user = validated(
            User,
            user_id=self._new_id() if user_id is None else user_id,
            email=email,
            response_email=response_email,
            name=name,
            status=status,
            role=role,
            preferences=_json_object("preferences", preferences),
            organization_id=organization_id,
            created_at=now,
            updated_at=now,
        )
        return self._put(user, now)

    @access_pattern("U1", "TransactWriteItems", "1", owner="creation")
    def load(self, user: User) -> User:
        """Store a user of another system unchanged, and return it.

        Loading it again changes nothing. AlreadyExists if the id belongs to a different user, or
        an address is taken. InvalidArgument for times more than five minutes ahead.
        """
        if not isinstance(user, User):
            raise InvalidArgument("user", f"must be a User, not {type(user).__name__}")
        now = self._now()
        not_ahead("user.created_at", user.created_at, now)
        not_ahead("user.updated_at", user.updated_at, now)
        there = self._put(user, now)
        if there != user:
            raise UserExists(f"user id {user.user_id!r} is taken", there)
        return user

    def _put(self, user: User, now: datetime) -> User:
        """Store a new user with the addresses; the user that is there, if it is the same one.

        AlreadyExists if the id or an address is taken.
        """
        check_rewritten(name=user.name, preferences=user.preferences)
        addresses = [*address_keys(user.email, user.response_email)]
        try:
            self._write(
                Put(plan(User).encode(user), absent(now)),
                *(
                    Put(address_item(layout, key, user.user_id), absent(now))
                    for layout, key in addresses
                ),
            )
        except ConditionFailed as failed:
            if 0 in failed.items:
                return _already_there(failed.items[0], user)
            layout, _ = addresses[min(failed.items) - 1]
            raise _taken(layout) from failed
        return user

    @access_pattern("U2", "GetItem", "1", owner="partition")
    def get(self, user_id: str, *, consistent: bool = False) -> User:
        """The user with this id. NotFound."""
        return _shown(self._get_item(user_key(user_id), consistent=consistent), user_id)

    @access_pattern("U9", "BatchGetItem", "⌈ids/100⌉", budget=1, owner=STAFF)
    def get_many(self, user_ids: Sequence[str], *, consistent: bool = False) -> Found[User]:
        """The users with these ids, at most 1,000, in the order of the ids.

        Its `missing` are the ids without a user.
        """

        def shown(item: AttributeValues) -> User | None:
            return plan(User).decode(item) if is_user(item) else None

        return self._get_many("user_ids", user_ids, user_key, shown, consistent=consistent)

    @access_pattern("U3", "GetItem", "≤2", owner="argument")
    def get_by_email(self, email: str) -> User:
        """The user with this e-mail address, by a strongly consistent read. NotFound.

        The address is compared in its normal form: case does not matter.
        """
        return self._by_address(keyspace.USER_EMAIL, address_key(email))

    @access_pattern("U3", "GetItem", "≤2", owner="argument")
    def get_by_response_email(self, response_email: str) -> User:
        """The user with this response e-mail address, by a strongly consistent read. NotFound.

        The address is compared in its normal form: case does not matter.
        """
        key = address_key(response_email, "response_email")
        return self._by_address(keyspace.USER_RESPONSE_EMAIL, key)

    @access_pattern("U5", "UpdateItem", "1", owner="argument")
    def update(
        self,
        user_id: str,
        *,
        name: str | Unchanged | None = UNCHANGED,
        status: UserStatus | Unchanged = UNCHANGED,
        role: UserRole | Unchanged = UNCHANGED,
        preferences: Mapping[str, Any] | Unchanged | None = UNCHANGED,
        organization_id: str | Unchanged | None = UNCHANGED,
    ) -> User:
        """Change only the given fields of a user and return the user. NotFound.

        None removes name, preferences or default organization. Preferences are replaced as a whole.
        """
        if not isinstance(preferences, Unchanged):
            preferences = _json_object("preferences", preferences)
        changes = checked(
            User,
            name=name,
            status=status,
            role=role,
            preferences=preferences,
            organization_id=organization_id,
        )
        if not changes:
            raise InvalidArgument("update", "give at least one field to change")
        check_rewritten(**changes)
        changes["updated_at"] = self._now()
        try:
            item = self._write(
                Update(user_key(user_id), actions(User, changes), user_exists()), returning=True
            )
        except ConditionFailed as failed:
            raise NotFound("user", user_id) from failed
        return plan(User).decode(item)

    @access_pattern("U5", "GetItem, TransactWriteItems", "≤2", owner="argument")
    def change_addresses(
        self,
        user_id: str,
        *,
        email: str | Unchanged = UNCHANGED,
        response_email: str | Unchanged | None = UNCHANGED,
    ) -> User:
        """Change a user's e-mail, response e-mail or both and return the user. NotFound.

        The old addresses become free. None removes the response e-mail. If the user has the
        addresses already, nothing is written. AlreadyExists if one is taken; then none is changed.
        """
        changes = checked(User, email=email, response_email=response_email)
        item = self._get_item(user_key(user_id), consistent=True)
        for attempt in range(self._connection.options.transaction_attempts):
            user = _shown(item, user_id)
            wanted = user.model_copy(update=changes)
            if wanted == user:
                return user
            wanted = wanted.model_copy(update={"updated_at": self._now()})
            writes, layouts = _address_changes(user, wanted)
            try:
                self._write(*writes)
            except ConditionFailed as failed:
                taken = [layouts[place] for place in failed.items if place in layouts]
                if taken and 0 not in failed.items:
                    raise _taken(taken[0]) from failed
                # The user was changed in between, or a lost answer hid that this change was made.
                item = failed.items.get(0)
                if 0 not in failed.items:
                    item = self._get_item(user_key(user_id), consistent=True)
                self._connection.pause(attempt)
                continue
            return wanted
        raise contended("the user")

    @access_pattern("U9", "TransactWriteItems", "1", owner="argument")
    def set_password_hash(self, user_id: str, password_hash: str | None) -> None:
        """Store the hash of a user's password in place of an earlier one; None removes it.

        The hash is in an item of its own: no `User`, stream change or export contains it. Hash the
        password with a slow function made for it, such as Argon2; this stores what you give, of 1
        to 1,024 characters. NotFound if the user does not exist.
        """
        exists = Check(user_key(user_id), user_exists())
        if password_hash is None:
            change: Write = Delete(password_key(user_id))
        else:
            change = Put(_password_item(user_id, password_hash))
        try:
            self._write(change, exists)
        except ConditionFailed as failed:
            raise NotFound("user", user_id) from failed

    @access_pattern("U9", "GetItem", "1", owner="argument")
    def get_password_hash(self, user_id: str) -> str | None:
        """The stored hash of a user's password, by a strongly consistent read; None without one.

        Compare it in the time that your hash function takes also if there is none, so that an
        answer does not reveal who has an account.
        """
        item = self._get_item(password_key(user_id), consistent=True)
        if item is None:
            return None
        return helper_text(item, "password_hash", keyspace.USER_PASSWORD)

    @access_pattern(
        "U8",
        "Query, GetItem, BatchGetItem, UpdateItem, TransactWriteItems",
        "5 + ⌈items/99⌉ + ⌈MB⌉; memberships: 2 + 1 each; conversations: C16 each",
        budget=9,
        index="table + GSI1",
        owner="argument",
        domain="workflows",
    )
    def delete(
        self,
        user_id: str,
        *,
        memberships: KeepOrRemove = "remove",
        heir_id: str | None = None,
        conversations: KeepOrRemove = "remove",
    ) -> int:
        """Delete a user with their logins, memberships, conversations and activity.

        Returns the number of items deleted. If the user is the last active owner of an
        organization, the heir takes over; without an heir that raises IllegalTransition and the
        user stays. ``"keep"`` keeps memberships or conversations; then the user's id can never be
        used again. After a crash, call it again. NotFound if user or heir does not exist.
        """
        return self._delete(user_id, Wishes(memberships, conversations), heir_id)

    def _by_address(self, layout: Layout, key: str) -> User:
        """The user that an address item points to. NotFound, without the address in its text."""
        pointer = self._get_item(layout.key(address=key), consistent=True)
        if pointer is None:
            raise NotFound("user")
        with leading(pointer, layout):
            leads_to = user_key(helper_text(pointer, "user_id", layout))
        item = self._get_item(leads_to, consistent=True)
        user = plan(User).decode(item) if item is not None and is_user(item) else None
        # Between the two requests the user may have been deleted or have changed the address.
        if user is None or (layout, key) not in address_keys(user.email, user.response_email):
            raise NotFound("user")
        return user


def _address_changes(user: User, wanted: User) -> tuple[list[Write], dict[int, Layout]]:
    """The writes that give `user` the addresses of `wanted`; and by position, those that claim one.

    An address whose normal form stays the same is not written.
    """
    attributes = plan(User).model
    fields = ("email", "response_email", "updated_at")
    changes = {name: getattr(wanted, name) for name in fields}
    had_no_response = attributes.response_email.does_not_exist()
    is_unchanged = (
        user_exists()
        & (attributes.email == user.email)
        & (
            had_no_response
            if user.response_email is None
            else attributes.response_email == user.response_email
        )
        & (attributes.updated_at == user.updated_at)
    )
    writes: list[Write] = [Update(user_key(user.user_id), actions(User, changes), is_unchanged)]
    claims: dict[int, Layout] = {}
    before = [*address_keys(user.email, user.response_email)]
    after = [*address_keys(wanted.email, wanted.response_email)]
    is_own = Item.PK.does_not_exist() | owned_by(user.user_id)
    for layout, key in before:
        if (layout, key) not in after:
            writes.append(Delete(layout.key(address=key), is_own))
    for layout, key in after:
        if (layout, key) not in before:
            claims[len(writes)] = layout
            writes.append(Put(address_item(layout, key, user.user_id), is_own))
    return writes, claims


def _already_there(item: AttributeValues | None, wanted: User) -> User:
    """The existing user, if it equals the wanted one. AlreadyExists otherwise."""
    if item is not None and is_retired(item):
        raise UserExists(
            f"user id {wanted.user_id!r} is retired: its deleted user left data behind; choose "
            "another id"
        )
    if item is None or not is_user(item):
        raise UserExists(f"user {wanted.user_id!r} is being deleted; finish the deletion first")
    there = plan(User).decode(item)
    if there.model_dump(exclude=_NOT_COMPARED) == wanted.model_dump(exclude=_NOT_COMPARED):
        return there
    # The existing user is shown only to a caller who gave that user's own address.
    is_theirs = address_key(there.email) == address_key(wanted.email)
    raise UserExists(f"user id {wanted.user_id!r} is taken", there if is_theirs else None)


def _password_item(user_id: str, password_hash: str) -> AttributeValues:
    """The item of a password's hash. The error of a wrong one does not show it."""
    if not isinstance(password_hash, str) or not 1 <= len(password_hash) <= _MAX_HASH:
        raise InvalidArgument("password_hash", f"must be text of 1 to {_MAX_HASH:,} characters")
    return helper_item(keyspace.USER_PASSWORD, {"user_id": user_id}, password_hash=password_hash)


def _taken(layout: Layout) -> UserExists:
    # The error does not say which user has it.
    what = "e-mail" if layout is keyspace.USER_EMAIL else "response e-mail"
    return UserExists(f"the {what} address is taken; sign in with it, or choose another")


def _shown(item: AttributeValues | None, user_id: str) -> User:
    if item is None or not is_user(item):
        raise NotFound("user", user_id)
    return plan(User).decode(item)


def _json_object(argument: str, value: Mapping[str, Any] | None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidArgument(argument, f"must be a mapping, not {type(value).__name__}")
    return dict(value)
