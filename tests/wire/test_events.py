"""Handlers on a client's public events are called on the short way, or the long way is taken."""

import logging
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.stub import Stubber

from dynamo_chat import ChatStore, ConnectionOptions
from dynamo_chat.core import wire
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.errors import InvalidArgument, Unreachable
from dynamo_chat.core.listeners import EMITTED, REFUSED, Listeners, others
from dynamo_chat.testing import FaultInjector, RequestMeter, StrictHook
from dynamo_chat.testing.answers import answer as found
from tests.wire.conftest import GET, KEY, PUT, connect, outcome
from tests.wire.scripted import answer, dropped, error, serving

FOUND = answer({"Item": KEY})


@pytest.fixture(params=["urllib3", "pycurl"])
def fast(request: pytest.FixtureRequest) -> str:
    """The name of a client of the short way, to which nobody listens yet."""
    if request.param == "pycurl":
        pytest.importorskip("pycurl")
    return str(request.param)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The exchanges of the short way, by class."""
    seen: list[str] = []
    begin = wire.run

    def noted(exchange: Any, transport: Any) -> Any:
        seen.append(type(exchange).__name__)
        return begin(exchange, transport)

    monkeypatch.setattr("dynamo_chat.core.client.run", noted)
    return seen


def test_the_handlers_that_botocore_and_the_package_register_are_known() -> None:
    """Otherwise every request would emit events for nobody, or take the long way."""
    client = Connection("chat", region="eu-west-1").client
    handlers = Listeners(client).of("GetItem")
    assert list(others(handlers, (*EMITTED, *REFUSED))) == []


def events_of(way: str, script: list[Any], *, stop: bool = False) -> list[tuple[str, Any]]:
    """What handlers of every event see of one put."""
    seen: list[tuple[str, Any]] = []

    def note(event_name: str, **details: Any) -> None:
        event = event_name.partition(".")[0]
        context = details.get("context") or getattr(details.get("request"), "context", None) or {}
        told: Any = sorted(set(details) - {"request_signer"})
        if event == "after-call":
            parsed = dict(details["parsed"])
            metadata = parsed.pop("ResponseMetadata")
            told = (details["http_response"].status_code, parsed, metadata["RetryAttempts"])
        elif event == "before-parameter-build":
            told = details["params"]["TableName"], details["model"].name
        elif event == "before-call":
            told = sorted(details["params"]), details["params"]["url"].count("/")
        elif event == "after-call-error":
            told = type(details["exception"]).__name__
        elif event == "request-created":
            told = details["operation_name"], context["retries"]["attempt"]
        elif event == "before-send":
            told = details["request"].method, sorted(details["request"].headers)
        seen.append((event, told))

    with serving(*script) as server:
        connection = connect(server.url, way)
        for event in EMITTED:
            connection.client.meta.events.register(f"{event}.dynamodb", note)
        outcome(connection, *PUT)
    return seen


@pytest.mark.parametrize(
    "script",
    [
        [answer({})],
        [error("InternalServerError", 500), answer({})],
        [error("ConditionalCheckFailedException", Item=KEY)],
        [dropped, dropped, dropped],
    ],
    ids=["done", "tried again", "refused", "no answer"],
)
def test_each_event_is_emitted_as_botocore_emits_it(
    fast: str, script: list[Any], runs: list[str]
) -> None:
    seen = events_of(fast, list(script))
    assert runs == ["Announced"]
    assert seen == events_of("botocore", list(script))
    assert {event for event, _ in seen} >= set(EMITTED) - {"after-call", "after-call-error"}


@pytest.mark.parametrize("event", ["before-call", "request-created", "before-send"])
def test_a_handler_may_change_the_request(fast: str, event: str, runs: list[str]) -> None:
    """A header of the user's own, at each of the places where botocore lets it be added."""

    def add(request: Any = None, params: Any = None, **_: Any) -> None:
        (params["headers"] if request is None else request.headers)["X-Mine"] = "1"

    with serving(FOUND) as server:
        connection = connect(server.url, fast)
        connection.client.meta.events.register(f"{event}.dynamodb.GetItem", add)
        assert outcome(connection, *GET).result == {"Item": KEY}
        assert server.asked[0].headers["x-mine"] == "1"
    assert runs == ["Announced"]


def test_a_handler_that_refuses_a_request_is_heard(fast: str) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError

    with serving(FOUND) as server:
        connection = connect(server.url, fast)
        connection.client.meta.events.register("before-parameter-build.dynamodb", refuse)
        with pytest.raises(PermissionError):
            connection.call(*GET)
        assert server.asked == []


def test_a_handler_comes_and_goes(fast: str, runs: list[str]) -> None:
    """Each request looks at the handlers of its own moment."""
    seen: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        seen.append(event_name)

    with serving(*[FOUND] * 4) as server:
        connection = connect(server.url, fast)
        events = connection.client.meta.events
        connection.call(*GET)
        events.register("before-send.dynamodb.GetItem", note)
        connection.call(*GET)
        connection.call("GetItem", dict(GET[1]))
        events.unregister("before-send.dynamodb.GetItem", note)
        connection.call(*GET)
    assert len(seen) == 2
    assert runs == ["Exchange", "Announced", "Announced", "Exchange"]


@pytest.mark.parametrize("event", REFUSED)
def test_what_only_botocore_serves_goes_through_it(
    fast: str, event: str, runs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """And one line of the log says why."""
    seen: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        seen.append(event_name)

    with serving(FOUND, FOUND) as server, caplog.at_level(logging.DEBUG, "dynamo_chat"):
        connection = connect(server.url, fast)
        connection.client.meta.events.register_first(f"{event}.dynamodb", note)
        for _ in range(2):
            assert outcome(connection, *GET).result == {"Item": KEY}
    assert runs == []
    assert len(seen) == 2
    (line,) = [each.getMessage() for each in caplog.records if each.name == "dynamo_chat"]
    assert line.startswith("GetItem goes through botocore: ")
    assert line.endswith(f"listens to {event}")


def test_an_answer_of_botocore_s_stubber(fast: str) -> None:
    """In a user's own tests."""
    connection = connect("http://127.0.0.1:9", fast)
    with Stubber(connection.client) as stubber:
        stubber.add_response("get_item", {"Item": KEY})
        assert outcome(connection, *GET).result == {"Item": KEY}
        stubber.add_client_error("get_item", "InternalServerError", http_status_code=500)
        assert outcome(connection, *GET).result[0] is Unreachable


@pytest.mark.usefixtures("moto_answers")
def test_mock_aws_answers_in_a_user_s_own_tests(runs: list[str]) -> None:
    """No server, no fixture of the package: moto listens to before-send."""
    moto = pytest.importorskip("moto")
    with moto.mock_aws():
        store = ChatStore("chat", region="eu-west-1")
        store.table.create()
        made = store.conversations.create("u-1")
        assert store.conversations.get(made.conversation_id) == made
    assert set(runs) == {"Announced"}


@pytest.mark.usefixtures("moto_answers")
def test_the_package_s_own_tools_work_on_the_short_way(runs: list[str]) -> None:
    moto = pytest.importorskip("moto")
    with moto.mock_aws():
        store = ChatStore("chat", region="eu-west-1")
        store.table.create()
        client = store.connection.client
        with RequestMeter(client) as meter, StrictHook(client), FaultInjector(client) as faults:
            made = store.conversations.create("u-1")
            assert store.conversations.get(made.conversation_id) == made
        assert faults.requests == meter.count == len(runs) == 2
        assert meter.attempts == 2


@pytest.mark.parametrize("operation", ["GetItem", "Query"])
def test_every_request_of_the_package_s_tests_takes_the_short_way(
    operation: str, runs: list[str]
) -> None:
    """A handler that answers is enough; nothing needs botocore's own steps."""
    connection = connect("http://127.0.0.1:9", "urllib3")

    def reply(request: Any, **_: Any) -> AWSResponse:
        return found(request.url, b'{"Items": []}')

    connection.client.meta.events.register("before-send.dynamodb", reply)
    connection.call(operation, {"TableName": "chat"})
    assert runs == ["Announced"]


def test_a_receiver_of_pynamodb_s_signals_goes_through_it(
    fast: str, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynamodb import signals

    monkeypatch.setattr(signals.pre_dynamodb_send, "receivers", {1: object()}, raising=False)
    with serving(FOUND) as server:
        assert outcome(connect(server.url, fast), *GET).result == {"Item": KEY}
    assert runs == []


def test_an_http_client_can_be_chosen(runs: list[str]) -> None:
    with serving(FOUND) as server:
        assert outcome(connect(server.url, "botocore"), *GET).result == {"Item": KEY}
    assert runs == []
    with pytest.raises(InvalidArgument, match="http_client"):
        ConnectionOptions(http_client="curl")  # type: ignore[arg-type]


def test_the_extra_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycurl")
    client = Connection("chat", region="eu-west-1")._pynamo
    assert type(client._current().transport).__name__ == "CurlTransport"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    client = Connection("chat", region="eu-west-1")._pynamo
    assert type(client._current().transport).__name__ == "PoolTransport"


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pycurl", None)
    monkeypatch.delitem(sys.modules, "dynamo_chat.core.curl", raising=False)
    monkeypatch.delattr("dynamo_chat.core.curl", raising=False)
    connection = connect("http://127.0.0.1:9", "pycurl")
    with pytest.raises(ModuleNotFoundError, match=r"dynamo_chat\[fast\]"):
        connection.call(*GET)


def test_a_lambda_s_trace_goes_along(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS breaks loops of functions by it."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    with serving(FOUND, FOUND) as server:
        connection = connect(server.url, way)
        for trace in ("Root=1", "Root=2"):
            monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
            connection.call(*GET)
        assert [each.headers["x-amzn-trace-id"] for each in server.asked] == ["Root=1", "Root=2"]
