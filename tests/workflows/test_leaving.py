"""Owners who delete themselves: no organization without a living owner, whatever happens when."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from dynamo_chat.core.errors import IllegalTransition, NotFound
from dynamo_chat.testing import FaultInjector, Kill, Killed, RequestMeter
from dynamo_chat.workflows.leave_organizations import OWNED_AT_ONCE
from tests.scene import Scene

pytestmark = pytest.mark.engine

REQUESTS = 9
"""Of deleting an owner: see `test_requests`."""


def co_owners(scene: Scene, *names: str, org: str = "org-1") -> None:
    """Users, each with a login and a note of what they did, who own an organization together."""
    store = scene.store
    for place, name in enumerate(names):
        store.users.create(f"{name}@example.com", user_id=name, response_email=f"{name}@re.example")
        store.logins.create(name)
        store.activity.record(name, "signed up")
        if place:
            store.members.add(org, name, role="owner")
        else:
            store.organizations.create("Acme", name, organization_id=org)


def delete(scene: Scene, name: str) -> Callable[[], object]:
    """The deletion of a user, which may be refused."""

    def call() -> object:
        with suppress(IllegalTransition):
            return scene.store.users.delete(name)
        return None

    return call


def living(scene: Scene) -> set[str]:
    """The users that readers find."""
    return {item["PK"]["S"].split("#")[1] for item in scene.items() if item["kind"]["S"] == "user"}


def owners(scene: Scene, org: str = "org-1") -> set[str]:
    """Who owns the organization."""
    return {
        each.user_id
        for each in scene.store.members.list_by_organization(org, consistent=True)
        if each.is_active_owner
    }


def test_requests(scene: Scene) -> None:
    co_owners(scene, "ann", "bob")
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.users.delete("ann")
        assert meter.count == REQUESTS


@pytest.mark.once
@pytest.mark.parametrize("at", range(1, REQUESTS + 1))
def test_two_co_owners_who_delete_themselves(scene: Scene, at: int) -> None:
    """Wherever the one is overtaken by the other: one goes, one stays and owns."""
    co_owners(scene, "ann", "bob")
    slow = scene.interrupted(None, at, delete(scene, "bob"))
    with suppress(IllegalTransition):
        slow.users.delete("ann")
    alive = living(scene)
    assert len(alive) == 1
    assert owners(scene) == alive
    assert not scene.kinds()["user_tombstone"]


@pytest.mark.once
@pytest.mark.parametrize("at", range(1, REQUESTS + 1))
def test_a_co_owner_leaves_while_the_other_is_deleted(scene: Scene, at: int) -> None:
    """The same with somebody who only leaves the organization."""
    co_owners(scene, "ann", "bob")
    left: list[bool] = []

    def leave() -> None:
        with suppress(IllegalTransition):
            scene.store.members.remove("org-1", "bob")
            left.append(True)

    slow = scene.interrupted(None, at, leave)
    with suppress(IllegalTransition):
        slow.users.delete("ann")
    assert owners(scene) == ({"ann"} if left else {"bob"})
    assert owners(scene) <= living(scene)
    assert not scene.kinds()["user_tombstone"]


@pytest.mark.once
@pytest.mark.parametrize("at", range(1, REQUESTS + 1))
def test_whoever_is_made_the_only_owner_meanwhile_stays(scene: Scene, at: int) -> None:
    """Looked at as a member, made the owner, and left alone with it: refused, or not made owner."""
    co_owners(scene, "bob")
    scene.store.users.create("ann@example.com", user_id="ann")
    scene.store.members.add("org-1", "ann")

    def promote() -> None:
        with suppress(IllegalTransition, NotFound):
            scene.store.members.update("org-1", "ann", role="owner")
            scene.store.members.remove("org-1", "bob")

    slow = scene.interrupted(None, at, promote)
    with suppress(IllegalTransition):
        slow.users.delete("ann")
    assert owners(scene)
    assert owners(scene) <= living(scene)
    assert not scene.kinds()["user_tombstone"]


def test_what_was_refused_on_the_way_is_taken_back(scene: Scene) -> None:
    """The user is as before, and the organizations are; they have to log in again."""
    co_owners(scene, "ann", "bob")
    co_owners_of_another = partial(scene.store.organizations.create, "Other", "ann")
    co_owners_of_another(organization_id="org-2")
    scene.store.users.create("carl@example.com", user_id="carl")
    scene.store.members.add("org-2", "carl", role="owner")
    before = {
        (item["PK"]["S"], item["SK"]["S"]): item
        for item in scene.items()
        if not item["kind"]["S"].startswith("login")
    }
    slow = scene.interrupted("TransactWriteItems", 1, lambda: scene.store.users.delete("carl"))
    lost = {key for key in before if "carl" in "".join(key)} | {("ORG#org-2#", "ORG#")}
    with pytest.raises(IllegalTransition, match="name an heir") as refused:
        slow.users.delete("ann")
    assert refused.value.current.organization_id == "org-2"
    after = {(item["PK"]["S"], item["SK"]["S"]): item for item in scene.items()}
    kept = {key: item for key, item in before.items() if key not in lost}
    bobs = {key for key in after if after[key]["kind"]["S"].startswith("login")}
    assert {key: after.get(key) for key in kept} == kept
    assert len(bobs) == 2  # one login and its listing: ann has none any more
    assert scene.store.users.get_by_email("ann@example.com").user_id == "ann"
    scene.store.logins.create("ann")


def test_both_die_behind_their_tombstones(scene: Scene) -> None:
    """Called again, one of them goes, and the other lives again."""
    co_owners(scene, "ann", "bob")
    for name in ("ann", "bob"):
        with FaultInjector(scene.store.connection.client) as faults, suppress(Killed):
            faults.plan(Kill(), at=4)
            scene.store.users.delete(name)
    assert scene.kinds()["user_tombstone"] == 2
    scene.store.users.delete("ann")
    with pytest.raises(IllegalTransition):
        scene.store.users.delete("bob")
    assert living(scene) == owners(scene) == {"bob"}


def test_an_heir_who_goes_in_between_takes_the_deletion_back(scene: Scene) -> None:
    """Looked up alive, deleted before the hand-over: no membership of nobody."""
    co_owners(scene, "ann")
    for heir in ("bob", "carl"):
        scene.store.users.create(f"{heir}@example.com", user_id=heir)
    slow = scene.interrupted("TransactWriteItems", 1, lambda: scene.store.users.delete("bob"))
    with pytest.raises(NotFound, match="bob"):
        slow.users.delete("ann", heir_id="bob")
    assert owners(scene) == {"ann"} <= living(scene)
    scene.store.users.delete("ann", heir_id="carl")
    assert owners(scene) == {"carl"}


def deaths() -> Iterator[tuple[int, Kill]]:
    """Before and after every request."""
    for number in range(1, REQUESTS + 3):
        yield number, Kill()
        yield number, Kill(after_sending=True)


@pytest.mark.once
def test_many_owned_organizations(scene: Scene) -> None:
    """More than one transaction takes, handed over and left; dying anywhere loses none."""
    count = OWNED_AT_ONCE + 3
    co_owners(scene, "heir")
    scene.store.users.create("ann@example.com", user_id="ann")
    for number in range(count):
        scene.store.organizations.create("Acme", "ann", organization_id=f"own-{number}")
        if number % 2:
            scene.store.members.add(f"own-{number}", "heir", role="owner")
    everything = scene.items()
    for number, kill in deaths():
        with FaultInjector(scene.store.connection.client) as faults, suppress(Killed):
            faults.plan(kill, at=number)
            scene.store.users.delete("ann", heir_id="heir")
        with suppress(NotFound):
            scene.store.users.delete("ann", heir_id="heir")
        assert all(owners(scene, f"own-{each}") == {"heir"} for each in range(count))
        assert living(scene) == {"heir"}
        table = scene.store.connection.table_name
        there = {(item["PK"]["S"], item["SK"]["S"]) for item in everything}
        for item in scene.items():
            if (item["PK"]["S"], item["SK"]["S"]) not in there:
                key = {name: item[name] for name in ("PK", "SK")}
                scene.client.delete_item(TableName=table, Key=key)
        scene.put(*everything)


@pytest.mark.parametrize("kind", ["organization", "member"])
def test_a_damaged_item_keeps_nobody(scene: Scene, kind: str) -> None:
    """What cannot be read is left without being counted; all else goes as ever."""
    co_owners(scene, "ann", "bob")
    co_owners(scene, "carl", org="org-2")
    scene.store.members.add("org-2", "ann")
    of_org = {each["SK"]["S"]: each for each in scene.items() if each["PK"]["S"] == "ORG#org-1#"}
    item = of_org["ORG#" if kind == "organization" else "MEMBER#ann#"]
    damaged = {**item, "status": {"N": "1"}}
    table = scene.store.connection.table_name
    scene.client.put_item(TableName=table, Item=damaged)
    scene.store.users.delete("ann")
    assert living(scene) == {"bob", "carl"}
    assert "MEMBER#ann#" not in {each["SK"]["S"] for each in scene.items()}
    assert scene.store.organizations.get("org-2").member_count == 1
    counted = {**of_org["ORG#"], "member_count": {"N": "1"}, "owner_count": {"N": "1"}}
    scene.client.put_item(TableName=table, Item=counted)  # as the doctor does it


def test_who_is_deleted_becomes_no_member(scene: Scene) -> None:
    """While the deletion goes on, and once the id is retired; whichever way they would."""
    store = scene.store
    co_owners(scene, "ann")
    co_owners(scene, "bob", org="org-2")
    store.members.add("org-2", "ann")
    store.members.add("org-2", "ann-too", role="owner", status="inactive")
    store.members.add("org-1", "bob", role="owner")
    calls: list[Callable[[str], object]] = [
        lambda who: store.members.add("org-1", who, role="owner"),
        lambda who: store.members.add("org-3", who),
        lambda who: store.members.replace("org-1", "bob", heir_id=who),
        lambda who: store.members.replace("org-2", "bob", heir_id=who),
        lambda who: store.organizations.create("Haunted", who),
        lambda who: store.members.update("org-2", who, role="owner"),
    ]
    store.organizations.create("Third", "bob", organization_id="org-3")

    def assert_refused() -> None:
        before = scene.items()
        for call in calls:
            with pytest.raises(NotFound):
                call("ann")
        assert scene.items() == before

    with FaultInjector(store.connection.client) as faults, suppress(Killed):
        faults.plan(Kill(), at=4)
        store.users.delete("ann", conversations="keep")
    assert scene.kinds()["user_tombstone"] == 1
    assert_refused()
    store.users.delete("ann", conversations="keep")
    assert_refused()
