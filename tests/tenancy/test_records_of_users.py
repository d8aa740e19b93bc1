"""No record of another system makes a user of the text that stands for an organization."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore, OfOrganization
from dynamo_chat.catalogue import catalogue
from dynamo_chat.core.entity import Entity
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.importing.person import load_person
from dynamo_chat.workflows.person_records import PersonRecord, read_record
from tests.scene import Scene

Load = Callable[[ChatStore, Any], object]

pytestmark = pytest.mark.engine


def named(entity: Entity, name: str, user: str) -> Any:
    return entity.model_copy(update={name: user})


def called(store: ChatStore) -> Any:
    store.callers.create("ann")
    store.callers.create("bob")
    return store.calls.start("ann", "bob")


LOADS: dict[str, tuple[str, Load]] = {
    "users.load": (
        "user.user_id",
        lambda store, user: store.users.load(
            named(store.users.create("a@example.com"), "user_id", user)
        ),
    ),
    "members.load": (
        "member.user_id",
        lambda store, user: store.members.load(
            named(store.members.get("acme", "ann"), "user_id", user)
        ),
    ),
    "organizations.load": (
        "owner.user_id",
        lambda store, user: store.organizations.load(
            store.organizations.get("acme"),
            named(store.members.get("acme", "ann"), "user_id", user),
        ),
    ),
    "invites.load": (
        "invite.invited_by",
        lambda store, user: store.invites.load(
            named(
                store.invites.create("acme", "b@example.com", invited_by="ann").invite,
                "invited_by",
                user,
            )
        ),
    ),
    "logins.load": (
        "login.user_id",
        lambda store, user: store.logins.load(
            "s" * 43, named(store.logins.create("ann").login, "user_id", user)
        ),
    ),
    "callers.load": (
        "caller.user_id",
        lambda store, user: store.callers.load(named(store.callers.create("ann"), "user_id", user)),
    ),
    "calls.load": (
        "call.user_b",
        lambda store, user: store.calls.load(named(called(store), "user_b", user)),
    ),
}


def test_every_load_of_users_is_here() -> None:
    known = {entry.method for entry in catalogue() if entry.method.endswith(".load")}
    assert known - set(LOADS) <= {"rate_limits.load", "reports.load"}


@pytest.mark.parametrize(
    "user", ["organization#acme", OfOrganization("acme")], ids=["text", "organization"]
)
@pytest.mark.parametrize("name", LOADS)
def test_a_record_with_such_a_user_is_refused(scene: Scene, name: str, user: str) -> None:
    argument, load = LOADS[name]
    scene.store.users.create("ann@example.com", user_id="ann")
    scene.store.organizations.create("Acme", "ann", organization_id="acme")
    with pytest.raises(InvalidArgument) as refused:
        load(scene.store, user)
    assert refused.value.argument == argument
    assert not [item for item in scene.items() if "organization#" in str(item)]


@pytest.mark.parametrize("kind", ["user", "conversation"])
def test_a_persons_file_with_one_is_refused(scene: Scene, kind: str) -> None:
    """A forged line would put a conversation into the organization's list."""
    store = scene.store
    store.organizations.create("Acme", "ann", organization_id="acme")
    store.users.create("ann@example.com", user_id="ann")
    store.conversations.create("ann")
    lines = [each.line() for each in store.people.export("ann") if each.kind == kind]
    forged = [
        read_record(each.replace('"user_id":"ann"', '"user_id":"organization#acme"'))
        for each in lines
    ]
    assert len(forged) == 1
    assert isinstance(forged[0], PersonRecord)
    before = scene.items()
    with pytest.raises(InvalidArgument) as refused:
        load_person(store, forged)
    assert refused.value.argument == "records.user_id"
    assert scene.items() == before
