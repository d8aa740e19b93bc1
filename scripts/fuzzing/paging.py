"""Every paged method of a store, with all arguments but the cursor."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any, Final

from dynamo_chat.catalogue import catalogue, repositories
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.store import ChatStore
from fuzzing.corpus import VICTIM, town
from tooling.everything import Everything

EVERYBODYS: Final = {
    "messages.list_by_feedback",
    "queue.list_waiting",
    "calls.list_live",
    "reviews.list_by_status",
    "conversations.find_by_title",
}
"""Lists across users, with their arguments."""


_SAID: Final = {"feedback_type": "positive"}
"""Required arguments that aren't fields of the listed entity."""


def paged(store: ChatStore, name: str = "ann") -> dict[str, Callable[..., Any]]:
    """A call of each method that takes a cursor, by its name in the catalogue."""
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
    """The required arguments of a paged method, for the user of this name.

    Ids are those of `Everything`. Another argument is a field of what is listed, such as the title
    of conversations: it gets the value that most of the user's items have.
    """
    repository, _, of = method.partition(".")
    called = getattr(repositories()[repository], of)
    ids = asdict(Everything.named(name))
    if repository not in {"messages", "reviews"}:
        ids["conversation_id"] = ids["thread_id"]
    known = {**ids, **_SAID}
    return {
        each: known[each] if each in known else _usual(called, each, name)
        for each, parameter in inspect.signature(called).parameters.items()
        if parameter.default is parameter.empty and each != "self"
    }


def _usual(method: Any, field: str, name: str) -> Any:
    """The most frequent value of a field among the listed items of the user of this name."""
    listed = str(inspect.signature(method).return_annotation)
    found = Counter(
        getattr(entity, field)
        for entity in _entities()
        if type(entity).__name__ in listed and VICTIM in repr(entity)
    )
    if not found:
        raise LookupError(
            f"{listed} has no field {field!r}: give the argument a value in _SAID of {__file__}"
        )
    ((value, _),) = found.most_common(1)
    return value.replace(VICTIM, name) if isinstance(value, str) else value


@cache
def _entities() -> Sequence[Entity]:
    """The entities of two users, each with one of everything."""
    return [
        plan(entity).decode(dict(item))
        for item in town().image.items.values()
        if (entity := KEY_SPACE.entities.get(item[KIND]["S"])) is not None
    ]
