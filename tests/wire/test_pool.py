"""The transport of urllib3: what it writes itself, and what it leaves to urllib3."""

from typing import Any

import pytest
from botocore.awsrequest import AWSHTTPConnection
from botocore.exceptions import HTTPClientError

from dynamo_chat.core.pool import PoolTransport
from dynamo_chat.core.transport import Outgoing
from tests.wire.conftest import GET, KEY, connect
from tests.wire.scripted import Server, answer, serving

FOUND = answer({"Item": KEY})


def transport_to(server: Server) -> PoolTransport:
    """The transport of a connection that has asked once."""
    connection = connect(server.url, "urllib3")
    connection.call(*GET)
    transport = connection._pynamo._current().transport
    assert isinstance(transport, PoolTransport)
    return transport


@pytest.mark.parametrize("value", ["a\r\nX-B: b", "a\nX-B: b", "a\rX-B: b", "a\r\n"])
def test_no_header_can_bring_another_one(value: str) -> None:
    with serving(FOUND, FOUND) as server:
        transport = transport_to(server)
        with pytest.raises(HTTPClientError, match="Invalid header value"):
            transport.send(Outgoing(server.url + "/", {"X-A": value}, b"{}"))
        assert len(server.asked) == 1


def test_a_body_of_any_size_goes_along() -> None:
    with serving(FOUND, FOUND) as server:
        body = b'{"a":"' + bytes([97]) * 3_000_000 + b'"}'
        reply = transport_to(server).send(Outgoing(server.url + "/", {}, body))
        assert reply.status_code == 200
        assert server.asked[1].body == body
        assert server.connections == 1


def test_a_tool_that_replaces_connections_sees_every_request() -> None:
    """Such as one that records requests, or answers them."""
    seen: list[str] = []

    class Watched(AWSHTTPConnection):  # type: ignore[misc]  # botocore has no types
        def request(self, method: str, url: str, *args: Any, **options: Any) -> None:
            seen.append(f"{method} {url}")
            super().request(method, url, *args, **options)

    with serving(FOUND, FOUND, FOUND) as server:
        transport = transport_to(server)
        transport.close()
        pool = transport._routes[server.url + "/"].pool
        while (kept := pool.pool.get(block=False)) is not None:
            kept.close()
        pool.ConnectionCls = Watched
        for _ in range(2):
            assert transport.send(Outgoing(server.url + "/", {}, b"{}")).status_code == 200
    assert seen == ["POST /", "POST /"]
