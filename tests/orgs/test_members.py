"""Members: roles, seats, owners (O2–O4)."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from dynamo_chat import ChatStore, Member
from dynamo_chat.core.errors import (
    AlreadyExists,
    IllegalTransition,
    InvalidArgument,
    LimitExceeded,
    NotFound,
)
from dynamo_chat.testing import RequestMeter
from tests.scene import Scene

pytestmark = pytest.mark.engine


@pytest.fixture
def org(scene: Scene) -> str:
    """An organization whose only owner is ``owner``."""
    made = scene.store.organizations.create("Acme", "owner", organization_id="org-1")
    return made.organization_id


def counts(scene: Scene) -> tuple[int, int]:
    found = scene.store.organizations.get("org-1", consistent=True)
    return found.member_count, found.owner_count


def test_a_member_comes_back_as_added(scene: Scene, org: str) -> None:
    members, now = scene.store.members, scene.clock()
    made = members.add(
        org,
        "user-1",
        role="viewer",
        status="pending",
        permissions={"manage_users": True, "edit_settings": False},
        invited_by="owner",
    )
    assert made == Member(
        organization_id=org,
        user_id="user-1",
        role="viewer",
        status="pending",
        permissions={"manage_users": True, "edit_settings": False},
        invited_by="owner",
        joined_at=now,
    )
    assert members.get(org, "user-1", consistent=True) == made
    later = scene.clock.advance(60)
    assert members.touch(org, "user-1").last_active == later
    scene.clock.advance(-30)
    assert members.touch(org, "user-1").last_active == later


def test_budgets(scene: Scene, org: str) -> None:
    members = scene.store.members
    with RequestMeter(scene.store.connection.client) as meter:
        for expected, call in (
            (1, lambda: members.add(org, "user-1")),
            (2, lambda: members.update(org, "user-1", role="owner")),
            (2, lambda: members.update(org, "user-1", permissions={"a": True})),
            (1, lambda: members.get(org, "user-1")),
            (2, lambda: members.touch(org, "user-1")),
            (1, lambda: members.list_by_organization(org)),
            (2, lambda: members.list_by_user("user-1")),
            (2, lambda: members.replace(org, "user-1", heir_id="user-2")),
            (2, lambda: members.remove(org, "user-2")),
        ):
            meter.reset()
            call()
            assert meter.count == expected


def test_adding_again_returns_what_is_there(scene: Scene, org: str) -> None:
    members = scene.store.members
    made = members.add(org, "user-1", role="admin")
    scene.store.organizations.update_settings(org, max_users=2)
    scene.clock.advance(5)
    assert members.add(org, "user-1", role="admin") == made
    with pytest.raises(AlreadyExists) as refused:
        members.add(org, "user-1", role="viewer")
    assert refused.value.current == made
    assert counts(scene) == (2, 1)


def test_active_and_pending_members_take_seats(scene: Scene, org: str) -> None:
    members = scene.store.members
    scene.store.organizations.update_settings(org, max_users=3)
    members.add(org, "user-1")
    members.add(org, "user-2", status="pending")
    with pytest.raises(LimitExceeded, match="all 3 seats") as refused:
        members.add(org, "user-3")
    assert refused.value.current.member_count == 3
    members.add(org, "user-4", status="inactive")
    with pytest.raises(LimitExceeded):
        members.update(org, "user-4", status="active")
    members.update(org, "user-2", status="active")
    members.update(org, "user-1", status="inactive")
    assert members.update(org, "user-4", status="pending").status == "pending"
    assert counts(scene) == (3, 1)
    members.remove(org, "user-4")
    members.add(org, "user-3")


def test_the_last_active_owner_stays(scene: Scene, org: str) -> None:
    """An owner who is inactive or pending does not count: nobody could act for the organization."""
    members = scene.store.members
    members.add(org, "user-1", role="owner", status="pending")
    members.add(org, "user-2", role="owner", status="inactive")
    before = scene.items()
    attempts: list[Callable[[], object]] = [
        lambda: members.update(org, "owner", role="admin"),
        lambda: members.update(org, "owner", status="inactive"),
        lambda: members.update(org, "owner", status="pending"),
        lambda: members.remove(org, "owner"),
    ]
    for attempt in attempts:
        with pytest.raises(IllegalTransition, match="at least one active owner"):
            attempt()
    assert scene.items() == before
    members.update(org, "user-1", status="active")
    assert counts(scene) == (2, 2)
    assert members.update(org, "owner", role="viewer").role == "viewer"
    assert members.remove(org, "user-2").role == "owner"
    assert counts(scene) == (2, 1)


def test_an_owner_leaves_by_naming_an_heir(scene: Scene, org: str) -> None:
    """Also when every seat is taken: one goes as the other comes."""
    members = scene.store.members
    scene.store.organizations.update_settings(org, max_users=1)
    members.update(org, "owner", permissions={"manage_users": True})
    heir = members.replace(org, "owner", heir_id="user-1")
    assert (heir.role, heir.status, heir.permissions) == ("owner", "active", {"manage_users": True})
    assert [*members.list_by_organization(org)] == [heir]
    assert counts(scene) == (1, 1)


def test_an_heir_who_is_a_member_keeps_the_better_role(scene: Scene, org: str) -> None:
    members = scene.store.members
    members.add(org, "user-1", role="viewer", status="pending", permissions={"a": True})
    members.add(org, "user-2", role="viewer")
    raised = members.replace(org, "owner", heir_id="user-1")
    assert (raised.role, raised.status, raised.permissions) == ("owner", "active", {"a": True})
    assert members.replace(org, "user-2", heir_id="user-1").role == "owner"
    assert counts(scene) == (1, 1)
    with pytest.raises(NotFound):
        members.replace(org, "owner", heir_id="user-1")


def test_a_member_changed_between_reading_and_writing_is_read_again(scene: Scene, org: str) -> None:
    """The counts follow what the member was when the write happened, not when it was read."""
    members = scene.store.members
    members.add(org, "bob", role="owner")
    members.add(org, "carl")
    demote = scene.interrupted("BatchGetItem", 1, lambda: members.update(org, "bob", role="admin"))
    assert demote.members.remove(org, "bob").role == "admin"
    suspend = partial(members.update, org, "carl", status="inactive")
    leave = scene.interrupted("BatchGetItem", 1, suspend)
    assert leave.members.remove(org, "carl").status == "inactive"
    assert counts(scene) == (1, 1)


def test_a_member_that_goes_while_being_added_again_is_added(scene: Scene, org: str) -> None:
    """Refused because of the old membership, which is gone before this call looks at it."""
    members = scene.store.members
    members.add(org, "bob", role="admin")
    slow = scene.interrupted("TransactWriteItems", 1, lambda: members.remove(org, "bob"))
    assert slow.members.add(org, "bob").role == "member"
    assert counts(scene) == (2, 1)
    slow = scene.interrupted("TransactWriteItems", 1, lambda: scene.store.organizations.delete(org))
    with pytest.raises(NotFound):
        slow.members.add(org, "bob", role="admin")
    assert scene.items() == []


def test_members_are_listed_by_organization_and_by_user(scene: Scene, org: str) -> None:
    members, create = scene.store.members, scene.store.organizations.create
    create("Other", "user-3", organization_id="org-2")
    create("Third", "owner", organization_id="org-3")
    for number in range(5):
        members.add(org, f"user-{number}")
    first = members.list_by_organization(org, page_size=4, consistent=True)
    rest = members.list_by_organization(org, page_size=4, cursor=first.cursor)
    assert [each.user_id for each in (*first, *rest)] == [
        "owner",
        *(f"user-{number}" for number in range(5)),
    ]
    backwards = members.list_by_organization(org, descending=True)
    assert [*backwards] == [*first, *rest][::-1]
    mine = members.list_by_user("user-3")
    assert [each.organization_id for each in mine] == ["org-1", "org-2"]
    assert [each.role for each in members.list_by_user("user-3", descending=True)] == [
        "owner",
        "member",
    ]


def test_who_is_no_member_is_not_found(scene: Scene, org: str) -> None:
    members = scene.store.members
    before = scene.items()
    calls: list[Callable[[], object]] = [
        lambda: members.get(org, "nobody"),
        lambda: members.update(org, "nobody", role="admin"),
        lambda: members.update(org, "nobody", permissions={}),
        lambda: members.remove(org, "nobody"),
        lambda: members.touch(org, "nobody"),
        lambda: members.add("org-9", "user-1"),
        lambda: members.add("org-9", "user-1", status="inactive"),
        lambda: members.get("org-9", "user-1"),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()
    assert scene.items() == before


BAD_CALLS: list[Callable[[Any], object]] = [
    lambda members: members.add("org-1", "user-1", role="boss"),
    lambda members: members.add("org-1", "user-1", status="gone"),
    lambda members: members.add("org-1", "user-1", permissions=["manage_users"]),
    lambda members: members.add("org-1", ""),
    lambda members: members.add("", "user-1"),
    lambda members: members.add("org-1", "user-1", at="today"),
    lambda members: members.add("org-1", "user-1", at=datetime(9999, 1, 1, tzinfo=UTC)),
    lambda members: members.update("org-1", "user-1"),
    lambda members: members.update("org-1", "user-1", role="boss"),
    lambda members: members.update("org-1", "user-1", role=None),
    lambda members: members.update("org-1", "user-1", status="gone"),
    lambda members: members.update("org-1", "user-1", permissions="all"),
    lambda members: members.replace("org-1", "user-1", heir_id="user-1"),
    lambda members: members.replace("org-1", "user-1", heir_id=""),
    lambda members: members.replace("org-1", "user-1", heir_id=None),
]


@pytest.mark.parametrize("wrong", [None, "", 7, b"bob", "x" * 257])
def test_what_is_no_heir_is_named(offline: ChatStore, wrong: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        offline.members.replace("org-1", "ann", heir_id=wrong)
    assert refused.value.argument == "heir_id"


@pytest.mark.parametrize("call", BAD_CALLS)
def test_bad_input_is_refused_before_anything_is_sent(
    offline: ChatStore, call: Callable[[Any], object]
) -> None:
    with pytest.raises(InvalidArgument):
        call(offline.members)


@pytest.mark.parametrize("call", ["update", "replace"])
def test_a_membership_of_the_next_organization_is_read_again(
    scene: Scene, org: str, call: str
) -> None:
    """The id is given anew after the look: what is returned is of the new one."""
    store = scene.store
    store.members.add(org, "bob", permissions={"secret": True})

    def give_away() -> None:
        store.organizations.delete(org)
        scene.clock.advance(1)
        store.organizations.create("New", "owner", organization_id=org)
        store.members.add(org, "bob")

    slow = scene.interrupted("BatchGetItem", 1, give_away)
    if call == "update":
        changed = slow.members.update(org, "bob", role="admin")
    else:
        changed = slow.members.replace(org, "bob", heir_id="carl")
    assert changed.permissions == {}
    assert store.members.get(org, changed.user_id, consistent=True) == changed
