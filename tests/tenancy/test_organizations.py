"""An organization's conversations, by the attempts of `owners`: strangers learn nothing of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from dynamo_chat import ChatStore, Feedback, OfOrganization
from dynamo_chat.catalogue import catalogue
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.testing.engine import EmbeddedEngine
from tests.chat.scenes import assistant, user
from tests.scene import Scene, requests
from tests.tenancy import test_owners
from tests.tenancy.owners import CHECKED
from tooling.everything import Everything

OF_USERS: Final = {
    entry.method
    for entry in catalogue()
    if entry.owner_argument == "user_id"
    and entry.method.partition(".")[0] in {"conversations", "messages", "states"}
}
NAMES: Final = [name for name in CHECKED if name.partition(" ")[0] in OF_USERS]
BY: Final = {
    "stranger": OfOrganization("org-eve"),
    "member": "bob",
    "who has its id": "org-ann",
    "longer": OfOrganization("org-ann-1"),
}
"""Who tries; the stranger has conversations."""


def estate(store: ChatStore, name: str) -> Everything:
    """What an organization has in its conversations, under the ids of `name`."""
    ids = Everything.named(name)
    talk, owner = ids.conversation_id, OfOrganization(ids.organization_id)
    store.organizations.create(name, name, organization_id=ids.organization_id)
    store.members.add(ids.organization_id, "bob")
    store.conversations.create(owner, conversation_id=talk, title=name, preferences={"a": 1})
    first = store.messages.append(talk, user("hi"))
    store.messages.append(talk, assistant("yes", message_id=ids.brought_id))
    store.messages.append(talk, assistant("", message_id=f"s-{name}", is_streaming=True))
    store.messages.give_feedback(talk, ids.brought_id, Feedback(type="positive"))
    store.states.save(talk, {"step": 1})
    return replace(ids, user_id=owner, message_id=first.message_id)


class Shared(test_owners.Town):
    """A table with the conversations of two organizations. Nothing here changes it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.store = scene.new_store()
        self.ann, self.eve = (estate(self.store, name) for name in ("ann", "eve"))
        self.nobody = Everything.named("nob")
        self.items = scene.items()


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    with EmbeddedEngine() as engine, Scene(engine) as scene:
        yield Shared(scene)


@pytest.mark.once
@pytest.mark.parametrize("memory", ["cold", "warm"])
@pytest.mark.parametrize("who", BY)
@pytest.mark.parametrize("name", NAMES)
def test_a_strangers_attempt(shared: Shared, name: str, who: str, memory: str) -> None:
    """As of something that does not exist: the same error after the same requests."""
    eve = shared.eve
    shared.eve = replace(eve, user_id=BY[who])
    try:
        test_owners.test_what_is_anothers_is_not_found(shared, name, memory)
    finally:
        shared.eve = eve


@pytest.mark.once
def test_nothing_was_changed(shared: Shared) -> None:
    """By any of the attempts."""
    for by in BY.values():
        for name in NAMES:
            test_owners.asked(shared.store, name, shared.ann, replace(shared.eve, user_id=by))
    assert shared.scene.items() == shared.items


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_text_is_no_key(shared: Shared, name: str) -> None:
    """Only the type opens: a user id of the same characters is refused, before any request."""
    mine = replace(shared.ann, user_id=str(shared.ann.user_id))
    assert mine.user_id == shared.ann.user_id
    with requests(shared.store, 0), pytest.raises(InvalidArgument) as refused:
        CHECKED[name](shared.store, mine, mine)
    assert refused.value.argument == "user_id"


@pytest.mark.once
def test_the_organization_is_let_in() -> None:
    """Everywhere; and what was changed is still its own."""
    with EmbeddedEngine() as engine, Scene(engine) as scene:
        store = scene.new_store()
        ann = estate(store, "ann")
        image = scene.items()
        for name in NAMES:
            given, _ = test_owners.asked(store, name, ann, ann)
            assert not isinstance(given, LookupError), (name, given)
            for item in scene.items():
                if item["kind"]["S"] == "conversation":
                    given_away = name == "conversations.give_to"
                    owner = "somebody" if given_away else str(ann.user_id)
                    assert item["user_id"] == {"S": owner}
                    assert item["GSI1PK"] == item["GSI2PK"]
            scene.restore(image)
            store._snapshots.forget(ann.conversation_id)
