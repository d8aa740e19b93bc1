"""Old records are read from tables, from exports and from lines: each of them, and once."""

import base64
import gzip
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import ChatStore, TableNotFound
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.importing.migration.documents import DOCUMENTS
from dynamo_chat.importing.migration.migration import Migration, MigrationOptions
from dynamo_chat.importing.migration.sources import (
    Bad,
    ExportSource,
    Gone,
    Source,
    TableSource,
    plain_item,
    source,
)
from dynamo_chat.testing import FaultInjector, Kill, Killed
from tests.doctor.scene import doctor_of
from tests.importing.test_migration import fates
from tests.scene import Scene
from tooling.old_tables import Record, old_tables

pytestmark = pytest.mark.engine


def in_dynamodb_json(value: Any) -> dict[str, Any]:
    """A JSON value as an AttributeValue."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": str(Decimal(str(value)))}
        case str():
            return {"S": value}
        case list():
            return {"L": [in_dynamodb_json(each) for each in value]}
    return {"M": {name: in_dynamodb_json(each) for name, each in value.items()}}


def item_of(record: Record) -> dict[str, Any]:
    return {name: in_dynamodb_json(value) for name, value in record.items()}


@contextmanager
def table_of(
    scene: Scene, document: str, name: str, records: Sequence[Record]
) -> Iterator[TableSource]:
    """A DynamoDB table in the document's layout, with these records in it."""
    table = DOCUMENTS[document].table(name)
    assert table is not None
    full = f"{scene.table}-{name}"
    scene.client.create_table(
        TableName=full,
        KeySchema=[
            {"AttributeName": each, "KeyType": kind}
            for each, kind in zip(table.key, ("HASH", "RANGE"), strict=False)
        ],
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in table.key],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        for start in range(0, len(records), 25):
            puts = [{"PutRequest": {"Item": item_of(r)}} for r in records[start : start + 25]]
            scene.client.batch_write_item(RequestItems={full: puts})
        old = ChatStore(full, region=scene.engine.region, endpoint_url=scene.engine.endpoint_url)
        yield TableSource(old.connection, page_size=7 if len(records) < 100 else 500)
    finally:
        scene.client.delete_table(TableName=full)


def all_of(found: Source, wanted: int = 3) -> list[Any]:
    return [
        record
        for segment in found.segments(wanted)
        for batch in found.read(segment, None)
        for record in batch.records
    ]


def by_id(records: Sequence[Any]) -> list[Any]:
    return sorted(records, key=lambda record: str(record["id"]))


def test_a_table_is_read_in_segments_and_from_any_position(scene: Scene) -> None:
    """The position after each page leads to the rest of its segment, and to nothing else."""
    records = [{"id": f"{n}", "n": n / 4, "deep": [{"x": None}]} for n in range(40)]
    with table_of(scene, "acs", "Invocations", records) as found:
        assert by_id(all_of(found)) == by_id(records)
        assert found.estimate() in {None, 40}
        (segment,) = found.segments(1)
        pages = list(found.read(segment, None))
        assert len(pages) > 3
        rest = [each for page in found.read(segment, pages[1].position) for each in page.records]
        assert rest == [each for page in pages[2:] for each in page.records]
    with pytest.raises(TableNotFound):
        all_of(found)


def test_an_export_is_read(tmp_path: Path) -> None:
    """Full or incremental: each file is compared with its checksum first."""
    folder = export(tmp_path, [[{"id": "a", "n": 0.5}], [{"id": "b"}, {"id": "c"}]])
    assert by_id(all_of(source(folder))) == [{"id": "a", "n": 0.5}, {"id": "b"}, {"id": "c"}]
    assert source(folder).estimate() == 3
    change = {"Metadata": {"WriteTimestampMicros": {"N": "1"}}, "Keys": item_of({"id": "d"})}
    lines = [{**change, "NewImage": item_of({"id": "d", "x": 1})}, change]
    write_data(folder, "changes", "".join(json.dumps(each) + "\n" for each in lines), 2)
    assert {"id": "d", "x": 1} in all_of(ExportSource(folder))
    assert Gone({"id": "d"}) in all_of(ExportSource(folder))


def test_a_damaged_export_is_refused(tmp_path: Path) -> None:
    folder = export(tmp_path, [[{"id": "a"}]])
    (data,) = (folder / "data").iterdir()
    data.write_bytes(gzip.compress(b"{}"))
    with pytest.raises(InvalidArgument, match="damaged"):
        all_of(source(folder))
    data.unlink()
    with pytest.raises(InvalidArgument, match="missing"):
        all_of(source(folder))
    (folder / "manifest-summary.json").write_text('{"outputFormat": "ION"}')
    with pytest.raises(InvalidArgument, match="ION"):
        source(folder)
    for text in (b"", b"[]", b"\xff", b"[" * 100_000, b'{"itemCount": 1e999}'):
        for name in ("manifest-summary.json", "manifest-files.json"):
            broken = export(tmp_path / "broken", [[{"id": "a"}]])
            (broken / name).write_bytes(text or b"{")
            with pytest.raises(InvalidArgument, match=name):
                source(broken)
            shutil.rmtree(tmp_path / "broken")
    with pytest.raises(InvalidArgument, match=r"no manifest-files\.json"):
        source(tmp_path)


@pytest.mark.parametrize(
    "listed",
    [
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        '{"dataFileS3Key": 7}',
        '{"dataFileS3Key": "data/a", "itemCount": "x"}',
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, listed: str) -> None:
    (tmp_path / "manifest-files.json").write_text(listed)
    with pytest.raises(InvalidArgument, match=r"'manifest-files\.json' is damaged"):
        source(tmp_path)


@pytest.mark.parametrize("said", ["", "{", "[]", "7"])
def test_a_damaged_summary_is_refused(tmp_path: Path, said: str) -> None:
    folder = export(tmp_path, [[{"id": "a"}]])
    (folder / "manifest-summary.json").write_text(said)
    with pytest.raises(InvalidArgument, match=r"'manifest-summary\.json' is damaged"):
        source(folder)


def test_a_damaged_packed_file_is_refused(tmp_path: Path) -> None:
    """In an export without checksums, and in lines: what comes before the damage is read."""
    packed = gzip.compress(b"".join(b'{"id": %d}\n' % n for n in range(10_000)))
    path = tmp_path / "lines"
    for damaged in (packed[:-20], packed[:40] + b"damage" + packed[46:], packed[:-8] + b"d" * 8):
        path.write_bytes(damaged)
        for ask in (all_of, lambda found: found.estimate()):
            with pytest.raises(InvalidArgument, match="'lines' is damaged"):
                ask(source(path))


def test_lines_are_read_packed_or_plain(tmp_path: Path) -> None:
    """A line that is no record is reported; one in DynamoDB JSON is converted."""
    lines = ['{"id": 1.50}', "", '{"Item": {"id": {"N": "2"}}}', "[1]", "{", '{"x": NaN}']
    plain = tmp_path / "plain.jsonl"
    plain.write_bytes("\n".join(lines).encode() + b"\n\xff\n")
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        one, two, *bad = all_of(source(path))
        assert (one, two) == ({"id": 1.5}, {"id": 2})
        assert [type(each) for each in bad] == [Bad] * 4
        assert source(path).estimate() == 7
    with pytest.raises(InvalidArgument, match="no file or folder"):
        source(tmp_path / "nothing")
    with pytest.raises(InvalidArgument, match="store"):
        source("table:Users")


def test_every_type_of_dynamodb_is_read() -> None:
    """A number with more digits than a float holds is kept as text."""
    item: dict[str, Any] = {
        "N": {"N": "1E+2"},
        "long": {"N": "0.1234567890123456789"},
        "whole": {"N": "12345678901234567890123"},
        "SS": {"SS": ["b", "a"]},
        "NS": {"NS": ["2", "1.5"]},
        "B": {"B": b"\x00"},
        "BS": {"BS": ["AA=="]},
        "M": {"M": {"L": {"L": [{"NULL": True}, {"BOOL": False}]}}},
    }
    assert plain_item(item) == {
        "N": 100.0,
        "long": "0.1234567890123456789",
        "whole": 12345678901234567890123,
        "SS": ["a", "b"],
        "NS": [1.5, 2],
        "B": "AA==",
        "BS": ["AA=="],
        "M": {"L": [None, False]},
    }
    with pytest.raises(ValueError, match="'X' is no type"):
        plain_item({"a": {"X": 1}})


def export(tmp_path: Path, files: Sequence[Sequence[Record]]) -> Path:
    """The folder of an export with these data files."""
    folder = tmp_path / "AWSDynamoDB" / "0123-abc"
    (folder / "data").mkdir(parents=True)
    (folder / "manifest-summary.json").write_text('{\n  "outputFormat": "DYNAMODB_JSON"\n}\n')
    for number, records in enumerate(files):
        text = "".join(json.dumps({"Item": item_of(record)}) + "\n" for record in records)
        write_data(folder, str(number), text, len(records))
    return folder


def write_data(folder: Path, name: str, text: str, number: int) -> None:
    packed = gzip.compress(text.encode())
    (folder / "data" / f"{name}.json.gz").write_bytes(packed)
    checksum = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode()
    listed = {
        "itemCount": number,
        "md5Checksum": checksum,
        "dataFileS3Key": f"AWSDynamoDB/0123-abc/data/{name}.json.gz",
    }
    with (folder / "manifest-files.json").open("a") as manifest:
        manifest.write(json.dumps(listed) + "\n")


RECORDS = int(os.environ.get("DYNAMO_CHAT_TEST_RECORDS", "300"))
"""How many records the old tables have; 2,000 take a quarter of an hour."""


@pytest.mark.ministack
@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_many_records_from_tables(scene: Scene, document: str, tmp_path: Path) -> None:
    """Killed at random points, resumed without loss, verified; again, nothing changes."""
    old, dice = old_tables(document, RECORDS, scene.clock()), random.Random(document)
    options = MigrationOptions(workers=4, segments=3)
    for name in {table.name for table in DOCUMENTS[document].tables} - old.tables.keys():
        old.tables[name] = []
    # The keys of tables are text.
    for name, records in old.tables.items():
        table = DOCUMENTS[document].table(name)
        assert table is not None
        for record in records:
            record |= {key: str(record[key]) for key in table.key}

    def migrate(work: str, sources: dict[str, Source]) -> Migration:
        return Migration(
            document,
            lambda table_name=None, **more: scene.new_store(**more),
            sources,
            tmp_path / work,
            options=options,
            clock=scene.clock,
        )

    with tables_of(scene, document, old.tables) as sources:
        killed = 0
        late = (60, 400, 900, dice.randrange(1, 700), dice.randrange(1, 700))  # of 2,000 records
        for at in (1, *(1 + each * RECORDS // 2_000 for each in late)):
            with migrate("work", sources) as moved:
                client = moved._target.store.connection.client
                with FaultInjector(client) as injector, suppress(Killed):
                    injector.plan(Kill(after_sending=dice.random() < 0.5), at=at)
                    moved.run()
                killed += len(injector.injected)
        assert killed > 2
        with migrate("work", sources) as moved:
            report = moved.run()
            assert fates(moved) == (old.refused, old.left_out)
        assert not report.differences
        for each in report.tables:
            assert each.records == len(old.tables[each.table])
            assert each.verified == each.records - each.refused - each.left_out
        with doctor_of(scene) as doctor:
            assert doctor.examine().is_clean
        items = scene.items()
        with migrate("anew", sources) as moved:
            assert moved.run().tables == report.tables
        assert scene.items() == items


@contextmanager
def tables_of(
    scene: Scene, document: str, tables: dict[str, list[Record]]
) -> Iterator[dict[str, Source]]:
    """All tables of a document."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(table_of(scene, document, name, records))
            for name, records in tables.items()
        }
