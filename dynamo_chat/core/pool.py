"""The transport that needs nothing more: urllib3, which comes with botocore.

urllib3 opens the connections and keeps them. On one that is open, it would take four times as long
for a small request as the sockets and `http.client` need; so there the request goes to the socket
itself. Whatever is not ordinary (a proxy, somebody else's connections) is left to urllib3.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any, NamedTuple

import urllib3.exceptions as http_errors
from botocore import awsrequest, exceptions as aws
from urllib3.util.retry import Retry

from dynamo_chat.core.signing import host_of
from dynamo_chat.core.transport import (
    HEADER_LINE,
    Headers,
    HttpSettings,
    Outgoing,
    Reply,
    Waiting,
    proxy_failed,
)


class _Route(NamedTuple):
    """How requests to one address travel."""

    pool: Any
    """The connections."""
    target: str
    proxy: str | None
    beginning: str
    """The first lines of each request."""


class PoolTransport(Waiting):
    """The pools of a botocore client's own HTTP session: urllib3, without botocore's steps.

    Proxies, certificates, timeouts and the number of connections are the session's.
    """

    def __init__(self, http: HttpSettings) -> None:
        self._session = http.session
        self._http = http
        self._routes: dict[str, _Route] = {}

    def send(self, request: Outgoing) -> Reply:
        url = request.url
        proxy: str | None = None
        try:
            route = self._routes.get(url) or self._route(url)
            proxy = route.proxy
            reply = self._on_open_connection(route, request) if proxy is None else None
            return reply or _through_urllib3(route, request)
        except Exception as error:
            raise translated(error, url, proxy) from error

    def _on_open_connection(self, route: _Route, request: Outgoing) -> Reply | None:
        """The response on a connection that is open already, or None. The errors are urllib3's."""
        sent = _written(route, request)
        if sent is None:
            return None
        pool = route.pool
        connection = pool._get_conn()  # noqa: SLF001 - it also closes one that the server has left
        there = connection.sock
        if type(connection) not in _CONNECTIONS or not isinstance(there, socket.socket):
            pool._put_conn(connection)  # noqa: SLF001
            return None
        kept, is_sent = None, False
        try:
            there.settimeout(self._http.connect_timeout)
            with suppress(BrokenPipeError, ConnectionResetError):  # there may be an answer already
                there.sendall(sent)
            is_sent = True
            there.settimeout(self._http.read_timeout)
            reply, stays = _received(there)
            if stays:
                kept = connection
            return reply
        except ssl.SSLError as error:
            raise http_errors.SSLError(error) from error
        except (OSError, HTTPException) as error:
            if is_sent and isinstance(error, TimeoutError):
                raise http_errors.ReadTimeoutError(pool, route.target, "Read timed out.") from error
            raise http_errors.ProtocolError("Connection aborted.", error) from error
        finally:
            if kept is None:
                connection.close()
            pool._put_conn(kept)  # noqa: SLF001 - None stands for one that is opened when needed

    def _route(self, url: str) -> _Route:
        """The pool for `url`, the request's target and its proxy, as botocore chooses them."""
        session = self._session
        proxy = self._http.proxy_for(url)
        pool = session._get_connection_manager(url, proxy).connection_from_url(url)  # noqa: SLF001
        session._setup_ssl_cert(pool, url, session._verify)  # noqa: SLF001
        target = session._get_request_target(url, proxy)  # noqa: SLF001
        lines = f"POST {target} HTTP/1.1", f"Host: {host_of(url)}", "Accept-Encoding: identity"
        route = _Route(pool, target, proxy, "\r\n".join(lines))
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[url] = route
        return route

    def let_go(self) -> None:
        """Nothing more: the pools are the botocore client's, which resets them itself."""


_NO_RETRIES = Retry(False)
_MAX_ROUTES = 16
"""An endpoint has one address, or one for each account that its credentials are of."""

_CONNECTIONS = (awsrequest.AWSHTTPConnection, awsrequest.AWSHTTPSConnection)
"""Other connections are those of a tool that records or answers requests."""


def _through_urllib3(route: _Route, request: Outgoing) -> Reply:
    found = route.pool.urlopen(
        "POST",
        route.target,
        body=request.body,
        headers=request.headers,
        retries=_NO_RETRIES,
        redirect=False,
        assert_same_host=False,
        preload_content=False,
        decode_content=False,
        enforce_content_length=False,
    )
    return Reply(found.status, found.headers, _content(found))


def _written(route: _Route, request: Outgoing) -> bytes | None:
    """The bytes of a request; None if a header holds a line break, which urllib3 refuses."""
    length = f"Content-Length: {len(request.body)}"
    lines = [route.beginning, length, *map(HEADER_LINE, request.headers.items()), "\r\n"]
    head = "\r\n".join(lines)
    if head.count("\n") != _OWN_LINES + len(request.headers) or "\r" in head.replace("\r\n", ""):
        return None
    return head.encode("iso-8859-1") + request.body


_OWN_LINES = 5
"""The lines of a head besides its headers; the last one is empty."""


def _received(there: socket.socket) -> tuple[Reply, bool]:
    """The response on a socket, and whether another request may follow on it.

    Of a body that was cut, what there is of it, as botocore reads it.
    """
    response = HTTPResponse(there, method="POST")
    try:
        ordinary = _ordinary(response.fp)
        if ordinary is not None:
            status, headers, length = ordinary
            content = response.fp.read(length)
            return Reply(status, headers, content), len(content) == length
        response.begin()
        stays = not response.will_close
        try:
            content = response.read()
        except IncompleteRead as cut:
            content, stays = cut.partial, False
        return Reply(response.status, response.headers, content), stays
    finally:
        response.close()


def _ordinary(answer: Any) -> tuple[int, Headers, int] | None:
    """Status, headers and length of a response as DynamoDB sends it, taken from its beginning.

    None for any other, of which nothing is taken. `http.client` reads header lines with the parser
    of e-mails, which takes longer than all the rest of a request.
    """
    head, end, _ = answer.peek().partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status = lines[0][9:12]
    if not end or not head.startswith(b"HTTP/1.1 ") or not status.isdigit():
        return None
    values: dict[bytes, bytes] = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        values[name.lower()] = value.strip()
    length = values.get(b"content-length", b"")
    if (
        not length.isdigit()
        or not _FIRST_STATUS <= status < _LAST_STATUS
        or status in _WITHOUT_BODY
        or values.get(b"connection", _KEPT).lower() != _KEPT
        or b"transfer-encoding" in values
        or len(values) != len(lines) - 1  # a header twice, or over several lines
    ):
        return None
    answer.read(len(head) + len(end))
    return int(status), Headers(lines), int(length)


_FIRST_STATUS, _LAST_STATUS = b"200", b"600"
_WITHOUT_BODY = (b"204", b"304")
_KEPT = b"keep-alive"


def _content(found: Any) -> bytes:
    """The body of a response; of one that was cut, what there is of it, as botocore reads it."""
    try:
        content: bytes = found.read()
    except http_errors.ProtocolError as error:
        cut = error.args[-1]
        if not isinstance(cut, IncompleteRead):
            raise
        content = cut.partial
    return content


def translated(error: Exception, url: str, proxy: str | None) -> Any:
    """The error that botocore's own session raises for one of urllib3's."""
    if isinstance(error, http_errors.SSLError):
        return aws.SSLError(endpoint_url=url, error=error)
    if isinstance(error, (http_errors.NewConnectionError, socket.gaierror)):
        return aws.EndpointConnectionError(endpoint_url=url, error=error)
    if isinstance(error, http_errors.ProxyError):
        return proxy_failed(proxy, error)
    if isinstance(error, http_errors.ConnectTimeoutError):
        return aws.ConnectTimeoutError(endpoint_url=url, error=error)
    if isinstance(error, http_errors.ReadTimeoutError):
        return aws.ReadTimeoutError(endpoint_url=url, error=error)
    if isinstance(error, http_errors.ProtocolError):
        return aws.ConnectionClosedError(error=error, request=None, endpoint_url=url)
    return aws.HTTPClientError(error=error)
