"""Every paged method of a store, ready to be given a cursor."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from dynamo_chat.catalogue import catalogue, repositories
from dynamo_chat.store import ChatStore
from tooling.everything import TITLE, Everything

EVERYBODYS: Final = {
    "messages.list_by_feedback",
    "queue.list_waiting",
    "calls.list_live",
    "reviews.list_by_status",
    "conversations.find_by_title",
}
"""Lists that span users, as they are called here."""


def _arguments(name: str) -> dict[str, Any]:
    """What the required arguments of paged methods are given, of the user of this name."""
    ids = Everything.named(name)
    return {
        "user_id": ids.user_id,
        "account_id": ids.account_id,
        "organization_id": ids.organization_id,
        "email": f"new-{name}@example.com",
        "title": TITLE,
        "feedback_type": "positive",
        "is_first_email": False,
    }


def paged(store: ChatStore, name: str = "ann") -> dict[str, Callable[..., Any]]:
    """By name in the catalogue, a call of each method that takes a cursor."""
    return {method: partial(_call, store, method, name) for method in paged_methods()}


def paged_methods() -> Iterator[str]:
    """The methods of the catalogue that take a cursor."""
    owners = repositories()
    for entry in catalogue():
        name, _, method = entry.method.partition(".")
        if name == "table":  # which reads no items
            continue
        if "cursor" in inspect.signature(getattr(owners[name], method)).parameters:
            yield entry.method


def _call(store: ChatStore, method: str, name: str, cursor: str | None, page_size: int = 20) -> Any:
    repository, _, of = method.partition(".")
    called = getattr(getattr(store, repository), of)
    return called(**required(method, name), cursor=cursor, page_size=page_size)


def required(method: str, name: str) -> dict[str, Any]:
    """What a paged method must be given, of the user of this name."""
    repository, _, of = method.partition(".")
    known = _arguments(name)
    ids = Everything.named(name)
    is_chat = repository in {"messages", "reviews"}
    known["conversation_id"] = ids.conversation_id if is_chat else ids.thread_id
    parameters = inspect.signature(getattr(repositories()[repository], of)).parameters
    return {
        each: known[each] for each in parameters if each in known and _is_required(parameters[each])
    }


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty
