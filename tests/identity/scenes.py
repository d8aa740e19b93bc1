"""What must hold of users and organizations in the whole table, whatever happened."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import GSI1, KIND, PK, PLACES, Layout
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.identity.user import User, address_keys
from dynamo_chat.orgs.invite import HASH_ATTRIBUTE, Invite
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member
from tests.scene import Item, Scene, address


@pytest.fixture
def scene(scene: Scene) -> Iterator[Scene]:
    """A scene for one test; what it leaves in the table must be sound."""
    yield scene
    assert_sound(scene)


def assert_sound(scene: Scene) -> None:
    """No orphan leads anywhere, nothing lacks what leads to it, and every count is right."""
    items = scene.items()
    expected = Counter(chain.from_iterable(_needed_by(item) for item in items))
    helpers = {
        layout.kind
        for layout in keyspace.KEY_SPACE
        if layout.domain in {"identity", "orgs"}
        and layout.helper
        and not layout.kind.endswith("tombstone")
        and layout is not keyspace.USER_PASSWORD  # nobody needs one
    }
    found = Counter(address(item) for item in items if item[KIND]["S"] in helpers)
    assert found == expected
    for item in items:
        for place in PLACES:
            assert (place.pk in item) == (place.sk in item)
    users = {item[PK]["S"] for item in items if item[KIND]["S"].startswith(keyspace.USER.kind)}
    for item in items:
        if item[KIND]["S"] == keyspace.USER_PASSWORD.kind:
            assert item[PK]["S"].replace("PASSWORD#", "USER#") in users
    _assert_counts(items)


def _needed_by(item: Item) -> Iterator[tuple[str, str]]:
    """The helper items that this item needs, by their keys."""
    kind = item[KIND]["S"]
    if kind == keyspace.USER.kind:
        user = plan(User).decode(item)
        for layout, key in address_keys(user.email, user.response_email):
            yield _key(layout, address=key)
    elif kind == keyspace.USER_TOMBSTONE.kind:
        response = item.get("response_email", {}).get("S")
        # A retired one says no address.
        for layout, key in address_keys(item["email"]["S"], response) if "email" in item else ():
            yield _key(layout, address=key)
    elif kind == keyspace.LOGIN.kind:
        login = plan(LoginSession).decode(item)
        yield _key(keyspace.LOGIN_LISTING, **login.__dict__)
    elif kind == keyspace.MEMBER.kind:
        yield _key(keyspace.MEMBERSHIP, **plan(Member).decode(item).__dict__)
    elif kind == keyspace.INVITE.kind:
        yield _key(keyspace.INVITE_ID, **plan(Invite).decode(item).__dict__)
        yield _key(keyspace.INVITE_TOKEN, token_hash=item[HASH_ATTRIBUTE]["S"])
        assert GSI1.pk in item
        invited = address_key(plan(Invite).decode(item).email)
        assert keyspace.INVITE.gsi1 is not None
        assert item[GSI1.pk]["S"] == keyspace.INVITE.gsi1.pk.encode(invited)


def _assert_counts(items: list[Item]) -> None:
    members = [plan(Member).decode(item) for item in items if item[KIND]["S"] == "member"]
    for item in items:
        if item[KIND]["S"] != keyspace.ORGANIZATION.kind:
            continue
        organization = plan(Organization).decode(item)
        own = [each for each in members if each.organization_id == organization.organization_id]
        assert organization.member_count == sum(each.takes_seat for each in own)
        assert organization.owner_count == sum(each.is_active_owner for each in own) >= 1
        assert organization.member_count <= (organization.max_users or 10**9)


def _key(layout: Layout, **fields: Any) -> tuple[str, str]:
    return address(layout.key(**fields))
