"""A store that was exported and restored is the same store, in another table."""

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.archive.exporting import StoreExport
from dynamo_chat.archive.files import MANIFEST, read_manifest
from dynamo_chat.archive.lines import to_send
from dynamo_chat.archive.restoring import RestoreOptions, StoreRestore
from dynamo_chat.archive.shared import Progress
from dynamo_chat.core.errors import InvalidArchive, InvalidArgument, TableNotFound
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
from tests.entities.test_store import Order, ShopStore
from tests.laws.strategies import components, texts
from tests.scene import DAY, Item, Scene
from tooling.everything import populate

pytestmark = pytest.mark.engine

RELEASED = Path(__file__).parents[1] / "compatibility"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "somewhere" / "archive"


def modes(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


def test_everything_is_restored_as_it_was(scene: Scene, folder: Path) -> None:
    """Entities and helpers; the doctor finds nothing; the files are their owner's alone."""
    populate(scene.store)
    report = exported(scene, folder, segments=3, page_size=5, part_items=7)
    assert report.items == len(scene.items()) == sum(report.kinds.values())
    assert report.kinds == scene.kinds()
    assert (report.expired, report.damaged) == (0, {})
    assert report.parts > 3
    assert len(lines(folder)) == report.items
    names = {part.name for part in read_manifest(folder).parts}
    assert modes(folder) == dict.fromkeys({*names, MANIFEST}, 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with beside(scene) as other:
        dry = restored(other, folder, dry_run=True)
        assert (dry.items, dry.written, other.items()) == (report.items, 0, [])
        found = restored(other, folder, workers=3, digest=report.digest)
        assert same(other.items()) == same(scene.items())
        assert (found.written, found.verified, found.there) == (report.items, report.items, 0)
        assert found.is_clean
        assert modes(folder) == dict.fromkeys({*names, MANIFEST}, 0o600)
        with doctor_of(other) as doctor:
            assert doctor.examine().is_clean


@pytest.mark.once
def test_equal_tables_make_equal_lines(scene: Scene, tmp_path: Path) -> None:
    """However the work is divided, and from whichever of them."""
    populate(scene.store)
    first = exported(scene, tmp_path / "a", segments=1)
    exported(scene, tmp_path / "b", segments=5, page_size=3, part_items=4)
    with beside(scene) as other:
        restored(other, tmp_path / "a")
        exported(other, tmp_path / "c")
    assert lines(tmp_path / "a") == lines(tmp_path / "b") == lines(tmp_path / "c")
    told = [read_manifest(tmp_path / name) for name in "abc"]
    assert told[0].kinds == told[1].kinds == told[2].kinds
    assert first.digest == told[0].digest != told[1].digest


values = st.recursive(
    st.one_of(
        st.builds(lambda value: {"S": value}, texts),
        st.builds(lambda value: {"N": str(value)}, st.integers(-(10**30), 10**30)),
        st.builds(lambda value: {"N": str(value)}, st.decimals(-(10**9), 10**9, places=5)),
        st.builds(lambda value: {"BOOL": value}, st.booleans()),
        st.just({"NULL": True}),
        st.builds(lambda value: {"B": value}, st.binary(max_size=20)),
        st.builds(lambda some: {"SS": sorted(some)}, st.sets(texts.filter(bool), min_size=1)),
        st.builds(lambda some: {"BS": sorted(some)}, st.sets(st.binary(min_size=1), min_size=1)),
        st.builds(
            lambda some: {"NS": [str(n) for n in sorted(some)]},
            st.sets(st.integers(-(10**30), 10**30), min_size=1),
        ),
    ),
    lambda inner: (
        st.builds(lambda some: {"L": some}, st.lists(inner, max_size=3))
        | st.builds(lambda some: {"M": some}, st.dictionaries(components, inner, max_size=3))
    ),
    max_leaves=6,
)
junk = st.builds(
    lambda pk, sk, rest: {**rest, "PK": {"S": pk}, "SK": {"S": sk}},
    components,
    components,
    st.dictionaries(
        components.filter(lambda name: not name.startswith("GSI") and name != "ttl"), values
    ),
)


@pytest.mark.once
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(junk, max_size=12, unique_by=lambda item: (item["PK"]["S"], item["SK"]["S"])),
    segments=st.integers(1, 3),
    part_items=st.integers(1, 5),
)
def test_any_items_are_restored_as_they_were(
    scene: Scene, tmp_path_factory: Any, items: list[Item], segments: int, part_items: int
) -> None:
    """Also what no package wrote, if that is asked for."""
    folder = tmp_path_factory.mktemp("archives") / "archive"
    scene.restore(items)
    there = scene.items()
    report = exported(scene, folder, segments=segments, part_items=part_items, page_size=2)
    assert sum(report.damaged.values()) >= len(items) == report.items
    scene.restore([])
    if items:
        with pytest.raises(InvalidArchive, match="unknown_kind"):
            restored(scene, folder)
    assert scene.items() == []
    assert restored(scene, folder, with_damaged=True).is_clean
    assert same(scene.items()) == same(there)


@pytest.mark.once
def test_older_items_are_restored_as_they_lie(scene: Scene, folder: Path) -> None:
    """The releases' items, of every version: they are upgraded when they are read, as before."""
    released = [json.loads(path.read_text("utf-8")) for path in sorted(RELEASED.glob("v1/*.json"))]
    items = {}
    for examples in released:
        for each in examples if isinstance(examples, list) else examples.values():
            item = each["item"]
            items[item["PK"]["S"], item["SK"]["S"]] = item
    with_versions = [item for item in items.values() if "ttl" not in item]
    assert len(with_versions) > 20
    scene.put(*map(to_send, with_versions))
    exported(scene, folder)
    with beside(scene) as other:
        assert restored(other, folder).is_clean
        assert same(other.items()) == same(scene.items())


def test_what_has_expired_is_left_out(scene: Scene, folder: Path) -> None:
    """At the export, and at the restore: then nobody could read it any more, either."""
    store = scene.store
    kept = store.conversations.create("ann").conversation_id
    soon = store.conversations.create("ann", retention=DAY).conversation_id
    later = store.conversations.create("ann", retention=3 * DAY).conversation_id
    scene.clock.advance(2 * DAY)
    report = exported(scene, folder)
    assert (report.items, report.expired) == (2, 1)
    scene.clock.advance(2 * DAY)
    with beside(scene) as other:
        assert restored(other, folder, dry_run=True).expired == 1
        found = restored(other, folder)
        assert (found.written, found.expired, found.verified) == (1, 1, 1)
        conversations = other.store.conversations
        assert [each.conversation_id for each in conversations.list_by_user("ann")] == [kept]
    assert {soon, later, kept} == {item["PK"]["S"].split("#")[1] for item in scene.items()}


@pytest.mark.once
def test_an_applications_own_kinds_are_checked_with_its_store(scene: Scene, folder: Path) -> None:
    """Without the store they are unknown: exported all the same, and then restored on request."""
    shop = store_on(scene, ShopStore)
    assert isinstance(shop, ShopStore)
    paid = shop.orders.items.create(
        Order(order_id="o-1", shop_id="s-1", paid_at=scene.clock(), receipt=b"\x00\x01")
    )
    assert StoreExport(shop, folder, clock=scene.clock).run().damaged == {}
    exported(scene, folder.with_name("unknown"))
    with beside(scene) as other:
        with pytest.raises(InvalidArchive, match="1 unknown_kind") as caught:
            restored(other, folder)
        assert "name the application's own store" in str(caught.value)
        assert other.items() == []
        own = store_on(other, ShopStore)
        assert isinstance(own, ShopStore)
        assert StoreRestore(own, folder.with_name("unknown"), clock=scene.clock).run().is_clean
        assert list(own.orders.paid("s-1")) == [paid]
    with beside(scene) as other:
        assert restored(other, folder, with_damaged=True).damaged == {"unknown_kind": 1}
        assert same(other.items()) == same(scene.items())


def test_a_damaged_item_is_exported_and_told(scene: Scene, folder: Path) -> None:
    scene.store.conversations.create("ann", title="Renders")
    item = scene.only("conversation")
    scene.put({name: value for name, value in item.items() if name != "GSI1SK"})
    assert exported(scene, folder).damaged == {"half_index_key": 1}
    with beside(scene) as other:
        with pytest.raises(InvalidArchive, match="half_index_key"):
            restored(other, folder)
        assert other.items() == []
        a_restore(other, folder, with_damaged=True).run()
        assert same(other.items()) == same(scene.items())


@pytest.mark.once
def test_progress_is_told(scene: Scene, folder: Path) -> None:
    populate(scene.store)
    seen: list[Progress] = []
    StoreExport(store_on(scene), folder, clock=scene.clock, on_progress=seen.append).run()
    assert max(each.done for each in seen) == len(scene.items())
    with beside(scene) as other:
        del seen[:]
        made = StoreRestore(store_on(other), folder, clock=scene.clock, on_progress=seen.append)
        made.run()
    phases = list(dict.fromkeys(each.phase for each in seen))
    assert phases == ["check", "restore", "verify"]
    for phase in phases:
        done = [each.done for each in seen if each.phase == phase]
        assert done == sorted(done)
        assert done[-1] == len(scene.items())


@pytest.mark.once
def test_an_estimate_reads_nothing(scene: Scene, folder: Path) -> None:
    populate(scene.store)
    about = an_export(scene, folder).estimate()
    assert about.items == len(scene.items())
    assert about.read_units >= 1
    assert not folder.exists()


@pytest.mark.once
def test_what_an_export_needs(scene: Scene, folder: Path, tmp_path: Path) -> None:
    """A table, and a folder that is empty or its own."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("mine")
    with pytest.raises(InvalidArgument, match="folder: must be empty"):
        exported(scene, tmp_path / "used")
    exported(scene, folder)
    before = modes(folder)
    with pytest.raises(InvalidArgument, match="folder: has a complete archive"):
        exported(scene, folder)
    assert modes(folder) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidArgument, match="folder: is not a folder"):
        exported(scene, tmp_path / "file")
    gone = Scene(scene.engine, scene.clock)
    with pytest.raises(TableNotFound):
        an_export(gone, tmp_path / "none").run()
    assert not (tmp_path / "none").exists()


def test_items_of_others_do_not_swell_the_manifest(scene: Scene, folder: Path) -> None:
    """Whatever they keep in the attributes where a store has its kinds and versions."""
    items: list[Item] = [
        {
            "PK": {"S": f"OTHER#{number}"},
            "SK": {"S": "OTHER"},
            "kind": {"S": f"{number}" * 50_000},
            "v": {"N": f"17000000{number}"},
        }
        for number in range(10, 14)
    ]
    scene.put(*items)
    report = exported(scene, folder)
    assert (report.kinds, report.damaged) == ({"": 4}, {"unknown_kind": 4})
    assert read_manifest(folder).kinds[""]["versions"] == {"": 4}
    assert (folder / MANIFEST).stat().st_size < 2_000
    with beside(scene) as other:
        assert restored(other, folder, with_damaged=True).is_clean


def test_a_table_with_another_key_is_not_exported(scene: Scene, folder: Path) -> None:
    """Nothing could be restored from it."""
    name = f"{scene.table}-other"
    scene.client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "B"}],
        BillingMode="PAY_PER_REQUEST",
    )
    scene.client.put_item(TableName=name, Item={"id": {"B": b"1"}})
    store = ChatStore(name, region=scene.engine.region, endpoint_url=scene.engine.endpoint_url)
    try:
        with pytest.raises(InvalidArgument, match="table: key schema"):
            StoreExport(store, folder, clock=scene.clock).run()
    finally:
        scene.client.delete_table(TableName=name)
    assert not folder.exists()


def test_an_empty_table_has_an_archive_too(scene: Scene, folder: Path) -> None:
    assert exported(scene, folder).items == 0
    assert [each.name for each in folder.iterdir()] == [MANIFEST]
    with beside(scene) as other:
        assert restored(other, folder).is_clean


@pytest.mark.once
def test_writers_that_go_on_are_told_by_the_doctor(
    scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export is no snapshot: what belongs together may be of two moments. Repair counts it."""
    store = scene.store
    talk = store.conversations.create("ann").conversation_id
    first, second = (
        store.messages.append(talk, NewMessage(role="user", content=content)) for content in "12"
    )
    made = an_export(scene, folder, segments=1, page_size=1)
    pages = made._pages

    def slow(*arguments: Any) -> Any:
        for number, page in enumerate(pages(*arguments)):
            yield page
            if number == 1:  # both messages were read, and the head comes after them
                store.messages.delete(talk, first.message_id)

    monkeypatch.setattr(made, "_pages", slow)
    made.run()
    with beside(scene) as other:
        assert restored(other, folder).is_clean
        with doctor_of(other) as doctor:
            report = doctor.examine()
            assert set(report.counts) == {"counter"}
            doctor.repair(report.findings)
            assert doctor.examine().is_clean
        assert list(other.store.messages.list(talk)) == [first, second]


@pytest.mark.once
def test_a_damaged_archive_names_the_place(scene: Scene, folder: Path) -> None:
    populate(scene.store)
    exported(scene, folder)
    part = read_manifest(folder).parts[0].name
    (folder / part).write_bytes(gzip.compress(b"{}\n"))
    with beside(scene) as other:
        with pytest.raises(InvalidArchive, match="digest is another") as caught:
            a_restore(other, folder).run()
        assert (caught.value.file, caught.value.line) == (part, None)
        assert other.items() == []


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: RestoreOptions(workers=0), "workers"),
        (lambda: RestoreOptions(workers=True), "workers"),
    ],
)
def test_wrong_options_are_named(made: Any, name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        made()


def test_rates_and_options_of_an_export_are_checked(scene: Scene, folder: Path) -> None:
    for options in (
        {"segments": 0},
        {"segments": 65},
        {"page_size": 0},
        {"part_items": 0},
        {"read_units_per_second": 0},
        {"read_units_per_second": float("nan")},
    ):
        with pytest.raises(InvalidArgument):
            an_export(scene, folder, **options)
