"""What is written again with each change of its item is small, and refused before it is sent."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, LoginSession, Member
from dynamo_chat.core.errors import InvalidArgument, Unreachable
from tests.scene import Scene

TEXT = "x" * 4_096


def json_of(size: int) -> dict[str, Any]:
    """An object of so many bytes."""
    return {"x": "y" * (size - len('{"x": ""}'))}


LARGE, MORE, INDEXED = json_of(65_536), json_of(65_537), json_of(4_096)
CALLS: dict[str, Callable[[ChatStore, Any], object]] = {
    "name": lambda store, value: store.users.create("ann@example.com", name=value),
    "preferences": lambda store, value: store.users.update("ann", preferences=value),
    "ip_address": lambda store, value: store.logins.create("ann", ip_address=value),
    "user_agent": lambda store, value: store.logins.create("ann", user_agent=value),
    "metadata": lambda store, value: store.logins.create("ann", metadata=value),
    "permissions": lambda store, value: store.members.add("org", "ann", permissions=value),
}


@pytest.mark.parametrize("argument", CALLS)
def test_too_much_is_refused_and_names_its_argument(offline: ChatStore, argument: str) -> None:
    is_text = argument in {"name", "ip_address", "user_agent"}
    is_indexed = argument in {"metadata", "permissions"}
    most: Any = TEXT if is_text else INDEXED if is_indexed else LARGE
    more: Any = TEXT + "x" if is_text else {**most, "": ""}
    with pytest.raises(InvalidArgument) as refused:
        CALLS[argument](offline, more)
    assert refused.value.argument == argument
    assert len(str(refused.value)) < 200
    with pytest.raises(Unreachable):
        CALLS[argument](offline, most)


def test_so_are_changes(offline: ChatStore) -> None:
    for call in (
        lambda: offline.users.update("ann", name=TEXT + "x"),
        lambda: offline.users.create("ann@example.com", preferences={**LARGE, "": ""}),
        lambda: offline.members.update("org", "ann", permissions={**LARGE, "": ""}),
    ):
        with pytest.raises(InvalidArgument):
            call()


def test_a_larger_login_of_another_system_is_loaded_and_touched(scene: Scene) -> None:
    """As much as was allowed before; no more."""
    store, now = scene.store, scene.clock()
    user = store.users.create("ann@example.com").user_id
    old = LoginSession(
        login_id="old",
        user_id=user,
        created_at=now,
        last_activity=now,
        expires_at=now + timedelta(days=1),
        metadata=LARGE,
    )
    assert store.logins.load("secret-of-ann-0001", old).metadata == LARGE
    assert store.logins.touch("secret-of-ann-0001").metadata == LARGE
    assert [each.metadata for each in store.logins.list_active(user).items] == [LARGE]
    with pytest.raises(InvalidArgument):
        store.logins.load("secret-of-ann-0002", old.model_copy(update={"metadata": MORE}))


def test_a_member_with_larger_permissions_stays_as_it_is(scene: Scene) -> None:
    """It can be loaded, and changed otherwise; its permissions can be made smaller."""
    store, members = scene.store, scene.store.members
    boss, ann = (store.users.create(f"{name}@example.com").user_id for name in ("boss", "ann"))
    org = store.organizations.create("Acme", boss).organization_id
    old = Member(
        organization_id=org,
        user_id=ann,
        role="member",
        status="active",
        permissions=LARGE,
        joined_at=scene.clock(),
    )
    with pytest.raises(InvalidArgument):
        members.load(old.model_copy(update={"permissions": MORE}))
    assert members.load(old).permissions == LARGE
    members.touch(org, ann)
    assert members.update(org, ann, role="admin").permissions == LARGE
    assert members.update(org, ann, role="owner", permissions=LARGE).role == "owner"
    with pytest.raises(InvalidArgument) as refused:
        members.update(org, ann, permissions=json_of(4_097))
    assert refused.value.argument == "permissions"
    assert members.get(org, ann).permissions == LARGE
    assert members.update(org, ann, permissions=INDEXED).permissions == INDEXED
