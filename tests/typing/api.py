"""A user's program. It is never run: mypy and pyright look at it as they would in an application.

What a reader of the guide would write must be accepted as it stands, and what comes back must have
the type that the guide says.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from dynamo_chat import (
    UNCHANGED,
    ChatStore,
    ConnectionOptions,
    Conversation,
    ConversationState,
    CorruptItem,
    Difference,
    Exchange,
    ExtractedFilters,
    Feedback,
    Found,
    Items,
    Message,
    NewMessage,
    Page,
    RateLimit,
    RateLimitExceeded,
    RequestEvent,
    Review,
    StateConflict,
    ToolCall,
    User,
    UserExists,
    YearRange,
)
from dynamo_chat.core.errors import AlreadyExists, InvalidCursor, LimitExceeded, NotFound


def told(event: RequestEvent) -> None:
    """Every request, as the hook sees it."""
    assert_type(event.pattern, str)
    assert_type(event.seconds, float)
    assert_type(event.capacity, float | None)


def stores() -> Iterator[ChatStore]:
    """The ways to make a store."""
    yield ChatStore("chat-prod", region="eu-west-1")
    yield ChatStore("chat-dev", endpoint_url="http://127.0.0.1:8000", on_request=told)
    yield ChatStore("chat-dev", options=ConnectionOptions(read_timeout=2.0, max_attempts=3))
    yield ChatStore.from_env()


def table(store: ChatStore) -> None:
    """Creating and checking the table."""
    store.table.create()
    for difference in store.table.check():
        assert_type(difference, Difference)


def converse(store: ChatStore) -> str:
    """A conversation, from its creation to its latest messages."""
    talk = store.conversations.create("u-1", retention=timedelta(days=30), keep_last=10)
    assert_type(talk, Conversation)
    assert_type(talk.conversation_id, str)
    assert_type(talk.title, str | None)
    assert_type(talk.expires_at, datetime | None)

    asked = store.messages.append(
        talk.conversation_id, NewMessage(role="user", content="Show me 4K renders")
    )
    assert_type(asked, Message)
    turn = store.messages.append_turn(
        talk.conversation_id,
        [
            NewMessage(role="user", content="And at night?", message_id="client-7"),
            NewMessage(role="assistant", content="Here.", message_id="run-7", response_time=0.4),
        ],
    )
    assert_type(turn, tuple[Message, ...])

    head, latest = store.messages.latest_with_conversation(talk.conversation_id, 20)
    assert_type(head, Conversation)
    assert_type(latest, Items[Message])
    assert_type(latest.unreadable, tuple[CorruptItem, ...])
    return latest[-1].content


def recommend(store: ChatStore, conversation_id: str) -> Message:
    """An answer with everything that a recommender keeps; lists are given as lists."""
    return store.messages.append(
        conversation_id,
        NewMessage(
            role="assistant",
            content="Three films",
            confidence=0.9,
            documents=[{"id": "d-1", "score": 0.5}, {"id": "d-2", "tags": ["a", None, 1]}],
            filters=ExtractedFilters(genres=["crime"], year_range=YearRange(min=1990)),
            recommendations=["Heat", "Se7en"],
            tool_calls=[ToolCall(tool="search", args={"query": "noir"}, call_id="c-1")],
            metadata={"model": "m-1", "tokens": 512},
        ),
    )


def sidebar(store: ChatStore, user_id: str) -> Iterator[str]:
    """Every conversation of a user, page by page."""
    cursor: str | None = None
    while True:
        try:
            page = store.conversations.list_by_activity(user_id, page_size=20, cursor=cursor)
        except InvalidCursor:
            return
        assert_type(page, Page[Conversation])
        for talk in page:
            yield talk.title or "untitled"
        cursor = page.cursor
        if cursor is None:
            return


def edit(store: ChatStore, conversation_id: str, message_id: str) -> None:
    """Leaving as it is and setting to nothing are different arguments."""
    store.messages.edit(conversation_id, message_id, content="corrected", errors=None)
    store.messages.edit(conversation_id, message_id, content=UNCHANGED)
    given = store.messages.give_feedback(
        conversation_id, message_id, Feedback(type="positive", rank=5, category="helpful")
    )
    assert_type(given, Feedback)
    since = datetime(2025, 1, 1, tzinfo=UTC)
    rated = store.messages.list_by_feedback("negative", since=since, page_size=50)
    assert_type(rated, Page[Message])


def work(store: ChatStore, conversation_id: str) -> dict[str, Any]:
    """State between turns, saved over the revision that was read."""
    state = store.states.get(conversation_id)
    assert_type(state, ConversationState | None)
    revision = 0 if state is None else state.revision
    return store.states.save(conversation_id, {"step": 2}, revision=revision).data


def review(store: ChatStore, conversation_id: str) -> Page[Review]:
    """Reviews of a conversation."""
    written = store.reviews.create(conversation_id, "reviewer-1", comments="Polite.")
    store.reviews.archive(written.review_id)
    return store.reviews.list_by_status(archived=True, reviewed_by="reviewer-1")


def exchanges(store: ChatStore, conversation_id: str) -> Page[Exchange]:
    """The view of prompts and responses."""
    return store.messages.list_exchanges(conversation_id, page_size=10)


def everything(store: ChatStore, user_id: str) -> Iterator[Message | Conversation]:
    """Without cursors; and on from an item."""
    for talk in store.conversations.iterate_by_user(user_id, newest_first=False):
        assert_type(talk, Conversation)
        said = store.messages.iterate(talk.conversation_id, user_id=user_id, page_size=50)
        assert_type(said, Iterator[Message])
        yield from said
    for user in store.activity.iterate_by_user(user_id):
        assert_type(user.action, str)
    page = store.messages.list("c-1", after="m-1")
    further = page.cursor_after(page.items[0])
    assert_type(further, str)
    yield from store.messages.list("c-1", cursor=further)
    first = store.conversations.list_by_user(user_id).items[0]
    wide: Page[Message | Conversation] = store.conversations.list_by_user(user_id, after=first)
    yield from wide
    found = store.conversations.get_many([first.conversation_id])
    assert_type(found, Found[Conversation])
    both: Items[Message | Conversation] = found
    yield from both
    assert_type(store.messages.pop("c-1"), Message | None)
    assert_type(store.messages.delete("c-1", "m-1"), bool)


def careful(store: ChatStore, conversation_id: str) -> Conversation | None:
    """Errors are typed."""
    try:
        return store.conversations.rename(conversation_id, "Night renders", user_id="u-1")
    except NotFound as missing:
        assert_type(missing.identifier, str)
        return None
    except AlreadyExists:
        raise


def refused(store: ChatStore, account_id: str) -> float:
    """The class of an error says what is stored."""
    try:
        store.users.create("ann@example.com")
        return store.rate_limits.count(account_id, "ai", "reply").remaining
    except RateLimitExceeded as over:
        assert_type(over.current, RateLimit)
        assert_type(over.retry_after, int | None)
        return over.retry_after or 0
    except LimitExceeded as over:
        assert_type(over.current, Any)
        return 0
    except UserExists as taken:
        assert_type(taken.current, User | None)
        return taken.http_status
    except StateConflict as late:
        assert_type(late.current, ConversationState | None)
        return 0
