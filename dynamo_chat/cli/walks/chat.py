"""A walk through every access pattern of the chat domain, on real conversations.

Reading looks at a conversation that was loaded; everything that changes something happens in a
conversation of the walk's own, which its last step deletes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.exchange import Exchange
from dynamo_chat.chat.message import Feedback, Message, NewMessage, ToolCall
from dynamo_chat.chat.reviews import Review
from dynamo_chat.cli.console import cut
from dynamo_chat.cli.walks.step import Step, Walk
from dynamo_chat.core.page import Page
from dynamo_chat.store import ChatStore


def walk_through_chat(store: ChatStore, shown: Conversation) -> Walk:
    """C1–C19 on this store; `shown` is the conversation that reading looks at."""
    own: Conversation = yield Step(
        "conversations.create",
        lambda: store.conversations.create(shown.user_id, retention=timedelta(days=7)),
        lambda made: f"a conversation of {made.user_id}, until {made.expires_at:%Y-%m-%d %H:%M}",
    )
    yield from _finding(store, shown)
    yield from _changing(store, own)
    reply: Message = yield from _appending(store, own)
    yield from _reading(store, shown, reply)
    yield from _rating(store, reply)
    yield from _reviewing(store, own, shown)
    yield from _editing(store, own)
    yield from _remembering(store, own)
    yield from _expiring(store, shown)
    yield Step(
        "messages.prune",
        lambda: store.messages.prune(own.conversation_id, 2),
        lambda count: f"{count} messages deleted, the last 2 kept",
    )
    yield Step(
        "conversations.delete",
        lambda: store.conversations.delete(own.conversation_id),
        lambda count: f"{count} items of the walk's conversation are gone",
    )


def _finding(store: ChatStore, shown: Conversation) -> Walk:
    conversations, user, title = store.conversations, shown.user_id, shown.title
    yield Step(
        "conversations.get",
        lambda: conversations.get(shown.conversation_id, user_id=user),
        lambda found: f"{_title(found)}, {found.message_count} messages",
    )
    yield Step("conversations.list_by_user", lambda: conversations.list_by_user(user), _titles)
    yield Step(
        "conversations.list_by_activity", lambda: conversations.list_by_activity(user), _titles
    )
    if title is not None:
        yield Step(
            "conversations.find_by_title",
            lambda: conversations.find_by_title(title, user_id=user),
            _titles,
        )
        yield Step(
            "conversations.find_by_title", lambda: conversations.find_by_title(title), _titles
        )


def _changing(store: ChatStore, own: Conversation) -> Walk:
    conversations, identity = store.conversations, own.conversation_id
    yield Step(
        "conversations.rename",
        lambda: conversations.rename(identity, "A walk through the patterns"),
        lambda _: "is now 'A walk through the patterns'",
    )
    yield Step(
        "conversations.set_preferences",
        lambda: conversations.set_preferences(identity, {"genres": ["action"], "rating": 7.0}),
        _preferences,
    )
    yield Step(
        "conversations.merge_preferences",
        lambda: conversations.merge_preferences(identity, {"rating": None, "decade": 1990}),
        _preferences,
    )
    yield Step(
        "conversations.set_status",
        lambda: conversations.set_status(identity, "archived"),
        lambda changed: f"{changed.status}; the next message makes it active again",
    )


def _appending(store: ChatStore, own: Conversation) -> Generator[Step, Any, Message]:
    messages, identity = store.messages, own.conversation_id
    question = NewMessage(role="user", content="Which renders are 4K?", message_id="walk-question")
    yield Step("messages.append", lambda: messages.append(identity, question), _said)
    yield Step(
        "messages.append",
        lambda: messages.append(identity, question),
        lambda _: "the same id again: it is there once",
    )
    search = ToolCall(tool="search", args={"resolution": "3840x2160"}, result=[{"file_id": 123}])
    turn = [
        NewMessage(role="assistant", tool_calls=(search,)),
        NewMessage(role="assistant", content="One: harbour_dawn.exr"),
    ]
    stored: tuple[Message, ...] = yield Step(
        "messages.append_turn",
        lambda: messages.append_turn(identity, turn),
        lambda made: f"{len(made)} messages, all or none",
    )
    exchange = Exchange(
        user_prompt="And 8K?", bot_response="None.", response_time=0.8, documents=({"id": 1},)
    )
    yield Step(
        "messages.append_exchange",
        lambda: messages.append_exchange(identity, exchange),
        lambda made: f"{made.user_prompt} – {made.bot_response} after {made.response_time} s",
    )
    return stored[-1]


def _reading(store: ChatStore, shown: Conversation, reply: Message) -> Walk:
    messages, identity = store.messages, shown.conversation_id
    yield Step(
        "messages.open",
        lambda: messages.open(identity),
        lambda found: f"{_title(found[0])} with its last {len(found[1])} messages",
    )
    yield Step("messages.list", lambda: messages.list(identity), _messages)
    yield Step("messages.latest", lambda: messages.latest(identity, 2), _messages)
    yield Step(
        "messages.list_exchanges",
        lambda: messages.list_exchanges(identity),
        lambda page: f"{len(page)} prompts with their responses",
    )
    yield Step("messages.get", lambda: messages.get(reply.conversation_id, reply.message_id), _said)
    yield Step("messages.get_by_id", lambda: messages.get_by_id(reply.message_id), _said)


def _rating(store: ChatStore, reply: Message) -> Walk:
    messages = store.messages
    place = (reply.conversation_id, reply.message_id)
    bad = Feedback(type="negative", rank=2, category="incomplete", text="There are more")
    yield Step(
        "messages.give_feedback",
        lambda: messages.give_feedback(*place, bad),
        lambda given: f"{given.type}, {given.rank}/5, {given.category}",
    )
    yield Step(
        "messages.list_by_feedback", lambda: messages.list_by_feedback("negative"), _messages
    )
    yield Step(
        "messages.list_by_feedback",
        lambda: messages.list_by_feedback("negative", category="incomplete"),
        _messages,
    )
    yield Step(
        "messages.withdraw_feedback",
        lambda: messages.withdraw_feedback(*place),
        lambda _: "no feedback any more",
    )


def _reviewing(store: ChatStore, own: Conversation, shown: Conversation) -> Walk:
    reviews = store.reviews
    review: Review = yield Step(
        "reviews.create",
        lambda: reviews.create(own.conversation_id, "walk-admin", comments="well answered"),
        lambda made: f"by {made.reviewed_by}: {made.comments}",
    )
    yield Step("reviews.get", lambda: reviews.get(review.review_id), _reviewed)
    yield Step("reviews.archive", lambda: reviews.archive(review.review_id), _reviewed)
    yield Step(
        "reviews.list_by_conversation",
        lambda: reviews.list_by_conversation(shown.conversation_id),
        lambda page: f"{len(page)} of {_title(shown)}",
    )
    yield Step(
        "reviews.list_by_status",
        lambda: reviews.list_by_status(archived=True),
        lambda page: f"{len(page)} archived, of all reviewers",
    )
    yield Step(
        "reviews.list_by_status",
        lambda: reviews.list_by_status(archived=True, reviewed_by="walk-admin"),
        lambda page: f"{len(page)} archived, of walk-admin",
    )


def _editing(store: ChatStore, own: Conversation) -> Walk:
    messages, identity = store.messages, own.conversation_id
    begun: Message = yield Step(
        "messages.append",
        lambda: messages.append(identity, NewMessage(role="assistant", is_streaming=True)),
        lambda _: "a message whose content is still arriving",
    )
    yield Step(
        "messages.finish",
        lambda: messages.finish(identity, begun.message_id, content="That was all of them."),
        _said,
    )
    yield Step(
        "messages.edit",
        lambda: messages.edit(identity, begun.message_id, content="Those were all."),
        _said,
    )
    yield Step(
        "messages.delete",
        lambda: messages.delete(identity, begun.message_id),
        lambda _: "gone, and counted out",
    )


def _expiring(store: ChatStore, shown: Conversation) -> Walk:
    """C17 has no method of its own: it is what creating and appending do by themselves."""
    conversations, week = store.conversations, timedelta(days=7)
    sliding: Conversation = yield Step(
        "conversations.create",
        lambda: conversations.create(shown.user_id, retention=week, sliding=True),
        lambda made: f"gone on {made.expires_at:%Y-%m-%d}, a week after its latest message",
        "C17",
    )
    identity = sliding.conversation_id
    yield Step(
        "messages.append",
        lambda: store.messages.append(identity, NewMessage(role="user", content="Still here?")),
        lambda said: f"'{said.content}' goes when it goes; no request more",
        "C17",
    )
    yield Step(
        "conversations.get",
        lambda: conversations.get(identity),
        lambda found: f"the message moved its end to {found.expires_at:%Y-%m-%d %H:%M:%S}",
        "C17",
    )
    yield Step(
        "conversations.delete",
        lambda: conversations.delete(identity),
        lambda count: f"{count} items are gone before their time",
    )


def _remembering(store: ChatStore, own: Conversation) -> Walk:
    states, identity = store.states, own.conversation_id
    yield Step(
        "states.save",
        lambda: states.save(identity, {"step": "ask_resolution", "pending": [123]}),
        lambda saved: f"revision {saved.revision}",
    )
    yield Step(
        "states.get",
        lambda: states.get(identity),
        lambda found: f"revision {found.revision}: step {found.data['step']}",
    )


# -- telling ------------------------------------------------------------------------------------


def _title(conversation: Conversation) -> str:
    return f"'{cut(conversation.title or 'no title', 30)}'"


def _titles(page: Page[Conversation]) -> str:
    return cut(f"{len(page)}: {', '.join(map(_title, page))}", 60)


def _said(message: Message) -> str:
    return f"{message.role}: {cut(message.content, 50)}"


def _messages(found: Sequence[Message] | Page[Message]) -> str:
    first = next(iter(found), None)
    beginning = "" if first is None else f", first {_said(first)}"
    return cut(f"{len(found)}{beginning}", 60)


def _preferences(conversation: Conversation) -> str:
    return cut(str(conversation.preferences), 60)


def _reviewed(review: Review) -> str:
    return f"by {review.reviewed_by}, {'archived' if review.is_archived else 'open'}"
