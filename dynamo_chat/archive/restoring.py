"""Restore a store: an archive is checked as a whole, written, and compared item by item.

    check ──nothing written yet──▶ restore ──part by part──▶ verify ──▶ report

A journal says which parts were written and verified, so an interrupted restore goes on. Nothing
rests on it: an item that is there is never overwritten, and writing an equal one again changes
nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from dynamo_chat.archive.checking import Checked, Checker
from dynamo_chat.archive.files import MANIFEST, Journal, journal_header
from dynamo_chat.archive.lines import canonical, to_send
from dynamo_chat.archive.reading import Source, source_of
from dynamo_chat.archive.shared import (
    MAX_WORKERS,
    Progress,
    ProgressHook,
    check_layout,
    check_number,
    described,
    paced,
    table_id,
)
from dynamo_chat.archive.tally import Tally, count_of
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.clock import Clock, system_clock, ulid_ids
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.errors import InvalidArchive, InvalidArgument, shown
from dynamo_chat.core.item import identity_of
from dynamo_chat.core.layout import PK, SK, KeySpace
from dynamo_chat.core.page import CursorCodec
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.text import cut
from dynamo_chat.core.transaction import Put, absent, is_live
from dynamo_chat.importing.migration.pace import Pace
from dynamo_chat.importing.migration.writing import differences
from dynamo_chat.operations.doctor.findings import Code, kind_of
from dynamo_chat.store import ChatStore

T = TypeVar("T")

MAX_LISTED: Final = 1_000
"""How many differences a report lists."""
_LONGEST_TEXT: Final = 500
_CHUNK: Final = 100
_PACED_CHUNK: Final = 25
_CHUNK_BYTES: Final = 2**20
_SHOWN: Final = ("_id", "_at", "position", "timestamp", "_date", "resource")


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """How a restore works."""

    merge: bool = False
    """Restore into a table that is not empty. Items that are there are kept as they are; each item
    is written on the condition that it does not exist."""
    with_damaged: bool = False
    """Also restore items of unknown kinds, and those that the doctor would report, as they are."""
    workers: int = 4
    """Threads that write and compare."""
    write_units_per_second: float | None = None
    """The highest write rate, as DynamoDB reports it; None for no limit."""
    digest: str | None = None
    """The archive must have this digest."""
    journal: Path | None = None
    """The file that says how far the restore is; by default one in the archive's folder."""

    def __post_init__(self) -> None:
        check_number("workers", self.workers, MAX_WORKERS)


@dataclass(frozen=True, slots=True)
class Difference:
    """An item that is in the table otherwise than in the archive, or not at all."""

    kind: str
    identity: Mapping[str, str]
    """The ids, times and positions in its key."""
    says: str

    def __str__(self) -> str:
        named = ", ".join(f"{name} {value}" for name, value in self.identity.items())
        return f"{self.kind or 'item'} ({named}): {self.says}" if named else self.says


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore did."""

    digest: str
    """The archive's."""
    table: str
    items: int
    """Items in the archive."""
    kinds: Mapping[str, int]
    """The number of items of each kind in the archive."""
    expired: int
    """Items that were not written, because they have expired since the export."""
    damaged: Mapping[str, int]
    """How many items have a problem that the doctor would report, by its code."""
    written: int
    there: int
    """Items that existed already. They were not written."""
    verified: int
    """Items that were read back, and are as in the archive."""
    differing: int
    """Items that are missing or otherwise in the table: it was written to meanwhile, or before."""
    differences: tuple[Difference, ...]
    """The first 1,000 of them."""
    write_units: float
    """As DynamoDB reported them to this process."""
    is_dry_run: bool = False

    @property
    def is_clean(self) -> bool:
        """True if everything in the archive is in the table as it was."""
        return not self.differing

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**asdict(self), "is_clean": self.is_clean}


@dataclass(slots=True)
class _Counts:
    """What was done with the items of a part, or of all."""

    items: int = 0
    written: int = 0
    there: int = 0
    expired: int = 0
    verified: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, more: _Counts) -> None:
        self.items += more.items
        self.written += more.written
        self.there += more.there
        self.expired += more.expired
        self.verified += more.verified
        self.differing += more.differing
        self.differences += more.differences[: MAX_LISTED - len(self.differences)]


def _checked_before(entry: Mapping[str, Any]) -> Checked:
    """What the journal tells of the check. InvalidArgument."""
    try:
        damaged: Counter[Code] = Counter({c: count_of(n) for c, n in entry["damaged"].items()})
        return Checked(Tally.from_dict(entry["kinds"]), count_of(entry["expired"]), damaged)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidArgument("journal", "is damaged; delete it, and merge") from error


def _counts(entry: Mapping[str, Any]) -> _Counts:
    """The counts in an entry of the journal. InvalidArgument."""
    try:
        told = dict(entry["counts"])
        listed = [Difference(**each) for each in told.pop("differences")]
        return _Counts(**{name: count_of(n) for name, n in told.items()}, differences=listed)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidArgument("journal", "is damaged; delete it, and merge") from error


class StoreRestore:
    """The restore of an archive into a store's table, which must exist.

    `folder` is an archive, or the folder of a full export to S3. `run` can be called again after an
    interruption. The role needs ``dynamodb:Scan``, ``DescribeTable``, ``BatchGetItem``,
    ``BatchWriteItem`` and, with `merge`, ``PutItem``.
    """

    def __init__(
        self,
        store: ChatStore,
        folder: Path | str,
        options: RestoreOptions | None = None,
        *,
        clock: Clock = system_clock,
        on_progress: ProgressHook | None = None,
    ) -> None:
        self.options = options or RestoreOptions()
        self.folder = Path(folder)
        self._pace = Pace(units_per_second=self.options.write_units_per_second)
        self.connection = paced(store.connection, self._pace)
        """Its own connection to the table."""
        self._key_space = store.key_space
        self._clock = clock
        self._on_progress = on_progress
        cursors = CursorCodec(self.connection.table_name)
        self._table = _Table(Binding(self.connection, clock, ulid_ids, cursors))

    def run(self, *, dry_run: bool = False) -> RestoreReport:
        """Restore, or go on with a restore that was interrupted. Returns what was done.

        InvalidArchive if the archive is damaged or has what can't be restored, InvalidArgument if
        the table is not empty (without `merge`) or lacks an index: then nothing is written. The
        same with `dry_run`. TableNotFound.
        """
        source = source_of(self.folder)
        if self.options.digest not in {None, source.digest}:
            raise InvalidArchive(MANIFEST, f"is of another archive: its digest is {source.digest}")
        try:
            return self._from(source, dry_run=dry_run)
        finally:
            self.connection.close()

    def _from(self, source: Source, *, dry_run: bool) -> RestoreReport:
        description = described(self.connection)
        check_layout(description)
        if dry_run:
            if not self._journal_path().exists():
                self._check_target()
            return self._report(source, self._checked(source), _Counts(), is_dry_run=True)
        path = self._journal_path()
        with closing(Journal(path, "journal")) as journal:
            try:
                return self._run(source, journal, table_id(description))
            finally:
                if not journal.entries:
                    journal.remove()

    def _run(self, source: Source, journal: Journal, identity: str) -> RestoreReport:
        checked = self._begun(source, journal, identity)
        counts = _Counts()
        for phase, act in (("restore", self._restore), ("verify", self._verify)):
            known = {
                str(each.get("part")): each
                for each in journal.entries
                if each.get("phase") == phase
            }
            told = _Teller(self._on_progress, phase, checked.tally.items)
            for part in source.parts:
                entry = known.get(part)
                if entry is None:
                    found = self._part(source, part, act, told)
                    journal.add({"phase": phase, "part": part, "counts": asdict(found)})
                else:
                    found = _counts(entry)
                    told(found.items)
                counts.add(found)
        journal.entries = []
        return self._report(source, checked, counts)

    # -- before anything is written -------------------------------------------------------------

    def _journal_path(self) -> Path:
        if self.options.journal is not None:
            return self.options.journal
        connection = self.connection
        named = [connection.table_name, connection.region, connection.endpoint_url]
        mark = hashlib.sha256(repr(named).encode()).hexdigest()[:12]
        return self.folder / f"restore-{mark}.jsonl"

    def _begun(self, source: Source, journal: Journal, identity: str) -> Checked:
        """What the archive has, when it may be written: it was checked, and the table is fit."""
        header = journal_header(
            archive=source.digest, table=self.connection.table_name, id=identity
        )
        if journal.entries and journal.entries[0] != header:
            if journal.entries[0].get("archive") != source.digest:
                raise InvalidArgument("journal", "is that of another archive")
            journal.restart()  # the table is another one, of the same name
        if len(journal.entries) > 1:
            if journal.entries[1].get("merge") and not self.options.merge:
                raise InvalidArgument("merge", "must be given again: the restore began with it")
            return _checked_before(journal.entries[1])
        checked = self._checked(source)
        self._check_target()
        journal.restart()
        entry = {
            "merge": self.options.merge,
            "kinds": checked.tally.as_dict(),
            "expired": checked.expired,
            "damaged": checked.damaged,
        }
        journal.entries = [header, entry]
        for each in journal.entries:
            journal.add(each)
        return checked

    def _checked(self, source: Source) -> Checked:
        checker = Checker(self._key_space, self._clock, with_damaged=self.options.with_damaged)
        counts = list(source.parts.values())
        total = sum(each or 0 for each in counts) or None

        def told(done: int) -> None:
            if self._on_progress is not None:
                self._on_progress(Progress("check", done, total))

        return checker.check(source, told)

    def _check_target(self) -> None:
        """InvalidArgument unless the table may be written to."""
        if not self.options.merge and self._table.has_items():
            raise InvalidArgument(
                "table",
                "must be empty, so that nothing is overwritten; to add what is missing to a table "
                "that is not, merge",
            )

    # -- writing and comparing ------------------------------------------------------------------

    def _restore(self, items: Sequence[AttributeValues]) -> _Counts:
        now = self._clock()
        live = [item for item in items if is_live(item, now)]
        write = self._table.put_each if self.options.merge else self._table.put_new
        written = write(live)
        return _Counts(
            items=len(items),
            written=written,
            there=len(live) - written,
            expired=len(items) - len(live),
        )

    def _verify(self, items: Sequence[AttributeValues]) -> _Counts:
        found = _Counts(items=len(items))
        stored = self._table.stored(items)
        now = self._clock()
        for item, there in zip(items, stored, strict=True):
            if not is_live(item, now):
                continue
            says = ["is missing"] if there is None else differences(item, canonical(there))
            if says:
                found.differing += 1
                found.differences.append(_difference(self._key_space, item, "; ".join(says)))
            else:
                found.verified += 1
        return found

    def _part(
        self,
        source: Source,
        part: str,
        act: Callable[[Sequence[AttributeValues]], _Counts],
        told: Callable[[int], object],
    ) -> _Counts:
        """Do something with all items of a part, by chunks in parallel."""
        counts = _Counts()
        size = _CHUNK if self.options.write_units_per_second is None else _PACED_CHUNK
        with ThreadPoolExecutor(self.options.workers) as pool:
            running: set[Future[_Counts]] = set()
            try:
                for chunk in _chunks(source, part, size):
                    if len(running) >= 2 * self.options.workers:
                        running = _taken(running, counts)
                    self._pace.take(0)
                    running.add(pool.submit(act, chunk))
                    told(len(chunk))
                while running:
                    running = _taken(running, counts)
            except BaseException:
                for each in running:
                    each.cancel()
                raise
        return counts

    # -- telling --------------------------------------------------------------------------------

    def _report(
        self, source: Source, checked: Checked, counts: _Counts, *, is_dry_run: bool = False
    ) -> RestoreReport:
        return RestoreReport(
            digest=source.digest,
            table=self.connection.table_name,
            items=checked.tally.items,
            kinds=checked.tally.counts(),
            expired=checked.expired if is_dry_run else counts.expired,
            damaged=dict(sorted(checked.damaged.items())),
            written=counts.written,
            there=counts.there,
            verified=counts.verified,
            differing=counts.differing,
            differences=tuple(counts.differences),
            write_units=self._pace.units,
            is_dry_run=is_dry_run,
        )


class _Teller:
    """Tells how far a phase is."""

    def __init__(self, hook: ProgressHook | None, phase: str, total: int) -> None:
        self._hook, self._phase, self._total = hook, phase, total
        self._done = 0

    def __call__(self, more: int) -> None:
        self._done += more
        if self._hook is not None:
            self._hook(Progress(self._phase, self._done, self._total))


class _Table(Repository):
    """Writes, reads and compares whole items."""

    def has_items(self) -> bool:
        """True unless the table is empty."""
        request: dict[str, Any] = {
            "TableName": self._connection.table_name,
            "Limit": 1,
            "ConsistentRead": True,
        }
        while True:
            answer = self._connection.call("Scan", dict(request))
            if answer.get("Items"):
                return True
            if not answer.get("LastEvaluatedKey"):
                return False
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def put_new(self, items: Sequence[AttributeValues]) -> int:
        """Write the items that don't exist, in batches. Returns how many."""
        now = self._now()
        there = zip(items, self.stored(items), strict=True)
        missing = {_key(item): item for item, found in there if not is_live(found, now)}
        self._batch_write([{"PutRequest": {"Item": to_send(each)}} for each in missing.values()])
        return len(missing)

    def put_each(self, items: Sequence[AttributeValues]) -> int:
        """Write each item on the condition that it doesn't exist. Returns how many were written."""
        written = 0
        for item in items:
            try:
                self._write(Put(to_send(item), absent(self._now())))
            except ConditionFailed:
                continue
            written += 1
        return written

    def stored(self, items: Sequence[AttributeValues]) -> list[AttributeValues | None]:
        """The items with these ones' keys, as they are in the table."""
        return self._get_items([{PK: item[PK], SK: item[SK]} for item in items], consistent=True)


def _key(item: AttributeValues) -> tuple[str, str]:
    return item[PK]["S"], item[SK]["S"]


def _chunks(source: Source, part: str, most: int) -> Iterator[list[AttributeValues]]:
    """The items of a part, some at a time."""
    chunk: list[AttributeValues] = []
    size = 0
    for line in source.lines(part):
        chunk.append(line.item)
        size += len(line.text)
        if len(chunk) >= most or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _taken(running: set[Future[_Counts]], counts: _Counts) -> set[Future[_Counts]]:
    """Wait for one of them, and count what those did that are done. Returns the others."""
    done, rest = wait(running, return_when=FIRST_COMPLETED)
    for each in done:
        counts.add(each.result())
    return rest


def _difference(key_space: KeySpace, item: AttributeValues, says: str) -> Difference:
    kind = kind_of(item)
    layout = key_space.layouts.get(kind)
    fields = {} if layout is None else identity_of(layout, item)
    identity = {n: shown(value) for n, value in fields.items() if n.endswith(_SHOWN)}
    return Difference(cut(kind, _LONGEST_TEXT), identity, cut(says, _LONGEST_TEXT))
