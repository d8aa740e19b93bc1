"""The hash of a user's password is kept apart from the user, and goes with the user."""

import pickle
from typing import Any

import pytest

from dynamo_chat import ChatStore, UserExists, parse_stream_record
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.testing import Engine
from tests.mail.scenes import open_scene
from tests.scene import Scene, cut_short, each_fault

pytestmark = pytest.mark.engine

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$c2VjcmV0"


@pytest.fixture
def user_id(scene: Scene) -> str:
    return scene.store.users.create("ann@example.com", user_id="ann").user_id


def test_a_hash_is_stored_replaced_and_removed(scene: Scene, user_id: str) -> None:
    users = scene.store.users
    assert users.get_password_hash(user_id) is None
    users.set_password_hash(user_id, HASH)
    assert users.get_password_hash(user_id) == HASH
    users.set_password_hash(user_id, "another")
    assert users.get_password_hash(user_id) == "another"
    users.set_password_hash(user_id, None)
    users.set_password_hash(user_id, None)
    assert users.get_password_hash(user_id) is None
    assert "user_password" not in scene.kinds()


def test_no_user_shows_it(scene: Scene, user_id: str) -> None:
    """Neither as an entity, nor in the user's item, a stream record or an error."""
    users = scene.store.users
    users.set_password_hash(user_id, HASH)
    user = users.update(user_id, name="Ann")
    assert HASH not in repr(user) + str(user) + user.model_dump_json() + repr(pickle.dumps(user))
    with pytest.raises(UserExists) as taken:
        users.create("ann@example.com", user_id="ann")
    assert HASH not in repr(taken.value.current) + str(taken.value)
    for item in scene.items():
        if HASH in repr(item):
            assert item["PK"] == {"S": "PASSWORD#ann#"}  # no index, no partition of the user's
            assert "GSI1PK" not in item
            images = {"NewImage": item, "SequenceNumber": "1"}
            assert parse_stream_record({"eventName": "INSERT", "dynamodb": images}) is None


def test_only_a_user_that_exists_has_a_password(scene: Scene, user_id: str) -> None:
    with pytest.raises(NotFound, match="nobody"):
        scene.store.users.set_password_hash("nobody", HASH)
    assert scene.store.users.get_password_hash("nobody") is None
    scene.store.users.set_password_hash(user_id, HASH)
    scene.store.users.delete(user_id)
    assert scene.items() == []
    with pytest.raises(NotFound):
        scene.store.users.set_password_hash(user_id, HASH)
    scene.store.users.create("ann@example.com", user_id=user_id)
    assert scene.store.users.get_password_hash(user_id) is None


def test_a_retired_user_has_none(scene: Scene, user_id: str) -> None:
    scene.store.users.set_password_hash(user_id, HASH)
    scene.store.conversations.create(user_id)
    scene.store.users.delete(user_id, conversations="keep")
    assert scene.store.users.get_password_hash(user_id) is None
    with pytest.raises(NotFound):
        scene.store.users.set_password_hash(user_id, HASH)


def test_a_cut_off_deletion_finishes_without_a_hash(dynamo_chat_engine: Engine) -> None:
    for number, fault in each_fault(3):
        with open_scene(dynamo_chat_engine) as scene:
            scene.store.users.create("ann@example.com", user_id="ann")
            scene.store.users.set_password_hash("ann", HASH)
            cut_short(scene, number, fault, lambda: scene.store.users.delete("ann"))
            if scene.items():
                scene.store.users.delete("ann")
            assert scene.items() == []


@pytest.mark.parametrize("wrong", ["", "x" * 1_025, b"hash", 5, "\ud800"])
def test_a_wrong_hash_is_refused_and_not_shown(offline: ChatStore, wrong: Any) -> None:
    with pytest.raises(InvalidArgument, match="password_hash") as refused:
        offline.users.set_password_hash("ann", wrong)
    assert "xxx" not in str(refused.value)


def test_an_export_has_no_hash_and_an_erasure_leaves_none(scene: Scene, user_id: str) -> None:
    scene.store.users.set_password_hash(user_id, HASH)
    lines = [record.line() for record in scene.store.people.export(user_id)]
    assert any('"kind":"user"' in line for line in lines)
    assert not any(HASH in line for line in lines)
    scene.store.people.erase(user_id)
    assert not any(HASH in repr(item) for item in scene.items())
    assert scene.store.users.get_password_hash(user_id) is None
