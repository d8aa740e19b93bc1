"""Each injected fault looks like the real one, and does to the engine what it says."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from dynamo_chat.testing import (
    DropAnswer,
    EmbeddedEngine,
    ErrorAnswer,
    Fault,
    FaultInjector,
    Injection,
    Kill,
    Killed,
    ServerError,
    Throttled,
    TransactionConflict,
    Unprocessed,
    Unreachable,
    kill_points,
)


def key(sk: str = "S#") -> dict[str, Any]:
    return {"PK": {"S": "P#"}, "SK": {"S": sk}}


def put(client: Any, table: str, sk: str = "S#") -> None:
    client.put_item(TableName=table, Item=key(sk))


def add(client: Any, table: str) -> None:
    client.update_item(
        TableName=table,
        Key=key(),
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def transact(client: Any, table: str, *sort_keys: str) -> None:
    client.transact_write_items(
        TransactItems=[{"Put": {"TableName": table, "Item": key(sk)}} for sk in sort_keys]
    )


def stored(client: Any, table: str) -> dict[str, str | None]:
    """The sort keys in the partition, with the counter of each item."""
    found = client.query(
        TableName=table,
        KeyConditionExpression="PK = :p",
        ExpressionAttributeValues={":p": {"S": "P#"}},
    )["Items"]
    return {item["SK"]["S"]: item.get("n", {}).get("N") for item in found}


@pytest.fixture
def faults(embedded_client: Any, table: str) -> Iterator[FaultInjector]:
    with FaultInjector(embedded_client) as injector:
        yield injector


# ------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (Throttled(), "ProvisionedThroughputExceededException", 400),
        (ServerError(), "InternalServerError", 500),
        (TransactionConflict(), "TransactionConflictException", 400),
        (ErrorAnswer("AccessDeniedException", "no"), "AccessDeniedException", 400),
    ],
)
def test_an_error_is_answered_and_nothing_done(
    faults: FaultInjector, table: str, fault: Fault, code: str, status: int
) -> None:
    """The engine behind does not see the request, moto included."""
    faults.plan(fault)
    with pytest.raises(ClientError) as answered:
        put(faults.client, table)
    response: Any = answered.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert stored(faults.client, table) == {}
    assert faults.injected == [Injection(1, 1, "PutItem", fault)]


def test_a_conflict_names_the_contended_items(faults: FaultInjector, table: str) -> None:
    """The reasons of a cancelled transaction stand in the order of its members."""
    faults.plan(TransactionConflict(items=(1,)))
    faults.plan(TransactionConflict(), at=2)
    for reasons in (["None", "TransactionConflict", "None"], ["TransactionConflict"] * 3):
        with pytest.raises(ClientError, match="TransactionCanceledException") as answered:
            transact(faults.client, table, "A#", "B#", "C#")
        response: Any = answered.value.response
        assert [reason["Code"] for reason in response["CancellationReasons"]] == reasons
    assert stored(faults.client, table) == {}


def test_a_batch_of_writes_is_done_in_part(faults: FaultInjector, table: str) -> None:
    """All but the last two are written; those come back, and a second call finishes."""
    writes = [{"PutRequest": {"Item": key(sk)}} for sk in "ABCDE"]
    faults.plan(Unprocessed(last=2))
    answer = faults.client.batch_write_item(RequestItems={table: writes})
    assert answer["UnprocessedItems"] == {table: writes[3:]}
    assert sorted(stored(faults.client, table)) == ["A", "B", "C"]
    faults.client.batch_write_item(RequestItems=answer["UnprocessedItems"])
    assert sorted(stored(faults.client, table)) == ["A", "B", "C", "D", "E"]


def test_a_batch_of_reads_is_done_in_part(faults: FaultInjector, table: str) -> None:
    """What comes back can be sent as it is: projection and consistency are with it."""
    for sk in "ABC":
        put(faults.client, table, sk)
    request = {
        "Keys": [key(sk) for sk in "ABC"],
        "ProjectionExpression": "SK",
        "ConsistentRead": True,
    }
    faults.plan(Unprocessed(last=1))
    answer = faults.client.batch_get_item(RequestItems={table: request})
    assert sorted(item["SK"]["S"] for item in answer["Responses"][table]) == ["A", "B"]
    assert answer["UnprocessedKeys"] == {table: {**request, "Keys": [key("C")]}}


def test_nothing_of_a_batch_is_done(faults: FaultInjector, table: str) -> None:
    """When as many are left as there are."""
    writes = [{"PutRequest": {"Item": key(sk)}} for sk in "AB"]
    faults.plan(Unprocessed(last=25))
    answer = faults.client.batch_write_item(RequestItems={table: writes})
    assert answer["UnprocessedItems"] == {table: writes}
    assert stored(faults.client, table) == {}


# ------------------------------------------------------------------------------ lost and killed


def test_the_answer_is_lost_after_the_write(faults: FaultInjector, table: str) -> None:
    """The client meets a timeout, the item is there."""
    faults.plan(DropAnswer())
    with pytest.raises(ReadTimeoutError):
        put(faults.client, table)
    assert stored(faults.client, table) == {"S#": None}


def test_the_request_never_arrives(faults: FaultInjector, table: str) -> None:
    """The client cannot connect, the item is not there."""
    faults.plan(Unreachable())
    with pytest.raises(EndpointConnectionError):
        put(faults.client, table)
    assert stored(faults.client, table) == {}


@pytest.mark.parametrize("after_sending", [False, True])
def test_the_process_dies(faults: FaultInjector, table: str, after_sending: bool) -> None:
    """Before the request was sent, or when it was done; no handler of exceptions sees it."""
    faults.plan(Kill(after_sending=after_sending), at=2)
    put(faults.client, table, "A#")
    with pytest.raises(Killed):
        put(faults.client, table, "B#")
    assert stored(faults.client, table).keys() == ({"A#", "B#"} if after_sending else {"A#"})
    assert not issubclass(Killed, Exception)


def test_every_kill_point_of_an_operation(embedded_client: Any, table: str) -> None:
    """An operation of two requests can die in four places, and be called again after each."""

    def operation() -> None:
        put(embedded_client, table, "A#")
        put(embedded_client, table, "B#")

    with FaultInjector(embedded_client) as counting:
        operation()
    deaths = 0
    for at, kill in kill_points(counting.requests):
        with FaultInjector(embedded_client) as faults:
            faults.plan(kill, at=at)
            with pytest.raises(Killed):
                operation()
            deaths += 1
            operation()
    assert deaths == 4
    assert stored(embedded_client, table).keys() == {"A#", "B#"}


# ---------------------------------------------------------------------------- plans and attempts


@pytest.fixture
def retrying_client(embedded: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client with botocore's own retries, which do not wait."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    return embedded.client(retries={"mode": "standard", "total_max_attempts": 3})


def test_once_is_the_first_attempt(retrying_client: Any, table: str) -> None:
    """Botocore's retry meets the real engine: an ADD whose answer was lost counts twice."""
    with FaultInjector(retrying_client) as faults:
        faults.plan(DropAnswer())
        add(retrying_client, table)
    assert stored(retrying_client, table) == {"S#": "2"}
    assert faults.requests == len(faults.injected) == 1


def test_every_attempt_exhausts_the_retries(retrying_client: Any, table: str) -> None:
    """The call fails when the last attempt has failed; the next call is another one."""
    with FaultInjector(retrying_client) as faults:
        faults.plan(Throttled(), every_attempt=True)
        with pytest.raises(ClientError, match="ProvisionedThroughputExceeded"):
            add(retrying_client, table)
        add(retrying_client, table)
    assert [injection.attempt for injection in faults.injected] == [1, 2, 3]
    assert {injection.request for injection in faults.injected} == {1}


def outcomes(count: int, act: Callable[[], None]) -> str:
    """What became of some requests in a row: o for done, x for failed."""
    found = ""
    for _ in range(count):
        try:
            act()
        except ClientError:
            found += "x"
        else:
            found += "o"
    return found


def test_a_plan_counts_the_requests_it_is_for(faults: FaultInjector, table: str) -> None:
    """From the plan on, of its operation, so many in a row."""
    put(faults.client, table)
    faults.plan(Throttled(), at=2, times=2, operation="PutItem")
    add(faults.client, table)
    assert outcomes(5, lambda: put(faults.client, table)) == "oxxoo"
    assert [injection.request for injection in faults.injected] == [4, 5]
    faults.plan(Throttled(), at=3, times=None)
    assert outcomes(4, lambda: put(faults.client, table)) == "ooxx"
    faults.clear()
    assert outcomes(2, lambda: put(faults.client, table)) == "oo"


def test_a_fault_strikes_what_it_can_happen_to(faults: FaultInjector, table: str) -> None:
    """There are no leftovers of a put and no conflicts of a query."""
    faults.plan(Unprocessed())
    faults.plan(TransactionConflict(), operation="Query")
    put(faults.client, table)
    stored(faults.client, table)
    assert faults.injected == []


def test_plans_cannot_be_for_the_request_before_the_first(faults: FaultInjector) -> None:
    """Requests are counted from 1."""
    with pytest.raises(ValueError, match="at must be 1 or more"):
        faults.plan(Throttled(), at=0)


def test_dice_fall_the_same_way_twice(faults: FaultInjector, table: str) -> None:
    """By their seed, at about the rates asked for."""
    runs = []
    for _ in range(2):
        faults.gamble({Throttled(): 0.2, ServerError(): 0.1, Unprocessed(): 0.7}, seed=7)
        runs.append(outcomes(200, lambda: put(faults.client, table)))
    assert runs[0] == runs[1]
    assert 40 <= runs[0].count("x") <= 80
    throttled = sum(injection.fault == Throttled() for injection in faults.injected)
    assert 50 <= throttled < len(faults.injected) == 2 * runs[0].count("x")
    with pytest.raises(ValueError, match="more than 1"):
        faults.gamble({Throttled(): 0.6, ServerError(): 0.5}, seed=1)


def test_threads_meet_their_own_faults(
    faults: FaultInjector, embedded_client: Any, table: str
) -> None:
    """As many requests fail as faults were injected, and only those."""

    def add_25(_: int) -> str:
        return outcomes(25, lambda: add(embedded_client, table))

    faults.gamble({Throttled(): 0.3}, seed=1)
    with ThreadPoolExecutor(8) as pool:
        found = "".join(pool.map(add_25, range(8)))
    assert faults.requests == 200
    assert found.count("x") == len(faults.injected) > 0
    faults.clear()
    assert stored(embedded_client, table) == {"S#": str(found.count("o"))}


def test_a_detached_injector_does_nothing(embedded_client: Any, table: str) -> None:
    """After the block, the client is as it was."""
    with FaultInjector(embedded_client) as faults:
        faults.plan(Throttled(), times=None)
    put(embedded_client, table)
    assert faults.requests == 0


# ----------------------------------------------------------------------------------- over HTTP


class Recorder(BaseHTTPRequestHandler):
    """A server that writes down what it is sent, and answers with nothing in particular."""

    received: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a recording server, and what it received."""
    received: list[dict[str, Any]] = []
    handler = type("Handler", (Recorder,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", received
        listening.shutdown()
        thread.join()


def test_over_http_too(make_client: Any, server: tuple[str, list[dict[str, Any]]]) -> None:
    """A server in another process sees what was forwarded, cut to what is processed."""
    url, received = server
    client = make_client(url, retries={"total_max_attempts": 1})
    writes = [{"PutRequest": {"Item": key(sk)}} for sk in "AB"]
    with FaultInjector(client) as faults:
        faults.plan(DropAnswer())
        faults.plan(Throttled(), at=2)
        faults.plan(Kill(after_sending=True), at=3)
        faults.plan(Unprocessed())
        with pytest.raises(ReadTimeoutError):
            put(client, "t", "1")
        with pytest.raises(ClientError):
            put(client, "t", "2")
        with pytest.raises(Killed):
            put(client, "t", "3")
        answer = client.batch_write_item(RequestItems={"t": writes})
    client.close()
    assert received == [
        {"TableName": "t", "Item": key("1")},
        {"TableName": "t", "Item": key("3")},
        {"RequestItems": {"t": writes[:1]}},
    ]
    assert answer["UnprocessedItems"] == {"t": writes[1:]}


@pytest.mark.ministack
def test_on_a_server(server_client: Any, server_table: str) -> None:
    """What was forwarded happened there; what was answered in its place did not."""
    writes = [{"PutRequest": {"Item": key(sk)}} for sk in ("C#", "D#")]
    with FaultInjector(server_client) as faults:
        faults.plan(DropAnswer())
        faults.plan(TransactionConflict(), at=2, operation="PutItem")
        faults.plan(Kill(after_sending=True), operation="UpdateItem")
        faults.plan(Unprocessed())
        with pytest.raises(ReadTimeoutError):
            put(server_client, server_table, "A#")
        with pytest.raises(ClientError):
            put(server_client, server_table, "B#")
        with pytest.raises(Killed):
            add(server_client, server_table)
        answer = server_client.batch_write_item(RequestItems={server_table: writes})
    assert answer["UnprocessedItems"] == {server_table: writes[1:]}
    assert stored(server_client, server_table) == {"A#": None, "S#": "1", "C#": None}
