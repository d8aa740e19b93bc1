"""What users did, in time order (U4)."""

from datetime import UTC, datetime, timedelta

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.testing import RequestMeter
from tests.scene import Scene

pytestmark = pytest.mark.engine


def test_activity_is_listed_in_time_order_in_pages(scene: Scene) -> None:
    activity, began = scene.store.activity, scene.clock()
    scene.store.users.create("ann@example.com", user_id="user-1")
    scene.store.users.create("bob@example.com", user_id="user-2")
    activity.record("user-2", "logged_in")
    done = []
    for number in range(7):
        scene.clock.advance(60)
        done.append(activity.record("user-1", f"step {number}", details={"number": number}))
    late = activity.record("user-1", "imported", at=began + timedelta(seconds=90))
    expected = [done[0], late, *done[1:]]
    assert [*activity.list_by_user("user-1", newest_first=False)] == expected
    page = activity.list_by_user("user-1", page_size=3, consistent=True)
    found = [*page]
    while page.cursor is not None:
        page = activity.list_by_user("user-1", page_size=3, cursor=page.cursor)
        found += page
    assert found == expected[::-1]
    within = activity.list_by_user(
        "user-1", since=began + timedelta(seconds=90), until=began + timedelta(seconds=180)
    )
    assert [*within] == [done[1], late]


def test_recording_costs_one_request_and_so_does_listing(scene: Scene) -> None:
    scene.store.users.create("ann@example.com", user_id="user-1")
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.activity.record("user-1", "logged_in")
        scene.store.activity.list_by_user("user-1")
        assert meter.count == 2


def test_recording_again_with_time_and_id_records_once(scene: Scene) -> None:
    activity, moment = scene.store.activity, scene.clock()
    scene.store.users.create("ann@example.com", user_id="user-1")
    first = activity.record("user-1", "paid", at=moment, activity_id="a-1")
    assert activity.record("user-1", "paid", at=moment, activity_id="a-1") == first
    with pytest.raises(AlreadyExists) as refused:
        activity.record("user-1", "refunded", at=moment, activity_id="a-1")
    assert refused.value.current == first
    assert len(activity.list_by_user("user-1")) == 1


def test_expired_activity_is_not_shown(scene: Scene) -> None:
    activity = scene.store.activity
    scene.store.users.create("ann@example.com", user_id="user-1")
    activity.record("user-1", "seen", expires_at=scene.clock() + timedelta(hours=1))
    assert len(activity.list_by_user("user-1")) == 1
    scene.clock.advance(timedelta(hours=2))
    assert len(activity.list_by_user("user-1")) == 0


def test_nothing_is_recorded_of_nobody(scene: Scene) -> None:
    with pytest.raises(NotFound):
        scene.store.activity.record("nobody", "logged_in")
    assert scene.items() == []


def test_bad_input_is_refused_before_anything_is_sent(offline: ChatStore) -> None:
    record, now = offline.activity.record, datetime.now(UTC)
    for action in ("", "x" * 201, None):
        with pytest.raises(InvalidArgument):
            record("user-1", action)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"^at: "):
        record("user-1", "paid", activity_id="a-1")
    with pytest.raises(InvalidArgument, match=r"^at: "):
        record("user-1", "paid", at=now.replace(tzinfo=None))
    with pytest.raises(InvalidArgument, match="details"):
        record("user-1", "paid", details=[])  # type: ignore[arg-type]


def test_nothing_is_recorded_of_the_future(scene: Scene) -> None:
    """It would stand above everything until its time comes; clocks may differ by 5 minutes."""
    record, now = scene.store.activity.record, scene.clock()
    scene.store.users.create("ann@example.com", user_id="user-1")
    record("user-1", "paid", at=now + timedelta(minutes=5))
    with pytest.raises(InvalidArgument, match="ahead") as refused:
        record("user-1", "paid", at=now + timedelta(minutes=5, microseconds=1))
    assert refused.value.argument == "at"
