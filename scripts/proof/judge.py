"""All checks of a round, the most useful findings first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from proof.claims import check_claims, check_found
from proof.domains import ACTIONS, DOMAINS
from proof.evidence import Evidence, Violation
from proof.indexes import index_contents, index_keys, readable

MOST: Final = 20


def judge(evidence: Evidence) -> list[tuple[str, Violation]]:
    """Every violation, with the name of the check that found it."""
    return [(name, each) for name, check in _checks() for each in check(evidence)]


def _checks() -> Iterator[tuple[str, Callable[[Evidence], Iterable[Violation]]]]:
    yield "answers", _answers
    yield "items", readable
    yield "lost or doubled", _claims
    yield "look-ups", lambda evidence: check_found(evidence, ACTIONS)
    yield "index keys", index_keys
    yield "index contents", index_contents
    for domain in DOMAINS:
        yield from domain.checks


def _claims(evidence: Evidence) -> Iterable[Violation]:
    found = [thing for domain in DOMAINS for thing in domain.found(evidence)]
    return check_claims(evidence, ACTIONS, found)


def _answers(evidence: Evidence) -> Iterator[Violation]:
    """Every result is one that the package may return."""
    for call in evidence.calls:
        if call.outcome == "broken":
            yield Violation("an answer that must not be", str(call))


def shortened(violations: Sequence[tuple[str, Violation]]) -> Sequence[tuple[str, Violation]]:
    """The first violations: a few of each check."""
    kept: list[tuple[str, Violation]] = []
    for name, violation in violations:
        if sum(name == other for other, _ in kept) < 3 and len(kept) < MOST:
            kept.append((name, violation))
    return kept
