"""`populate` makes an item of every kind, and the same ones each time."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from dynamo_chat.core.layout import Layout
from dynamo_chat.keyspace import CONVERSATION, EMAIL_THREAD, KEY_SPACE, ORGANIZATION, USER
from dynamo_chat.testing import Engine, FakeClock
from tests.scene import Scene
from tooling.everything import DELETIONS, NOT_MADE, Everything, populate

KINDS = set(KEY_SPACE.layouts)


@pytest.fixture(scope="module")
def populated(dynamo_chat_engine: Engine) -> Iterator[tuple[Scene, Everything]]:
    with Scene(dynamo_chat_engine, FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))) as scene:
        yield scene, populate(scene.store)


def test_every_kind_is_made(populated: tuple[Scene, Everything]) -> None:
    scene, _ = populated
    missing = KINDS - set(scene.kinds()) - set(NOT_MADE)
    assert not missing, "make one of each in populate of scripts/tooling/everything.py"
    assert not set(NOT_MADE) & set(scene.kinds())


def test_every_tombstone_is_of_a_deletion() -> None:
    assert {layout.kind for layout in KEY_SPACE if layout.is_tombstone} == set(DELETIONS)


def test_a_deletion_leaves_nothing_in_the_partition(dynamo_chat_engine: Engine) -> None:
    """Whatever is made there: a kind that a deletion forgets is named."""
    with Scene(dynamo_chat_engine, FakeClock(datetime(2026, 1, 15, 12, tzinfo=UTC))) as scene:
        ids, store = populate(scene.store), scene.store
        deletions: list[tuple[Callable[[str], object], Layout, str]] = [
            (store.conversations.delete, CONVERSATION, ids.conversation_id),
            (store.organizations.delete, ORGANIZATION, ids.organization_id),
            (store.threads.delete, EMAIL_THREAD, ids.thread_id),
            (store.users.delete, USER, ids.user_id),
        ]
        assert {layout for _, layout, _ in deletions} == {
            each.of for each in KEY_SPACE if each.is_tombstone
        }
        for delete, layout, identifier in deletions:
            partition = layout.table.pk.encode(identifier)
            assert any(item["PK"]["S"] == partition for item in scene.items())
            delete(identifier)
            left = {item["kind"]["S"] for item in scene.items() if item["PK"]["S"] == partition}
            assert not left, f"deleting a {layout.kind} leaves these"


def test_what_is_made_is_found_by_its_ids(populated: tuple[Scene, Everything]) -> None:
    scene, ids = populated
    store = scene.store
    assert store.messages.get(ids.conversation_id, ids.message_id).content == "Hi"
    assert store.messages.get_by_id(ids.brought_id).feedback is not None
    assert store.conversations.get(ids.sliding_id).is_sliding
    assert store.reviews.get(ids.review_id).archived_at is not None
    assert store.emails.get(ids.thread_id, ids.response_id).message_id == ids.rfc_id
    assert store.emails.get_by_response_id(ids.brought_response_id).body
    assert store.logins.get(ids.secret) == ids.login
    assert store.invites.get_by_token(ids.token).invite_id == ids.invite_id
    assert store.members.get(ids.organization_id, ids.friend_id).status == "inactive"
    assert store.reports.get(ids.report_id).account_id == ids.account_id
    assert store.invocations.get(ids.invocation_id).account_id == ids.account_id
    assert store.calls.get_by_room(ids.room_name).call_id == ids.call_id
    assert store.callers.get(ids.partner_id).is_waiting


def test_two_users_share_a_table(populated: tuple[Scene, Everything]) -> None:
    scene, _ = populated
    before = scene.kinds()
    populate(scene.store, "zoe")
    assert scene.kinds() == before + before


def test_a_user_is_deleted_whatever_sorts_behind_the_tombstone(
    dynamo_chat_engine: Engine,
) -> None:
    """An application's own kinds may sort last in the partition."""
    with Scene(dynamo_chat_engine) as scene:
        scene.store.users.create("ann@example.com", user_id="ann")
        scene.store.logins.create("ann")
        keys = {"PK": {"S": USER.table.pk.encode("ann")}, "SK": {"S": "ZEBRA#"}}
        scene.put({**keys, "kind": {"S": "zebra"}, "v": {"N": "1"}})
        scene.store.users.delete("ann")
        assert set(scene.kinds()) == {"zebra"}
