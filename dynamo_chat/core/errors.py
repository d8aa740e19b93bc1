"""Every error this package raises, in one tree.

    DynamoChatError
    ├── InvalidArgument (ValueError)     the call is wrong; nothing was sent
    │   ├── InvalidKey                   a value cannot become part of a key
    │   ├── InvalidCursor                a cursor altered, or made for another question
    │   ├── ItemTooLarge                 an item over DynamoDB's 400 KB, after compression
    │   └── ImageMissing                 a record of a stream that carries too little
    ├── NotFound (LookupError)           no such thing, or not the caller's, or expired
    ├── Conflict                         what is there contradicts the call; ``current`` holds it
    │   ├── AlreadyExists                the id or address is taken
    │   ├── MessageDeleted               it was appended, and has been deleted since
    │   ├── RevisionConflict             somebody saved in between
    │   ├── IllegalTransition            a status cannot move that way
    │   └── LimitExceeded                a quota, a balance or a seat limit says no
    ├── CorruptItem                      an item of the table cannot be read as its kind
    └── ServiceError                     DynamoDB, the network or the configuration said no
        ├── TableNotFound
        ├── IndexNotReady
        ├── AccessDenied
        ├── CredentialsMissing
        ├── RegionMissing
        ├── Throttled                    retried already; try later
        ├── Contended                    other writers kept winning; call again
        ├── Unreachable                  no answer: the write may or may not have happened
        ├── BatchIncomplete              leftovers of a batch after all retries
        ├── StillRunning                 a long operation goes on after the wait for it ended
        ├── RecoveryUnavailable          point-in-time recovery is off
        ├── NotSupported                 the engine does not know the operation
        └── RequestRejected              anything else DynamoDB refused

Errors name what was asked, what was found and what to do. They never show a key, an
AttributeValue or a secret, and are short whatever was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SHOWN: Final = ("_id", "_at", "position", "timestamp", "_date", "resource")
"""How components of a key are called that may be shown: ids, times and places."""


MAX_SHOWN: Final = 1_000
"""The most characters that an error says."""

_MAX_VALUE: Final = 100


def shown(value: object) -> str:
    """`value` as an error may quote it: cut where it is long."""
    if isinstance(value, str):
        return repr(_cut(value, _MAX_VALUE))
    return _cut(str(value), _MAX_VALUE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


class DynamoChatError(Exception):
    """Base of every error raised by this package.

    Errors can be pickled and copied, whatever their constructors take.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_cut(message, MAX_SHOWN))

    def __reduce__(self) -> tuple[Any, ...]:
        """What it says and what it carries. By default Python would pass the text, alone."""
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(kind: type[DynamoChatError], args: tuple[Any, ...]) -> DynamoChatError:
    """An error without what it carries, which pickle and copy add."""
    return kind.__new__(kind, *args)


class InvalidArgument(DynamoChatError, ValueError):
    """An argument is not allowed. ``argument`` names it; nothing was sent."""

    def __init__(self, argument: str, allowed: str) -> None:
        self.argument = _cut(argument, 3 * _MAX_VALUE)
        self.allowed = _cut(allowed, MAX_SHOWN)
        super().__init__(f"{self.argument}: {self.allowed}")


class InvalidKey(InvalidArgument):
    """A value cannot become a component of a key."""


class InvalidCursor(InvalidArgument):
    """A cursor that was altered, cut, or made by another call."""

    def __init__(self, why: str = "it was altered or belongs to another query") -> None:
        super().__init__("cursor", f"pass a page's cursor back unchanged to the same call ({why})")


class ItemTooLarge(InvalidArgument):
    """An item would pass DynamoDB's limit even after compression.

    Or a body has more before it than the store takes: what is read must fit into memory.
    """

    def __init__(
        self,
        argument: str,
        size: int | None,
        limit: int,
        what: str = "item",
        taker: str = "DynamoDB",
    ) -> None:
        found = f"of {size:,} bytes" if size is not None else "that is too large"
        super().__init__(
            argument, f"makes an {what} {found}; {taker} takes at most {limit:,} bytes"
        )
        self.size = size
        self.limit = limit


class ImageMissing(InvalidArgument):
    """A record of the table's stream lacks an image of its item: the stream does not carry it."""

    def __init__(self, event: str, image: str, view_type: str = "") -> None:
        found = f"; the stream's view type is {view_type}" if view_type else ""
        super().__init__(
            "record",
            f"a record of {event} must have an {image}: switch the table's stream to the view type "
            f"NEW_AND_OLD_IMAGES{found}",
        )
        self.event = event
        self.image = image
        self.view_type = view_type


class NotFound(DynamoChatError, LookupError):
    """There is no such thing, it has expired, or it belongs to somebody else."""

    def __init__(self, what: str, identifier: str = "") -> None:
        super().__init__(
            f"{what} {shown(identifier)} was not found" if identifier else f"{what} not found"
        )
        self.what = what
        self.identifier = identifier


class Conflict(DynamoChatError):
    """What is stored contradicts the call. ``current`` is the stored entity, where known."""

    def __init__(self, message: str, current: Any = None) -> None:
        super().__init__(message)
        self.current = current


class AlreadyExists(Conflict):
    """The id, or something that must be unique, is taken."""


class MessageDeleted(Conflict):
    """A message of this id was appended before, and has been deleted since. Nothing is to be done.

    Its id stays taken for as long as its conversation lives.
    """


class RevisionConflict(Conflict):
    """The stored revision is not the one that the caller read."""


class IllegalTransition(Conflict):
    """A status cannot move from where it is to where the call asked."""


class LimitExceeded(Conflict):
    """A quota, a balance or a seat limit refuses the call."""


class CorruptItem(DynamoChatError):
    """An item of the table cannot be read. ``kind`` and ``reason`` say what is wrong with it.

    ``identity`` names it: what its key says, field by field, as far as that can be read. The
    message shows the ids and places among it, and no address, hash or name.
    """

    def __init__(self, kind: str, reason: str, identity: Mapping[str, Any] | None = None) -> None:
        self.kind = kind
        self.reason = reason
        self.identity = dict(identity or {})
        told = ", ".join(
            f"{name} {shown(value)}"
            for name, value in self.identity.items()
            if name.endswith(_SHOWN)
        )
        named = f" ({told})" if told else ""
        super().__init__(f"a stored {kind or 'item'} cannot be read{named}: {reason}")


class ServiceError(DynamoChatError):
    """DynamoDB, the network or the configuration refused. ``code`` is the service's own code."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class TableNotFound(ServiceError):
    """The table does not exist in this account and region."""


class IndexNotReady(ServiceError):
    """An index is missing, or still being built."""


class AccessDenied(ServiceError):
    """The credentials lack a permission."""


class CredentialsMissing(ServiceError):
    """No usable AWS credentials were found."""


class RegionMissing(ServiceError):
    """No AWS region was given or configured."""


class Throttled(ServiceError):
    """DynamoDB kept throttling after every retry."""


class Contended(ServiceError):
    """Concurrent writers of the same items kept winning after every retry; call again.

    The change that lost was not made. What the same call changed before it, step by step, stays.
    """


class Unreachable(ServiceError):
    """No answer came. A write may or may not have happened; call again with the same ids."""


class BatchIncomplete(ServiceError):
    """Part of a batch was left over after every retry. ``remaining`` counts it."""

    def __init__(self, message: str, remaining: int) -> None:
        super().__init__(message, "UnprocessedItems")
        self.remaining = remaining


class StillRunning(ServiceError):
    """A backup, restore or export goes on by itself; only the wait ended. ``arn`` names it."""

    def __init__(self, message: str, arn: str) -> None:
        super().__init__(message)
        self.arn = arn


class RecoveryUnavailable(ServiceError):
    """The table has no point-in-time recovery, which restoring to a time and exports need."""


class NotSupported(ServiceError):
    """The engine at the endpoint does not know the operation."""


class RequestRejected(ServiceError):
    """DynamoDB rejected the request for a reason that this package did not foresee."""
