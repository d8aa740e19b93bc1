"""Killed at any request or step on the disk, an export and a restore go on where they were."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat.archive.exporting import StoreExport
from dynamo_chat.archive.files import (
    EXPORT_JOURNAL,
    MANIFEST,
    Journal,
    journal_header,
    part_name,
)
from dynamo_chat.archive.restoring import RestoreReport, StoreRestore
from dynamo_chat.archive.shared import Progress, described
from dynamo_chat.core.errors import InvalidArchive, InvalidArgument, Unreachable as NoAnswer
from dynamo_chat.testing import DropAnswer, FaultInjector, Kill, Killed, Throttled, Unprocessed
from dynamo_chat.testing.faults import kill_points
from tests.archive.scenes import (
    a_restore,
    an_export,
    beside,
    exported,
    forged_items,
    lines,
    restored,
    same,
    store_on,
)
from tests.scene import Item, Scene
from tooling.everything import populate

pytestmark = [pytest.mark.engine, pytest.mark.once]

SMALL: dict[str, Any] = {"segments": 1, "page_size": 9, "part_items": 20}
"""Options that make several requests and parts of a small table."""


@pytest.fixture
def full(scene: Scene) -> Scene:
    """The scene, with one of everything in its table."""
    populate(scene.store)
    return scene


@contextmanager
def dying_on_disk(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[list[str]]:
    """The process dies at this step on the disk: a sync, or a file that gets its name."""
    steps: list[str] = []

    def counted(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            steps.append(name)
            if len(steps) == number:
                raise Killed
            return act(*arguments, **options)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", counted("sync", os.fsync))
        patched.setattr(Path, "replace", counted("name", Path.replace))
        patched.setattr(Path, "unlink", counted("delete", Path.unlink))
        yield steps


def killed(of: StoreExport | StoreRestore, at: int, operation: str | None = None) -> None:
    """Run it, and let it die when this request was done."""
    with FaultInjector(of.connection.client) as injector:
        injector.plan(Kill(after_sending=True), at=at, operation=operation)
        with pytest.raises(Killed):
            of.run()


def requests_of(call: Callable[[], object], of: StoreExport | StoreRestore) -> int:
    with FaultInjector(of.connection.client) as injector:
        call()
    return injector.requests


@pytest.mark.long
def test_an_export_that_was_killed_at_a_request_goes_on(full: Scene, tmp_path: Path) -> None:
    first = an_export(full, tmp_path / "whole", **SMALL)
    number = requests_of(first.run, first)
    wanted = lines(tmp_path / "whole")
    assert number > 8
    for at, kill in kill_points(number):
        folder = tmp_path / f"{at}-{kill.after_sending}"
        dying = an_export(full, folder, **SMALL)
        with FaultInjector(dying.connection.client) as injector:
            injector.plan(kill, at=at)
            with pytest.raises(Killed):
                dying.run()
        if folder.exists():
            assert MANIFEST not in {each.name for each in folder.iterdir()}
        exported(full, folder, page_size=5)
        assert lines(folder) == wanted
        assert not [each for each in folder.iterdir() if each.name.endswith("partial")]


def test_an_export_that_goes_on_reads_only_what_is_missing(full: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    killed(an_export(full, folder, **SMALL), 7)
    with pytest.raises(InvalidArchive, match="the export was not finished; run it again"):
        restored(full, folder)
    again = an_export(full, folder, **SMALL)
    whole = an_export(full, tmp_path / "whole", **SMALL)
    assert requests_of(again.run, again) < requests_of(whole.run, whole)
    assert lines(folder) == lines(tmp_path / "whole")


@pytest.mark.long
def test_an_export_that_was_killed_on_the_disk_goes_on(
    full: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(full, tmp_path / "whole", **SMALL)
    wanted = lines(tmp_path / "whole")
    number, was_killed = 0, True
    while was_killed:
        number += 1
        folder = tmp_path / str(number)
        with dying_on_disk(monkeypatch, number):
            try:
                exported(full, folder, **SMALL)
                was_killed = False
            except Killed:
                pass
        if (folder / MANIFEST).exists():
            with suppress(InvalidArgument):
                exported(full, folder)
        else:
            exported(full, folder)
        assert lines(folder) == wanted
        assert not (folder / EXPORT_JOURNAL).exists()
    assert number > 20


@pytest.mark.long
@pytest.mark.parametrize("merge", [False, True])
def test_a_restore_that_was_killed_at_a_request_goes_on(
    full: Scene, tmp_path: Path, merge: bool
) -> None:
    if merge:  # a request for each item
        items = full.items()
        full.restore(items[::6], there=items)
    folder = tmp_path / "archive"
    exported(full, folder, **SMALL)
    wanted = same(full.items())
    options: dict[str, Any] = {"workers": 1, "merge": merge}
    with beside(full) as other:
        whole = a_restore(other, folder, **options)
        number = requests_of(whole.run, whole)
        assert number > 8
        for at, kill in kill_points(number):
            other.restore([])
            dying = a_restore(other, folder, **options)
            with FaultInjector(dying.connection.client) as injector:
                injector.plan(kill, at=at)
                with pytest.raises(Killed):
                    dying.run()
            assert restored(other, folder, **options).is_clean
            assert same(other.items()) == wanted
            assert not list(folder.glob("restore-*"))


@pytest.mark.long
def test_a_restore_that_was_killed_on_the_disk_goes_on(
    full: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archive"
    exported(full, folder, **SMALL)
    wanted = same(full.items())
    number, was_killed = 0, True
    with beside(full) as other:
        while was_killed:
            number += 1
            other.restore([])
            with dying_on_disk(monkeypatch, number):
                try:
                    restored(other, folder)
                    was_killed = False
                except Killed:
                    pass
            if was_killed:
                done = bool(other.items()) and not list(folder.glob("restore-*"))
                assert restored(other, folder, merge=done).is_clean
            assert same(other.items()) == wanted
    assert number > 8


def test_a_line_of_the_journal_that_was_cut_short_was_not_done(tmp_path: Path) -> None:
    """At every byte: what was added before is kept, and what is added then comes after it."""
    path = tmp_path / "journal"
    journal = Journal(path, "folder")
    journal.add(journal_header(step=1))
    whole = path.stat().st_size
    journal.add({"step": 2, "said": "é"})
    journal.close()
    text = path.read_bytes()
    for length in range(whole, len(text)):
        path.write_bytes(text[:length])
        again = Journal(path, "folder")
        assert again.entries == [journal_header(step=1)]
        again.add({"step": 3})
        again.close()
        last = Journal(path, "folder")
        assert last.entries == [journal_header(step=1), {"step": 3}]
        last.close()
    for length in range(whole):
        path.write_bytes(text[:length])
        again = Journal(path, "folder")
        assert again.entries == []
        again.close()


@pytest.mark.parametrize(
    "content", [b"notes", b"notes\n", b'{"a":1}', b'{"a":1}\n{"b":2}', b"\x00", b"\n", b"{\n}"]
)
def test_another_file_than_a_journal_stays_as_it_is(
    full: Scene, tmp_path: Path, content: bytes
) -> None:
    """By mistake, or because a link in the folder leads to it."""
    folder, mine = tmp_path / "archive", tmp_path / "mine"
    exported(full, folder)
    mine.write_bytes(content)
    with beside(full) as other:
        with pytest.raises(InvalidArgument, match="journal: 'mine' is a file with other content"):
            restored(other, folder, journal=mine)
        own = a_restore(other, folder)._journal_path()
        own.symlink_to(mine)
        with pytest.raises(InvalidArgument, match=r"journal: .* can't be opened"):
            restored(other, folder)
        assert other.items() == []
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / EXPORT_JOURNAL).symlink_to(mine)
    with pytest.raises(InvalidArgument, match=r"folder: .* can't be opened"):
        exported(full, begun)
    (begun / EXPORT_JOURNAL).unlink()
    (begun / EXPORT_JOURNAL).write_bytes(content)
    with pytest.raises(InvalidArgument, match=r"folder: .* other content"):
        exported(full, begun)
    assert (begun / EXPORT_JOURNAL).read_bytes() == mine.read_bytes() == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_journal_is_a_regular_file(full: Scene, tmp_path: Path) -> None:
    exported(full, tmp_path / "archive")
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "none/journal"):
        with pytest.raises(InvalidArgument, match="journal: "):
            restored(full, tmp_path / "archive", journal=tmp_path / name, merge=True)


def test_a_damaged_journal_is_told(full: Scene, tmp_path: Path) -> None:
    """Whatever a value of it is: it is refused, or what is done is right all the same."""
    whole, begun, journal = tmp_path / "whole", tmp_path / "begun", tmp_path / "journal"
    wanted = same(full.items())
    exported(full, whole, **SMALL)
    killed(an_export(full, begun, **SMALL), 7)
    made = an_export(full, begun, **SMALL)
    description = described(made.connection)
    for text in damaged(begun / EXPORT_JOURNAL):
        (begun / EXPORT_JOURNAL).write_text(text)
        with suppress(InvalidArgument), closing(Journal(begun / EXPORT_JOURNAL, "folder")) as found:
            made._manifest(made._begun(found, description))
    with beside(full) as other:
        killed(a_restore(other, whole, workers=1, journal=journal), 5, "BatchGetItem")
        for text in damaged(journal):
            journal.write_text(text)
            with suppress(InvalidArgument):
                assert restored(other, whole, journal=journal).is_clean
        assert same(other.items()) == wanted


def damaged(journal: Path) -> Iterator[str]:
    """The journal with other values, one at a time."""
    lines = journal.read_text().splitlines()
    assert len(lines) > 1
    others: list[Any] = [None, -1, 1e999, "x", {"x": {}}]
    for number, line in enumerate(lines):
        entry = json.loads(line)
        for name in entry:
            for value in others:
                changed = json.dumps({**entry, name: value}, separators=(",", ":"))
                yield "\n".join([*lines[:number], changed, *lines[number + 1 :], ""])


def test_two_processes_do_not_share_a_folder(
    full: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archive"
    first = an_export(full, folder, **SMALL)
    pages = first._pages
    refused: list[str] = []

    def meanwhile(*arguments: Any) -> Any:
        for page in pages(*arguments):
            with pytest.raises(InvalidArgument) as caught:
                exported(full, folder)
            refused.append(str(caught.value))
            yield page

    monkeypatch.setattr(first, "_pages", meanwhile)
    first.run()
    assert refused
    assert all("another process works with" in each for each in refused)
    with beside(full) as other:
        assert restored(other, folder).is_clean


def test_two_restores_at_once_write_the_same(full: Scene, tmp_path: Path) -> None:
    """One from this folder, which no other may use; and one from a copy of it."""
    folder = tmp_path / "archive"
    exported(full, folder, **SMALL)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    reports: list[RestoreReport] = []

    def meanwhile(progress: Progress) -> None:
        if progress.phase == "restore" and not reports:
            with pytest.raises(InvalidArgument, match="journal: another process works with"):
                restored(other, folder)
            reports.append(restored(other, copy, merge=True))

    with beside(full) as other:
        store = store_on(other)
        reports.append(StoreRestore(store, folder, clock=full.clock, on_progress=meanwhile).run())
        assert [each.is_clean for each in reports] == [True, True]
        assert same(other.items()) == same(full.items())


def test_a_part_that_is_gone_is_told_by_the_export(full: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    killed(an_export(full, folder, **SMALL), 7)
    (folder / part_name(0, 0)).unlink()
    with pytest.raises(InvalidArchive, match=r"items-0000-000000\.jsonl\.gz: is gone"):
        exported(full, folder)
    assert not (folder / MANIFEST).exists()


def test_a_merge_goes_on_as_a_merge(full: Scene, tmp_path: Path) -> None:
    """Others may use the table: nothing is written there without a condition."""
    folder = tmp_path / "archive"
    exported(full, folder, **SMALL)
    with beside(full) as other:
        killed(a_restore(other, folder, workers=1, merge=True), 2, "PutItem")
        there = other.items()
        with pytest.raises(InvalidArgument, match="merge: "):
            restored(other, folder)
        assert other.items() == there
        assert restored(other, folder, merge=True).is_clean


def test_a_folder_of_another_table_is_refused(full: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    killed(an_export(full, folder, **SMALL), 4)
    with beside(full) as other, pytest.raises(InvalidArgument, match="of another table"):
        exported(other, folder)
    with (folder / EXPORT_JOURNAL).open("ab") as journal:
        journal.write(b'{"segment": 0}\n')
    with pytest.raises(InvalidArchive, match="is damaged"):
        exported(full, folder)


def test_a_restore_goes_on_with_its_own_archive_only(full: Scene, tmp_path: Path) -> None:
    """And not in a new table that has the name of the old one."""
    folder, journal = tmp_path / "archive", tmp_path / "journal"
    exported(full, folder, **SMALL)
    (tmp_path / "other").mkdir()
    foreign = forged_items(tmp_path / "foreign", *full.items()[:3])
    with beside(full) as other:
        killed(a_restore(other, folder, journal=journal, workers=1), 2, "BatchWriteItem")
        some = len(other.items())
        assert 0 < some < len(full.items())
        with pytest.raises(InvalidArgument, match="journal: is that of another archive"):
            restored(other, foreign, journal=journal)
        text = journal.read_text().replace('"id":"', '"id":"before ', 1)
        journal.write_text(text)
        with pytest.raises(InvalidArgument, match="table: must be empty"):
            restored(other, folder, journal=journal)
        assert len(other.items()) == some
        report = restored(other, folder, merge=True)
        assert (report.written, report.there) == (len(full.items()) - some, some)
        assert same(other.items()) == same(full.items())


@pytest.mark.parametrize("merge", [False, True])
def test_what_was_changed_meanwhile_stays(full: Scene, tmp_path: Path, merge: bool) -> None:
    """Somebody uses the table before the restore is done: it goes on, and overwrites nothing."""
    folder = tmp_path / "archive"
    exported(full, folder, **SMALL)
    with beside(full) as other:
        killed(a_restore(other, folder, workers=1), 2, "BatchWriteItem")
        changed = {**other.items()[0], "more": {"S": "x"}}
        other.put(changed)
        report = restored(other, folder, merge=merge)
        assert (report.differing, report.verified) == (1, len(full.items()) - 1)
        assert changed in other.items()
        assert report.differences[0].says == "more is not in the record"


def test_what_dynamodb_leaves_undone_is_sent_again(full: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    with_faults = an_export(full, folder, **SMALL)
    with FaultInjector(with_faults.connection.client) as injector:
        injector.plan(Throttled(), at=3)
        injector.plan(DropAnswer(), at=5)
        with_faults.run()
    assert len(injector.injected) == 2
    with beside(full) as other:
        hurt = a_restore(other, folder, workers=2)
        with FaultInjector(hurt.connection.client) as injector:
            injector.plan(Unprocessed(last=3), at=1, times=4)
            injector.plan(Throttled(), at=6)
            injector.plan(DropAnswer(), at=2, operation="BatchWriteItem")
            assert hurt.run().is_clean
        assert len(injector.injected) >= 5
        assert same(other.items()) == same(full.items())


def test_an_error_in_one_segment_stops_the_others(
    full: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = an_export(full, tmp_path / "archive", segments=4, page_size=2)
    pages, begun = made._pages, threading.Event()

    def broken(segment: int, *arguments: Any) -> Iterator[tuple[list[Item], Any]]:
        for page in pages(segment, *arguments):
            if segment == 1:
                begun.set()
                raise NoAnswer("no answer")
            begun.wait()
            yield page

    monkeypatch.setattr(made, "_pages", broken)
    with pytest.raises(NoAnswer):
        made.run()
    assert exported(full, tmp_path / "archive").items == len(full.items())
