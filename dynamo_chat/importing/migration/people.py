"""The steps of `acs` for users, logins, organizations, members and invites."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.bearer import MIN_BROUGHT_CHARACTERS, hash_of
from dynamo_chat.core.clock import not_ahead, whole_second
from dynamo_chat.core.entity import Entity, validated
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.identity.logins import MAX_LIFETIME, LoginSession
from dynamo_chat.identity.user import User
from dynamo_chat.importing.migration.acs_rows import (
    InviteRow,
    LoginRow,
    MemberRow,
    OrganizationRow,
    UserRow,
)
from dynamo_chat.importing.migration.declaring import (
    Bundle,
    LeftOut,
    Made,
    Refused,
    Row,
    SourceTable,
    Step,
    Target,
    accepted,
)
from dynamo_chat.orgs.invite import Invite
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member

_COUNTED: Final = ("member_count", "owner_count")
_A_WEEK: Final = timedelta(days=7)


def differing(wanted: Entity, there: Entity, named: str, *ignored: str) -> list[str]:
    """The fields in which two entities differ, as sentences without their values."""
    return [
        f"{named}: {name} differs"
        for name, value in wanted.__dict__.items()
        if name not in ignored and there.__dict__[name] != value
    ]


# -- users --------------------------------------------------------------------------------------

_USERS: Final = SourceTable(
    "Users",
    key=("id",),
    shape=UserRow,
    group="id",
    filled={
        "created_at": lambda record: record["updated_at"],
        "updated_at": lambda record: record["created_at"],
    },
    renamed={"responseEmail": "response_email", "createdAt": "created_at"},
    created=("created_at",),
    changed=("updated_at",),
)


def _users(bundle: Bundle) -> Iterator[Made]:
    row = bundle.head("Users")
    fields = {**row.read(UserRow).__dict__}
    user = validated(User, "Users", user_id=fields.pop("id"), **fields)
    for space, address in (("email", user.email), ("response_email", user.response_email)):
        if address is not None:
            holder = bundle.holder(space, address_key(address), row)
            if holder != row.key:
                raise Refused(f"duplicate: its {space} is that of user {holder!r}, who is older")
    for name in ("created_at", "updated_at"):
        not_ahead(name, getattr(user, name), bundle.now)
    yield Made(
        (row,),
        load=lambda target: _load_user(user, target),
        differences=lambda target: _user_differences(user, target),
    )


def _load_user(user: User, target: Target) -> None:
    """Store a user; one who was loaded before is changed, unless it has changed here since."""
    users = target.store.users
    try:
        users.load(user)
    except AlreadyExists:
        try:
            there = users.get(user.user_id, consistent=True)
        except NotFound:
            there = None
        if there is None or (there.created_at != user.created_at and there.email != user.email):
            raise
        if there.updated_at > user.updated_at:
            return  # it has changed here since
        with target.at(user.updated_at):
            users.change_addresses(
                user.user_id, email=user.email, response_email=user.response_email
            )
            users.update(
                user.user_id,
                name=user.name,
                status=user.status,
                role=user.role,
                preferences=user.preferences,
                organization_id=user.organization_id,
            )


def _user_differences(user: User, target: Target) -> list[str]:
    named = f"user {user.user_id!r}"
    try:
        there = target.store.users.get(user.user_id, consistent=True)
    except NotFound:
        return [f"{named} is missing"]
    if there.updated_at > user.updated_at:
        return []
    return differing(user, there, named)


# -- organizations and members ------------------------------------------------------------------

_ORGANIZATIONS: Final = SourceTable(
    "Organizations",
    key=("organization_id",),
    shape=OrganizationRow,
    group="organization_id",
    filled={
        "created_at": lambda record: record["updated_at"],
        "updated_at": lambda record: record["created_at"],
    },
    created=("created_at",),
    changed=("updated_at",),
)
_MEMBERS: Final = SourceTable(
    "OrganizationMembers",
    key=("organization_id", "user_id"),
    shape=MemberRow,
    group="organization_id",
    created=("joined_at",),
    changed=(),  # a change of role or status has no time
)


def _organizations(bundle: Bundle) -> Iterator[Made]:
    head = bundle.head("Organizations")
    members: list[tuple[Row, Member]] = []
    for row in bundle.rows("OrganizationMembers"):
        member = validated(Member, "OrganizationMembers", **row.read(MemberRow).__dict__)
        if not bundle.is_accepted("users", member.user_id):
            bundle.refuse(row, "orphan: its user is not in Users, or was refused")
        elif member.joined_at > bundle.now:
            bundle.refuse(row, "joined_at: must not be in the future")
        else:
            members.append((row, member))
    # Active owners first: the one who joined first is stored with the organization.
    members.sort(key=lambda each: (not each[1].is_active_owner, each[1].joined_at, each[0].key))
    if not members or not members[0][1].is_active_owner:
        raise Refused("the organization has no active owner among its members")
    organization = _organization(head)
    for name in ("created_at", "updated_at"):
        not_ahead(name, getattr(organization, name), bundle.now)
    (first_row, owner), *others = members
    yield Made(
        (head, first_row),
        load=lambda target: _load_organization(organization, owner, target),
        differences=lambda target: [
            *_organization_differences(organization, target),
            *_member_differences(owner, target),
        ],
    )
    for row, member in others:
        yield _member(row, member)


def _member(row: Row, member: Member) -> Made:
    return Made(
        (row,),
        load=lambda target: _load_member(member, target),
        differences=lambda target: _member_differences(member, target),
    )


def _organization(row: Row) -> Organization:
    given = row.read(OrganizationRow)
    settings, billing = given.settings.__dict__, given.billing
    return validated(
        Organization,
        "Organizations",
        organization_id=given.organization_id,
        name=given.name,
        domain=given.domain or None,
        status=given.status,
        created_at=given.created_at,
        updated_at=given.updated_at,
        member_count=1,
        owner_count=1,
        plan=billing.plan,
        next_billing_date=billing.next_billing_date,
        **settings,
        **billing.usage.__dict__,
    )


def _load_organization(organization: Organization, owner: Member, target: Target) -> None:
    organizations, identity = target.store.organizations, organization.organization_id
    try:
        there = organizations.load(organization, owner)
    except AlreadyExists:
        there = organizations.get(identity, consistent=True)
        if there.created_at != organization.created_at:
            raise
    _load_member(owner, target)
    is_newer = there.updated_at > organization.updated_at
    if is_newer or not differing(organization, there, "", *_COUNTED):
        return
    with target.at(organization.updated_at):
        organizations.update(
            identity,
            name=organization.name,
            domain=organization.domain,
            status=organization.status,
        )
        organizations.update_settings(identity, **organization.settings.__dict__)
        organizations.update_billing(
            identity,
            plan=organization.plan,
            next_billing_date=organization.next_billing_date,
            emails_processed=organization.emails_processed,
            storage_used_gb=organization.storage_used_gb,
        )


def _organization_differences(organization: Organization, target: Target) -> list[str]:
    named = f"organization {organization.organization_id!r}"
    try:
        there = target.store.organizations.get(organization.organization_id, consistent=True)
    except NotFound:
        return [f"{named} is missing"]
    if there.updated_at > organization.updated_at:
        return []
    return differing(organization, there, named, *_COUNTED)


def _load_member(member: Member, target: Target) -> None:
    members, place = target.store.members, (member.organization_id, member.user_id)
    try:
        there = members.load(member)
    except AlreadyExists:
        there = members.get(*place, consistent=True)
        if _was_seen_since(there, member):
            return
        there = members.update(
            *place, role=member.role, status=member.status, permissions=member.permissions
        )
    if member.last_active is not None and not _was_seen_since(there, member):
        with target.at(member.last_active):
            members.touch(*place)


def _was_seen_since(there: Member, member: Member) -> bool:
    """True if the member was active here after the record: then the record is out of date."""
    if there.last_active is None:
        return False
    return member.last_active is None or there.last_active > member.last_active


def _member_differences(member: Member, target: Target) -> list[str]:
    named = f"member {member.user_id!r} of {member.organization_id!r}"
    try:
        there = target.store.members.get(member.organization_id, member.user_id, consistent=True)
    except NotFound:
        return [f"{named} is missing"]
    return [] if _was_seen_since(there, member) else differing(member, there, named)


# -- invites ------------------------------------------------------------------------------------

_INVITES: Final = SourceTable(
    "OrganizationInvites",
    key=("invite_id", "timestamp"),
    shape=InviteRow,
    group="invite_id",
    filled={
        "expires_at": lambda record: _a_week_after(record["timestamp"]),
        "status": lambda record: "accepted" if record.get("accepted_at") else "pending",
    },
    created=("timestamp",),
    changed=(),  # cancelling it has no time
)


def _a_week_after(time: str) -> str:
    return (datetime.fromisoformat(time) + _A_WEEK).isoformat()


def _invites(bundle: Bundle) -> Iterator[Made]:
    found = sorted(bundle.rows("OrganizationInvites"), key=lambda row: row.record["timestamp"])
    for row in found:
        made = accepted(bundle, row, partial(_invite, row, bundle))
        if made is not None:
            yield made


def _invite(row: Row, bundle: Bundle) -> Made:
    given = row.read(InviteRow)
    if bundle.holder("invite", bundle.group, row) != row.key:
        raise Refused("duplicate: another invite has this id")
    if not bundle.is_accepted("organizations", given.organization_id):
        raise Refused("orphan: its organization is not in Organizations, or was refused")
    fields = {name: getattr(given, name) for name in Invite.model_fields if hasattr(given, name)}
    if fields.get("accepted_at") is not None and given.status != "accepted":
        fields["accepted_at"] = None
        bundle.change(row, "accepted_at: is empty, because the invite was not accepted")
    invite = validated(Invite, "OrganizationInvites", **fields, created_at=given.timestamp)
    not_ahead("timestamp", invite.created_at, bundle.now)
    token = given.invite_token
    if token is not None and len(token) < MIN_BROUGHT_CHARACTERS:
        token = None
        what = f"has fewer than {MIN_BROUGHT_CHARACTERS} characters"
        bundle.change(row, f"invite_token: {what}, so it can't be accepted with it any more")
    elif token is not None:
        holder = bundle.holder("invite_token", hash_of("token", token), row)
        if holder != row.key:
            raise Refused(f"duplicate: its invite_token is that of invite {holder}")
    return Made(
        (row,),
        load=lambda target: _load_invite(invite, token, target),
        differences=lambda target: _invite_differences(invite, target),
    )


def _load_invite(invite: Invite, token: str | None, target: Target) -> None:
    invites = target.store.invites
    try:
        there = invites.load(invite, token=token)
    except AlreadyExists:
        there = invites.get(invite.invite_id)
        if there.created_at != invite.created_at:
            raise
        if there.status == "pending" and invite.status == "cancelled":
            invites.cancel(invite.invite_id)
        elif there.status == "pending" and invite.status != "pending":
            # It was accepted in the old system since.
            invites.delete(invite.invite_id)
            invites.load(invite, token=token)


def _invite_differences(invite: Invite, target: Target) -> list[str]:
    named = f"invite {invite.invite_id!r}"
    try:
        there = target.store.invites.get(invite.invite_id)
    except NotFound:
        return [f"{named} is missing"]
    wanted = invite.as_of(target.now())
    if wanted.status in {"pending", "expired"} and there.status != wanted.status:
        return []  # it was accepted, cancelled or has expired here since
    return differing(wanted, there, named)


# -- logins -------------------------------------------------------------------------------------

_LOGINS: Final = SourceTable(
    "Sessions",
    key=("session_id",),
    shape=LoginRow,
    group="session_id",
    filled={
        "last_activity": lambda record: record["created_at"],
        "expires_at": lambda record: _a_week_after(record["created_at"]),
    },
    created=("created_at",),
    changed=(),  # its end has no time
)


def _logins(bundle: Bundle) -> Iterator[Made]:
    row = bundle.head("Sessions")
    given = row.read(LoginRow)
    if given.expires_at <= bundle.now:
        raise LeftOut("it has expired")
    if not given.is_active:
        bundle.leave_out(row, "it was ended: is_active is false")
        yield _ended(given)
        return
    if not bundle.is_accepted("users", given.user_id):
        raise Refused("orphan: its user is not in Users, or was refused")
    if len(given.session_id) < MIN_BROUGHT_CHARACTERS:
        raise Refused(f"session_id: has fewer than {MIN_BROUGHT_CHARACTERS} characters, too few")
    if given.expires_at > bundle.now + MAX_LIFETIME:
        raise Refused("expires_at: must be within 3,650 days")
    for name in ("created_at", "last_activity"):
        not_ahead(name, getattr(given, name), bundle.now)
    fields: dict[str, Any] = {
        name: getattr(given, name) for name in LoginSession.model_fields if hasattr(given, name)
    }
    fields["expires_at"] = whole_second(given.expires_at)
    secret = given.session_id
    login = validated(LoginSession, "Sessions", login_id=hash_of("secret", secret), **fields)
    yield Made(
        (row,),
        load=lambda target: target.store.logins.load(secret, login),
        differences=lambda target: _login_differences(login, target),
    )


def _ended(given: LoginRow) -> Made:
    """What revokes a login that was loaded before, and ended in the old system since."""

    def load(target: Target) -> None:
        with suppress(NotFound):
            target.store.logins.revoke(given.session_id)

    def differences(target: Target) -> list[str]:
        try:
            there = target.store.logins.get(given.session_id)
        except NotFound:
            return []
        return [f"a login of user {there.user_id!r} was ended, and is valid here"]

    return Made((), load, differences)


def _login_differences(login: LoginSession, target: Target) -> list[str]:
    named = f"a login of user {login.user_id!r}"
    try:
        there = target.store.logins.get_by_id(login.login_id, user_id=login.user_id)
    except NotFound:
        return [] if login.expires_at <= target.now() else [f"{named} is missing"]
    ignored = ("last_activity",) if there.last_activity > login.last_activity else ()
    return differing(login, there, named, *ignored)


STEPS: Final = (
    Step("users", (_USERS,), _users),
    Step("organizations", (_ORGANIZATIONS, _MEMBERS), _organizations),
    Step("invites", (_INVITES,), _invites),
    Step("logins", (_LOGINS,), _logins),
)
