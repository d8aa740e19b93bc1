"""A store that is closed has no connection open, and opens one when it is used again."""

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from dynamo_chat import ChatStore, ConnectionOptions
from tests.wire.conftest import GET
from tests.wire.scripted import Action, Server, answer, serving

OPTIONS: dict[str, Any] = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}


@pytest.fixture(params=["urllib3", "pycurl", "botocore"])
def way(request: pytest.FixtureRequest) -> str:
    """The name of an HTTP client of a synchronous store."""
    if request.param == "pycurl":
        pytest.importorskip("pycurl")
    return str(request.param)


def store_on(server: Server, way: str) -> ChatStore:
    options = ConnectionOptions(**OPTIONS, http_client=cast("Any", way), max_attempts=1)
    return ChatStore("chat", endpoint_url=server.url, options=options)


def test_a_closed_store_opens_a_new_connection(way: str) -> None:
    with serving(*[answer({})] * 5) as server, store_on(server, way) as store:
        for _ in range(2):
            store.connection.call(*GET)
        store.close()
        store.close()
        for _ in range(2):
            store.connection.call(*GET)
    assert [each.connection for each in server.asked] == [0, 0, 1, 1]


def test_closing_ends_the_connection_at_once(way: str) -> None:
    """The server reads its end; nobody waits for the garbage collector."""
    ended: list[bytes] = []

    def answered_then_read(server: Server, there: socket.socket) -> bool:
        answer({})(server, there)
        there.settimeout(10)
        ended.append(there.recv(1))
        return False

    with serving(cast("Action", answered_then_read)) as server:
        store = store_on(server, way)
        store.connection.call(*GET)
        store.close()
    assert ended == [b""]


def test_a_store_that_was_never_used_is_closed() -> None:
    ChatStore("chat", region="eu-west-1").close()


def test_calls_that_run_meanwhile_finish(way: str) -> None:
    with (
        serving(*[answer({})] * 200) as server,
        store_on(server, way) as store,
        ThreadPoolExecutor(4) as pool,
    ):
        running = [pool.submit(store.connection.call, *GET) for _ in range(200)]
        for _ in range(50):
            store.close()
        assert not any("Item" in each.result() for each in running)
    assert len(server.asked) == 200


@pytest.mark.parametrize("times", [1, 2])
def test_a_block_closes_its_store_whatever_happens(times: int) -> None:
    with serving(*[answer({})] * 2) as server:
        store = store_on(server, "urllib3")
        for _ in range(times):
            with pytest.raises(ZeroDivisionError), store:
                _ = 1 / len(store.connection.call(*GET))  # the answer is empty
    assert [each.connection for each in server.asked] == list(range(times))
