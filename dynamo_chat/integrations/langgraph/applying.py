"""Many writes, as few requests as it takes, of which some may no longer apply."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from dynamo_chat.entities import Conflict, NotFound, OwnItems, Write

_TOGETHER: Final = 100
_TOGETHER_BYTES: Final = 3_500_000
"""DynamoDB takes 100 writes of 4 MB in a transaction."""


def apply_all(items: OwnItems, writes: Iterable[tuple[Write, int]]) -> None:
    """Apply writes of items of these sizes, as many in a transaction as it takes.

    If one no longer applies, each is tried alone, and those that don't apply are left out.
    """
    together: list[Write] = []
    size = 0
    for write, of_size in writes:
        if len(together) == _TOGETHER or size + of_size > _TOGETHER_BYTES:
            _apply(items, together)
            together, size = [], 0
        together.append(write)
        size += of_size
    _apply(items, together)


def _apply(items: OwnItems, together: list[Write]) -> None:
    if not together:
        return
    try:
        items.write(*together)
    except Conflict:
        for each in together if len(together) > 1 else ():
            with suppress(Conflict, NotFound):
                items.write(each)
