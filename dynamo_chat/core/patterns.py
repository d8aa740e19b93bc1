"""How a repository method declares the access pattern that it serves.

The declaration is data on the method: the catalogue collects it, the documentation is generated
from it, and the tests hold every method to it. While a method runs, its pattern is known to the
connection, so that every request can be told by the question it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Literal, NamedTuple, ParamSpec, TypeVar

from dynamo_chat.core.errors import InvalidArgument

P = ParamSpec("P")
R = TypeVar("R")

MAX_ARGUMENT_CHARACTERS = 4_096
"""The most that an id, a name, a secret or the like may have, before anything is done with it."""

_BODIES = frozenset(
    {"ai_response", "comments", "content", "errors", "ip_address", "name", "user_agent"}
)
"""Arguments that are kept as texts of any length that an item can hold."""

_CURSOR = "cursor"
"""The argument whose length its codec looks at first: it has an error of its own."""


class _Running(NamedTuple):
    pattern: str = ""
    """The outer question: the pattern that requests are counted as."""
    repository: Any = None
    """The repository whose method that is."""
    cursor_id: str = ""
    """What the cursors of the innermost method name."""


_NOTHING: Final = _Running()
_running: ContextVar[_Running] = ContextVar("dynamo_chat_pattern", default=_NOTHING)

OwnerCheck = Literal["argument", "key", "condition", "read", "creation"]
"""How a method serves nobody but the owner. `OWNER_CHECKS` says what each means."""

OWNER_CHECKS: Final[Mapping[OwnerCheck, str]] = {
    "argument": "The call names the owner and nothing else, so it reaches nothing of anyone else.",
    "key": "The owner is part of the key or of the index partition, beside another id.",
    "read": "The owner is compared with the item that was read, before anything is returned.",
    "condition": "The write is conditioned on the owner, or on the item whose owner was compared.",
    "creation": "It makes something for the owner. An id that someone else has is a Conflict, "
    "which shows nothing of theirs.",
}


@dataclass(frozen=True, slots=True)
class NoOwner:
    """A method that checks no owner, and why."""

    why: str


BEARER: Final = NoOwner("whoever has the secret is let in")
STAFF: Final = NoOwner("for staff: it spans users, who must not be offered it")
OPERATOR: Final = NoOwner("the table belongs to its operator")


@dataclass(frozen=True, slots=True)
class AccessPattern:
    """One documented question or change, as one repository method answers it."""

    id: str
    """The id in the catalogue, such as ``C3``."""
    operation: str
    """The DynamoDB operations it makes, such as ``Query`` or ``GetItem, TransactWriteItems``."""
    requests: str
    """The request budget: a number, or a formula in the words of the catalogue."""
    budget: int
    """The most requests of one uncontended call on a warm store and a small range."""
    index: str
    """``table``, ``GSI1``, ``GSI2``, or several joined by `` + ``."""
    description: str
    """The first sentence of the method's docstring."""
    owner: OwnerCheck | NoOwner
    """How the owner is checked, or why there is none."""
    domain: str
    """The package whose work it is; empty for the one that the method is written in."""


def access_pattern(
    pattern_id: str,
    operation: str,
    requests: str,
    *,
    budget: int | None = None,
    index: str = "table",
    owner: OwnerCheck | NoOwner,
    domain: str = "",
    cursor_id: str = "",
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare the access pattern of a repository method: its id, its operations, its requests.

    `budget` is the number that a test holds the method to; it is read from `requests` where that
    is a plain number or ``≤`` a number. `cursor_id` is what the method's cursors are bound to
    where that is not the pattern's id, because they were before.
    """
    bound = cursor_id or pattern_id
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
        )
        check = _argument_check(method)

        @wraps(method)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            check(args, kwargs)
            outer = _running.get()
            if outer.pattern:  # one method built on another: the outer question is the pattern
                token = _running.set(outer._replace(cursor_id=bound))
            else:
                token = _running.set(_Running(pattern_id, args[0] if args else None, bound))
            try:
                return method(*args, **kwargs)
            finally:
                _running.reset(token)

        run.__access_pattern__ = declared  # type: ignore[attr-defined]
        return run

    return declare


def declared_pattern(method: Any) -> AccessPattern | None:
    """What `access_pattern` declared on this method, or None."""
    found = getattr(method, "__access_pattern__", None)
    return found if isinstance(found, AccessPattern) else None


def running_pattern() -> str:
    """The id of the access pattern that the current call serves; empty outside of any."""
    return _running.get().pattern


def running_repository() -> Any:
    """The repository whose method is running; None outside of any."""
    return _running.get().repository


def running_cursor_id() -> str:
    """What cursors made now are bound to: the id of the innermost pattern, whoever called it."""
    return _running.get().cursor_id


@contextmanager
def running(pattern_id: str) -> Iterator[None]:
    """Count the requests made inside as `pattern_id` (table management, scripts)."""
    token = _running.set(_Running(pattern_id))
    try:
        yield
    finally:
        _running.reset(token)


def _argument_check(method: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], None]:
    """What holds for the arguments of every method, whatever its question is.

    A flag is True or False: ``consistent="false"`` would count as true. UNCHANGED is taken only
    where it is the default, since elsewhere there is nothing that could stay as it is. A text that
    is no body is short, and could be written: what is done with it afterwards may take long by its
    length.
    """
    # Whoever declares methods has loaded it; whoever only sends requests need not.
    from dynamo_chat.core.entity import UNCHANGED

    code = method.__code__
    positional = code.co_varnames[: code.co_argcount]
    texts = {
        name
        for name, kind in method.__annotations__.items()
        if str(kind).startswith("str") and name not in _BODIES | {_CURSOR}
    }
    flags = {name for name, kind in method.__annotations__.items() if kind in {"bool", bool}}
    defaults = method.__kwdefaults__ or {}
    may_stay = {name for name, default in defaults.items() if default is UNCHANGED}

    def check_one(name: str, value: Any) -> None:
        if value is UNCHANGED:
            if name not in may_stay:
                raise InvalidArgument(name, "must be given: there is nothing to leave as it is")
        elif name in flags and value is not True and value is not False:
            raise InvalidArgument(name, f"must be True or False, not {type(value).__name__}")
        elif name in texts and isinstance(value, str):
            if len(value) > MAX_ARGUMENT_CHARACTERS:
                most = f"{MAX_ARGUMENT_CHARACTERS:,}"
                raise InvalidArgument(name, f"must have {most} characters at most")
            if not value.isascii() and _has_surrogates(value):
                raise InvalidArgument(name, "must not contain lone surrogates")

    def check(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for name, value in zip(positional, args, strict=False):
            check_one(name, value)
        for name, value in kwargs.items():
            check_one(name, value)

    return check


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
