"""Invocations of functions: time, duration and outcome (L3). They are never changed."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from dynamo_chat import keyspace
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import (
    Count,
    Entity,
    Id,
    Indexed,
    JsonObject,
    Model,
    Text,
    Time,
    validated,
)
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1, Layout
from dynamo_chat.core.owners import check_owner, own
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.sweep import Sweep, Sweeper
from dynamo_chat.core.transaction import Delete, Put, absent, key_of, live
from dynamo_chat.telemetry.amounts import Amount

InvocationStatus = Literal["success", "error", "timeout"]


class NewInvocation(Model):
    """An invocation to record."""

    account_id: Id
    function_name: Id
    status: InvocationStatus
    duration_ms: Amount
    memory_used_mb: Count | None = None
    invoked_at: Time | None = None
    """When it ran; not in the future. The default is now."""
    invocation_id: Id | None = None
    """The caller's own id: retries with the same id are recorded once."""
    error_message: Text | None = None
    request_id: Id | None = None
    """The platform's id of the request."""
    cold_start: bool = False
    metadata: JsonObject = Field(default_factory=dict)


class Invocation(Entity):
    """One invocation of a function."""

    layout: ClassVar[Layout] = keyspace.INVOCATION

    invocation_id: Id
    account_id: Id
    function_name: Id
    status: InvocationStatus
    duration_ms: Amount
    memory_used_mb: Count | None = None
    invoked_at: Time
    error_message: Text | None = None
    request_id: Id | None = None
    cold_start: bool = False
    metadata: JsonObject = Field(default_factory=dict)

    @property
    def shard(self) -> int:
        """Its shard in the list of the account."""
        return keyspace.INVOCATION_SHARDS.shard_of(self.invocation_id)

    def indexed(self) -> Indexed:
        """GSI1 has it in a shard of the account's list."""
        return {GSI1: {**self.__dict__, "shard": self.shard}}


class InvocationExists(AlreadyExists):
    """The invocation's id is taken."""

    current: Invocation | None


class Invocations(Repository):
    """Record, read and delete invocations."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._sweeper = Sweeper(binding)

    @access_pattern("L3", "PutItem", "1", owner="creation", regions="any")
    def record(self, invocation: NewInvocation) -> Invocation:
        """Record an invocation and return it.

        A retry with the same id returns the existing invocation. AlreadyExists if that one is
        different, with it as ``current`` if it is the same account's. InvalidArgument for a time
        more than five minutes ahead.
        """
        if not isinstance(invocation, NewInvocation):
            raise InvalidArgument(
                "invocation", f"must be a NewInvocation, not {type(invocation).__name__}"
            )
        now = self._now()
        fields = dict(invocation.__dict__)
        fields["invocation_id"] = invocation.invocation_id or self._new_id()
        fields["invoked_at"] = not_ahead("invoked_at", invocation.invoked_at or now, now)
        made = validated(Invocation, **fields)
        try:
            self._write(Put(plan(Invocation).encode(made), absent(now)))
        except ConditionFailed as failed:
            item = failed.items.get(0)
            there = None if item is None else plan(Invocation).decode(item)
            if there is not None and invocation.invoked_at is None:
                made = made.model_copy(update={"invoked_at": there.invoked_at})
            if there != made:
                seen = own(there, "account_id", made.account_id)
                raise InvocationExists("the invocation id is taken", seen) from failed
        return made

    @access_pattern("L3", "GetItem", "1", owner="read")
    def get(
        self, invocation_id: str, *, account_id: str | None = None, consistent: bool = False
    ) -> Invocation:
        """The invocation with this id. NotFound, also if it is not `account_id`'s."""
        check_owner("account_id", account_id)
        found = self._get(Invocation, consistent=consistent, invocation_id=invocation_id)
        if found is None or account_id not in {None, found.account_id}:
            raise NotFound("invocation", invocation_id)
        return found

    @access_pattern(
        "L3", "Query", "≤ shards", budget=keyspace.INVOCATION_SHARDS, index="GSI1", owner="argument"
    )
    def list_by_account(
        self,
        account_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Invocation]:
        """An account's invocations by time, newest first.

        With `since` and `until`, those of [since, until).
        """
        lower, upper = time_range(since, until)
        return self._page(
            PageRequest((account_id, lower, upper), newest_first, page_size, cursor),
            [
                keyspace.INVOCATION.collection(GSI1, account_id, shard)(lower=lower, until=upper)
                for shard in keyspace.INVOCATION_SHARDS.shards()
            ],
            plan(Invocation).decode,
        )

    iterate_by_account = iterating(list_by_account)

    @access_pattern("L4", "DeleteItem", "1", owner="condition")
    def delete(self, invocation_id: str, *, account_id: str | None = None) -> None:
        """Delete an invocation. NotFound, also if it is not `account_id`'s."""
        check_owner("account_id", account_id)
        is_it = live(self._now())
        if account_id is not None:
            is_it &= plan(Invocation).model.account_id == account_id
        try:
            self._write(Delete(keyspace.INVOCATION.key(invocation_id=invocation_id), is_it))
        except ConditionFailed as failed:
            if failed.items.get(0) is None and failed.was_resent:
                return  # our own deletion, whose response was lost
            raise NotFound("invocation", invocation_id) from failed

    @access_pattern(
        "L4",
        "Query, TransactWriteItems",
        "twice the pages of all shards + ⌈invocations/100⌉",
        budget=2 * keyspace.INVOCATION_SHARDS + 1,
        index="GSI1 + table",
        owner="argument",
    )
    def delete_all(self, account_id: str) -> int:
        """Delete all invocations of an account, and return how many.

        Invocations recorded meanwhile are deleted as soon as the index shows them. After a crash,
        call it again.
        """
        return self._sweeper.sweep(invocations_of(account_id))


def invocations_of(account_id: str) -> Sweep:
    """The invocations of an account, to be deleted."""
    is_theirs = plan(Invocation).model.account_id == account_id
    listed = [
        keyspace.INVOCATION.collection(GSI1, account_id, shard)()
        for shard in keyspace.INVOCATION_SHARDS.shards()
    ]
    return Sweep(listed, lambda item: (Delete(key_of(item), is_theirs),))
