"""Ends a call: it gets its end and minutes, and both callers and the room's name are free again."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from pynamodb.expressions.condition import Condition

from dynamo_chat.calls.call import Call, CallRoom, call_key, ended, room_key
from dynamo_chat.calls.caller import Caller, caller_key, in_call_no_more
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.errors import NotFound
from dynamo_chat.core.fence import Overtaken
from dynamo_chat.core.item import Item, plan
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Delete, Update, Write, is_live, live

_IDENTITY: Final = ("user_a", "user_b", "started_at")
"""Fields that differ if another call has the same id."""


class Ending(NamedTuple):
    """What came of ending a call."""

    call: Call
    """The call, with its end."""
    is_new: bool
    """False if it had ended already."""


class CallEnder(Repository):
    """Ends calls that were read."""

    def end(self, call: Call, moment: datetime, check: Check | None = None) -> Ending:
        """End this call, unless it has an end. NotFound if it is gone.

        With `check`, only while it holds: Overtaken otherwise.
        """
        if not call.is_live:
            return Ending(call, is_new=False)
        done = ended(call, moment)
        checks = [] if check is None else [check]
        beside = [_room_goes(call), _goes_free(call, call.user_a), _goes_free(call, call.user_b)]
        first = len(checks)
        while True:
            now = self._now()
            try:
                self._write(*checks, _is_over(call, done, now), *beside)
                return Ending(done, is_new=True)
            except ConditionFailed as failed:
                if checks and 0 in failed.items:
                    raise Overtaken(failed.items[0]) from failed
                if first in failed.items:
                    item = failed.items[first]
                    there = None if not is_live(item, now) else plan(Call).decode(item or {})
                    if there is None or not _is_same(there, call):
                        raise NotFound("call", call.call_id) from failed
                    return Ending(there, is_new=False)
                # Leave out a caller who was deleted, and a room that is another call's.
                beside = [
                    each
                    for place, each in enumerate(beside, first + 1)
                    if place not in failed.items
                ]


def _is_same(one: Call, other: Call) -> bool:
    """True if both are the same call: an expired call's id may be reused."""
    return all(getattr(one, name) == getattr(other, name) for name in _IDENTITY)


def _is_over(call: Call, done: Call, now: datetime) -> Update:
    attributes = plan(Call).model
    goes_on = live(now) & attributes.ended_at.does_not_exist()
    for name in _IDENTITY:
        goes_on &= getattr(attributes, name) == getattr(call, name)
    return Update(
        call_key(done.call_id),
        [
            attributes.ended_at.set(done.ended_at),
            attributes.duration_minutes.set(done.duration_minutes),
            attributes.expires_at.set(done.expires_at),
        ],
        goes_on,
    )


def _room_goes(call: Call) -> Write:
    room = plan(CallRoom).model
    is_ours: Condition = Item.PK.does_not_exist() | (room.call_id == call.call_id)
    return Delete(room_key(call.room_name), is_ours)


def _goes_free(call: Call, user_id: str) -> Write:
    caller = plan(Caller).model
    return Update(caller_key(user_id), in_call_no_more(), caller.live_call_id == call.call_id)
