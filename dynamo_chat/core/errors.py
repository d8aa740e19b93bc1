"""Every error this package raises, in one tree.

    DynamoChatError
    ├── InvalidArgument (ValueError)     the call is wrong; nothing was sent
    │   ├── InvalidKey                   a value cannot become part of a key
    │   ├── InvalidCursor                a cursor that was altered, or made by another call
    │   ├── ItemTooLarge                 an item over DynamoDB's 400 KB, after compression
    │   ├── ImageMissing                 a stream record without the item's image
    │   └── InvalidArchive               a file of an exported store that is damaged or foreign
    ├── NotFound (LookupError)           it does not exist, has expired, or is someone else's
    ├── Conflict                         stored data contradicts the call; ``current`` holds it
    │   ├── AlreadyExists                the id or address is taken
    │   ├── MessageDeleted               the message with this id was deleted
    │   ├── RevisionConflict             someone else saved in between
    │   ├── IllegalTransition            a status cannot change that way
    │   └── LimitExceeded                a quota, a balance or a seat limit is reached
    ├── CorruptItem                      a stored item cannot be read
    ├── UnusableStore (RuntimeError)     the store is closed, or belongs to another event loop
    └── ServiceError                     DynamoDB, the network or the configuration failed
        ├── TableNotFound
        ├── IndexNotReady
        ├── AccessDenied
        ├── CredentialsMissing
        ├── RegionMissing
        ├── WrongRegion                  a write in a region that the store may only read in
        ├── Throttled                    throttled after every retry; try again later
        ├── Contended                    other writers kept winning; call again
        ├── Unreachable                  no answer: the write may or may not have happened
        ├── BatchIncomplete              leftovers of a batch after all retries
        ├── StillRunning                 the wait ended, but the operation is still running
        ├── RecoveryUnavailable          point-in-time recovery is off
        ├── NotSupported                 the endpoint does not support the operation
        └── RequestRejected              anything else DynamoDB refused

A Conflict that is about one kind of entity has a class for it, beside the entity, whose ``current``
has that type (or None, where the stored entity may not be shown):

    Conflict           CallerBusy  ConversationChanged  DomainMismatch  MessageConflict
                       PointsSpent  RefundRefused  StreamLost  ThreadConflict
    AlreadyExists      ActivityExists  CallExists  CallerExists  ConversationExists  EmailExists
                       InteractionExists  InviteExists  InvocationExists  MemberExists
                       OrganizationExists  ReportExists  ReviewExists  ScoreExists  UserExists
    RevisionConflict   StateConflict
    IllegalTransition  EmailStatusFixed  InviteClosed  LastOwner
    LimitExceeded      PointsExceeded  QuotaExceeded  RateLimitExceeded

Errors say what was asked, what was found and what to do. They never show a key, an AttributeValue
or a secret, and their length is limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

_SHOWN: Final = ("_id", "_at", "position", "timestamp", "_date", "resource")
"""The endings of the key components that an error may show: ids, times and positions."""

MAX_SHOWN: Final = 1_000
"""The most characters in an error's message."""

_MAX_VALUE: Final = 100


def shown(value: object) -> str:
    """`value` as an error quotes it: long values are cut."""
    if isinstance(value, str):
        return repr(_cut(value, _MAX_VALUE))
    return _cut(str(value), _MAX_VALUE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


class DynamoChatError(Exception):
    """Base of every error raised by this package. Errors can be pickled and copied."""

    http_status: ClassVar[int] = 500
    """The status of a web service's answer, if a client's request led to this error."""
    retry_after: int | None = None
    """Whole seconds after which the same call may succeed; None if waiting does not help, or for
    an unknown time."""

    def __init__(self, message: str = "") -> None:
        super().__init__(_cut(message, MAX_SHOWN))

    def __reduce__(self) -> tuple[Any, ...]:
        """The message and the attributes. By default Python would keep only the message."""
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(kind: type[DynamoChatError], args: tuple[Any, ...]) -> DynamoChatError:
    """The error without its attributes, which pickle and copy add."""
    return kind.__new__(kind, *args)


class InvalidArgument(DynamoChatError, ValueError):
    """An argument is not allowed. ``argument`` names it; nothing was sent."""

    http_status = 400

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
    """An item would exceed DynamoDB's limit even after compression.

    Or an uncompressed body exceeds the store's `max_body_bytes`: what is read must fit in memory.
    """

    http_status = 413

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
            argument, f"makes an {what} {found}; {taker} allows at most {limit:,} bytes"
        )
        self.size = size
        self.limit = limit


class ImageMissing(InvalidArgument):
    """A stream record lacks an image of its item: the stream's view type leaves it out."""

    def __init__(self, event: str, image: str, view_type: str = "") -> None:
        found = f"; it is {view_type}" if view_type else ""
        super().__init__(
            "record",
            f"an {event} record must have an {image}: set the stream's view type to "
            f"NEW_AND_OLD_IMAGES{found}",
        )
        self.event = event
        self.image = image
        self.view_type = view_type


class InvalidArchive(InvalidArgument):
    """An exported store that is incomplete, damaged or not one; nothing was written.

    ``file`` is the name of the file, ``line`` the number of the line in it, or None.
    """

    def __init__(self, file: str, why: str, line: int | None = None) -> None:
        self.file = _cut(file, _MAX_VALUE)
        self.line = line
        place = self.file if line is None else f"{self.file}, line {line:,}"
        super().__init__("archive", f"{place}: {why}")


class NotFound(DynamoChatError, LookupError):
    """It does not exist, has expired, or belongs to someone else."""

    http_status = 404

    def __init__(self, what: str, identifier: str = "") -> None:
        super().__init__(
            f"{what} {shown(identifier)} was not found" if identifier else f"{what} not found"
        )
        self.what = what
        self.identifier = identifier


class Conflict(DynamoChatError):
    """Stored data contradicts the call. ``current`` is the stored entity, if known."""

    http_status = 409
    current: Any

    def __init__(self, message: str, current: Any = None) -> None:
        super().__init__(message)
        self.current = current


class AlreadyExists(Conflict):
    """The id, or another value that must be unique, is taken."""


class MessageDeleted(Conflict):
    """A message with this id was appended before and has been deleted; do not retry.

    Its id stays taken for as long as its conversation exists.
    """


class RevisionConflict(Conflict):
    """The stored revision is not the one that the caller read."""


class IllegalTransition(Conflict):
    """The current status cannot change to the requested one."""


class LimitExceeded(Conflict):
    """A quota, a balance or a seat limit does not allow the call.

    `retry_after` is known for limits that renew with time: rate limits and points.
    """

    http_status = 429

    def __init__(self, message: str, current: Any = None, retry_after: int | None = None) -> None:
        super().__init__(message, current)
        self.retry_after = retry_after


class CorruptItem(DynamoChatError):
    """A stored item cannot be read. ``kind`` is its kind, ``reason`` says what is wrong.

    ``identity`` holds the fields of its key that can be read. The message shows the ids, times and
    positions among them, but no address, hash or name.
    """

    def __init__(self, kind: str, reason: str, identity: Mapping[str, Any] | None = None) -> None:
        self.kind = kind
        self.reason = reason
        self.identity = dict(identity or {})
        fields = ", ".join(
            f"{name} {shown(value)}"
            for name, value in self.identity.items()
            if name.endswith(_SHOWN)
        )
        named = f" ({fields})" if fields else ""
        super().__init__(f"a stored {kind or 'item'} cannot be read{named}: {reason}")


class UnusableStore(DynamoChatError, RuntimeError):
    """An AsyncChatStore that is closed, or used where its event loop doesn't run; nothing was sent.

    Create one store per event loop, and call it with `await` there.
    """


class ServiceError(DynamoChatError):
    """DynamoDB, the network or the configuration failed. ``code`` is DynamoDB's error code."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class TableNotFound(ServiceError):
    """The table does not exist in this account and region."""


class IndexNotReady(ServiceError):
    """An index is missing, or still being built."""

    http_status = 503


class AccessDenied(ServiceError):
    """The AWS credentials lack a permission."""


class CredentialsMissing(ServiceError):
    """No usable AWS credentials were found."""


class RegionMissing(ServiceError):
    """No AWS region was given or configured."""


class WrongRegion(ServiceError):
    """A write in ``region``, while `ConnectionOptions.writes_in` is ``writes_in``; it was not sent.

    Earlier steps of the same call, if it had any, were reads.
    """

    def __init__(self, region: str, writes_in: str) -> None:
        super().__init__(
            f"this store writes in {writes_in} only, and its requests go to {region}: call a "
            f"store of {writes_in}, or forward the call to a server there"
        )
        self.region = region
        self.writes_in = writes_in


class Throttled(ServiceError):
    """DynamoDB kept throttling after every retry."""

    http_status = 503
    retry_after = 1


class Contended(ServiceError):
    """Other writers changed the same items first, at every retry; call again.

    The change that lost was not made. Earlier steps of the same call are not undone.
    """

    http_status = 503
    retry_after = 1


class Unreachable(ServiceError):
    """No valid answer came. A write may have happened; call again with the same ids."""

    http_status = 503


class BatchIncomplete(ServiceError):
    """DynamoDB left ``remaining`` items of a batch undone after every retry."""

    http_status = 503
    retry_after = 1

    def __init__(self, message: str, remaining: int) -> None:
        super().__init__(message, "UnprocessedItems")
        self.remaining = remaining


class StillRunning(ServiceError):
    """The wait for a backup, restore or export ended, but it is still running as ``arn``."""

    def __init__(self, message: str, arn: str) -> None:
        super().__init__(message)
        self.arn = arn


class RecoveryUnavailable(ServiceError):
    """Point-in-time recovery is off; exports and restoring to a time need it."""


class NotSupported(ServiceError):
    """The endpoint does not support the operation."""


class RequestRejected(ServiceError):
    """DynamoDB rejected the request for a reason that no other error covers."""
