"""Each HTTP client gives the results, errors and try counts that botocore's own steps give."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from dynamo_chat.core.errors import Throttled, Unreachable
from tests.wire.conftest import GET, KEY, PUT, Outcome, connect, outcome
from tests.wire.scripted import Action, Server, answer, dropped, error, raw, reset, serving, silent

FOUND = answer({"Item": KEY})
OLD = error("ConditionalCheckFailedException", Item=KEY)
CANCELLED = error(
    "TransactionCanceledException",
    CancellationReasons=[{"Code": "ConditionalCheckFailed", "Item": KEY}, {"Code": "None"}],
)
CLASH = error("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
WRITE: dict[str, Any] = {
    "TransactItems": [{"Put": {"TableName": "chat", "Item": KEY}}],
    "ClientRequestToken": "t",
}
TRANSACTION = ("TransactWriteItems", WRITE)
SERVER_ERROR = error("InternalServerError", 500)
DAMAGED = answer({"Item": KEY}, checksum="1")
THROTTLED = error("ProvisionedThroughputExceededException")

BODY = b'{"Item":{"PK":{"S":"p"},"SK":{"S":"s"}}}'
LENGTH = f"Content-Length: {len(BODY)}\r\n".encode()
IN_CHUNKS = b"%x\r\n%b\r\n3\r\n   \r\n0\r\n\r\n" % (len(BODY), BODY)
OK = b"HTTP/1.1 200 OK\r\n"
UNUSUAL: dict[str, Action] = {
    "in chunks": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS),
    "in pieces": raw(OK[:12], OK[12:] + LENGTH[:5], LENGTH[5:] + b"\r", b"\n" + BODY[:3], BODY[3:]),
    "the last one": raw(OK + b"Connection: close\r\n" + LENGTH + b"\r\n" + BODY),
    "without a length": raw(OK + b"\r\n" + BODY, stays=False),
    "of an old server": raw(OK.replace(b"1.1", b"1.0") + LENGTH + b"\r\n" + BODY),
    "announced": raw(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY),
    "a header twice": raw(OK + b"Via: a\r\n" + LENGTH + b"Via: b\r\n\r\n" + BODY),
    "a header of two lines": raw(OK + b"Via: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY),
    "no content": raw(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    "no HTTP": raw(b"hello\r\n\r\n", stays=False),
}
"""Forms of a response that DynamoDB does not send."""

CASES: dict[str, tuple[tuple[str, dict[str, Any]], list[Action], int]] = {
    "found": (GET, [FOUND], 1),
    "nothing found": (GET, [answer({})], 1),
    "no checksum": (GET, [answer({"Item": KEY}, checksum="")], 3),
    "server error, then found": (GET, [SERVER_ERROR, FOUND], 2),
    "server errors": (PUT, [SERVER_ERROR] * 3, 3),
    "bad gateway": (PUT, [answer(b"<html>", 502), answer({})], 2),
    "throttled, then found": (GET, [THROTTLED, THROTTLED, FOUND], 3),
    "throttled": (PUT, [THROTTLED] * 3, 3),
    "throttled after a lost try": (PUT, [SERVER_ERROR, THROTTLED, THROTTLED], 3),
    "told when to try again": (
        GET,
        [error("ThrottlingException", x_amz_retry_after="1"), FOUND],
        2,
    ),
    "too many requests": (GET, [answer(b"", 429), FOUND], 2),
    "cut": (GET, [answer({"Item": KEY}, cut=5), FOUND], 2),
    "always cut": (PUT, [answer({"Attributes": KEY}, cut=5)] * 3, 3),
    "damaged": (GET, [DAMAGED, FOUND], 2),
    "always damaged": (GET, [DAMAGED] * 3, 3),
    "a damaged error": (PUT, [answer({"__type": "x#Y"}, 400, checksum="nonsense")] * 3, 3),
    "no answer": (PUT, [dropped, answer({})], 2),
    "never an answer": (PUT, [dropped] * 3, 3),
    "reset": (PUT, [reset, answer({})], 2),
    "a condition that fails": (PUT, [OLD], 1),
    "a condition that fails after a lost answer": (PUT, [dropped, OLD], 2),
    "a condition that fails after a damaged answer": (PUT, [DAMAGED, OLD], 2),
    "a cancelled transaction": (TRANSACTION, [CANCELLED], 1),
    "a clash": (TRANSACTION, [CLASH], 1),
    "a clash after a lost answer": (TRANSACTION, [reset, CLASH], 2),
    "in progress": (TRANSACTION, [error("TransactionInProgressException")] * 3, 3),
    "denied": (GET, [error("AccessDeniedException", message="not allowed: dynamodb:GetItem")], 1),
    "an expired token": (GET, [error("ExpiredTokenException")], 1),
    "no table": (GET, [error("ResourceNotFoundException")], 1),
    "rejected": (GET, [error("ValidationException")], 1),
    "an unknown error": (GET, [error("Surprise", 418)], 1),
    "a redirect": (GET, [answer(b"", 307, Location="http://127.0.0.1:9/")], 1),
    "html": (GET, [answer(b"<html>")] * 3, 3),
}


def by(way: str, request: tuple[str, dict[str, Any]], script: list[Action]) -> Outcome:
    """How a call ends on a connection that was used before."""
    with serving(FOUND, *script) as server:
        connection = connect(server.url, way)
        connection.call(*GET)
        ended = outcome(connection, *request)
        assert not server.script
        assert len(server.asked) == ended.tries + 1
        return ended


@pytest.mark.parametrize("case", CASES)
def test_the_same_comes_of_it(fast: str, case: str) -> None:
    request, script, tries = CASES[case]
    ended = by(fast, request, script)
    assert ended.tries == tries
    assert ended == by("botocore", request, script)


@pytest.mark.parametrize("form", UNUSUAL)
def test_a_response_may_have_any_form_of_http(fast: str, form: str) -> None:
    """And the next one is not mixed up with it."""
    ended = []
    for each in (fast, "botocore"):
        with serving(FOUND, UNUSUAL[form], *[FOUND] * 3) as server:
            connection = connect(server.url, each)
            ended.append([outcome(connection, *GET) for _ in range(3)])
    assert ended[0] == ended[1]
    assert ended[0][-1].result == {"Item": KEY}


def test_a_damaged_answer_is_never_returned(way: str) -> None:
    """Botocore itself would return it after its last attempt."""
    ended = by(way, GET, [DAMAGED] * 3)
    assert ended.result[0] is Unreachable
    assert ended.result[2] == ended.code == "BrokenAnswer"


def test_a_request_is_never_sent_a_second_time_in_secret(way: str) -> None:
    """Libcurl would, on a connection that it has kept: the write may have happened."""
    ended = by(way, PUT, [dropped, OLD])
    assert ended.tries == 2
    assert ended.result[2] is True


@pytest.mark.once
@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_a_server_that_says_nothing_is_lost(fast: str, seconds: float) -> None:
    ended = []
    for each in (fast, "botocore"):
        with serving(silent, OLD) as server:
            connection = connect(server.url, each, read_timeout=seconds, connect_timeout=0.2)
            ended.append(outcome(connection, *PUT))
            server.is_over.set()
    assert ended[0] == ended[1]
    assert ended[0].tries == 2
    assert ended[0].result[2] is True


def test_a_server_that_stops_in_the_middle_is_lost(fast: str) -> None:
    def half(server: Server, there: socket.socket) -> bool:
        there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")
        return silent(server, there)

    ended = []
    for each in (fast, "botocore"):
        with serving(half, OLD) as server:
            ended.append(outcome(connect(server.url, each, read_timeout=0.2), *PUT))
            server.is_over.set()
    assert ended[0] == ended[1]
    assert ended[0].tries == 2


def test_a_port_that_nobody_listens_on_has_done_nothing(fast: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ended = [
        outcome(connect(f"http://127.0.0.1:{port}", each), *PUT) for each in (fast, "botocore")
    ]
    assert ended[0] == ended[1]
    assert ended[0].tries == 3
    assert ended[0].code == "EndpointConnectionError"


@contextmanager
def nobody_accepts() -> Iterator[str]:
    """The address of a server whose queue of connections is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="other systems queue more connections")
def test_a_connection_that_takes_too_long_was_never_sent(fast: str) -> None:
    with nobody_accepts() as url:
        ended = [
            outcome(connect(url, each, connect_timeout=0.2, max_attempts=2), *PUT)
            for each in (fast, "botocore")
        ]
    assert ended[0] == ended[1]
    assert ended[0].code == "ConnectTimeoutError"
    assert ended[0].tries == 2


def test_retries_share_one_quota(fast: str) -> None:
    """When most requests fail, fewer of them are tried again, by botocore's count."""
    tries: dict[str, list[int]] = {}
    for each in (fast, "botocore"):
        with serving(*[SERVER_ERROR] * 200) as server:
            connection = connect(server.url, each, max_attempts=5)
            tries[each] = [outcome(connection, *GET).tries for _ in range(12)]
    assert tries[fast] == tries["botocore"]
    assert tries[fast][0] == 5
    assert tries[fast][-1] == 1


def test_success_gives_back_its_part_of_the_quota(fast: str) -> None:
    """After as many successes as its retries took, a failed client tries again."""
    tries: dict[str, list[int]] = {}
    for each in (fast, "botocore"):
        with serving(*[SERVER_ERROR] * 39, *[FOUND] * 30, *[SERVER_ERROR] * 5) as server:
            connection = connect(server.url, each, max_attempts=5)
            while len(server.asked) < 39:
                outcome(connection, *GET)
            for _ in range(30):
                outcome(connection, *GET)
            tries[each] = [outcome(connection, *GET).tries]
    assert tries[fast] == tries["botocore"]


def test_connections_are_kept_and_no_more_than_allowed(fast: str) -> None:
    with serving(*[FOUND] * 200) as server:
        connection = connect(server.url, fast, max_pool_connections=2)
        for _ in range(5):
            connection.call(*GET)
        assert server.connections == 1
        workers = [
            threading.Thread(target=lambda: [connection.call(*GET) for _ in range(10)])
            for _ in range(6)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(server.asked) == 65
        before = server.connections
        for _ in range(5):
            connection.call(*GET)
        assert server.connections == before


def test_each_thread_gets_its_own_answer(way: str) -> None:
    from tests.core.forked import echo_server

    wrong: list[str] = []
    with echo_server() as url:
        connection = connect(url, way)

        def gets(name: str) -> None:
            for number in range(20):
                key = {"PK": {"S": f"{name}-{number}"}, "SK": {"S": name}}
                found = connection.call("GetItem", {"TableName": "chat", "Key": key})
                if found["Item"] != key:
                    wrong.append(name)

        workers = [threading.Thread(target=gets, args=(f"w{n}",)) for n in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not wrong


def test_what_is_throttled_after_every_retry_says_so(way: str) -> None:
    assert by(way, GET, [THROTTLED] * 3).result[0] is Throttled
