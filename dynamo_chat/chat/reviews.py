"""Reviews of conversations by administrators (C13–C15)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from dynamo_chat import keyspace
from dynamo_chat.chat.head import Facts, HeadReader, head_key, is_live_head
from dynamo_chat.core.clock import utc
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Entity, ExpiresAt, Id, Text, Time, validated
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.core.item import (
    helper_item,
    helper_text,
    helper_time,
    key_parts,
    plan,
    with_index_keys,
)
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.layout import GSI1, GSI2, PK, TABLE, Layout
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import PageRequest, time_range
from dynamo_chat.core.transaction import (
    Put,
    Update,
    absent,
    contended,
    is_live,
    live,
    set_index_keys,
)


class Review(Entity):
    """An administrator's review of a conversation."""

    layout: ClassVar[Layout] = keyspace.REVIEW

    conversation_id: Id
    review_id: Id
    reviewed_by: Id
    """The user id of the administrator."""
    comments: Text | None = None
    reviewed_at: Time
    archived_at: Time | None = None
    expires_at: ExpiresAt = None

    @property
    def is_archived(self) -> bool:
        """Whether it was archived."""
        return self.archived_at is not None


class Reviews(HeadReader):
    """Write, find, list and archive reviews."""

    @access_pattern(
        "C13",
        operation="GetItem, TransactWriteItems",
        requests="≤2",
        replaces="reviews.pk_review_id",
    )
    def create(
        self,
        conversation_id: str,
        reviewed_by: str,
        *,
        comments: str | None = None,
        review_id: str | None = None,
        reviewed_at: datetime | None = None,
    ) -> Review:
        """Write a review of a conversation and return it.

        With an id that was used before: the same review again returns what is there, another one
        raises AlreadyExists. NotFound when there is no such conversation.
        """
        moment = self._now() if reviewed_at is None else utc("reviewed_at", reviewed_at)
        identity = self._new_id() if review_id is None else review_id

        def attempt(facts: Facts) -> Review:
            review = validated(
                Review,
                conversation_id=conversation_id,
                review_id=identity,
                reviewed_by=reviewed_by,
                comments=comments,
                reviewed_at=moment,
                expires_at=facts.kept_until,
            )
            now = self._now()
            try:
                self._write(
                    self._check_head(facts),
                    Put(_item(review), absent(now)),
                    Put(_id_item(review), absent(now)),
                )
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise
                there = self._by_pointer(failed.items.get(2))
                if there is not None and _says_the_same(there, review):
                    return there
                raise AlreadyExists(f"review id {identity!r} is taken", there) from failed
            return review

        return self._with_facts(conversation_id, None, attempt)

    @access_pattern(
        "C13", operation="GetItem, BatchGetItem", requests="≤2", replaces="reviews.pk_review_id"
    )
    def get(self, review_id: str) -> Review:
        """The review with this id. NotFound."""
        pointer = self._get_item(keyspace.REVIEW_ID.key(review_id=review_id))
        now = self._now()
        if pointer is None or not is_live(pointer, now):
            raise NotFound("review", review_id)
        place = _place(pointer, review_id)
        head, item = self._get_items(
            [head_key(place["conversation_id"]), keyspace.REVIEW.key(**place)], consistent=True
        )
        if item is None or not is_live(item, now) or not is_live_head(head, now):
            raise NotFound("review", review_id)
        return _decode(item)

    @access_pattern("C13", operation="GetItem, UpdateItem", requests="≤2")
    def archive(self, review_id: str, *, archived_at: datetime | None = None) -> Review:
        """Archive a review and return it; one that is archived already stays as it is. NotFound."""
        moment = self._now() if archived_at is None else utc("archived_at", archived_at)
        pointer = self._get_item(keyspace.REVIEW_ID.key(review_id=review_id), consistent=True)
        if pointer is None or not is_live(pointer, self._now()):
            raise NotFound("review", review_id)
        place = _place(pointer, review_id)
        attributes = plan(Review).model
        keys = {**place, "archived": True, "shard": _shard(review_id)}
        try:
            item = self._write(
                Update(
                    keyspace.REVIEW.key(**place),
                    [
                        attributes.archived_at.set(moment),
                        *set_index_keys(keyspace.REVIEW, GSI1, **keys),
                        *set_index_keys(keyspace.REVIEW, GSI2, **keys),
                    ],
                    live(self._now())
                    & (attributes.reviewed_by == place["reviewed_by"])
                    & attributes.archived_at.does_not_exist(),
                ),
                returning=True,
            )
        except ConditionFailed as failed:
            there = failed.items.get(0)
            if there is None or not is_live(there, self._now()):
                raise NotFound("review", review_id) from failed
            found = _decode(there)
            if found.is_archived:
                return found
            raise contended("the review") from failed
        return _decode(item)

    @access_pattern("C14", operation="Query", requests="1", replaces="GSI on session_id")
    def list_by_conversation(
        self,
        conversation_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        consistent: bool = False,
    ) -> Page[Review]:
        """A conversation's reviews by the time of review, newest first; empty when it has none."""
        lower, upper = time_range(since, until)
        collection = keyspace.REVIEW.collection(TABLE, conversation_id)(lower=lower, until=upper)
        asked = PageRequest(
            "C14",
            (conversation_id, lower, upper, newest_first),
            page_size,
            cursor,
            not newest_first,
            consistent,
        )
        return self._page(asked, [collection], _decode)

    @access_pattern(
        "C15",
        operation="Query",
        requests="1; of all reviewers ≤ shards",
        budget=keyspace.REVIEW_SHARDS,
        index="GSI1 or GSI2",
        replaces="optional GSI on has_archived and reviewed_by",
    )
    def list_by_status(
        self,
        *,
        archived: bool = False,
        reviewed_by: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Review]:
        """Reviews that are archived, or not, of one reviewer or of all, newest first.

        With `since` and `until`, those reviewed in [since, until).
        """
        if not isinstance(archived, bool):
            raise InvalidArgument("archived", "must be True or False")
        lower, upper = time_range(since, until)
        if reviewed_by is None:
            collections = [
                keyspace.REVIEW.collection(GSI2, archived, shard)(lower=lower, until=upper)
                for shard in range(keyspace.REVIEW_SHARDS)
            ]
        else:
            collections = [
                keyspace.REVIEW.collection(GSI1, reviewed_by)(archived, lower=lower, until=upper)
            ]
        asked = PageRequest(
            "C15",
            (archived, reviewed_by, lower, upper, newest_first),
            page_size,
            cursor,
            not newest_first,
        )
        return self._page(asked, collections, _decode)

    def _by_pointer(self, pointer: AttributeValues | None) -> Review | None:
        """The review that an id item points to."""
        if pointer is None or not is_live(pointer, self._now()):
            return None
        (review_id,) = key_parts(keyspace.REVIEW_ID, pointer, PK)
        return self._get(Review, consistent=True, **_place(pointer, review_id))


def _item(review: Review) -> AttributeValues:
    fields = {
        **review.__dict__,
        "archived": review.is_archived,
        "shard": _shard(review.review_id),
    }
    return with_index_keys(plan(Review).encode(review), keyspace.REVIEW, fields, GSI1, GSI2)


def _id_item(review: Review) -> AttributeValues:
    return helper_item(
        keyspace.REVIEW_ID,
        review.__dict__,
        expires_at=review.expires_at,
        conversation_id=review.conversation_id,
        reviewed_by=review.reviewed_by,
        reviewed_at=format_time(review.reviewed_at),
    )


def _place(pointer: AttributeValues, review_id: str) -> dict[str, Any]:
    layout = keyspace.REVIEW_ID
    return {
        "conversation_id": helper_text(pointer, "conversation_id", layout),
        "reviewed_by": helper_text(pointer, "reviewed_by", layout),
        "reviewed_at": helper_time(pointer, "reviewed_at", layout),
        "review_id": review_id,
    }


def _says_the_same(there: Review, wanted: Review) -> bool:
    return (there.conversation_id, there.reviewed_by, there.comments) == (
        wanted.conversation_id,
        wanted.reviewed_by,
        wanted.comments,
    )


def _shard(review_id: str) -> int:
    return keyspace.shard_of(review_id, keyspace.REVIEW_SHARDS)


def _decode(item: AttributeValues) -> Review:
    found: Review = plan(Review).decode(item)
    return found
