"""What hostile input costs: for every argument, the CPU time of its most costly value by size."""

import gc
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from dynamo_chat.core.errors import DynamoChatError
from fuzzing.hostile import SIZED, VALUES, Arena, Place, places
from fuzzing.image import NeverEnds

SIZES: Final = (1_000_000, 10_000_000)
"""Characters or bytes."""
SHOWN: Final = 40
_NOISE: Final = 0.002
"""Shorter times, in seconds, are noise: their ratio means nothing."""

Row = dict[str, object]


def measure() -> list[Row]:
    """A row for each argument, the most costly first."""
    small, large = ({name: VALUES[name](size) for name in SIZED} for size in SIZES)
    arena = Arena()
    rows = [_row(arena, place, small, large) for place in places()]
    return sorted(rows, key=lambda row: -float(str(row["s at 10 MB"])))


def table_rows(rows: list[Row]) -> list[Row]:
    """The rows that are worth printing."""
    return rows[:SHOWN]


def caption(rows: list[Row]) -> str:
    """What the other rows have in common."""
    rest = rows[SHOWN:]
    most = max((float(str(row["s at 10 MB"])) for row in rest), default=0.0)
    worst = max((float(str(row["ratio"])) for row in rows if row["ratio"] is not None), default=0.0)
    return (
        f"{len(rows):,} arguments; the {len(rest):,} that are not shown take {most:.3f} s at most. "
        f"10 times the size takes {worst:.1f} times as long at most."
    )


def _row(arena: Arena, place: Place, small: Mapping[str, Any], large: Mapping[str, Any]) -> Row:
    seconds = {name: _seconds(arena, place, value) for name, value in small.items()}
    dearest = max(seconds, key=lambda name: seconds[name])
    # The better of two: a garbage collection, or a neighbour, is no cost of the input.
    at_first = min(seconds[dearest], _seconds(arena, place, small[dearest]))
    at_last = min(_seconds(arena, place, large[dearest]) for _ in range(2))
    is_told = at_last > 10 * _NOISE
    return {
        "argument": str(place),
        "dearest value": dearest,
        "s at 1 MB": at_first,
        "s at 10 MB": at_last,
        "ratio": at_last / max(at_first, _NOISE) if is_told else None,
    }


def _seconds(arena: Arena, place: Place, value: Any) -> float:
    gc.collect(0)
    start = time.process_time()
    with suppress(DynamoChatError, NeverEnds):  # a request for each of many ids is no waste
        arena.call(place, value)
    return time.process_time() - start
