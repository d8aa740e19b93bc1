"""What others wrote is shown as it is: nothing of it is markup, and a terminal obeys none of it."""

import ast
import io
import json
import re
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from hypothesis import example, given, strategies as st

import dynamo_chat.cli
from dynamo_chat.cli.console import (
    LONGEST_ERROR,
    DataConsole,
    Text,
    fail,
    folded,
    json_text,
    key_words,
    table,
    visible,
)

HOSTILE = {
    "[link=https://evil.example]here[/link]": "[link=https://evil.example]here[/link]",
    "[/b]": "[/b]",
    "[bold red]": "[bold red]",
    ":pile_of_poo:": ":pile_of_poo:",
    "\x1b]8;;https://evil.example\x07here": r"\x1b]8;;https://evil.example\x07here",
    "\x1b[2J": r"\x1b[2J",
    "\x9b31m": r"\x9b31m",
    "a\rb\x08c\x7f": r"a\rb\x08c\x7f",
    "one\ntwo\u2028three\x85": r"one\ntwo\u2028three\x85",
    "gpj.\u202eexe": r"gpj.\u202eexe",
    "a\u200bb\u2066c\ufeffd": r"a\u200bb\u2066c\ufeffd",
    "\U000e0041": r"\U000e0041",
    "\ud800": r"\ud800",
    "Grüße, 東京, ça va\u00a0?": "Grüße, 東京, ça va\u00a0?",
}


def console() -> tuple[DataConsole, io.StringIO]:
    """A terminal with colours and links, and what is sent to it."""
    sent = io.StringIO()
    return DataConsole(file=sent, force_terminal=True, color_system="truecolor", width=200), sent


def shown(*printed: Any) -> str:
    made, sent = console()
    made.print(*printed)
    return sent.getvalue()


def ways(text: str) -> list[Any]:
    """Every way in which the commands show a text."""
    cell, coloured = table("a"), table("a")
    cell.add_row(text)
    coloured.add_row(Text(text))
    return [
        text,
        Text(text),
        Text("").append(text),
        Text("").append(Text(text)),
        Text.assemble((text, ""), ""),
        cell,
        coloured,
    ]


@pytest.mark.parametrize(("text", "wanted"), HOSTILE.items())
def test_every_way_of_showing_shows_what_is_there(text: str, wanted: str) -> None:
    for way in ways(text):
        assert wanted in _without_colours(shown(way))


def _without_colours(sent: str) -> str:
    """What is left of the console's own: the header of a table is bold."""
    for own in ("\x1b[1;2m", "\x1b[0m"):
        sent = sent.replace(own, "")
    assert "\x1b" not in sent
    return sent


@given(st.text())
@example("".join(HOSTILE))
def test_a_terminal_gets_nothing_to_obey(text: str) -> None:
    for way in (text, Text(text), table(text)):
        sent = _without_colours(shown(way))
        assert all(character == "\n" or _is_harmless(character) for character in sent)


def _is_harmless(character: str) -> bool:
    return character.isprintable() or category(character) == "Zs"


_ESCAPE = re.compile(r"\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


@given(st.text(st.characters(exclude_characters="\\")))
def test_nothing_is_left_out(text: str) -> None:
    """Texts that differ are shown differently: escapes can be read back."""
    read = _ESCAPE.sub(lambda found: found[0].encode().decode("unicode_escape"), visible(text))
    assert read == text


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
@example("".join(HOSTILE))
def test_json_stays_json(value: Any) -> None:
    for indent in (2, None):
        text = json_text(value, indent=indent)
        assert json.loads(text) == value
        assert all(_is_harmless(character) for line in text.split("\n") for character in line)
    assert json_text("Grüße, 東京") == '"Grüße, 東京"'


def test_what_goes_on_is_no_markup() -> None:
    made, _ = console()
    with made.status("loading [/b] …") as status:
        status.update(Text("loading [link=https://evil.example]x"))


@pytest.mark.parametrize("text", HOSTILE)
def test_an_error_is_one_line_of_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(f"file {text} is not there").exit_code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: file ")
    assert all(map(_is_harmless, line))


def test_an_error_has_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    fail("no such thing: " + "x" * 10_000_000)
    assert len(capsys.readouterr().err) < LONGEST_ERROR + 20


def test_there_is_no_way_round_it() -> None:
    """No module makes texts or consoles of rich's own, which take data for markup."""
    folder = Path(dynamo_chat.cli.__path__[0])
    modules = [each for each in folder.rglob("*.py") if each.name != "console.py"]
    assert len(modules) > 10
    for module in modules:
        tree = list(ast.walk(ast.parse(module.read_text("utf-8"))))
        imported = {each.module for each in tree if isinstance(each, ast.ImportFrom)}
        called = {_name(each.func) for each in tree if isinstance(each, ast.Call)}
        assert not imported & {"rich", "rich.json", "rich.markup", "rich.prompt", "rich.text"}
        assert not called & {"Console", "JSON", "RichText", "from_ansi", "from_markup"}, module


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


@given(st.text(st.sampled_from("ab#-:.\\")), st.integers(1, 12))
def test_keys_are_broken_between_words(key: str, width: int) -> None:
    """Nothing is lost, no line is too long, and a word that fits is whole."""
    lines = folded(key, width)
    assert "".join(lines) == key
    assert all(len(line) <= width for line in lines)
    ends = {len("".join(lines[:number])) for number in range(len(lines) + 1)}
    place = 0
    for word in key_words(key):
        inside = range(place + 1, place + len(word))
        assert len(word) > width or not ends.intersection(inside)
        place += len(word)
