"""O10: who may open an organization's conversations, as of now."""

from typing import Any

import pytest

from dynamo_chat import ChatStore, OfOrganization
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.testing import FaultInjector, Kill, Killed
from tests.chat.scenes import user
from tests.scene import Scene, before_each_request, just_before, requests

pytestmark = pytest.mark.engine


@pytest.fixture
def store(store: ChatStore) -> ChatStore:
    """Ann owns the organization; Bob is a member, Vic a viewer."""
    store.organizations.create("Acme", "ann", organization_id="acme")
    store.members.add("acme", "bob")
    store.members.add("acme", "vic", role="viewer")
    return store


def test_an_active_member(store: ChatStore) -> None:
    """In one request, whatever the role; the owner of what members share is returned."""
    for name in ("ann", "bob", "vic"):
        with requests(store, 1):
            owner = store.members.authorize("acme", name)
        assert (type(owner), owner) == (OfOrganization, OfOrganization("acme"))


@pytest.mark.parametrize("status", ["pending", "inactive"])
def test_nobody_else(store: ChatStore, status: Any) -> None:
    """A pending or inactive member is refused as somebody who is none."""
    store.members.update("acme", "bob", status=status)
    for organization_id, name in (("acme", "bob"), ("acme", "eve"), ("other", "ann")):
        with requests(store, 1), pytest.raises(NotFound) as refused:
            store.members.authorize(organization_id, name)
        assert str(refused.value) == (
            f"member of organization {organization_id!r} {name!r} was not found"
        )


def test_roles(store: ChatStore) -> None:
    members = store.members
    assert members.authorize("acme", "bob", roles=["member", "admin"])
    assert members.authorize("acme", "vic", roles={"viewer"})
    with pytest.raises(NotFound, match="owner or admin or member of organization 'acme'"):
        members.authorize("acme", "vic", roles=("member", "owner", "admin"))
    with pytest.raises(NotFound, match="member of organization"):
        members.authorize("acme", "eve", roles=["owner"])


@pytest.mark.parametrize(
    "roles",
    [[], "owner", b"owner", None, 7, ["boss"], [["owner"]], {"owner": 1}, ["owner"] * 9, range(4)],
)
def test_bad_roles(store: ChatStore, roles: Any) -> None:
    """Named, and nothing is sent: an empty list would let nobody in, or everybody."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.members.authorize("acme", "ann", roles=roles)
    assert refused.value.argument == "roles"


def test_as_of_now(scene: Scene, store: ChatStore) -> None:
    """Strongly consistent: whoever is removed is refused from the next request on."""
    bodies: list[Any] = []
    with before_each_request(store, lambda _, body: bodies.append(body)):
        store.members.authorize("acme", "bob")
    assert '"ConsistentRead": true' in str(bodies[0]).replace('":true', '": true')
    with (
        just_before(store, "BatchGetItem", lambda: scene.new_store().members.remove("acme", "bob")),
        pytest.raises(NotFound),
    ):
        store.members.authorize("acme", "bob")


def test_removed_between_two_calls(store: ChatStore) -> None:
    """What was begun goes on; the next request asks again, and is refused."""
    owner = store.members.authorize("acme", "bob")
    talk = store.conversations.create(owner, title="T").conversation_id
    page = store.conversations.list_by_activity(owner, page_size=1)
    store.members.remove("acme", "bob")
    assert page.items[0].conversation_id == talk
    with pytest.raises(NotFound):
        store.members.authorize("acme", "bob")
    # The conversation that he began is the organization's.
    said = store.messages.append(talk, user(), user_id=store.members.authorize("acme", "ann"))
    assert store.messages.list(talk, user_id=owner, consistent=True).items == (said,)
    with pytest.raises(NotFound):
        store.messages.append(talk, user(), user_id="bob")


def test_an_organization_that_is_being_deleted(store: ChatStore) -> None:
    """From the tombstone on nobody gets in, and nothing begins."""
    owner = store.members.authorize("acme", "ann")
    with FaultInjector(store.connection.client) as faults:
        faults.plan(Kill(after_sending=True), at=1)
        with pytest.raises(Killed):
            store.organizations.delete("acme")
    with pytest.raises(NotFound):
        store.members.authorize("acme", "ann")
    with pytest.raises(NotFound, match="organization 'acme'"):
        store.conversations.create(owner)
    store.organizations.delete("acme")
