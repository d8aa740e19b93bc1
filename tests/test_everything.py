"""`populate` makes an item of every kind, and the same ones each time."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from dynamo_chat.keyspace import KEY_SPACE
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
