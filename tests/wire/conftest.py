"""Every HTTP client in turn, on a connection whose requests are reported."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.handlers import BUILTIN_HANDLERS

from dynamo_chat import ConnectionOptions
from dynamo_chat.aio.loop import LoopCarrier
from dynamo_chat.core.connection import ConditionFailed, Connection, TransactionClash
from dynamo_chat.core.errors import ServiceError
from dynamo_chat.core.events import RequestEvent
from dynamo_chat.core.listeners import EMITTED
from tests.on_loop import LOOP, Posting

LISTENED = "urllib3, with handlers"
ON_LOOP = "aiohttp"
"""On an event loop, which runs in a thread of its own."""
KEY = {"PK": {"S": "p"}, "SK": {"S": "s"}}
GET: tuple[str, dict[str, Any]] = ("GetItem", {"TableName": "chat", "Key": KEY})
PUT: tuple[str, dict[str, Any]] = ("PutItem", {"TableName": "chat", "Item": KEY})


@pytest.fixture(params=["urllib3", "pycurl", ON_LOOP, LISTENED])
def fast(request: pytest.FixtureRequest) -> str:
    """The name of a client of the short way; or the one with somebody who listens to events."""
    if request.param == "pycurl":
        pytest.importorskip("pycurl")
    return str(request.param)


@pytest.fixture(params=["urllib3", "pycurl", "botocore", ON_LOOP])
def way(request: pytest.FixtureRequest) -> str:
    """The name of any HTTP client."""
    if request.param == "pycurl":
        pytest.importorskip("pycurl")
    return str(request.param)


@pytest.fixture
def moto_answers() -> None:
    """Clients of this test have moto's handler, once moto is imported."""


@pytest.fixture(autouse=True)
def no_moto(request: pytest.FixtureRequest) -> Iterator[None]:
    """Clients of other tests have not, whatever was imported: it listens to events."""
    known = [each for each in BUILTIN_HANDLERS if type(each[1]).__name__ == "BotocoreStubber"]
    if "moto_answers" in request.fixturenames:
        known = []
    for each in known:
        BUILTIN_HANDLERS.remove(each)
    yield
    BUILTIN_HANDLERS.extend(known)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Nothing of the machine's settings, and no pauses between attempts."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY-1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr("time.sleep", lambda _: None)


@dataclass(frozen=True)
class Outcome:
    """What a caller, and the hook, learn of one call."""

    result: Any
    tries: int
    code: str | None
    throttles: int = 0
    reasons: tuple[str, ...] = ()
    has_failed: bool = False


def connect(url: str | None, way: str, **options: Any) -> Connection:
    """A connection by one HTTP client; `heard` has its events."""
    options = {"max_attempts": 3, "read_timeout": 5.0, **options}
    heard: list[RequestEvent] = []
    made = Connection(
        "chat",
        region="eu-west-1",
        endpoint_url=url,
        options=options_for(way, **options),
        on_request=heard.append,
    )
    made.heard = heard  # type: ignore[attr-defined]
    if way == ON_LOOP:
        carry_on_loop(made)
    if way == LISTENED:
        for event in EMITTED:
            made.client.meta.events.register(f"{event}.dynamodb", ignore)
    return made


def options_for(way: str, **options: Any) -> ConnectionOptions:
    """The options of a connection by one HTTP client. On a loop it is always the same."""
    http_client: Any = "urllib3" if way in {LISTENED, ON_LOOP} else way
    return ConnectionOptions(http_client=http_client, **options)


_carriers: list[LoopCarrier] = []


def carry_on_loop(connection: Connection) -> None:
    """Let the requests of a connection travel on the loop."""
    carrier = LoopCarrier(repr(connection), connection.options)
    _carriers.append(carrier)
    connection.carried_by(Posting(carrier))


@pytest.fixture(autouse=True)
def closed_carriers() -> Iterator[None]:
    """Nothing that a test opened on the loop stays open."""
    yield
    while _carriers:
        LOOP.run(_carriers.pop().close())


def ignore(**_: Any) -> None:
    """A handler that does nothing."""


def outcome(connection: Connection, operation: str, request: dict[str, Any]) -> Outcome:
    """How one call ends."""
    result: Any
    try:
        answer = dict(connection.call(operation, dict(request)))
        answer.pop("ResponseMetadata", None)
        result = answer
    except ConditionFailed as failed:
        result = (type(failed), failed.items, failed.was_resent)
    except TransactionClash as clash:
        result = (type(clash), str(clash), clash.is_throttled, clash.is_open)
    except ServiceError as failed:
        result = (type(failed), str(failed), failed.code, type(failed.__cause__).__name__)
    event: RequestEvent = connection.heard[-1]  # type: ignore[attr-defined]
    return Outcome(
        result, event.attempts, event.error, event.throttles, event.reasons, event.has_failed
    )
