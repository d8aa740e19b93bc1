"""Accepting an invite (O8): one transaction creates the membership and marks the invite.

    Update organization   one more member      if it exists, has a free seat and admits the domain
    Put member            active               if there is none; a pending one becomes active
    Update invite         accepted, by whom    if it is pending and has not expired
    Check user            –                    if they exist and have the invited address

So there is no membership without an accepted invite, and no accepted invite without a membership.
Of concurrent calls one succeeds; the others read its result. The check of the user keeps a user
who is being deleted from joining.
"""

from __future__ import annotations

from typing import NamedTuple

from pynamodb.expressions.condition import Condition

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import address_key, domain_of
from dynamo_chat.core.bearer import hash_of
from dynamo_chat.core.binding import Binding
from dynamo_chat.core.changes import actions, checked
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Check, Update, Write
from dynamo_chat.identity.user import User, is_user, user_exists, user_key
from dynamo_chat.orgs.invite import Invite, InvitePlace, has_token, is_pending
from dynamo_chat.orgs.invites import illegal, invite_of, place_by_token, token_key
from dynamo_chat.orgs.organization import is_organization, organization_key
from dynamo_chat.orgs.seats import Decision, Member, MemberExists, Move, SeatKeeper


class Case(NamedTuple):
    """The entities that decide whether an invite can be accepted."""

    invite: Invite
    member: Member | None
    user: User


class Acceptance(Repository):
    """Accepts invites."""

    def __init__(self, binding: Binding) -> None:
        super().__init__(binding)
        self._seats = SeatKeeper(binding)

    def accept(self, token: str, user_id: str, any_address: bool) -> Member:
        """Accept an invite as a user, and return the membership: see `Invites.accept`."""
        checked(User, user_id=user_id)
        place = place_by_token(self._get_item(token_key(token), consistent=True))

        def decide() -> Decision:
            case = self._case(place, token, user_id)
            if _is_done(case):
                return Decision(_joined(case), [])
            _check_acceptable(case, any_address=any_address)
            return self._acceptance(case, place, token, any_address=any_address)

        return self._seats.carry_out(place.organization_id, decide)

    def _case(self, place: InvitePlace, token: str, user_id: str) -> Case:
        """The current invite, membership and user, read in one request. NotFound."""
        member_key = keyspace.MEMBER.key(organization_id=place.organization_id, user_id=user_id)
        organization, invite, member, user = self._get_items(
            [
                organization_key(place.organization_id),
                place.key,
                member_key,
                user_key(user_id),
            ],
            consistent=True,
        )
        if not is_organization(organization):
            raise NotFound("invite")
        found = invite_of(invite, token).as_of(self._now())
        if user is None or not is_user(user):
            raise NotFound("user", user_id)
        return Case(
            found, None if member is None else plan(Member).decode(member), plan(User).decode(user)
        )

    def _acceptance(
        self, case: Case, place: InvitePlace, token: str, *, any_address: bool
    ) -> Decision:
        invite, before, user = case
        now = self._now()
        joined = {
            "role": invite.role,
            "status": "active",
            "invited_by": invite.invited_by,
            "joined_at": now,
        }
        if before is None:
            after = validated(
                Member, organization_id=place.organization_id, user_id=user.user_id, **joined
            )
        else:
            after = before.model_copy(update=joined)
        marked = {"status": "accepted", "accepted_at": now, "accepted_by": user.user_id}
        is_it = has_token(hash_of("token", token))  # not a newer invite with the same id
        also: list[Write] = [
            Update(place.key, actions(Invite, marked), is_pending(now) & is_it),
            Check(user_key(user.user_id), _is_still(user, any_address=any_address)),
        ]
        move, domain = Move(before, after), domain_of(invite.email)
        return Decision(after, [move], domain, also, known=[user.user_id])


def _is_done(case: Case) -> bool:
    """True if this user has accepted this invite before."""
    return case.invite.status == "accepted" and case.invite.accepted_by == case.user.user_id


def _joined(case: Case) -> Member:
    """The membership from an earlier acceptance. IllegalTransition if it was removed since."""
    if case.member is None:
        raise illegal(case.invite, "accepted")
    return case.member


def _check_acceptable(case: Case, *, any_address: bool) -> None:
    invite, member, user = case
    if not any_address and address_key(user.email) != address_key(invite.email):
        raise NotFound("invite for this user")
    if invite.status != "pending":
        raise illegal(invite, "accepted")
    if member is not None and member.status != "pending":
        raise MemberExists(f"user {user.user_id!r} is a member already", member)


def _is_still(user: User, *, any_address: bool) -> Condition:
    """Condition: the user exists and still has the address that allowed them to accept."""
    condition = user_exists()
    return condition if any_address else condition & (plan(User).model.email == user.email)
