"""The command in this process: ``run("patterns", "--json")``, with nothing of the machine in it."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from typer.testing import CliRunner

from dynamo_chat.cli.app import app
from dynamo_chat.cli.demo import DEFAULT_TABLE
from dynamo_chat.testing import EmbeddedEngine
from tests.scene import Scene


class Run(Protocol):
    """Runs the command with arguments; what it printed, and its exit code."""

    def __call__(self, *arguments: str) -> Any: ...


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide lines, no colours, and no table, region or endpoint from outside."""
    for name in ("DYNAMODB_TABLE_NAME", "AWS_ENDPOINT_URL_DYNAMODB", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"COLUMNS": "200", "NO_COLOR": "1", "TERMINAL_WIDTH": "200"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def engine() -> Iterator[EmbeddedEngine]:
    """The embedded engine; it stands in for AWS, too. The demo finds no table on it."""
    with EmbeddedEngine() as engine:
        yield engine
        client = engine.client()
        if DEFAULT_TABLE in client.list_tables()["TableNames"]:
            client.delete_table(TableName=DEFAULT_TABLE)


@pytest.fixture
def scene(engine: EmbeddedEngine) -> Iterator[Scene]:
    """A table on that engine, at the real time."""
    with Scene(engine) as made:
        yield made


@pytest.fixture
def other(engine: EmbeddedEngine) -> Iterator[Scene]:
    """Another one."""
    with Scene(engine) as made:
        yield made


@pytest.fixture
def run(engine: EmbeddedEngine) -> Run:
    runner = CliRunner()

    def run(*arguments: str) -> Any:
        result = runner.invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
