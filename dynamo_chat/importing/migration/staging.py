"""The work file: a copy of the old records, and how far the migration is.

It is one SQLite file, so each step forward is written as a whole or not at all: a batch of records
together with the position after it, a chunk of groups together with what became of them. Nothing
in it is needed to be correct: loading is idempotent, so losing the file costs time only.

    records   one row per old record: its content, its group, why it was refused or left out
    groups    one row per step and group: new, ready, loaded, verified or differs
    claims    who has a value that must be unique here
    reading   for each segment of a source, the position reached
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from dynamo_chat.core.errors import InvalidArgument

_VERSION: Final = "1"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reading (
    tbl TEXT, segment TEXT, position TEXT, done INTEGER DEFAULT 0,
    PRIMARY KEY (tbl, segment)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    tbl TEXT, key TEXT, step TEXT, grp TEXT, created TEXT, digest TEXT, body TEXT, round INTEGER,
    fate TEXT, reason TEXT,
    PRIMARY KEY (tbl, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_group ON records (step, grp);
CREATE INDEX IF NOT EXISTS records_by_fate ON records (fate, tbl);
CREATE TABLE IF NOT EXISTS groups (
    step TEXT, grp TEXT, created TEXT, state TEXT, said TEXT,
    PRIMARY KEY (step, grp)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS groups_by_state ON groups (step, state, created, grp);
CREATE TABLE IF NOT EXISTS claims (
    space TEXT, value TEXT, tbl TEXT, holder TEXT,
    PRIMARY KEY (space, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (
    tbl TEXT, key TEXT, said TEXT, PRIMARY KEY (tbl, key, said)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bad (
    tbl TEXT, digest TEXT, text TEXT, reason TEXT, PRIMARY KEY (tbl, digest)) WITHOUT ROWID;
"""


class Staged(NamedTuple):
    """A record to keep."""

    table: str
    key: str
    step: str
    group: str
    created: str
    record: Mapping[str, Any]


class Kept(NamedTuple):
    """A kept record."""

    table: str
    key: str
    record: dict[str, Any]


class Fate(NamedTuple):
    """What became of a record: ``refused`` or ``left out``, and why."""

    table: str
    key: str
    fate: str
    reason: str


class Outcome(NamedTuple):
    """What became of a group."""

    group: str
    state: str
    said: Sequence[str]
    fates: Sequence[Fate]
    changes: Sequence[tuple[str, str, str]]


class WorkFile:
    """The work file of one migration. Its owner alone can read it. Safe to share by threads."""

    def __init__(self, path: Path, document: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_SCHEMA)
            self._expect("version", _VERSION, path)
            self._expect("document", document, path)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise InvalidArgument("work", f"{path.name!r} is not a work file: {error}") from error
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def fact(self, name: str, default: str = "") -> str:
        """A value that was kept under a name."""
        found = self._one("SELECT value FROM facts WHERE name = ?", name)
        return default if found is None else str(found)

    def remember(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        with self.writing() as database:
            database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # -- reading ----------------------------------------------------------------------------------

    def position(self, table: str, segment: str) -> tuple[str | None, bool]:
        """The position that a segment was read to, and whether all of it was read."""
        with self._lock:
            found = self._database.execute(
                "SELECT position, done FROM reading WHERE tbl = ? AND segment = ?", (table, segment)
            ).fetchone()
        return (None, False) if found is None else (found[0], bool(found[1]))

    def segments(self, table: str) -> list[str]:
        """The segments that a table's reading was begun with."""
        return [row[0] for row in self._all("SELECT segment FROM reading WHERE tbl = ?", table)]

    def begin(self, table: str, segments: Iterable[str]) -> None:
        """Keep the segments of a table, so that reading goes on with the same ones."""
        with self.writing() as database:
            database.executemany(
                "INSERT OR IGNORE INTO reading (tbl, segment) VALUES (?, ?)",
                [(table, each) for each in segments],
            )

    def read_again(self) -> None:
        """Forget how far the sources were read; what was read stays."""
        with self.writing() as database:
            database.execute("DELETE FROM reading")
            database.execute("DELETE FROM bad")
            database.execute(
                "INSERT OR REPLACE INTO facts VALUES ('round', ?)", (str(self.round + 1),)
            )

    def seen(self, table: str, keys: Sequence[str] | None = None) -> None:
        """Say that these records, or all of a table, are still in the source."""
        with self.writing() as database:
            if keys is None:
                database.execute(
                    "UPDATE records SET round = ? WHERE tbl = ? AND round >= 0", (self.round, table)
                )
            else:
                database.executemany(
                    "UPDATE records SET round = ? WHERE tbl = ? AND key = ?",
                    [(self.round, table, key) for key in keys],
                )

    def gone(self, table: str, key: str) -> None:
        """Say that a record is no longer in the source."""
        with self.writing() as database:
            database.execute(
                "UPDATE records SET round = -1 WHERE tbl = ? AND key = ?", (table, key)
            )

    @property
    def round(self) -> int:
        """How often the sources were read again."""
        return int(self.fact("round", "0"))

    def keep(
        self,
        table: str,
        segment: str | None,
        position: str | None,
        records: Sequence[Staged],
        bad: Sequence[tuple[str, str]],
    ) -> int:
        """Keep records, and the position after them. Returns how many are new or changed."""
        changed, current = 0, self.round
        with self.writing() as database:
            for each in records:
                body = json.dumps(each.record, ensure_ascii=True, sort_keys=True)
                digest = hashlib.sha256(body.encode()).hexdigest()
                there = database.execute(
                    "SELECT digest, step, grp FROM records WHERE tbl = ? AND key = ?",
                    (each.table, each.key),
                ).fetchone()
                if there is not None and there[0] == digest:
                    database.execute(
                        "UPDATE records SET round = ? WHERE tbl = ? AND key = ?",
                        (current, each.table, each.key),
                    )
                    continue
                changed += 1
                database.execute(
                    "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                    (*each[:5], digest, body, current),
                )
                groups = {(each.step, each.group)} | ({there[1:]} if there is not None else set())
                database.executemany(
                    "INSERT INTO groups VALUES (?, ?, ?, 'new', '[]') ON CONFLICT (step, grp) "
                    "DO UPDATE SET state = 'new', created = min(created, excluded.created)",
                    [(*group, each.created) for group in groups],
                )
            for text, reason in bad:
                digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
                database.execute(
                    "INSERT OR REPLACE INTO bad VALUES (?, ?, ?, ?)", (table, digest, text, reason)
                )
            if segment is not None:
                database.execute(
                    "INSERT OR REPLACE INTO reading VALUES (?, ?, ?, ?)",
                    (table, segment, position, position is None),
                )
        return changed

    # -- groups -----------------------------------------------------------------------------------

    def groups(self, step: str, *states: str, size: int = 100) -> Iterator[list[str]]:
        """The groups of a step in these states, oldest first, in chunks."""
        marks = ", ".join("?" * len(states))
        found = [
            row[0]
            for row in self._all(
                f"SELECT grp FROM groups WHERE step = ? AND state IN ({marks}) "  # noqa: S608
                "ORDER BY created, grp",
                step,
                *states,
            )
        ]
        for start in range(0, len(found), size):
            yield found[start : start + size]

    def number(self, step: str, *states: str) -> int:
        """How many groups of a step are in these states."""
        marks = ", ".join("?" * len(states))
        return int(
            self._one(
                f"SELECT count(*) FROM groups WHERE step = ? AND state IN ({marks})",  # noqa: S608
                step,
                *states,
            )
            or 0
        )

    def records(self, step: str, group: str) -> list[Kept]:
        """The records of a group, by table and key."""
        rows = self._all(
            "SELECT tbl, key, body FROM records WHERE step = ? AND grp = ? ORDER BY tbl, key",
            step,
            group,
        )
        return [Kept(table, key, json.loads(body)) for table, key, body in rows]

    def is_accepted(self, step: str, group: str) -> bool:
        """True if a step has this group, and it has something to load."""
        state = self._one("SELECT state FROM groups WHERE step = ? AND grp = ?", step, group)
        return state not in {None, "refused"}

    def again(self, step: str) -> None:
        """Set a step's refused groups back, because what they lacked may be there now."""
        with self.writing() as database:
            database.execute(
                "UPDATE groups SET state = 'new' WHERE step = ? AND grp IN "
                "(SELECT grp FROM records WHERE step = ? AND fate = 'refused')",
                (step, step),
            )

    def settle(self, step: str, outcomes: Iterable[Outcome]) -> None:
        """Keep what became of groups and their records."""
        with self.writing() as database:
            for each in outcomes:
                database.execute(
                    "UPDATE groups SET state = ?, said = ? WHERE step = ? AND grp = ?",
                    (each.state, json.dumps(list(each.said)), step, each.group),
                )
                database.execute(
                    "DELETE FROM changes WHERE (tbl, key) IN "
                    "(SELECT tbl, key FROM records WHERE step = ? AND grp = ?)",
                    (step, each.group),
                )
                database.execute(
                    "UPDATE records SET fate = NULL, reason = NULL WHERE step = ? AND grp = ?",
                    (step, each.group),
                )
                database.executemany(
                    "UPDATE records SET fate = ?, reason = ? WHERE tbl = ? AND key = ?",
                    [(fate.fate, fate.reason, fate.table, fate.key) for fate in each.fates],
                )
                database.executemany("INSERT OR IGNORE INTO changes VALUES (?, ?, ?)", each.changes)

    def mark(self, step: str, state: str, groups: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Set the state of groups, with what is said about each."""
        with self.writing() as database:
            database.executemany(
                "UPDATE groups SET state = ?, said = ? WHERE step = ? AND grp = ?",
                [(state, json.dumps(list(said)), step, group) for group, said in groups],
            )

    def holder(self, space: str, value: str, table: str, key: str) -> str:
        """The key of the record that holds a unique value; this one, if none did."""
        with self.writing() as database:
            database.execute(
                "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?)", (space, value, table, key)
            )
            row = database.execute(
                "SELECT holder FROM claims WHERE space = ? AND value = ?", (space, value)
            ).fetchone()
        return str(row[0])

    def release(self, table: str, key: str) -> None:
        """Give up the unique values of a record, which is looked at anew."""
        with self.writing() as database:
            database.execute("DELETE FROM claims WHERE tbl = ? AND holder = ?", (table, key))

    # -- what is reported -------------------------------------------------------------------------

    def counts(self, table: str) -> dict[str, int]:
        """The number of a table's records by what became of them."""
        rows = self._all(
            "SELECT coalesce(r.fate, g.state), count(*) FROM records r JOIN groups g "
            "ON g.step = r.step AND g.grp = r.grp WHERE r.tbl = ? GROUP BY 1",
            table,
        )
        found = {str(name): int(number) for name, number in rows}
        found["unreadable"] = int(self._one("SELECT count(*) FROM bad WHERE tbl = ?", table) or 0)
        found["gone"] = int(
            self._one("SELECT count(*) FROM records WHERE tbl = ? AND round < ?", table, self.round)
            or 0
        )
        return found

    def fates(self, fate: str) -> Iterator[tuple[str, str, str, str]]:
        """Table, key, reason and content of the records with this fate."""
        yield from self._all(
            "SELECT tbl, key, reason, body FROM records WHERE fate = ? ORDER BY tbl, key", fate
        )

    def refused(self, step: str, group: str) -> set[tuple[str, str]]:
        """Table and key of the refused records of a group."""
        rows = self._all(
            "SELECT tbl, key FROM records WHERE step = ? AND grp = ? AND fate = 'refused'",
            step,
            group,
        )
        return {(table, key) for table, key in rows}

    def bad_lines(self) -> list[tuple[str, str, str]]:
        """Table, text and reason of the lines that can't be read."""
        return self._all("SELECT tbl, text, reason FROM bad ORDER BY tbl, digest")

    def changes(self) -> list[tuple[str, str, int, str]]:
        """Table, what was changed, in how many records, and the key of one of them."""
        return self._all(
            "SELECT tbl, said, count(*), min(key) FROM changes GROUP BY tbl, said ORDER BY 1, 2"
        )

    def differing(self) -> Iterator[tuple[str, str, list[str]]]:
        """Step, group and differences of the groups that are stored otherwise."""
        for step, group, said in self._all(
            "SELECT step, grp, said FROM groups WHERE state = 'differs' ORDER BY step, grp"
        ):
            yield step, group, json.loads(said)

    # -- SQLite -----------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept, or nothing; nested ones are part of the outer."""
        with self._lock:
            if self._database.in_transaction:
                yield self._database
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _all(self, query: str, *arguments: Any) -> list[Any]:
        with self._lock:
            return self._database.execute(query, arguments).fetchall()

    def _one(self, query: str, *arguments: Any) -> Any:
        with self._lock:
            found = self._database.execute(query, arguments).fetchone()
        return None if found is None else found[0]

    def _expect(self, name: str, value: str, path: Path) -> None:
        there = self.fact(name)
        if not there:
            self.remember(name, value)
        elif there != value:
            raise InvalidArgument("work", f"{path.name!r} belongs to {there!r}, not {value!r}")
