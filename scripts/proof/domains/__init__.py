"""What the proof does in each domain of the store, and what must hold there afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proof.domains import calls, chat, identity, limits, lives, mail, orgs, points, telemetry
from proof.steps import Action, Domain

DOMAINS: Final[Sequence[Domain]] = (
    chat.DOMAIN,
    calls.DOMAIN,
    points.DOMAIN,
    identity.DOMAIN,
    orgs.DOMAIN,
    mail.DOMAIN,
    limits.DOMAIN,
    telemetry.DOMAIN,
    lives.DOMAIN,
)
ACTIONS: Final[dict[str, Action]] = {
    kind: action for domain in DOMAINS for kind, action in domain.actions.items()
}
NAMES: Final = tuple(domain.name for domain in DOMAINS)


def chosen(names: Sequence[str]) -> Sequence[Domain]:
    """The domains of these names."""
    return [domain for domain in DOMAINS if domain.name in names]
