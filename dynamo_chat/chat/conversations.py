"""The repository of conversations: C1–C6, C16, C21 and C24. The entity is in `conversation`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

from dynamo_chat import keyspace
from dynamo_chat.chat.changing import Changer
from dynamo_chat.chat.conversation import (
    MAX_TITLE_CHARACTERS,
    Conversation,
    ConversationExists,
    ConversationStatus,
    head_key,
    is_idle_head,
    is_live_head,
    live_head,
    new_life,
    organization_exists,
)
from dynamo_chat.chat.deletion import ConversationRemover
from dynamo_chat.chat.giving import Giver
from dynamo_chat.chat.living import LivingLists, Placed
from dynamo_chat.chat.naming import Namer
from dynamo_chat.chat.preferences import PreferenceKeeper, preferences_item
from dynamo_chat.chat.snapshot import Heads, SnapshotCache, life_of, snapshot_of
from dynamo_chat.chat.titles import Titled, title_item, title_owner, titles_of_all, titles_of_user
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import not_ahead, utc, whole_second
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Unchanged, json_copy, validated
from dynamo_chat.core.errors import CorruptItem, InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import iterating
from dynamo_chat.core.layout import GSI1, GSI2, Place
from dynamo_chat.core.owners import check_owner, is_owned
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Found, Page, check_page_size
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import MAX_BATCH_GET, PageRequest, Repository, time_range
from dynamo_chat.core.transaction import Check, Put, Update, absent, contended, set_index_keys

MIN_RETENTION = timedelta(minutes=1)
MAX_RETENTION = timedelta(days=36_500)
_SURELY_FITS = 200
"""An id of at most this many characters fits into every key, whatever the characters are."""


class Conversations(Repository):
    """Create, find, list, rename, archive and delete conversations."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._heads = Heads(binding, snapshots)
        self._lists = LivingLists(binding)
        self._keeper = PreferenceKeeper(binding, self._heads)
        self._namer = Namer(binding, self._heads)
        self._changer = Changer(binding, self._heads, self._keeper)
        self._giver = Giver(binding, self._heads)
        self._remover = ConversationRemover(binding, snapshots)

    @access_pattern(
        "C1",
        "PutItem or TransactWriteItems",
        "1; 2 when it exists and has preferences",
        budget=1,
        owner="creation",
        renamed={"created_at": "at"},
    )
    def create(  # noqa: PLR0913 - a conversation has that many settings
        self,
        user_id: str,
        *,
        conversation_id: str | None = None,
        title: str | None = None,
        auto_title: bool = True,
        retention: timedelta | None = None,
        sliding: bool = False,
        keep_last: int | None = None,
        preferences: Mapping[str, Any] | None = None,
        status: ConversationStatus = "active",
        at: datetime | None = None,
        exist_ok: bool = True,
    ) -> Conversation:
        """Create a conversation, or return the one that this user already has with this id.

        With ``exist_ok=False``, AlreadyExists with that conversation as ``current`` instead.
        Without a title, the first user message gives it one, unless `auto_title` is False.

        `retention` counts from its creation or, if `sliding`, from its latest message; None
        keeps it for ever. `keep_last` keeps only that many of the latest messages. AlreadyExists
        if another user has the id, or its conversation is being deleted. `at` is when it was
        created: in the past, or at most 5 minutes ahead. With an `OfOrganization` as the user, it
        belongs to that organization; NotFound if that does not exist.
        """
        now = self._now()
        created = now
        if at is not None:
            created = not_ahead("at", utc("at", at), now)
        kept_until, idle_until = _deadlines(created, now, retention, sliding)
        conversation = validated(
            Conversation,
            conversation_id=self._new_id() if conversation_id is None else conversation_id,
            user_id=user_id,
            title=title,
            auto_title=auto_title,
            status=status,
            created_at=created,
            updated_at=created,
            has_preferences=bool(preferences),
            preferences={} if preferences is None else _preferences("preferences", preferences),
            retention=retention,
            is_sliding=sliding and retention is not None,
            keep_last=keep_last,
            idle_until=idle_until,
            kept_until=kept_until,
            life=new_life(self._new_id(now)),
        )
        writes: list[Put | Check] = [Put(plan(Conversation).encode(conversation), absent(now))]
        if conversation.has_preferences:
            writes.append(Put(preferences_item(conversation)))
        if title is not None or len(conversation.conversation_id) > _SURELY_FITS:
            # Built even without a title, so that an id too long for its keys is refused now.
            named = title_item(snapshot_of(conversation), conversation.title or "")
            if title is not None:
                writes.append(Put(named))
        organization = conversation.organization_id
        if organization is not None:
            writes.append(organization_exists(organization))
        for _ in range(self._connection.options.transaction_attempts):
            try:
                self._write(*writes)
            except ConditionFailed as failed:
                there = failed.items.get(0)
                if organization is not None and 0 not in failed.items:
                    raise NotFound("organization", organization) from failed
                if is_idle_head(there, now):
                    # The conversation has expired, but its items have not: clear them first.
                    self._remover.clear_idle(conversation.conversation_id)
                    continue
                return self._already_there(there, conversation, exist_ok=exist_ok)
            # First forget an earlier conversation with this id.
            self._heads.snapshots.forget(conversation.conversation_id)
            self._heads.remember(conversation)
            return conversation
        raise contended("the conversation id")

    @access_pattern("C2", "Query", "1", owner="read")
    def get(
        self, conversation_id: str, *, user_id: str | None = None, consistent: bool = False
    ) -> Conversation:
        """The conversation with this id. NotFound if none exists or it is another user's."""
        found = self._keeper.read(conversation_id, user_id, consistent=consistent)
        self._heads.remember(found, is_late=not consistent)
        return found

    @access_pattern("C21", "BatchGetItem", "⌈ids/100⌉", budget=1, owner="read")
    def get_many(
        self,
        conversation_ids: Sequence[str],
        *,
        user_id: str | None = None,
        consistent: bool = False,
    ) -> Found[Conversation]:
        """The conversations with these ids, at most 1,000, in the order of the ids.

        Its `missing` are the ids without a conversation (of `user_id`, if given).
        """
        check_owner("user_id", user_id)

        def shown(item: AttributeValues) -> Conversation | None:
            if not is_owned(item, "user_id", user_id) or not is_live_head(item, self._now()):
                return None
            found = plan(Conversation).decode(item)
            self._heads.remember(found, is_late=not consistent)
            return found

        return self._get_many(
            "conversation_ids", conversation_ids, head_key, shown, consistent=consistent
        )

    @access_pattern(
        "C3",
        "Query, BatchGetItem",
        "1; + ⌈page/50⌉ with their preferences",
        budget=1,
        index="GSI1 + table",
        owner="partition",
    )
    def list_by_user(
        self,
        user_id: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        after: Conversation | None = None,
        with_preferences: bool = False,
    ) -> Page[Conversation]:
        """A user's conversations by creation time, newest first by default.

        With `since` and `until`, only those created in [since, until). Instead of a cursor,
        `after` may be one of the user's conversations: the page begins after it. Their preferences
        are only read `with_preferences`; a page has at most 100 conversations then.
        """
        lower, upper = time_range(since, until)
        page = self._page(
            PageRequest(
                (user_id, lower, upper),
                newest_first,
                _page_size(page_size, with_preferences),
                cursor,
                after=_place_of(after, GSI1, user_id),
            ),
            [keyspace.CONVERSATION.collection(GSI1, user_id)(lower=lower, until=upper)],
            plan(Conversation).decode,
            is_kept=self._is_shown,
        )
        return self._keeper.joined_all(page, user_id) if with_preferences else page

    iterate_by_user = iterating(list_by_user)

    @access_pattern(
        "C4",
        "Query, BatchGetItem",
        "1; + ⌈page/50⌉ with their preferences",
        budget=1,
        index="GSI2 + table",
        owner="partition",
    )
    def list_by_activity(
        self,
        user_id: str,
        *,
        status: ConversationStatus = "active",
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        after: Conversation | None = None,
        with_preferences: bool = False,
    ) -> Page[Conversation]:
        """A user's active (or archived) conversations by latest activity, newest first.

        With `since` and `until`, only those last active in [since, until). A conversation that
        gets a message between two pages moves in the list: newest first, later pages do not have
        it; oldest first, it appears again. Instead of a cursor, `after` may be a conversation: the
        page begins after where it was when it was read. `with_preferences` as in `list_by_user`.
        """
        _check_status(status)
        lower, upper = time_range(since, until)
        page = self._page(
            PageRequest(
                (user_id, status, lower, upper),
                newest_first,
                _page_size(page_size, with_preferences),
                cursor,
                after=_place_of(after, GSI2, user_id, status),
            ),
            [keyspace.CONVERSATION.collection(GSI2, user_id)(status, lower=lower, until=upper)],
            plan(Conversation).decode,
            is_kept=self._is_shown,
        )
        return self._keeper.joined_all(page, user_id) if with_preferences else page

    iterate_by_activity = iterating(list_by_activity)

    @access_pattern(
        "C5",
        "Query, BatchGetItem",
        "within a user 2; of all shards + 1",
        budget=keyspace.TITLE_SHARDS + 1,
        index="GSI2 or GSI1 + table",
        owner="key",
    )
    def find_by_title(
        self,
        title: str,
        *,
        user_id: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Conversation]:
        """Conversations with exactly this title, of one user or of all users, newest first."""
        _check_title(title)
        titles = titles_of_all(title) if user_id is None else titles_of_user(title, user_id)

        def titled(page: Sequence[Placed[Titled]]) -> Iterator[Placed[Conversation]]:
            return self._titled(page, title)

        return self._lists.sifted(
            PageRequest((title, user_id), True, page_size, cursor, one_way=True),
            titles,
            title_owner,
            titled,
            max_page_size=MAX_BATCH_GET,
        )

    iterate_by_title = iterating(find_by_title)

    @access_pattern("C6", "GetItem, TransactWriteItems", "≤2", owner="condition")
    def rename(
        self, conversation_id: str, title: str | None, *, user_id: str | None = None
    ) -> Conversation:
        """Change a conversation's title, and nothing else, and return the conversation.

        None takes the title away; then no message gives it another one. NotFound if there is no
        such conversation (of `user_id`, if given).
        """
        if title is not None:
            _check_title(title)
        return self._namer.rename(conversation_id, title, user_id)

    @access_pattern("C6", "Query, TransactWriteItems", "≤2", owner="condition")
    def change(
        self,
        conversation_id: str,
        *,
        title: str | Unchanged | None = UNCHANGED,
        preferences: Mapping[str, Any] | Unchanged = UNCHANGED,
        user_id: str | None = None,
    ) -> Conversation:
        """Change the title and some preferences in one transaction, and return the conversation.

        The title as in `rename`. Each value of `preferences` replaces the whole value of its name,
        None removes it, and other names stay. Nothing is written if nothing differs. NotFound if
        there is no such conversation (of `user_id`, if given).
        """
        if isinstance(title, str):
            _check_title(title)
        elif title is not None and title is not UNCHANGED:
            raise InvalidArgument("title", "must be text, or None")
        wanted = (
            {} if isinstance(preferences, Unchanged) else _preferences("preferences", preferences)
        )
        return self._changer.change(conversation_id, user_id, title, wanted)

    @access_pattern(
        "C24",
        "GetItem, TransactWriteItems, Query",
        "2 + pages + ⌈own ids/99⌉",
        budget=4,
        owner="condition",
    )
    def give_to(
        self, conversation_id: str, new_user_id: str, *, user_id: str | None = None
    ) -> Conversation:
        """Make another user, or an organization, the owner, and return the conversation.

        Everything in it stays as it is, and is deleted, exported and erased with the new owner's
        data from then on. From the first write on, the old owner is refused everywhere; message
        ids of yours are then indexed for the new owner, 99 in a request. After a crash, call it
        again to finish: with the old owner as `user_id` while nothing in the conversation has
        changed, else with the new one or none. It is not checked that `new_user_id` is a user; an
        `OfOrganization` must exist. NotFound if there is no such conversation (of `user_id`, if
        given).
        """
        return self._giver.give(conversation_id, new_user_id, user_id)

    @access_pattern("C6", "GetItem, UpdateItem", "≤2", owner="condition")
    def set_status(
        self, conversation_id: str, status: ConversationStatus, *, user_id: str | None = None
    ) -> Conversation:
        """Archive a conversation or make it active again, and return it. NotFound.

        Appending a message makes an archived conversation active.
        """
        _check_status(status)
        attributes = plan(Conversation).model

        def change(head: Conversation, _: AttributeValues) -> Update:
            moved = head.model_copy(update={"status": status})
            return Update(
                head_key(conversation_id),
                [
                    attributes.status.set(status),
                    *set_index_keys(keyspace.CONVERSATION, GSI2, **moved.__dict__),
                ],
                live_head(self._now())
                & life_of(head).condition
                & (attributes.updated_at == head.updated_at),
            )

        return self._changed(conversation_id, user_id, change)

    @access_pattern("C6", "Query, TransactWriteItems", "≤2", owner="condition")
    def set_preferences(
        self, conversation_id: str, preferences: Mapping[str, Any], *, user_id: str | None = None
    ) -> Conversation:
        """Replace the preferences with a JSON object, and return the conversation. NotFound."""
        wanted = _preferences("preferences", preferences)
        return self._keeper.change(conversation_id, user_id, lambda _: wanted)

    @access_pattern("C6", "Query, TransactWriteItems", "≤2", owner="condition")
    def merge_preferences(
        self, conversation_id: str, changes: Mapping[str, Any], *, user_id: str | None = None
    ) -> Conversation:
        """Merge changes into the preferences, and return the conversation. NotFound.

        A JSON merge patch (RFC 7396): nested objects are merged, None removes a key, any other
        value replaces. Concurrent merges all take effect.
        """
        patch = _preferences("changes", changes)
        return self._keeper.change(
            conversation_id, user_id, lambda present: merge_patch(present, patch)
        )

    @access_pattern(
        "C16",
        "Query, TransactWriteItems",
        "3 + ⌈items/98⌉ + ⌈MB⌉; 2⌈MB⌉ for more than 200 items",
        budget=5,
        owner="condition",
    )
    def delete(
        self,
        conversation_id: str,
        *,
        user_id: str | None = None,
        unchanged_since: Conversation | None = None,
        only_if: Check | None = None,
    ) -> int:
        """Delete a conversation and everything in it; returns the number of items deleted.

        Readers stop seeing it at once; its id cannot be reused until everything is deleted.
        After a crash, call it again to finish. NotFound if there is nothing to delete. With
        `unchanged_since`, a conversation that was read before: ConversationChanged, with what it
        is now as ``current``, if since then a message was appended or deleted, or its title or
        status changed. With `only_if`, a check of another item: Conflict if it fails when the
        deletion begins, and nothing is deleted.
        """
        if only_if is not None and not isinstance(only_if, Check):
            raise InvalidArgument("only_if", f"must be a Check, not {type(only_if).__name__}")
        return self._remover.delete(conversation_id, user_id, unchanged_since, only_if=only_if)

    # -- inside -------------------------------------------------------------------------------

    def _titled(self, page: Sequence[Placed[Titled]], title: str) -> Iterator[Placed[Conversation]]:
        """The conversations of these title items that still have the title.

        The index may lag behind a rename or a reused id, so the heads are read.
        """
        whose = [each.found for each in page if not isinstance(each.found, CorruptItem)]
        keys = [head_key(each.conversation_id) for each in whose]
        heads = dict(zip(whose, self._get_items(keys, consistent=True), strict=True))
        for each in page:
            if isinstance(each.found, CorruptItem):
                yield Placed(each.item, each.key, each.found)
                continue
            head = heads[each.found]
            try:
                if not is_live_head(head, self._now()):
                    continue
                found = plan(Conversation).decode(head or {})
            except CorruptItem as error:
                yield Placed(each.item, each.key, error)
                continue
            if found.title == title and _is_whose(found, each.found):
                yield Placed(each.item, each.key, found)

    def _changed(
        self,
        conversation_id: str,
        user_id: str | None,
        change: Callable[[Conversation, AttributeValues], Update],
    ) -> Conversation:
        """Read the head and write the update made by `change`; repeat if the head has changed."""
        item = self._get_item(head_key(conversation_id), consistent=True)
        for attempt in range(self._connection.options.transaction_attempts):
            head = self._heads.living(item, conversation_id, user_id)
            try:
                return plan(Conversation).decode(
                    self._write(change(head, item or {}), returning=True)
                )
            except ConditionFailed as failed:
                item = failed.items.get(0)
                self._connection.pause(attempt)
        raise contended("the conversation")

    def _already_there(
        self, there: AttributeValues | None, wanted: Conversation, *, exist_ok: bool
    ) -> Conversation:
        """The existing conversation if the same user has it, else AlreadyExists.

        Without `exist_ok`, only the one that this call created, whose answer was lost.
        """
        if is_live_head(there, self._now()):
            found = plan(Conversation).decode(there or {})
            if found.user_id == wanted.user_id:
                self._heads.remember(found)
                if exist_ok or found.life == wanted.life:
                    return self._keeper.joined(found, None, consistent=False)
                raise ConversationExists(
                    f"you already have a conversation {wanted.conversation_id!r}", found
                )
            raise ConversationExists(f"conversation id {wanted.conversation_id!r} is taken")
        raise ConversationExists(
            f"conversation {wanted.conversation_id!r} is being deleted; finish that first"
        )

    def _is_shown(self, item: AttributeValues) -> bool:
        return is_live_head(item, self._now())


def _page_size(page_size: int, with_preferences: bool) -> int:
    """At most 100 conversations have their preferences read: each may have 400 KB."""
    return check_page_size(page_size, MAX_BATCH_GET if with_preferences else MAX_PAGE_SIZE)


def _place_of(
    after: Conversation | None, index: Place, user_id: str, status: str | None = None
) -> str | None:
    """The sort key of a conversation in a list of this user. InvalidArgument."""
    if after is None:
        return None
    if not isinstance(after, Conversation):
        raise InvalidArgument("after", f"must be a Conversation, not {type(after).__name__}")
    if after.user_id != user_id or (status is not None and after.status != status):
        raise InvalidArgument("after", "must be a conversation of this list")
    return keyspace.CONVERSATION.index_key(index, after.__dict__)[index.sk]


def _is_whose(found: Conversation, titled: Titled) -> bool:
    """True if the title item is this conversation's, not another one's with the same id."""
    return (found.user_id, found.created_at) == (titled.user_id, titled.created_at)


def merge_patch(present: Any, patch: Any) -> Any:
    """`present` changed by a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(present) if isinstance(present, dict) else {}
    for key, change in patch.items():
        if change is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), change)
    return merged


def _deadlines(
    created: datetime, now: datetime, retention: timedelta | None, sliding: bool
) -> tuple[datetime | None, datetime | None]:
    """`kept_until` and `idle_until` of a new conversation."""
    if retention is None:
        if sliding:
            raise InvalidArgument("sliding", "needs a retention")
        return None, None
    if not isinstance(retention, timedelta) or not MIN_RETENTION <= retention <= MAX_RETENTION:
        raise InvalidArgument("retention", "must be a timedelta from one minute to 36,500 days")
    try:
        expires = created + retention
        kept_until = whole_second(expires + retention if sliding else expires)
    except OverflowError as error:
        raise InvalidArgument("retention", "ends after the year 9999") from error
    if expires <= now:
        raise InvalidArgument("retention", "has already ended: the conversation would be expired")
    return kept_until, expires if sliding else None


def _preferences(argument: str, value: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidArgument(argument, f"must be a mapping, not {type(value).__name__}")
    try:
        copied: dict[str, Any] = json_copy(dict(value))
    except ValueError as error:
        raise InvalidArgument(argument, str(error)) from error
    return copied


def _check_status(status: str) -> None:
    if status not in get_args(ConversationStatus):
        raise InvalidArgument("status", "must be 'active' or 'archived'")


def _check_title(title: str) -> None:
    if not isinstance(title, str) or not 1 <= len(title) <= MAX_TITLE_CHARACTERS:
        raise InvalidArgument("title", f"must be text of 1 to {MAX_TITLE_CHARACTERS} characters")
    try:
        title.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument("title", "must not contain lone surrogates") from error
