"""The decorator with which a repository method declares its access pattern.

The declaration is data on the method: the catalogue collects it, the documentation is generated
from it, and the tests check every method against it. While a method runs, the connection knows its
pattern and reports it with every request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Literal, NamedTuple, ParamSpec, TypeVar

from dynamo_chat.core.answers import WRITING
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.of_organization import (
    OWNER_ARGUMENTS,
    USER_ARGUMENTS,
    check_user,
    check_users_in,
)
from dynamo_chat.core.renamed import take_old_names

P = ParamSpec("P")
R = TypeVar("R")

MAX_ARGUMENT_CHARACTERS = 4_096
"""The most characters of an id, name, secret or other short text; checked before it is used."""

_BODIES = frozenset(
    {"ai_response", "comments", "content", "errors", "ip_address", "name", "user_agent"}
)
"""Arguments that are stored as long text, limited only by the size of an item."""

_CURSOR = "cursor"
"""Not checked here: the cursor codec checks its length and raises InvalidCursor."""


class _Running(NamedTuple):
    pattern: str = ""
    """The pattern of the outermost method: requests are counted as this one."""
    repository: Any = None
    """The repository of that method."""
    cursor_id: str = ""
    """The id that cursors of the innermost method are bound to."""
    method: str = ""
    """The name of the outermost method."""


_NOTHING: Final = _Running()
_running: ContextVar[_Running] = ContextVar("dynamo_chat_pattern", default=_NOTHING)

OwnerCheck = Literal["partition", "argument", "key", "condition", "read", "creation"]
"""How a method makes sure that only the owner is served. `OWNER_CHECKS` explains each."""

OWNER_CHECKS: Final[Mapping[OwnerCheck, str]] = {
    "partition": "It reads only from the user's own partition, so a policy can limit it to that "
    "user. What it joins on request is compared as in `read`.",
    "argument": "The owner is the only id in the call, so nobody else's items can be reached.",
    "key": "The owner is part of the key or of the index partition, beside another id.",
    "read": "The owner is compared with the item that was read, before anything is returned.",
    "condition": "The write's condition checks the owner, or the item whose owner was compared.",
    "creation": "It creates something for the owner. If someone else has the id, it raises a "
    "Conflict that shows nothing of theirs.",
}


@dataclass(frozen=True, slots=True)
class NoOwner:
    """Why a method checks no owner."""

    why: str


BEARER: Final = NoOwner("anyone who has the secret may use it")
STAFF: Final = NoOwner("for staff only: it reads across users, so do not offer it to them")
OPERATOR: Final = NoOwner("the table belongs to its operator")


Reads = Literal["strong", "strong by default", "late", "late by default"]
"""Whether the answers of a method may show the past. `READS` explains each."""

READS: Final[Mapping[Reads, str]] = {
    "strong": "It shows what is there: whatever was written before the call. So do methods that "
    "write: their conditions decide at the moment of the write.",
    "strong by default": "The same, unless `consistent=False` is given.",
    "late": "It may show the past, mostly of less than a second: what was written just now may be "
    "missing, or be as it was. What it lists is read at once by its id: by the repository's `get`, "
    "with `consistent=True`. If it writes, what it overlooks is left for the next call.",
    "late by default": "The same, unless `consistent=True` is given.",
}


Regions = Literal["any", "one"]
"""In which regions of a global table a method may be called. `REGIONS` explains each."""

REGIONS: Final[Mapping[Regions, str]] = {
    "any": "In every region at once. It writes nothing, or only a new item that nothing changes "
    "later, so that it does not matter which write of it stays.",
    "one": "In one region only. It decides by what its own region has, and of two writes to one "
    "item in two regions the earlier one is lost.",
}


@dataclass(frozen=True, slots=True)
class AccessPattern:
    """The access pattern of one repository method."""

    id: str
    """The id in the catalogue, such as ``C3``."""
    operation: str
    """The DynamoDB operations it uses, such as ``Query`` or ``GetItem, TransactWriteItems``."""
    requests: str
    """The request budget: a number or a formula, as the catalogue shows it."""
    budget: int
    """The most requests of one call on a warm store, for few items and without conflicts."""
    index: str
    """``table``, ``GSI1``, ``GSI2``, or several joined by `` + ``."""
    description: str
    """The first sentence of the method's docstring."""
    owner: OwnerCheck | NoOwner
    """How the owner is checked, or why it is not."""
    domain: str
    """The package that the pattern belongs to; empty for the package of the method's module."""
    reads: Reads
    """What its answers show; see `READS`."""
    regions: Regions
    """In which regions of a global table it may be called; see `REGIONS`."""


def access_pattern(  # noqa: PLR0913 - there is that much to declare
    pattern_id: str,
    operation: str,
    requests: str,
    *,
    budget: int | None = None,
    index: str = "table",
    owner: OwnerCheck | NoOwner,
    domain: str = "",
    reads: Reads | None = None,
    regions: Regions | None = None,
    cursor_id: str = "",
    bodies: Iterable[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare the access pattern of a repository method: its id, its operations, its requests.

    `budget` is the number of requests that a test allows; by default it is read from `requests`,
    which must then be a number or ``≤`` a number. `cursor_id` replaces the pattern's id in the
    method's cursors, for cursors that were issued under another id. `bodies` are arguments that are
    stored as long text: other texts have at most 4,096 characters. `renamed` gives old names of
    arguments, each with its new one.

    `reads` says whether answers may show the past; by default, those of a method with the argument
    `consistent` and those of an index may. `regions` says in which regions of a global table it may
    be called; by default, in any if it writes no items.
    """
    bound = cursor_id or pattern_id
    long_texts = _BODIES.union(bodies)
    number = budget if budget is not None else int(requests.removeprefix("≤").strip())

    def declare(method: Callable[P, R]) -> Callable[P, R]:
        declared = AccessPattern(
            id=pattern_id,
            operation=operation,
            requests=requests,
            budget=number,
            index=index,
            description=_first_sentence(method.__doc__ or ""),
            owner=owner,
            domain=domain,
            reads=reads or _reads(method, operation, index),
            regions=regions or ("one" if any(each in operation for each in WRITING) else "any"),
        )
        check = _argument_check(method, long_texts)
        name = method.__name__

        @wraps(method)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            if renamed is not None:
                take_old_names(kwargs, renamed, callers=2)
            check(args, kwargs)
            outer = _running.get()
            span = None
            if outer.pattern:  # called by another method: requests count as the outer pattern
                token = _running.set(outer._replace(cursor_id=bound))
            else:
                repository = args[0] if args else None
                token = _running.set(_Running(pattern_id, repository, bound, name))
                connection = getattr(repository, "_connection", None)
                if connection is not None and connection.telemetry is not None:
                    span = connection.telemetry.call(pattern_id, running_method())
            try:
                return method(*args, **kwargs)
            except BaseException as error:
                if span is not None:
                    span.failed(error)
                raise
            finally:
                _running.reset(token)
                if span is not None:
                    span.end()

        run.__access_pattern__ = declared  # type: ignore[attr-defined]
        return run

    return declare


def declared_pattern(method: Any) -> AccessPattern | None:
    """What `access_pattern` declared on this method, or None."""
    found = getattr(method, "__access_pattern__", None)
    return found if isinstance(found, AccessPattern) else None


def running_pattern() -> str:
    """The id of the access pattern of the current call; empty outside of any."""
    return _running.get().pattern


def running_method() -> str:
    """The repository and the method that were called, such as ``Messages.append``; else empty."""
    running = _running.get()
    return f"{type(running.repository).__name__}.{running.method}" if running.method else ""


def running_repository() -> Any:
    """The repository whose method is running; None outside of any."""
    return _running.get().repository


def running_cursor_id() -> str:
    """The id that new cursors are bound to: that of the innermost running method."""
    return _running.get().cursor_id


@contextmanager
def running(pattern_id: str, repository: Any = None) -> Iterator[None]:
    """Count the requests made inside as `pattern_id` (table management, scripts)."""
    token = _running.set(_Running(pattern_id, repository))
    try:
        yield
    finally:
        _running.reset(token)


def _reads(method: Callable[..., Any], operation: str, index: str) -> Reads:
    """What a method's answers show, by its argument `consistent` or the index that it queries."""
    default = (method.__kwdefaults__ or {}).get("consistent")
    if default is not None:
        return "strong by default" if default else "late by default"
    return "late" if "GSI" in index and "Query" in operation else "strong"


def _argument_check(
    method: Any, long_texts: frozenset[str]
) -> Callable[[tuple[Any, ...], dict[str, Any]], None]:
    """The check of the arguments that is the same for every method.

    A flag must be True or False: ``consistent="false"`` would count as true. UNCHANGED is allowed
    only where it is the default. Texts other than bodies must be short and encodable, because the
    work done with them grows with their length. Only conversations, and what applications keep in
    them, may belong to an organization.
    """
    # Imported here: code that only sends requests does not need pydantic.
    from dynamo_chat.core.entity import UNCHANGED, Entity

    code = method.__code__
    positional = code.co_varnames[: code.co_argcount]
    texts = {
        name
        for name, kind in method.__annotations__.items()
        if (kind is str or str(kind).startswith("str")) and name not in long_texts | {_CURSOR}
    }
    flags = {name for name, kind in method.__annotations__.items() if kind in {"bool", bool}}
    defaults = method.__kwdefaults__ or {}
    may_stay = {name for name, default in defaults.items() if default is UNCHANGED}
    users = texts & USER_ARGUMENTS
    loads = method.__name__ == "load"  # a record of another system
    owns_conversations = _is_of_conversations(method.__module__)

    def check_one(name: str, value: Any) -> None:
        if value is UNCHANGED:
            if name not in may_stay:
                raise InvalidArgument(name, "must be given a value, not UNCHANGED")
        elif name in flags and value is not True and value is not False:
            raise InvalidArgument(name, f"must be True or False, not {type(value).__name__}")
        elif name in texts and isinstance(value, str):
            check_text(name, value)
            if name in users:
                may_be = owns_conversations and name in OWNER_ARGUMENTS
                check_user(name, value, may_be_organization=may_be)
        elif loads and isinstance(value, Entity):
            check_users_in(name, value.__dict__, may_be_organization=owns_conversations)

    def check(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for name, value in zip(positional, args, strict=False):
            check_one(name, value)
        for name, value in kwargs.items():
            check_one(name, value)

    return check


def _is_of_conversations(module: str) -> bool:
    """True for a module whose `user_id` is the owner of conversations, and for an application's."""
    package, _, domain = module.partition(".")
    return package != "dynamo_chat" or domain.partition(".")[0] in {"chat", "entities"}


def check_text(name: str, value: str) -> None:
    """Raise InvalidArgument if an id, name or other short text is too long or not encodable."""
    if len(value) > MAX_ARGUMENT_CHARACTERS:
        most = f"{MAX_ARGUMENT_CHARACTERS:,}"
        raise InvalidArgument(name, f"must have at most {most} characters")
    if not value.isascii() and _has_surrogates(value):
        raise InvalidArgument(name, "must not contain lone surrogates")


def _has_surrogates(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    end = paragraph.find(". ")
    return (paragraph if end < 0 else paragraph[: end + 1]).rstrip(".")
