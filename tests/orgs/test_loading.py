"""Organizations, members and invites of another system are kept as they are."""

from typing import Any

import pytest

from dynamo_chat import Invite, Member, Organization
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, LimitExceeded, NotFound
from dynamo_chat.testing import RequestMeter
from tests.scene import DAY, Scene

pytestmark = pytest.mark.engine
TOKEN = "an-invite-token-of-another-system"


def old_organization(scene: Scene, **fields: Any) -> Organization:
    began = scene.clock() - 400 * DAY
    usual: dict[str, Any] = {"organization_id": "org", "name": "Org", "max_users": 2}
    counts = {"member_count": 40, "owner_count": 7, "emails_processed": 5}
    times = {"created_at": began, "updated_at": began + DAY}
    return Organization(**{**usual, **counts, **times, **fields})


def old_member(scene: Scene, user_id: str = "ann", **fields: Any) -> Member:
    began = scene.clock() - 300 * DAY
    usual: dict[str, Any] = {"organization_id": "org", "user_id": user_id, "role": "viewer"}
    return Member(**{**usual, "status": "active", "joined_at": began, **fields})


def old_invite(scene: Scene, **fields: Any) -> Invite:
    now = scene.clock()
    usual = {
        "organization_id": "org",
        "created_at": now - 2 * DAY,
        "invite_id": "invite",
        "email": "guest@example.com",
        "invited_by": "ann",
        "role": "member",
        "status": "pending",
        "expires_at": now + DAY,
    }
    return Invite(**{**usual, **fields})


def loaded(scene: Scene) -> Organization:
    return scene.store.organizations.load(
        old_organization(scene), old_member(scene, role="owner", last_active=scene.clock() - DAY)
    )


def test_an_organization_is_kept_with_its_owner(scene: Scene) -> None:
    """Its counts are those of the members who are here."""
    with RequestMeter(scene.store.connection.client) as meter:
        made = loaded(scene)
    assert meter.operations() == {"TransactWriteItems": 1}
    assert made == old_organization(scene, member_count=1, owner_count=1)
    owner = old_member(scene, role="owner", last_active=scene.clock() - DAY)
    assert scene.store.members.get("org", "ann") == owner
    bob = old_member(scene, "bob", last_active=scene.clock() - 9 * DAY, permissions={"a": True})
    assert scene.store.members.load(bob) == scene.store.members.load(bob) == bob
    assert loaded(scene).member_count == 2
    assert scene.store.members.get("org", "bob") == bob
    with pytest.raises(LimitExceeded):
        scene.store.members.load(old_member(scene, "carl"))
    with pytest.raises(AlreadyExists):
        scene.store.members.load(old_member(scene, "bob", role="admin"))


def test_another_organization_is_not_replaced(scene: Scene) -> None:
    loaded(scene)
    owner = old_member(scene, role="owner")
    with pytest.raises(AlreadyExists):
        scene.store.organizations.load(old_organization(scene, name="Other"), owner)
    with pytest.raises(AlreadyExists):
        scene.store.organizations.load(
            old_organization(scene), old_member(scene, "bob", role="owner")
        )


def test_what_is_no_organization_is_refused(scene: Scene) -> None:
    """Without an owner, with another one's, or of the future; and nothing is written."""
    load, now = scene.store.organizations.load, scene.clock()
    owner = old_member(scene, role="owner")
    for wrong in (old_member(scene), owner.model_copy(update={"status": "inactive"}), "ann"):
        with pytest.raises(InvalidArgument, match="active owner"):
            load(old_organization(scene), wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"owner\.organization_id"):
        load(old_organization(scene, organization_id="other"), owner)
    with pytest.raises(InvalidArgument, match="joined_at"):
        load(old_organization(scene), owner.model_copy(update={"joined_at": now + DAY}))
    for name in ("created_at", "updated_at"):
        with pytest.raises(InvalidArgument, match=name):
            load(old_organization(scene, **{name: now + DAY}), owner)
    with pytest.raises(InvalidArgument, match="an Organization"):
        load("org", owner)  # type: ignore[arg-type]
    assert scene.items() == []


def test_a_member_of_nothing_or_of_the_future_is_refused(scene: Scene) -> None:
    members, later = scene.store.members, scene.clock() + DAY
    with pytest.raises(NotFound):
        members.load(old_member(scene))
    for name in ("joined_at", "last_active"):
        with pytest.raises(InvalidArgument, match=name):
            members.load(old_member(scene).model_copy(update={name: later}))
    with pytest.raises(InvalidArgument, match="a Member"):
        members.load("ann")  # type: ignore[arg-type]


@pytest.mark.parametrize("status", ["pending", "accepted", "expired", "cancelled"])
def test_an_invite_is_kept_in_any_status(scene: Scene, status: str) -> None:
    loaded(scene)
    said = {"status": status, "accepted_at": scene.clock() - DAY if status == "accepted" else None}
    invite, invites = old_invite(scene, **said), scene.store.invites
    with RequestMeter(scene.store.connection.client) as meter:
        assert invites.load(invite, token=TOKEN) == invite
    assert meter.operations() == {"TransactWriteItems": 1}
    assert invites.load(invite, token=TOKEN) == invites.load(invite) == invite
    assert invites.get("invite") == invites.get_by_token(TOKEN) == invite
    assert list(invites.list_by_address("GUEST@example.com")) == [invite]
    assert TOKEN not in str(scene.items())
    with pytest.raises(AlreadyExists, match="'invite' is taken"):
        invites.load(old_invite(scene, role="admin"))
    with pytest.raises(AlreadyExists, match="token"):
        invites.load(old_invite(scene, invite_id="other"), token=TOKEN)


def test_a_loaded_invite_is_accepted_with_its_old_token(scene: Scene) -> None:
    """Without the token nobody can; one whose time is up is expired."""
    loaded(scene)
    scene.store.users.create("guest@example.com", user_id="guest")
    scene.store.invites.load(old_invite(scene), token=TOKEN)
    assert scene.store.invites.accept(TOKEN, "guest").user_id == "guest"
    late = old_invite(scene, invite_id="late", expires_at=scene.clock() - DAY)
    assert scene.store.invites.load(late).status == "expired"


def test_an_invite_of_nothing_or_of_the_future_is_refused(scene: Scene) -> None:
    invites = scene.store.invites
    with pytest.raises(NotFound):
        invites.load(old_invite(scene))
    with pytest.raises(InvalidArgument, match="created_at"):
        invites.load(old_invite(scene, created_at=scene.clock() + DAY))
    with pytest.raises(InvalidArgument, match="token"):
        invites.load(old_invite(scene), token="short")
    with pytest.raises(InvalidArgument, match="an Invite"):
        invites.load("invite")  # type: ignore[arg-type]
    assert scene.items() == []
