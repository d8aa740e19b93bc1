"""The catalogue lists what the store does, and every method keeps the word it gives there."""

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib import import_module
from inspect import isgeneratorfunction, signature
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from dynamo_chat import ChatStore, NewMessage, cases, keyspace
from dynamo_chat.cases.playing import Measurement, Player, measure_all
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Case, Scenario, Stage
from dynamo_chat.catalogue import REPLACES, Entry, catalogue, id_order, repositories
from dynamo_chat.chat.conversations import Conversations
from dynamo_chat.core.iterating import iterated
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.renamed import is_old_name
from dynamo_chat.core.repository import Repository
from dynamo_chat.testing import RequestMeter

READS = {"GetItem", "Query", "BatchGetItem", "TransactGetItems"}


# -- what it lists ------------------------------------------------------------------------------


def test_every_repository_of_the_store_is_listed() -> None:
    found = repositories()
    assert {"table", "conversations", "messages", "reviews", "states"} <= set(found)
    assert found["conversations"] is Conversations


def test_every_public_method_that_touches_the_table_is_listed() -> None:
    """A public method of a repository is an access pattern, or iterates over what one lists."""
    listed = {entry.method for entry in catalogue()}
    for name, repository in repositories().items():
        for member in dir(repository):
            method = getattr(repository, member)
            if member.startswith("_") or is_old_name(method):
                continue
            if callable(method):
                pages = iterated(method)
                paged = member if pages is None else pages.__name__
                assert f"{name}.{paged}" in listed


def test_repositories_have_collaborators_and_inherit_from_none() -> None:
    """Who follows a call reads one class: what it needs beside, a repository has, and is not."""
    for name, repository in repositories().items():
        assert repository.__bases__ in {(Repository,), (object,)}, name


def test_what_spans_domains_is_counted_as_such() -> None:
    """The policy of one domain allows nothing in the others."""
    spanning = {entry.method for entry in catalogue() if entry.domain == "workflows"}
    people = {"people.export", "people.plan_erasure", "people.erase"}
    assert spanning == {"users.delete", "organizations.delete", "invites.accept", *people}


def test_what_a_method_replaces_names_a_method() -> None:
    assert set(REPLACES) <= {entry.method for entry in catalogue()}


def test_entries_are_in_the_order_of_their_ids() -> None:
    ids = [entry.id for entry in catalogue()]
    assert ids == sorted(ids, key=id_order)
    assert ids.index("C2") < ids.index("C10")


def test_methods_are_listed_once_and_say_what_they_give() -> None:
    entries = catalogue()
    assert len({entry.method for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.description, entry.method
        assert entry.places, entry.method
        assert entry.operations, entry.method
        assert entry.budget >= 1, entry.method


def test_an_entry_says_where_and_how() -> None:
    found = {entry.method: entry for entry in catalogue()}["conversations.find_by_title"]
    assert found.id == "C5"
    assert found.domain == "chat"
    assert found.places == {"table", "GSI1", "GSI2"}
    assert found.operations == {"Query", "BatchGetItem"}
    assert found.as_dict()["method"] == "conversations.find_by_title"


class _Repository(Repository):
    @access_pattern("X2", "Query", "≤3", index="GSI2", owner="argument")
    def find(self) -> None:
        """What was looked for."""


class _Store(ChatStore):
    @cached_property
    def added(self) -> _Repository:
        """A repository that the package does not know."""
        return _Repository(self._binding)


def test_a_repository_is_listed_because_the_store_has_it() -> None:
    (entry,) = [entry for entry in catalogue(_Store) if entry.repository == "added"]
    assert len(catalogue(_Store)) == len(catalogue()) + 1
    assert (entry.id, entry.method, entry.budget) == ("X2", "added.find", 3)


# -- that it is true ----------------------------------------------------------------------------


def test_every_method_has_a_scenario() -> None:
    """A method that cannot be measured cannot be held to its budget."""
    missing = [entry.method for entry in catalogue() if entry.method not in scenarios()]
    assert not missing, "write a function of this name, with _ for dots, in dynamo_chat/cases/"


def test_every_method_has_a_test() -> None:
    """Some test file names the repository and calls the method."""
    files = [path.read_text("utf-8") for path in Path(__file__).parent.glob("*/test_*.py")]
    missing = [
        entry.method
        for entry in catalogue()
        if not any(entry.repository in text and _calls(entry.method, text) for text in files)
    ]
    assert not missing, "write a test that calls it"


def _calls(method: str, text: str) -> bool:
    return re.search(rf"\.{method.rpartition('.')[2]}\b", text) is not None


def test_every_scenario_is_found_by_the_name_of_its_method() -> None:
    """One whose name is misspelt, or whose method is gone, would never be played."""
    written = {
        function
        for module in iter_modules(cases.__path__, f"{cases.__name__}.")
        for name, function in vars(import_module(module.name)).items()
        if isgeneratorfunction(function) and not name.startswith("_")
        if function.__module__ == module.name and list(signature(function).parameters) == ["stage"]
    }
    unplayed = [each.__name__ for each in written - set(scenarios().values())]
    assert not unplayed, "no repository of the store has a method of this name"


def _factory(store: ChatStore) -> Callable[..., ChatStore]:
    connection = store.connection

    def make(table_name: str | None = None, **options: Any) -> ChatStore:
        return ChatStore(
            table_name or connection.table_name,
            region=connection.region,
            endpoint_url=connection.endpoint_url,
            **options,
        )

    return make


@pytest.mark.once
@pytest.mark.engine
def test_every_method_keeps_its_word(chat_store: ChatStore) -> None:
    """Run all cases of all methods: requests, indexes, operations; no Scan, no filter."""
    broken = []
    for measurement in measure_all(_factory(chat_store)):
        broken += [f"{measurement.entry.method}: {each}" for each in measurement.problems]
        for played in measurement.cases:
            name, taken = f"{measurement.entry.method} ({played.case.label})", played.taken
            # A restore works on the new table: what it sends there is held to its word by the
            # tests of the policies.
            if taken.operations and set(taken.operations) <= READS:
                assert taken.rcu, name
            is_told = played.told not in {"", type(taken.given).__name__}
            assert is_told, f"say what it gave: {name} needs a Case(..., tell=...)"
    assert not broken


@pytest.mark.once
@pytest.mark.engine
@pytest.mark.parametrize("many", [100, 1_000])
def test_an_append_costs_the_same_however_long_the_conversation(
    chat_store: ChatStore, many: int
) -> None:
    assert _append_costs(chat_store, 10) == _append_costs(chat_store, many)


def _append_costs(store: ChatStore, after: int) -> tuple[int, float, float]:
    """Requests, write units and read units of one append after so many messages."""
    identity = store.conversations.create("user-1", title="Many messages").conversation_id
    for start in range(0, after, 40):
        count = min(40, after - start)
        turn = [NewMessage(role="user", content="x" * 100) for _ in range(count)]
        store.messages.append_turn(identity, turn)
    with RequestMeter(store.connection.client) as meter:
        store.messages.append(identity, NewMessage(role="user", content="x" * 1_000))
    assert store.conversations.get(identity).message_count == after + 1
    return meter.count, meter.wcu, meter.rcu


# -- that a broken word is told -----------------------------------------------------------------


def _entry(**changes: Any) -> Entry:
    told = {
        "id": "X1",
        "method": "x.y",
        "index": "table",
        "operation": "GetItem",
        "requests": "1",
        "budget": 1,
        "description": "A question",
        "replaces": "",
        "domain": "x",
        "owner": "argument",
        "owner_argument": "",
        "unowned_because": "",
        "reads": "late",
        "regions": "any",
    }
    return Entry(**{**told, **changes})


def _measured(store: ChatStore, scenario: Scenario, **changes: Any) -> Measurement:
    (measurement,) = measure_all(_factory(store), [_entry(**changes)], {"x.y": scenario})
    return measurement


def _sending(operation: str, *, times: int = 1, is_empty: bool = True, **request: Any) -> Scenario:
    """A scenario whose one call sends this request so many times, and finds nothing."""

    def scenario(stage: Stage) -> Iterator[Case]:
        connection = stage.store.connection

        def call() -> None:
            for _ in range(times):
                connection.call(operation, {"TableName": connection.table_name, **request})

        yield Case("", call, is_empty=is_empty)

    return scenario


_KEY = {"PK": {"S": "A#"}, "SK": {"S": "B#"}}


def _query(*keys: str, **more: Any) -> dict[str, Any]:
    values = {":p": {"S": "A#"}, **more.pop("values", {})}
    return {
        "KeyConditionExpression": f"{keys[0]} = :p",
        "ExpressionAttributeValues": values,
        **more,
    }


def test_too_many_requests_are_told(chat_store: ChatStore) -> None:
    within = _measured(chat_store, _sending("GetItem", times=2, Key=_KEY), budget=2)
    assert within.problems == ()
    over = _measured(chat_store, _sending("GetItem", times=2, Key=_KEY))
    assert over.problems == ("2 requests, over the budget of 1",)
    assert over.as_dict()["within_budget"] is False


def test_an_index_that_is_not_declared_is_told(chat_store: ChatStore) -> None:
    scenario = _sending("Query", **_query("GSI2PK", IndexName="GSI2"))
    assert _measured(chat_store, scenario, operation="Query", index="GSI1 + table").problems == (
        "GSI2 is used, but not declared",
    )


def test_the_table_behind_an_index_is_declared_too(chat_store: ChatStore) -> None:
    scenario = _sending("GetItem", Key=_KEY)
    assert _measured(chat_store, scenario, index="GSI1").problems == (
        "table is used, but not declared",
    )


def test_a_scan_is_told(chat_store: ChatStore) -> None:
    assert _measured(chat_store, _sending("Scan")).problems == ("a Scan",)


def test_a_filter_is_told(chat_store: ChatStore) -> None:
    request = _query(
        "PK",
        values={":k": {"S": "message"}},
        FilterExpression="kind = :k",
    )
    measured = _measured(chat_store, _sending("Query", **request), operation="Query")
    assert measured.problems == ("1 requests with a filter",)


def test_an_operation_that_is_not_declared_is_told(chat_store: ChatStore) -> None:
    scenario = _sending("GetItem", Key=_KEY)
    assert _measured(chat_store, scenario, operation="Query").problems == (
        "GetItem is not declared",
    )


def test_a_read_that_finds_nothing_is_told(chat_store: ChatStore) -> None:
    """It costs less than one that finds what was asked for, so it measures something else."""
    there = chat_store.conversations.create("user-1").conversation_id
    found = keyspace.CONVERSATION.key(conversation_id=there)

    def reading(key: Any, *, is_empty: bool) -> tuple[str, ...]:
        return _measured(chat_store, _sending("GetItem", is_empty=is_empty, Key=key)).problems

    assert reading(_KEY, is_empty=True) == reading(found, is_empty=False) == ()
    assert reading(_KEY, is_empty=False) == ("nothing was read, but the case expects items",)
    assert reading(found, is_empty=True) == ("1 items were read, but the case expects none",)


def test_a_read_of_the_past_is_told_unless_it_is_declared(chat_store: ChatStore) -> None:
    def problems(scenario: Scenario, reads: str) -> tuple[str, ...]:
        return _measured(chat_store, scenario, reads=reads).problems

    plain = _sending("GetItem", Key=_KEY)
    strong = _sending("GetItem", Key=_KEY, ConsistentRead=True)
    assert problems(plain, "late by default") == problems(strong, "strong by default") == ()
    assert problems(plain, "strong") == ("1 requests may read the past, but it is declared strong",)
    assert problems(strong, "late") == ("no request reads the past, but it is declared late",)


def test_a_write_that_depends_on_what_is_there_is_told_if_it_is_declared_for_any_region(
    chat_store: ChatStore,
) -> None:
    deleting = _sending("DeleteItem", Key=_KEY)
    declared = {"operation": "DeleteItem", "reads": "strong"}
    assert _measured(chat_store, deleting, **declared, regions="one").problems == ()
    assert _measured(chat_store, deleting, **declared).problems == (
        "DeleteItem, but it is declared for any region",
    )


def test_a_method_without_a_scenario_is_told(chat_store: ChatStore) -> None:
    (measured,) = measure_all(_factory(chat_store), [_entry()], {})
    assert measured.problems == ("no scenario: it was not measured",)
    assert measured.as_dict()["measured_requests"] is None


def test_only_the_calls_of_cases_are_counted(chat_store: ChatStore) -> None:
    """What a scenario does before and between its cases is preparation."""

    def scenario(stage: Stage) -> Iterator[Case]:
        talk = stage.store.conversations.create("user-1")
        yield Case("first", lambda: stage.store.conversations.get(talk.conversation_id))
        stage.store.conversations.get(talk.conversation_id)
        cold = stage.cold_store()
        yield Case("by another store", lambda: cold.conversations.get(talk.conversation_id))

    measured = _measured(chat_store, scenario)
    taken = [played.taken for played in measured.cases]
    assert [each.requests for each in taken] == [1, 1]
    assert [each.rcu for each in taken] == [0.5, 0.5]
    assert [each.wcu for each in taken] == [0, 0]


def test_the_demo_plays_what_is_shown_and_prepares_no_more(chat_store: ChatStore) -> None:
    prepared = []

    def scenario(stage: Stage) -> Iterator[Case]:
        for place, is_shown in enumerate([False, True, False, True]):
            prepared.append(place)
            yield Case(f"{place}", stage.store.table.describe, is_shown=is_shown)

    with Player(_factory(chat_store)) as player:
        played = [each.case.label for each in player.play(_entry(), scenario, only_shown=True)]
    assert played == ["0", "1"]
    assert prepared == [0, 1, 2]


def test_what_cases_write_is_deleted_and_nothing_else(chat_store: ChatStore) -> None:
    """However many items, whichever of its stores wrote them, also when a case fails."""
    beside = _factory(chat_store)()
    kept = beside.conversations.create("user-1", title="Kept").conversation_id

    def items() -> list[Any]:
        client = beside.connection.client
        found: list[Any] = client.scan(TableName=beside.connection.table_name)["Items"]
        return sorted(found, key=str)

    def scenario(stage: Stage) -> Iterator[Case]:
        talk = stage.store.conversations.create("user-2", title="Gone").conversation_id
        said = [NewMessage(role="user", content="Hello")] * 30
        stage.cold_store().messages.append_turn(talk, said)
        yield Case("", lambda: stage.store.conversations.get(kept))
        assert len(items()) > len(before) + 30
        raise ZeroDivisionError

    before = items()
    with pytest.raises(ZeroDivisionError):
        _measured(beside, scenario)
    assert items() == before
