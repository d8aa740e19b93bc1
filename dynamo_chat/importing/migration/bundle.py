"""The records of one group, while it is decided what is loaded of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.importing.migration.declaring import (
    Document,
    LeftOut,
    Made,
    Refused,
    Row,
    SourceTable,
    Step,
)
from dynamo_chat.importing.migration.shaping import Shaper
from dynamo_chat.importing.migration.staging import Fate, Kept, Outcome, WorkFile
from dynamo_chat.importing.migration.times import TimeRules


class GroupBundle:
    """The records of one group; collects what is refused, left out and changed."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        document: Document,
        step: Step,
        group: str,
        work: WorkFile,
        rules: TimeRules,
        now: datetime,
    ) -> None:
        self.group = group
        self.now = now
        self._step = step
        self._work = work
        self._rules = rules
        self._fates: dict[tuple[str, str], Fate] = {}
        self._changes: list[tuple[str, str, str]] = []
        self._kept = work.records(step.name, group)
        self._rows: dict[str, list[Row]] = {}
        self._made: list[Made] | None = None
        for kept in self._kept:
            table = document.table(kept.table)
            if table is not None:
                self._add(table, kept)

    def _add(self, table: SourceTable, kept: Kept) -> None:
        shaper = Shaper(table.name, self._rules)
        said: dict[str, Any] = {}
        for name, value in kept.record.items():
            said.setdefault(table.renamed.get(name, name), value)
        row = Row(table, kept.key, {})
        try:
            record = shaper.shaped(table.shape, said)
            for name, fill in table.filled.items():
                if record.get(name) is None:
                    record[name] = fill(record)
                    shaper.changes.append(f"{name}: was missing, and filled in")
            if table.completed is not None:
                shaper.changes += dict.fromkeys(table.completed(record))
        except DynamoChatError as error:
            self.refuse(row, str(error))
            return
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
            self.refuse(row, "an attribute that others are filled in from is missing or unreadable")
            return
        row = Row(table, kept.key, record)
        self._rows.setdefault(table.name, []).append(row)
        for change in shaper.changes:
            self.change(row, change)

    def made(self) -> list[Made]:
        """What is loaded of the group; nothing if a refusal affects all of it."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> list[Made]:
        try:
            found = list(self._step.make(self))
        except LeftOut as error:
            self._rest("left out", str(error))
            return []
        except DynamoChatError as error:
            self._rest("refused", str(error))
            return []
        if self._step.is_whole and self.has_refusals:
            self._rest("refused", "another record of its group can't be loaded")
            return []
        return [
            each
            for each in found
            if not any((row.table.name, row.key) in self._fates for row in each.rows)
        ]

    def _rest(self, fate: str, reason: str) -> None:
        """Give all records that have no fate yet this one."""
        for kept in self._kept:
            named = (kept.table, kept.key)
            self._fates.setdefault(named, Fate(*named, fate, reason))

    def outcome(self, state: str) -> Outcome:
        """What became of the group."""
        if state == "refused" and not self.has_refusals:
            state = "empty"
        return Outcome(self.group, state, (), list(self._fates.values()), self._changes)

    def release(self) -> None:
        """Give up the unique values of its records: they are claimed anew."""
        for kept in self._kept:
            self._work.release(kept.table, kept.key)

    def refused_before(self) -> set[tuple[str, str]]:
        """The records that were refused when the group was loaded."""
        return self._work.refused(self._step.name, self.group)

    # -- for the steps of documents ---------------------------------------------------------------

    def rows(self, table: str) -> Sequence[Row]:
        """The readable records of a table, by key."""
        return self._rows.get(table, [])

    @property
    def has_refusals(self) -> bool:
        """True if a record of the group can't be loaded."""
        return any(each.fate == "refused" for each in self._fates.values())

    def refuse(self, row: Row, reason: str) -> None:
        """Report that a record can't be loaded."""
        named = (row.table.name, row.key)
        self._fates.setdefault(named, Fate(*named, "refused", reason))

    def leave_out(self, row: Row, reason: str) -> None:
        """Report that a record is not loaded on purpose."""
        named = (row.table.name, row.key)
        self._fates.setdefault(named, Fate(*named, "left out", reason))

    def change(self, row: Row, what: str) -> None:
        """Report that a record is loaded with a difference."""
        self._changes.append((row.table.name, row.key, what))

    def holder(self, space: str, value: str, row: Row) -> str:
        """The key of the record that has a unique value; the first one that asks gets it."""
        return self._work.holder(space, value, row.table.name, row.key)

    def is_accepted(self, step: str, group: str) -> bool:
        """True if an earlier step has this group, and did not refuse it."""
        return self._work.is_accepted(step, group)

    def head(self, table: str) -> Row:
        """The one record of the first table. Refused if it is missing: the others are orphans."""
        found = self.rows(table)
        if not found:
            raise Refused(f"orphan: there is no readable record of {table} for it")
        return found[0]
