"""The files that are made from the code, and the command that writes them."""

import json
import re
from pathlib import Path

import pytest

from dynamo_chat.catalogue import catalogue
from dynamo_chat.keyspace import KEY_SPACE
from generating import costs, reference, stored_items
from generating.__main__ import generated, main, stale
from generating.stored_items import Item
from tests.places import ROOT

KEY_SPACE_PAGE = reference.FOLDER / "key-space.md"
PROBES = stored_items.FOLDER / "v1" / "probe.json"
PROBE: Item = {"kind": {"S": "probe"}, "v": {"N": "1"}}


@pytest.mark.once
def test_every_generated_file_is_up_to_date() -> None:
    out_of_date = ", ".join(map(str, stale(generated())))
    assert not out_of_date, f"{out_of_date} is out of date: run scripts/generate"


def test_only_what_is_out_of_date_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generating.__main__.generated", lambda: {KEY_SPACE_PAGE: "made"})
    assert main(["--check"], tmp_path) == 1
    assert f"{KEY_SPACE_PAGE} is out of date. Run scripts/generate." in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    (tmp_path / KEY_SPACE_PAGE).write_text("by hand", "utf-8")
    capsys.readouterr()
    assert main([], tmp_path) == 0
    assert capsys.readouterr().out == f"wrote {KEY_SPACE_PAGE}\n"


def test_a_stored_item_is_added_and_never_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_items, "ROOT", tmp_path)
    newer = {**PROBE, "ttl": {"N": "1"}, "note": {"S": "new"}}
    monkeypatch.setattr(stored_items, "items", lambda: [PROBE, newer, newer])
    (tmp_path / PROBES).parent.mkdir(parents=True)
    (tmp_path / PROBES).write_text(json.dumps({"full": {"item": {**PROBE, "old": {}}}}), "utf-8")
    made = json.loads(stored_items.files()[PROBES])
    assert made.keys() == {"full", "with note"}
    assert made["full"]["item"] == {**PROBE, "old": {}}
    assert made["with note"]["item"] == newer


def test_a_readme_without_the_table_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("| | units |\n", "utf-8")
    with pytest.raises(ValueError, match="has no table"):
        costs.files()


# -- the pages, as they are recorded: that they are up to date is tested above ---------------------


def recorded(name: str) -> str:
    return (ROOT / reference.FOLDER / name).read_text("utf-8")


def test_every_kind_is_on_its_page() -> None:
    page = recorded("key-space.md")
    for layout in KEY_SPACE:
        assert f"| `{layout.kind}`" in page
        assert layout.table.sk.pattern() in page


def test_every_method_is_on_its_page() -> None:
    patterns, owners = recorded("access-patterns.md"), recorded("owners.md")
    for entry in catalogue():
        assert f"| {entry.id} | `{entry.method}` |" in patterns
        assert f"| `{entry.method}` |" in owners


@pytest.mark.parametrize(("letter", "last"), {"C": 19, "M": 12, "P": 8, "U": 8, "O": 9}.items())
def test_every_documented_pattern_has_its_row(letter: str, last: int) -> None:
    """Also what happens by itself; what is added goes on counting."""
    page = recorded("access-patterns.md")
    found = re.findall(rf"^\| {letter}(\d+) \|", page, re.MULTILINE)
    ids = set(map(int, found))
    assert ids == set(range(1, max(last, *ids) + 1))


def test_tables_keep_their_shape() -> None:
    """A bar in a cell would be a column of its own."""
    for name in ("access-patterns.md", "key-space.md", "owners.md"):
        tables = [part for part in recorded(name).split("\n\n") if part.startswith("|")]
        assert tables
        for table in tables:
            rows = [line.replace("\\|", "").count("|") for line in table.strip().splitlines()]
            assert set(rows) in ({10}, {8}, {4}, {3})


def test_the_table_s_own_patterns_are_all_on_the_page() -> None:
    page = recorded("access-patterns.md")
    assert all(f"| T{number} | `" in page for number in range(1, 8))
