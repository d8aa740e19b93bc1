r"""How things are shown: one console, a colour for each domain, numbers without noise.

What the command shows was often written by others: titles, ids, names of files. It is data. The
console knows no markup, and what a terminal would obey, hide or turn around (control, format and
bidirectional characters, line breaks too) is shown as an escape such as ``\x1b``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
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
"""From this width on, tables have columns that a narrow terminal can do without."""

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
"""The domain of each kind, and the kind's place in it."""


_NOT_ASCII: Final = re.compile(r"[^\x20-\x7e]")
LONGEST_ERROR: Final = 2_000
"""What an error repeats of what it was given has an end."""


def visible(text: str) -> str:
    """The text, with an escape for each character that a terminal would not just show."""
    return _NOT_ASCII.sub(lambda found: _escaped(found[0], _as_python), text)


def json_text(value: Any, *, indent: int | None = 2, default: Any = None) -> str:
    """JSON that is safe to show: `visible` would change nothing in its lines."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        value, ensure_ascii=False, indent=indent, separators=separators, default=default
    )
    # Line breaks are of the layout alone: those in texts are escaped already.
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
    """Text with colours: one line of data."""

    def __init__(self, text: str = "", style: str | Style = "", **options: Any) -> None:
        super().__init__(visible(text), style, **options)

    def append(self, text: RichText | str, style: str | Style | None = None) -> Self:
        """Add to its end."""
        super().append(visible(text) if isinstance(text, str) else text, style)
        return self


class DataConsole(Console):
    """A console that takes every text for one line of data: no markup, and no names of emoji."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> RichText:
        """A text without colours: a line, or a cell of a table."""
        return super().render_str(visible(text), **options)

    def status(self, status: RenderableType, **options: Any) -> Status:
        """What goes on. To change it, give it a `Text`: rich takes other texts for markup."""
        return super().status(Text(status) if isinstance(status, str) else status, **options)


def output(*, stderr: bool = False) -> Console:
    """A console on standard output. Into a file or a pipe, lines are wide and without colours."""
    console = DataConsole(stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = DataConsole(stderr=stderr, width=_WIDTH_OF_A_FILE)
    return console


def fail(message: str) -> typer.Exit:
    """Show an error as one line on standard error; what to raise to leave with exit code 1."""
    line = Text("error: ", style="bold red")
    line.append(cut(message, LONGEST_ERROR), style="not bold default")
    output(stderr=True).print(line, soft_wrap=True)
    return typer.Exit(1)


def table(*columns: str, numbers: tuple[str, ...] = (), wrapping: tuple[str, ...] = ()) -> Table:
    """A table with these columns: those of `numbers` to the right, `wrapping` on several lines.

    On a narrow terminal only the `wrapping` ones give way.
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


def domain_of(kind: str) -> str:
    """The domain that a kind of item belongs to; empty for a kind that the key space lacks."""
    return _DOMAINS.get(kind, ("", 0))[0]


def domain_style(domain: str) -> str:
    """The colour of a domain."""
    return _COLOURS.get(domain, ("default",))[0]


def kind_style(kind: str) -> str:
    """The colour of a kind of item: a shade of its domain's, the same everywhere."""
    domain, number = _DOMAINS.get(kind, ("", 0))
    shades = _COLOURS.get(domain, ("default",))
    return shades[number % len(shades)]


def units(amount: float | None) -> str:
    """Capacity units: halves are shown, nothing is left empty."""
    return f"{amount:g}" if amount else "–"
