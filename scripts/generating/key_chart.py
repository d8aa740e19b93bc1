"""Draws the key chart of the README from the key space: one row per kind, coloured by domain."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from dynamo_chat.core.layout import Layout, Slot
from dynamo_chat.keyspace import KEY_SPACE

CHART = Path("docs", "key-chart.svg")
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d", "#8a8f98")
COLUMNS = (("kind", 190), ("table", 330), ("GSI1", 470), ("GSI2", 470))
ROW, LINE, PAD = 40, 15, 10


def files() -> Mapping[Path, str]:
    """The chart, by its path in the repository."""
    return {CHART: draw()}


def draw() -> str:
    """The chart as an SVG document."""
    rows = [
        (domain, colour, layout)
        for (domain, layouts), colour in zip(KEY_SPACE.domains.items(), COLOURS, strict=False)
        for layout in layouts
    ]
    width = sum(size for _, size in COLUMNS) + PAD
    height = ROW * (len(rows) + 1) + PAD
    size = f'width="{width}" height="{height}"'
    font = 'font-family="ui-monospace, Menlo, monospace" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" {font}>',
        f'<rect {size} fill="#ffffff"/>',
    ]
    left = PAD
    for name, column in COLUMNS:
        parts.append(_text(left, 25, name, "#111111", weight="bold"))
        left += column
    for number, (domain, colour, layout) in enumerate(rows, start=1):
        top = number * ROW
        parts.append(
            f'<rect x="0" y="{top}" width="{width}" height="{ROW}" fill="{colour}" '
            f'fill-opacity="{0.06 if layout.helper else 0.16}"/>'
        )
        parts.append(f'<rect x="0" y="{top}" width="4" height="{ROW}" fill="{colour}"/>')
        parts += _row(top, domain, layout)
    return "\n".join([*parts, "</svg>", ""])


def _row(top: int, domain: str, layout: Layout) -> list[str]:
    left = PAD
    cells = [
        (layout.kind, f"{domain}{' · helper' if layout.helper else ''}"),
        _slot(layout.table),
        _slot(layout.gsi1),
        _slot(layout.gsi2),
    ]
    parts = []
    for (first, second), (_, size) in zip(cells, COLUMNS, strict=True):
        parts.append(_text(left, top + LINE, first, "#111111"))
        parts.append(_text(left, top + 2 * LINE, second, "#555555"))
        left += size
    return parts


def _slot(slot: Slot | None) -> tuple[str, str]:
    return ("", "") if slot is None else (slot.pk.pattern(), slot.sk.pattern())


def _text(left: int, top: int, content: str, colour: str, weight: str = "normal") -> str:
    return (
        f'<text x="{left}" y="{top}" fill="{colour}" font-weight="{weight}">'
        f"{escape(content)}</text>"
    )
