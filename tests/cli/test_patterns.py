"""``dynamo-chat patterns``."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import dynamo_chat.cases.playing
import dynamo_chat.cli.patterns
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.catalogue import catalogue
from dynamo_chat.testing import EmbeddedEngine

Run = Callable[..., Any]


def test_it_prints_the_catalogue(run: Run) -> None:
    shown = run("patterns").stdout
    for entry in catalogue():
        assert entry.method in shown


def test_json_is_a_list_of_objects(run: Run) -> None:
    """At least ``id``, ``method``, ``index``, ``operation`` and ``requests`` are in each."""
    rows = json.loads(run("patterns", "--json").stdout)
    assert [(row["id"], row["method"]) for row in rows] == [
        (entry.id, entry.method) for entry in catalogue()
    ]
    for row in rows:
        assert all(
            isinstance(row[name], str) and row[name]
            for name in ("id", "method", "index", "operation", "requests")
        )


def test_a_domain_can_be_chosen(run: Run) -> None:
    rows = json.loads(run("patterns", "--json", "--domain", "provision").stdout)
    assert {row["id"] for row in rows} == {"T1", "T5"}
    result = run("patterns", "--domain", "nonsense")
    assert result.exit_code == 2
    assert "chat" in result.stderr


@pytest.mark.once
def test_measuring_adds_what_was_counted(run: Run) -> None:
    result = run("patterns", "--measure", "--json", "--domain", "chat")
    assert result.exit_code == 0
    rows = {row["method"]: row for row in json.loads(result.stdout)}
    for row in rows.values():
        assert row["within_budget"] is True
        assert 1 <= row["measured_requests"] <= row["budget"]
        assert row["wcu"] + row["rcu"] > 0
    append = rows["messages.append"]
    assert append["measured_requests"] == 1
    by_case = {case["case"]: case for case in append["cases"]}
    after = [by_case[f"after {count} others"] for count in ("10", "100", "1,000")]
    assert [(each["requests"], each["wcu"]) for each in after] == [(1, 7.0)] * 3
    assert rows["conversations.find_by_title"]["measured_requests"] == 5


def test_measuring_prints_cases_and_a_summary(run: Run) -> None:
    result = run("patterns", "--measure", "--domain", "provision")
    assert result.exit_code == 0
    assert "it exists already" in result.stdout
    assert "all within their budgets, no Scan, no filter" in result.stdout


def _two_gets(stage: Stage) -> Iterator[Case]:
    conversations = stage.store.conversations
    talk = conversations.create(stage.fresh("user")).conversation_id
    yield Case("", lambda: (conversations.get(talk), conversations.get(talk)))


def test_a_broken_word_is_told_by_the_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = ("conversations.get", "states.get")
    entries = [entry for entry in catalogue() if entry.method in methods]
    broken_scenarios = {**scenarios(), "conversations.get": _two_gets}
    monkeypatch.setattr(dynamo_chat.cli.patterns, "catalogue", lambda _: entries)
    monkeypatch.setattr(dynamo_chat.cases.playing, "scenarios", lambda _: broken_scenarios)
    result = run("patterns", "--measure")
    assert result.exit_code == 1
    assert "C2 conversations.get: 2 requests, over the budget of 1" in result.stdout
    result = run("patterns", "--measure", "--json")
    assert result.exit_code == 1
    (broken,) = (row for row in json.loads(result.stdout) if not row["within_budget"])
    assert broken["method"] == "conversations.get"
    assert broken["problems"] == ["2 requests, over the budget of 1"]


def test_the_table_made_for_measuring_is_deleted(run: Run, engine: EmbeddedEngine) -> None:
    client = engine.client()
    before = client.list_tables()["TableNames"]
    run("patterns", "--measure", "--domain", "provision")
    assert client.list_tables()["TableNames"] == before


def test_measuring_on_a_table_that_is_there_keeps_it(run: Run, engine: EmbeddedEngine) -> None:
    store = engine.store("measured-here")
    where = ("--table", "measured-here", "--region", engine.region)
    result = run("patterns", "--measure", "--domain", "provision", *where)
    assert result.exit_code == 0
    assert store.table.describe()["TableName"] == "measured-here"


def test_measuring_on_a_table_that_is_missing_is_an_error(run: Run, engine: EmbeddedEngine) -> None:
    result = run("patterns", "--measure", "--table", "nowhere", "--region", engine.region)
    assert result.exit_code == 1
    assert "does not exist" in result.stderr


def test_an_endpoint_is_for_measuring_only(run: Run) -> None:
    assert run("patterns", "--endpoint-url", "http://127.0.0.1:1").exit_code == 2


@pytest.mark.once
@pytest.mark.parametrize("columns", [80, 100, 200])
def test_nothing_is_lost_on_a_narrow_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = run("patterns").stdout
    measured = run("patterns", "--measure", "--domain", "provision").stdout
    assert all(entry.method in shown for entry in catalogue())
    assert max(map(len, (shown + measured).splitlines())) <= columns
    assert measured.splitlines()[0].split()[:7] == [
        *("id", "method", "case", "requests", "of", "WCU", "RCU")
    ]
