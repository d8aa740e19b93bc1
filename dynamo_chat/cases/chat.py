"""Scenarios of the chat domain, but those of messages: those are in `messages`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.cases.words import deleted
from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import NewMessage
from dynamo_chat.core.of_organization import OfOrganization


def conversation(stage: Stage, *, messages: int = 0, title: str | None = None) -> Conversation:
    """A conversation of a fresh user, with this many messages in it."""
    made = stage.store.conversations.create(stage.fresh("user"), title=title)
    for start in range(0, messages, 40):
        stage.later()
        turn = [
            NewMessage(role="assistant" if n % 2 else "user", content=f"message {n}")
            for n in range(start, min(messages, start + 40))
        ]
        stage.store.messages.append_turn(made.conversation_id, turn)
    stage.later()
    return made


def organization(stage: Stage) -> OfOrganization:
    """The owner of the conversations of a fresh organization."""
    made = stage.store.organizations.create("Acme", stage.fresh("user"))
    return OfOrganization(made.organization_id)


def _preferences(conversation: Conversation) -> str:
    return str(conversation.preferences)


# -- C1–C6 --------------------------------------------------------------------------------------


def conversations_create(stage: Stage) -> Iterator[Case]:
    conversations = stage.store.conversations
    user, identity = stage.fresh("user"), stage.fresh("conversation")
    yield Case("", lambda: conversations.create(user))
    yield Case("with a title", lambda: conversations.create(user, title="Renders"))
    kept = timedelta(days=30)
    yield Case(
        "with an id and retention",
        lambda: conversations.create(user, conversation_id=identity, retention=kept),
    )
    yield Case(
        "again, with the same id",
        lambda: conversations.create(user, conversation_id=identity, retention=kept),
    )
    team = organization(stage)
    yield Case("of an organization", lambda: conversations.create(team))


def conversations_get(stage: Stage) -> Iterator[Case]:
    talk, store = conversation(stage), stage.store
    yield Case("", lambda: store.conversations.get(talk.conversation_id))
    yield Case(
        "with the owner given",
        lambda: store.conversations.get(talk.conversation_id, user_id=talk.user_id),
    )


def conversations_get_many(stage: Stage) -> Iterator[Case]:
    conversations, user = stage.store.conversations, stage.fresh("user")
    ids = [conversations.create(user).conversation_id for _ in range(120)]
    yield Case("20", lambda: conversations.get_many(ids[:20], user_id=user))
    yield Case("120", lambda: conversations.get_many(ids), budget=2)


def conversations_list_by_user(stage: Stage) -> Iterator[Case]:
    conversations, user = stage.store.conversations, stage.fresh("user")
    began = stage.clock()
    for _ in range(25):
        stage.later()
        conversations.create(user)
    first = conversations.list_by_user(user)
    yield Case("a page of 20", lambda: conversations.list_by_user(user))
    yield Case("the next page", lambda: conversations.list_by_user(user, cursor=first.cursor))
    until = began + timedelta(seconds=10)
    yield Case(
        "a time range, oldest first",
        lambda: conversations.list_by_user(user, since=began, until=until, newest_first=False),
    )
    conversations.set_preferences(first.items[0].conversation_id, {"rating": 7.0})
    yield Case(
        "with their preferences",
        lambda: conversations.list_by_user(user, with_preferences=True),
        budget=2,
    )


def conversations_list_by_activity(stage: Stage) -> Iterator[Case]:
    conversations, user = stage.store.conversations, stage.fresh("user")
    for place in range(25):
        stage.later()
        conversations.create(user, status="archived" if place % 5 == 0 else "active")
    yield Case("a page of 20", lambda: conversations.list_by_activity(user))
    yield Case("archived", lambda: conversations.list_by_activity(user, status="archived"))


def conversations_find_by_title(stage: Stage) -> Iterator[Case]:
    conversations, title = stage.store.conversations, stage.fresh("title")
    talk = conversation(stage, title=title)
    conversation(stage, title=title)
    yield Case("of all users", lambda: conversations.find_by_title(title))
    yield Case(
        "within a user",
        lambda: conversations.find_by_title(title, user_id=talk.user_id),
        budget=2,
        is_shown=True,
    )


def conversations_rename(stage: Stage) -> Iterator[Case]:
    talk, cold = conversation(stage, title="Renders"), stage.cold_store()
    store, identity = stage.store, talk.conversation_id
    yield Case(
        "",
        lambda: store.conversations.rename(identity, "4K renders"),
    )
    yield Case("by a cold store", lambda: cold.conversations.rename(identity, "8K renders"))

    yield Case("taken away", lambda: store.conversations.rename(identity, None))


def conversations_change(stage: Stage) -> Iterator[Case]:
    talk, conversations = conversation(stage, title="Renders"), stage.store.conversations
    identity, wanted = talk.conversation_id, {"genres": ["action"], "rating": 7.0}
    yield Case("", lambda: conversations.change(identity, title="4K", preferences=wanted))
    yield Case("the title", lambda: conversations.change(identity, title="8K"))
    yield Case(
        "nothing", lambda: conversations.change(identity, title="8K", preferences=wanted), budget=1
    )


def conversations_give_to(stage: Stage) -> Iterator[Case]:
    talk, store = conversation(stage, title="Renders"), stage.store
    for _ in range(2):
        said = NewMessage(role="user", content="Hi", message_id=stage.fresh("message"))
        store.messages.append(talk.conversation_id, said)
    heir = stage.fresh("user")
    yield Case("", lambda: store.conversations.give_to(talk.conversation_id, heir))
    yield Case("again", lambda: store.conversations.give_to(talk.conversation_id, heir), budget=2)
    plain = conversation(stage).conversation_id
    yield Case("no ids of yours", lambda: store.conversations.give_to(plain, heir), budget=3)
    team = organization(stage)
    yield Case("to an organization", lambda: store.conversations.give_to(plain, team), budget=3)


def conversations_set_status(stage: Stage) -> Iterator[Case]:
    talk, conversations = conversation(stage), stage.store.conversations
    yield Case("", lambda: conversations.set_status(talk.conversation_id, "archived"))


def conversations_set_preferences(stage: Stage) -> Iterator[Case]:
    talk, conversations = conversation(stage), stage.store.conversations
    wanted = {"genres": ["action"], "rating": 7.0}
    yield Case(
        "", lambda: conversations.set_preferences(talk.conversation_id, wanted), _preferences
    )


def conversations_merge_preferences(stage: Stage) -> Iterator[Case]:
    talk, conversations = conversation(stage), stage.store.conversations
    conversations.set_preferences(talk.conversation_id, {"genres": ["action"], "rating": 7.0})
    changes = {"rating": None, "decade": 1990}
    yield Case(
        "", lambda: conversations.merge_preferences(talk.conversation_id, changes), _preferences
    )


# -- C13–C15 ------------------------------------------------------------------------------------


def reviews_create(stage: Stage) -> Iterator[Case]:
    identity, admin = conversation(stage).conversation_id, stage.fresh("admin")
    store, cold = stage.store, stage.cold_store()
    yield Case("", lambda: store.reviews.create(identity, admin, comments="well answered"))
    yield Case("by a cold store", lambda: cold.reviews.create(identity, admin))


def reviews_get(stage: Stage) -> Iterator[Case]:
    reviews = stage.store.reviews
    made = reviews.create(conversation(stage).conversation_id, stage.fresh("admin"))
    yield Case("", lambda: reviews.get(made.review_id))


def reviews_archive(stage: Stage) -> Iterator[Case]:
    reviews = stage.store.reviews
    made = reviews.create(conversation(stage).conversation_id, stage.fresh("admin"))
    yield Case("", lambda: reviews.archive(made.review_id))
    yield Case("again", lambda: reviews.archive(made.review_id))


def reviews_list_by_conversation(stage: Stage) -> Iterator[Case]:
    reviews, identity = stage.store.reviews, conversation(stage).conversation_id
    for _ in range(3):
        stage.later()
        reviews.create(identity, stage.fresh("admin"))
    yield Case("", lambda: reviews.list_by_conversation(identity))
    yield Case("oldest first", lambda: reviews.list_by_conversation(identity, newest_first=False))
    yield Case(
        "more than a page", lambda: reviews.list_by_conversation(identity, page_size=2), budget=2
    )


def reviews_list_by_status(stage: Stage) -> Iterator[Case]:
    reviews, admin = stage.store.reviews, stage.fresh("admin")
    for archived in (False, True):
        made = reviews.create(conversation(stage).conversation_id, admin)
        if archived:
            reviews.archive(made.review_id)
    yield Case("of all reviewers", reviews.list_by_status)
    yield Case(
        "of one reviewer",
        lambda: reviews.list_by_status(reviewed_by=admin),
        budget=1,
        is_shown=True,
    )
    yield Case(
        "of one reviewer, archived",
        lambda: reviews.list_by_status(archived=True, reviewed_by=admin),
        budget=1,
    )


# -- C16, C19 -----------------------------------------------------------------------------------


def conversations_delete(stage: Stage) -> Iterator[Case]:
    conversations, small = stage.store.conversations, conversation(stage, messages=4)
    yield Case("4 messages", lambda: conversations.delete(small.conversation_id), deleted)
    large = conversation(stage, messages=60)
    yield Case(
        "60 messages", lambda: conversations.delete(large.conversation_id), deleted, budget=6
    )

    seen = conversation(stage, messages=4)
    head = conversations.get(seen.conversation_id)
    yield Case(
        "unless it has changed",
        lambda: conversations.delete(seen.conversation_id, unchanged_since=head),
        deleted,
    )


def states_save(stage: Stage) -> Iterator[Case]:
    identity, store, cold = conversation(stage).conversation_id, stage.store, stage.cold_store()
    data = {"step": "ask_resolution", "pending": [1, 2]}
    yield Case("", lambda: store.states.save(identity, data))
    yield Case("over revision 1", lambda: store.states.save(identity, data, revision=1))
    yield Case("by a cold store", lambda: cold.states.save(identity, data, revision=2), budget=2)


def states_get(stage: Stage) -> Iterator[Case]:
    identity, states = conversation(stage).conversation_id, stage.store.states
    states.save(identity, {"step": "ask_resolution"})
    yield Case("", lambda: states.get(identity))
