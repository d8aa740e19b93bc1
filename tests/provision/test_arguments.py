"""Wrong settings and arguments are refused by name, before anything is sent or written."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from dynamo_chat import ChatStore, InvalidArgument, TableDefinition
from dynamo_chat.provision.alarms import Thresholds, Watch
from dynamo_chat.provision.commands import command_files
from dynamo_chat.provision.table import Capacity

pytestmark = pytest.mark.once

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/chat/backup/01"
WAITS = (-1, "5", None, float("nan"), float("inf"), True)


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("replicas", ("eu-west-1", None, 5, ("x y",), ("../x",), (1,), (None,), ("",))),
        ("tags", (None, [("a", "b")], {"a": 1}, {1: "a"}, {"": "x"}, {"aws:a": "x"})),
        ("tags", ({"a": "${path.module}"}, {"%{x}": "y"}, {"a": "x" * 257}, {"a" * 129: "x"})),
        ("tags", ({f"t{number}": "x" for number in range(51)},)),
        ("kms_key", ("", "a key", 5, "arn:${x}")),
        ("provisioned", (5, (5, 100), {"read": (1, 2)})),
        ("stream", ("no", 1, None)),
        ("point_in_time_recovery", (35, "false")),
        ("deletion_protection", ("false",)),
        ("encryption_managed", (None,)),
        ("contributor_insights", (0,)),
    ],
)
def test_a_definition_takes_what_dynamodb_takes(argument: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(InvalidArgument) as refused:
            TableDefinition(**{argument: value})
        assert refused.value.argument == argument, value


def test_tags_may_have_what_aws_allows_in_them() -> None:
    tags = {"team/cost centre": "größe_1.2:3=4+5-6@7", "k" * 128: "v" * 256, "empty": ""}
    assert TableDefinition(tags=tags).tags == tags


@pytest.mark.parametrize("value", [5, (5,), (1, 2, 3), ("1", "2"), (1.5, 2), (True, 2), None])
def test_capacity_is_two_integers(value: Any) -> None:
    for argument in ("read", "write"):
        with pytest.raises(InvalidArgument) as refused:
            Capacity(**{argument: value})
        assert refused.value.argument == argument
    with pytest.raises(InvalidArgument, match="utilization"):
        Capacity(utilization=95 if value == 5 else value)


def test_a_replica_lies_in_another_region_than_the_table(store: ChatStore) -> None:
    wanted = TableDefinition(replicas=("eu-west-1",))
    with pytest.raises(InvalidArgument, match=r"replicas: must not name eu-west-1"):
        command_files(wanted, "chat", region="eu-west-1")
    with pytest.raises(InvalidArgument, match=r"replicas: must not name eu-west-1"):
        store.table.create(wanted)


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("thresholds", (5, None)),
        ("email", ("", "nonsense", "a@b@c", "${x}@example.com", 5)),
        ("topic_arn", ("", "x", "arn:aws:sns:eu-west-1:123456789012:${x}", 5)),
        ("topic_key", ("", "a key", 5)),
        ("budget_tag", ("team", ("team",), ("team", "${x}"), ("aws:team", "x"), ("team", 5))),
    ],
)
def test_what_alarms_are_told(argument: str, values: tuple[Any, ...]) -> None:
    refused(partial(Watch, "chat"), argument, values)
    refused(Thresholds, "items", (0, 1.5, "x", True, None))


# -- methods ------------------------------------------------------------------------------------


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> ChatStore:
    store = ChatStore("chat", region="eu-west-1")
    monkeypatch.setattr(
        type(store.connection), "call", lambda *_: pytest.fail("something was sent")
    )
    return store


def refused(call: Callable[..., object], argument: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(InvalidArgument) as error:
            call(**{argument: value})
        assert error.value.argument == argument, value


def each_waits(call: Callable[..., object]) -> None:
    refused(call, "timeout_seconds", WAITS)
    refused(call, "on_progress", ("x", 5))


def test_the_table_s_methods(store: ChatStore) -> None:
    table = store.table
    refused(table.create, "definition", ("x", 5, {}, False))
    refused(table.check, "definition", ("x", 5, {}, False))
    refused(table.create, "timeout_seconds", WAITS)
    refused(table.wait, "timeout_seconds", WAITS)
    refused(table.probe, "index_seconds", WAITS)


def test_backing_up(store: ChatStore) -> None:
    backups = store.table.backups
    refused(backups.create, "name", ("a b", "ab", "größer", 5, "", "x" * 256, b"abc"))
    refused(backups.describe, "backup_arn", ("", "x", 5, None, "arn:ü"))
    each_waits(backups.create)


def test_restoring(store: ChatStore) -> None:
    backups = store.table.backups
    refused(partial(backups.restore, table_name="chat-2"), "backup_arn", ("", "x", 5, None))
    for restore in (partial(backups.restore, ARN), backups.restore_to_time):
        refused(restore, "table_name", ("", "a b", 5, None))
        to_another = partial(restore, table_name="chat-2")
        refused(to_another, "definition", ("x", 5, {}, False))
        refused(to_another, "region", ("", "x y", 5))
        each_waits(to_another)


def test_exporting(store: ChatStore) -> None:
    backups = store.table.backups
    export = partial(backups.export, "exports")
    refused(backups.export, "bucket", ("", "a", "a bucket", 5, None))
    refused(export, "prefix", (5, b"x"))
    refused(export, "export_format", ("CSV", None, 5))
    refused(export, "bucket_owner", ("me", 123456789012, "1" * 11))
    refused(export, "kms_key", ("", 5))
    refused(
        export, "at", ("2025-12-30", 5, datetime(2025, 12, 30, tzinfo=UTC).replace(tzinfo=None))
    )
    each_waits(export)
    each_waits(partial(backups.wait_for_export, ARN))
    refused(backups.describe_export, "export_arn", ("", "x", 5, None))
    refused(backups.wait_for_export, "export_arn", ("", "x", 5, None))
