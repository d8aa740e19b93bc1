"""Reviews of conversations by administrators (C13–C15)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar, Final

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import (
    check_ids,
    head_key,
    in_life,
    is_idle_head,
    is_live_head,
    is_part_of,
    life_in,
    live_head,
    with_life,
)
from dynamo_chat.chat.deletion import ConversationRemover
from dynamo_chat.chat.living import LivingLists, with_alive_until
from dynamo_chat.chat.preferences import is_preferences
from dynamo_chat.chat.snapshot import Heads, Snapshot, SnapshotCache
from dynamo_chat.core.attributes import Raw
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead, utc
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import Entity, ExpiresAt, Id, Indexed, Text, Time, validated
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.core.item import (
    encoded,
    helper_item,
    helper_text,
    helper_time,
    key_parts,
    leading,
    plan,
)
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.keys import KeyRange, format_time
from dynamo_chat.core.layout import (
    GSI1,
    GSI2,
    KIND,
    PK,
    SK,
    TABLE,
    TTL,
    VERSION,
    Collection,
    Layout,
)
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, Page, check_page_size
from dynamo_chat.core.patterns import STAFF, access_pattern
from dynamo_chat.core.repository import PageRequest, QueryResult, Repository, time_range
from dynamo_chat.core.transaction import (
    Check,
    Put,
    Update,
    absent,
    contended,
    is_live,
    live,
    set_index_keys,
)

MAX_COMMENTS: Final = 16_384
"""Two indexes and the id item have the comments, too: each kilobyte costs six write units."""


class Review(Entity):
    """An administrator's review of a conversation."""

    layout: ClassVar[Layout] = keyspace.REVIEW

    conversation_id: Id
    review_id: Id
    reviewed_by: Id
    """The administrator's user id."""
    comments: Text | None = None
    reviewed_at: Time
    archived_at: Time | None = None
    expires_at: ExpiresAt = None

    @property
    def is_archived(self) -> bool:
        """True if it was archived."""
        return self.archived_at is not None

    def indexed(self) -> Indexed:
        """In its reviewer's list (GSI1), and in a shard of the list of all reviews (GSI2)."""
        shard = keyspace.REVIEW_SHARDS.shard_of(self.review_id)
        fields = {**self.__dict__, "archived": self.is_archived, "shard": shard}
        return {GSI1: fields, GSI2: fields}


class ReviewExists(AlreadyExists):
    """The review's id is taken."""

    current: Review | None


class Reviews(Repository):
    """Write, find, list and archive reviews."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._heads = Heads(binding, snapshots)
        self._lists = LivingLists(binding)
        self._remover = ConversationRemover(binding, snapshots)

    @access_pattern(
        "C13",
        "GetItem, TransactWriteItems",
        "≤2",
        owner="condition",
        renamed={"reviewed_at": "at"},
    )
    def create(
        self,
        conversation_id: str,
        reviewed_by: str,
        *,
        comments: str | None = None,
        review_id: str | None = None,
        at: datetime | None = None,
        user_id: str | None = None,
    ) -> Review:
        """Create a review of a conversation and return it.

        If the review id exists: returns the stored review if it is the same, else AlreadyExists.
        NotFound if there is no such conversation (of `user_id`, if given).
        """
        if isinstance(comments, str) and len(comments) > MAX_COMMENTS:
            raise InvalidArgument("comments", f"may have at most {MAX_COMMENTS:,} characters")
        moment = self._moment(at)
        identity = self._new_id() if review_id is None else review_id

        def attempt(snapshot: Snapshot) -> Review:
            review = validated(
                Review,
                conversation_id=conversation_id,
                review_id=identity,
                reviewed_by=reviewed_by,
                comments=comments,
                reviewed_at=moment,
                expires_at=snapshot.kept_until,
            )
            return self._put_review(snapshot, review)

        return self._heads.with_snapshot(conversation_id, user_id, attempt)

    @access_pattern("C13", "GetItem, BatchGetItem", "≤2", owner=STAFF)
    def get(self, review_id: str, *, consistent: bool = False) -> Review:
        """The review with this id. NotFound."""
        pointer = self._get_item(keyspace.REVIEW_ID.key(review_id=review_id), consistent=consistent)
        now = self._now()
        if pointer is None or not is_live(pointer, now):
            raise NotFound("review", review_id)
        place = review_place(pointer, review_id)
        head, item = self._get_items(
            [head_key(place["conversation_id"]), keyspace.REVIEW.key(**place)], consistent=True
        )
        is_there = is_live(item, now) and is_live_head(head, now)
        if item is None or not is_there or not is_part_of(item, life_in(head)):
            raise NotFound("review", review_id)
        return plan(Review).decode(item)

    @access_pattern(
        "C13",
        "GetItem, TransactWriteItems",
        "≤2",
        owner=STAFF,
        renamed={"archived_at": "at"},
    )
    def archive(self, review_id: str, *, at: datetime | None = None) -> Review:
        """Archive a review and return it; an archived one stays unchanged. NotFound."""
        moment = self._moment(at)
        pointer = self._get_item(keyspace.REVIEW_ID.key(review_id=review_id), consistent=True)
        if pointer is None or not is_live(pointer, self._now()):
            raise NotFound("review", review_id)
        place = review_place(pointer, review_id)
        attributes = plan(Review).model
        keys = {**place, "archived": True, "shard": keyspace.REVIEW_SHARDS.shard_of(review_id)}
        try:
            self._write(
                Check(head_key(place["conversation_id"]), live_head(self._now())),
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
            )
        except ConditionFailed as failed:
            there = failed.items.get(1)
            if 0 in failed.items or there is None or not is_live(there, self._now()):
                raise NotFound("review", review_id) from failed
            found = plan(Review).decode(there)
            if found.is_archived:
                return found
            raise contended("the review") from failed
        # A transaction returns no item, but the id item has all of the review's fields.
        return _pointed_at(pointer, place, archived_at=moment)

    @access_pattern(
        "C14",
        "Query; GetItem",
        "1; 2 when the page does not reach the conversation's head: later pages, oldest "
        "first; newest first, when there are more",
        budget=1,
        owner=STAFF,
    )
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
        """A conversation's reviews by the time of review, newest first.

        Empty if it has none or the conversation is gone.
        """
        check_ids(conversation_id)
        check_page_size(page_size)
        lower, upper = time_range(since, until)
        collection = keyspace.REVIEW.collection(TABLE, conversation_id)(lower=lower, until=upper)
        asked = PageRequest(
            (conversation_id, lower, upper), newest_first, page_size, cursor, consistent
        )
        begun, head = self._with_head(asked, collection)
        if not is_live_head(head, self._now()):
            return Page(())
        is_kept = in_life(life_in(head))
        return self._page(asked, [collection], plan(Review).decode, is_kept=is_kept, begun=begun)

    iterate_by_conversation = iterating(list_by_conversation)

    @access_pattern(
        "C15",
        "Query; BatchGetItem",
        "1; of all reviewers ≤ shards; + 1 when sliding conversations may have expired",
        budget=keyspace.REVIEW_SHARDS,
        index="GSI1 or GSI2, + table",
        owner=STAFF,
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
        """Reviews that are archived (or not), of one reviewer or of all, newest first.

        With `since` and `until`, only those reviewed in [since, until).
        """
        lower, upper = time_range(since, until)
        if reviewed_by is None:
            collections = [
                keyspace.REVIEW.collection(GSI2, archived, shard)(lower=lower, until=upper)
                for shard in keyspace.REVIEW_SHARDS.shards()
            ]
        else:
            collections = [
                keyspace.REVIEW.collection(GSI1, reviewed_by)(archived, lower=lower, until=upper)
            ]
        return self._lists.page(
            PageRequest((archived, reviewed_by, lower, upper), newest_first, page_size, cursor),
            collections,
            plan(Review).decode,
            lambda review: review.conversation_id,
        )

    iterate_by_status = iterating(list_by_status)

    def _put_review(self, snapshot: Snapshot, review: Review) -> Review:
        """Write a review and its id item, unless the review exists."""
        is_free: Condition = Path(PK).does_not_exist()
        for attempt in range(self._connection.options.transaction_attempts):
            now = self._now()
            item = with_life(plan(Review).encode(review), snapshot.life)
            item = with_alive_until(item, snapshot.alive_until())
            try:
                self._write(
                    self._heads.check(snapshot),
                    Put(item, absent(now)),
                    Put(review_id_item(review), absent(now) | is_free),
                )
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise
                pointer = failed.items.get(2)
                there = self._by_pointer(pointer)
                if there is None and is_live(failed.items.get(1), now):
                    there = self._led_to(snapshot, plan(Review).decode(failed.items.get(1) or {}))
                if there is not None and _says_the_same(there, review):
                    return there
                if there is not None and not self._is_freed(there.conversation_id):
                    shown = there if _is_of_the_same(there, review) else None
                    raise ReviewExists(
                        f"review id {review.review_id!r} is taken", shown
                    ) from failed
                if there is None and pointer is not None and is_live(pointer, now):
                    is_free = _leads_as(pointer)  # its review is gone: a deletion left it behind
                self._connection.pause(attempt)
            else:
                return review
        raise contended("the review id")

    def _led_to(self, snapshot: Snapshot, there: Review) -> Review:
        """`there`, after its missing or expired id item was written again."""
        now = self._now()
        with suppress(ConditionFailed):
            self._write(
                self._heads.check(snapshot),
                Check(keyspace.REVIEW.key(**there.__dict__), live(now)),
                Put(review_id_item(there), absent(now)),
            )
        return there

    def _with_head(
        self, asked: PageRequest, collection: Collection
    ) -> tuple[QueryResult | None, AttributeValues | None]:
        """The first query of a page of reviews, and the head, which sorts just before them.

        One query over both if the page begins or may end at the head.
        """
        key = head_key(asked.chosen[0])
        (narrowed,) = self._narrowed(asked, [collection])
        begun, head = None, None
        everything = keyspace.REVIEW.collection(TABLE, asked.chosen[0])()
        if narrowed.keys.lower == everything.keys.lower and not narrowed.keys.is_empty:
            both = narrowed._replace(keys=KeyRange(key[SK]["S"], narrowed.keys.upper))
            items, start = self._query(
                both,
                forward=asked.forward,
                limit=asked.page_size + 2,
                consistent=asked.consistent,
            )
            items = [item for item in items if not is_preferences(item)]
            at = 0 if asked.forward else -1
            if items and items[at][SK] == key[SK]:
                head = items.pop(at)
                start = start if asked.forward else None
            if items or start is None:
                begun = (items, start)
        if head is None:
            head = self._get_item(key, consistent=asked.consistent)
        return begun, head

    def _moment(self, at: datetime | None) -> datetime:
        """`at` in UTC, or now if None; InvalidArgument if it is in the future."""
        now = self._now()
        return now if at is None else not_ahead("at", utc("at", at), now)

    def _is_freed(self, conversation_id: str) -> bool:
        """Clear the conversation if it expired before its reviews did; True if so."""
        head = self._get_item(head_key(conversation_id), consistent=True)
        if not is_idle_head(head, self._now()):
            return False
        self._remover.clear_idle(conversation_id)
        return True

    def _by_pointer(self, pointer: AttributeValues | None) -> Review | None:
        """The review that an id item points to; None if either is gone or expired."""
        if pointer is None or not is_live(pointer, self._now()):
            return None
        (review_id,) = key_parts(keyspace.REVIEW_ID, pointer, PK)
        return self._get(Review, consistent=True, **review_place(pointer, review_id))


def review_id_item(review: Review) -> AttributeValues:
    """The id item of a review: it makes the id unique and points to the review."""
    item = helper_item(
        keyspace.REVIEW_ID,
        review.__dict__,
        expires_at=review.expires_at,
        conversation_id=review.conversation_id,
        reviewed_by=review.reviewed_by,
        reviewed_at=format_time(review.reviewed_at),
    )
    if review.comments is not None:
        item["comments"] = encoded(plan(Review).attributes["comments"], review.comments)
    return item


def _pointed_at(
    pointer: AttributeValues, place: Mapping[str, Any], *, archived_at: datetime
) -> Review:
    """The review as archived, built from its id item."""
    keys = keyspace.REVIEW.key(**place)
    said = {name: pointer[name] for name in ("comments", TTL) if name in pointer}
    return plan(Review).decode(
        {
            **keys,
            **said,
            KIND: {"S": keyspace.REVIEW.kind},
            VERSION: {"N": str(Review.schema_version)},
            "reviewed_by": {"S": place["reviewed_by"]},
            "archived_at": {"S": format_time(archived_at)},
        }
    )


def review_place(pointer: AttributeValues, review_id: str) -> dict[str, Any]:
    """The key fields of the review that an id item points to. CorruptItem."""
    layout = keyspace.REVIEW_ID
    place = {
        "conversation_id": helper_text(pointer, "conversation_id", layout),
        "reviewed_by": helper_text(pointer, "reviewed_by", layout),
        "reviewed_at": helper_time(pointer, "reviewed_at", layout),
        "review_id": review_id,
    }
    with leading(pointer, layout):
        for archived in (False, True):
            fields = {
                **place,
                "archived": archived,
                "shard": keyspace.REVIEW_SHARDS.shard_of(review_id),
            }
            keyspace.REVIEW.key(**fields)
            keyspace.REVIEW.index_key(GSI1, fields)
            keyspace.REVIEW.index_key(GSI2, fields)
    return place


def _leads_as(pointer: AttributeValues) -> Condition:
    """A condition that an id item points to the same review as this one."""
    condition: Condition = Path(PK).exists()
    for name in ("conversation_id", "reviewed_by", "reviewed_at"):
        condition &= Path(name) == Raw(pointer[name])
    return condition


def _is_of_the_same(there: Review, wanted: Review) -> bool:
    """True if the writer of `wanted` may see `there`: same conversation, same reviewer."""
    return (there.conversation_id, there.reviewed_by) == (
        wanted.conversation_id,
        wanted.reviewed_by,
    )


def _says_the_same(there: Review, wanted: Review) -> bool:
    return (there.conversation_id, there.reviewed_by, there.comments) == (
        wanted.conversation_id,
        wanted.reviewed_by,
        wanted.comments,
    )
