"""Compare the counts stored in head items with the items in their partition.

A partition is counted while the Scan goes through it, and compared at its end. If the count
differs, the partition is counted again with strongly consistent reads: see `doctor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import GSI1, KIND, PK, SK, TTL
from dynamo_chat.core.transaction import Update, is_live, key_of, set_index_keys
from dynamo_chat.mail.thread import EmailThread
from dynamo_chat.operations.doctor.conditions import same
from dynamo_chat.operations.doctor.findings import Code, Problem, Repair, kind_of
from dynamo_chat.orgs.organization import Organization

NEEDED: Final = (PK, SK, KIND, TTL, "role", "status")
"""Attributes needed for counting."""
COUNTED: Final[frozenset[Code]] = frozenset({"counter", "no_owner"})
"""Problems that are found by counting a partition."""


class Count(Protocol):
    """Counts the items of one partition."""

    def add(self, item: AttributeValues, now: datetime) -> None:
        """Count an item if it is one to count."""

    def problems(self, head: Any, item: AttributeValues) -> Iterator[Problem]:
        """Differences between the head, stored as `item`, and what was counted."""


class _Messages:
    """The messages of a conversation."""

    def __init__(self) -> None:
        self.number = 0
        self.last = ""

    def add(self, item: AttributeValues, now: datetime) -> None:
        shape = keyspace.MESSAGE.table.sk
        if kind_of(item) == keyspace.MESSAGE.kind and is_live(item, now):
            sort_key = item[SK]["S"]
            if shape.matches(sort_key):
                self.number += 1
                self.last = max(self.last, *shape.decode(sort_key))

    def problems(self, head: Conversation, item: AttributeValues) -> Iterator[Problem]:
        is_behind = self.last > (head.last_position or "")
        if head.message_count == self.number and not is_behind:
            return
        stored = plan(Conversation).model
        changes: list[Action] = [stored.message_count.set(self.number)]
        if is_behind:
            changes.append(stored.last_position.set(self.last))
        yield _drift(
            item,
            f"stored count is {head.message_count:,} messages, but {self.number:,} exist"
            + ("; one is after the stored last position" if is_behind else ""),
            changes,
            ("message_count", "appended_count", "last_position"),
            f"{self.number - head.message_count} {is_behind}",
        )


class _Members:
    """The members of an organization who use a seat, and its active owners."""

    def __init__(self) -> None:
        self.seats = 0
        self.owners = 0

    def add(self, item: AttributeValues, now: datetime) -> None:
        if kind_of(item) == keyspace.MEMBER.kind and is_live(item, now):
            status, role = (item.get(name, {}).get("S") for name in ("status", "role"))
            self.seats += status != "inactive"
            self.owners += (role, status) == ("owner", "active")

    def problems(self, head: Organization, item: AttributeValues) -> Iterator[Problem]:
        if not self.owners:
            yield Problem("no_owner", "no active owner: nobody can manage the organization")
        if (head.member_count, head.owner_count) == (self.seats, self.owners):
            return
        stored = plan(Organization).model
        yield _drift(
            item,
            f"stored counts are {head.member_count:,} members and {head.owner_count:,} owners, "
            f"but {self.seats:,} and {self.owners:,} exist",
            [stored.member_count.set(self.seats), stored.owner_count.set(self.owners)],
            ("member_count", "owner_count"),
            f"{self.seats - head.member_count} {self.owners - head.owner_count}",
        )


class _Emails:
    """The e-mails of a thread."""

    def __init__(self) -> None:
        self.number = 0
        self.latest: datetime | None = None

    def add(self, item: AttributeValues, now: datetime) -> None:
        shape = keyspace.EMAIL.table.sk
        if kind_of(item) == keyspace.EMAIL.kind and is_live(item, now):
            sort_key = item[SK]["S"]
            if shape.matches(sort_key):
                moment, _, _ = shape.decode(sort_key)
                self.number += 1
                self.latest = moment if self.latest is None else max(self.latest, moment)

    def problems(self, head: EmailThread, item: AttributeValues) -> Iterator[Problem]:
        latest = self.latest or head.last_message_at
        if (head.message_count, head.last_message_at) == (self.number, latest):
            return
        stored = plan(EmailThread).model
        changes = [
            stored.message_count.set(self.number),
            stored.last_message_at.set(latest),
            *set_index_keys(
                keyspace.EMAIL_THREAD, GSI1, **{**head.__dict__, "last_message_at": latest}
            ),
        ]
        yield _drift(
            item,
            f"stored count is {head.message_count:,} e-mails, the latest of "
            f"{head.last_message_at.isoformat()}, but {self.number:,} exist, the latest of "
            f"{latest.isoformat()}",
            changes,
            ("message_count", "last_message_at", "account_id", "updated_at"),
            f"{self.number - head.message_count} {latest == head.last_message_at}",
        )


def _drift(
    item: AttributeValues,
    says: str,
    changes: list[Action],
    proven: tuple[str, ...],
    evidence: str,
) -> Problem:
    """A wrong stored count; the repair corrects it unless the head's counts changed meanwhile."""
    unmoved = (Path(KIND) == kind_of(item)) & same(proven, item)
    repair = Repair("correct the stored count", (Update(key_of(item), changes, unmoved),))
    return Problem("counter", says, repair, evidence)


COUNTS: Final[Mapping[str, Callable[[], Count]]] = {
    keyspace.CONVERSATION.kind: _Messages,
    keyspace.ORGANIZATION.kind: _Members,
    keyspace.EMAIL_THREAD.kind: _Emails,
}
"""How to count the partition of a head, by the head's kind."""


class Tally:
    """Counts one partition while a Scan goes through it."""

    def __init__(self, partition: str) -> None:
        self.partition = partition
        self._counts = {kind: make() for kind, make in COUNTS.items()}
        self._head: tuple[Any, AttributeValues] | None = None

    def add(self, item: AttributeValues, entity: Any, now: datetime) -> None:
        """Count an item; `entity` is the entity read from it, None if it isn't a live one."""
        for count in self._counts.values():
            count.add(item, now)
        if entity is not None and kind_of(item) in COUNTS:
            self._head = (entity, item)

    def differing(self) -> AttributeValues | None:
        """The head item if its stored count doesn't match; None if it does."""
        if self._head is None:
            return None
        head, item = self._head
        is_wrong = any(self._counts[kind_of(item)].problems(head, item))
        return item if is_wrong else None
