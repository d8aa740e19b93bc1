"""What the doctor finds: problems of an item, and the report that they end up in."""

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
"""Every kind of problem, in the order in which they are shown and repaired: counters are set when
the items that they count are in order, deletions finished when nothing is left to be read."""

MEANINGS: Final[Mapping[Code, str]] = {
    "unknown_kind": "an item that is not of this package, or of a newer one",
    "newer_version": "written by a newer version of this package",
    "older_version": "of an older schema version; it is upgraded whenever it is read",
    "wrong_key": "its key is not that of its kind, or not what the item says",
    "unreadable": "it cannot be read as its kind",
    "wrong_ttl": "its TTL attribute is no whole number, or should not be there",
    "expired": "DynamoDB should have removed it long ago",
    "half_index_key": "one key attribute of an index without the other",
    "wrong_index_key": "it stands elsewhere in an index than it should, or not at all",
    "deadline": "it expires at another time than the conversation that it belongs to",
    "orphan": "what it belongs to, or leads to, is not there",
    "missing_item": "an item that must be beside it is not there",
    "leads_elsewhere": "the item that must lead to it leads to another",
    "counter": "it counts other than there is",
    "no_user": "a member or an owner whose user has been deleted, or is not there",
    "no_owner": "an organization without an active owner",
    "stuck": "a caller waits, or talks, in something that is not there",
    "open_call": "a call that nobody ended",
    "unfinished_deletion": "its deletion has begun, and goes on no more",
}


@dataclass(frozen=True, slots=True)
class Repair:
    """What would put a problem right."""

    does: str
    writes: tuple[Write, ...] = ()
    """One transaction, on condition that everything is still as it was when it was looked at."""
    finish: Callable[[], int] | None = field(default=None, compare=False)
    """Where a repository's own method finishes what was begun; 0 when somebody else has."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one item, as one look at it showed."""

    code: Code
    says: str
    repair: Repair | None = None
    evidence: str = ""
    """What must be the same in two looks for the problem to be one, beside its code."""
    of: str = ""
    """What it is a problem of, where the same place may come to hold another: a deletion's id."""

    @property
    def mark(self) -> tuple[str, str]:
        """What makes two looks agree."""
        return self.code, self.evidence


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that stood at a second look."""

    code: Code
    kind: str
    pk: str
    sk: str
    says: str
    repair: str | None
    """What ``repair`` would do about it; None when it can only be told."""
    of: str = field(default="", repr=False)
    """As of the problem: a repair is of this, and of nothing that came in its place."""

    @property
    def key(self) -> Key:
        """The table key of the item."""
        return {PK: {"S": self.pk}, SK: {"S": self.sk}}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "of"}


Place: TypeAlias = tuple[str, str]
"""Partition key and sort key."""


def place_of(item: Mapping[str, Any]) -> Place:
    """Where an item, or a key, is."""
    return item[PK]["S"], item[SK]["S"]


def kind_of(item: Mapping[str, Any]) -> str:
    """The kind that an item says it is of; empty when it says none."""
    stored = item.get(KIND)
    kind = stored.get("S") if isinstance(stored, Mapping) else None
    return kind if isinstance(kind, str) else ""


def finding(item: Mapping[str, Any], problem: Problem) -> Finding:
    """The finding of a problem of an item."""
    pk, sk = place_of(item)
    does = None if problem.repair is None else problem.repair.does
    return Finding(problem.code, kind_of(item), pk, sk, problem.says, does, problem.of)


@dataclass(slots=True)
class Report:
    """What an examination came to."""

    table: str
    max_listed: int
    items: int = 0
    """Items looked at."""
    kinds: Counter[str] = field(default_factory=Counter)
    """How many of each kind."""
    counts: Counter[Code] = field(default_factory=Counter)
    """How many problems of each sort, also those that are not listed."""
    findings: list[Finding] = field(default_factory=list)
    """The first `max_listed` of them."""
    unsettled: int = 0
    """Items that were written to at every look, so that nothing can be said of them."""
    read_units: float = 0.0
    is_complete: bool = False
    """Whether it was read to its end."""
    position: str | None = None
    """Where to go on when it was not."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong with what was read."""
        return not self.counts

    @property
    def unlisted(self) -> int:
        """How many findings are only counted."""
        return sum(self.counts.values()) - len(self.findings)

    def add(self, found: Finding) -> None:
        """Count a finding, and list it while there is room."""
        self.counts[found.code] += 1
        if len(self.findings) < self.max_listed:
            self.findings.append(found)

    def forget(self, code: Code) -> None:
        """Say nothing of problems of this sort."""
        del self.counts[code]
        self.findings = [each for each in self.findings if each.code != code]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
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
    """What became of a finding that was to be repaired."""

    finding: Finding
    outcome: Outcome
    """``gone`` when it was no more when its turn came."""
    says: str
    """What was done, or why it was left."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.finding.as_dict(), "outcome": self.outcome, "outcome_says": self.says}
