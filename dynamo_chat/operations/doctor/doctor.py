"""The doctor examines a table page by page, reports problems, and repairs those that it can.

    page of the Scan ──suspicion──▶ queue ──check, pause, check──▶ same both times? ──▶ finding

A suspicion is cheap and often wrong: on a table in use, items that belong together are seldom
read at the same moment. So each is checked twice with strongly consistent reads, some seconds
apart. A state in the middle of another process's write is gone or different at the second check.

A repair is decided on a new check of the item, and is one transaction on condition that nothing
has changed since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final, Protocol

from dynamo_chat import keyspace
from dynamo_chat.core.clock import Clock, system_clock
from dynamo_chat.core.connection import AttributeValues, ConditionFailed, Connection
from dynamo_chat.core.errors import DynamoChatError, InvalidArgument
from dynamo_chat.core.layout import HasKeySpace
from dynamo_chat.core.sharding import counted
from dynamo_chat.core.transaction import write
from dynamo_chat.operations.doctor.counts import Tally
from dynamo_chat.operations.doctor.deletions import Deletions
from dynamo_chat.operations.doctor.findings import (
    CODES,
    Code,
    Finding,
    Place,
    Problem,
    Repaired,
    Report,
    finding,
    kind_of,
    place_of,
)
from dynamo_chat.operations.doctor.forms import Examiner
from dynamo_chat.operations.doctor.kinds import knowing
from dynamo_chat.operations.doctor.looks import Look, Looker
from dynamo_chat.operations.doctor.reading import Pace, PacedConnection, Reader

DEFAULT_PAGE_SIZE: Final = 200
MAX_PAGE_SIZE: Final = 10_000
_WAITING: Final = 100
_USERS: Final = {keyspace.USER.kind, keyspace.USER_TOMBSTONE.kind}
_ROUNDS: Final = 4
"""How often an item that keeps changing is checked before it is counted as unsettled."""


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """Options of an examination."""

    read_units_per_second: float | None = None
    """The highest read rate; None for no limit."""
    page_size: int = DEFAULT_PAGE_SIZE
    """Items per page of the Scan."""
    settle_seconds: float = 2.0
    """The pause between the two checks of a suspicion."""
    slack: timedelta = timedelta(days=7)
    """How long after its TTL an item may still exist. DynamoDB takes some days to delete it."""
    longest_call: timedelta = timedelta(days=1)
    """A call that is live for longer is reported."""
    max_listed: int = 10_000
    """How many findings a report lists; further ones are only counted."""

    def __post_init__(self) -> None:
        rate = self.read_units_per_second
        if rate is not None and not rate > 0:
            raise InvalidArgument("read_units_per_second", "must be above 0, or None")
        if not 1 <= self.page_size <= MAX_PAGE_SIZE:
            raise InvalidArgument("page_size", f"must be from 1 to {MAX_PAGE_SIZE:,}")
        if not 0 <= self.settle_seconds <= 3_600:
            raise InvalidArgument("settle_seconds", "must be from 0 to 3,600")


@dataclass(frozen=True, slots=True)
class Examined:
    """The progress of an examination."""

    items: int
    findings: int
    read_units: float


class _Store(HasKeySpace, Protocol):
    shards: ClassVar[keyspace.Shards]


class Doctor:
    """Examines and repairs one table, over a store's `connection`.

    It reads the whole table: its role needs ``dynamodb:Scan``, which no repository uses. With
    `store`, an application's store or its class, it knows the application's own kinds, too.
    """

    def __init__(
        self,
        connection: Connection,
        options: DoctorOptions | None = None,
        *,
        clock: Clock = system_clock,
        sleep: Callable[[float], None] = time.sleep,
        store: _Store | type[_Store] | None = None,
    ) -> None:
        self._key_space = keyspace.KEY_SPACE if store is None else store.key_space
        self._counts = {} if store is None else store.shards.counts()
        self.options = options or DoctorOptions()
        self._sleep = sleep
        self._pace = Pace(self.options.read_units_per_second, sleep=sleep)
        self._connection = PacedConnection(connection, self._pace)
        self._reader = Reader(self._connection, clock, self._key_space.own)
        self._examiner = Examiner(clock, self.options.slack, self.options.longest_call)
        binding = self._reader.binding
        self._clock = clock
        self._looker = Looker(binding, self._examiner, Deletions(binding))

    # -- finding ------------------------------------------------------------------------------

    def examine(
        self,
        *,
        start: str | None = None,
        on_progress: Callable[[Examined], object] | None = None,
    ) -> Report:
        """Read the table and report the problems; `start` is an interrupted report's position.

        KeyboardInterrupt ends it early: the report is then about what was read, with the position
        to continue from. Nothing is written.
        """
        with knowing(self._key_space), counted(self._counts):
            return self._examined(start, on_progress)

    def _examined(
        self, start: str | None, on_progress: Callable[[Examined], object] | None
    ) -> Report:
        report = Report(self._connection.table_name, self.options.max_listed, position=start)
        units_before = self._pace.units
        waiting: dict[Place, set[Code]] = {}
        tallied = [Tally("")]
        try:
            for suspected, position in self._suspicions(report, start, tallied):
                for place, codes in suspected.items():
                    waiting.setdefault(place, set()).update(codes)
                report.position = position
                while len(waiting) >= _WAITING or (waiting and position is None):
                    self._confirm(waiting, report)
                report.read_units = self._pace.units - units_before
                if on_progress is not None:
                    told = Examined(report.items, sum(report.counts.values()), report.read_units)
                    on_progress(told)
            report.is_complete = True
            if start is None and not report.kinds.keys() & _USERS:
                report.forget("no_user")  # users are kept outside this table
        except KeyboardInterrupt:
            _suspect_count(tallied[0], waiting)
            while waiting:
                self._confirm(waiting, report)
        report.read_units = self._pace.units - units_before
        return report

    def _suspicions(
        self, report: Report, start: str | None, tallied: list[Tally]
    ) -> Iterator[tuple[dict[Place, set[Code]], str | None]]:
        """Yield the suspicions of each page, and where the next page starts.

        `tallied` holds the tally of the partition being read.
        """
        for items, position in self._reader.scan(self.options.page_size, start):
            forms = [self._examiner.form(item) for item in items]
            suspected = self._looker.suspicious(items, forms)
            for item, form in zip(items, forms, strict=True):
                if place_of(item)[0] != tallied[0].partition:
                    _suspect_count(tallied[0], suspected)
                    tallied[0] = Tally(place_of(item)[0])
                subject = form.subject
                entity = None if subject is None else subject.entity
                tallied[0].add(item, entity, self._clock())
                report.items += 1
                report.kinds[kind_of(item)] += 1
            if position is None:
                _suspect_count(tallied[0], suspected)
            yield suspected, position

    def _confirm(self, waiting: dict[Place, set[Code]], report: Report) -> None:
        """Check some of the waiting suspicions twice, and report those that are confirmed."""
        suspected = {place: waiting[place] for place in list(waiting)[:_WAITING]}
        taken, found = list(suspected), list[Finding]()
        for _ in range(_ROUNDS):
            first = self._looker.look(suspected)
            suspected = {place: codes for place, codes in suspected.items() if _tells(first[place])}
            if not suspected:
                break
            self._sleep(self.options.settle_seconds)
            second = self._looker.look(suspected)
            open_still: dict[Place, set[Code]] = {}
            for place, codes in suspected.items():
                agreed = _agreed(first[place], second[place])
                if agreed is None:
                    open_still[place] = codes
                else:
                    found += agreed
            suspected = open_still
        # Removed only at the end, so that an interrupted batch is checked again as a whole.
        for place in taken:
            del waiting[place]
        report.unsettled += len(suspected)
        for each in found:
            report.add(each)

    # -- repairing ----------------------------------------------------------------------------

    def repair(
        self,
        findings: Sequence[Finding],
        *,
        on_progress: Callable[[Repaired], object] | None = None,
        keep: Callable[[AttributeValues], object] | None = None,
    ) -> list[Repaired]:
        """Repair `findings` where possible. Returns each outcome, in the order of the repairs.

        Each item is checked again, and left alone if it changes meanwhile. One repair may make
        another possible or unnecessary: those left are tried again. `keep` is called with each
        item just before it is changed or deleted, in DynamoDB's JSON.
        """
        with knowing(self._key_space), counted(self._counts):
            return self._all_repaired(findings, on_progress, keep)

    def _all_repaired(
        self,
        findings: Sequence[Finding],
        on_progress: Callable[[Repaired], object] | None,
        keep: Callable[[AttributeValues], object] | None,
    ) -> list[Repaired]:
        todo = sorted(findings, key=lambda each: CODES.index(each.code))
        done: list[Repaired] = []
        while todo:
            results = [self._repaired(each, keep) for each in todo]
            left = [each.finding for each in results if each.outcome == "left"]
            is_last = len(left) == len(todo) or not left
            for each in results:
                if is_last or each.outcome != "left":
                    done.append(each)
                    if on_progress is not None:
                        on_progress(each)
            todo = [] if is_last else left
        return done

    def _repaired(
        self, found: Finding, keep: Callable[[AttributeValues], object] | None
    ) -> Repaired:
        item, problem = self._problem(found)
        if item is None or problem is None:
            return Repaired(found, "gone", "the problem no longer exists")
        repair = problem.repair
        if repair is None:
            return Repaired(found, "left", "it can't be repaired safely")
        if keep is not None:
            keep(item)
        try:
            if repair.finish is not None:
                if not repair.finish():
                    return Repaired(found, "gone", "another process finished it")
            else:
                write(self._connection, *repair.writes)
        except ConditionFailed:
            return Repaired(found, "left", "the item changed meanwhile; examine it again")
        except DynamoChatError as error:
            return Repaired(found, "left", str(error))
        return Repaired(found, "repaired", repair.does)

    def _problem(self, found: Finding) -> tuple[AttributeValues | None, Problem | None]:
        """The item of a finding as it is now, and its problem; None if it no longer exists."""
        place = (found.pk, found.sk)
        look = self._looker.look({place: {found.code}})[place]
        codes = {found.code}
        if found.code == "leads_elsewhere":
            codes.add("missing_item")  # the item that pointed elsewhere was removed as an orphan
        same = [each for each in look.problems if each.code in codes and each.of == found.of]
        # An item may have two problems of one code: an e-mail that lacks both of its id items.
        told = [each for each in same if each.says == found.says]
        return look.item, next(iter(told or same), None)


def _suspect_count(tally: Tally, suspected: dict[Place, set[Code]]) -> None:
    head = tally.differing()
    if head is not None:
        suspected.setdefault(place_of(head), set()).add("counter")


def _tells(look: Look) -> bool:
    return look.is_moving or bool(look.problems)


def _agreed(first: Look, second: Look) -> list[Finding] | None:
    """The findings that two checks agree on; None if they disagree."""
    if second.item is None or not _tells(second):
        return []
    if first.is_moving or second.is_moving:
        return None
    before = {each.mark for each in first.problems}
    if any(each.mark not in before for each in second.problems):
        return None
    return [finding(second.item, each) for each in second.problems]
