"""What the writers raise among themselves never reaches a caller, whichever request it strikes."""

import contextlib
from dataclasses import dataclass

import pytest
from botocore.awsrequest import AWSResponse

from dynamo_chat import ChatStore, ConnectionOptions
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Stage
from dynamo_chat.catalogue import catalogue
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.testing import (
    Cancelled,
    ErrorAnswer,
    Fault,
    FaultInjector,
    TransactionConflict,
)
from dynamo_chat.testing.answers import error_answer
from dynamo_chat.testing.faults import Attempt
from tests.scene import Scene

MOST = 4
"""Requests of a call that are struck: the first ones, and then all behind them."""

WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}


@dataclass(frozen=True)
class ConditionsFail(Fault):
    """Every condition of a write fails, and nothing is there; a write without any is done."""

    def strikes(self, operation: str) -> bool:
        return operation in WRITES

    def happen(self, attempt: Attempt) -> AWSResponse:
        if attempt.operation != "TransactWriteItems":
            if "ConditionExpression" not in attempt.body:
                return attempt.forward()
            return error_answer(attempt.url, "ConditionalCheckFailedException", "failed")
        members = [next(iter(each.values())) for each in attempt.body["TransactItems"]]
        codes = [
            "ConditionalCheckFailed" if "ConditionExpression" in each else "None"
            for each in members
        ]
        if "ConditionalCheckFailed" not in codes:
            return attempt.forward()
        return Cancelled(tuple(codes)).happen(attempt)


@dataclass(frozen=True)
class Mixed(Fault):
    """A condition fails beside a conflict, in every transaction."""

    def strikes(self, operation: str) -> bool:
        return operation == "TransactWriteItems"

    def happen(self, attempt: Attempt) -> AWSResponse:
        size = len(attempt.body["TransactItems"])
        return Cancelled(("TransactionConflict", "ConditionalCheckFailed")[-size:]).happen(attempt)


@dataclass(frozen=True)
class InProgress(ErrorAnswer):
    """An earlier try of each transaction is still under way."""

    code: str = "TransactionInProgressException"

    def strikes(self, operation: str) -> bool:
        return operation == "TransactWriteItems"


@pytest.fixture
def stage(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage whose store is watched by an injector."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    options = ConnectionOptions(max_attempts=2, transaction_attempts=2)

    def new_store(table_name: str | None) -> ChatStore:
        assert table_name is None
        return scene.new_store(options=options)

    return Stage(new_store, scene.clock)


FAULTS = [TransactionConflict(), ConditionsFail(), Mixed(), InProgress()]
# The table's management makes tables and backups: it writes no item.
STRUCK = [
    pytest.param(entry.method, fault, id=f"{entry.method}-{type(fault).__name__}")
    for entry in catalogue()
    for fault in FAULTS
    if entry.domain != "provision" and any(map(fault.strikes, entry.operations))
]


@pytest.mark.long
@pytest.mark.parametrize(("method", "fault"), STRUCK)
def test_no_clash_leaves_the_package(stage: Stage, method: str, fault: Fault) -> None:
    """From its first request on, from its second one on, and so forth: a typed error, or none."""
    for first in range(1, MOST + 1):
        case = next(scenarios()[method](stage))
        stage.later()
        with FaultInjector(stage.store.connection.client) as injector:
            injector.plan(fault, at=first, times=None, every_attempt=True)
            with contextlib.suppress(DynamoChatError):
                case.call()
            if not injector.injected:
                return
