"""The repository of messages: C7–C12, C18, C20, C22, C23, C25, C26. The entity is in `message`."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from dynamo_chat import keyspace
from dynamo_chat.chat.appending import Appender
from dynamo_chat.chat.beside import Also
from dynamo_chat.chat.conversation import (
    Conversation,
    in_life,
)
from dynamo_chat.chat.editing import MessageEditor, changed_parts
from dynamo_chat.chat.exchange import (
    Exchange,
    ExchangeReader,
    exchange_turn,
    exchanges_of,
    new_exchange,
)
from dynamo_chat.chat.feedback import RANKS, FeedbackWriter, feedback_lists
from dynamo_chat.chat.fitting import CountTokens, check_limits, estimated_tokens, fitting
from dynamo_chat.chat.latest import LatestReader
from dynamo_chat.chat.living import LivingLists
from dynamo_chat.chat.message import (
    Feedback,
    FeedbackType,
    Message,
    NewMessage,
    Role,
)
from dynamo_chat.chat.message_ids import MessageFinder
from dynamo_chat.chat.preferences import (
    PreferenceKeeper,
)
from dynamo_chat.chat.pruning import Pruner
from dynamo_chat.chat.removing import MessageRemover
from dynamo_chat.chat.snapshot import Heads, SnapshotCache
from dynamo_chat.chat.streaming import MessageStream, Pace, Streamer
from dynamo_chat.chat.unfinished import EndedAs, UnfinishedStreams
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.entity import UNCHANGED, Json, JsonObject, Unchanged
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.item import plan
from dynamo_chat.core.iterating import NEXT_PAGE_SIZE, iterating
from dynamo_chat.core.layout import TABLE
from dynamo_chat.core.page import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, Items, Page, check_page_size
from dynamo_chat.core.patterns import STAFF, access_pattern
from dynamo_chat.core.renamed import formerly
from dynamo_chat.core.repository import PageRequest, Repository, time_range
from dynamo_chat.core.ulids import lowest_ulid


class Messages(Repository):
    """Append, list, edit, rate and delete the messages of conversations."""

    def __init__(self, binding: Binding, snapshots: SnapshotCache) -> None:
        super().__init__(binding)
        self._heads = Heads(binding, snapshots)
        self._lists = LivingLists(binding)
        self._pruner = Pruner(binding, self._heads)
        self._appender = Appender(binding, self._heads, self._pruner)
        self._finder = MessageFinder(binding, self._heads)
        self._keeper = PreferenceKeeper(binding, self._heads)
        self._reader = LatestReader(binding, self._heads, self._keeper)
        self._exchanges = ExchangeReader(binding, self._heads)
        self._feedback = FeedbackWriter(binding, self._finder)
        self._editor = MessageEditor(binding, self._finder, self._appender)
        self._streamer = Streamer(binding, self._heads, self._finder, self._appender)
        self._unfinished = UnfinishedStreams(binding, self._heads, self._finder)
        self._remover = MessageRemover(binding, self._heads, self._finder)

    @access_pattern(
        "C7",
        "TransactWriteItems",
        "1; 2 when the store does not know the conversation, 3 with `keep_last`",
        budget=1,
        owner="condition",
    )
    def append(
        self,
        conversation_id: str,
        message: NewMessage,
        *,
        user_id: str | None = None,
        also: Sequence[Also] = (),
    ) -> Message:
        """Append a message and return it as stored.

        A message with a caller-supplied id is appended once, however often this is called;
        Conflict if that id was appended with other content, MessageDeleted if its message has been
        deleted or pruned since. NotFound if there is no such conversation (of `user_id`, if
        given). A conversation without a title gets one from its first user message. If the
        conversation has `keep_last`, what falls out is deleted in the same transaction.
        """
        return self._appender.append(conversation_id, [message], user_id, "message", also=also)[0]

    @access_pattern(
        "C7",
        "TransactWriteItems",
        "1; 2 when the store does not know the conversation, 3 with `keep_last`",
        budget=1,
        owner="condition",
    )
    def append_turn(
        self,
        conversation_id: str,
        messages: Sequence[NewMessage],
        *,
        user_id: str | None = None,
        also: Sequence[Also] = (),
    ) -> tuple[Message, ...]:
        """Append 1 to 45 messages, all or none, and return them in the same order.

        Either all of them have a caller-supplied id or none has. Errors as for `append`. `also` is
        written in the same transaction: a `NewState` of the conversation, or up to 5 writes of
        your own items; an `OwnItem` is one in the conversation. If a condition of those fails,
        nothing is written: StateConflict, with the stored state as ``current``, or Conflict.
        """
        if not isinstance(messages, Sequence):
            raise InvalidArgument("messages", "must be a sequence of NewMessage")
        return self._appender.append(conversation_id, list(messages), user_id, also=also)

    @access_pattern(
        "C7",
        "TransactWriteItems",
        "1; 2 when the store does not know the conversation, 3 with `keep_last`",
        budget=1,
        owner="condition",
    )
    def append_exchange(
        self, conversation_id: str, exchange: Exchange, *, user_id: str | None = None
    ) -> Exchange:
        """Append a prompt and its response as one turn, and return the exchange as stored.

        The exchange's id is that of the response: give feedback on it. Errors as for `append`.
        """
        turn = exchange_turn(new_exchange(exchange, conversation_id), self._now())
        stored = self._appender.append(conversation_id, turn, user_id)
        return exchanges_of(stored)[0]

    @access_pattern("C8", "Query, or GetItem + Query", "≤2", owner="read")
    def list(
        self,
        conversation_id: str,
        *,
        user_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        after: str | None = None,
        consistent: bool = False,
    ) -> Page[Message]:
        """A conversation's messages in time order, oldest first by default.

        With `since` and `until`, only those whose position's time is in [since, until). Instead of
        a cursor, `after` may be a message's id: the page begins after that message in the order of
        the list, even if a message with an id of yours has been deleted since. NotFound if there
        is no such conversation (of `user_id`, if given), or `after` was never in it.
        """
        check_page_size(page_size)
        lower, upper = time_range(since, until)
        collection = keyspace.MESSAGE.collection(TABLE, conversation_id)(
            lower=None if lower is None else lowest_ulid(lower),
            until=None if upper is None else lowest_ulid(upper),
        )
        asked = PageRequest(
            (conversation_id, user_id, lower, upper), newest_first, page_size, cursor, consistent
        )
        if after is not None:
            if cursor is not None:
                raise InvalidArgument("after", "must not be given together with cursor")
            position, life = self._finder.place(
                conversation_id, after, user_id, consistent=consistent
            )
            asked = replace(asked, after=keyspace.MESSAGE.table.sk.encode(position))
        elif newest_first and cursor is None and upper is None:
            return self._reader.with_head(asked, collection, user_id)[1]
        else:
            self._narrowed(asked, [collection])  # refuse a foreign cursor before any read
            life = self._heads.read(conversation_id, user_id, consistent=consistent).life
        return self._page(asked, [collection], plan(Message).decode, is_kept=in_life(life))

    iterate = iterating(list)  # noqa: A003 - the method above

    @access_pattern("C8", "Query", "1", owner="read")
    def latest(
        self,
        conversation_id: str,
        count: int = DEFAULT_PAGE_SIZE,
        *,
        user_id: str | None = None,
        consistent: bool = False,
    ) -> Items[Message]:
        """The latest `count` messages in chronological order, for a model's context.

        Unreadable messages are left out and reported in `unreadable`. Beyond 16 MiB in total, the
        oldest messages are left out and `is_cut` is True; `list` pages through all. NotFound if
        there is no such conversation (of `user_id`, if given).
        """
        return self._reader.latest(conversation_id, count, user_id, consistent=consistent)[1]

    @access_pattern("C23", "Query, GetItem", "pages + 1; 1 for 20 messages", budget=1, owner="read")
    def context(
        self,
        conversation_id: str,
        *,
        max_tokens: int,
        count: CountTokens = estimated_tokens,
        user_id: str | None = None,
        consistent: bool = True,
    ) -> Items[Message]:
        """The latest messages that fit into a model's context, in chronological order.

        `count` returns the tokens of a message; by default, a rough estimate. A tool call and its
        results, in messages with role "tool", are returned together or not at all; the results
        directly behind their call, also those that came later. At most 1,000 messages; `is_cut` is
        True if older ones were left out. Unreadable messages are left out and reported in
        `unreadable`. NotFound if there is no such conversation (of `user_id`, if given).
        ``consistent=False`` halves the cost, but the prompt appended just now may be missing.
        """
        check_limits(max_tokens, count)
        unreadable: builtins.list[CorruptItem] = []
        asked = {"user_id": user_id, "consistent": consistent}
        pages = self._latest_first(unreadable, conversation_id, asked)
        latest = islice(pages, MAX_PAGE_SIZE)
        fit, is_cut = fitting(latest, max_tokens, count)
        is_cut = is_cut or next(pages, None) is not None
        return Items.of(fit, unreadable[::-1], is_cut=is_cut)

    @access_pattern("C8", "Query", "1", owner="read")
    def latest_with_conversation(
        self,
        conversation_id: str,
        count: int = DEFAULT_PAGE_SIZE,
        *,
        user_id: str | None = None,
        consistent: bool = False,
    ) -> tuple[Conversation, Items[Message]]:
        """A conversation and its latest `count` messages in chronological order, in one request.

        Unreadable messages are left out and reported in `unreadable`. Beyond 16 MiB in total, the
        oldest messages are left out and `is_cut` is True; `list` pages through all. NotFound if
        there is no such conversation (of `user_id`, if given).
        """
        return self._reader.latest(
            conversation_id, count, user_id, consistent=consistent, with_preferences=True
        )

    open = formerly("open", latest_with_conversation)

    @access_pattern(
        "C9", "BatchGetItem, GetItem", "1; ≤2 for the caller's own id", budget=2, owner="read"
    )
    def get(
        self,
        conversation_id: str,
        message_id: str,
        *,
        user_id: str | None = None,
        consistent: bool = False,
    ) -> Message:
        """The message with this id in this conversation. NotFound."""
        return self._finder.find(conversation_id, message_id, user_id, consistent=consistent)

    @access_pattern(
        "C9",
        "BatchGetItem, or Query + BatchGetItem",
        "1; 2 for the caller's own id; + 1 for id items that an older release stored, and "
        "for each batch of deleted messages",
        budget=2,
        index="table or GSI2 + table",
        owner="read",
    )
    def get_by_id(self, message_id: str, *, user_id: str | None = None) -> Message:
        """The message with this id, in any conversation. NotFound.

        A caller-supplied id may exist in several conversations: this returns one of `user_id`'s,
        if given, else any. It may show the past; `get`, given the conversation, does not with
        ``consistent=True``. Of ids that an older release stored only the first 50 are searched,
        until the doctor has upgraded them.
        """
        return self._finder.find_alone(message_id, user_id)

    @access_pattern(
        "C10",
        "GetItem, Query, TransactWriteItems",
        "1 + pages + ⌈items/99⌉",
        budget=3,
        owner="condition",
    )
    def prune(self, conversation_id: str, keep_last: int, *, user_id: str | None = None) -> int:
        """Delete all but the last `keep_last` messages; returns the number deleted. NotFound."""
        if type(keep_last) is not int or keep_last < 0:
            raise InvalidArgument("keep_last", "must be an integer from 0")
        gone = self._pruner.prune(conversation_id, keep_last, user_id)
        self._heads.snapshots.forget_window(conversation_id)
        return gone

    @access_pattern(
        "C11",
        "GetItem or BatchGetItem, TransactWriteItems",
        "1; ≤2 for the caller's own id",
        budget=2,
        owner="condition",
    )
    def give_feedback(
        self,
        conversation_id: str,
        message_id: str,
        feedback: Feedback,
        *,
        user_id: str | None = None,
    ) -> Feedback:
        """Set or replace the feedback on a message, and return it as stored.

        NotFound if there is no such message, or it is not in a conversation of `user_id`.
        """
        return self._feedback.give(conversation_id, message_id, feedback, user_id)

    @access_pattern(
        "C11",
        "GetItem or BatchGetItem, TransactWriteItems",
        "1; ≤2 for the caller's own id",
        budget=2,
        owner="condition",
    )
    def withdraw_feedback(
        self, conversation_id: str, message_id: str, *, user_id: str | None = None
    ) -> None:
        """Remove the feedback from a message; no error if it has none.

        NotFound as for `give_feedback`.
        """
        self._feedback.withdraw(conversation_id, message_id, user_id)

    @access_pattern(
        "C12",
        "Query; BatchGetItem",
        "≤ shards: 12 by type, 2 by rank, 4 by category; + 1 when sliding conversations "
        "may have expired",
        budget=len(RANKS) * keyspace.FEEDBACK_RANK_SHARDS,
        index="GSI1 or GSI2, + table",
        owner=STAFF,
    )
    def list_by_feedback(
        self,
        feedback_type: FeedbackType,
        *,
        rank: int | None = None,
        category: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Message]:
        """Messages with positive (or negative) feedback, the latest feedback first.

        Only of one rank (1 to 5) or one category, if given; only feedback in [since, until).
        """
        lower, upper = time_range(since, until)
        return self._lists.page(
            PageRequest(
                (feedback_type, rank, category, lower, upper), newest_first, page_size, cursor
            ),
            feedback_lists(feedback_type, rank, category, lower, upper),
            plan(Message).decode,
            lambda message: message.conversation_id,
        )

    iterate_by_feedback = iterating(list_by_feedback)

    @access_pattern("C18", "GetItem or BatchGetItem, UpdateItem", "≤2", budget=2, owner="condition")
    def edit(
        self,
        conversation_id: str,
        message_id: str,
        *,
        content: str | Unchanged = UNCHANGED,
        errors: str | Unchanged | None = UNCHANGED,
        documents: Sequence[JsonObject] | Unchanged = UNCHANGED,
        tool_calls: Sequence[Any] | Unchanged = UNCHANGED,
        metadata: Mapping[str, Json] | Unchanged = UNCHANGED,
        user_id: str | None = None,
    ) -> Message:
        """Change parts of a message and return it; parts that are not given stay unchanged.

        Its position, id and feedback stay the same. NotFound; ItemTooLarge.
        """
        changes = changed_parts(
            content=content,
            errors=errors,
            documents=documents,
            tool_calls=tool_calls,
            metadata=metadata,
        )
        if not changes:
            raise InvalidArgument("content", "give at least one part of the message to change")
        changes["edited_at"] = self._now()
        return self._editor.update(conversation_id, message_id, changes, user_id)

    @access_pattern(
        "C18",
        "GetItem or BatchGetItem, UpdateItem",
        "≤2; 1 more for a message that `stream` began",
        budget=2,
        owner="condition",
    )
    def finish(
        self,
        conversation_id: str,
        message_id: str,
        *,
        content: str,
        response_time: float | Unchanged | None = UNCHANGED,
        errors: str | Unchanged | None = UNCHANGED,
        documents: Sequence[JsonObject] | Unchanged = UNCHANGED,
        tool_calls: Sequence[Any] | Unchanged = UNCHANGED,
        metadata: Mapping[str, Json] | Unchanged = UNCHANGED,
        user_id: str | None = None,
    ) -> Message:
        """Complete a message that was appended with ``is_streaming=True``, and return it.

        Finishing again with the same content returns it; Conflict with other content. NotFound;
        ItemTooLarge.
        """
        changes = changed_parts(
            content=content,
            response_time=response_time,
            errors=errors,
            documents=documents,
            tool_calls=tool_calls,
            metadata=metadata,
        )
        return self._editor.update(conversation_id, message_id, changes, user_id, finishing=True)

    @access_pattern(
        "C25",
        "TransactWriteItems, UpdateItem",
        "2 + checkpoints; 1 more when the store does not know the conversation, 2 with "
        "`keep_last`; 3 more when a stream is taken over",
        budget=2,
        owner="condition",
    )
    def stream(
        self,
        conversation_id: str,
        *,
        message_id: str | None = None,
        role: Role = "assistant",
        every: timedelta = timedelta(seconds=1),
        characters: int = 200,
        user_id: str | None = None,
    ) -> MessageStream:
        """Append a message that is written piece by piece, and return what writes it.

        Use it in a ``with`` statement: its end finishes the message; an exception marks it as
        failed or cancelled. What has arrived is stored at most after each `every` and each
        `characters`, and more seldom as the text grows. With the `message_id` of a message that was
        not finished, its stream is taken over: the text begins anew, and its former writer gets
        StreamLost. MessageConflict if the message is complete; MessageDeleted; NotFound if there is
        no such conversation (of `user_id`, if given).
        """
        pace = Pace(every, characters)
        return self._streamer.open(conversation_id, message_id, role, user_id, pace)

    @access_pattern(
        "C25",
        "GetItem or BatchGetItem, TransactWriteItems",
        "2; 3 for the caller's own id",
        budget=3,
        owner="condition",
    )
    def end_stream(
        self,
        conversation_id: str,
        message_id: str,
        *,
        status: EndedAs = "failed",
        errors: str | None = None,
        user_id: str | None = None,
    ) -> Message:
        """End a stream whose writer is gone, with what it has stored, and return the message.

        A writer that is alive gets StreamLost. MessageConflict if it has just stored more, or the
        message is complete; a message that has this status already is returned. NotFound.
        """
        return self._unfinished.end(conversation_id, message_id, status, errors, user_id)

    @access_pattern(
        "C26",
        "Query; BatchGetItem",
        "≤ shards: 4; + 1 for each 50 that it finds",
        budget=keyspace.STREAM_SHARDS + 1,
        index="GSI1 + table",
        owner=STAFF,
    )
    def list_unfinished(
        self,
        *,
        older_than: timedelta = timedelta(minutes=5),
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
    ) -> Page[Message]:
        """Messages of all conversations that are being streamed, the first begun first.

        Only those of which nothing was stored for `older_than` (`checkpoint_at`): their writers are
        probably gone. Only streams that `stream` began. At most 100 in a page.
        """
        return self._unfinished.page(older_than, page_size, cursor)

    iterate_unfinished = iterating(list_unfinished)

    @access_pattern("C22", "BatchGetItem, UpdateItem or TransactWriteItems", "2", owner="condition")
    def put(
        self,
        conversation_id: str,
        message: NewMessage,
        *,
        at: datetime | None = None,
        user_id: str | None = None,
    ) -> Message:
        """Append a message, or replace the one with its id, and return it as stored.

        A replaced message keeps its position and feedback; all else is as in `message`, which
        needs a `message_id`. With `at`, the time of the caller's edit, a message that was
        edited later is returned unchanged: so edits may arrive in any order, and before the
        message. MessageDeleted if its message has been deleted. NotFound if there is no such
        conversation (of `user_id`, if given); ItemTooLarge.
        """
        return self._editor.put(conversation_id, message, at, user_id)

    @access_pattern("C18", "GetItem or BatchGetItem, TransactWriteItems", "≤2", owner="condition")
    def delete(self, conversation_id: str, message_id: str, *, user_id: str | None = None) -> bool:
        """Delete a message and its feedback; True if this call deleted it.

        The conversation's message count becomes one less. False if there is no such message: one
        of several callers gets True. NotFound if there is no such conversation (of `user_id`, if
        given).
        """
        return self._remover.delete(conversation_id, message_id, user_id)

    @access_pattern("C20", "Query, TransactWriteItems", "2", owner="condition")
    def pop(
        self, conversation_id: str, *, user_id: str | None = None, finished_only: bool = False
    ) -> Message | None:
        """Delete the last message and return it; None if the conversation has none.

        Each message is returned once, however many callers pop at the same time. A message that
        is appended meanwhile is popped first. One that is still being streamed is popped as it is,
        or stays with `finished_only=True`. NotFound if there is no such conversation (of
        `user_id`, if given). Contended, if others were always first: call again.
        """
        return self._remover.pop(conversation_id, user_id, finished_only=finished_only)

    @access_pattern("C8", "GetItem + Query", "2 + pages", budget=2, owner="read", cursor_id="C8x")
    def list_exchanges(
        self,
        conversation_id: str,
        *,
        user_id: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        cursor: str | None = None,
        consistent: bool = False,
    ) -> Page[Exchange]:
        """A conversation's exchanges, oldest first: each prompt with its response.

        A user message starts an exchange; its response is the assistant's last message before the
        next user message.
        """
        return self._exchanges.page(conversation_id, user_id, page_size, cursor, consistent)

    iterate_exchanges = iterating(list_exchanges)

    # -- inside -------------------------------------------------------------------------------

    def _latest_first(
        self, unreadable: builtins.list[CorruptItem], conversation_id: str, asked: dict[str, Any]
    ) -> Iterator[Message]:
        """The messages from the latest on, in growing pages; and what cannot be read."""
        page = self.list(conversation_id, newest_first=True, **asked)
        while True:
            unreadable += page.unreadable
            yield from page
            if page.cursor is None:
                return
            asked |= {"page_size": NEXT_PAGE_SIZE, "cursor": page.cursor}
            page = self.list(conversation_id, newest_first=True, **asked)
