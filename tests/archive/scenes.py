"""Archives of a scene's table, tables beside it, and archives that somebody else made up."""

import gzip
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dynamo_chat import ChatStore
from dynamo_chat.archive.exporting import ExportOptions, ExportReport, StoreExport
from dynamo_chat.archive.files import FORMAT, Manifest, PartWriter, part_name, read_manifest
from dynamo_chat.archive.lines import canonical, item_of, line_of
from dynamo_chat.archive.restoring import RestoreOptions, RestoreReport, StoreRestore
from dynamo_chat.archive.tally import Tally
from dynamo_chat.testing import StrictHook
from tests.scene import Item, Scene


@contextmanager
def beside(scene: Scene) -> Iterator[Scene]:
    """Another, empty table on the same engine, at the same time."""
    with Scene(scene.engine, scene.clock) as made:
        yield made


def store_on(scene: Scene, kind: type[ChatStore] = ChatStore) -> ChatStore:
    """A store on the scene's table."""
    engine = scene.engine
    return kind(
        scene.table, region=engine.region, endpoint_url=engine.endpoint_url, clock=scene.clock
    )


def an_export(scene: Scene, folder: Path, **options: Any) -> StoreExport:
    """An export of the scene's table."""
    made = ExportOptions(**options)
    return StoreExport(store_on(scene), folder, made, clock=scene.clock)


def exported(scene: Scene, folder: Path, **options: Any) -> ExportReport:
    """Export the scene's table. Its requests are checked."""
    made = an_export(scene, folder, **options)
    with StrictHook(made.connection.client, allow_scan=True) as strict:
        report = made.run()
    assert not strict.violations
    return report


def a_restore(scene: Scene, folder: Path, **options: Any) -> StoreRestore:
    """A restore into the scene's table."""
    made = RestoreOptions(**options)
    return StoreRestore(store_on(scene), folder, made, clock=scene.clock)


def restored(scene: Scene, folder: Path, *, dry_run: bool = False, **options: Any) -> RestoreReport:
    """Restore into the scene's table. Its requests are checked."""
    made = a_restore(scene, folder, **options)
    with StrictHook(made.connection.client, allow_scan=True) as strict:
        report = made.run(dry_run=dry_run)
    assert not strict.violations
    return report


def lines(folder: Path) -> list[bytes]:
    """All lines of an archive, sorted."""
    parts = [part.name for part in read_manifest(folder).parts]
    found = [gzip.decompress((folder / name).read_bytes()).splitlines(True) for name in parts]
    return sorted(line for some in found for line in some)


def same(items: Iterable[Item]) -> list[Item]:
    """Items in the form of an archive's lines, which has an order for sets."""
    return [canonical(item) for item in items]


def forged(folder: Path, lines: Sequence[bytes], **changes: Any) -> Path:
    """An archive of any lines, whose digests and counts are right, apart from `changes`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    writer, tally = PartWriter(folder, part_name(0, 0)), Tally()
    for line in lines:
        writer.add(line)
        try:
            tally.add(item_of(line), line)
        except ValueError:
            continue
    part = writer.finish()
    manifest = Manifest(
        format=FORMAT,
        archive="0" * 32,
        package="0",
        table="forged",
        started="2026-01-01T00:00:00.000000Z",
        finished="2026-01-01T00:00:00.000000Z",
        layout={},
        kinds=tally.as_dict(),
        items=part.items,
        expired=0,
        damaged={},
        parts=(part,),
    )
    replace(manifest, **changes).write(folder)
    return folder


def forged_items(folder: Path, *items: Item) -> Path:
    """An archive with these items."""
    return forged(folder, [line_of(item) for item in items])
