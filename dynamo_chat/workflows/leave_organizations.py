"""Leaving all organizations, as part of deleting a user.

The organizations that the user owns are left first, in one transaction: either each still has an
active owner afterwards, or nothing is changed. Other memberships follow one by one; nothing can
refuse them.

An organization or member that cannot be read does not block this: the membership is deleted, and
the doctor corrects the organization's counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, NamedTuple

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues, ConditionFailed
from dynamo_chat.core.deletion import Deletion
from dynamo_chat.core.errors import CorruptItem, DynamoChatError, NotFound
from dynamo_chat.core.fence import Overtaken
from dynamo_chat.core.item import plan
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Delete, Key, Write, contended
from dynamo_chat.identity.user import is_user, user_exists, user_key
from dynamo_chat.orgs.organization import (
    LastOwner,
    Organization,
    has_one_owner,
    is_organization,
    organization_key,
)
from dynamo_chat.orgs.seats import Member, Move, is_active_owner, seat_writes, successor

OWNED_AT_ONCE: Final = 19
"""The most owned organizations in one transaction: handing over one takes five writes."""


class Standing(NamedTuple):
    """A user and the heir in one organization; None for an item that is missing or unreadable."""

    organization_id: str
    user_id: str
    organization: Organization | None
    member: Member | None
    heir: Member | None

    @property
    def is_owner(self) -> bool:
        """True if the user is an active owner of the organization."""
        is_there = self.organization is not None and self.member is not None
        return is_there and self.member.is_active_owner  # type: ignore[union-attr]

    @property
    def is_last_owner(self) -> bool:
        """True if the user is the only active owner."""
        return self.is_owner and self.organization.owner_count == 1  # type: ignore[union-attr]


class Refused(Exception):
    """Leaving is refused while `checks` hold. Nothing was changed."""

    def __init__(self, error: DynamoChatError, standing: Standing) -> None:
        self.error = error
        self.checks = (
            Check(organization_key(standing.organization_id), has_one_owner()),
            Check(_member_key(standing.organization_id, standing.user_id), is_active_owner()),
        )


class Leaver(Repository):
    """Removes all memberships of a user who is being deleted."""

    def check(self, user_id: str, organization_ids: Sequence[str], heir_id: str | None) -> None:
        """IllegalTransition if leaving needs an heir; NotFound if the heir does not exist."""
        standings, has_heir = self._standings(user_id, organization_ids, heir_id)
        if heir_id is not None and not has_heir:
            raise NotFound("user", heir_id)
        for each in standings:
            if heir_id is None and each.is_last_owner:
                raise _needs_heir(each)

    def leave(
        self,
        user_id: str,
        organization_ids: Sequence[str],
        heir_id: str | None,
        deletion: Deletion,
    ) -> None:
        """Leave these organizations, as part of a deletion. Refused; Overtaken."""
        standings, has_heir = self._standings(user_id, organization_ids, heir_id)
        owned = [each for each in standings if each.is_owner]
        for start in range(0, len(owned), OWNED_AT_ONCE):
            self._leave(owned[start : start + OWNED_AT_ONCE], heir_id, has_heir, deletion)
        for each in standings:
            if not each.is_owner:
                self._leave([each], heir_id, has_heir, deletion)

    def _leave(
        self, standings: Sequence[Standing], heir_id: str | None, has_heir: bool, deletion: Deletion
    ) -> None:
        ids, user_id = [each.organization_id for each in standings], standings[0].user_id
        for attempt in range(self._connection.options.transaction_attempts):
            if attempt:
                self._connection.pause(attempt)
                standings, has_heir = self._standings(user_id, ids, heir_id)
            last = [each for each in standings if each.is_last_owner]
            if last and heir_id is None:
                raise Refused(_needs_heir(last[0]), last[0])
            if last and not has_heir:
                raise Refused(NotFound("user", heir_id or ""), last[0])
            now = self._now()
            writes = [write for each in standings for write in _leaving(each, heir_id, now)]
            if last:
                writes.append(Check(user_key(heir_id or ""), user_exists()))
            try:
                self._write(deletion.check, *writes)
            except ConditionFailed as failed:
                if 0 in failed.items:
                    raise Overtaken from failed
                continue
            return
        raise contended("the organizations' members")

    def _standings(
        self, user_id: str, organization_ids: Sequence[str], heir_id: str | None
    ) -> tuple[list[Standing], bool]:
        """The user's standing in each organization, and whether the heir exists."""
        users = [user_id] if heir_id is None else [user_id, heir_id]
        keys = [
            key
            for each in organization_ids
            for key in (organization_key(each), *(_member_key(each, one) for one in users))
        ]
        if heir_id is not None:
            keys.append(user_key(heir_id))
        found = self._get_items(keys, consistent=True)
        has_heir = heir_id is not None and is_user(found.pop())
        size, standings = 1 + len(users), []
        for place, organization_id in enumerate(organization_ids):
            organization, member, *heir = found[place * size : (place + 1) * size]
            standings.append(
                Standing(
                    organization_id,
                    user_id,
                    _readable_organization(organization),
                    _readable_member(member),
                    plan(Member).decode(heir[0]) if heir and heir[0] else None,
                )
            )
        return standings, has_heir


def _leaving(standing: Standing, heir_id: str | None, now: datetime) -> list[Write]:
    """The writes that end one membership."""
    organization_id, user_id, organization, member, heir = standing
    if organization is None or member is None:
        membership = keyspace.MEMBERSHIP.key(user_id=user_id, organization_id=organization_id)
        return [Delete(_member_key(organization_id, user_id)), Delete(membership)]
    moves = [Move(member, None)]
    if standing.is_last_owner and heir_id is not None:
        moves.append(Move(heir, successor(member, heir, heir_id, now)))
    return seat_writes(organization_id, moves, now, known=[heir_id])


def _member_key(organization_id: str, user_id: str) -> Key:
    return keyspace.MEMBER.key(organization_id=organization_id, user_id=user_id)


def _readable_organization(item: AttributeValues | None) -> Organization | None:
    with suppress(CorruptItem):
        return plan(Organization).decode(item) if item and is_organization(item) else None
    return None


def _readable_member(item: AttributeValues | None) -> Member | None:
    with suppress(CorruptItem):
        return None if item is None else plan(Member).decode(item)
    return None


def _needs_heir(standing: Standing) -> LastOwner:
    return LastOwner(
        "the user is the last active owner of an organization; name an heir, or make another "
        "member owner first",
        standing.organization,
    )
