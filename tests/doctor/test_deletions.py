"""Unfinished deletions: finished as they were seen, and no other one of the id."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import NotFound
from dynamo_chat.operations.doctor.doctor import Doctor
from tests.doctor.damage import cut_short
from tests.doctor.test_races import before
from tests.scene import Scene

pytestmark = [pytest.mark.engine, pytest.mark.once]


def test_a_retired_id_is_no_unfinished_deletion(scene: Scene, doctor: Doctor) -> None:
    store = scene.new_store()
    store.users.create("retired@example.org", user_id="retired")
    store.users.delete("retired", conversations="keep")
    assert doctor.examine().is_clean


CASES: dict[str, tuple[Callable[[ChatStore], object], ...]] = {
    "user": (
        lambda store: store.users.create("x@example.org", user_id="x"),
        lambda store: store.users.delete("x"),
        lambda store: store.users.get("x", consistent=True),
    ),
    "organization": (
        lambda store: store.organizations.create("X", "friend-ann", organization_id="x"),
        lambda store: store.organizations.delete("x"),
        lambda store: store.members.get("x", "friend-ann", consistent=True),
    ),
    "conversation": (
        lambda store: store.conversations.create("friend-ann", conversation_id="x"),
        lambda store: store.conversations.delete("x"),
        lambda store: store.conversations.get("x", consistent=True),
    ),
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("is_being_deleted_again", [False, True])
def test_what_another_server_finished_is_not_finished_again(
    scene: Scene, doctor: Doctor, kind: str, is_being_deleted_again: bool
) -> None:
    """Between the doctor's look and its repair the id is given anew, and deleted again even."""
    create, delete, get = CASES[kind]
    store = scene.new_store()
    create(store)
    cut_short(delete, after=2)(scene)
    findings = [each for each in doctor.examine().findings if each.code == "unfinished_deletion"]
    assert len(findings) == 1

    def meanwhile() -> None:
        delete(store)
        scene.clock.advance(1)
        create(store)
        if is_being_deleted_again:
            cut_short(delete, after=2)(scene)

    with before(doctor, "TransactWriteItems", meanwhile):
        doctor.repair(findings)
    if is_being_deleted_again:
        assert [each.code for each in doctor.examine().findings] == ["unfinished_deletion"]
        delete(store)
    else:
        get(store)
        with suppress(NotFound):
            delete(store)
