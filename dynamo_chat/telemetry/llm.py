"""LLM interactions: prompt and response of a call, its duration and its cost (L1).

An interaction is two items. Its usage (model, tokens, time, cost, quality) is a few hundred bytes
and is in the list of its account, which reports are built from. Its content (prompt, response,
metadata) is next to it and in no index.

Both are in the partition of the conversation's e-mails, so that deleting the thread deletes them.
If there is no thread, but a conversation of the chat, they expire and are deleted with that one:
they are marked with its life. Recording is in `workflows.record_interaction`: it checks both.
The list of an account is spread over `LLM_SHARDS` partitions; the design notes give their capacity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar, Final, Protocol

from pydantic import Field, model_validator

from dynamo_chat import keyspace
from dynamo_chat.core.attributes import AttributeValue
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead, utc
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import (
    Count,
    Entity,
    ExpiresAt,
    Id,
    Indexed,
    JsonObject,
    Model,
    Number,
    Text,
    Time,
    validated,
)
from dynamo_chat.core.errors import AlreadyExists, CorruptItem, NotFound
from dynamo_chat.core.item import check_size, key_parts, plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1, PK, SK, TABLE, Collection, Layout
from dynamo_chat.core.owners import check_owner
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.pairs import CONTENT, Pair, PairReader, Sieve
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.sweep import Sweep, Sweeper, Together
from dynamo_chat.core.transaction import Delete, Key, Put, absent, key_of, live
from dynamo_chat.telemetry.amounts import Amount, Measure, Total

USAGE: Final = "usage"
"""The last component of a usage item's sort key."""


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
    expires_at: ExpiresAt = None
    """When it expires with its conversation; None for never."""

    @property
    def part(self) -> str:
        """The last part of the sort key: usage or content."""
        return USAGE

    @property
    def shard(self) -> int:
        """Its shard in the list of the account."""
        return keyspace.LLM_SHARDS.shard_of(self.interaction_id)

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
    expires_at: ExpiresAt = None

    @property
    def part(self) -> str:
        """The last part of the sort key: usage or content."""
        return CONTENT


class Recorder(Protocol):
    """What is known of the conversations that interactions are recorded for."""

    def record(self, conversation_id: str, interaction: NewInteraction, /) -> LLMInteraction:
        """Record an interaction of a conversation: see `LLMInteractions.record`."""

    def sieve(self) -> Sieve:
        """A sieve for one page, without interactions of expired conversations."""


class LLMInteractions(Repository):
    """Record interactions, list them by conversation or account, delete them."""

    def __init__(self, binding: Binding, recorder: Recorder) -> None:
        super().__init__(binding)
        self._pairs = PairReader(binding, LLM_PAIR)
        self._sweeper = Sweeper(binding)
        self._recorder = recorder

    @access_pattern(
        "L1",
        "TransactWriteItems",
        "1; 2 for a chat conversation not seen before; 2 when the id was used before",
        budget=1,
        owner="creation",
    )
    def record(self, conversation_id: str, interaction: NewInteraction) -> LLMInteraction:
        """Record an interaction of a conversation and return it.

        If the conversation has an e-mail thread, the interaction is deleted with it. Otherwise, if
        it is a conversation of the chat, the interaction expires and is deleted with that one. It
        may also be neither. A retry with the same id and time changes nothing. AlreadyExists if
        another interaction has them, with it as ``current`` if it is the same account's. Conflict
        if the thread is another account's, or thread or conversation are being deleted.
        InvalidArgument for a time more than five minutes ahead.
        """
        return self._recorder.record(conversation_id, interaction)

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
            sieve=self._recorder.sieve(),
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
        sieve = self._recorder.sieve()
        return self._page(
            PageRequest((account_id, lower, upper), newest_first, page_size, cursor),
            account_usage(account_id, lower, upper),
            plan(LLMUsage).decode,
            is_kept=sieve.keeps,
            look=sieve.look,
        )

    iterate_by_account = iterating(list_by_account)

    @access_pattern("L4", "TransactWriteItems", "1", owner="condition")
    def delete(
        self,
        conversation_id: str,
        interaction_id: str,
        generated_at: datetime,
        *,
        account_id: str | None = None,
    ) -> None:
        """Delete an interaction with its content: its id and time identify it. NotFound.

        NotFound also if it is not `account_id`'s. Reports that were built before keep counting it.
        """
        check_owner("account_id", account_id)
        fields = {
            "conversation_id": conversation_id,
            "generated_at": utc("generated_at", generated_at),
            "interaction_id": interaction_id,
        }
        is_it = live(self._now())
        if account_id is not None:
            is_it &= plan(LLMUsage).model.account_id == account_id
        try:
            self._write(
                Delete(keyspace.LLM_USAGE.key(**fields, part=USAGE), is_it),
                Delete(keyspace.LLM_CONTENT.key(**fields, part=CONTENT)),
            )
        except ConditionFailed as failed:
            raise NotFound("interaction", interaction_id) from failed

    @access_pattern(
        "L4",
        "Query, TransactWriteItems",
        "twice the pages of all shards + ⌈items/100⌉",
        budget=2 * keyspace.LLM_SHARDS + 1,
        index="GSI1 + table",
        owner="argument",
    )
    def delete_all(self, account_id: str) -> int:
        """Delete all interactions of an account, in whatever conversation.

        Returns the number of items deleted: a content counts, too. Interactions recorded meanwhile
        are deleted as soon as the index shows them. After a crash, call it again.
        """
        return self._sweeper.sweep(interactions_of_account(account_id))


def account_usage(
    account_id: str, lower: datetime | None, upper: datetime | None
) -> list[Collection]:
    """The account's usage in [lower, upper): one collection for each shard."""
    return [
        keyspace.LLM_USAGE.collection(GSI1, account_id, shard)(lower=lower, until=upper)
        for shard in keyspace.LLM_SHARDS.shards()
    ]


def interactions_of_account(account_id: str) -> Sweep:
    """The interactions of an account, to be deleted."""
    is_theirs = plan(LLMUsage).model.account_id == account_id

    def deletes(usage: AttributeValues) -> Together:
        key = key_of(usage)
        with suppress(CorruptItem):  # its own key is damaged, and leads to no content
            if _has_content(usage):
                return Delete(key, is_theirs), Delete(_content_key(usage))
        return (Delete(key, is_theirs),)

    return Sweep(account_usage(account_id, None, None), deletes, also=("has_content",))


def interaction_made(
    new: NewInteraction, conversation_id: str, now: datetime, new_id: Callable[[], str]
) -> LLMInteraction:
    """The interaction to record. InvalidArgument."""
    fields = dict(new.__dict__)
    fields["conversation_id"] = conversation_id
    fields["generated_at"] = not_ahead("generated_at", new.generated_at or now, now)
    fields["interaction_id"] = new.interaction_id or new_id()
    if new.total_tokens is None:
        fields["total_tokens"] = new.prompt_tokens + new.response_tokens
    fields["has_content"] = new.prompt is not None or new.response is not None or bool(new.metadata)
    return validated(LLMInteraction, **fields)


def interaction_puts(
    made: LLMInteraction, marks: Mapping[str, AttributeValue], now: datetime
) -> list[Put]:
    """The writes that store an interaction; both items have the attributes `marks`."""
    items = [plan(LLMUsage).encode(made)]
    if made.has_content:
        items.append(content_item(made))
    for item in items:
        item.update(marks)
        check_size(item)
    return [Put(item, absent(now)) for item in items]


def content_item(made: LLMInteraction) -> AttributeValues:
    """The content item of an interaction."""
    fields = {name: getattr(made, name) for name in LLMContent.model_fields}
    return plan(LLMContent).encode(LLMContent(**fields))


def _content_key(usage: AttributeValues) -> Key:
    conversation_id, generated_at, interaction_id, _ = (
        *key_parts(keyspace.LLM_USAGE, usage, PK),
        *key_parts(keyspace.LLM_USAGE, usage, SK),
    )
    return keyspace.LLM_CONTENT.key(
        conversation_id=conversation_id,
        generated_at=generated_at,
        interaction_id=interaction_id,
        part=CONTENT,
    )


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
