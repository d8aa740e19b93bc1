"""Rules for callers, their queue tickets, and calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.calls.call import Call, CallRoom, call_key, room_item, room_key
from dynamo_chat.calls.caller import (
    Caller,
    as_of,
    caller_key,
    in_call_no_more,
    place_of,
    waiting_no_more,
    waits_with,
    waits_without,
)
from dynamo_chat.calls.ticket import QueueTicket
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.transaction import Check, Key, Update, absent
from dynamo_chat.operations.doctor.conditions import not_there
from dynamo_chat.operations.doctor.findings import Problem, Repair
from dynamo_chat.operations.doctor.forms import Subject
from dynamo_chat.operations.doctor.relations import Found, Relation, Rules, missing, orphan


def _caller(subject: Subject) -> Relation:
    caller = as_of(_as_caller(subject), subject.now)
    place, call_id = place_of(caller), caller.live_call_id
    keys: list[Key] = [*([place.key] if place else []), *([call_key(call_id)] if call_id else [])]

    def judge(found: Found) -> Iterator[Problem]:
        left = list(found)
        if place is not None and left.pop(0) is None:
            nowhere = Update(
                caller_key(caller.user_id),
                waiting_no_more(),
                waits_with(place.ticket_id, subject.now),
            )
            repair = Repair(
                "take the caller out of the queue", (nowhere, not_there(place.key, subject.now))
            )
            says = f"the caller waits in queue {place.queue!r}, but the ticket doesn't exist"
            yield Problem("stuck", says, repair, "waiting")
        if call_id is not None and _is_over(left.pop(0)):
            in_no_call = Update(
                caller_key(caller.user_id),
                in_call_no_more(),
                plan(Caller).model.live_call_id == call_id,
            )
            over = Check(call_key(call_id), _over(subject))
            repair = Repair("take the caller out of the call", (in_no_call, over))
            yield Problem(
                "stuck", "the caller is in a call that is over or doesn't exist", repair, "call"
            )

    return Relation(tuple(keys), judge)


def _as_caller(subject: Subject) -> Caller:
    caller = subject.of(Caller)
    found: Caller = caller
    return found


def _is_over(call: AttributeValues | None) -> bool:
    return call is None or "ended_at" in call


def _over(subject: Subject) -> Condition:
    condition: Condition = absent(subject.now) | plan(Call).model.ended_at.exists()
    return condition


def _ticket(subject: Subject) -> Relation:
    ticket = subject.of(QueueTicket)
    key = caller_key(ticket.user_id)

    def judge(found: Found) -> Iterator[Problem]:
        item = found[0]
        waits = item is not None and item.get("ticket_id") == {"S": ticket.ticket_id}
        if not waits or not _is_ahead(item, subject):
            nobodys = Check(key, waits_without(ticket.ticket_id, subject.now))
            yield orphan(subject, "no caller waits with this ticket", nobodys)

    return Relation((key,), judge)


def _is_ahead(caller: AttributeValues | None, subject: Subject) -> bool:
    until = (caller or {}).get("waiting_until", {}).get("S", "")
    return bool(until > format_time(subject.now))


def _call(subject: Subject) -> Relation:
    call = subject.of(Call)
    if not call.is_live:
        return Relation((), lambda _: iter(()))

    def judge(found: Found) -> Iterator[Problem]:
        if found[0] is None:
            says = (
                "its room item is missing: another call may use the name, and no list has the call"
            )
            yield missing(subject, room_item(call), says)
        elif found[0].get("call_id") != {"S": call.call_id}:
            yield Problem("leads_elsewhere", "its room item belongs to another live call")
        if subject.now - call.started_at > subject.longest_call:
            hours = (subject.now - call.started_at).total_seconds() / 3_600
            yield Problem(
                "open_call", f"live for {hours:,.0f} hours; calls.end_overdue() ends such calls"
            )

    return Relation((room_key(call.room_name),), judge)


def _room(subject: Subject) -> Relation:
    room = subject.of(CallRoom)
    key = call_key(room.call_id)

    def judge(found: Found) -> Iterator[Problem]:
        if _is_over(found[0]):
            over = Check(key, _over(subject))
            yield orphan(subject, "the room's call is over or doesn't exist", over)

    return Relation((key,), judge)


CALL_RULES: Final[Rules] = {
    keyspace.CALLER.kind: _caller,
    keyspace.QUEUE_TICKET.kind: _ticket,
    keyspace.CALL.kind: _call,
    keyspace.CALL_ROOM.kind: _room,
}
