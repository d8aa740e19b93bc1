"""Lists whose number of partitions is changed while the table lives stay complete."""

import asyncio
import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dynamo_chat import (
    ChatStore,
    Feedback,
    InvalidArgument,
    NewInteraction,
    NewInvocation,
    NewMessage,
    Shards,
    keyspace,
)
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.core.layout import GSI1, GSI2, Collection
from dynamo_chat.core.repository import Repository
from dynamo_chat.keyspace import KEY_SPACE, SPREAD
from dynamo_chat.operations.doctor.doctor import Doctor, DoctorOptions
from dynamo_chat.testing import EmbeddedEngine, FakeClock

TABLE = "shards"
REGION = "eu-west-1"
BEGUN = datetime(2026, 1, 15, tzinfo=UTC)
NAMES = sorted(each.name for each in SPREAD.values())


class Wide(ChatStore):
    """An application's store."""

    shards = Shards(reviews=30)


class AsyncWide(AsyncChatStore, of=Wide):
    """The same, awaited."""


def everywhere(count: int, also: Shards | None = None) -> Shards:
    """Every list spread over so many partitions."""
    return Shards(**dict.fromkeys(NAMES, count), also=also)


def kind_of_server(shards: Shards) -> type[ChatStore]:
    """A store with these settings."""
    return type("Spread", (ChatStore,), {"shards": shards})


def server(shards: Shards, clock: FakeClock) -> ChatStore:
    """One with settings of its own, on the table."""
    return kind_of_server(shards)(TABLE, region=REGION, clock=clock)


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedEngine]:
    with EmbeddedEngine(region=REGION) as made:
        yield made


@contextmanager
def a_table(engine: EmbeddedEngine) -> Iterator[FakeClock]:
    """An empty table; gives its clock."""
    clock = FakeClock(BEGUN)
    store = engine.store(TABLE, clock=clock)
    try:
        yield clock
    finally:
        store.connection.client.delete_table(TableName=TABLE)


def write(store: ChatStore, name: str) -> None:
    """Write one item of each of the lists."""
    store.conversations.create("ann", title="Same", conversation_id=name)
    said = store.messages.append(name, NewMessage(role="assistant", content="Hello"))
    late = Feedback(type="negative", rank=3, category="late")
    store.messages.give_feedback(name, said.message_id, late)
    store.messages.stream(name).__enter__()
    store.reviews.create(name, "reviewer", review_id=name)
    store.invocations.record(
        NewInvocation(
            invocation_id=name,
            account_id="acme",
            function_name="answer",
            status="success",
            duration_ms=Decimal(1),
        )
    )
    store.llm.record(
        f"mail-{name}",
        NewInteraction(
            interaction_id=name,
            generated_at=BEGUN,
            account_id="acme",
            function_name="answer",
            model_used="m",
            prompt_tokens=1,
            response_tokens=1,
            response_time_ms=1,
        ),
    )
    for user in (f"a-{name}", f"b-{name}"):
        store.callers.create(user)
    store.calls.start(f"a-{name}", f"b-{name}", room_name=name, call_id=name)


def listed(store: ChatStore) -> dict[str, list[str]]:
    """What each list has."""
    messages = store.messages
    by_category = messages.iterate_by_feedback("negative", category="late")
    found: dict[str, list[str]] = {
        "titles": [each.conversation_id for each in store.conversations.iterate_by_title("Same")],
        "feedback": [each.conversation_id for each in messages.iterate_by_feedback("negative")],
        "feedback_categories": [each.conversation_id for each in by_category],
        "streams": [each.conversation_id for each in messages.iterate_unfinished()],
        "reviews": [each.review_id for each in store.reviews.iterate_by_status(page_size=2)],
        "invocations": [
            each.invocation_id for each in store.invocations.iterate_by_account("acme")
        ],
        "llm": [each.interaction_id for each in store.llm.iterate_by_account("acme")],
        "live_calls": [each.call_id for each in store.calls.iterate_live()],
    }
    return {name: sorted(each) for name, each in found.items()}


def check_complete(store: ChatStore, clock: FakeClock, names: Sequence[str]) -> None:
    clock.advance(timedelta(minutes=6))  # then the streams count as unfinished
    assert listed(store) == dict.fromkeys(NAMES, sorted(names))


@pytest.mark.once
@settings(max_examples=3, deadline=None, database=None)
@given(counts=st.lists(st.integers(4, 12), min_size=2, max_size=2))
def test_every_list_stays_complete_when_the_number_changes(
    engine: EmbeddedEngine, counts: list[int]
) -> None:
    """Growing and shrinking: each server reads what the others write, or wrote before."""
    with a_table(engine) as clock:
        names: list[str] = []
        known: Shards | None = None
        store = server(Shards(), clock)
        for number, count in enumerate(counts):
            store = server(everywhere(count, also=known), clock)
            for each in range(2):
                names.append(f"{number}-{each}")
                write(store, names[-1])
            known = everywhere(max(counts[: number + 1]))
        check_complete(store, clock, names)


@pytest.mark.once
def test_before_the_old_number_is_read_no_more_the_doctor_moves_what_is_left(
    engine: EmbeddedEngine,
) -> None:
    with a_table(engine) as clock:
        names = ["1", "2", "3", "4"]
        for name in names:
            write(server(everywhere(12), clock), name)
        usual = server(Shards(), clock)
        clock.advance(timedelta(minutes=6))
        assert all(len(each) < len(names) for each in listed(usual).values())

        def doctor(shards: Shards) -> Doctor:
            options = DoctorOptions(settle_seconds=0)
            of = kind_of_server(shards)
            return Doctor(usual.connection, options, clock=clock, store=of)

        for reading in (everywhere(12), Shards(also=everywhere(12))):
            assert not doctor(reading).examine().counts["wrong_index_key"]
        report = doctor(Shards()).examine()
        assert report.counts["wrong_index_key"]
        list(doctor(Shards()).repair(report.findings))
        check_complete(usual, clock, names)
        assert not doctor(Shards()).examine().counts["wrong_index_key"]


def test_a_cursor_stays_valid_when_the_number_changes(engine: EmbeddedEngine) -> None:
    with a_table(engine) as clock:
        few, many = server(Shards(), clock), server(everywhere(12), clock)
        few.conversations.create("ann", conversation_id="talk")
        names = [f"r-{each}" for each in range(6)]
        for number, name in enumerate(names):
            (few, many)[number % 2].reviews.create("talk", "reviewer", review_id=name)
            clock.advance(1)
        first = many.reviews.list_by_status(page_size=2)
        reading = server(Shards(also=everywhere(12)), clock)
        rest = reading.reviews.list_by_status(page_size=10, cursor=first.cursor)
        assert [each.review_id for each in (*first, *rest)] == names[::-1]


def test_an_item_that_two_partitions_have_is_on_a_page_once(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index may show it so while it moves from one partition to the other."""
    with a_table(engine) as clock:
        store = server(Shards(), clock)
        for name in ("1", "2", "3"):
            store.conversations.create("ann", conversation_id=name)
            said = store.messages.append(name, NewMessage(role="assistant", content="Hello"))
            clock.advance(1)
            store.messages.give_feedback(name, said.message_id, Feedback(type="negative", rank=1))
        query = Repository._query

        def twice(self: Repository, collection: Collection, **more: Any) -> Any:
            items, start = query(self, collection, **more)
            if "FEEDBACK#negative#2#" in collection.partition:
                for shard in (0, 1):  # where it was is still there
                    was = keyspace.MESSAGE.collection(GSI1, "negative", 1, shard)()
                    items = [*items, *query(self, was, **more)[0]]
            return items, start

        monkeypatch.setattr(Repository, "_query", twice)
        page = store.messages.list_by_feedback("negative")
        assert [each.conversation_id for each in page] == ["3", "2", "1"]


def test_what_goes_with_its_account_is_found_in_every_shard(engine: EmbeddedEngine) -> None:
    with a_table(engine) as clock:
        many = server(everywhere(12), clock)
        for name in ("1", "2", "3"):
            write(many, name)
        assert many.reports.build("acme", "2026-01").total_requests == 3
        assert many.llm.delete_all("acme") == 3
        many.people.erase("ann", account_ids=["acme"])
        assert not many.invocations.list_by_account("acme").items


def test_an_asynchronous_store_and_a_copy_have_the_numbers_of_their_class(
    engine: EmbeddedEngine,
) -> None:
    async def main() -> None:
        async with AsyncWide(TABLE, region=REGION) as store:
            for number in range(9):
                await store.reviews.create("talk", "reviewer", review_id=str(number))
            assert len((await store.reviews.list_by_status()).items) == 9

    with a_table(engine) as clock:
        wide = Wide(TABLE, region=REGION)
        wide.conversations.create("ann", conversation_id="talk")
        asyncio.run(main())
        copied = pickle.loads(pickle.dumps(wide))
        assert len(copied.reviews.list_by_status().items) == 9
        assert len(server(Shards(), clock).reviews.list_by_status().items) < 9


def test_numbers_below_the_usual_ones_or_above_what_a_key_holds_are_refused() -> None:
    wrong: Any
    for wrong in (3, 101, True, "8", None):
        with pytest.raises(InvalidArgument) as refused:
            Shards(reviews=wrong)
        assert refused.value.argument == "reviews"
    wrong = 8
    with pytest.raises(InvalidArgument) as refused:
        Shards(also=wrong)
    assert refused.value.argument == "also"
    assert pickle.loads(pickle.dumps(Shards(llm=9))) == Shards(llm=9)


def test_every_list_that_is_spread_has_a_setting() -> None:
    spread = {
        (layout.kind, place)
        for layout in KEY_SPACE
        for place in (GSI1, GSI2)
        if (slot := layout.slot(place)) is not None and slot.pk.names[-1:] == ("shard",)
    }
    assert spread == set(SPREAD)
    for each in SPREAD.values():
        assert getattr(Shards(), each.name) == each


def test_the_guide_names_each_list_and_its_usual_number() -> None:
    page = Path(__file__).parents[1].joinpath("docs/guide/busy-lists.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", page, re.MULTILINE)
    assert {name: int(usual) for name, usual in rows} == {
        each.name: int(each) for each in SPREAD.values()
    }
