"""Accepting an invite: exactly once, with the membership, or not at all (O8)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, IssuedInvite, Member
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    DynamoChatError,
    IllegalTransition,
    InvalidArgument,
    LimitExceeded,
    NotFound,
)
from dynamo_chat.testing import DropAnswer, RequestMeter
from tests.scene import Scene, cut_short, dead_after, each_fault

pytestmark = pytest.mark.engine


class Invitation:
    """An organization, an invite to it, and the user it is for."""

    def __init__(self, scene: Scene, name: str = "guest") -> None:
        store = scene.store
        self.org = f"org-of-{name}"
        self.user_id = name
        store.organizations.create("Acme", "owner", organization_id=self.org)
        store.users.create(f"{name}@example.com", user_id=name, response_email=f"{name}@re.example")
        self.issued = self.issue(scene, f"{name}@Example.com")
        self.token = self.issued.token

    def issue(self, scene: Scene, email: str, **options: Any) -> IssuedInvite:
        options.setdefault("invited_by", "owner")
        return scene.store.invites.create(self.org, email, role="admin", **options)

    def accept(self, scene: Scene) -> Member:
        return scene.store.invites.accept(self.token, self.user_id)


@pytest.fixture
def given(scene: Scene) -> Invitation:
    return Invitation(scene)


def test_accepting_makes_a_member_and_marks_the_invite(scene: Scene, given: Invitation) -> None:
    now = scene.clock.advance(60)
    with RequestMeter(scene.store.connection.client) as meter:
        member = given.accept(scene)
        assert [request.operation for request in meter.requests] == [
            "GetItem",
            "BatchGetItem",
            "TransactWriteItems",
        ]
    assert member == Member(
        organization_id=given.org,
        user_id="guest",
        role="admin",
        status="active",
        invited_by="owner",
        joined_at=now,
    )
    assert scene.store.members.get(given.org, "guest", consistent=True) == member
    invite = scene.store.invites.get_by_token(given.token)
    assert (invite.status, invite.accepted_at, invite.accepted_by) == ("accepted", now, "guest")
    assert scene.store.organizations.get(given.org, consistent=True).member_count == 2


def test_accepting_again_returns_the_same_membership(scene: Scene, given: Invitation) -> None:
    member = given.accept(scene)
    scene.clock.advance(timedelta(days=30))  # long after the invite's time
    before = scene.items()
    assert given.accept(scene) == member
    assert scene.items() == before


def test_an_invite_is_for_its_address(scene: Scene, given: Invitation) -> None:
    """In any case; nobody else's token opens anything, nor does a response e-mail."""
    store = scene.store
    store.users.create("bob@example.com", user_id="bob")
    before = scene.items()
    with pytest.raises(NotFound, match="invite for this user"):
        store.invites.accept(given.token, "bob")
    with pytest.raises(NotFound, match="user"):
        store.invites.accept(given.token, "nobody")
    with pytest.raises(NotFound, match="invite"):
        store.invites.accept("no such token was ever issued", "guest")
    assert scene.items() == before
    victims = given.issue(scene, "guest@re.example")
    with pytest.raises(NotFound, match="invite for this user"):
        store.invites.accept(victims.token, "guest")  # who has it as response e-mail
    assert given.accept(scene).user_id == "guest"
    assert store.invites.accept(victims.token, "bob", any_address=True).user_id == "bob"
    with pytest.raises(NotFound, match="user"):
        store.invites.accept(given.issue(scene, "x@y.example").token, "nobody", any_address=True)


@pytest.mark.parametrize("end", ["expired", "expired early", "cancelled", "accepted", "deleted"])
def test_what_is_not_pending_cannot_be_accepted(scene: Scene, given: Invitation, end: str) -> None:
    store, invite_id = scene.store, given.issued.invite.invite_id
    if end == "expired":
        scene.clock.advance(timedelta(days=7))
    elif end == "expired early":
        store.invites.expire(invite_id)
    elif end == "cancelled":
        store.invites.cancel(invite_id)
    elif end == "deleted":
        store.invites.delete(invite_id)
    else:
        store.users.create("bob@example.com", user_id="bob")
        store.invites.accept(given.token, "bob", any_address=True)
    before = scene.items()
    expected = NotFound if end == "deleted" else IllegalTransition
    with pytest.raises(expected) as refused:
        given.accept(scene)
    if isinstance(refused.value, IllegalTransition):
        assert end.startswith(refused.value.current.status)
    assert scene.items() == before


def test_a_full_organization_takes_nobody(scene: Scene, given: Invitation) -> None:
    scene.store.organizations.update_settings(given.org, max_users=1)
    before = scene.items()
    with pytest.raises(LimitExceeded):
        given.accept(scene)
    assert scene.items() == before
    scene.store.organizations.update_settings(given.org, max_users=2)
    given.accept(scene)


def test_a_member_is_not_made_one_again(scene: Scene, given: Invitation) -> None:
    scene.store.members.add(given.org, "guest", role="viewer", status="inactive")
    before = scene.items()
    with pytest.raises(AlreadyExists) as refused:
        given.accept(scene)
    assert refused.value.current.role == "viewer"
    assert scene.items() == before


def test_a_pending_member_becomes_active(scene: Scene, given: Invitation) -> None:
    """They have their seat already: accepting takes no second one."""
    scene.store.members.add(given.org, "guest", status="pending", permissions={"a": True})
    scene.store.organizations.update_settings(given.org, max_users=2)
    member = given.accept(scene)
    assert (member.role, member.status, member.permissions) == ("admin", "active", {"a": True})
    assert scene.store.organizations.get(given.org, consistent=True).member_count == 2
    assert scene.store.members.get(given.org, "guest", consistent=True) == member


def test_who_left_does_not_come_back_by_the_old_invite(scene: Scene, given: Invitation) -> None:
    given.accept(scene)
    scene.store.members.remove(given.org, "guest")
    with pytest.raises(IllegalTransition):
        given.accept(scene)


def test_domain_verification_counts_when_accepting_too(scene: Scene, given: Invitation) -> None:
    scene.store.organizations.update_settings(given.org, email_domain_verification=True)
    with pytest.raises(Conflict, match="own domain"):
        given.accept(scene)
    scene.store.organizations.update(given.org, domain="example.com")
    given.accept(scene)


def test_nothing_can_be_joined_that_is_being_deleted(scene: Scene, given: Invitation) -> None:
    """Organization or user: from the tombstone on there are no new memberships."""
    cut_short(scene, *dead_after(1), lambda: scene.store.organizations.delete(given.org))
    for call in _calls_on(scene, given):
        with pytest.raises(NotFound):
            call()
    scene.store.organizations.delete(given.org)
    other = Invitation(scene, "other")
    cut_short(scene, *dead_after(2), lambda: scene.store.users.delete("other"))
    with pytest.raises(NotFound):
        other.accept(scene)
    scene.store.users.delete("other")


def _calls_on(scene: Scene, given: Invitation) -> list[Callable[[], object]]:
    store, invite_id = scene.store, given.issued.invite.invite_id
    return [
        lambda: given.accept(scene),
        lambda: given.issue(scene, "more@example.com"),
        lambda: store.invites.get(invite_id),
        lambda: store.invites.get_by_token(given.token),
        lambda: store.invites.cancel(invite_id),
        lambda: store.members.get(given.org, "owner"),
        lambda: store.members.add(given.org, "more"),
        lambda: store.organizations.get(given.org),
        lambda: store.organizations.update(given.org, name="Still here"),
        lambda: store.organizations.count_usage(given.org, emails_processed=1),
    ]


def test_accepting_survives_death_and_lost_answers(scene: Scene, no_backoff: None) -> None:
    """Whatever happens at whichever request: called again, it is accepted once."""
    for place, (number, fault) in enumerate(each_fault(3)):
        given = Invitation(scene, f"guest-{place}")
        cut_short(scene, number, fault, lambda given=given: given.accept(scene))  # type: ignore[misc]
        member = given.accept(scene)
        assert scene.store.members.get(given.org, given.user_id, consistent=True) == member
        invite = scene.store.invites.get_by_token(given.token)
        assert (invite.status, invite.accepted_by) == ("accepted", given.user_id)
        assert scene.store.organizations.get(given.org, consistent=True).member_count == 2


def test_an_answer_lost_for_good_is_made_up_for(scene: Scene) -> None:
    """Nobody resends: the caller calls again, and finds that it had worked."""
    given, fragile = Invitation(scene), scene.fragile()
    cut_short(fragile, 3, DropAnswer(), lambda: given.accept(fragile))
    scene.store.organizations.update_settings(given.org, max_users=2)
    assert given.accept(fragile).status == "active"


def test_issuing_survives_death_and_lost_answers(scene: Scene, no_backoff: None) -> None:
    org = Invitation(scene).org
    for place, (number, fault) in enumerate(each_fault(1)):
        options = {"invite_id": f"invite-{place}", "token": f"token-of-the-caller-{place}"}

        def issue(options: dict[str, str] = options) -> IssuedInvite:
            return scene.store.invites.create(org, "a@b.example", invited_by="owner", **options)  # type: ignore[arg-type]

        cut_short(scene, number, fault, issue)
        issued = issue()
        assert scene.store.invites.get_by_token(options["token"]) == issued.invite


@pytest.mark.parametrize("wrong", [None, "", 7, b"bob", "x" * 257])
def test_what_is_no_user_id_is_refused_before_anything_is_sent(
    offline: ChatStore, wrong: Any
) -> None:
    with pytest.raises(InvalidArgument, match=r"^user_id: "):
        offline.invites.accept("the-token-of-an-invite", wrong)


def test_errors_carry_what_is_there(scene: Scene, given: Invitation) -> None:
    given.accept(scene)
    scene.store.users.create("bob@example.com", user_id="bob")
    with pytest.raises(DynamoChatError) as refused:
        scene.store.invites.accept(given.token, "bob", any_address=True)
    assert given.token not in repr(refused.value.__dict__)
