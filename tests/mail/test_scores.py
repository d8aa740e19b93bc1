"""Expected-value scores: recorded, the latest, the history (M11)."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from dynamo_chat import EVScore
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.mail.scenes import new_email
from tests.scene import Scene, race

pytestmark = pytest.mark.engine

SAMPLE: dict[str, Any] = {
    "ev_score": 0.85,
    "factors": {"urgency": 0.8, "priority": 0.9, "sentiment": 0.7, "response_time": 0.6},
    "algorithm_version": "1.2.0",
    "confidence_score": 0.92,
    "recommendations": ["Respond within 2 hours", "Include pricing information"],
    "metadata": {"calculation_time_ms": 150, "data_points_used": 25},
}


@pytest.fixture(autouse=True)
def thread(scene: Scene) -> None:
    scene.store.emails.add("c-1", new_email(is_first_email=True))


def test_a_score_comes_back_with_every_attribute(scene: Scene) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    made = scene.store.scores.record("c-1", **SAMPLE, at=at)
    fields = {**SAMPLE, "recommendations": tuple(SAMPLE["recommendations"])}
    assert made == EVScore(conversation_id="c-1", calculation_date=at, account_id="a-1", **fields)
    assert scene.store.scores.latest("c-1", consistent=True) == made
    assert [*scene.store.scores.list_by_conversation("c-1")] == [made]


def test_the_latest_is_the_latest_calculated(scene: Scene) -> None:
    scores, now = scene.store.scores, scene.clock()
    assert scores.latest("c-1") is None
    made = [
        scores.record("c-1", number / 10, at=now + timedelta(minutes=minute))
        for number, minute in enumerate([3, 1, 4, 2])
    ]
    in_order = [made[1], made[3], made[0], made[2]]
    assert scores.latest("c-1") == made[2]
    assert [*scores.list_by_conversation("c-1", newest_first=False)] == in_order
    page = scores.list_by_conversation("c-1", page_size=3)
    assert [*page] == in_order[:0:-1]
    assert [*scores.list_by_conversation("c-1", cursor=page.cursor)] == in_order[:1]
    within = scores.list_by_conversation(
        "c-1", since=now + timedelta(minutes=2), until=now + timedelta(minutes=4)
    )
    assert [*within] == [made[0], made[3]]


def test_recording_again_records_once(scene: Scene) -> None:
    at = scene.clock()
    made = scene.store.scores.record("c-1", **SAMPLE, at=at)
    assert scene.store.scores.record("c-1", **SAMPLE, at=at) == made
    with pytest.raises(AlreadyExists) as refused:
        scene.store.scores.record("c-1", 0.1, at=at)
    assert refused.value.current == made
    assert [*scene.store.scores.list_by_conversation("c-1")] == [made]


def test_scores_of_the_same_instant_are_all_kept(scene: Scene) -> None:
    """Without a time of the caller's, they follow one another."""
    calls = [partial(scene.store.scores.record, "c-1", number) for number in range(8)]
    made = race(calls)
    assert sorted(score.ev_score for score in made) == list(range(8))
    assert len({score.calculation_date for score in made}) == 8
    assert len(scene.store.scores.list_by_conversation("c-1")) == 8


@pytest.mark.usefixtures("no_backoff")
def test_a_score_whose_answer_was_lost_is_recorded_once(scene: Scene) -> None:
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer(), operation="TransactWriteItems")
        made = scene.store.scores.record("c-1", 0.5)
        assert faults.injected
    assert [*scene.store.scores.list_by_conversation("c-1")] == [made]


def test_recording_and_reading_cost_one_request_each(scene: Scene) -> None:
    """Recording without the account asks for it first; reading with it looks at the thread."""
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.scores.record("c-1", 0.5, account_id="a-1")
        scene.store.scores.latest("c-1")
        scene.store.scores.list_by_conversation("c-1")
        assert meter.count == 3
        scene.store.scores.record("c-1", 0.5)
        assert meter.count == 5
        scene.store.scores.latest("c-1", account_id="a-1")
        scene.store.scores.list_by_conversation("c-1", account_id="a-1")
        assert meter.count == 9


def test_scores_of_earlier_releases_are_their_threads(scene: Scene) -> None:
    """They do not say whose they are; recording one of them again is a retry still."""
    at = scene.clock()
    made = scene.store.scores.record("c-1", **SAMPLE, at=at)
    (item,) = (each for each in scene.items() if each["kind"]["S"] == "ev_score")
    old = {name: value for name, value in item.items() if name != "account_id"}
    scene.client.put_item(TableName=scene.store.connection.table_name, Item=old)
    seen = made.model_copy(update={"account_id": None})
    assert scene.store.scores.latest("c-1", account_id="a-1", consistent=True) == seen
    assert [*scene.store.scores.list_by_conversation("c-1", account_id="a-1")] == [seen]
    assert scene.store.scores.record("c-1", **SAMPLE, at=at) == seen


@pytest.mark.parametrize("account_id", ["a-1", None])
def test_scores_of_a_conversation_that_changes_hands(scene: Scene, account_id: str | None) -> None:
    """Who has read the thread sees none of the next owner's; who records does so for the owner."""

    def change() -> None:
        scene.store.threads.delete("c-1")
        scene.store.emails.add("c-1", new_email(account_id="a-2"))
        scene.store.scores.record("c-1", 0.9)

    scores = scene.interrupted(None, 1, change).scores
    if account_id is not None:
        assert scores.latest("c-1", account_id=account_id) is None
        scene.store.threads.delete("c-1")
        scene.store.emails.add("c-1", new_email())
        again = scene.interrupted(None, 1, change).scores
        assert [*again.list_by_conversation("c-1", account_id=account_id)] == []
    else:
        assert scores.record("c-1", 0.1).account_id == "a-2"
        assert len(scene.store.scores.list_by_conversation("c-1", account_id="a-2")) == 2


def test_bad_input_writes_nothing(scene: Scene) -> None:
    before = scene.items()
    bad: tuple[dict[str, Any], ...] = (
        {"ev_score": "high"},
        {"ev_score": float("inf")},
        {"ev_score": 1, "factors": {"urgency": None}},
        {"ev_score": 1, "factors": [0.5]},
        {"ev_score": 1, "confidence_score": float("nan")},
        {"ev_score": 1, "recommendations": "one"},
        {"ev_score": 1, "metadata": {"x": {1, 2}}},
        {"ev_score": 1, "factors": {str(number): 1.0 for number in range(101)}},
        {"ev_score": 1, "factors": {"x" * 257: 1.0}},
        {"ev_score": 1, "recommendations": ["Answer"] * 101},
        {"ev_score": 1, "algorithm_version": "1" * 257},
        {"ev_score": 1, "at": datetime(2024, 1, 1)},  # noqa: DTZ001
    )
    for values in bad:
        with pytest.raises(InvalidArgument, match=f"^{list(values)[-1]}"):
            scene.store.scores.record("c-1", **values)
    with pytest.raises(NotFound):
        scene.store.scores.record("c-2", 0.5)
    assert scene.items() == before


def test_a_score_of_the_future_is_refused(scene: Scene) -> None:
    """It would stay the latest for as long."""
    ahead = scene.clock() + timedelta(minutes=6)
    with pytest.raises(InvalidArgument, match=r"^at: "):
        scene.store.scores.record("c-1", 0.5, at=ahead)
    assert scene.store.scores.latest("c-1") is None
