"""LLM interactions: prompt and response of a call, its duration and its cost (L1).

An interaction is two items. Its usage (model, tokens, time, cost, quality) is a few hundred bytes
and is in the list of its account, which reports are built from. Its content (prompt, response,
metadata) is next to it and in no index.

Both are in the partition of the conversation's e-mails, so that deleting the thread deletes them.
The list of an account is spread over `LLM_SHARDS` partitions; the design notes give their capacity.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final

from pydantic import Field, model_validator
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import (
    Count,
    Entity,
    Id,
    Indexed,
    JsonObject,
    Model,
    Number,
    Text,
    Time,
    validated,
)
from dynamo_chat.core.errors import AlreadyExists, Conflict, InvalidArgument
from dynamo_chat.core.item import is_kind, plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1, KIND, PK, TABLE, Collection, Layout
from dynamo_chat.core.owners import own
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.pairs import CONTENT, Pair, PairReader
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.transaction import Check, Key, Put, Write, absent
from dynamo_chat.telemetry.amounts import Amount, Measure, Total

_ACCOUNT: Final = "account_id"


class NewInteraction(Model):
    """One call of a model, to record."""

    account_id: Id
    function_name: Id
    """The function that called the model, such as ``generate_email``."""
    model_used: Id
    prompt_tokens: Measure
    response_tokens: Measure
    total_tokens: Total | None = None
    """The default is the sum of the two."""
    response_time_ms: Measure
    cost_usd: Amount | None = None
    quality_score: Amount | None = None
    """Without a score, the interaction does not count in the mean quality."""
    generated_at: Time | None = None
    """When it ran; not in the future. The default is now."""
    interaction_id: Id | None = None
    """The caller's own id: retries with the same id and time are recorded once."""
    temperature: Number | None = None
    top_p: Number | None = None
    max_tokens: Count | None = None
    prompt: Text | None = None
    response: Text | None = None
    metadata: JsonObject = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> NewInteraction:
        if self.interaction_id is not None and self.generated_at is None:
            raise ValueError("interaction_id needs generated_at: they identify it together")
        return self


class LLMUsage(Entity):
    """What an interaction used: all of it except prompt, response and metadata."""

    layout: ClassVar[Layout] = keyspace.LLM_USAGE

    conversation_id: Id
    generated_at: Time
    interaction_id: Id
    account_id: Id
    function_name: Id
    model_used: Id
    prompt_tokens: Measure
    response_tokens: Measure
    total_tokens: Total
    response_time_ms: Measure
    cost_usd: Amount | None = None
    quality_score: Amount | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    max_tokens: Count | None = None
    has_content: bool = False
    """True if prompt, response or metadata were recorded."""

    @property
    def part(self) -> str:
        """The last part of the sort key: usage or content."""
        return "usage"

    @property
    def shard(self) -> int:
        """Its shard in the list of the account."""
        return keyspace.shard_of(self.interaction_id, keyspace.LLM_SHARDS)

    def implied(self) -> frozenset[str]:
        """The total is not stored if it is the sum."""
        is_sum = self.total_tokens == self.prompt_tokens + self.response_tokens
        return frozenset({"total_tokens"} if is_sum else ())

    @classmethod
    def complete(cls, fields: dict[str, Any]) -> None:
        """Set the total to the sum if none is stored."""
        if "total_tokens" not in fields:
            fields["total_tokens"] = fields["prompt_tokens"] + fields["response_tokens"]

    def indexed(self) -> Indexed:
        """GSI1 has it in a shard of the account's list."""
        return {GSI1: {**self.__dict__, "shard": self.shard}}


class LLMInteraction(LLMUsage):
    """An interaction with its prompt, response and metadata."""

    prompt: Text | None = None
    response: Text | None = None
    metadata: JsonObject = Field(default_factory=dict)


class InteractionExists(AlreadyExists):
    """Another interaction has this id and time."""

    current: LLMInteraction | None


class LLMContent(Entity):
    """Prompt, response and metadata of an interaction, stored next to its usage."""

    layout: ClassVar[Layout] = keyspace.LLM_CONTENT

    conversation_id: Id
    generated_at: Time
    interaction_id: Id
    prompt: Text | None = None
    response: Text | None = None
    metadata: JsonObject = Field(default_factory=dict)

    @property
    def part(self) -> str:
        """The last part of the sort key: usage or content."""
        return CONTENT


class LLMInteractions(Repository):
    """Record interactions and list them by conversation or account."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._pairs = PairReader(binding, LLM_PAIR)

    @access_pattern(
        "L1", "TransactWriteItems", "1; 2 when the id was used before", budget=1, owner="creation"
    )
    def record(self, conversation_id: str, interaction: NewInteraction) -> LLMInteraction:
        """Record an interaction of a conversation and return it.

        A retry with the same id and time changes nothing. AlreadyExists if another interaction has
        them, with it as ``current`` if it is the same account's. The conversation needs no thread;
        Conflict if it has another account's, or one that is being deleted. InvalidArgument for a
        time more than five minutes ahead.
        """
        if not isinstance(interaction, NewInteraction):
            raise InvalidArgument(
                "interaction", f"must be a NewInteraction, not {type(interaction).__name__}"
            )
        now = self._now()
        made = _made(interaction, conversation_id, now, self._new_id)
        writes: list[Write] = [
            Check(_thread_key(conversation_id), _is_open_to(made.account_id)),
            Put(plan(LLMUsage).encode(made), absent(now)),
        ]
        if made.has_content:
            writes.append(Put(content_item(made), absent(now)))
        try:
            self._write(*writes)
        except ConditionFailed as failed:
            if 0 in failed.items:
                raise _closed(failed.items[0] or {}) from failed
            there = self._pairs.get(
                conversation_id, made.generated_at, made.interaction_id, consistent=True
            )
            if there != made:
                seen = own(there, _ACCOUNT, made.account_id)
                raise InteractionExists(
                    "another interaction has this id and time", seen
                ) from failed
        return made

    @access_pattern("L1", "Query", "1", owner="read")
    def list_by_conversation(
        self,
        conversation_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        account_id: str | None = None,
        consistent: bool = False,
    ) -> Page[LLMInteraction]:
        """A conversation's interactions with their content by time, oldest first.

        With `since` and `until`, those of [since, until). With `account_id`, only those of that
        account: without a thread, several accounts may record interactions.
        """
        lower, upper = time_range(since, until)
        chosen = (conversation_id, account_id, lower, upper)
        return self._pairs.page(
            PageRequest(chosen, newest_first, page_size, cursor, consistent),
            keyspace.LLM_USAGE.collection(TABLE, conversation_id)(lower=lower, until=upper),
            account_id=account_id,
            is_shared=True,
        )

    iterate_by_conversation = iterating(list_by_conversation)

    @access_pattern(
        "L1", "Query", "≤ shards", budget=keyspace.LLM_SHARDS, index="GSI1", owner="argument"
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
    ) -> Page[LLMUsage]:
        """The usage of an account's interactions by time, newest first.

        With `since` and `until`, those of [since, until).
        """
        lower, upper = time_range(since, until)
        return self._page(
            PageRequest((account_id, lower, upper), newest_first, page_size, cursor),
            account_usage(account_id, lower, upper),
            plan(LLMUsage).decode,
        )

    iterate_by_account = iterating(list_by_account)


def account_usage(
    account_id: str, lower: datetime | None, upper: datetime | None
) -> list[Collection]:
    """The account's usage in [lower, upper): one collection for each shard."""
    return [
        keyspace.LLM_USAGE.collection(GSI1, account_id, shard)(lower=lower, until=upper)
        for shard in range(keyspace.LLM_SHARDS)
    ]


def content_item(made: LLMInteraction) -> AttributeValues:
    """The content item of an interaction."""
    fields = {name: getattr(made, name) for name in LLMContent.model_fields}
    return plan(LLMContent).encode(LLMContent(**fields))


def _thread_key(conversation_id: str) -> Key:
    return keyspace.EMAIL_THREAD.key(conversation_id=conversation_id)


def _is_open_to(account_id: str) -> Condition:
    """Condition: the conversation has a thread of this account, or none."""
    is_theirs: Condition = Path(_ACCOUNT) == account_id
    is_thread: Condition = Path(KIND) == keyspace.EMAIL_THREAD.kind
    is_open: Condition = Path(PK).does_not_exist() | (is_thread & is_theirs)
    return is_open


def _closed(there: AttributeValues) -> Conflict:
    """The error if `there`, a thread or a tombstone, refuses an interaction."""
    if is_kind(there, keyspace.EMAIL_THREAD):
        return Conflict("the e-mail thread belongs to another account")
    return Conflict("the e-mail thread is being deleted; delete it again to finish")


def _made(new: NewInteraction, conversation_id: str, now: datetime, new_id: Any) -> LLMInteraction:
    fields = dict(new.__dict__)
    fields["conversation_id"] = conversation_id
    fields["generated_at"] = not_ahead("generated_at", new.generated_at or now, now)
    fields["interaction_id"] = new.interaction_id or new_id()
    if new.total_tokens is None:
        fields["total_tokens"] = new.prompt_tokens + new.response_tokens
    fields["has_content"] = new.prompt is not None or new.response is not None or bool(new.metadata)
    return validated(LLMInteraction, **fields)


def _joined(record: AttributeValues, content: AttributeValues | None) -> LLMInteraction:
    usage = plan(LLMUsage).decode(record).__dict__
    if content is None:
        return LLMInteraction.model_construct(**usage)
    said = plan(LLMContent).decode(content)
    # Both halves were validated when they were decoded.
    return LLMInteraction.model_construct(**{**said.__dict__, **usage})


def _has_content(record: AttributeValues) -> bool:
    return "has_content" in record


LLM_PAIR = Pair(keyspace.LLM_USAGE, keyspace.LLM_CONTENT, _joined, _has_content)
