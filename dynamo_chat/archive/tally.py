"""Counts and digests of an archive's lines, by kind.

The digest of a kind is the sum of its lines' SHA-256, as numbers of 256 bits. It does not depend on
the order of the lines, so segments and parts can be added up, and a line that is missing, changed
or there twice changes it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.layout import VERSION
from dynamo_chat.operations.doctor.findings import kind_of

_MODULUS: Final = 2**256
_HEX: Final = 64
_LONGEST_KIND: Final = 200
_LONGEST_VERSION: Final = 4


@dataclass(slots=True)
class KindTally:
    """The lines of one kind."""

    items: int = 0
    digest: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    """How many items have each schema version; an empty text is none that a store writes."""


@dataclass(slots=True)
class Tally:
    """The lines of an archive, or of a part of it."""

    kinds: dict[str, KindTally] = field(default_factory=dict)

    def add(self, item: AttributeValues, line: bytes) -> None:
        """Count an item and its line."""
        found = self.kinds.setdefault(_kind(item), KindTally())
        digest = int.from_bytes(hashlib.sha256(line).digest(), "big")
        found.items += 1
        found.digest = (found.digest + digest) % _MODULUS
        found.versions[_version(item)] += 1

    def merge(self, other: Tally) -> None:
        """Add what `other` counted."""
        for kind, more in other.kinds.items():
            found = self.kinds.setdefault(kind, KindTally())
            found.items += more.items
            found.digest = (found.digest + more.digest) % _MODULUS
            found.versions.update(more.versions)

    @property
    def items(self) -> int:
        """How many items were counted."""
        return sum(each.items for each in self.kinds.values())

    def counts(self) -> dict[str, int]:
        """How many items of each kind."""
        return {kind: self.kinds[kind].items for kind in sorted(self.kinds)}

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            kind: {
                "items": each.items,
                "digest": f"{each.digest:0{_HEX}x}",
                "versions": dict(sorted(each.versions.items())),
            }
            for kind, each in sorted(self.kinds.items())
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """What `as_dict` wrote. ValueError, TypeError, LookupError or AttributeError."""
        return cls(
            {
                kind: KindTally(
                    count_of(each["items"]),
                    _digest(each["digest"]),
                    Counter({name: count_of(n) for name, n in each["versions"].items()}),
                )
                for kind, each in told.items()
            }
        )


# Items of other applications may have anything there: what no store writes is not listed.


def _kind(item: AttributeValues) -> str:
    kind = kind_of(item)
    return kind if len(kind) <= _LONGEST_KIND else ""


def _version(item: AttributeValues) -> str:
    version = item.get(VERSION, {}).get("N", "")
    return version if len(version) <= _LONGEST_VERSION else ""


def count_of(told: Any) -> int:
    """A count that was read. ValueError."""
    if type(told) is not int or told < 0:
        raise ValueError("a count must be a whole number")
    return told


def _digest(told: Any) -> int:
    if not isinstance(told, str) or len(told) != _HEX:
        raise ValueError("a digest must have 64 digits")
    return int.from_bytes(bytes.fromhex(told), "big")
