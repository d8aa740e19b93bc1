"""How things are shown: one console, a colour for each domain, numbers without noise."""

from __future__ import annotations

import os
from typing import Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    for domain, layouts in KEY_SPACE.items()
    for number, layout in enumerate(layouts)
}
"""The domain of each kind, and the kind's place in it."""


def output(*, stderr: bool = False) -> Console:
    """A console on standard output. Into a file or a pipe, lines are wide and without colours."""
    console = Console(highlight=False, stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, stderr=stderr, width=_WIDTH_OF_A_FILE)
    return console


def fail(message: str) -> typer.Exit:
    """Show an error as one line on standard error; what to raise to leave with exit code 1."""
    line = Text("error: ", style="bold red")
    line.append(" ".join(message.split()), style="not bold default")
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


def cut(text: str, width: int) -> str:
    """The beginning of `text` on one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
