"""Scenarios of organizations, members and invites (O1–O10)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from dynamo_chat.cases.identity import a_user
from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.cases.words import deleted, words
from dynamo_chat.chat.message import NewMessage
from dynamo_chat.core.of_organization import OfOrganization
from dynamo_chat.orgs.invite import IssuedInvite
from dynamo_chat.orgs.organization import Organization


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


def _seats(organization: Organization) -> str:
    return f"{organization.max_users} seats, {organization.member_count} taken"


def _owned(owner: OfOrganization) -> str:
    return f"the conversations of organization {owner.organization_id}"


def _issued(issued: IssuedInvite) -> str:
    return f"{words(issued.invite)}; its token is shown once"


# -- organizations ------------------------------------------------------------------------------


def organizations_create(stage: Stage) -> Iterator[Case]:
    owner = a_user(stage).user_id
    yield Case("", lambda: stage.store.organizations.create("Org", owner))


def organizations_load(stage: Stage) -> Iterator[Case]:
    org, store, fresh = _org(stage), stage.store, {"organization_id": stage.fresh("org")}
    old = store.organizations.get(org.organization_id).model_copy(update=fresh)
    owner = store.members.get(*org).model_copy(update=fresh)
    yield Case("", lambda: store.organizations.load(old, owner))


def organizations_get(stage: Stage) -> Iterator[Case]:
    org = _org(stage)
    yield Case("", lambda: stage.store.organizations.get(org.organization_id))


def organizations_update(stage: Stage) -> Iterator[Case]:
    org = _org(stage)
    yield Case("", lambda: stage.store.organizations.update(org.organization_id, name="New"))


def organizations_update_settings(stage: Stage) -> Iterator[Case]:
    org, organizations = _org(stage), stage.store.organizations
    yield Case(
        "", lambda: organizations.update_settings(org.organization_id, max_users=100), _seats
    )


def organizations_update_billing(stage: Stage) -> Iterator[Case]:
    org, organizations = _org(stage), stage.store.organizations
    yield Case("", lambda: organizations.update_billing(org.organization_id, plan="pro"))


def organizations_count_usage(stage: Stage) -> Iterator[Case]:
    org, organizations = _org(stage), stage.store.organizations
    yield Case(
        "",
        lambda: organizations.count_usage(org.organization_id, emails_processed=3),
        lambda _: "3 more e-mails counted",
    )


def organizations_delete(stage: Stage) -> Iterator[Case]:
    organizations, small = stage.store.organizations, _org(stage)
    _invited(stage, small)
    yield Case(
        "one member, one invite", lambda: organizations.delete(small.organization_id), deleted
    )
    large = _org(stage, members=60)
    yield Case("61 members", lambda: organizations.delete(large.organization_id), deleted, budget=5)
    shared = _org(stage)
    owner = OfOrganization(shared.organization_id)
    talk = stage.store.conversations.create(owner)
    stage.store.messages.append(talk.conversation_id, NewMessage(role="user", content="hi"))
    yield Case(
        "with a conversation",
        lambda: organizations.delete(shared.organization_id),
        deleted,
        budget=10,
    )


# -- members ------------------------------------------------------------------------------------


def members_add(stage: Stage) -> Iterator[Case]:
    org, user_id = _org(stage), a_user(stage).user_id
    yield Case("", lambda: stage.store.members.add(org.organization_id, user_id))


def members_load(stage: Stage) -> Iterator[Case]:
    org, members = _org(stage), stage.store.members
    old = members.get(*org).model_copy(update={"user_id": stage.fresh("user"), "role": "viewer"})
    yield Case("", lambda: members.load(old))


def members_update(stage: Stage) -> Iterator[Case]:
    org, user_id, members = _org(stage), stage.fresh("user"), stage.store.members
    members.add(org.organization_id, user_id)
    yield Case("", lambda: members.update(org.organization_id, user_id, role="owner"))


def members_remove(stage: Stage) -> Iterator[Case]:
    org, user_id, members = _org(stage), stage.fresh("user"), stage.store.members
    members.add(org.organization_id, user_id)
    yield Case(
        "",
        lambda: members.remove(org.organization_id, user_id),
        lambda _: "removed, and the seat is free",
    )


def members_replace(stage: Stage) -> Iterator[Case]:
    org, heir, members = _org(stage), a_user(stage).user_id, stage.store.members
    yield Case("", lambda: members.replace(org.organization_id, org.owner_id, heir_id=heir))


def members_touch(stage: Stage) -> Iterator[Case]:
    org = _org(stage)
    yield Case("", lambda: stage.store.members.touch(org.organization_id, org.owner_id))


def members_get(stage: Stage) -> Iterator[Case]:
    org = _org(stage)
    yield Case("", lambda: stage.store.members.get(org.organization_id, org.owner_id))


def members_authorize(stage: Stage) -> Iterator[Case]:
    org = _org(stage)
    yield Case("", lambda: stage.store.members.authorize(org.organization_id, org.owner_id), _owned)


def members_list_by_organization(stage: Stage) -> Iterator[Case]:
    org, members = _org(stage, members=25), stage.store.members
    stage.later(timedelta(minutes=10))  # a new one is read once more
    identity = org.organization_id
    page = members.list_by_organization(identity)
    yield Case("a page of 20", lambda: members.list_by_organization(identity))
    yield Case("the next page", lambda: members.list_by_organization(identity, cursor=page.cursor))


def members_list_by_user(stage: Stage) -> Iterator[Case]:
    user_id, members = stage.fresh("user"), stage.store.members
    for _ in range(3):
        members.add(_org(stage).organization_id, user_id)
    yield Case("", lambda: members.list_by_user(user_id))


# -- invites ------------------------------------------------------------------------------------


def invites_create(stage: Stage) -> Iterator[Case]:
    org, address = _org(stage), f"{stage.fresh('user')}@example.com"
    invites = stage.store.invites
    yield Case(
        "", lambda: invites.create(org.organization_id, address, invited_by=org.owner_id), _issued
    )


def invites_load(stage: Stage) -> Iterator[Case]:
    invites = stage.store.invites
    old = _invited(stage, _org(stage)).invite
    other = old.model_copy(update={"invite_id": stage.fresh("invite")})
    yield Case("", lambda: invites.load(other))


def invites_get(stage: Stage) -> Iterator[Case]:
    invite_id = _invited(stage, _org(stage)).invite.invite_id
    yield Case("", lambda: stage.store.invites.get(invite_id))


def invites_get_by_token(stage: Stage) -> Iterator[Case]:
    token = _invited(stage, _org(stage)).token
    yield Case("", lambda: stage.store.invites.get_by_token(token))


def invites_list_by_organization(stage: Stage) -> Iterator[Case]:
    org, invites = _org(stage), stage.store.invites
    for _ in range(3):
        _invited(stage, org)
    yield Case("", lambda: invites.list_by_organization(org.organization_id))


def invites_list_by_address(stage: Stage) -> Iterator[Case]:
    address, invites = f"{stage.fresh('user')}@example.com", stage.store.invites
    for _ in range(3):
        _invited(stage, _org(stage), address)
    yield Case("", lambda: invites.list_by_address(address))


def invites_accept(stage: Stage) -> Iterator[Case]:
    user, invites = a_user(stage), stage.store.invites
    token = _invited(stage, _org(stage), user.email).token
    yield Case("", lambda: invites.accept(token, user.user_id))


def invites_cancel(stage: Stage) -> Iterator[Case]:
    invite_id = _invited(stage, _org(stage)).invite.invite_id
    yield Case("", lambda: stage.store.invites.cancel(invite_id))


def invites_expire(stage: Stage) -> Iterator[Case]:
    invite_id = _invited(stage, _org(stage)).invite.invite_id
    yield Case("", lambda: stage.store.invites.expire(invite_id))


def invites_delete(stage: Stage) -> Iterator[Case]:
    invite_id = _invited(stage, _org(stage)).invite.invite_id
    yield Case(
        "",
        lambda: stage.store.invites.delete(invite_id),
        lambda _: "deleted; its token no longer works",
    )
