"""Where a store is restored to, and from: tables in use, other tables, exports to S3."""

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import ChatStore, NewMessage, TableDefinition, TableNotFound, UserExists
from dynamo_chat.archive.exporting import ExportOptions, StoreExport
from dynamo_chat.archive.restoring import RestoreOptions, StoreRestore
from dynamo_chat.core.errors import InvalidArchive, InvalidArgument
from dynamo_chat.core.layout import PK, SK
from dynamo_chat.importing.migration.pace import Pace
from tests.archive.scenes import (
    a_restore,
    an_export,
    beside,
    exported,
    lines,
    restored,
    same,
    store_on,
)
from tests.doctor.scene import doctor_of
from tests.scene import DAY, Item, Scene, key_of
from tooling.everything import populate

pytestmark = [pytest.mark.engine, pytest.mark.once]


@pytest.fixture
def folder(scene: Scene, tmp_path: Path) -> Path:
    """An archive of a table with one of everything."""
    populate(scene.store)
    exported(scene, tmp_path / "archive", segments=2, page_size=9, part_items=20)
    return tmp_path / "archive"


def named(scene: Scene, table: str) -> ChatStore:
    """A store on another table of the scene's engine."""
    return ChatStore(table, region=scene.engine.region, endpoint_url=scene.engine.endpoint_url)


def test_a_table_in_use_is_refused(scene: Scene, folder: Path) -> None:
    """Unless what it has is to be kept: then what is missing is added."""
    there = scene.items()
    with pytest.raises(InvalidArgument, match="table: must be empty"):
        restored(scene, folder)
    with pytest.raises(InvalidArgument, match="table: must be empty"):
        restored(scene, folder, dry_run=True)
    gone = there[::3]
    scene.delete(*gone)
    report = restored(scene, folder, merge=True)
    assert (report.written, report.there) == (len(gone), len(there) - len(gone))
    assert report.is_clean
    assert same(scene.items()) == same(there)
    assert restored(scene, folder, merge=True).written == 0


def test_what_is_there_is_never_overwritten(scene: Scene, folder: Path) -> None:
    """It is told, with the ids in its key, and nothing else of it."""
    scene.store.conversations.rename("talk-ann", "Secret plans")
    there = scene.items()
    report = restored(scene, folder, merge=True)
    assert scene.items() == there
    assert not report.is_clean
    said = [str(each) for each in report.differences]
    assert len(said) == report.differing >= 1
    assert any(line.startswith("conversation (conversation_id 'talk-ann'): ") for line in said)
    assert "Secret" not in " ".join(said)
    assert json.dumps(report.as_dict())


def test_an_expired_item_makes_room(scene: Scene, folder: Path) -> None:
    """As it does for every writer: it is gone, whatever DynamoDB has done about it."""
    (talk, *_) = (item for item in scene.items() if item["kind"]["S"] == "user_password")
    old = {**talk, "ttl": {"N": str(int((scene.clock() - DAY).timestamp()))}}
    for merge in (False, True):
        with beside(scene) as other:
            other.put(old)
            made = a_restore(other, folder, merge=merge)
            if merge:
                assert made.run().is_clean
            else:
                # It is there when the items are written, as in a restore that goes on.
                assert made._table.put_new([talk]) == 1
            (found,) = (item for item in other.items() if key_of(item) == key_of(talk))
            assert found == talk


def test_a_writer_meanwhile_is_told(scene: Scene, folder: Path) -> None:
    with beside(scene) as other:
        made = a_restore(other, folder, workers=1)
        verify = made._verify

        def later(items: Any) -> Any:
            gone = [item for item in other.items() if item["kind"]["S"] == "ev_score"]
            other.delete(*gone)
            return verify(items)

        made._verify = later  # type: ignore[method-assign]
        report = made.run()
        (said,) = report.differences
        assert str(said).startswith("ev_score (conversation_id 'mail-ann', calculation_date")
        assert str(said).endswith("is missing")


def test_the_table_needs_its_indexes_and_no_more(scene: Scene, folder: Path) -> None:
    """Its encryption, billing and protection are its own."""
    with beside(scene) as other:
        key = [{"AttributeName": PK, "KeyType": "HASH"}, {"AttributeName": SK, "KeyType": "RANGE"}]
        other.client.create_table(
            TableName=f"{other.table}-bare",
            KeySchema=key,
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in (PK, SK)],
            BillingMode="PAY_PER_REQUEST",
        )
        bare = store_on(other)
        bare = type(bare)(
            f"{other.table}-bare",
            region=other.engine.region,
            endpoint_url=other.engine.endpoint_url,
        )
        try:
            with pytest.raises(InvalidArgument, match="table: index GSI1: missing"):
                StoreRestore(bare, folder, clock=scene.clock).run()
        finally:
            other.client.delete_table(TableName=f"{other.table}-bare")
        gone = type(bare)(
            "nowhere", region=other.engine.region, endpoint_url=other.engine.endpoint_url
        )
        with pytest.raises(TableNotFound):
            StoreRestore(gone, folder, clock=scene.clock).run()
    other_settings = TableDefinition(
        deletion_protection=False, point_in_time_recovery=False, encryption_managed=True
    )
    encrypted = named(scene, f"{scene.table}-kms")
    encrypted.table.create(other_settings)
    try:
        assert StoreRestore(encrypted, folder, clock=scene.clock).run().is_clean
    finally:
        scene.client.delete_table(TableName=f"{scene.table}-kms")


def test_the_journal_can_be_elsewhere(scene: Scene, folder: Path, tmp_path: Path) -> None:
    """An archive may lie where nothing can be written."""
    there = {each.name for each in folder.iterdir()}
    with beside(scene) as other:
        seen: list[set[str]] = []
        journal = tmp_path / "journal.jsonl"
        made = StoreRestore(
            store_on(other),
            folder,
            RestoreOptions(journal=journal),
            clock=scene.clock,
            on_progress=lambda _: seen.append({each.name for each in folder.iterdir()}),
        )
        assert made.run().is_clean
        assert seen
        assert all(each == there for each in seen)
        assert not journal.exists()


# -- rates --------------------------------------------------------------------------------------


def test_rates_are_kept(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request waits until what was used before is paid."""
    populate(scene.store)
    slept: list[float] = []
    defaults = {"clock": lambda: sum(slept), "sleep": slept.append, "of_reads": False}
    monkeypatch.setattr(Pace.__init__, "__kwdefaults__", defaults)
    made = StoreExport(
        store_on(scene),
        tmp_path / "archive",
        ExportOptions(segments=1, page_size=10, read_units_per_second=2),
        clock=scene.clock,
    )
    report = made.run()
    assert report.read_units >= 7
    assert sum(slept) >= (report.read_units - 4) / 2
    del slept[:]
    with beside(scene) as other:
        options = RestoreOptions(write_units_per_second=3, workers=1)
        found = StoreRestore(
            store_on(other), tmp_path / "archive", options, clock=scene.clock
        ).run()
        assert found.is_clean
        assert found.write_units > 0
        assert slept


# -- exports to S3 ------------------------------------------------------------------------------


def s3_export(folder: Path, files: list[list[Item]], **changes: Any) -> Path:
    """The folder of a full export of these items, as DynamoDB writes it."""
    (folder / "data").mkdir(parents=True)
    told = {"exportType": "FULL_EXPORT", "outputFormat": "DYNAMODB_JSON", **changes}
    (folder / "manifest-summary.json").write_text(json.dumps(told))
    listed = []
    for number, items in enumerate(files):
        content = gzip.compress(b"".join(items_line(item) for item in items))
        (folder / "data" / f"{number}.json.gz").write_bytes(content)
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        listed.append(
            {
                "itemCount": len(items),
                "md5Checksum": base64.b64encode(md5).decode(),
                "dataFileS3Key": f"AWSDynamoDB/0123-abc/data/{number}.json.gz",
            }
        )
    text = "".join(json.dumps(each) + "\n" for each in listed)
    (folder / "manifest-files.json").write_text(text)
    return folder


def items_line(item: Item) -> bytes:
    """A line in no particular order, with spaces."""
    (made,) = same([item])
    shuffled = dict(reversed(made.items()))
    return json.dumps({"Item": shuffled}).encode() + b"\n"


def test_an_export_to_s3_is_restored(scene: Scene, tmp_path: Path) -> None:
    """The table as it was at one moment, while writers went on."""
    populate(scene.store)
    items = scene.items()
    folder = s3_export(tmp_path / "s3", [items[:30], [], items[30:]])
    with beside(scene) as other:
        report = restored(other, folder)
        assert (report.items, report.verified) == (len(items), len(items))
        assert same(other.items()) == same(items)
        with doctor_of(other) as doctor:
            assert doctor.examine().is_clean


def test_a_damaged_export_to_s3_is_refused(scene: Scene, tmp_path: Path) -> None:
    populate(scene.store)
    items = scene.items()
    with beside(scene) as other:
        s3_export(tmp_path / "a", [items])
        (tmp_path / "a" / "data" / "0.json.gz").write_bytes(gzip.compress(b"{}"))
        with pytest.raises(InvalidArgument, match=r"'0\.json\.gz' is damaged"):
            restored(other, tmp_path / "a")
        folder = s3_export(tmp_path / "b", [items])
        manifest = folder / "manifest-files.json"
        text = manifest.read_text()
        manifest.write_text(text.replace(f'"itemCount": {len(items)}', '"itemCount": 3'))
        with pytest.raises(InvalidArchive, match="another number of lines"):
            restored(other, folder)
        manifest.write_text(text.replace("data/0.json.gz", "data/none.json.gz"))
        with pytest.raises(InvalidArgument, match="is missing"):
            restored(other, folder)
        manifest.write_text(text.replace("data/0.json.gz", "data/.."))
        with pytest.raises(InvalidArgument):
            restored(other, folder)
        with pytest.raises(InvalidArchive, match="incremental"):
            restored(other, s3_export(tmp_path / "c", [items], exportType="INCREMENTAL_EXPORT"))
        with pytest.raises(InvalidArgument, match="ION"):
            restored(other, s3_export(tmp_path / "d", [items], outputFormat="ION"))
        assert other.items() == []


BROKEN = (
    b"[]",
    b"{",
    b"[" * 100_000,
    b"\xff",
    b"7",
    b'{"dataFileS3Key": "0.json.gz", "itemCount": 1e999}',
    b'{"dataFileS3Key": "0.json.gz", "itemCount": "3"}',
)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("manifest-files.json", (*BROKEN, b'{"dataFileS3Key": 7}', b"{}")),
        ("manifest-summary.json", (*BROKEN, b"")),
    ],
)
def test_a_manifest_of_an_export_to_s3_that_cannot_be_read_is_named(
    scene: Scene, tmp_path: Path, name: str, texts: tuple[bytes, ...]
) -> None:
    folder = s3_export(tmp_path / "s3", [[]])
    for text in texts:
        (folder / name).write_bytes(text)
        with pytest.raises(InvalidArgument, match=name):
            restored(scene, folder)
    assert scene.items() == []


def test_an_export_to_s3_that_lost_files_is_refused(scene: Scene, tmp_path: Path) -> None:
    """Half a store would be worse than none."""
    populate(scene.store)
    items = scene.items()
    folder = s3_export(tmp_path / "s3", [items[:30], items[30:]], itemCount=len(items))
    manifest = folder / "manifest-files.json"
    whole = manifest.read_text()
    with beside(scene) as other:
        manifest.write_text(whole.splitlines()[0] + "\n")
        with pytest.raises(InvalidArchive, match="names other files"):
            restored(other, folder)
        assert other.items() == []
        manifest.write_text(whole)
        assert restored(other, folder).is_clean


def test_a_store_goes_on_where_it_was(scene: Scene, tmp_path: Path) -> None:
    """After the move: ids, orders, counters, uniqueness and cursors' lists are those of before."""
    ids = populate(scene.store)
    exported(scene, tmp_path / "archive")
    with beside(scene) as other:
        restored(other, tmp_path / "archive")
        for store in (scene.store, other.store):
            store.messages.append(ids.conversation_id, NewMessage(role="user", content="on"))
            with pytest.raises(UserExists):
                store.users.create("ann@example.com")
        assert (
            scene.store.conversations.get(ids.conversation_id).message_count
            == other.store.conversations.get(ids.conversation_id).message_count
        )
    assert len(lines(tmp_path / "archive")) > 60
    an_export(scene, tmp_path / "again").run()
