"""Times without a zone come back as they were, and are the right instants, in any zone."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dynamo_chat.integrations.chatkit.moments import instant, local, note


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's own time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.datetimes(timezones=st.none() | st.just(UTC), allow_imaginary=True))
def test_every_time_comes_back(moment: datetime) -> None:
    """Also one that a clock skips in spring, and those at the ends of the calendar."""
    stored = instant(moment)
    noted = note(moment, stored)
    if noted is None:
        assert stored is not None
        assert local(stored) == moment
    else:
        assert datetime.fromisoformat(noted) == moment


def test_a_time_without_a_zone_is_local(zone: str) -> None:
    """So a thread of now is of now, and needs no note."""
    now = datetime.now()  # noqa: DTZ005 - as the framework does
    stored = instant(now)
    assert stored is not None
    assert abs(stored - datetime.now(UTC)) < timedelta(minutes=1), zone
    assert note(now, stored) is None
