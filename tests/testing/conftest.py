"""A client that needs no server, and small builders of requests."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import botocore.session
import pytest
from botocore.config import Config

from dynamo_chat.testing import EmbeddedEngine, Engine, MinistackServer
from dynamo_chat.testing.answers import json_answer

REGION = "eu-west-1"


def new_client(endpoint_url: str | None = None, **config: Any) -> Any:
    """A botocore client with dummy credentials, as PynamoDB makes them: nothing validated."""
    session = botocore.session.Session()
    return session.create_client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
        config=Config(parameter_validation=False, **config),
    )


def answer(request: Any, **_: Any) -> Any:
    """An empty answer, in the server's place."""
    return json_answer(request.url, {})


@pytest.fixture(scope="session")
def make_client() -> Callable[..., Any]:
    """Makes clients: an endpoint, and what goes into botocore's Config."""
    return new_client


@pytest.fixture(scope="session")
def shared_client() -> Any:
    """One client for tests that leave no handler behind: making one takes time.

    Its endpoint is none that an embedded engine answers for, should one be running.
    """
    client = new_client("http://127.0.0.1:1")
    client.meta.events.register("before-send.dynamodb", answer)
    return client


def create_table(client: Any, name: str) -> None:
    """The table of this package, in the fewest words."""
    keys = {"PK": "HASH", "SK": "RANGE"}
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        AttributeDefinitions=[
            {"AttributeName": index + name, "AttributeType": "S"}
            for index in ("", "GSI1", "GSI2")
            for name in keys
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": [
                    {"AttributeName": index + name, "KeyType": kind} for name, kind in keys.items()
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in ("GSI1", "GSI2")
        ],
    )


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedEngine]:
    """The embedded engine, entered."""
    with EmbeddedEngine() as engine:
        yield engine


@pytest.fixture(scope="session")
def embedded_client(embedded: EmbeddedEngine) -> Any:
    """One client of the embedded engine that retries nothing."""
    return embedded.client(
        parameter_validation=False, retries={"total_max_attempts": 1}, max_pool_connections=20
    )


@pytest.fixture
def table(embedded_client: Any) -> str:
    """A fresh table on the embedded engine."""
    name = f"t-{uuid.uuid4().hex}"
    create_table(embedded_client, name)
    return name


@pytest.fixture(scope="session")
def server_client() -> Iterator[Any]:
    """One client of a real server: the endpoint under test, or a ministack started for it."""
    with ExitStack() as stack:
        endpoint = os.environ.get("DYNAMO_CHAT_TEST_ENDPOINT")
        if endpoint is None:
            endpoint = stack.enter_context(MinistackServer()).endpoint_url
        engine = stack.enter_context(Engine(endpoint))
        yield engine.client(parameter_validation=False, retries={"total_max_attempts": 1})


@pytest.fixture
def server_table(server_client: Any) -> str:
    """A fresh table on the real server."""
    name = f"t-{uuid.uuid4().hex}"
    create_table(server_client, name)
    return name
