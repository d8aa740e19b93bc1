"""The documents' sample records, and how they are moved in time."""

from datetime import UTC, datetime, timedelta

import pytest

from dynamo_chat.importing.sample_records import DOCUMENTS, sample, shift_to_live, shifted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_document_has_a_sample_that_says_where_it_is_from(document: str) -> None:
    found = sample(document)
    assert found.document == document
    assert found.records
    made_here = document in {"support", "oneonone"}
    assert found.origin.startswith("made here") is made_here
    assert bool(found.choices) is not made_here


def test_acs_has_a_record_for_each_of_its_tables() -> None:
    records = sample("acs").records
    assert len(records) == 13
    assert all(len(rows) == 1 for rows in records.values())


def test_what_is_past_and_alive_stays_where_it_is() -> None:
    assert shift_to_live({"at": "2026-02-28T12:00:00Z"}, NOW) == timedelta()
    assert shift_to_live([{"at": "2020-02-28T12:00:00Z", "ttl": 1_800_000_000}], NOW) == timedelta()


def test_what_has_expired_moves_to_the_last_day() -> None:
    """By whole days, so that times of day stay."""
    record = {"at": "2024-01-01T08:00:00Z", "ttl": 1_704_700_800}
    by = shift_to_live(record, NOW)
    assert shifted(record, by)["at"] == "2026-03-01T08:00:00Z"
    assert shift_to_live(shifted(record, by), NOW) == timedelta()


def test_what_lies_ahead_moves_back() -> None:
    record = {"first": "2026-02-01T00:00:00Z", "last": "2026-03-05T18:00:00Z"}
    by = shift_to_live(record, NOW)
    assert shifted(record, by)["last"] == "2026-02-28T18:00:00Z"


def test_only_times_move() -> None:
    record = {
        "text": "at 2024-01-01T08:00:00Z or so",
        "ttl": 100,
        "count": 100,
        "nested": [{"at": "2024-01-01T08:00:00Z"}, None, True],
    }
    assert shifted(record, timedelta(days=1)) == {
        "text": "at 2024-01-01T08:00:00Z or so",
        "ttl": 86_500,
        "count": 100,
        "nested": [{"at": "2024-01-02T08:00:00Z"}, None, True],
    }
