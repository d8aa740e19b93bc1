"""A walk through the access patterns of organizations, members and invites (O1–O9)."""

from __future__ import annotations

from dynamo_chat.cli.item_words import words
from dynamo_chat.cli.walks.step import Step, Walk, own, several
from dynamo_chat.identity.user import User
from dynamo_chat.orgs.invite import Invite, IssuedInvite
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member
from dynamo_chat.store import ChatStore


def walk_through_orgs(store: ChatStore, shown: Member, invite: Invite) -> Walk:
    """O1–O9 on this store; reading looks at the organization of `shown`, and at `invite`."""
    owner = store.users.create(f"{own('owner')}@example.com")
    invitee = store.users.create(f"{own('invitee')}@example.com")
    made: Organization = yield Step(
        "organizations.create",
        lambda: store.organizations.create("A walk", owner.user_id),
        words,
    )
    identity = made.organization_id
    yield from _changing(store, identity, shown.organization_id)
    yield from _joining(store, identity, shown)
    yield from _inviting(store, made, owner, invitee, invite)
    yield Step(
        "members.replace",
        lambda: store.members.replace(identity, owner.user_id, heir_id=invitee.user_id),
        lambda heir: f"the last owner left; their heir is {heir.role}",
    )
    yield Step(
        "organizations.delete",
        lambda: store.organizations.delete(identity),
        lambda count: f"{count} items of the walk's organization are gone",
    )
    store.users.delete(owner.user_id)
    store.users.delete(invitee.user_id)


def _changing(store: ChatStore, identity: str, shown: str) -> Walk:
    organizations = store.organizations
    yield Step("organizations.get", lambda: organizations.get(shown), words)
    yield Step(
        "organizations.update",
        lambda: organizations.update(identity, name="A longer walk"),
        words,
    )
    yield Step(
        "organizations.update_settings",
        lambda: organizations.update_settings(identity, max_users=3),
        lambda changed: f"{changed.max_users} seats, {changed.member_count} taken",
    )
    yield Step(
        "organizations.update_billing",
        lambda: organizations.update_billing(identity, plan="pro"),
        lambda changed: f"plan {changed.plan}",
    )
    yield Step(
        "organizations.count_usage",
        lambda: organizations.count_usage(identity, emails_processed=3),
        lambda _: "3 more e-mails processed",
    )


def _joining(store: ChatStore, identity: str, shown: Member) -> Walk:
    members, guest = store.members, own("guest")
    yield Step("members.add", lambda: members.add(identity, guest), words)
    yield Step("members.update", lambda: members.update(identity, guest, role="viewer"), words)
    yield Step(
        "members.touch",
        lambda: members.touch(identity, guest),
        lambda member: f"active at {member.last_active:%H:%M:%S}",
    )
    yield Step("members.get", lambda: members.get(shown.organization_id, shown.user_id), words)
    yield Step(
        "members.list_by_organization",
        lambda: members.list_by_organization(shown.organization_id),
        lambda page: several(page, words),
    )
    yield Step(
        "members.list_by_user",
        lambda: members.list_by_user(shown.user_id),
        lambda page: several(page, lambda member: f"{member.role} in {member.organization_id}"),
    )
    yield Step(
        "members.remove",
        lambda: members.remove(identity, guest),
        lambda _: "the seat is free again",
    )


def _inviting(
    store: ChatStore, made: Organization, owner: User, invitee: User, shown: Invite
) -> Walk:
    invites, identity = store.invites, made.organization_id
    issued: IssuedInvite = yield Step(
        "invites.create",
        lambda: invites.create(identity, invitee.email, invited_by=owner.user_id),
        lambda issued: f"{issued.invite.status}; its token is shown once, to the invited",
    )
    yield Step("invites.get", lambda: invites.get(shown.invite_id), words)
    yield Step(
        "invites.get_by_token",
        lambda: invites.get_by_token(issued.token),
        lambda found: f"{found.status}, until {found.expires_at:%Y-%m-%d}",
    )
    yield Step(
        "invites.list_by_organization",
        lambda: invites.list_by_organization(shown.organization_id),
        lambda page: several(page, words),
    )
    yield Step(
        "invites.list_by_address",
        lambda: invites.list_by_address(shown.email),
        lambda page: several(page, words),
    )
    yield Step(
        "invites.accept",
        lambda: invites.accept(issued.token, invitee.user_id),
        lambda member: f"{member.role}, {member.status}, and the invite is spent",
    )
    second, third = (
        invites.create(identity, f"{own('other')}@example.com", invited_by=owner.user_id).invite
        for _ in range(2)
    )
    yield Step("invites.cancel", lambda: invites.cancel(second.invite_id), _over)
    yield Step("invites.expire", lambda: invites.expire(third.invite_id), _over)
    yield Step(
        "invites.delete",
        lambda: invites.delete(issued.invite.invite_id),
        lambda _: "gone, with what led to it",
    )


def _over(ended: Invite) -> str:
    return f"{ended.status}: its token lets nobody in"
