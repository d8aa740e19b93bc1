"""What a record of the stream tells: one change of one entity.

    match change:
        case Created(Message() as message):
            ...
        case Changed(Conversation() as before, Conversation() as after):
            ...

The classes of entities are those of their items: an e-mail is an `EmailSummary` and an
`EmailContent`, an LLM interaction an `LLMUsage` and an `LLMContent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from dynamo_chat.core.entity import Entity


@dataclass(frozen=True, slots=True)
class _Told:
    """What every change has: which record told of it. Changes compare by what changed."""

    sequence_number: str = field(default="", kw_only=True, compare=False)
    """The record's place in its shard: it grows with every change of the same item."""
    event_id: str = field(default="", kw_only=True, compare=False)
    """Names the record: the same when a batch is delivered again."""
    recorded_at: datetime | None = field(default=None, kw_only=True, compare=False)
    """When DynamoDB recorded the change, to about a second."""


@dataclass(frozen=True, slots=True)
class Created(_Told):
    """An entity that was not there before."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Changed(_Told):
    """An entity that was written again. Both are equal when only its bookkeeping changed."""

    before: Entity
    after: Entity


@dataclass(frozen=True, slots=True)
class Deleted(_Told):
    """An entity that was deleted, or that readers no longer see because its deletion began."""

    before: Entity


@dataclass(frozen=True, slots=True)
class Expired(_Told):
    """An entity that DynamoDB removed because its TTL had passed."""

    before: Entity


@dataclass(frozen=True, slots=True)
class UnknownKind(_Told):
    """An item of a kind that this version of the package does not know, as it is stored.

    Somebody else's item, or one that a newer version of this package wrote.
    """

    kind: str | None
    """What its ``kind`` says; None when it has none."""
    before: Mapping[str, Any] | None = field(default=None, repr=False)
    """The item before, in DynamoDB's JSON; None when there was none."""
    after: Mapping[str, Any] | None = field(default=None, repr=False)
    """The item after, in DynamoDB's JSON; None when it is gone."""


Change: TypeAlias = Created | Changed | Deleted | Expired | UnknownKind
