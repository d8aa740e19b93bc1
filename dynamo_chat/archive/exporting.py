"""Export a store: every item of the table, segment by segment, into the files of an archive.

    Scan of a segment ──page──▶ part (a file) ──complete──▶ journal ──all segments──▶ manifest

A part is a file of some thousand lines. When it is complete and on the disk, the journal gets a
line with what it holds, and with the position of the Scan after it. After a crash a segment goes on
there, and what was not in the journal is read again. The manifest comes last: an archive has one,
or is not finished.

The items of a table in use are not of one moment: see docs/design/archive.md.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from dynamo_chat.archive.files import (
    EXPORT_JOURNAL,
    FORMAT,
    MANIFEST,
    Journal,
    Manifest,
    Part,
    PartWriter,
    is_own_file,
    journal_header,
    make_folder,
    part_name,
)
from dynamo_chat.archive.lines import line_of
from dynamo_chat.archive.shared import (
    Progress,
    ProgressHook,
    check_layout,
    check_number,
    described,
    paced,
    package_version,
    table_id,
)
from dynamo_chat.archive.tally import Tally, count_of
from dynamo_chat.core.clock import Clock, system_clock
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.errors import InvalidArchive, InvalidArgument
from dynamo_chat.core.keys import format_time
from dynamo_chat.core.layout import GSI1, GSI2, PK, SK, TABLE
from dynamo_chat.core.size import read_units
from dynamo_chat.core.transaction import is_live
from dynamo_chat.importing.migration.pace import Pace
from dynamo_chat.operations.doctor.forms import Examiner
from dynamo_chat.operations.doctor.kinds import knowing
from dynamo_chat.store import ChatStore

MAX_SEGMENTS: Final = 64
MAX_PAGE_SIZE: Final = 10_000
MAX_PART_ITEMS: Final = 1_000_000
_PART_BYTES: Final = 32 * 2**20
UNHARMFUL: Final = frozenset({"older_version", "expired"})
"""What the doctor finds about single items, and what keeps none from being restored."""
LAYOUT: Final[Mapping[str, Any]] = {
    place.index or "table": [place.pk, place.sk] for place in (TABLE, GSI1, GSI2)
}


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How an export works."""

    segments: int = 4
    """Parallel segments of the Scan, each with files of its own. An export that goes on has those
    that it began with."""
    read_units_per_second: float | None = None
    """The highest read rate, as DynamoDB reports it; None for no limit."""
    page_size: int = 500
    """Items per request."""
    part_items: int = 20_000
    """About how many items a file has; fewer if they are large. As much is read again at most, for
    each segment, after a crash."""

    def __post_init__(self) -> None:
        check_number("segments", self.segments, MAX_SEGMENTS)
        check_number("page_size", self.page_size, MAX_PAGE_SIZE)
        check_number("part_items", self.part_items, MAX_PART_ITEMS)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an export would read, by DynamoDB's description of the table, some hours old."""

    items: int
    size: int
    """In bytes."""
    read_units: float


@dataclass(frozen=True, slots=True)
class ExportReport:
    """A complete archive."""

    archive: str
    """Its id."""
    digest: str
    """The SHA-256 of its manifest, which has the digests of everything else."""
    table: str
    items: int
    kinds: Mapping[str, int]
    """The number of items of each kind."""
    expired: int
    """Items that were left out, because they had expired."""
    damaged: Mapping[str, int]
    """How many items have a problem that the doctor would report, by its code. They are in the
    archive as they are."""
    parts: int
    """The number of its files of lines."""
    read_units: float
    """As DynamoDB reported them to this process."""

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class _Done:
    """A part that is complete, with what its lines are; or a segment's end."""

    segment: int
    part: Part | None
    tally: Tally
    expired: int
    damaged: Counter[str]
    position: AttributeValues | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "segment": self.segment,
            "part": None if self.part is None else self.part._asdict(),
            "kinds": self.tally.as_dict(),
            "expired": self.expired,
            "damaged": self.damaged,
            "position": self.position,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> _Done:
        """What `as_dict` wrote. ValueError, TypeError, LookupError or AttributeError."""
        part = None if told["part"] is None else Part.from_dict(told["part"])
        position = told["position"]
        return cls(
            count_of(told["segment"]),
            part,
            Tally.from_dict(told["kinds"]),
            count_of(told["expired"]),
            Counter({code: count_of(n) for code, n in told["damaged"].items()}),
            None if position is None else {n: {"S": str(position[n]["S"])} for n in (PK, SK)},
        )


@dataclass(slots=True)
class _Segment:
    """How far a segment is."""

    parts: int = 0
    position: AttributeValues | None = None
    is_done: bool = False


@dataclass(slots=True)
class _Export:
    """An export that is going on: its journal, and the sum of what was done."""

    journal: Journal
    archive: str
    started: str
    segments: list[_Segment]
    estimate: int | None
    parts: list[Part] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    expired: int = 0
    damaged: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    items: int = 0

    def add(self, done: _Done) -> None:
        with self.lock:
            self.journal.add(done.as_dict())
            self.count(done)

    def count(self, done: _Done) -> None:
        """Add what is in the journal. LookupError if the export has no such segment."""
        segment = self.segments[done.segment]
        segment.position, segment.is_done = done.position, done.position is None
        if done.part is not None:
            segment.parts += 1
            self.parts.append(done.part)
        self.tally.merge(done.tally)
        self.expired += done.expired
        self.damaged.update(done.damaged)

    def read(self, items: int) -> int:
        with self.lock:
            self.items += items
            return self.items


class StoreExport:
    """The export of a store into a folder. `run` can be called again after an interruption.

    `store` is the store, which may be an application's own. The role needs ``dynamodb:Scan`` and
    ``dynamodb:DescribeTable``.
    """

    def __init__(
        self,
        store: ChatStore,
        folder: Path | str,
        options: ExportOptions | None = None,
        *,
        clock: Clock = system_clock,
        on_progress: ProgressHook | None = None,
    ) -> None:
        self.options = options or ExportOptions()
        self.folder = Path(folder)
        self._pace = Pace(units_per_second=self.options.read_units_per_second, of_reads=True)
        self.connection = paced(store.connection, self._pace)
        """Its own connection to the table."""
        self._key_space = store.key_space
        self._clock = clock
        self._on_progress = on_progress
        # How long expired items and calls may last is not asked here.
        self._examiner = Examiner(clock, timedelta.max, timedelta.max)

    def estimate(self) -> Estimate:
        """About how much an export would read. Writes nothing. TableNotFound."""
        found = described(self.connection)
        size = int(found.get("TableSizeBytes", 0))
        return Estimate(int(found.get("ItemCount", 0)), size, read_units(size, consistent=True))

    def run(self) -> ExportReport:
        """Export the store, or go on with an export that was interrupted. Returns what it has.

        The folder is made if necessary; it must be empty, or have the beginning of an export of
        this table. InvalidArgument if not, or if another process exports into it. TableNotFound.
        """
        try:
            return self._run()
        finally:
            self.connection.close()

    def _run(self) -> ExportReport:
        description = described(self.connection)
        check_layout(description, key_only=True)  # nothing else could be restored
        make_folder(self.folder)
        self._check_folder()
        with closing(Journal(self.folder / EXPORT_JOURNAL, "folder")) as journal:
            self._check_folder()  # another process may have finished meanwhile
            export = self._begun(journal, description)
            self._read_all(export)
            manifest = self._manifest(export)
            self._clear(manifest)
            manifest.write(self.folder)
            journal.remove()
        return ExportReport(
            archive=manifest.archive,
            digest=manifest.digest,
            table=manifest.table,
            items=manifest.items,
            kinds={kind: each["items"] for kind, each in manifest.kinds.items()},
            expired=manifest.expired,
            damaged=manifest.damaged,
            parts=len(manifest.parts),
            read_units=self._pace.units,
        )

    # -- the folder -----------------------------------------------------------------------------

    def _check_folder(self) -> None:
        if not self.folder.is_dir():
            raise InvalidArgument("folder", "is not a folder")
        there = {each.name for each in self.folder.iterdir()}
        if MANIFEST in there:
            (self.folder / EXPORT_JOURNAL).unlink(missing_ok=True)  # it was killed at the very end
            raise InvalidArgument("folder", "has a complete archive; choose another folder")
        if there and EXPORT_JOURNAL not in there:
            raise InvalidArgument("folder", "must be empty, or have an export that was interrupted")

    def _begun(self, journal: Journal, description: dict[str, Any]) -> _Export:
        """The export that the journal tells of, or a new one."""
        identity = {"table": self.connection.table_name, "id": table_id(description)}
        if not journal.entries:
            now = format_time(self._clock())
            header = journal_header(
                **identity,
                archive=uuid.uuid4().hex,
                started=now,
                segments=self.options.segments,
            )
            journal.add(header)
            journal.entries = [header]
        header, *told = journal.entries
        if {name: header.get(name) for name in identity} != identity:
            raise InvalidArgument("folder", "has the beginning of an export of another table")
        try:
            check_number("segments", header["segments"], MAX_SEGMENTS)
            export = _Export(
                journal,
                str(header["archive"]),
                str(header["started"]),
                [_Segment() for _ in range(header["segments"])],
                int(description.get("ItemCount", 0)) or None,
            )
            for each in told:
                export.count(_Done.from_dict(each))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise InvalidArchive(EXPORT_JOURNAL, "is damaged; choose another folder") from error
        journal.entries = []
        export.items = export.tally.items + export.expired
        return export

    def _clear(self, manifest: Manifest) -> None:
        """Delete files of parts that were begun, and are in another part now. InvalidArchive."""
        kept = {part.name for part in manifest.parts}
        there = {path.name for path in self.folder.iterdir() if is_own_file(path.name)}
        for name in kept - there:
            raise InvalidArchive(name, "is gone since the export began; choose another folder")
        for name in there - kept:
            (self.folder / name).unlink()

    def _manifest(self, export: _Export) -> Manifest:
        return Manifest(
            format=FORMAT,
            archive=export.archive,
            package=package_version(),
            table=self.connection.table_name,
            started=export.started,
            finished=format_time(self._clock()),
            layout=LAYOUT,
            kinds=export.tally.as_dict(),
            items=export.tally.items,
            expired=export.expired,
            damaged=dict(sorted(export.damaged.items())),
            parts=tuple(sorted(export.parts)),
        )

    # -- the table ------------------------------------------------------------------------------

    def _read_all(self, export: _Export) -> None:
        """Read every segment to its end. The first error stops all of them."""
        number = len(export.segments)
        with ThreadPoolExecutor(number) as pool:
            try:
                running = [pool.submit(self._read, export, segment) for segment in range(number)]
                done, _ = wait(running, return_when=FIRST_EXCEPTION)
                for each in done:
                    each.result()
            finally:
                export.stop.set()

    def _read(self, export: _Export, segment: int) -> None:
        so_far = export.segments[segment]
        pages = self._pages(segment, len(export.segments), so_far.position)
        with knowing(self._key_space):
            while not so_far.is_done and not export.stop.is_set():
                done = self._part(export, segment, part_name(segment, so_far.parts), pages)
                if done is None:
                    return
                export.add(done)

    def _part(
        self,
        export: _Export,
        segment: int,
        name: str,
        pages: Iterator[tuple[list[AttributeValues], AttributeValues | None]],
    ) -> _Done | None:
        """Write the next part of a segment; None if it has to stop before its end."""
        done = _Done(segment, None, Tally(), 0, Counter(), None)
        with closing(PartWriter(self.folder, name)) as writer:
            for items, position in pages:
                self._write(items, writer, done)
                self._told(export.read(len(items)), export.estimate)
                is_full = writer.items >= self.options.part_items or writer.size >= _PART_BYTES
                if position is None or is_full:
                    done.position = position
                    done.part = writer.finish() if writer.items else None
                    return done
                if export.stop.is_set():
                    return None
        return None

    def _write(self, items: list[AttributeValues], writer: PartWriter, done: _Done) -> None:
        now = self._clock()
        for item in items:
            if not is_live(item, now):
                done.expired += 1
                continue
            line = line_of(item)
            writer.add(line)
            done.tally.add(item, line)
            codes = {each.code for each in self._examiner.form(item).problems}
            done.damaged.update(codes - UNHARMFUL)

    def _pages(
        self, segment: int, segments: int, position: AttributeValues | None
    ) -> Iterator[tuple[list[AttributeValues], AttributeValues | None]]:
        """The pages of a segment after a position, each with the position after it."""
        while True:
            request: dict[str, Any] = {
                "TableName": self.connection.table_name,
                "Segment": segment,
                "TotalSegments": segments,
                "Limit": self.options.page_size,
                "ConsistentRead": True,
                "ReturnConsumedCapacity": "TOTAL",
            }
            if position is not None:
                request["ExclusiveStartKey"] = position
            self._pace.take(0)
            answer = self.connection.call("Scan", request)
            position = answer.get("LastEvaluatedKey") or None
            yield answer.get("Items", []), position
            if position is None:
                return

    def _told(self, done: int, total: int | None) -> None:
        if self._on_progress is not None:
            known = None if total is None else max(total, done)
            self._on_progress(Progress("export", done, known))
