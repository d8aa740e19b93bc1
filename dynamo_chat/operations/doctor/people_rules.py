"""Rules for users, addresses and logins, and for organizations' members and invites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dynamo_chat import keyspace
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.deletion import DELETION_ID
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.item import helper_text, plan
from dynamo_chat.core.layout import KIND, PK, SK
from dynamo_chat.core.transaction import Check, key_of
from dynamo_chat.identity.logins import LoginSession, listing_item
from dynamo_chat.identity.removal import is_retired
from dynamo_chat.identity.user import (
    User,
    address_item,
    address_keys,
    is_user,
    user_exists,
    user_key,
)
from dynamo_chat.operations.doctor.conditions import same
from dynamo_chat.operations.doctor.findings import Problem
from dynamo_chat.operations.doctor.forms import Subject
from dynamo_chat.operations.doctor.relations import (
    Found,
    Relation,
    Rules,
    is_of,
    leads_nowhere,
    missing,
    orphan,
    reachable_orphan,
)
from dynamo_chat.orgs.invite import HASH_ATTRIBUTE, Invite, invite_items, place_of, token_hash_of
from dynamo_chat.orgs.organization import organization_key
from dynamo_chat.orgs.seats import Member, membership_item

_USERS: Final = (keyspace.USER, keyspace.USER_TOMBSTONE)
_ORGANIZATIONS: Final = (keyspace.ORGANIZATION, keyspace.ORGANIZATION_TOMBSTONE)
_ADDRESSES: Final = ("email", "response_email")
_RETIREMENT: Final = (KIND, DELETION_ID, "retired_at")
"""Attributes that identify the tombstone of a user."""

# -- identity -----------------------------------------------------------------------------------


def _user(subject: Subject) -> Relation:
    user = subject.of(User)
    addresses = [*address_keys(user.email, user.response_email)]

    def judge(found: Found) -> Iterator[Problem]:
        is_same = Check(key_of(subject.item), user_exists() & same(_ADDRESSES, subject.item))
        for (layout, address), item in zip(addresses, found, strict=True):
            what = "e-mail" if layout is keyspace.USER_EMAIL else "response e-mail"
            if item is None:
                made = address_item(layout, address, user.user_id)
                says = (
                    f"the item of the {what} address is missing: another user may take the address"
                )
                yield missing(subject, made, says, is_same)
            elif item.get("user_id") != {"S": user.user_id}:
                says = f"the item of the {what} address points to another user"
                yield Problem("leads_elsewhere", says, evidence=what)

    return Relation(tuple(layout.key(address=key) for layout, key in addresses), judge)


def _address(subject: Subject) -> Relation:
    user_id = helper_text(subject.item, "user_id", subject.layout)
    (address,) = subject.layout.table.pk.decode(subject.item[PK]["S"])
    key = user_key(user_id)

    def judge(found: Found) -> Iterator[Problem]:
        item = found[0]
        if item is None:
            yield leads_nowhere(subject, key, "the user that it points to doesn't exist")
        elif is_retired(item):
            retired = Check(key, same(_RETIREMENT, item))
            yield orphan(subject, "the user that it points to was deleted", retired)
        elif is_user(item) and not _has(item, subject, address):
            is_same = Check(key, user_exists() & same(_ADDRESSES, item))
            yield orphan(subject, "the user that it points to doesn't have this address", is_same)

    return Relation((key,), judge)


def _has(item: AttributeValues, subject: Subject, address: str) -> bool:
    try:
        user = plan(User).decode(item)
    except CorruptItem:
        return True  # reported for the user
    return (subject.layout, address) in address_keys(user.email, user.response_email)


def _login(subject: Subject) -> Relation:
    login = subject.of(LoginSession)
    keys = (user_key(login.user_id), keyspace.LOGIN_LISTING.key(**login.__dict__))

    def judge(found: Found) -> Iterator[Problem]:
        user, listing = found
        if not is_of(user, *_USERS):
            yield reachable_orphan("the user of this login doesn't exist: revoke the login")
        elif user is not None and (is_retired(user) or (listing is None and not is_user(user))):
            # Deleting a user finds logins by their listing: without one, this login stays valid.
            deleted = Check(user_key(login.user_id), same(_RETIREMENT, user))
            yield orphan(subject, "its user was deleted, but the login is still valid", deleted)
        elif listing is None and is_user(user):
            says = "its listing is missing: revoking all of the user's logins would miss it"
            yield missing(subject, listing_item(login), says)

    return Relation(keys, judge)


def _login_listing(subject: Subject) -> Relation:
    (user_id,) = keyspace.USER_PARTITION.decode(subject.item[PK]["S"])
    _, login_id = keyspace.LOGIN_LISTING.table.sk.decode(subject.item[SK]["S"])
    key = keyspace.LOGIN.key(login_id=login_id)

    def judge(found: Found) -> Iterator[Problem]:
        if found[0] is None:
            yield leads_nowhere(subject, key, "the listed login doesn't exist")
        elif found[0].get("user_id") != {"S": user_id}:
            others = Check(key, same(("user_id",), found[0]))
            yield orphan(subject, "the listed login is another user's", others)

    return Relation((key,), judge)


# -- orgs ---------------------------------------------------------------------------------------


def _member(subject: Subject) -> Relation:
    member = subject.of(Member)
    keys = (
        organization_key(member.organization_id),
        keyspace.MEMBERSHIP.key(**member.__dict__),
        user_key(member.user_id),
    )

    def judge(found: Found) -> Iterator[Problem]:
        organization, membership, user = found
        if not is_of(organization, *_ORGANIZATIONS):
            yield reachable_orphan(
                "its organization doesn't exist, but lists still return the member"
            )
        elif membership is None and is_of(organization, keyspace.ORGANIZATION):
            says = "its membership item is missing: deleting the user would leave the member"
            yield missing(subject, membership_item(member), says)
        if is_of(organization, keyspace.ORGANIZATION):
            yield from _lives(member, user)

    return Relation(keys, judge)


def _lives(member: Member, user: AttributeValues | None) -> Iterator[Problem]:
    """A problem if the user of a member doesn't exist, or was deleted and the member is an owner.

    A user who is being deleted is reported for their tombstone.
    """
    what = "an active owner" if member.is_active_owner else "a member"
    if not is_of(user, *_USERS):
        yield Problem("no_user", f"{what} whose user doesn't exist")
    elif is_retired(user or {}) and member.is_active_owner:
        # Members may be kept when their user is deleted, but nobody can act as such an owner.
        yield Problem("no_user", f"{what} whose user was deleted")


def _invite(subject: Subject) -> Relation:
    invite = subject.of(Invite)
    token_hash = token_hash_of(subject.item)
    _, by_id, by_token = invite_items(invite, token_hash)
    keys = (organization_key(invite.organization_id), key_of(by_id), key_of(by_token))

    def judge(found: Found) -> Iterator[Problem]:
        if not is_of(found[0], *_ORGANIZATIONS):
            yield reachable_orphan(
                "its organization doesn't exist, but lists still return the invite"
            )
            return
        if not is_of(found[0], keyspace.ORGANIZATION):
            return
        for what, made, there in (("id", by_id, found[1]), ("token", by_token, found[2])):
            if there is None:
                says = f"the {what} item is missing: the invite can't be found by its {what}"
                yield missing(subject, made, says)
            elif any(there.get(name) != made[name] for name in ("organization_id", "created_at")):
                says = f"the {what} item points to another invite"
                yield Problem("leads_elsewhere", says, evidence=what)

    return Relation(keys, judge)


def _invite_token(subject: Subject) -> Relation:
    (token_hash,) = keyspace.INVITE_TOKEN.table.pk.decode(subject.item[PK]["S"])
    place = place_of(subject.item)

    def judge(found: Found) -> Iterator[Problem]:
        if found[0] is None:
            yield leads_nowhere(subject, place.key, "the invite that it points to doesn't exist")
        elif found[0].get(HASH_ATTRIBUTE) != {"S": token_hash}:
            others = Check(place.key, same((HASH_ATTRIBUTE,), found[0]))
            yield orphan(subject, "the invite that it points to has another token", others)

    return Relation((place.key,), judge)


PEOPLE_RULES: Final[Rules] = {
    keyspace.USER.kind: _user,
    keyspace.USER_EMAIL.kind: _address,
    keyspace.USER_RESPONSE_EMAIL.kind: _address,
    keyspace.LOGIN.kind: _login,
    keyspace.LOGIN_LISTING.kind: _login_listing,
    keyspace.MEMBER.kind: _member,
    keyspace.INVITE.kind: _invite,
    keyspace.INVITE_TOKEN.kind: _invite_token,
}
