"""Problems of an item, findings, and the report that lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from dynamo_chat.core.layout import KIND, PK, SK
from dynamo_chat.core.transaction import Key, Write

Code = Literal[
    "unknown_kind",
    "newer_version",
    "older_version",
    "wrong_key",
    "unreadable",
    "wrong_ttl",
    "expired",
    "half_index_key",
    "wrong_index_key",
    "deadline",
    "orphan",
    "missing_item",
    "leads_elsewhere",
    "counter",
    "no_user",
    "no_owner",
    "stuck",
    "open_call",
    "unfinished_deletion",
]
CODES: Final[tuple[Code, ...]] = get_args(Code)
"""Every kind of problem, in the order in which they are shown and repaired: counters after the
items that they count, deletions last."""

MEANINGS: Final[Mapping[Code, str]] = {
    "unknown_kind": "Not an item of this package, or one of a newer version.",
    "newer_version": "Written by a newer version of this package.",
    "older_version": "Older schema version. Every read upgrades it in memory.",
    "wrong_key": "Table key doesn't match the item's kind or attributes.",
    "unreadable": "Item can't be read as its kind.",
    "wrong_ttl": "TTL is not a whole number, or the item should have none.",
    "expired": "Expired, but DynamoDB hasn't deleted it.",
    "half_index_key": "Only one of the two key attributes of an index is set.",
    "wrong_index_key": "Index key is wrong or missing.",
    "deadline": "Expires at a different time than the item it belongs to.",
    "orphan": "The item it belongs to, or points to, doesn't exist.",
    "missing_item": "An item that must exist with it is missing.",
    "leads_elsewhere": "The item that must point to it points to another item.",
    "counter": "Stored count doesn't match the items.",
    "no_user": "The user of a member was deleted or doesn't exist.",
    "no_owner": "The organization has no active owner.",
    "stuck": "The caller waits with a missing ticket, or is in a call that is over.",
    "open_call": "Nobody ended the call.",
    "unfinished_deletion": "Its deletion started but has stopped.",
}


@dataclass(frozen=True, slots=True)
class Repair:
    """What would repair a problem."""

    does: str
    writes: tuple[Write, ...] = ()
    """One transaction, on condition that nothing changed since the item was checked."""
    finish: Callable[[], int] | None = field(default=None, compare=False)
    """Finishes a deletion by a repository's method; returns 0 if another process finished it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one item, as found by one check of it."""

    code: Code
    says: str
    repair: Repair | None = None
    evidence: str = ""
    """What both checks must agree on, besides the code, for the problem to be reported."""
    of: str = ""
    """The deletion's id, for a problem of a deletion: the same key may later hold another one."""

    @property
    def mark(self) -> tuple[str, str]:
        """What two checks must agree on."""
        return self.code, self.evidence


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that a second check confirmed."""

    code: Code
    kind: str
    pk: str
    sk: str
    says: str
    repair: str | None
    """What ``repair`` would do about it; None if it can't be repaired."""
    of: str = field(default="", repr=False)
    """As in `Problem`: only this deletion is repaired, not one that replaced it."""

    @property
    def key(self) -> Key:
        """The item's table key."""
        return {PK: {"S": self.pk}, SK: {"S": self.sk}}

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "of"}


Place: TypeAlias = tuple[str, str]
"""Partition key and sort key."""


def place_of(item: Mapping[str, Any]) -> Place:
    """The partition key and sort key of an item or a key."""
    return item[PK]["S"], item[SK]["S"]


def kind_of(item: Mapping[str, Any]) -> str:
    """The item's `kind` attribute; empty if it has none."""
    stored = item.get(KIND)
    kind = stored.get("S") if isinstance(stored, Mapping) else None
    return kind if isinstance(kind, str) else ""


def finding(item: Mapping[str, Any], problem: Problem) -> Finding:
    """A finding made of an item and its problem."""
    pk, sk = place_of(item)
    does = None if problem.repair is None else problem.repair.does
    return Finding(problem.code, kind_of(item), pk, sk, problem.says, does, problem.of)


@dataclass(slots=True)
class Report:
    """The result of an examination."""

    table: str
    max_listed: int
    items: int = 0
    """How many items were read."""
    kinds: Counter[str] = field(default_factory=Counter)
    """How many items of each kind."""
    counts: Counter[Code] = field(default_factory=Counter)
    """How many problems of each code, including those that are not listed."""
    findings: list[Finding] = field(default_factory=list)
    """The first `max_listed` findings."""
    unsettled: int = 0
    """Items that changed during every check, so that their state is unknown."""
    read_units: float = 0.0
    is_complete: bool = False
    """True if the whole table was read."""
    position: str | None = None
    """Where to continue if it was not."""

    @property
    def is_clean(self) -> bool:
        """True if no problem was found in what was read."""
        return not self.counts

    @property
    def unlisted(self) -> int:
        """How many findings are counted but not listed."""
        return sum(self.counts.values()) - len(self.findings)

    def add(self, found: Finding) -> None:
        """Count a finding, and list it unless `max_listed` are listed already."""
        self.counts[found.code] += 1
        if len(self.findings) < self.max_listed:
            self.findings.append(found)

    def forget(self, code: Code) -> None:
        """Remove the problems of this code from the report."""
        del self.counts[code]
        self.findings = [each for each in self.findings if each.code != code]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "table": self.table,
            "is_clean": self.is_clean,
            "is_complete": self.is_complete,
            "position": self.position,
            "items": self.items,
            "kinds": dict(sorted(self.kinds.items())),
            "read_units": self.read_units,
            "unsettled": self.unsettled,
            "counts": {code: self.counts[code] for code in CODES if self.counts[code]},
            "unlisted": self.unlisted,
            "findings": [each.as_dict() for each in self.findings],
        }


Outcome = Literal["repaired", "left", "gone"]


@dataclass(frozen=True, slots=True)
class Repaired:
    """The outcome of repairing one finding."""

    finding: Finding
    outcome: Outcome
    """``gone`` if the problem no longer existed when its turn came."""
    says: str
    """What was done, or why nothing was."""

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {**self.finding.as_dict(), "outcome": self.outcome, "outcome_says": self.says}
