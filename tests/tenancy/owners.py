"""A call of every method that checks an owner, made from what it declares and from its arguments.

The catalogue says which methods those are, and which argument is the owner. Whatever else a method
must be given is an id, which is the victim's, or stands below.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from dynamo_chat import ChatStore, Exchange, Feedback, NewMessage
from dynamo_chat.catalogue import Entry, catalogue, repositories
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND
from dynamo_chat.keyspace import KEY_SPACE
from fuzzing.paging import paged_methods, required
from tooling.everything import Everything

Attempt = Callable[[ChatStore, Everything, Everything], Any]
"""A call for things of the first estate, by the owner of the second."""

_SAID = NewMessage(role="user", content="mine now")

_GIVEN: Final[dict[str, Any]] = {
    "changes": {"a": 2},
    "content": "x",
    "data": {"step": 2},
    "ev_score": 0.9,
    "exchange": Exchange(user_prompt="a", bot_response="b"),
    "feedback": Feedback(type="negative"),
    "heir_id": "somebody",
    "keep_last": 0,
    "max_tokens": 100,
    "message": _SAID,
    "messages": [_SAID],
    "new_user_id": "somebody",
    "preferences": {"a": 1},
    "reviewed_by": "boss",
    "status": "archived",
    "title": "Mine",
}
"""What required arguments are given that are no ids."""

_ALSO: Final[dict[str, dict[str, Any]]] = {
    "emails.move": {"status": "processed"},
    "members.update": {"permissions": {"all": True}},
    "messages.edit": {"content": "x"},
    "messages.put": {"message": NewMessage(role="user", content="mine now", message_id="m")},
    "states.save": {"revision": 1},
    "threads.update": {"status": "archived"},
}
"""What single methods are given beside, or instead."""

_REPOSITORIES: Final = repositories()
READS: Final = frozenset({"BatchGetItem", "GetItem", "Query", "TransactGetItems"})
_OF_MAIL: Final = {"emails", "llm", "scores", "threads"}


def _ids(entry: Entry, of: Everything) -> dict[str, Any]:
    """The ids of an estate, by the argument of this method that takes them."""
    repository = entry.method.partition(".")[0]
    return {
        "call_id": of.call_id,
        "conversation_id": of.thread_id if repository in _OF_MAIL else of.conversation_id,
        "conversation_ids": [of.conversation_id],
        "invite_id": of.invite_id,
        "invocation_id": of.invocation_id,
        "interaction_id": of.interaction_id,
        "generated_at": of.interaction_at,
        "report_id": of.report_id,
        "message_id": of.rfc_id if repository == "emails" else of.message_id,
        "response_id": of.response_id,
        "room_name": of.room_name,
        "user_id": f"friend-{of.user_id}" if entry.method == "members.remove" else of.user_id,
        **({"title": of.user_id} if entry.method == "conversations.find_by_title" else {}),
    }


def _owner(entry: Entry, by: Everything) -> dict[str, Any]:
    return {entry.owner_argument: getattr(by, entry.owner_argument)}


def _attempt(
    entry: Entry, other: dict[str, str], store: ChatStore, of: Everything, by: Everything
) -> Any:
    """Call the method; `other` names what other ids of the estate some arguments take."""
    repository, _, method = entry.method.partition(".")
    called = getattr(getattr(store, repository), method)
    known = {**_GIVEN, **_ids(entry, of), **_ALSO.get(entry.method, {})}
    asked = [
        each.name
        for each in inspect.signature(called).parameters.values()
        if each.default is each.empty and each.name != entry.owner_argument
    ]
    if not known.keys() >= set(asked):
        known = {**_stored(entry, store, _ids(entry, of), of), **known}
    if unknown := [name for name in asked if name not in known]:
        raise LookupError(f"{entry.method}: give {unknown} a value in _GIVEN of {__file__}")
    required = {name: known[name] for name in asked}
    also = {
        **_ALSO.get(entry.method, {}),
        **{name: getattr(of, id_) for name, id_ in other.items()},
    }
    return called(**{**required, **also, **_owner(entry, by)})


def _stored(
    entry: Entry, store: ChatStore, known: Mapping[str, Any], of: Everything
) -> Mapping[str, Any]:
    """The fields of an estate's item of the kind that the method returns.

    Of an estate that has none, those of somebody else's, with texts that nobody stored.
    """
    kind = str(inspect.signature(_method(entry)).return_annotation)
    found = [each.__dict__ for each in _entities(store) if type(each).__name__ in kind]
    own = {entry.owner_argument: getattr(of, entry.owner_argument), **known}
    for fields in found:
        if all(fields.get(name, value) == value for name, value in own.items()):
            return fields
    return {
        name: value[::-1] if isinstance(value, str) else value
        for name, value in (found[0] if found else {}).items()
    }


def _entities(store: ChatStore) -> Iterator[Entity]:
    """What the store's table holds, read without anybody's hooks."""
    connection = store.connection
    spare = ChatStore(
        connection.table_name, region=connection.region, endpoint_url=connection.endpoint_url
    )
    for item in spare.connection.client.scan(TableName=connection.table_name)["Items"]:
        entity = KEY_SPACE.entities.get(item[KIND]["S"])
        if entity is not None:
            yield plan(entity).decode(item)


def _attempts() -> Iterator[tuple[str, Attempt]]:
    """Each method, and once more where an id may also be the caller's own."""
    for entry in catalogue():
        if entry.owner in {"key", "read", "condition"}:
            yield entry.method, partial(_attempt, entry, {})
            arguments = _parameters(entry)
            for name, id_ in (("message_id", "brought_id"), ("response_id", "brought_response_id")):
                if name in arguments and entry.owner != "key":
                    yield f"{entry.method} (brought id)", partial(_attempt, entry, {name: id_})


def _parameters(entry: Entry) -> set[str]:
    return set(inspect.signature(_method(entry)).parameters)


def _method(entry: Entry) -> Any:
    return getattr(_REPOSITORIES[entry.repository], entry.method.rpartition(".")[2])


CHECKED: Final[dict[str, Attempt]] = {
    **dict(_attempts()),
    "emails.list_by_conversation (newest)": lambda s, e, by: s.emails.list_by_conversation(
        e.thread_id, account_id=by.account_id, newest_first=True
    ),
    "emails.move (to where it is)": lambda s, e, by: s.emails.move(
        e.thread_id, e.response_id, "received", account_id=by.account_id
    ),
}
"""By name in the catalogue, with a remark where a method is tried in several ways."""

PAGED: Final = {
    entry.method: entry
    for entry in catalogue()
    if entry.method in set(paged_methods())
    and (entry.owner_argument or required(entry.method, "ann") != required(entry.method, "eve"))
}
"""The lists of somebody."""


def paged(method: str, of: Everything) -> dict[str, Any]:
    """How a list of `PAGED` is asked for."""
    owner = _owner(PAGED[method], of) if PAGED[method].owner_argument else {}
    return {**required(method, of.user_id), **owner}
