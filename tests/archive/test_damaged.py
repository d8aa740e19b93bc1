"""What is damaged, foreign or hostile is refused with a typed error, and nothing is written."""

import base64
import gzip
import hashlib
import json
import os
import shutil
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dynamo_chat.archive.files import MANIFEST, Part, part_name, read_manifest
from dynamo_chat.archive.lines import MAX_LINE_BYTES, item_of, line_of
from dynamo_chat.archive.reading import StoreArchive
from dynamo_chat.archive.tally import Tally
from dynamo_chat.core.errors import InvalidArchive, InvalidArgument
from dynamo_chat.testing import Engine
from tests.archive.scenes import beside, exported, forged, forged_items, restored
from tests.scene import Item, Scene
from tooling.everything import populate

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def kept(dynamo_chat_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good archive of several parts, of one of everything."""
    folder = tmp_path_factory.mktemp("archives") / "kept"
    with Scene(dynamo_chat_engine) as scene:
        populate(scene.store)
        exported(scene, folder, segments=2, page_size=9, part_items=15)
    return folder


@pytest.fixture(scope="module")
def target(dynamo_chat_engine: Engine) -> Iterator[Scene]:
    """An empty table."""
    with Scene(dynamo_chat_engine) as scene:
        yield scene


@pytest.fixture
def copied(kept: Path, tmp_path: Path) -> Path:
    """A copy of the archive, to be damaged."""
    return Path(shutil.copytree(kept, tmp_path / "copied"))


@pytest.fixture
def items(copied: Path) -> list[Item]:
    """All items of the archive."""
    archive = StoreArchive(copied)
    return [line.item for part in archive.parts for line in archive.lines(part)]


def refused(target: Scene, folder: Path, **options: Any) -> InvalidArgument:
    """The error with which the archive is refused; the table stays empty, and no file is left."""
    there = {each.name for each in folder.iterdir()}
    with pytest.raises(InvalidArgument) as caught:
        restored(target, folder, **options)
    assert target.items() == []
    assert {each.name for each in folder.iterdir()} == there
    return caught.value


def read_whole(folder: Path) -> Tally:
    """Read every line of an archive, as the check before a restore does."""
    archive, tally = StoreArchive(folder), Tally()
    for part in archive.parts:
        for line in archive.lines(part):
            tally.add(line.item, line.text)
    archive.check(tally)
    return tally


def changed(content: bytes, at: int, how: str) -> bytes:
    """A file with a byte that is changed, missing or there twice, or without its end."""
    match how:
        case "flip":
            return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        case "drop":
            return content[:at] + content[at + 1 :]
        case "double":
            return content[: at + 1] + content[at:]
        case "cut":
            return content[:at]
        case _:
            return content + bytes(at % 7 + 1)


@pytest.mark.once
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), how=st.sampled_from(["flip", "drop", "double", "cut", "more"]))
def test_no_byte_can_be_changed_unseen(copied: Path, data: st.DataObject, how: str) -> None:
    """In the compressed files; and what the manifest says."""
    path = data.draw(st.sampled_from(sorted(copied.iterdir())))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    before = read_manifest(copied)
    path.write_bytes(changed(content, at, how))
    try:
        read_whole(copied)
        # Only a change that says the same is not seen: of spaces, or a digit of nothing.
        assert read_manifest(copied) == before
        assert path.name == MANIFEST
    except InvalidArchive:
        pass
    finally:
        path.write_bytes(content)


LineChange = Callable[[list[bytes]], list[bytes]]
LINES: dict[str, LineChange] = {
    "one is missing": lambda lines: lines[1:],
    "one is there twice": lambda lines: [lines[0], *lines],
    "one is there instead of another": lambda lines: [lines[1], *lines[1:]],
    "two are swapped": lambda lines: [lines[1], lines[0], *lines[2:]],
    "one is changed": lambda lines: [lines[0].replace(b'"kind"', b'"kind "'), *lines[1:]],
    "one has spaces": lambda lines: [lines[0].replace(b":", b": "), *lines[1:]],
    "the last has no end": lambda lines: [*lines[:-1], lines[-1].rstrip()],
}


@pytest.mark.parametrize("how", LINES)
def test_changed_lines_are_seen(target: Scene, copied: Path, how: str) -> None:
    """Also in a file that was compressed again."""
    path = copied / read_manifest(copied).parts[0].name
    lines = gzip.decompress(path.read_bytes()).splitlines(True)
    path.write_bytes(gzip.compress(b"".join(LINES[how](lines)), mtime=0))
    error = refused(target, copied)
    assert isinstance(error, InvalidArchive)
    assert error.file == path.name


@pytest.mark.parametrize("how", [each for each in LINES if each != "two are swapped"])
def test_the_counts_and_digests_are_those_of_the_lines(
    target: Scene, copied: Path, how: str
) -> None:
    """A file whose own digest was corrected still contradicts those of the kinds."""
    manifest = read_manifest(copied)
    path = copied / manifest.parts[0].name
    lines = gzip.decompress(path.read_bytes()).splitlines(True)
    content = b"".join(LINES[how](lines))
    made = forged(copied.with_name("made"), LINES[how](lines)) / part_name(0, 0)
    shutil.copy(made, path)
    (part,) = read_manifest(made.parent).parts
    new = Part(path.name, content.count(b"\n"), len(content), part.sha256)
    parts = (new, *manifest.parts[1:])
    replace(manifest, parts=parts, items=sum(part.items for part in parts)).write(copied)
    refused(target, copied)


def test_a_missing_file_is_named(target: Scene, copied: Path) -> None:
    name = read_manifest(copied).parts[-1].name
    (copied / name).unlink()
    assert f"{name}: is missing" in str(refused(target, copied))
    (copied / MANIFEST).unlink()
    assert f"{MANIFEST}: is missing" in str(refused(target, copied))


def test_another_archive_than_the_one_that_is_named_is_refused(target: Scene, kept: Path) -> None:
    digest = read_manifest(kept).digest
    assert digest in str(refused(target, kept, digest="0" * 64))
    assert restored(target, kept, digest=digest, dry_run=True).items > 0


# -- hostile ------------------------------------------------------------------------------------

NAMES = (
    "../outside.jsonl.gz",
    "/etc/passwd",
    "items-0000-000000.jsonl.gz/../../outside",
    "items-0000-000000.jsonl.gz\n",
    "items-٠000-000000.jsonl.gz",
    "manifest.json",
    "",
    "..",
    7,
    None,
    ["items-0000-000000.jsonl.gz"],
)


@pytest.mark.parametrize("name", NAMES)
def test_a_part_has_the_name_that_an_export_gives(target: Scene, copied: Path, name: Any) -> None:
    manifest = read_manifest(copied)
    first = manifest.parts[0]._replace(name=name)
    replace(manifest, parts=(first, *manifest.parts[1:])).write(copied)
    assert "is not the manifest of an archive" in str(refused(target, copied))


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links can't be told here")
def test_a_part_is_no_link_and_no_pipe(target: Scene, copied: Path) -> None:
    path = copied / read_manifest(copied).parts[0].name
    elsewhere = path.rename(copied.parent / "elsewhere")
    path.symlink_to(elsewhere)
    assert "can't be opened" in str(refused(target, copied))
    path.unlink()
    os.mkfifo(path)
    assert "is not a regular file" in str(refused(target, copied))
    path.unlink()
    path.mkdir()
    assert "is not a regular file" in str(refused(target, copied))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.once
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_other_manifest_is_refused(copied: Path, data: st.DataObject) -> None:
    """Whatever is at any place of it, also with a digest that is right."""
    told: Any = json.loads((copied / MANIFEST).read_text("utf-8"))
    before = json.dumps(told)
    place: Any = told
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        at = data.draw(st.sampled_from(keys))
        if not isinstance(place[at], (dict, list)) or data.draw(st.booleans()):
            place[at] = data.draw(json_values)
            break
        place = place[at]
    (copied / MANIFEST).write_text(json.dumps(told), "utf-8")
    try:
        read_manifest(copied)
        assert json.dumps(json.loads(json.dumps(told))) == before
    except InvalidArchive:
        pass
    finally:
        (copied / MANIFEST).write_text(before, "utf-8")


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '{"digest": NaN}', "\x00"])
def test_what_is_no_manifest_is_refused(target: Scene, copied: Path, text: str) -> None:
    (copied / MANIFEST).write_text(text)
    assert isinstance(refused(target, copied), InvalidArchive)


@pytest.mark.parametrize("depth", [200, 500, 900, 5_000, 100_000])
def test_a_deep_manifest_is_refused(target: Scene, copied: Path, depth: int) -> None:
    """Also where it can be read as JSON, but not be compared with its digest."""
    told = {**json.loads((copied / MANIFEST).read_text()), "table": "@"}
    text = json.dumps(told).replace('"@"', "[" * depth + "]" * depth)
    (copied / MANIFEST).write_text(text)
    assert isinstance(refused(target, copied), InvalidArchive)


def test_a_newer_format_is_refused(target: Scene, copied: Path) -> None:
    replace(read_manifest(copied), format=2).write(copied)
    assert "another format" in str(refused(target, copied))


def with_(item: Item, **attributes: Any) -> Item:
    return {**item, **attributes}


BOMB: Final = base64.b64encode(zlib.compress(bytes(32 * 2**20), 9, wbits=-15)).decode()
"""A body that expands to 32 MB."""

ITEMS: dict[str, tuple[str, Callable[[Item], Item], str]] = {
    "the key of another kind": (
        "conversation", lambda item: with_(item, SK={"S": "USER#"}), "wrong_key",
    ),
    "the index key of somebody else": (
        "conversation", lambda item: with_(item, GSI1PK={"S": "USER#eve#"}), "wrong_index_key",
    ),
    "half an index key": (
        "user", lambda item: with_(item, GSI2SK={"S": "X#"}), "half_index_key",
    ),
    "a newer schema version": ("user", lambda item: with_(item, v={"N": "99"}), "newer_version"),
    "a newer helper": ("invite_id", lambda item: with_(item, v={"N": "99"}), "newer_version"),
    "an unknown kind": ("user", lambda item: with_(item, kind={"S": "x"}), "unknown_kind"),
    "no kind": ("user", lambda item: with_(item, kind={"N": "1"}), "unknown_kind"),
    "an attribute of another type": (
        "user", lambda item: with_(item, email={"N": "1"}), "unreadable",
    ),
    "a deadline of text": ("login", lambda item: with_(item, ttl={"S": "x"}), "wrong_ttl"),
    "a body that expands to gigabytes": (
        "message", lambda item: with_(item, content={"B": BOMB}), "unreadable",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", ITEMS)
def test_an_item_that_fits_no_kind_is_refused(
    target: Scene, items: list[Item], tmp_path: Path, how: str
) -> None:
    """Only damaged ones are restored on request, and newer ones never."""
    kind, change, code = ITEMS[how]
    (item, *_) = (each for each in items if each["kind"]["S"] == kind)
    forged_items(tmp_path / "forged", items[0], change(item))
    error = refused(target, tmp_path / "forged")
    assert isinstance(error, InvalidArchive)
    assert (error.file, error.line) == (part_name(0, 0), 2)
    assert f"1 {code}" in str(error)
    if code == "newer_version":
        assert "update the package" in str(refused(target, tmp_path / "forged", with_damaged=True))
    else:
        dry = restored(target, tmp_path / "forged", with_damaged=True, dry_run=True)
        assert dry.damaged == {code: 1}


KEY = b'"PK":{"S":"A#"},"SK":{"S":"B#"}'
WRONG: dict[str, bytes] = {
    "no JSON": b"{\n",
    "no UTF-8": b'{"Item":{"\xff":{"S":"1"}}}\n',
    "no object": b"[]\n",
    "no item": b'{"Keys":{}}\n',
    "more than an item": b'{"Item":{%b},"more":1}\n' % KEY,
    "no key": b'{"Item":{"kind":{"S":"user"}}}\n',
    "an empty key": b'{"Item":{"PK":{"S":""},"SK":{"S":"B#"}}}\n',
    "a key of a number": b'{"Item":{"PK":{"N":"1"},"SK":{"S":"B#"}}}\n',
    "a long key": b'{"Item":{"PK":{"S":"%b"},"SK":{"S":"B#"}}}\n' % (b"x" * 2_049),
    "an index key of a number": b'{"Item":{"GSI1PK":{"N":"1"},%b}}\n' % KEY,
    "an attribute without a type": b'{"Item":{%b,"a":"text"}}\n' % KEY,
    "an attribute of two types": b'{"Item":{%b,"a":{"N":"1","S":"1"}}}\n' % KEY,
    "an unknown type": b'{"Item":{%b,"a":{"X":"1"}}}\n' % KEY,
    "a number that is none": b'{"Item":{%b,"a":{"N":"NaN"}}}\n' % KEY,
    "a number of 500 digits": b'{"Item":{%b,"a":{"N":"%b"}}}\n' % (KEY, b"1" * 500),
    "a number of 39 digits": b'{"Item":{%b,"a":{"N":"%b"}}}\n' % (KEY, b"1" * 39),
    "a number beyond all": b'{"Item":{%b,"a":{"N":"1E126"}}}\n' % KEY,
    "a plain number": b'{"Item":{%b,"a":{"N":1}}}\n' % KEY,
    "a plain number without end": b'{"Item":{%b,"a":{"N":%b}}}\n' % (KEY, b"1" * 100_000),
    "a flag of text": b'{"Item":{%b,"a":{"BOOL":"true"}}}\n' % KEY,
    "a NULL that is false": b'{"Item":{%b,"a":{"NULL":false}}}\n' % KEY,
    "binary that is none": b'{"Item":{%b,"a":{"B":"%%"}}}\n' % KEY,
    "binary that is a number": b'{"Item":{%b,"a":{"B":true}}}\n' % KEY,
    "a text that is a list": b'{"Item":{%b,"a":{"S":["x"]}}}\n' % KEY,
    "half a character": b'{"Item":{%b,"a":{"S":"\\ud800"}}}\n' % KEY,
    "half a character in a name": b'{"Item":{%b,"\\ud800":{"S":"x"}}}\n' % KEY,
    "an empty set": b'{"Item":{%b,"a":{"SS":[]}}}\n' % KEY,
    "a set that is a text": b'{"Item":{%b,"a":{"SS":"abc"}}}\n' % KEY,
    "a set with a member twice": b'{"Item":{%b,"a":{"SS":["x","x"]}}}\n' % KEY,
    "a set with a number twice": b'{"Item":{%b,"a":{"NS":["1","1.0"]}}}\n' % KEY,
    "a set with bytes twice": b'{"Item":{%b,"a":{"BS":["AA==","AB=="]}}}\n' % KEY,
    "bytes with a bit too many": b'{"Item":{%b,"a":{"B":"AB=="}}}\n' % KEY,
    "an empty name": b'{"Item":{"":{"S":"x"},%b}}\n' % KEY,
    "a long name": b'{"Item":{%b,"%b":{"S":"x"}}}\n' % (KEY, b"x" * 65_536),
    "a list that is a map": b'{"Item":{%b,"a":{"L":{}}}}\n' % KEY,
    "a map that is a list": b'{"Item":{%b,"a":{"M":[]}}}\n' % KEY,
    "a name twice": b'{"Item":{%b,"a":{"S":"x"},"a":{"S":"y"}}}\n' % KEY,
    "deep lists": b'{"Item":{%b,"a":%b{"NULL":true}%b}}\n' % (KEY, b'{"L":[' * 40, b"]}" * 40),
    "lists without end": b'{"Item":{%b,"a":%b' % (KEY, b'{"L":[' * 200_000),
    "an item of 500 KB": b'{"Item":{%b,"a":{"S":"%b"}}}\n' % (KEY, b"x" * 500_000),
    "a line of 10 MB": b'{"Item":{%b,"a":{"S":"%b"}}}\n' % (KEY, b"x" * 10_000_000),
    "an empty line": b"\n",
    "a million of nothing": b'{"Item":{%b,"a":{"L":[%b{}]}}}\n' % (KEY, b"{}," * 1_000_000),
}


@pytest.mark.parametrize("how", WRONG)
def test_a_line_that_is_no_item_is_refused(target: Scene, tmp_path: Path, how: str) -> None:
    """Even if all the counts and digests are right."""
    forged(tmp_path / "forged", [WRONG[how]])
    error = refused(target, tmp_path / "forged", with_damaged=True)
    assert isinstance(error, InvalidArchive)
    assert (error.file, error.line) == (part_name(0, 0), 1)
    assert len(str(error)) < 500


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_line_is_an_item_or_a_value_error(text: bytes) -> None:
    try:
        item = item_of(text)
    except ValueError:
        return
    assert item_of(line_of(item)) == item


@settings(max_examples=300)
@given(data=st.data(), how=st.sampled_from(["flip", "drop", "double", "cut", "more"]))
def test_a_changed_line_is_an_item_or_a_value_error(data: st.DataObject, how: str) -> None:
    line = b'{"Item":{%b,"a":{"M":{"b":{"L":[{"N":"1.5"},{"B":"AAE="},{"BOOL":true}]}}}}}\n' % KEY
    text = changed(line, data.draw(st.integers(0, len(line) - 1)), how)
    try:
        item = item_of(text)
    except ValueError:
        return
    assert item_of(line_of(item)) == item


@pytest.mark.once
def test_a_file_that_expands_is_refused_in_little_memory(target: Scene, tmp_path: Path) -> None:
    """A gigabyte of zeros, of line breaks, or of good lines that the manifest doesn't count."""
    good = line_of({"PK": {"S": "A#"}, "SK": {"S": "B#"}})
    for number, piece in enumerate((bytes(2**20), b"\n" * 2**20, good * 25_000)):
        folder = forged(tmp_path / str(number), [good])
        path = folder / part_name(0, 0)
        with gzip.open(path, "wb", compresslevel=9) as file:
            for _ in range(64):
                file.write(piece)
        manifest = read_manifest(folder)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        replace(manifest, parts=(manifest.parts[0]._replace(sha256=digest),)).write(folder)
        tracemalloc.start()
        try:
            assert isinstance(refused(target, folder), InvalidArchive)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 4 * MAX_LINE_BYTES


def test_a_manifest_without_end_is_refused(
    target: Scene, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dynamo_chat.archive.files.MAX_MANIFEST_BYTES", 1_000)
    assert "more than 1,000 bytes" in str(refused(target, copied))


def test_a_key_twice_is_written_once(target: Scene, items: list[Item], tmp_path: Path) -> None:
    """The second line is told as a difference; nothing that is there is overwritten."""
    (user, *_) = (each for each in items if each["kind"]["S"] == "user_password")
    twin = {**user, "token_hash": {"S": "0" * 64}, "more": {"S": "x"}}
    folder = forged_items(tmp_path / "forged", user, twin)
    with beside(target) as other:
        report = restored(other, folder, with_damaged=True)
        assert (report.verified, report.differing) == (1, 1)
        assert len(other.items()) == 1
        assert str(report.differences[0]).startswith("user_password (user_id")
