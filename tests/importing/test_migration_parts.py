"""How a migration reads times and values, keeps its pace, and compares items."""

import base64
import zlib
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, strategies as st
from pydantic import Field

from dynamo_chat.core.entity import JsonObject, Many, Model, validated
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.events import RequestEvent
from dynamo_chat.importing.migration.pace import Pace
from dynamo_chat.importing.migration.shaping import Shaper
from dynamo_chat.importing.migration.times import TimeRules, read_time
from dynamo_chat.importing.migration.writing import differences
from dynamo_chat.importing.shapes import Moment

ROME = ZoneInfo("Europe/Rome")
MOMENTS = st.integers(631_152_000, 3_786_912_000).map(lambda s: datetime.fromtimestamp(s, UTC))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moment=MOMENTS, offset=OFFSETS)
def test_every_form_of_a_time_is_the_same_time(moment: datetime, offset: timezone) -> None:
    """The zone of the rule is for those that have none; the others do not need it."""
    local = moment.astimezone(offset)
    documented = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert read_time(documented, ROME) == (moment, None)
    seconds = int(moment.timestamp())
    forms: list[Any] = [local.isoformat(), format_datetime(local)]
    if abs(seconds) * 1_000 >= 10**11:
        forms += [seconds * 1_000, str(seconds * 1_000), Decimal(seconds * 1_000)]
    if abs(seconds) > 10**8:
        forms += [seconds, float(seconds), str(seconds)]
    for form in forms:
        assert read_time(form, ROME).moment == moment, form
    naive = moment.replace(tzinfo=None)
    for form in (naive.isoformat(), str(naive)):
        found = read_time(form, ROME)
        assert found.moment == naive.replace(tzinfo=ROME).astimezone(UTC)
        assert found.said == "a time without a zone was read as Europe/Rome"


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans(), st.binary()))
@example(float("nan"))
@example(Decimal("sNaN"))
@example(Decimal("1e999999"))
def test_what_is_no_time_is_a_value_error(value: Any) -> None:
    try:
        found = read_time(value, UTC)
    except ValueError:
        return
    assert found.moment.tzinfo is UTC


def test_zones_are_of_a_document_or_of_an_attribute() -> None:
    rules = TimeRules("Europe/Rome", {"messages.sent_at": "UTC"})
    assert rules.zone_of("messages.sent_at") is UTC
    assert rules.zone_of("reviews.reviewed_at") == ROME
    for bad in ("Nowhere/None", "../etc/passwd", ""):
        with pytest.raises(InvalidArgument, match="IANA"):
            TimeRules(bad)


class Part(Model):
    at: Moment
    weight: float | None = None


class Row(Model):
    id: str
    count: int
    cost: Decimal = Decimal(0)
    status: Literal["active", "closed"] = "active"
    is_on: bool = False
    parts: Many[Part] = ()
    named: dict[str, Part] = Field(default_factory=dict)
    free: JsonObject = Field(default_factory=dict)


def test_values_get_the_types_of_the_document_and_changes_are_told() -> None:
    shaper = Shaper("rows", TimeRules())
    part = {"at": "2024-01-01 00:00", "weight": "0.5", "more": 1}
    shaped = shaper.shaped(
        Row,
        {
            "id": 7,
            "count": 3.0,
            "cost": 0.1,
            "status": " Closed",
            "is_on": "True",
            "parts": [part],
            "named": {"x": part},
            "free": {"count": 3.0, "deep": [Decimal("0.1234567890123456789")]},
            "nothing": None,
            "extra": 1,
        },
    )
    row = validated(Row, "rows", **shaped)
    assert (row.id, row.count, row.cost, row.status, row.is_on) == (
        *("7", 3, Decimal("0.1")),
        *("closed", True),
    )
    assert row.parts[0] == row.named["x"]
    assert row.parts[0].at == datetime(2024, 1, 1, tzinfo=UTC)
    assert row.free == {"count": 3.0, "deep": ["0.1234567890123456789"]}
    assert sorted(shaper.changes) == [
        "count: was read as a whole number",
        "extra: is not part of the document, and left out",
        "free: a number with more digits than a float holds is kept as text",
        "id: a number was read as text",
        "is_on: was read as true or false",
        "named.at: a time without a zone was read as UTC",
        "named.more: is not part of the document, and left out",
        "named.weight: was read as a number",
        "parts.at: a time without a zone was read as UTC",
        "parts.more: is not part of the document, and left out",
        "parts.weight: was read as a number",
        "status: was read as 'closed'",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 3.5},
        {"count": "many"},
        {"count": "9" * 1_000},
        {"count": True},
        {"status": "open"},
        {"is_on": "perhaps"},
        {"parts": {"at": 1}},
        {"parts": [{"at": "never"}]},
        {"free": []},
        {"cost": "NaN"},
    ],
)
def test_what_can_not_be_read_is_refused(wrong: dict[str, Any]) -> None:
    """The error names the attribute."""
    record = {"id": "x", "count": 1, **wrong}
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        validated(Row, "", **Shaper("rows", TimeRules()).shaped(Row, record))


class Watch:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def event(operation: str, capacity: float | None) -> RequestEvent:
    return RequestEvent("", operation, "t", None, 0.0, capacity, 1, None)


def test_records_keep_the_pace() -> None:
    watch = Watch()
    pace = Pace(10, clock=watch, sleep=watch.sleep)
    for _ in range(11):
        pace.take(5)
    assert watch.now == pytest.approx(105.0)  # the first five need no wait


def test_units_are_paid_before_the_next_records() -> None:
    """Reads cost none, and units that DynamoDB doesn't report can't be counted."""
    watch = Watch()
    pace = Pace(None, 20, clock=watch, sleep=watch.sleep)
    pace.take(1)
    pace.count(event("TransactWriteItems", 50.0))
    pace.count(event("Query", 500.0))
    pace.count(event("PutItem", None))
    assert (watch.now, pace.units) == (100.0, 50.0)
    pace.take(1)
    assert watch.now == pytest.approx(102.5)
    pace.take(1)
    assert watch.now == pytest.approx(102.5)
    for wrong in (0, -1, float("inf")):
        with pytest.raises(InvalidArgument, match="units_per_second"):
            Pace(None, wrong)


def test_items_are_compared_by_value() -> None:
    wanted = {"a": {"N": "1.50"}, "m": {"M": {"x": {"N": "1"}}}, "s": {"S": "x"}, "t": {"S": "t"}}
    assert differences(wanted, {**wanted, "a": {"N": "1.5"}, "m": {"M": {"x": {"N": "1.0"}}}}) == []
    there = {"a": {"N": "2"}, "m": {"M": {}}, "s": {"N": "1"}, "more": {"S": ""}}
    assert differences(wanted, there) == [
        "a differs",
        "m differs",
        "more is not in the record",
        "s differs",
        "t is missing",
    ]


def test_bodies_are_compared_by_their_text() -> None:
    """Compressed or not, by any version of zlib, and as a client returns binary data."""
    text = "a body " * 1_000
    fast, small = (zlib.compress(text.encode(), level) for level in (1, 9))
    assert fast != small
    forms: list[Any] = [fast, small, base64.b64encode(small).decode()]
    for form in forms:
        for there in ({"S": text}, *({"B": other} for other in forms)):
            assert differences({"a": {"B": form}}, {"a": there}) == []
            assert differences({"a": there}, {"a": {"B": form}}) == []
        for there in (
            {"S": "another"},
            {"B": zlib.compress(b"another")},
            {"B": b"raw"},
            {"N": "1"},
        ):
            assert differences({"a": {"B": form}}, {"a": there}) == ["a differs"]
    assert differences({"a": {"B": b"raw"}}, {"a": {"B": base64.b64encode(b"raw").decode()}}) == []
    assert differences({"a": {"M": {}}}, {"a": {"B": b"raw"}}) == ["a differs"]
