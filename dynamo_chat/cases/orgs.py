"""Scenarios of organizations, members and invites (O1–O9)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final, NamedTuple

from dynamo_chat.cases.identity import a_user
from dynamo_chat.cases.stage import Case, Scenarios, Stage
from dynamo_chat.orgs.invite import IssuedInvite


class _Org(NamedTuple):
    organization_id: str
    owner_id: str


def _org(stage: Stage, *, members: int = 0) -> _Org:
    """An organization with its owner and this many other members."""
    owner = a_user(stage).user_id
    made = stage.store.organizations.create("Org", owner, domain="example.com")
    for _ in range(members):
        stage.store.members.add(made.organization_id, stage.fresh("user"))
    return _Org(made.organization_id, owner)


def _invited(stage: Stage, org: _Org, email: str | None = None) -> IssuedInvite:
    address = f"{stage.fresh('user')}@example.com" if email is None else email
    return stage.store.invites.create(org.organization_id, address, invited_by=org.owner_id)


# -- organizations ------------------------------------------------------------------------------


def create(stage: Stage) -> Iterator[Case]:
    """With its first owner."""
    owner = a_user(stage).user_id
    yield Case("", lambda: stage.store.organizations.create("Org", owner))


def get(stage: Stage) -> Iterator[Case]:
    """By id."""
    org = _org(stage)
    yield Case("", lambda: stage.store.organizations.get(org.organization_id))


def update(stage: Stage) -> Iterator[Case]:
    """Its name."""
    org = _org(stage)
    yield Case("", lambda: stage.store.organizations.update(org.organization_id, name="New"))


def update_settings(stage: Stage) -> Iterator[Case]:
    """Its seats."""
    org, organizations = _org(stage), stage.store.organizations
    yield Case("", lambda: organizations.update_settings(org.organization_id, max_users=100))


def update_billing(stage: Stage) -> Iterator[Case]:
    """Its plan."""
    org, organizations = _org(stage), stage.store.organizations
    yield Case("", lambda: organizations.update_billing(org.organization_id, plan="pro"))


def count_usage(stage: Stage) -> Iterator[Case]:
    """Once, whatever is retried."""
    org, organizations = _org(stage), stage.store.organizations
    yield Case("", lambda: organizations.count_usage(org.organization_id, emails_processed=3))


def delete_organization(stage: Stage) -> Iterator[Case]:
    """Small, and larger than one transaction; each item has one that leads to it."""
    organizations, small, large = stage.store.organizations, _org(stage), _org(stage, members=60)
    _invited(stage, small)
    yield Case("one member, one invite", lambda: organizations.delete(small.organization_id))
    yield Case("61 members", lambda: organizations.delete(large.organization_id), budget=4)


# -- members ------------------------------------------------------------------------------------


def add_member(stage: Stage) -> Iterator[Case]:
    """Counted in the organization by the same transaction."""
    org, user_id = _org(stage), a_user(stage).user_id
    yield Case("", lambda: stage.store.members.add(org.organization_id, user_id))


def update_member(stage: Stage) -> Iterator[Case]:
    """Another role."""
    org, user_id, members = _org(stage), stage.fresh("user"), stage.store.members
    members.add(org.organization_id, user_id)
    yield Case("", lambda: members.update(org.organization_id, user_id, role="owner"))


def remove_member(stage: Stage) -> Iterator[Case]:
    """Not the last owner."""
    org, user_id, members = _org(stage), stage.fresh("user"), stage.store.members
    members.add(org.organization_id, user_id)
    yield Case("", lambda: members.remove(org.organization_id, user_id))


def replace_member(stage: Stage) -> Iterator[Case]:
    """How the last owner leaves."""
    org, heir, members = _org(stage), a_user(stage).user_id, stage.store.members
    yield Case("", lambda: members.replace(org.organization_id, org.owner_id, heir_id=heir))


def touch_member(stage: Stage) -> Iterator[Case]:
    """Note that they were there."""
    org = _org(stage)
    yield Case("", lambda: stage.store.members.touch(org.organization_id, org.owner_id))


def get_member(stage: Stage) -> Iterator[Case]:
    """By organization and user."""
    org = _org(stage)
    yield Case("", lambda: stage.store.members.get(org.organization_id, org.owner_id))


def members_of_organization(stage: Stage) -> Iterator[Case]:
    """A page, and the next."""
    org, members = _org(stage, members=25), stage.store.members
    stage.later(timedelta(minutes=10))  # a new one is read once more
    identity = org.organization_id
    page = members.list_by_organization(identity)
    yield Case("a page of 20", lambda: members.list_by_organization(identity))
    yield Case("the next page", lambda: members.list_by_organization(identity, cursor=page.cursor))


def memberships_of_user(stage: Stage) -> Iterator[Case]:
    """A user of three organizations."""
    user_id, members = stage.fresh("user"), stage.store.members
    for _ in range(3):
        members.add(_org(stage).organization_id, user_id)
    yield Case("", lambda: members.list_by_user(user_id))


# -- invites ------------------------------------------------------------------------------------


def create_invite(stage: Stage) -> Iterator[Case]:
    """With what finds it by id and by token."""
    org, address = _org(stage), f"{stage.fresh('user')}@example.com"
    invites = stage.store.invites
    yield Case("", lambda: invites.create(org.organization_id, address, invited_by=org.owner_id))


def get_invite(stage: Stage) -> Iterator[Case]:
    """By id."""
    invite_id = _invited(stage, _org(stage)).invite.invite_id
    yield Case("", lambda: stage.store.invites.get(invite_id))


def get_invite_by_token(stage: Stage) -> Iterator[Case]:
    """By its secret."""
    token = _invited(stage, _org(stage)).token
    yield Case("", lambda: stage.store.invites.get_by_token(token))


def invites_of_organization(stage: Stage) -> Iterator[Case]:
    """A page."""
    org, invites = _org(stage), stage.store.invites
    for _ in range(3):
        _invited(stage, org)
    yield Case("", lambda: invites.list_by_organization(org.organization_id))


def invites_for_address(stage: Stage) -> Iterator[Case]:
    """Whichever the organization."""
    address, invites = f"{stage.fresh('user')}@example.com", stage.store.invites
    for _ in range(3):
        _invited(stage, _org(stage), address)
    yield Case("", lambda: invites.list_by_address(address))


def accept_invite(stage: Stage) -> Iterator[Case]:
    """As the user with the invited address."""
    user, invites = a_user(stage), stage.store.invites
    token = _invited(stage, _org(stage), user.email).token
    yield Case("", lambda: invites.accept(token, user.user_id))


def cancel_invite(stage: Stage) -> Iterator[Case]:
    """By id."""
    invite_id = _invited(stage, _org(stage)).invite.invite_id
    yield Case("", lambda: stage.store.invites.cancel(invite_id))


def expire_invite(stage: Stage) -> Iterator[Case]:
    """By id."""
    invite_id = _invited(stage, _org(stage)).invite.invite_id
    yield Case("", lambda: stage.store.invites.expire(invite_id))


def delete_invite(stage: Stage) -> Iterator[Case]:
    """By id."""
    invite_id = _invited(stage, _org(stage)).invite.invite_id
    yield Case("", lambda: stage.store.invites.delete(invite_id))


ORGS: Final[Scenarios] = {
    "organizations.create": create,
    "organizations.get": get,
    "organizations.update": update,
    "organizations.update_settings": update_settings,
    "organizations.update_billing": update_billing,
    "organizations.count_usage": count_usage,
    "organizations.delete": delete_organization,
    "members.add": add_member,
    "members.update": update_member,
    "members.remove": remove_member,
    "members.replace": replace_member,
    "members.touch": touch_member,
    "members.get": get_member,
    "members.list_by_organization": members_of_organization,
    "members.list_by_user": memberships_of_user,
    "invites.create": create_invite,
    "invites.get": get_invite,
    "invites.get_by_token": get_invite_by_token,
    "invites.list_by_organization": invites_of_organization,
    "invites.list_by_address": invites_for_address,
    "invites.accept": accept_invite,
    "invites.cancel": cancel_invite,
    "invites.expire": expire_invite,
    "invites.delete": delete_invite,
}
