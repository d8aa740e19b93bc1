"""Scenarios of messages and the feedback on them (C7–C12, C18)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from dynamo_chat.cases.chat import conversation
from dynamo_chat.cases.english import ENGLISH
from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.cases.words import words
from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.exchange import Exchange
from dynamo_chat.chat.message import Feedback, Message, NewMessage, ToolCall
from dynamo_chat.chat.states import NewState


def _said(role: str = "user", message_id: str | None = None) -> NewMessage:
    """A message of 1,000 characters of English."""
    return NewMessage.model_validate({"role": role, "content": ENGLISH, "message_id": message_id})


def _two_messages(stage: Stage) -> tuple[str, str, str]:
    """A conversation, a message in it under the store's own id, and one under the caller's."""
    talk, messages, own = conversation(stage), stage.store.messages, stage.fresh("message")
    minted = messages.append(talk.conversation_id, _said()).message_id
    messages.append(talk.conversation_id, _said(message_id=own))
    return talk.conversation_id, minted, own


def _opened(found: tuple[Conversation, Sequence[Message]]) -> str:
    conversation, latest = found
    return f"{words(conversation)}; its last {len(latest)}"


def _pruned(count: int) -> str:
    return f"{count} messages deleted"


def _withdrawn(_: Message) -> str:
    return "feedback removed"


def _gone(is_deleted: bool) -> str:
    return "deleted, and subtracted from the count" if is_deleted else "was not there"


def messages_append(stage: Stage) -> Iterator[Case]:
    """Messages of 1,000 characters: the cost does not depend on how many there are."""
    store, cold = stage.store, stage.cold_store()
    yield from _after_others(stage, 10)
    talk = conversation(stage, messages=1).conversation_id
    own = stage.fresh("message")
    yield Case(
        "with the caller's id",
        lambda: store.messages.append(talk, _said(message_id=own)),
        is_shown=True,
    )
    stage.later()
    # The failed transaction tells that the id is there: then head and message are read.
    yield Case(
        "the same id again",
        lambda: store.messages.append(talk, _said(message_id=own)),
        lambda _: "same id again: stored only once",
        budget=3,
        is_shown=True,
    )
    yield from _with_policies(stage)
    yield Case("by a cold store", lambda: cold.messages.append(talk, _said()), budget=2)
    first = conversation(stage).conversation_id
    yield Case("the first, giving the title", lambda: store.messages.append(first, _said()))
    yield from _after_others(stage, 100)
    yield from _after_others(stage, 1_000)


def _after_others(stage: Stage, count: int) -> Iterator[Case]:
    talk = conversation(stage, messages=count).conversation_id
    yield Case(f"after {count:,} others", lambda: stage.store.messages.append(talk, _said()))
    stage.store.conversations.delete(talk)  # embedded engines get slow with many items


def _with_policies(stage: Stage) -> Iterator[Case]:
    """Appends that push the deadline along, or keep only the last messages."""
    conversations, messages = stage.store.conversations, stage.store.messages
    week = timedelta(days=7)
    sliding = conversations.create(stage.fresh("user"), title="t", retention=week, sliding=True)
    yield Case(
        "with sliding retention",
        lambda: messages.append(sliding.conversation_id, _said()),
        lambda _: "the conversation now expires a week after this message",
        pattern="C17",
        is_shown=True,
    )
    short = conversations.create(stage.fresh("user"), keep_last=10).conversation_id
    messages.append_turn(short, [_said() for _ in range(10)])
    stage.later()
    yield Case("keeping the last 10", lambda: messages.append(short, _said()))
    cold = stage.cold_store()
    yield Case(
        "keeping the last 10, by a cold store",
        lambda: cold.messages.append(short, _said()),
        budget=3,
    )


def messages_append_turn(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage, messages=2).conversation_id, stage.store.messages
    call = ToolCall(tool="search", args={"query": "4K"}, result=[{"file_id": 123}])
    turn = [
        NewMessage(role="user", content="Show me 4K renders"),
        NewMessage(role="assistant", content="", tool_calls=(call,)),
        NewMessage(role="assistant", content="I found one."),
    ]
    yield Case("three messages", lambda: messages.append_turn(talk, turn))
    long = [_said("user"), _said("assistant")]
    yield Case("two of 1,000 characters", lambda: messages.append_turn(talk, long))
    state = NewState(data={"step": "ask_resolution"})
    yield Case("together with the state", lambda: messages.append_turn(talk, long, also=[state]))


def messages_append_exchange(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage, messages=2).conversation_id, stage.store.messages
    exchange = Exchange(user_prompt="Where is it?", bot_response="Here.", response_time=1.5)
    yield Case("", lambda: messages.append_exchange(talk, exchange))
    named = Exchange(
        user_prompt="And that?", bot_response="There.", message_id=stage.fresh("exchange")
    )
    yield Case("with the caller's id", lambda: messages.append_exchange(talk, named))


def messages_list(stage: Stage) -> Iterator[Case]:
    messages, began = stage.store.messages, stage.clock()
    talk = conversation(stage, messages=60).conversation_id
    page = messages.list(talk)
    yield Case("a page of 20", lambda: messages.list(talk))
    yield Case("the next page", lambda: messages.list(talk, cursor=page.cursor))
    yield Case("newest first", lambda: messages.list(talk, newest_first=True))
    until = stage.clock()
    yield Case("a time range", lambda: messages.list(talk, since=began, until=until))


def messages_latest(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage, messages=60).conversation_id, stage.store.messages
    yield Case("the last 20", lambda: messages.latest(talk))


def messages_latest_with_conversation(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage, messages=60).conversation_id, stage.store.messages
    yield Case("the last 20", lambda: messages.latest_with_conversation(talk), _opened)
    empty = conversation(stage).conversation_id
    yield Case("no message yet", lambda: messages.latest_with_conversation(empty), _opened)


def messages_list_exchanges(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage, messages=60).conversation_id, stage.store.messages
    yield Case("a page of 20", lambda: messages.list_exchanges(talk))


def messages_get(stage: Stage) -> Iterator[Case]:
    messages, (talk, minted, own) = stage.store.messages, _two_messages(stage)
    yield Case("the store's id", lambda: messages.get(talk, minted), budget=1)
    yield Case("the caller's id", lambda: messages.get(talk, own))


def messages_get_by_id(stage: Stage) -> Iterator[Case]:
    messages, (_, minted, own) = stage.store.messages, _two_messages(stage)
    yield Case("the store's id", lambda: messages.get_by_id(minted), budget=1)
    yield Case("the caller's id", lambda: messages.get_by_id(own))


def messages_prune(stage: Stage) -> Iterator[Case]:
    messages = stage.store.messages
    few = conversation(stage, messages=15).conversation_id
    yield Case("5 of 15", lambda: messages.prune(few, 10), _pruned)
    many = conversation(stage, messages=130).conversation_id
    yield Case("120 of 130", lambda: messages.prune(many, 10), _pruned, budget=4)


def messages_give_feedback(stage: Stage) -> Iterator[Case]:
    messages, (talk, minted, own) = stage.store.messages, _two_messages(stage)
    owner = stage.store.conversations.get(talk).user_id
    plain = Feedback(type="positive")
    full = Feedback(type="negative", rank=2, category="wrong", text="That is another file")
    yield Case("", lambda: messages.give_feedback(talk, minted, plain), budget=1)
    yield Case("changed", lambda: messages.give_feedback(talk, minted, full), budget=1)
    yield Case(
        "with the owner given",
        lambda: messages.give_feedback(talk, minted, full, user_id=owner),
        budget=1,
    )
    yield Case("the caller's id", lambda: messages.give_feedback(talk, own, full))


def messages_withdraw_feedback(stage: Stage) -> Iterator[Case]:
    messages, (talk, minted, own) = stage.store.messages, _two_messages(stage)
    owner = stage.store.conversations.get(talk).user_id
    for message_id in (minted, own):
        messages.give_feedback(talk, message_id, Feedback(type="positive", rank=5, category="ok"))
    yield Case("", lambda: messages.withdraw_feedback(talk, minted), _withdrawn, budget=1)
    yield Case(
        "with the owner given",
        lambda: messages.withdraw_feedback(talk, minted, user_id=owner),
        _withdrawn,
        budget=1,
    )
    yield Case("the caller's id", lambda: messages.withdraw_feedback(talk, own), _withdrawn)


def messages_list_by_feedback(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage).conversation_id, stage.store.messages
    category = stage.fresh("category")
    for rank in (1, 2, 2, 3):
        stage.later()
        said = messages.append(talk, _said())
        feedback = Feedback(type="negative", rank=rank, category=category)
        messages.give_feedback(talk, said.message_id, feedback)
    yield Case("by type", lambda: messages.list_by_feedback("negative"))
    yield Case(
        "by rank", lambda: messages.list_by_feedback("negative", rank=2), budget=2, is_shown=True
    )
    yield Case(
        "by category",
        lambda: messages.list_by_feedback("negative", category=category),
        budget=4,
        is_shown=True,
    )


def _streamed(
    stage: Stage, conversation_id: str, characters: int, message_id: str | None = None
) -> Message:
    """An answer of so many characters, 200 of them in a second."""
    text = (ENGLISH * (characters // len(ENGLISH) + 1))[:characters]
    with stage.store.messages.stream(conversation_id, message_id=message_id) as answer:
        for at in range(0, characters, 20):
            stage.later(timedelta(milliseconds=100))
            answer.write(text[at : at + 20])
    return answer.message


def messages_stream(stage: Stage) -> Iterator[Case]:
    """An answer of 1,000 characters in five seconds has five checkpoints."""
    talk, own = conversation(stage, messages=2).conversation_id, stage.fresh("message")
    yield Case("100 characters", lambda: _streamed(stage, talk, 100))
    yield Case("1,000 characters", lambda: _streamed(stage, talk, 1_000), budget=7, is_shown=True)
    yield Case("with the caller's id", lambda: _streamed(stage, talk, 100, message_id=own))
    left = stage.fresh("message")
    stage.store.messages.stream(talk, message_id=left)
    # The failed transaction tells that the id is there: then head and message are read.
    yield Case("taken over", lambda: _streamed(stage, talk, 100, message_id=left), budget=5)


def messages_end_stream(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage, messages=2).conversation_id, stage.store.messages
    left, own = messages.stream(talk), stage.fresh("message")
    messages.stream(talk, message_id=own)
    yield Case("", lambda: messages.end_stream(talk, left.message.message_id), budget=2)
    yield Case("the caller's id", lambda: messages.end_stream(talk, own, status="cancelled"))


def messages_list_unfinished(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage, messages=2).conversation_id, stage.store.messages
    messages.stream(talk)
    stage.later(timedelta(minutes=6))
    yield Case("older than 5 minutes", messages.list_unfinished)


def messages_edit(stage: Stage) -> Iterator[Case]:
    messages, (talk, minted, own) = stage.store.messages, _two_messages(stage)
    yield Case("", lambda: messages.edit(talk, minted, content="shorter"))
    yield Case("the caller's id", lambda: messages.edit(talk, own, content="shorter"))


def messages_finish(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage).conversation_id, stage.store.messages
    begun = messages.append(talk, NewMessage(role="assistant", is_streaming=True))
    yield Case("", lambda: messages.finish(talk, begun.message_id, content=ENGLISH))
    own = stage.fresh("message")
    streamed = NewMessage(role="assistant", message_id=own, is_streaming=True)
    messages.append(talk, streamed)
    yield Case("the caller's id", lambda: messages.finish(talk, own, content=ENGLISH))


def messages_delete(stage: Stage) -> Iterator[Case]:
    messages, (talk, minted, own) = stage.store.messages, _two_messages(stage)
    yield Case("", lambda: messages.delete(talk, minted), _gone)
    yield Case("the caller's id", lambda: messages.delete(talk, own), _gone)
    yield Case("again", lambda: messages.delete(talk, minted), _gone)


def messages_pop(stage: Stage) -> Iterator[Case]:
    messages, (talk, _, _) = stage.store.messages, _two_messages(stage)
    yield Case("", lambda: messages.pop(talk))
    messages.pop(talk)
    yield Case("no message left", lambda: messages.pop(talk), budget=1)


def messages_put(stage: Stage) -> Iterator[Case]:
    messages, (talk, _, own) = stage.store.messages, _two_messages(stage)
    yield Case("one that is there", lambda: messages.put(talk, _said(message_id=own)))
    new = stage.fresh("message")
    yield Case("a new one", lambda: messages.put(talk, _said(message_id=new)))


def messages_context(stage: Stage) -> Iterator[Case]:
    talk, messages = conversation(stage, messages=60).conversation_id, stage.store.messages
    yield Case("10 messages", lambda: messages.context(talk, max_tokens=70))
    yield Case("60 messages", lambda: messages.context(talk, max_tokens=1_000), budget=4)
