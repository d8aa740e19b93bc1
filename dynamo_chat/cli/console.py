r"""Output of the commands: one console, a colour for each domain, short numbers.

Much of the output is data written by others: titles, ids, names of files. The console interprets
no markup, and shows control, format and bidirectional characters and line breaks as escapes such
as ``\x1b``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Self
from unicodedata import category

import typer
from rich.console import Console, RenderableType
from rich.status import Status
from rich.style import Style
from rich.table import Table
from rich.text import Text as RichText

from dynamo_chat.core.text import cut
from dynamo_chat.keyspace import KEY_SPACE

WIDE: Final = 120
"""From this width on, tables show columns that are left out on a narrow terminal."""

_WIDTH_OF_A_FILE: Final = 170
_COLOURS: Final = {
    "chat": ("bright_cyan", "deep_sky_blue1", "turquoise2", "steel_blue1"),
    "identity": ("bright_green", "spring_green3", "dark_sea_green2", "green3"),
    "orgs": ("bright_yellow", "khaki1", "gold3", "light_goldenrod2"),
    "mail": ("bright_magenta", "orchid1", "plum1", "violet"),
    "limits": ("light_coral",),
    "telemetry": ("dark_orange", "sandy_brown", "orange3", "navajo_white1"),
    "calls": ("medium_purple1", "light_slate_blue", "slate_blue1", "light_steel_blue1"),
    "provision": ("grey70",),
}
"""Shades of one colour for each domain."""
_DOMAINS: Final = {
    layout.kind: (domain, number)
    for domain, layouts in KEY_SPACE.domains.items()
    for number, layout in enumerate(layouts)
}
"""The domain of each kind, and its number in the domain."""


_quiet: Final = ContextVar("dynamo_chat_quiet", default=False)
_NOT_ASCII: Final = re.compile(r"[^\x20-\x7e]")
_WORD: Final = re.compile(r"\w*[^\w\\]|\\?\w+|\\")
"""A word of a key with the mark after it; an escape such as ``\\x1b`` stays whole."""
LONGEST_ERROR: Final = 2_000
"""The longest error message that is shown."""


def visible(text: str) -> str:
    """The text, with an escape for each character that a terminal would not simply print."""
    return _NOT_ASCII.sub(lambda found: _escaped(found[0], _as_python), text)


def key_words(text: str) -> list[str]:
    """The words of a key, each with the mark that ends it."""
    return _WORD.findall(text)


def folded(text: str, width: int) -> list[str]:
    """A key in lines of at most `width` characters, broken between its words.

    A word ends with ``#``, ``-`` or another mark; only one that is wider than a line is broken.
    """
    lines = [""]
    for word in key_words(text):
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        for start in range(0, len(word), width):
            if start:
                lines.append("")
            lines[-1] += word[start : start + width]
    return lines


def json_text(value: Any, *, indent: int | None = 2, default: Any = None) -> str:
    """JSON that is safe to print: `visible` would not change its lines."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        value, ensure_ascii=False, indent=indent, separators=separators, default=default
    )
    # Line breaks are only those of the layout: those in texts are escaped already.
    return "\n".join(
        _NOT_ASCII.sub(lambda found: _escaped(found[0], _as_json), line)
        for line in text.split("\n")
    )


def print_json(value: Any, *, default: Any = None) -> None:
    """Print JSON on standard output."""
    typer.echo(json_text(value, default=default))


def _escaped(character: str, escape: Callable[[str], str]) -> str:
    is_shown = character.isprintable() or category(character) == "Zs"
    return character if is_shown else escape(character)


def _as_python(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _as_json(character: str) -> str:
    return json.dumps(character)[1:-1]


class Text(RichText):
    """One line of data with colours."""

    def __init__(self, text: str = "", style: str | Style = "", **options: Any) -> None:
        super().__init__(visible(text), style, **options)

    def append(self, text: RichText | str, style: str | Style | None = None) -> Self:
        """Append text to the line."""
        super().append(visible(text) if isinstance(text, str) else text, style)
        return self


class DataConsole(Console):
    """A console that prints every text as one line of data, without markup or emoji names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> RichText:
        """Render a plain text: a line, or a cell of a table."""
        return super().render_str(visible(text), **options)

    def status(self, status: RenderableType, **options: Any) -> Status:
        """Show a status. Update it only with a `Text`: rich reads other texts as markup."""
        return super().status(Text(status) if isinstance(status, str) else status, **options)


def output(*, stderr: bool = False) -> Console:
    """A console on standard output. In a file or a pipe, lines are wide and have no colours."""
    console = DataConsole(stderr=stderr, quiet=is_quiet())
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = DataConsole(stderr=stderr, quiet=is_quiet(), width=_WIDTH_OF_A_FILE)
    return console


def set_quiet(is_quiet: bool) -> None:
    """From now on, print only errors and the data that was asked for, or everything again."""
    _quiet.set(is_quiet)


def is_quiet() -> bool:
    """True if a command was called with --quiet."""
    return _quiet.get()


def fail(message: str, code: int = 1) -> typer.Exit:
    """Print an error as one line on standard error. Returns the exit, to be raised."""
    line = Text("error: ", style="bold red")
    line.append(cut(message, LONGEST_ERROR), style="not bold default")
    console = output(stderr=True)
    console.quiet = False
    console.print(line, soft_wrap=True)
    return typer.Exit(code)


def table(*columns: str, numbers: tuple[str, ...] = (), wrapping: tuple[str, ...] = ()) -> Table:
    """A table with these columns: `numbers` align right, `wrapping` may take several lines.

    On a narrow terminal only the `wrapping` columns get narrower.
    """
    made = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in numbers else "left",
            overflow="fold" if column in wrapping else "ellipsis",
            no_wrap=column not in wrapping,
        )
    return made


def headline(console: Console, text: str, style: str = "") -> None:
    """Print a headline with a rule."""
    console.print()
    console.rule(Text(text, style=f"bold {style}"), align="left", style="dim")


def domain_of(kind: str) -> str:
    """The domain of a kind of item; empty for a kind that is not in the key space."""
    return _DOMAINS.get(kind, ("", 0))[0]


def domain_style(domain: str) -> str:
    """The colour of a domain."""
    return _COLOURS.get(domain, ("default",))[0]


def kind_style(kind: str) -> str:
    """The colour of a kind of item: always the same shade of its domain's colour."""
    domain, number = _DOMAINS.get(kind, ("", 0))
    shades = _COLOURS.get(domain, ("default",))
    return shades[number % len(shades)]


def units(amount: float | None) -> str:
    """Capacity units as text; with halves; a dash for none."""
    return f"{amount:g}" if amount else "–"
