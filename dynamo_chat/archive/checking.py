"""Check an archive before anything of it is written: every line, digest, count, kind and key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dynamo_chat.archive.exporting import UNHARMFUL
from dynamo_chat.archive.reading import Line, Source
from dynamo_chat.archive.tally import Tally
from dynamo_chat.core.clock import Clock
from dynamo_chat.core.errors import InvalidArchive
from dynamo_chat.core.layout import KeySpace
from dynamo_chat.core.transaction import is_live
from dynamo_chat.operations.doctor.findings import MEANINGS, Code
from dynamo_chat.operations.doctor.forms import Examiner
from dynamo_chat.operations.doctor.kinds import knowing

_ADVICE: Final[dict[Code, str]] = {
    "unknown_kind": "name the application's own store",
    "newer_version": "update the package",
}
_NEVER: Final = frozenset({"newer_version"})
"""Problems that `with_damaged` does not permit either."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What an archive has. Everything of it can be restored."""

    tally: Tally
    expired: int
    """Items that have expired since they were exported."""
    damaged: Counter[Code]
    """How many items have each problem that the doctor would report."""


class Checker:
    """Checks archives for tables with the kinds of a key space."""

    def __init__(self, key_space: KeySpace, clock: Clock, *, with_damaged: bool) -> None:
        self._key_space = key_space
        self._clock = clock
        self._with_damaged = with_damaged
        # How long expired items and calls may last is not asked here.
        self._examiner = Examiner(clock, timedelta.max, timedelta.max)

    def check(self, source: Source, told: Callable[[int], object]) -> Checked:
        """Check every line. InvalidArchive if the archive is damaged, or can't all be restored."""
        found = Checked(Tally(), 0, Counter())
        refused: Counter[Code] = Counter()
        first: InvalidArchive | None = None
        expired = done = 0
        with knowing(self._key_space):
            for part in source.parts:
                for line in source.lines(part):
                    done += 1
                    if done % 500 == 0:
                        told(done)
                    found.tally.add(line.item, line.text)
                    if not is_live(line.item, self._clock()):
                        expired += 1
                        continue
                    codes = self._codes(line)
                    found.damaged.update(codes)
                    if codes and not (self._with_damaged and not codes & _NEVER):
                        refused.update(codes)
                        first = first or InvalidArchive(part, "", line.number)
        told(done)
        source.check(found.tally)
        if first is not None:
            raise InvalidArchive(first.file, _why(refused), first.line)
        return Checked(found.tally, expired, found.damaged)

    def _codes(self, line: Line) -> set[Code]:
        found = {each.code for each in self._examiner.form(line.item).problems}
        return {code for code in found if code not in UNHARMFUL}


def _why(refused: Counter[Code]) -> str:
    """Why items are refused, with what to do about it."""
    said = []
    for code, number in sorted(refused.items()):
        advice = f" ({_ADVICE[code]})" if code in _ADVICE else ""
        said.append(f"{number:,} {code}{advice}: {MEANINGS[code]}")
    return "is the first item that can't be restored. " + " ".join(said)
