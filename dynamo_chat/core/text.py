"""Shortens text to one line."""

from __future__ import annotations


def cut(text: str, width: int) -> str:
    """`text` on one line, cut to `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
