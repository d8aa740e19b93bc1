"""The changes that stream records describe: one change of one entity each.

    match change:
        case Created(Message() as message):
            ...
        case Changed(Conversation() as before, Conversation() as after):
            ...

There is one entity per item: an e-mail is an `EmailSummary` and an `EmailContent`, an LLM
interaction is an `LLMUsage` and an `LLMContent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from dynamo_chat.core.entity import Entity


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The fields that every change takes from its record. They are not part of equality."""

    sequence_number: str = field(default="", kw_only=True, compare=False)
    """The record's place in its shard. It increases with every change of the same item."""
    event_id: str = field(default="", kw_only=True, compare=False)
    """The record's id, which stays the same when a batch is delivered again."""
    recorded_at: datetime | None = field(default=None, kw_only=True, compare=False)
    """When DynamoDB recorded the change, to about a second."""


@dataclass(frozen=True, slots=True)
class Created(_Recorded):
    """A new entity."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Changed(_Recorded):
    """An entity that was written again. Both are equal if only internal attributes changed."""

    before: Entity
    after: Entity


@dataclass(frozen=True, slots=True)
class Deleted(_Recorded):
    """An entity that was deleted, or whose deletion began, so that readers no longer see it."""

    before: Entity


@dataclass(frozen=True, slots=True)
class Expired(_Recorded):
    """An entity that DynamoDB deleted because its TTL had passed."""

    before: Entity


@dataclass(frozen=True, slots=True)
class UnknownKind(_Recorded):
    """A change of an item whose kind this version of the package does not know.

    Another program, or a newer version of this package, wrote the item.
    """

    kind: str | None
    """The item's ``kind``; None if it has none."""
    before: Mapping[str, Any] | None = field(default=None, repr=False)
    """The item before the change, in DynamoDB's JSON; None if it is new."""
    after: Mapping[str, Any] | None = field(default=None, repr=False)
    """The item after the change, in DynamoDB's JSON; None if it was deleted."""


Change: TypeAlias = Created | Changed | Deleted | Expired | UnknownKind
