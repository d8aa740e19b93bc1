"""Deleting an organization with its conversations: cut short, overtaken, resumed."""

from contextlib import suppress

import pytest

from dynamo_chat import ChatStore, OfOrganization
from dynamo_chat.core.errors import DynamoChatError, NotFound
from dynamo_chat.testing import FaultInjector, Kill, Killed, RequestMeter
from tests.chat.scenes import say
from tests.doctor.scene import doctor_of
from tests.scene import Scene, address, cut_short, each_fault, race

pytestmark = pytest.mark.engine

OWNER = OfOrganization("acme")
REQUESTS = 15


def furnish(store: ChatStore) -> None:
    """An organization with two members and two conversations; the members have their own."""
    store.organizations.create("Acme", "ann", organization_id="acme")
    store.members.add("acme", "bob")
    for name in ("c-1", "c-2"):
        store.conversations.create(OWNER, conversation_id=name, title=name)
        say(store, name, "hello")


def others(store: ChatStore) -> None:
    """What is not the organization's, with names that begin alike."""
    store.organizations.create("Other", "ann", organization_id="acme-2")
    store.conversations.create(OfOrganization("acme-2"), conversation_id="theirs", title="c-1")
    store.conversations.create("acme", conversation_id="hers", title="c-1")
    store.conversations.create("ann", conversation_id="own", title="c-1")


def test_everything_goes_and_nothing_else(scene: Scene) -> None:
    store = scene.store
    others(store)
    kept = scene.items()
    furnish(store)
    with RequestMeter(store.connection.client) as meter:
        count = store.organizations.delete("acme")
    # Per conversation a head, a title and a message; two items per member; the organization.
    assert count == 2 * 3 + 2 * 2 + 1
    assert meter.count == REQUESTS
    assert scene.items() == kept
    with pytest.raises(NotFound):
        store.organizations.delete("acme")
    furnish(store)  # every id is free


@pytest.mark.once
@pytest.mark.parametrize(("number", "fault"), list(each_fault(REQUESTS)))
def test_cut_short_at_any_request(scene: Scene, number: int, fault: object) -> None:
    """The next call finishes; meanwhile nobody is let in, and no list shows half a conversation."""
    store = scene.store
    others(store)
    kept = scene.items()
    furnish(store)
    cut_short(scene, number, fault, lambda: store.organizations.delete("acme"))  # type: ignore[arg-type]
    begun = scene.kinds()["organization_tombstone"] == 1
    if begun:
        with pytest.raises(NotFound):
            store.members.authorize("acme", "ann")
        with doctor_of(scene) as doctor:
            codes = {each.code for each in doctor.examine().findings}
        assert codes == {"unfinished_deletion"}
    with suppress(NotFound):
        store.organizations.delete("acme")
    assert scene.items() == kept


@pytest.mark.once
@pytest.mark.parametrize("number", range(1, REQUESTS, 3))
def test_the_doctor_finishes_it(scene: Scene, number: int) -> None:
    """Also a conversation whose own deletion had begun: the tombstone notes it."""
    store = scene.store
    furnish(store)
    cut_short(scene, number, Kill(after_sending=True), lambda: store.organizations.delete("acme"))
    with doctor_of(scene) as doctor:
        for _ in range(2):
            doctor.repair(doctor.examine().findings)
        assert doctor.examine().is_clean
    assert scene.items() == []


@pytest.mark.once
@pytest.mark.parametrize("number", range(1, REQUESTS))
def test_overtaken_after_any_request(scene: Scene, number: int) -> None:
    """Another call finishes it, and the same ids are given anew: nothing of those is touched."""
    store = scene.store
    furnish(store)
    seen = []

    def meanwhile() -> None:
        store.organizations.delete("acme")
        furnish(store)
        seen.extend(scene.items())

    slow = scene.interrupted(None, number, meanwhile)
    slow.organizations.delete("acme")
    assert seen
    assert scene.items() == seen


@pytest.mark.once
@pytest.mark.parametrize("number", range(1, REQUESTS))
def test_another_call_stops_halfway(scene: Scene, number: int) -> None:
    """After any request, another call does some of the work, and dies: this one finishes.

    It is never done while a conversation is left that no list shows.
    """
    for died in (4, 6):
        store = scene.store
        furnish(store)

        def meanwhile(died: int = died) -> None:
            other = scene.new_store()
            with FaultInjector(other.connection.client) as faults:
                faults.plan(Kill(after_sending=True), at=died)
                with suppress(Killed, DynamoChatError):
                    other.organizations.delete("acme")

        slow = scene.interrupted(None, number, meanwhile)
        slow.organizations.delete("acme")
        assert scene.items() == []


@pytest.mark.once
def test_many_at_once(scene: Scene) -> None:
    """Deletions and members who write: nothing is left, and no message lands in what is gone."""
    store = scene.store
    furnish(store)

    def write(name: str) -> list[object]:
        return [say(store, name, "more") for _ in range(3)]

    race([lambda: store.organizations.delete("acme")] * 3 + [lambda: write("c-1")] * 4)
    with suppress(NotFound):
        store.organizations.delete("acme")
    assert [address(each) for each in scene.items()] == []
