"""What was loaded for the demo, and the walks that it makes possible, by domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.cli.walks.calls import walk_through_calls
from dynamo_chat.cli.walks.chat import walk_through_chat
from dynamo_chat.cli.walks.identity import walk_through_identity
from dynamo_chat.cli.walks.limits import walk_through_limits
from dynamo_chat.cli.walks.mail import walk_through_mail
from dynamo_chat.cli.walks.orgs import walk_through_orgs
from dynamo_chat.cli.walks.step import Walk
from dynamo_chat.cli.walks.telemetry import walk_through_telemetry
from dynamo_chat.importing.acs import Acs
from dynamo_chat.importing.loading import Loaded
from dynamo_chat.importing.oneonone import OneOnOne
from dynamo_chat.store import ChatStore


class Domain(StrEnum):
    """What the demo can be narrowed to."""

    CHAT = "chat"
    IDENTITY = "identity"
    ORGS = "orgs"
    MAIL = "mail"
    LIMITS = "limits"
    TELEMETRY = "telemetry"
    CALLS = "calls"


OF_ACS: Final = frozenset(Domain) - {Domain.CHAT, Domain.CALLS}
"""The domains that hold the records of `acs`."""


@dataclass(slots=True)
class World:
    """Everything that was loaded."""

    conversations: list[Loaded] = field(default_factory=list)
    acs: Acs | None = None
    oneonone: OneOnOne | None = None

    @property
    def shown(self) -> Conversation | None:
        """The conversation to look at: the caller's own, if there is one."""
        own = [each for each in self.conversations if each.read_out is None]
        found: Sequence[Loaded] = own or self.conversations
        return found[0].conversation if found else None

    def partitions(self) -> list[str]:
        """The partition keys of everything but conversations."""
        return [key for each in (self.acs, self.oneonone) if each for key in each.partitions()]


def walk_of(store: ChatStore, domain: Domain, world: World) -> Walk | None:
    """The walk through a domain; None when nothing was loaded that it could look at."""
    acs = world.acs
    if domain is Domain.CHAT:
        return None if world.shown is None else walk_through_chat(store, world.shown)
    if domain is Domain.CALLS:
        found = world.oneonone
        return None if found is None else walk_through_calls(store, found.call)
    return None if acs is None else _WALKS[domain](store, acs)


_WALKS: Final[Mapping[Domain, Callable[[ChatStore, Acs], Walk]]] = {
    Domain.IDENTITY: lambda store, acs: walk_through_identity(store, acs.user),
    Domain.ORGS: lambda store, acs: walk_through_orgs(store, acs.member, acs.invite),
    Domain.MAIL: lambda store, acs: walk_through_mail(store, acs.email),
    Domain.LIMITS: lambda store, acs: walk_through_limits(store, acs.ai_limit.account_id),
    Domain.TELEMETRY: lambda store, acs: walk_through_telemetry(
        store, acs.interaction, acs.report, acs.invocation
    ),
}
