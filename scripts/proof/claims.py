"""Nothing lost, nothing doubled: what calls claim, against what the table has.

acknowledged                 there, once
unknown                      there once, or not at all
refused                      not there
taken away, acknowledged     not there, if that began after all that put it there had returned
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from proof.evidence import Evidence, Violation, told
from proof.history import Call
from proof.steps import Action


def check_claims(
    evidence: Evidence, actions: Mapping[str, Action], found: Iterable[str]
) -> Iterator[Violation]:
    """Check every item that a call claims, and every item that the table has."""
    there = Counter(found)
    puts, drops = _claimed(evidence, actions)
    for thing in puts.keys() | there.keys():
        yield from _judge(thing, there[thing], puts[thing], drops[thing])


def check_found(evidence: Evidence, actions: Mapping[str, Action]) -> Iterator[Violation]:
    """No call may raise NotFound for an item that was written before and that nobody deleted."""
    puts, drops = _claimed(evidence, actions)
    for call in evidence.calls:
        if call.outcome != "refused" or not call.error.startswith("NotFound"):
            continue
        for claim in actions[call.kind].about(call):
            made = [put for put in puts[claim.thing] if put.is_ok and put.before(call)]
            gone = [drop for drop in drops[claim.thing] if not call.before(drop)]
            if made and not any(drop.may_count for drop in gone):
                yield Violation("not found where it is", told([*made, call]))


def _claimed(
    evidence: Evidence, actions: Mapping[str, Action]
) -> tuple[dict[str, list[Call]], dict[str, list[Call]]]:
    """The calls that wrote each item, and those that deleted it."""
    puts: dict[str, list[Call]] = defaultdict(list)
    drops: dict[str, list[Call]] = defaultdict(list)
    for call in evidence.calls:
        action = actions.get(call.kind)
        for claim in action.claims(call) if action else ():
            (puts if claim.is_there else drops)[claim.thing].append(call)
    return puts, drops


def _judge(thing: str, count: int, puts: list[Call], drops: list[Call]) -> Iterator[Violation]:
    calls = told([*puts, *drops])
    if count > 1:
        yield Violation("doubled", f"{thing} is there {count} times{calls}")
    if count and not any(call.may_count for call in puts):
        yield Violation("written though refused", f"{thing} is there{calls}")
    may_be_gone = any(call.may_count for call in drops)
    if not count and any(call.is_ok for call in puts) and not may_be_gone:
        yield Violation("lost", f"{thing} is not there{calls}")
    must_be_gone = any(
        drop.is_ok and all(put.before(drop) for put in puts if put.may_count) for drop in drops
    )
    if count and must_be_gone:
        yield Violation("still there", f"{thing} was taken away{calls}")
