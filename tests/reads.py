"""A call of every method that only reads, on a table with one of everything.

The catalogue says which methods those are. Their arguments are ids of what is in the table.
"""

import inspect
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any, Final

from dynamo_chat import ChatStore, Feedback, NewMessage
from dynamo_chat.catalogue import Entry, catalogue, repositories
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.core.of_organization import OfOrganization
from dynamo_chat.operations.policies import is_read
from tooling.everything import PERIOD, QUEUE, Everything, populate

FIXED: Final = "fixed-ann"
"""A conversation that is not renewed by what is said in it."""
READS: Final = [each for each in catalogue() if is_read(each) and each.domain != "provision"]


def fill(store: ChatStore) -> Everything:
    """One of everything, and a conversation with one of everything, that expires at one moment."""
    ids = populate(store)
    store.conversations.create(
        "ann",
        conversation_id=FIXED,
        title="Renders",
        retention=timedelta(days=30),
        preferences={"tone": "dry"},
    )
    for talk in (FIXED, ids.sliding_id):
        said = NewMessage(role="user", content="Hi", message_id=f"said-{talk}")
        store.messages.append(talk, said)
        store.messages.give_feedback(talk, f"said-{talk}", Feedback(type="positive", rank=5))
        store.messages.stream(talk, message_id=f"live-{talk}").checkpoint()
        store.states.save(talk, {"step": 1})
        store.reviews.create(talk, "ann", review_id=f"review-{talk}")
    store.conversations.create(OfOrganization(ids.organization_id), conversation_id="of-all")
    store.callers.create("waiting-ann")
    store.queue.join("waiting-ann", keep_for=timedelta(days=1))
    return ids


def values(ids: Everything) -> dict[str, list[Any]]:
    """What the reads are given, by the name of the argument."""
    talks = [FIXED, ids.sliding_id, ids.thread_id]
    users = [ids.user_id, ids.partner_id]
    return {
        "account_id": [ids.account_id],
        "address": [f"new-{ids.user_id}@example.com"],
        "ai_type": ["ai"],
        "call_id": [ids.call_id],
        "conversation_id": talks,
        "conversation_ids": [talks],
        "count": [5],
        "email": [f"{ids.user_id}@example.com", f"new-{ids.user_id}@example.com"],
        "feedback_type": ["positive"],
        "function_name": ["answer"],
        "invite_id": [ids.invite_id],
        "is_first_email": [True],
        "invocation_id": [ids.invocation_id],
        "login_id": [ids.login and ids.login.login_id],
        "max_tokens": [1_000],
        "message_id": [f"said-{FIXED}", f"said-{ids.sliding_id}", ids.rfc_id],
        "organization_id": [ids.organization_id],
        "period": [PERIOD],
        "queue": [QUEUE],
        "report_id": [ids.report_id],
        "resource": ["ai"],
        "response_email": [f"r-{ids.user_id}@example.com"],
        "response_id": [ids.response_id],
        "review_id": [f"review-{FIXED}", f"review-{ids.sliding_id}"],
        "room_name": [ids.room_name],
        "secret": [ids.secret],
        "title": ["Renders"],
        "token": [ids.token],
        "user_id": [*users, "waiting-ann"],
        "user_ids": [users],
    }


def calls(entry: Entry, known: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The arguments of each call of a read."""
    repository, _, method = entry.method.partition(".")
    parameters = inspect.signature(getattr(repositories()[repository], method)).parameters
    names = [
        each.name
        for each in parameters.values()
        if each.default is each.empty and each.name != "self"
    ]
    missing = [name for name in names if name not in known]
    assert not missing, f"{entry.method}: say in `values` what {missing} may be"
    for given_values in product(*(known[name] for name in names)):
        yield dict(zip(names, given_values, strict=True))


def outcome(store: ChatStore, entry: Entry, arguments: dict[str, Any]) -> Any:
    """What a call returns, or the type and text of its error."""
    repository, _, method = entry.method.partition(".")
    try:
        given = getattr(getattr(store, repository), method)(**arguments)
        return list(given) if isinstance(given, Iterator) else given
    except DynamoChatError as error:
        return type(error), str(error)
