"""A migration: read the old records, plan, load, verify. Any step can be stopped and repeated.

    read     old records into the work file, with the position reached
    plan     each group of records becomes what is loaded, or is refused with a reason
    load     what is planned, by the same methods that a service uses
    verify   each group is read back and compared

`run` does all of them. The work file says what is done; without it, everything is done again and
changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

from dynamo_chat.core.clock import Clock, system_clock, utc
from dynamo_chat.core.errors import DynamoChatError, InvalidArgument, ServiceError
from dynamo_chat.core.keys import format_time
from dynamo_chat.importing.migration.bundle import GroupBundle
from dynamo_chat.importing.migration.declaring import Document, Made, SourceTable, Step
from dynamo_chat.importing.migration.documents import DOCUMENTS
from dynamo_chat.importing.migration.pace import Pace
from dynamo_chat.importing.migration.shaping import time_of
from dynamo_chat.importing.migration.sources import Bad, Batch, Gone, Source, read_json
from dynamo_chat.importing.migration.staging import Outcome, Staged, WorkFile
from dynamo_chat.importing.migration.times import TimeRules
from dynamo_chat.importing.migration.writing import Target
from dynamo_chat.store import StoreFactory

WORK_FILE: Final = "work.sqlite"
MAX_WORKERS: Final = 64
_CHUNK: Final = 25


class Progress(NamedTuple):
    """How far a step is."""

    phase: str
    """``read``, ``plan``, ``load`` or ``verify``."""
    what: str
    """The table or the step of the document."""
    done: int
    total: int | None
    """How many there are; None if that is unknown."""


ProgressHook = Callable[[Progress], object]


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """How a migration works."""

    workers: int = 4
    """Threads that load and verify."""
    segments: int = 4
    """Parallel segments for each table that is read."""
    records_per_second: float | None = None
    units_per_second: float | None = None
    """The most write units a second, as DynamoDB reports them."""
    times: TimeRules = field(default_factory=TimeRules)
    changed_since: datetime | None = None
    """Read only records that changed since; those without a time of change are always read."""

    def __post_init__(self) -> None:
        for name in ("workers", "segments"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= MAX_WORKERS:
                raise InvalidArgument(name, f"must be an integer from 1 to {MAX_WORKERS}")
        if self.changed_since is not None:
            utc("changed_since", self.changed_since)


@dataclass(frozen=True, slots=True)
class TableReport:
    """What became of one table's records."""

    table: str
    records: int
    verified: int
    """Loaded, read back and equal."""
    loaded: int
    """Loaded, but not compared yet."""
    planned: int
    """To be loaded."""
    differing: int
    left_out: int
    refused: int
    unreadable: int
    """Lines of a file that are no records."""
    gone: int
    """Not in the source any more when it was read again. They stay in the store."""


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a migration."""

    document: str
    tables: tuple[TableReport, ...]
    changes: tuple[tuple[str, str, int, str], ...]
    """What is loaded otherwise than it was: table, what, in how many records, the key of one."""
    differences: tuple[tuple[str, str, tuple[str, ...]], ...]
    """What is stored otherwise than planned: step, group, and how; the first 1,000."""
    reasons: tuple[tuple[str, str, int], ...]
    """Why records were refused or left out: table, reason, how many."""
    write_units: float
    settled: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """True if every record was loaded and verified, or left out on purpose."""
        return not any(
            (each.refused, each.unreadable, each.differing, each.planned, each.loaded) != (0,) * 5
            for each in self.tables
        )


class Migration:
    """The migration of one document's tables.

    `factory` makes stores on the table to load, such as ``partial(ChatStore, "chat-prod")``;
    `sources` says where each table is read from. `work` is a folder for the work file, which has a
    copy of the records: keep it private, and delete it at the end.
    """

    def __init__(
        self,
        document: str,
        factory: StoreFactory,
        sources: Mapping[str, Source],
        work: Path,
        *,
        options: MigrationOptions | None = None,
        clock: Clock = system_clock,
        on_progress: ProgressHook | None = None,
    ) -> None:
        self.document = _document(document)
        unknown = sorted(name for name in sources if self.document.table(name) is None)
        if unknown:
            known = ", ".join(dict.fromkeys(table.name for table in self.document.tables))
            raise InvalidArgument("sources", f"{unknown[0]!r} is none of its tables: {known}")
        self.options = options or MigrationOptions()
        self.pace = Pace(self.options.records_per_second, self.options.units_per_second)
        self._sources = dict(sources)
        self._target = Target(factory, clock, self.pace.count)
        self._work = WorkFile(Path(work) / WORK_FILE, document)
        self._told = on_progress or (lambda _: None)

    def __enter__(self) -> Migration:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the work file."""
        self._work.close()

    def run(self, *, dry_run: bool = False, again: bool = False) -> Report:
        """Read, plan and, without `dry_run`, load and verify. Returns the report.

        `again` reads the sources again, for what changed since the last time. A run that was
        stopped goes on where it was. ServiceError if DynamoDB fails: call it again.
        """
        self.read(again=again)
        self.plan()
        if not dry_run:
            self.load()
            self.verify()
        return self.report()

    # -- read -----------------------------------------------------------------------------------

    def read(self, *, again: bool = False) -> None:
        """Read the sources into the work file."""
        if again:
            self._work.read_again()
            for table in self.document.tables:
                found = self._sources.get(table.name)
                if found is None or not found.is_complete:
                    self._work.seen(table.name)
        jobs = []
        for table in self.document.tables:
            found = self._sources.get(table.name)
            if found is None:
                continue
            if not self._work.segments(table.name):
                self._work.begin(table.name, found.segments(self.options.segments))
            count = _Count(found.estimate())
            for segment in self._work.segments(table.name):
                _, is_done = self._work.position(table.name, segment)
                if not is_done:
                    jobs.append((self._read, table, found, segment, count))
        self._all(jobs)

    def _read(self, table: SourceTable, found: Source, segment: str, count: _Count) -> None:
        position, _ = self._work.position(table.name, segment)
        for batch in found.read(segment, position):
            self.pace.take(len(batch.records))
            self._keep(table, segment, batch)
            done = count.add(len(batch.records))
            self._told(Progress("read", table.name, done, count.total))

    def _keep(self, table: SourceTable, segment: str | None, batch: Batch) -> int:
        staged: list[Staged] = []
        unchanged: list[str] = []
        bad: list[tuple[str, str]] = []
        with self._work.writing():
            for each in batch.records:
                if isinstance(each, Bad):
                    bad.append((each.text, each.reason))
                    continue
                try:
                    if isinstance(each, Gone):
                        self._work.gone(table.name, _key(table, each.key))
                    elif segment is not None and self._is_unchanged(table, each):
                        unchanged.append(_key(table, _renamed(table, each)))
                    else:
                        staged.append(self._staged(table, each))
                except InvalidArgument as error:
                    record = each.key if isinstance(each, Gone) else each
                    bad.append((json.dumps(record), str(error)))
            self._work.seen(table.name, unchanged)
            return self._work.keep(table.name, segment, batch.position, staged, bad)

    def _staged(self, table: SourceTable, record: Mapping[str, Any]) -> Staged:
        said = _renamed(table, record)
        group = said.get(table.group)
        return Staged(
            table=table.name,
            key=_key(table, said),
            step=self._step_of(table).name,
            group="" if group is None else str(group),
            created=time_of(table.name, said, table.created, self.options.times),
            record=record,
        )

    def _step_of(self, table: SourceTable) -> Step:
        return next(step for step in self.document.steps if table in step.tables)

    def _is_unchanged(self, table: SourceTable, record: Mapping[str, Any]) -> bool:
        since = self.options.changed_since
        if since is None or not table.changed:
            return False
        said = _renamed(table, record)
        given = [name for name in table.changed if said.get(name) is not None]
        times = [time_of(table.name, said, [name], self.options.times) for name in given]
        # The latest of them; a record without one, or with an unreadable one, is looked at.
        return all(times) and "" < max(times, default="") < format_time(utc("changed_since", since))

    def mend(self, path: Path) -> int:
        """Read records that were mended, in the file that `write_refused` wrote.

        Returns how many of them are changed. InvalidArgument names a line that can't be used.
        """
        changed = 0
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                table, record = self._mended(f"line {number}", line)
                changed += self._keep(table, None, Batch([record], None))
        return changed

    def _mended(self, where: str, line: str) -> tuple[SourceTable, dict[str, Any]]:
        try:
            found = read_json(line)
            name, record = found["table"], found["record"]
        except (ValueError, TypeError, LookupError, RecursionError):
            allowed = 'must be JSON: {"table": …, "record": {…}}'
            raise InvalidArgument(where, allowed) from None
        table = self.document.table(name) if isinstance(name, str) else None
        if table is None or not isinstance(record, dict):
            raise InvalidArgument(where, "must name a table of the document, and have its record")
        return table, record

    # -- plan -----------------------------------------------------------------------------------

    def plan(self) -> None:
        """Decide for each group what is loaded, and what is refused and why. Writes nothing."""
        for step in self.document.steps:
            self._work.again(step.name)
            count = _Count(self._work.number(step.name, "new"))
            # One after the other: of two records that claim an address, the older one gets it.
            for groups in self._work.groups(step.name, "new"):
                with self._work.writing():
                    self._work.settle(step.name, [self._planned(step, group) for group in groups])
                self._told(Progress("plan", step.name, count.add(len(groups)), count.total))

    def _planned(self, step: Step, group: str) -> Outcome:
        bundle = self._bundle(step, group)
        bundle.release()
        return bundle.outcome("ready" if bundle.made() else "refused")

    def _bundle(self, step: Step, group: str) -> GroupBundle:
        return GroupBundle(
            self.document, step, group, self._work, self.options.times, self._target.now()
        )

    # -- load -----------------------------------------------------------------------------------

    def load(self) -> None:
        """Write what is planned into the store."""
        for step in self.document.steps:
            count = _Count(self._work.number(step.name, "ready"))
            chunks = self._work.groups(step.name, "ready", size=_CHUNK)
            self._all((self._load, step, groups, count) for groups in chunks)

    def _load(self, step: Step, groups: Sequence[str], count: _Count) -> None:
        bundles = [self._bundle(step, group) for group in groups]
        made = [(bundle, each) for bundle in bundles for each in bundle.made()]
        loaded: Counter[str] = Counter()
        failed: set[str] = set()
        for bundle, each in made:
            if each.load is not None:
                self.pace.take(len(each.rows))
                try:
                    each.load(self._target)
                except ServiceError:
                    raise
                except DynamoChatError as error:
                    _refuse(bundle, each, str(error))
                    failed.add(bundle.group)
                else:
                    loaded[bundle.group] += 1
        batched = []
        for bundle, each in made:
            if each.items and bundle.group in failed and not loaded[bundle.group]:
                _refuse(bundle, each, "what it belongs to was refused")
            elif each.items:
                batched.append((bundle, each))
        self.pace.take(sum(len(each.rows) for _, each in batched))
        for bundle, each, said in self._by_items(batched, self._target.put_new):
            if said:
                _refuse(bundle, each, f"is stored here already, otherwise: {', '.join(said)}")
            else:
                loaded[bundle.group] += 1
        self._work.settle(
            step.name,
            [each.outcome("loaded" if loaded[each.group] else "refused") for each in bundles],
        )
        self._told(Progress("load", step.name, count.add(len(groups)), count.total))

    # -- verify ---------------------------------------------------------------------------------

    def verify(self) -> None:
        """Compare everything that was loaded with the old records, one by one."""
        for step in self.document.steps:
            states = ("loaded", "verified", "differs")
            count = _Count(self._work.number(step.name, *states))
            chunks = self._work.groups(step.name, *states, size=_CHUNK)
            self._all((self._verify, step, groups, count) for groups in chunks)

    def _verify(self, step: Step, groups: Sequence[str], count: _Count) -> None:
        said: dict[str, list[str]] = {group: [] for group in groups}
        bundles = [self._bundle(step, group) for group in groups]
        refused = {bundle.group: bundle.refused_before() for bundle in bundles}
        made = [
            (bundle, each)
            for bundle in bundles
            for each in bundle.made()
            if not refused[bundle.group] & {(row.table.name, row.key) for row in each.rows}
        ]
        self.pace.take(sum(len(each.rows) for _, each in made))
        for bundle, each in made:
            if each.differences is not None:
                said[bundle.group] += each.differences(self._target)
        batched = [(bundle, each) for bundle, each in made if each.items]
        for bundle, each, found in self._by_items(batched, self._target.compare):
            said[bundle.group] += [f"{each.rows[0]}: {one}" for one in found]
        equal = [(group, ()) for group in groups if not said[group]]
        differing = [(group, tuple(said[group])) for group in groups if said[group]]
        with self._work.writing():
            self._work.mark(step.name, "verified", equal)
            self._work.mark(step.name, "differs", differing)
        self._told(Progress("verify", step.name, count.add(len(groups)), count.total))

    def _by_items(
        self,
        batched: Sequence[tuple[GroupBundle, Made]],
        ask: Callable[[list[Any]], list[list[str]]],
    ) -> Iterator[tuple[GroupBundle, Made, list[str]]]:
        """Ask about all items at once. What is said about each thing's items."""
        answers = iter(ask([item for _, each in batched for item in each.items]))
        for bundle, each in batched:
            yield bundle, each, [said for _ in each.items for said in next(answers)]

    # -- report ---------------------------------------------------------------------------------

    def report(self) -> Report:
        """What became of the records so far."""
        tables = []
        for table in self.document.tables:
            counts = Counter(self._work.counts(table.name))
            extra = counts["unreadable"], counts["gone"]
            tables.append(
                TableReport(
                    table=table.name,
                    records=sum(counts.values()) - sum(extra),
                    verified=counts["verified"],
                    loaded=counts["loaded"],
                    planned=counts["ready"] + counts["new"],
                    differing=counts["differs"],
                    left_out=counts["left out"],
                    refused=counts["refused"],
                    unreadable=counts["unreadable"],
                    gone=counts["gone"],
                )
            )
        reasons = Counter(
            (table, reason)
            for fate in ("refused", "left out")
            for table, _, reason, _ in self._work.fates(fate)
        )
        reasons.update((table, reason) for table, _, reason in self._work.bad_lines())
        differing = (
            (step, group, tuple(said))
            for (step, group, said), _ in zip(self._work.differing(), range(1_000), strict=False)
        )
        return Report(
            document=self.document.name,
            tables=tuple(tables),
            changes=tuple(self._work.changes()),
            differences=tuple(differing),
            reasons=tuple((*named, number) for named, number in sorted(reasons.items())),
            write_units=self.pace.units,
            settled=self.document.settled,
        )

    def write_refused(self, file: TextIO) -> int:
        """Write the records that were refused, one JSON object per line. Returns how many.

        Each has its table, the reason and the record: mend the record, and read it with `mend`.
        """
        number = 0
        for table, _, reason, body in self._work.fates("refused"):
            said = {"table": table, "reason": reason, "record": json.loads(body)}
            file.write(json.dumps(said, ensure_ascii=False) + "\n")
            number += 1
        for table, text, reason in self._work.bad_lines():
            said = {"table": table, "reason": reason, "record": None, "line": text}
            file.write(json.dumps(said, ensure_ascii=False) + "\n")
            number += 1
        return number

    # -- threads --------------------------------------------------------------------------------

    def _all(self, jobs: Any) -> None:
        """Do jobs in parallel: a function and its arguments each. The first error stops them."""
        with ThreadPoolExecutor(self.options.workers) as pool:
            running: set[Future[Any]] = set()
            try:
                for act, *arguments in jobs:
                    if len(running) >= 2 * self.options.workers:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        for each in done:
                            each.result()
                    running.add(pool.submit(act, *arguments))
                for each in running:
                    each.result()
            except BaseException:
                for each in running:
                    each.cancel()
                raise


class _Count:
    """A number that threads add to. A lost addition only shows less progress."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._number = 0

    def add(self, more: int) -> int:
        self._number += more
        return self._number


def _refuse(bundle: GroupBundle, made: Made, reason: str) -> None:
    for row in made.rows:
        bundle.refuse(row, reason)


def _document(name: str) -> Document:
    found = DOCUMENTS.get(name)
    if found is None:
        raise InvalidArgument("document", f"must be one of {', '.join(sorted(DOCUMENTS))}")
    return found


def _renamed(table: SourceTable, record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the document's first name for each attribute."""
    return {table.renamed.get(name, name): value for name, value in record.items()}


def _key(table: SourceTable, said: Mapping[str, Any]) -> str:
    """The key of a record as text. InvalidArgument if a part of it is missing."""
    parts = [said.get(name) for name in table.key]
    for name, value in zip(table.key, parts, strict=True):
        if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value == "":
            raise InvalidArgument(name, "is missing, and part of the table's key")
    return str(parts[0]) if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)
