"""Bugs that are planted in a worker, to see whether the proof finds them.

Each is a mistake that is easy to make, and removes something that correctness depends on. A bug is
patched into the package, and removed when its context ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from unittest.mock import patch

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.calls.call import Call
from dynamo_chat.calls.caller import Charge, charge, exists
from dynamo_chat.calls.calls import Calls
from dynamo_chat.chat import appending
from dynamo_chat.chat.appending import Appender
from dynamo_chat.chat.conversation import Conversation, head_key
from dynamo_chat.chat.sliding import SlidingExpiry
from dynamo_chat.chat.snapshot import holds
from dynamo_chat.core import forks
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import Indexed
from dynamo_chat.core.errors import Conflict
from dynamo_chat.core.fence import Batch, Fence
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import GSI1, GSI2, KIND, PK
from dynamo_chat.core.page import CursorCodec
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Put, Update, write
from dynamo_chat.identity.logins import Logins
from dynamo_chat.limits.rate_limit import RateLimit
from dynamo_chat.orgs.invite import Invite
from dynamo_chat.orgs.members import Members
from dynamo_chat.orgs.seats import Move

Patches = Callable[[], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug: what it is, where it shows, and how to plant it."""

    what: str
    domain: str
    patches: Patches
    faults: float = 1.0
    """How often requests fail while it is hunted."""
    lag: float = 0.0
    """How many seconds reads are behind while it is hunted, in one process."""
    in_storms: bool = False
    """True if it is hunted in storms, because it only shows when another worker finishes first."""


def _missing_condition() -> Sequence[Any]:
    def unchecked(*args: Any, **named: Any) -> Charge:
        return charge(*args, **named)._replace(condition=None)

    return [patch("dynamo_chat.calls.callers.charge", unchecked)]


def _counter_outside() -> Sequence[Any]:
    head = plan(Conversation).model
    put_once, head_update = Appender._put_once, appending._update_anew  # noqa: SLF001 - its place

    def uncounted(snapshot: Any, messages: Any, title: Any, now: Any) -> Update:
        update = head_update(snapshot, messages, title, now)
        return replace(update, actions=update.actions[1:])

    def counted_afterwards(self: Any, conversation_id: str, turn: Any, *more: Any) -> Any:
        done = put_once(self, conversation_id, turn, *more)
        count = self._heads.read(conversation_id).message_count + len(turn)
        self._write(Update(head_key(conversation_id), [head.message_count.set(count)]))
        return done

    return [
        patch.object(appending, "_head_update", uncounted),
        patch.object(Appender, "_put_once", counted_afterwards),
    ]


def _lost_identity() -> Sequence[Any]:
    writes = Appender._writes  # noqa: SLF001 - the bug's place

    def without_ids(*args: Any) -> Any:
        return [each for each in writes(*args) if _kind(each) != keyspace.MESSAGE_ID.kind]

    return [patch.object(Appender, "_writes", without_ids)]


def _lost_token() -> Sequence[Any]:
    write = Repository._write  # noqa: SLF001 - the bug's place

    def forgetful(self: Any, *writes: Any, returning: bool = False, once: bool = False) -> Any:
        del once
        return write(self, *writes, returning=returning)

    return [patch.object(Repository, "_write", forgetful)]


def _cursor_not_bound() -> Sequence[Any]:
    mark = CursorCodec._mark  # noqa: SLF001 - the bug's place

    def unbound(self: Any, pattern: str, arguments: Any, position: bytes) -> bytes:
        del arguments
        return mark(self, pattern, (), position)

    return [patch.object(CursorCodec, "_mark", unbound)]


def _stale_index_key() -> Sequence[Any]:
    return [patch("dynamo_chat.chat.conversations.set_index_keys", lambda *_, **__: [])]


def _address_not_claimed() -> Sequence[Any]:
    def unchecked(item: Any, condition: Any = None) -> Put:
        is_address = item[KIND]["S"] == keyspace.USER_EMAIL.kind
        return Put(item, None if is_address else condition)

    return [patch("dynamo_chat.identity.users.Put", unchecked)]


def _invite_twice() -> Sequence[Any]:
    status = plan(Invite).model.status
    return [
        patch("dynamo_chat.workflows.accept_invite.is_pending", lambda _: status.exists()),
    ]


def _expired_lives() -> Sequence[Any]:
    return [patch("dynamo_chat.core.repository.is_live", lambda item, _: bool(item))]


def _exchanged_keys() -> Sequence[Any]:
    def exchanged(call: Call) -> Indexed:
        return {
            GSI1: {**call.__dict__, "user_id": call.user_b},
            GSI2: {**call.__dict__, "user_id": call.user_a},
        }

    return [patch.object(Call, "indexed", exchanged)]


def _ticket_not_checked() -> Sequence[Any]:
    return [
        patch("dynamo_chat.calls.opening.waits_with", lambda *_: exists()),
        patch("dynamo_chat.calls.opening.is_in_no_call", lambda _: exists()),
    ]


def _order_by_clock() -> Sequence[Any]:
    head_update, positions = appending._update_anew, Appender._positions  # noqa: SLF001 - its place

    def anywhere(snapshot: Any, messages: Any, title: Any, now: Any) -> Update:
        return replace(head_update(snapshot, messages, title, now), condition=holds(snapshot, now))

    def by_the_clock(self: Any, turn: Any, now: Any, last: Any) -> Any:
        del last
        return positions(self, turn, now, None)

    return [
        patch.object(appending, "_head_update", anywhere),
        patch.object(Appender, "_positions", by_the_clock),
    ]


def _seat_not_given_back() -> Sequence[Any]:
    seats: Any = vars(Move)["seats"]
    return [patch.object(Move, "seats", property(lambda move: max(0, seats.fget(move))))]


def _limit_not_checked() -> Sequence[Any]:
    window_end = plan(RateLimit).model.window_end
    return [
        patch(
            "dynamo_chat.limits.rate_limits._may_count", lambda _name, _terms, now: window_end > now
        )
    ]


def _unfenced_walk() -> Sequence[Any]:
    together = Fence.together

    def unfenced(self: Any, first: Any, groups: Any) -> int:
        writes = [each for group in groups for each in group]
        for start in range(0, len(writes), 99):
            with suppress(ConditionFailed):
                write(self._connection, *writes[start : start + 99])
        return len(writes) + together(self, first, ())

    return [patch.object(Fence, "together", unfenced)]


def _split_pair() -> Sequence[Any]:
    batches = Fence.batches

    def split(self: Any, groups: Any, beside: Any = ()) -> Iterator[Batch]:
        known = list(groups)
        for part in ([group[:1] for group in known], [group[1:] for group in known]):
            found = list(batches(self, [group for group in part if group], beside))
            for batch in found:
                batch.is_last = False
                yield batch
        yield Batch(is_last=True)

    return [patch.object(Fence, "batches", split)]


def _login_survives() -> Sequence[Any]:
    anything: Condition = Path(PK).exists() | Path(PK).does_not_exist()

    def unchecked(key: Any, _: Condition) -> Check:
        return Check(key, anything)

    return [patch("dynamo_chat.identity.logins.Check", unchecked)]


class _Deaf:
    """A register of forkable objects that calls none of them."""

    def add(self, thing: Any) -> None:
        del thing

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def _shared_by_forks() -> Sequence[Any]:
    return [patch.object(forks, "_forkable", _Deaf())]


def _half_renewal() -> Sequence[Any]:
    return [patch.object(SlidingExpiry, "_move_deadlines", lambda *_: None)]


def _decided_by_index() -> Sequence[Any]:
    start = Calls.start

    def looking_first(self: Any, user_a: str, user_b: str, **named: Any) -> Call:
        live = self.list_live(page_size=100)
        if {user_a, user_b} & {user for call in live for user in (call.user_a, call.user_b)}:
            raise Conflict("one of them is in a call")
        return start(self, user_a, user_b, **named)

    return [
        patch.object(Calls, "start", looking_first),
        patch("dynamo_chat.calls.opening.is_in_no_call", lambda _: exists()),
    ]


def _revoked_by_index() -> Sequence[Any]:
    def revoke_listed(self: Any, user_id: str) -> int:
        listed = list(self.list_active(user_id, page_size=100))
        for login in listed:
            self.revoke(login)
        return len(listed)

    return [patch.object(Logins, "revoke_all", revoke_listed)]


def _late_gate() -> Sequence[Any]:
    get = Members.get

    def get_late(self: Any, organization_id: str, user_id: str, **_: Any) -> Any:
        return get(self, organization_id, user_id, consistent=False)

    return [patch.object(Members, "get", get_late)]


BUGS: Final[dict[str, Bug]] = {
    "missing-condition": Bug(
        "points are spent without asking whether they are there, or spent already",
        "points",
        _missing_condition,
    ),
    "counter-outside": Bug(
        "message_count is read and written after the append, not in its transaction",
        "chat",
        _counter_outside,
    ),
    "lost-identity": Bug(
        "the caller's message id is not kept, so a retry cannot be told", "chat", _lost_identity
    ),
    "lost-token": Bug(
        "usage is counted without a ClientRequestToken, and again when it is sent again",
        "orgs",
        _lost_token,
    ),
    "cursor-not-bound": Bug("a cursor is good for every list", "chat", _cursor_not_bound),
    "stale-index-key": Bug(
        "archiving changes the status, and not the index key made of it", "chat", _stale_index_key
    ),
    "address-not-claimed": Bug(
        "an address is written without asking whose it is", "identity", _address_not_claimed
    ),
    "invite-twice": Bug(
        "an invite is marked without asking whether it is pending", "orgs", _invite_twice
    ),
    "expired-lives": Bug(
        "what has expired is shown until it is deleted", "identity", _expired_lives
    ),
    "exchanged-keys": Bug(
        "a call stands in the wrong index on each side", "calls", _exchanged_keys
    ),
    "ticket-not-checked": Bug(
        "callers are matched without asking whether they still wait", "calls", _ticket_not_checked
    ),
    "order-by-clock": Bug(
        "a message takes the place that its server's clock says", "chat", _order_by_clock
    ),
    "half-renewal": Bug(
        "the deadline of a sliding conversation moves, those of its messages do not",
        "chat",
        _half_renewal,
    ),
    "seat-not-given-back": Bug(
        "a member who leaves is not counted out", "orgs", _seat_not_given_back
    ),
    "unfenced-walk": Bug(
        "a deletion goes on when another has finished it, and the id was given anew",
        "lives",
        _unfenced_walk,
        in_storms=True,
    ),
    "split-pair": Bug(
        "items are deleted in one step, and what leads to them in the next",
        "lives",
        _split_pair,
        faults=6.0,
    ),
    "login-survives": Bug(
        "a login is opened without asking whether its user is there", "lives", _login_survives
    ),
    "shared-by-forks": Bug(
        "a forked process goes on with the sockets, locks and ids of its parent",
        "chat",
        _shared_by_forks,
    ),
    "decided-by-index": Bug(
        "whether callers are free is looked up in an index, and no condition of the write",
        "calls",
        _decided_by_index,
        lag=5.0,
    ),
    "revoked-by-index": Bug(
        "logging out everywhere revokes the logins that an index shows",
        "identity",
        _revoked_by_index,
        lag=5.0,
    ),
    "late-gate": Bug(
        "whether somebody is a member is read from the past", "orgs", _late_gate, lag=1.0
    ),
    "limit-not-checked": Bug(
        "a call is counted, and allowed, whatever the limit is", "limits", _limit_not_checked
    ),
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant this bug while the context is open; with None, change nothing."""
    with ExitStack() as stack:
        for each in BUGS[name].patches() if name else ():
            stack.enter_context(each)
        yield


def _kind(write: Any) -> str:
    return str(write.item[KIND]["S"]) if isinstance(write, Put) else ""
