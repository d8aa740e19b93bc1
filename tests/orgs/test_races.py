"""Seats and owners under many changes at one moment, on a real server."""

from collections import Counter
from contextlib import suppress
from decimal import Decimal
from functools import partial

import pytest

from dynamo_chat import Member, Organization, OrganizationSettings
from dynamo_chat.core.errors import (
    AlreadyExists,
    LimitExceeded,
    NotFound,
)
from dynamo_chat.orgs.organization import LastOwner, QuotaExceeded
from tests.scene import Scene, race

pytestmark = pytest.mark.ministack


def test_the_last_owner_cannot_be_removed_by_two_racing_calls(scene: Scene) -> None:
    """Of two owners who remove each other, or are demoted, at one moment, one stays."""
    store = scene.store
    for number in range(30):
        org = f"org-{number}"
        store.organizations.create("Acme", "ann", organization_id=org)
        store.members.add(org, "bob", role="owner")
    calls = [
        call
        for n in range(30)
        for call in (
            partial(store.members.remove, f"org-{n}", "ann"),
            partial(store.members.update, f"org-{n}", "bob", role="admin")
            if n % 2
            else partial(store.members.remove, f"org-{n}", "bob"),
        )
    ]
    results = Counter(type(result) for result in race(calls))
    assert results == {Member: 30, LastOwner: 30}
    for number in range(30):
        assert store.organizations.get(f"org-{number}", consistent=True).owner_count == 1


def test_seats_are_never_passed(scene: Scene) -> None:
    """100 come for 10 seats, while others leave and the limit moves."""
    store = scene.store
    settings = OrganizationSettings(max_users=10)
    store.organizations.create("Acme", "ann", organization_id="org-1", settings=settings)
    calls = [partial(store.members.add, "org-1", f"user-{n}") for n in range(100)]
    results = Counter(type(result) for result in race(calls))
    assert results == {Member: 9, QuotaExceeded: 91}
    inside = [each.user_id for each in store.members.list_by_organization("org-1", page_size=20)]
    mixed = [
        call
        for user_id in inside
        if user_id != "ann"
        for call in (
            partial(store.members.update, "org-1", user_id, status="inactive"),
            partial(store.members.add, "org-1", f"late-{user_id}"),
            partial(store.organizations.update_settings, "org-1", max_users=10),
            partial(store.members.update, "org-1", user_id, status="active"),
        )
    ]
    for result in race(mixed):
        assert isinstance(result, (Member, Organization, LimitExceeded))


def test_usage_is_counted_by_everybody(scene: Scene) -> None:
    organizations = scene.store.organizations
    organizations.create("Acme", "ann", organization_id="org-1")
    count = partial(
        organizations.count_usage, "org-1", emails_processed=1, storage_used_gb=Decimal("0.1")
    )
    race([count] * 300)
    found = organizations.get("org-1", consistent=True)
    assert (found.emails_processed, found.storage_used_gb) == (300, Decimal(30))


def test_no_member_outlives_the_organization(scene: Scene) -> None:
    """Adding and inviting while it is being deleted, twice at once: nothing is left."""
    store = scene.store
    store.organizations.create("Acme", "ann", organization_id="org-1")
    adds = [partial(store.members.add, "org-1", f"user-{n}") for n in range(20)]
    invites = [
        partial(store.invites.create, "org-1", f"guest-{n}@example.com", invited_by="ann")
        for n in range(20)
    ]
    delete = partial(store.organizations.delete, "org-1")
    for result in race([*adds, *invites[:10], delete, delete, *adds, *invites[10:]]):
        assert not isinstance(result, Exception) or isinstance(result, NotFound)
    assert scene.items() == []


def test_an_organization_that_is_deleted_and_made_again_all_the_time(scene: Scene) -> None:
    """Overlapping deletions take nothing of the organization that was made last."""
    store = scene.store

    def live(number: int) -> str:
        with suppress(NotFound):
            store.organizations.delete("org-1")
        try:
            store.organizations.create(f"Acme {number}", "ann", organization_id="org-1")
        except AlreadyExists:
            return "taken"
        store.members.add("org-1", f"user-{number}")
        return "made"

    for result in race([partial(live, number) for number in range(60)]):
        assert result in ("made", "taken") or isinstance(result, NotFound)
    kinds = scene.kinds()
    assert kinds["member"] == kinds["membership"]
