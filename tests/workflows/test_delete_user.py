"""Deleting users with what belongs to them (U8), and its twin for organizations (O9)."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore, OpenedLogin
from dynamo_chat.core.errors import (
    AlreadyExists,
    IllegalTransition,
    InvalidArgument,
    NotFound,
)
from dynamo_chat.testing import RequestMeter
from tests.scene import Scene, cut_short, dead_after, each_fault

pytestmark = pytest.mark.engine


def furnish(scene: Scene, name: str) -> OpenedLogin:
    """A user with two addresses, logins, activity and two memberships, one as an owner of two."""
    store = scene.store
    store.users.create(f"{name}@example.com", user_id=name, response_email=f"{name}@re.example")
    login = store.logins.create(name)
    store.logins.create(name)
    for number in range(3):
        store.activity.record(name, f"step {number}")
    store.organizations.create("Acme", "owner", organization_id=f"org-1-{name}")
    store.members.add(f"org-1-{name}", name)
    store.organizations.create("Other", name, organization_id=f"org-2-{name}")
    store.members.add(f"org-2-{name}", "owner", role="owner")
    return login


def assert_gone(scene: Scene, name: str) -> None:
    """For readers."""
    store = scene.store
    calls: list[Callable[[], object]] = [
        lambda: store.users.get(name, consistent=True),
        lambda: store.users.get_by_email(f"{name}@example.com"),
        lambda: store.users.get_by_response_email(f"{name}@re.example"),
        lambda: store.users.update(name, name="Still here"),
        lambda: store.users.change_addresses(name, email="new@example.com"),
        lambda: store.logins.create(name),
        lambda: store.activity.record(name, "haunted"),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


def test_a_deleted_user_leaves_nothing_behind(scene: Scene) -> None:
    login = furnish(scene, "ann")
    assert scene.store.users.delete("ann") == 10
    assert_gone(scene, "ann")
    with pytest.raises(NotFound):
        scene.store.logins.get(login.secret)
    assert scene.kinds() == {"organization": 2, "member": 2, "membership": 2}
    assert "USER#ann#" not in {item["PK"]["S"] for item in scene.items()}
    with pytest.raises(NotFound):
        scene.store.users.delete("ann")
    scene.store.users.create("ann@example.com", user_id="ann", response_email="ann@re.example")


def test_requests(scene: Scene) -> None:
    furnish(scene, "ann")
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.users.delete("ann")
        assert meter.operations() == {
            "Query": 3,  # what must be left, all there is, conversations
            "BatchGetItem": 2,
            # The tombstone, the logins, what is owned, the other membership, all the rest.
            "TransactWriteItems": 5,
        }
        scene.store.users.create("bob@example.com", user_id="bob")
        meter.reset()
        scene.store.users.delete("bob")
        assert meter.operations() == {"Query": 3, "TransactWriteItems": 2}
        scene.store.users.create("carl@example.com", user_id="carl")
        meter.reset()
        scene.store.users.delete("carl", conversations="keep")
        assert meter.operations() == {"Query": 2, "TransactWriteItems": 2}


def test_memberships_can_be_kept(scene: Scene) -> None:
    furnish(scene, "ann")
    scene.store.users.delete("ann", memberships="keep")
    assert scene.kinds()["member"] == 4
    assert len(scene.store.members.list_by_user("ann")) == 2


def test_a_last_owner_needs_an_heir(scene: Scene) -> None:
    """Without one nothing is changed at all; with one the organization goes on."""
    store = scene.store
    furnish(scene, "ann")
    store.users.create("bob@example.com", user_id="bob")
    store.members.remove("org-2-ann", "owner")
    store.organizations.update_settings("org-2-ann", max_users=1)
    before = scene.items()
    with pytest.raises(IllegalTransition, match="name an heir") as refused:
        store.users.delete("ann")
    assert refused.value.current.organization_id == "org-2-ann"
    with pytest.raises(NotFound):
        store.users.delete("ann", heir_id="nobody")
    assert scene.items() == before
    store.users.delete("ann", heir_id="bob")
    assert [each.user_id for each in store.members.list_by_organization("org-2-ann")] == ["bob"]
    assert store.members.get("org-2-ann", "bob").role == "owner"
    assert [each.user_id for each in store.members.list_by_organization("org-1-ann")] == ["owner"]


def test_ownership_that_becomes_the_last_on_the_way_is_refused(scene: Scene) -> None:
    """The other owner leaves after the look: the deletion stops, and goes on with an heir."""
    store = scene.store
    furnish(scene, "ann")
    store.users.create("bob@example.com", user_id="bob")
    cut_short(scene, *dead_after(3), lambda: store.users.delete("ann"))  # with the tombstone set
    store.members.remove("org-2-ann", "owner")
    with pytest.raises(IllegalTransition):
        store.users.delete("ann")
    store.users.delete("ann", heir_id="bob")
    assert store.members.get("org-2-ann", "bob").role == "owner"
    assert scene.kinds()["user"] == 1


def test_an_heir_who_goes_in_between_inherits_nothing(scene: Scene) -> None:
    """Looked up alive, deleted before the hand-over: no membership of nobody."""
    store = scene.store
    furnish(scene, "ann")
    store.members.remove("org-2-ann", "owner")
    for heir in ("bob", "carl"):
        store.users.create(f"{heir}@example.com", user_id=heir)
    # The first BatchGetItem looks for last ownerships, the second reads for the hand-over.
    slow = scene.interrupted("BatchGetItem", 2, lambda: store.users.delete("bob"))
    with pytest.raises(NotFound, match="bob"):
        slow.users.delete("ann", heir_id="bob")
    assert [each.user_id for each in store.members.list_by_organization("org-2-ann")] == ["ann"]
    store.users.delete("ann", heir_id="carl")
    assert store.members.get("org-2-ann", "carl").role == "owner"


@pytest.mark.once
def test_deleting_survives_death_and_lost_answers(scene: Scene, no_backoff: None) -> None:
    """At any request: readers see the user gone or whole, and calling again finishes."""
    furnish(scene, "measured")
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.users.delete("measured")
        requests = meter.count
    for number in (1, 2):
        scene.store.organizations.delete(f"org-{number}-measured")
    for place, (number, fault) in enumerate(each_fault(requests)):
        name = f"user-{place}"
        login = furnish(scene, name)
        cut_short(scene, number, fault, lambda name=name: scene.store.users.delete(name))  # type: ignore[misc]
        kinds = {item["kind"]["S"] for item in scene.items() if item["SK"]["S"] == "USER#"}
        if "user" in kinds:
            assert scene.store.users.get(name, consistent=True).user_id == name
        else:
            assert_gone(scene, name)
        try:
            scene.store.users.delete(name)
        except NotFound:
            assert not kinds
        with pytest.raises(NotFound):
            scene.store.logins.get(login.secret)
        scene.store.users.create(f"{name}@example.com", user_id=name)
        scene.store.users.delete(name)
        for each in (1, 2):  # the embedded engine slows down with every item
            assert scene.store.organizations.delete(f"org-{each}-{name}") == 3
        assert scene.items() == []


def test_addresses_stay_taken_until_the_end(scene: Scene, no_backoff: None) -> None:
    """Nobody signs up with an address of a user who is being deleted, nor with their id."""
    store = scene.store
    store.users.create("ann@example.com", user_id="ann")
    cut_short(scene, *dead_after(2), lambda: store.users.delete("ann"))
    with pytest.raises(AlreadyExists, match="being deleted"):
        store.users.create("new@example.com", user_id="ann")
    with pytest.raises(AlreadyExists, match="taken"):
        store.users.create("ann@example.com")
    store.users.delete("ann")
    store.users.create("ann@example.com")


def test_an_address_item_of_another_user_is_not_deleted(scene: Scene) -> None:
    """Damage is not spread, and keeps nobody."""
    store, table = scene.store, scene.store.connection.table_name
    store.users.create("ann@example.com", user_id="ann")
    (pointer,) = [item for item in scene.items() if item["kind"]["S"] == "user_email"]
    scene.client.put_item(TableName=table, Item={**pointer, "user_id": {"S": "bob"}})
    store.users.delete("ann")
    assert scene.kinds() == {"user_email": 1}
    scene.client.delete_item(TableName=table, Key={name: pointer[name] for name in ("PK", "SK")})


def test_deleting_an_organization_survives_death_and_lost_answers(
    scene: Scene, no_backoff: None
) -> None:
    store = scene.store
    for place, (number, fault) in enumerate(each_fault(3)):
        org = f"org-{place}"
        store.organizations.create("Acme", "owner", organization_id=org)
        store.members.add(org, "user-1")
        store.invites.create(org, "guest@example.com", invited_by="owner")
        cut_short(scene, number, fault, lambda org=org: store.organizations.delete(org))  # type: ignore[misc]
        kinds = scene.kinds()
        if not kinds["organization"]:
            with pytest.raises(NotFound):
                store.organizations.get(org)
        if kinds["organization_tombstone"]:
            with pytest.raises(AlreadyExists, match="being deleted"):
                store.organizations.create("Acme", "owner", organization_id=org)
        try:
            store.organizations.delete(org)
        except NotFound:
            assert not kinds
        assert scene.items() == []


def test_a_slow_second_deletion_takes_nothing_of_a_new_organization(scene: Scene) -> None:
    """Its batch holds only while the tombstone is there, which a new organization is not."""
    store = scene.store
    store.organizations.create("Acme", "owner", organization_id="org-1")

    def meanwhile() -> None:
        store.organizations.delete("org-1")
        store.organizations.create("Anew", "owner", organization_id="org-1")

    slow = scene.interrupted("Query", 1, meanwhile)
    assert slow.organizations.delete("org-1") == 0
    assert store.organizations.get("org-1").name == "Anew"
    assert store.members.get("org-1", "owner").role == "owner"


def test_bad_input_is_refused_before_anything_is_sent(offline: ChatStore) -> None:
    with pytest.raises(InvalidArgument):
        offline.users.delete("")
    with pytest.raises(InvalidArgument):
        offline.users.delete("ann", memberships="some")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        offline.users.delete("ann", heir_id="ann")
    wrong: Any
    for wrong in ("", 7, b"bob", "x" * 257):
        with pytest.raises(InvalidArgument) as refused:
            offline.users.delete("ann", heir_id=wrong)
        assert refused.value.argument == "heir_id"
    wrong = None
    with pytest.raises(InvalidArgument) as refused:
        offline.users.delete(wrong)
    assert refused.value.argument == "user_id"
