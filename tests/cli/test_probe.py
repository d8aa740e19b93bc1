"""``dynamo-chat table probe``: every step is shown, and one that fails is an exit code."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from dynamo_chat import ChatStore
from dynamo_chat.cli.app import app
from dynamo_chat.provision import probe as probing
from dynamo_chat.provision.probe import ProbeStep
from dynamo_chat.testing import Engine
from tests.provision.test_probe import STEPS

pytestmark = pytest.mark.once


@pytest.fixture
def run(dynamo_chat_engine: Engine, chat_store: ChatStore) -> Callable[..., Any]:
    where = ["--table", chat_store.connection.table_name, "--region", dynamo_chat_engine.region]
    if dynamo_chat_engine.endpoint_url:
        where += ["--endpoint-url", dynamo_chat_engine.endpoint_url]
    return lambda *arguments: CliRunner().invoke(app, ["table", "probe", *where, *arguments])


@pytest.mark.engine
def test_the_command_shows_every_step(run: Callable[..., Any]) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert result.stdout.count("✓") == len(STEPS)
    assert "The store can work with table" in result.stdout
    told = json.loads(run("--json").stdout)
    assert [(each["action"], each["place"]) for each in told] == [
        (f"dynamodb:{action}", place) for action, place in STEPS
    ]


def test_the_command_fails_when_a_step_does(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = ProbeStep("dynamodb:Query", "GSI1", "index GSI1 is missing")
    steps = [ProbeStep("dynamodb:PutItem", "table", None), missing]
    monkeypatch.setattr(probing.Probe, "run", lambda _: steps)
    result = run()
    assert result.exit_code == 1
    assert "! dynamodb:Query on GSI1: index GSI1 is missing" in result.stdout
    assert "1 of 2 actions work." in result.stdout
