"""Text for one line."""

from __future__ import annotations


def cut(text: str, width: int) -> str:
    """The beginning of `text` on one line."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
