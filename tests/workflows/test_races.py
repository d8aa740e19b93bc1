"""Many accepts at one moment, on a real server."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from dynamo_chat import Member, OrganizationSettings
from dynamo_chat.core.errors import (
    AlreadyExists,
    IllegalTransition,
    NotFound,
)
from dynamo_chat.orgs.invite import InviteClosed
from dynamo_chat.orgs.organization import QuotaExceeded
from tests.scene import Scene, race

pytestmark = pytest.mark.ministack


def test_50_accepts_of_one_invite_give_one_membership(scene: Scene) -> None:
    """By one user, who gets the same answer each time."""
    store = scene.store
    store.organizations.create("Acme", "ann", organization_id="org-1")
    store.users.create("guest@example.com", user_id="guest")
    token = store.invites.create("org-1", "guest@example.com", invited_by="ann").token
    results = race([partial(store.invites.accept, token, "guest")] * 50)
    assert all(result == results[0] for result in results)
    assert isinstance(results[0], Member)
    assert store.organizations.get("org-1", consistent=True).member_count == 2
    assert scene.kinds()["member"] == 2


def test_50_users_with_one_token_give_one_membership(scene: Scene) -> None:
    store = scene.store
    store.organizations.create("Acme", "ann", organization_id="org-1")
    for number in range(50):
        store.users.create(f"user-{number}@example.com", user_id=f"user-{number}")
    token = store.invites.create("org-1", "guest@example.com", invited_by="ann").token
    accept = partial(store.invites.accept, token, any_address=True)
    results = Counter(
        type(result) for result in race([partial(accept, f"user-{n}") for n in range(50)])
    )
    assert results == {Member: 1, InviteClosed: 49}
    assert store.organizations.get("org-1", consistent=True).member_count == 2


def test_10_seats_never_hold_11_members(scene: Scene) -> None:
    """40 invites accepted at one moment; who was refused finds their invite pending."""
    store = scene.store
    settings = OrganizationSettings(max_users=10)
    store.organizations.create("Acme", "ann", organization_id="org-1", settings=settings)
    tokens = {}
    for number in range(40):
        store.users.create(f"user-{number}@example.com", user_id=f"user-{number}")
        issued = store.invites.create("org-1", f"user-{number}@example.com", invited_by="ann")
        tokens[f"user-{number}"] = issued.token
    results = race([partial(store.invites.accept, token, u) for u, token in tokens.items()])
    assert Counter(map(type, results)) == {Member: 9, QuotaExceeded: 31}
    for (user_id, token), result in zip(tokens.items(), results, strict=True):
        invite = store.invites.get_by_token(token)
        if isinstance(result, Member):
            assert (invite.status, invite.accepted_by) == ("accepted", user_id)
        else:
            assert invite.status == "pending"
    assert scene.kinds()["member"] == 10


def test_accepting_and_cancelling_at_one_moment(scene: Scene) -> None:
    """One of the two happens, and the other says so."""
    store = scene.store
    store.organizations.create("Acme", "ann", organization_id="org-1")
    calls: list[Callable[[], object]] = []
    for number in range(20):
        user_id = f"user-{number}"
        store.users.create(f"{user_id}@example.com", user_id=user_id)
        issued = store.invites.create("org-1", f"{user_id}@example.com", invited_by="ann")
        calls.append(partial(store.invites.accept, issued.token, user_id))
        calls.append(partial(store.invites.cancel, issued.invite.invite_id))
    results = race(calls)
    for accepted, cancelled in zip(results[::2], results[1::2], strict=True):
        assert isinstance(accepted, Member) == isinstance(cancelled, IllegalTransition)
        assert isinstance(accepted, IllegalTransition) == (cancelled.__class__.__name__ == "Invite")


def test_accepting_while_the_user_is_being_deleted(scene: Scene) -> None:
    """No membership of nobody: the accept comes first and is undone, or is refused."""
    store = scene.store
    store.organizations.create("Acme", "ann", organization_id="org-1")
    calls: list[Callable[[], object]] = []
    for number in range(20):
        user_id = f"user-{number}"
        store.users.create(f"{user_id}@example.com", user_id=user_id)
        issued = store.invites.create("org-1", f"{user_id}@example.com", invited_by="ann")
        calls.append(partial(store.invites.accept, issued.token, user_id))
        calls.append(partial(store.users.delete, user_id))
    for result in race(calls):
        assert isinstance(result, (Member, int, NotFound, AlreadyExists, IllegalTransition))
    assert scene.kinds()["member"] == 1
    assert scene.kinds()["user"] == 0


def test_two_owners_who_delete_themselves_at_one_moment(scene: Scene) -> None:
    """One goes, the other stays and owns: no organization is left to nobody."""
    store = scene.store
    calls: list[Callable[[], object]] = []
    for number in range(15):
        for name in (f"ann-{number}", f"bob-{number}"):
            store.users.create(f"{name}@example.com", user_id=name)
            store.logins.create(name)
            calls.append(partial(store.users.delete, name))
        store.organizations.create("Acme", f"ann-{number}", organization_id=f"org-{number}")
        store.members.add(f"org-{number}", f"bob-{number}", role="owner")
    results = race(calls)
    for number in range(15):
        outcomes = results[2 * number : 2 * number + 2]
        assert sorted(type(each).__name__ for each in outcomes) == ["LastOwner", "int"]
        (left,) = store.members.list_by_organization(f"org-{number}", consistent=True).items
        assert left.is_active_owner
        assert store.users.get(left.user_id, consistent=True).email.startswith(left.user_id)
    assert scene.kinds()["user_tombstone"] == 0
    assert scene.kinds()["login"] == scene.kinds()["login_listing"]


def test_nobody_who_is_being_deleted_becomes_an_owner(scene: Scene) -> None:
    """Promoted, added and made heir while they go: every owner lives, and no login is left."""
    store = scene.store
    store.users.create("boss@example.com", user_id="boss")
    calls: list[Callable[[], object]] = []
    for number in range(12):
        name, org = f"user-{number}", f"org-{number}"
        store.users.create(f"{name}@example.com", user_id=name)
        store.organizations.create("Acme", "boss", organization_id=org)
        store.members.add(org, name)
        calls += [
            partial(store.users.delete, name),
            partial(store.members.update, org, name, role="owner"),
            partial(store.members.add, "org-0", name, role="owner"),
            partial(store.logins.create, name),
            partial(store.members.remove, org, "boss"),
        ]
    race(calls)
    for number in range(12):
        members = store.members.list_by_organization(f"org-{number}", consistent=True)
        owners = [each.user_id for each in members if each.is_active_owner]
        assert owners
        for each in members:
            store.users.get(each.user_id, consistent=True)
    living = {item["PK"]["S"] for item in scene.items() if item["kind"]["S"] == "user"}
    logins = {item["PK"]["S"] for item in scene.items() if item["kind"]["S"] == "login_listing"}
    assert logins <= living
    assert scene.kinds()["login"] == scene.kinds()["login_listing"]
