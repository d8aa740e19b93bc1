"""The embedded engine undoes a cancelled transaction, whatever it had changed by then."""

from typing import Any
from unittest.mock import patch

import pytest


def _key(sort: str) -> dict[str, Any]:
    return {"PK": {"S": "A#1#"}, "SK": {"S": sort}}


def _item(sort: str, text: str) -> dict[str, Any]:
    return {**_key(sort), "text": {"S": text}}


def _items(client: Any, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.scan(TableName=table)["Items"]
    return sorted(found, key=lambda item: str(item["SK"]["S"]))


def _members(table: str, *, cancelled: bool) -> list[dict[str, Any]]:
    """Put, replace, change and delete items; then a condition that holds or does not."""
    update = {
        "UpdateExpression": "SET #t = :t",
        "ExpressionAttributeNames": {"#t": "text"},
        "ExpressionAttributeValues": {":t": {"S": "changed"}},
    }
    exists = "attribute_not_exists(PK)" if cancelled else "attribute_exists(PK)"
    members: list[dict[str, Any]] = [
        {"Put": {"Item": _item("NEW#", "new")}},
        {"Put": {"Item": _item("PUT#", "replaced")}},
        {"Update": {"Key": _key("UPDATE#"), **update}},
        {"Update": {"Key": _key("UPSERT#"), **update}},
        {"Delete": {"Key": _key("DELETE#")}},
        {"ConditionCheck": {"Key": _key("CHECK#"), "ConditionExpression": exists}},
    ]
    for member in members:
        for part in member.values():
            part["TableName"] = table
    return members


@pytest.fixture
def filled(embedded_client: Any, table: str) -> str:
    for sort in ("PUT#", "UPDATE#", "DELETE#", "CHECK#", "OTHER#"):
        embedded_client.put_item(TableName=table, Item=_item(sort, "as it was"))
    return table


def test_a_cancelled_transaction_leaves_no_trace(embedded_client: Any, filled: str) -> None:
    before = _items(embedded_client, filled)
    members = _members(filled, cancelled=True)
    with pytest.raises(embedded_client.exceptions.TransactionCanceledException):
        embedded_client.transact_write_items(TransactItems=members)
    assert _items(embedded_client, filled) == before
    embedded_client.transact_write_items(TransactItems=_members(filled, cancelled=False))
    after = {item["SK"]["S"]: item["text"]["S"] for item in _items(embedded_client, filled)}
    assert after == {
        "NEW#": "new",
        "PUT#": "replaced",
        "UPDATE#": "changed",
        "UPSERT#": "changed",
        "CHECK#": "as it was",
        "OTHER#": "as it was",
    }


def test_only_what_a_transaction_names_is_copied(embedded_client: Any, filled: str) -> None:
    from moto.dynamodb.models.dynamo_type import Item

    copied: list[str] = []
    deepcopy = Item.__deepcopy__

    def watched(item: Any, memo: dict[int, Any]) -> Any:
        copied.append(item.range_key.value)
        return deepcopy(item, memo)

    with patch.object(Item, "__deepcopy__", watched):
        members = _members(filled, cancelled=False)
        embedded_client.transact_write_items(TransactItems=members)
    assert "OTHER#" not in copied
    assert {"PUT#", "UPDATE#", "DELETE#"} <= set(copied)


def test_a_backup_still_holds_everything(embedded_client: Any, filled: str) -> None:
    """Outside of transactions a table is copied whole."""
    before = _items(embedded_client, filled)
    backup = embedded_client.create_backup(TableName=filled, BackupName="before")
    embedded_client.delete_item(TableName=filled, Key=_key("OTHER#"))
    restored = f"{filled}-restored"
    embedded_client.restore_table_from_backup(
        TargetTableName=restored, BackupArn=backup["BackupDetails"]["BackupArn"]
    )
    assert _items(embedded_client, restored) == before
    embedded_client.delete_table(TableName=restored)
