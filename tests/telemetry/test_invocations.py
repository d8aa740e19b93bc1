"""Invocations: recorded once, found by id, listed by account (L3)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dynamo_chat import Invocation, NewInvocation, keyspace
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.scene import Scene
from tests.telemetry.samples import new_invocation

pytestmark = pytest.mark.engine

SECOND = timedelta(seconds=1)


def test_an_invocation_comes_back_with_every_attribute(scene: Scene) -> None:
    fields: dict[str, Any] = {
        "account_id": "account-uuid",
        "function_name": "LoginUser",
        "status": "error",
        "duration_ms": Decimal("150.25"),
        "memory_used_mb": 128,
        "invoked_at": datetime(2024, 1, 1, tzinfo=UTC),
        "invocation_id": "invocation-uuid",
        "error_message": "Error details if failed",
        "request_id": "aws-request-id",
        "cold_start": True,
        "metadata": {"http_method": "POST", "user_agent": "Mozilla/5.0..."},
    }
    made = scene.store.invocations.record(NewInvocation(**fields))
    assert made == Invocation(**fields)
    assert scene.store.invocations.get("invocation-uuid", consistent=True) == made
    assert [*scene.store.invocations.list_by_account("account-uuid")] == [made]


def test_an_account_is_listed_in_time_order(scene: Scene) -> None:
    start = scene.clock() - timedelta(days=1)
    for second in (3, 0, 5, 1, 4, 2):
        scene.store.invocations.record(new_invocation(invoked_at=start + second * SECOND))
    scene.store.invocations.record(new_invocation(account_id="a-2"))
    listed = scene.store.invocations.list_by_account
    found: list[Invocation] = []
    cursor = None
    while True:
        page = listed("a-1", newest_first=False, page_size=2, cursor=cursor)
        found += page
        cursor = page.cursor
        if cursor is None:
            break
    assert [each.invoked_at for each in found] == [start + n * SECOND for n in range(6)]
    assert [*listed("a-1")] == found[::-1]
    assert [*listed("a-1", since=start + SECOND, until=start + 3 * SECOND)] == found[2:0:-1]


def test_recording_again_records_once(scene: Scene) -> None:
    new = new_invocation(invocation_id="v-1", cold_start=True)
    made = scene.store.invocations.record(new)
    scene.clock.advance(60)
    assert scene.store.invocations.record(new) == made
    with pytest.raises(AlreadyExists) as refused:
        scene.store.invocations.record(new_invocation(invocation_id="v-1"))
    assert refused.value.current == made
    with pytest.raises(AlreadyExists):
        scene.store.invocations.record(new.model_copy(update={"invoked_at": scene.clock()}))
    assert scene.kinds() == {"invocation": 1}


@pytest.mark.usefixtures("no_backoff")
def test_an_invocation_whose_answer_was_lost_is_recorded_once(scene: Scene) -> None:
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer())
        made = scene.store.invocations.record(new_invocation())
        assert faults.injected
    assert [*scene.store.invocations.list_by_account("a-1")] == [made]


def test_budgets(scene: Scene) -> None:
    with RequestMeter(scene.store.connection.client) as meter:
        made = scene.store.invocations.record(new_invocation(metadata={"endpoint": "/login"}))
        assert (meter.count, meter.wcu) == (1, 2)
        scene.store.invocations.get(made.invocation_id)
        assert meter.count == 2
        scene.store.invocations.list_by_account("a-1")
        assert meter.count == 2 + keyspace.INVOCATION_SHARDS


def test_bad_input_writes_nothing(scene: Scene) -> None:
    bad: tuple[dict[str, Any], ...] = (
        {"account_id": ""},
        {"function_name": ""},
        {"status": "ok"},
        {"duration_ms": -1},
        {"duration_ms": 1.5},
        {"memory_used_mb": -1},
        {"invoked_at": "2024-01-01"},
        {"cold_start": "yes"},
        {"error_message": 5},
        {"metadata": {"x": float("nan")}},
    )
    for fields in bad:
        with pytest.raises(InvalidArgument, match=next(iter(fields))):
            new_invocation(**fields)
    with pytest.raises(InvalidArgument, match="NewInvocation"):
        scene.store.invocations.record(None)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        scene.store.invocations.get("no-such-invocation")
    assert scene.items() == []


def test_an_invocation_of_the_future_is_refused(scene: Scene) -> None:
    """It would be the first of its account for as long; clocks may differ by five minutes."""
    now = scene.clock()
    with pytest.raises(InvalidArgument, match="invoked_at"):
        scene.store.invocations.record(new_invocation(invoked_at=now + timedelta(minutes=6)))
    assert scene.items() == []
    soon = now + timedelta(minutes=5)
    assert scene.store.invocations.record(new_invocation(invoked_at=soon)).invoked_at == soon
