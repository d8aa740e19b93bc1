"""The strict hook refuses what DynamoDB rejects and the engine takes, and nothing else."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynamo_chat.testing import StrictHook, StrictViolation
from tests.testing.strict_requests import (
    ACCEPTED,
    REFUSED,
    T,
    item,
    n,
    query,
    s,
    t_put,
    transaction,
)


@pytest.fixture
def hook(shared_client: Any) -> Iterator[StrictHook]:
    with StrictHook(shared_client) as strict:
        yield strict


@pytest.mark.parametrize("rule", REFUSED)
def test_refuses(hook: StrictHook, rule: str) -> None:
    """What DynamoDB rejects is refused before it is sent, with the operation and the reason."""
    operation, request, reason = REFUSED[rule]
    with pytest.raises(StrictViolation, match=f"^{operation}: .*{reason}") as refused:
        hook.client._make_api_call(operation, request)
    assert hook.violations == [refused.value]


@pytest.mark.parametrize("rule", ACCEPTED)
def test_accepts(hook: StrictHook, rule: str) -> None:
    """What DynamoDB takes passes."""
    operation, request = ACCEPTED[rule]
    hook.client._make_api_call(operation, request)
    assert hook.violations == []


NOT_MET = {"ConditionalCheckFailedException", "TransactionCanceledException"}


@pytest.mark.ministack
@pytest.mark.parametrize("rule", ACCEPTED)
def test_a_server_accepts_it_too(server_client: Any, server_table: str, rule: str) -> None:
    """What passes here is no syntax or value that a real server would reject."""
    operation, request = ACCEPTED[rule]
    server_client.put_item(
        TableName=server_table,
        Item=item(
            **{name: n(1) for name in "aceg"}, l={"L": []}, n={"M": {"m": {"L": [n(1)] * 3}}}
        ),
    )
    try:
        server_client._make_api_call(operation, on_table(request, server_table))
    except ClientError as error:
        if error.response["Error"]["Code"] not in NOT_MET:
            raise


def on_table(value: Any, table: str) -> Any:
    """A request, or a part of one, for another table."""
    if isinstance(value, dict):
        return {
            (table if name == T else name): table if name == "TableName" else on_table(part, table)
            for name, part in value.items()
        }
    return [on_table(part, table) for part in value] if isinstance(value, list) else value


def test_one_token_for_two_payloads(hook: StrictHook) -> None:
    """A token may be sent again, but not with something else."""
    call = hook.client._make_api_call
    call("TransactWriteItems", transaction(t_put("A#"), ClientRequestToken="t"))
    call("TransactWriteItems", transaction(t_put("A#"), ClientRequestToken="t"))
    with pytest.raises(StrictViolation, match="two payloads"):
        call("TransactWriteItems", transaction(t_put("B#"), ClientRequestToken="t"))


def test_scans_and_filters_can_be_allowed(shared_client: Any) -> None:
    """Then only what DynamoDB rejects of them is refused: a Query's filter on its own keys."""
    call = shared_client._make_api_call
    index = query("GSI1PK = :p", index="GSI1", a=s("x"))
    with StrictHook(shared_client, allow_scan=True, allow_filter=True) as hook:
        call("Scan", {"TableName": T, "FilterExpression": "attribute_exists(PK)"})
        call("Query", {**index, "FilterExpression": "PK = :a"})
        with pytest.raises(StrictViolation, match="names the key attribute GSI1SK"):
            call("Query", {**index, "FilterExpression": "GSI1SK = :a"})
    assert len(hook.violations) == 1


def test_a_detached_hook_looks_at_nothing(shared_client: Any) -> None:
    """After the block, the client is as it was."""
    with StrictHook(shared_client):
        pass
    shared_client._make_api_call("Scan", {"TableName": T})
