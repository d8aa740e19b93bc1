"""A person's data with damaged items: the rest is handed out, and what is theirs is erased."""

from collections.abc import Iterable
from typing import Any

import pytest

from dynamo_chat import Feedback, NewMessage
from dynamo_chat.core.errors import CorruptItem, InvalidArgument
from dynamo_chat.core.layout import KIND
from dynamo_chat.testing import Engine
from tests.scene import Item, Scene, address
from tests.workflows.people import erase, opened, two_persons

pytestmark = pytest.mark.engine

ODD = "$zz#"
"""What no key ends with."""


def moved(item: Item, name: str) -> Item:
    """The item, at a key that cannot be read."""
    return item | {name: {"S": item[name]["S"].removesuffix("#") + ODD}}


def filled(scene: Scene) -> None:
    """Ann's two conversations, one with everything that can be beside a head."""
    store = scene.store
    store.users.create("ann@example.com", user_id="ann")
    for name in ("talk", "other"):
        store.conversations.create("ann", conversation_id=name, title="Renders", preferences={})
        new = NewMessage(role="user", content=name, message_id=f"id-{name}")
        message = store.messages.append(name, new)
        store.messages.give_feedback(name, message.message_id, Feedback(type="positive"))
        store.reviews.create(name, "bob", review_id=f"review-{name}", comments="Fine")


def exported(scene: Scene) -> tuple[list[str], list[CorruptItem]]:
    """The kinds of what is handed out, and the errors of what is not."""
    left_out: list[CorruptItem] = []
    records = scene.store.people.export("ann", on_unreadable=left_out.append)
    return [each.kind for each in records], left_out


def damage(scene: Scene, item: Item, damaged: Item) -> None:
    scene.delete(item)
    scene.put(damaged)


def head(scene: Scene, of: str = "talk") -> Item:
    return next(
        item
        for item in scene.items()
        if item[KIND]["S"] == "conversation" and item["PK"]["S"] == f"CONV#{of}#"
    )


@pytest.mark.parametrize("name", ["PK", "SK"])
def test_a_head_with_a_damaged_key_goes(scene: Scene, name: str) -> None:
    """With everything of its life. Export names it, and hands the rest out."""
    filled(scene)
    whole, _ = exported(scene)
    damage(scene, head(scene), moved(head(scene), name))
    kinds, (error,) = exported(scene)
    assert error.kind == "conversation"
    assert set(kinds) == set(whole)
    with pytest.raises(CorruptItem):
        [*scene.store.people.export("ann")]
    receipt = scene.store.people.erase("ann")
    assert receipt.erased["conversation"] == 2
    assert not receipt.unreadable
    # Ids that only say where a message was have no owner: the doctor finds them.
    assert [address(item) for item in scene.items()] == [("CONV#talk#", "ID#id-talk#")]


@pytest.mark.parametrize("name", ["PK", "SK"])
def test_deleting_the_user_deletes_it_too(scene: Scene, name: str) -> None:
    filled(scene)
    damage(scene, head(scene), moved(head(scene), name))
    scene.store.users.delete("ann")
    assert scene.kinds() == {"message_id": 1}


@pytest.mark.parametrize("name", ["PK", "SK"])
def test_who_has_the_id_by_now_keeps_everything(scene: Scene, name: str) -> None:
    filled(scene)
    image, old = scene.items(), head(scene)
    scene.store.conversations.delete("talk")
    store = scene.store
    store.users.create("zoe@example.com", user_id="zoe")
    store.conversations.create("zoe", conversation_id="talk", title="Renders")
    store.messages.append("talk", NewMessage(role="user", content="Zoe's"))
    hers = [item for item in scene.items() if item["PK"]["S"] == "CONV#talk#"]
    scene.put(moved(old, name))
    left = [each for each in image if each["PK"] == old["PK"] and each[KIND]["S"] == "message"]
    scene.put(*left)
    store.people.erase("ann")
    assert [item for item in scene.items() if item["PK"]["S"].startswith("CONV#talk")] == hers


@pytest.mark.parametrize("owner", [None, {"BOOL": True}])
def test_what_does_not_say_whose_it_is_stays_and_is_listed(scene: Scene, owner: Any) -> None:
    filled(scene)
    damaged = {k: v for k, v in (head(scene) | {"user_id": owner}).items() if v is not None}
    scene.put(damaged)
    kinds, (error,) = exported(scene)
    assert (kinds.count("conversation"), error.kind) == (1, "conversation")
    planned = scene.store.people.plan_erasure("ann")
    receipt = scene.store.people.erase("ann")
    (listed,) = receipt.unreadable
    assert planned.unreadable == receipt.unreadable
    assert listed.as_dict() == {
        "kind": "conversation",
        "identity": {"PK": "CONV#talk#", "SK": damaged["SK"]["S"]},
        "fields": [],
        "why": "user_id: missing or not text",
    }
    assert receipt.as_dict()["unreadable"] == [listed.as_dict()]
    assert damaged in scene.items()
    assert "CONV#other#" not in {item["PK"]["S"] for item in scene.items()}


@pytest.mark.parametrize("owner", [None, {"BOOL": True}, {"N": "1"}])
def test_an_address_that_points_nowhere_is_freed(scene: Scene, owner: Any) -> None:
    store = scene.store
    for erase_it in (store.people.erase, store.users.delete):
        store.users.create("ann@example.com", user_id="ann")
        item = scene.only("user_email")
        scene.put({k: v for k, v in (item | {"user_id": owner}).items() if v is not None})
        erase_it("ann")
        assert scene.items() == []


def test_an_address_of_another_user_stays(scene: Scene) -> None:
    store = scene.store
    store.users.create("ann@example.com", user_id="ann")
    item = scene.only("user_email") | {"user_id": {"S": "zoe"}}
    scene.put(item)
    store.people.erase("ann")
    assert scene.items() == [item]
    scene.delete(item)


@pytest.mark.once
def test_whatever_key_is_damaged_the_rest_goes(dynamo_chat_engine: Engine) -> None:
    """Of each kind one item, by either key: at most what was beside it stays."""
    with opened(dynamo_chat_engine) as scene:
        ids, _ = two_persons(scene)
        image = scene.items()
        erase(scene, ids)
        stays = {address(item) for item in scene.items()}
        of_each = {item[KIND]["S"]: item for item in image if address(item) not in stays}
        for kind in ("conversation", "email_thread", "llm_usage", "llm_content", "message"):
            item = of_each[kind]
            for name in ("PK", "SK"):
                scene.restore([*without(image, item), moved(item, name)])
                told: list[CorruptItem] = []
                given: Any = {"account_ids": [ids.account_id], "on_unreadable": told.append}
                assert [*scene.store.people.export(ids.user_id, **given)]
                receipt = erase(scene, ids)
                left = [each for each in scene.items() if address(each) not in stays]
                beside = {item["PK"]["S"], moved(item, "PK")["PK"]["S"]}
                where = {
                    each["PK"]["S"] for each in left if not each["PK"]["S"].startswith("MESSAGEID#")
                }
                assert where <= beside, (kind, name)
                assert bool(receipt.unreadable) == (kind == "email_thread")


def without(items: Iterable[Item], item: Item) -> list[Item]:
    return [each for each in items if each is not item]


def test_it_must_be_callable(scene: Scene) -> None:
    with pytest.raises(InvalidArgument, match="on_unreadable"):
        scene.store.people.export("ann", on_unreadable=7)  # type: ignore[arg-type]
