"""Deleting an organization step by step (O9): cut short, overtaken, resumed."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

import pytest

from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core.errors import DynamoChatError, NotFound
from dynamo_chat.testing import FaultInjector, Kill, Killed, RequestMeter
from dynamo_chat.testing.faults import ErrorAnswer
from dynamo_chat.workflows.delete_organization import OrganizationRemover
from tests.identity.scenes import assert_sound
from tests.scene import Item, Scene

pytestmark = pytest.mark.engine

MEMBERS, INVITES = 80, 20  # 223 items: past 25, 99, 100 and 198, at which a flat list is cut
TOO_LARGE = ErrorAnswer("ValidationException", "transaction too large")


def furnish(scene: Scene, org: str = "org-1", *, members: int = MEMBERS) -> None:
    """An organization with so many members, and invites."""
    store = scene.store
    store.organizations.create("Acme", "owner", organization_id=org)
    for number in range(members):
        store.members.add(org, f"user-{number:03d}")
    for number in range(INVITES):
        store.invites.create(org, f"guest-{number}@example.com", invited_by="owner")


def tombstone_of(scene: Scene, org: str = "org-1") -> Item | None:
    """What is in the place of the organization, if that is a tombstone."""
    (root,) = [item for item in scene.items() if item["PK"]["S"] == f"ORG#{org}#"][-1:]
    return root if root["kind"]["S"] == "organization_tombstone" else None


def deaths(requests: int) -> Iterator[tuple[int, Kill]]:
    """Before and after each of so many requests."""
    return chain.from_iterable(
        ((number, Kill()), (number, Kill(after_sending=True))) for number in range(2, requests + 1)
    )


@pytest.mark.once
@pytest.mark.parametrize("is_large", [False, True])
def test_nothing_is_left_unreachable_wherever_it_dies(scene: Scene, is_large: bool) -> None:
    """What leads to a member or an invite goes with it, also where a transaction is halved."""
    furnish(scene)
    everything = scene.items()
    for number, kill in deaths(9 if is_large else 6):
        if is_large and number == 4:  # is refused
            continue
        scene.put(*everything)
        with FaultInjector(scene.store.connection.client) as faults:
            if is_large:
                faults.plan(TOO_LARGE, at=4)
            faults.plan(kill, at=number)
            with suppress(Killed, DynamoChatError):
                scene.store.organizations.delete("org-1")
            assert any(each.fault == kill for each in faults.injected)
        assert_sound(scene)
        with suppress(NotFound):  # the last request was done
            scene.store.organizations.delete("org-1")
        assert scene.items() == []


def test_requests(scene: Scene) -> None:
    furnish(scene)
    with RequestMeter(scene.store.connection.client) as meter:
        assert scene.store.organizations.delete("org-1") == 2 * (MEMBERS + 1) + 3 * INVITES + 1
        assert meter.operations() == {"TransactWriteItems": 1 + 3, "Query": 2}
        meter.reset()
        scene.store.organizations.create("Acme", "owner", organization_id="org-1")
        meter.reset()
        assert scene.store.organizations.delete("org-1") == 3
        assert meter.operations() == {"TransactWriteItems": 2, "Query": 2}


@pytest.mark.once
@pytest.mark.parametrize("is_being_deleted_again", [False, True])
@pytest.mark.parametrize(
    ("operation", "at"), [("Query", 1), ("Query", 2), ("TransactWriteItems", 2)]
)
def test_a_worker_that_was_overtaken_takes_nothing_of_the_next_life(
    scene: Scene, operation: str, at: int, is_being_deleted_again: bool
) -> None:
    """Another one finishes, and the id is given anew, and deleted again even."""
    store = scene.store
    furnish(scene)

    def meanwhile() -> None:
        store.organizations.delete("org-1")
        furnish(scene)
        if is_being_deleted_again:
            with FaultInjector(store.connection.client) as faults, suppress(Killed):
                faults.plan(Kill(), at=2)
                store.organizations.delete("org-1")

    slow = scene.interrupted(operation, at, meanwhile)
    slow.organizations.delete("org-1")
    kinds = scene.kinds()
    assert kinds["member"] == kinds["membership"] == MEMBERS + 1
    assert kinds["invite"] == kinds["invite_id"] == kinds["invite_token"] == INVITES
    assert (tombstone_of(scene) is not None) == is_being_deleted_again


def test_only_the_deletion_that_was_seen_is_finished(scene: Scene) -> None:
    """Whoever repairs has seen one tombstone; another one under the id is not finished with it."""
    organizations, remover = (
        scene.store.organizations,
        OrganizationRemover(scene.store._binding, SnapshotCache()),
    )
    seen = []
    for _ in range(2):
        furnish(scene, members=3)
        with FaultInjector(scene.store.connection.client) as faults, suppress(Killed):
            faults.plan(Kill(), at=2)
            organizations.delete("org-1")
        seen.append(dict(tombstone_of(scene) or {}))
        if len(seen) == 1:
            assert remover.finish(seen[0]) == 2 * 4 + 3 * INVITES + 1
            assert scene.items() == []
    before = scene.items()
    assert remover.finish(seen[0]) == 0
    assert scene.items() == before
    remover.finish(seen[1])
    furnish(scene, members=1)
    before = scene.items()
    assert remover.finish(seen[1]) == 0
    assert scene.items() == before


def test_a_deletion_that_an_older_version_began_is_finished(scene: Scene) -> None:
    """Its tombstone has no id of its own."""
    furnish(scene, members=2)
    table = scene.store.connection.table_name
    old = {
        "PK": {"S": "ORG#org-1#"},
        "SK": {"S": "ORG#"},
        "kind": {"S": "organization_tombstone"},
        "v": {"N": "1"},
    }
    scene.client.put_item(TableName=table, Item=old)
    scene.store.organizations.delete("org-1")
    assert scene.items() == []


def test_a_pointer_that_leads_to_another_invite_is_left(scene: Scene) -> None:
    """Damage: it is not this organization's to delete."""
    store, table = scene.store, scene.store.connection.table_name
    store.organizations.create("Acme", "owner", organization_id="org-1")
    store.organizations.create("Other", "owner", organization_id="org-2")
    store.invites.create("org-1", "a@example.com", invited_by="owner", invite_id="invite")
    (pointer,) = [item for item in scene.items() if item["kind"]["S"] == "invite_id"]
    theirs = {**pointer, "organization_id": {"S": "org-2"}}
    scene.client.put_item(TableName=table, Item=theirs)
    store.organizations.delete("org-1")
    assert scene.kinds()["invite_id"] == 1
    scene.client.delete_item(TableName=table, Key={name: pointer[name] for name in ("PK", "SK")})


def test_a_damaged_invite_takes_along_what_it_still_names(scene: Scene) -> None:
    """It does not keep the organization here, and its id is free again."""
    store, table = scene.store, scene.store.connection.table_name
    store.organizations.create("Acme", "owner", organization_id="org-1")
    store.invites.create("org-1", "a@example.com", invited_by="owner", invite_id="invite")
    (invite,) = [item for item in scene.items() if item["kind"]["S"] == "invite"]
    damaged = {name: value for name, value in invite.items() if name != "token_hash"}
    scene.client.put_item(TableName=table, Item=damaged)
    store.organizations.delete("org-1")
    assert scene.kinds() == {"invite_token": 1}
    (token,) = scene.items()
    scene.client.delete_item(TableName=table, Key={name: token[name] for name in ("PK", "SK")})
