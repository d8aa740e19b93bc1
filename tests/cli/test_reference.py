"""The pages that are made from the code."""

import re
from pathlib import Path

import pytest

from dynamo_chat.catalogue import catalogue
from dynamo_chat.cli.reference import main, pages
from dynamo_chat.keyspace import KEY_SPACE

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", pages())
def test_the_page_is_up_to_date(name: str) -> None:
    """If not: ``python -m dynamo_chat.cli.reference``."""
    assert (REFERENCE / name).read_text("utf-8") == pages()[name]


def test_every_kind_is_on_its_page() -> None:
    page = pages()["key-space.md"]
    for layouts in KEY_SPACE.values():
        for layout in layouts:
            assert f"| `{layout.kind}`" in page
            assert layout.table.sk.pattern() in page


def test_every_method_is_on_its_page() -> None:
    page = pages()["access-patterns.md"]
    for entry in catalogue():
        assert f"| {entry.id} | `{entry.method}` |" in page


@pytest.mark.parametrize(("letter", "last"), {"C": 19, "M": 12, "P": 8, "U": 8, "O": 9}.items())
def test_every_documented_pattern_has_its_row(letter: str, last: int) -> None:
    """Also what happens by itself, in the order of the ids."""
    page = pages()["access-patterns.md"]
    found = re.findall(rf"^\| {letter}(\d+) \|", page, re.MULTILINE)
    assert list(dict.fromkeys(map(int, found))) == list(range(1, last + 1))


def test_tables_keep_their_shape() -> None:
    """A bar in a cell would be a column of its own."""
    for page in pages().values():
        tables = [part for part in page.split("\n\n") if part.startswith("|")]
        assert tables
        for table in tables:
            rows = [line.replace("\\|", "").count("|") for line in table.strip().splitlines()]
            assert set(rows) in ({8}, {4})


def test_the_table_s_own_patterns_are_all_on_the_page() -> None:
    page = pages()["access-patterns.md"]
    assert all(f"| T{number} | `" in page for number in range(1, 8))


def test_pages_are_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "reference"
    assert main([str(folder), "--check"]) == 1
    assert "key-space.md is not up to date" in capsys.readouterr().err
    assert main([str(folder)]) == 0
    assert main([str(folder), "--check"]) == 0
    (folder / "key-space.md").write_text("by hand", "utf-8")
    assert main([str(folder), "--check"]) == 1
