"""The transport that needs nothing more: urllib3, which comes with botocore."""

from __future__ import annotations

import socket
from http.client import IncompleteRead
from typing import Any

import urllib3.exceptions as http_errors
from botocore import exceptions as aws
from urllib3.util.retry import Retry

from dynamo_chat.core.transport import HttpSettings, Outgoing, Reply, Waiting, proxy_failed


class PoolTransport(Waiting):
    """The pools of a botocore client's own HTTP session: urllib3, without botocore's steps.

    Proxies, certificates, timeouts and the number of connections are the session's.
    """

    def __init__(self, http: HttpSettings) -> None:
        self._session = http.session
        self._http = http
        self._routes: dict[str, tuple[Any, str, str | None]] = {}

    def send(self, request: Outgoing) -> Reply:
        url, headers, body = request
        proxy: str | None = None
        try:
            pool, target, proxy = self._routes.get(url) or self._route(url)
            found = pool.urlopen(
                "POST",
                target,
                body=body,
                headers=headers,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                enforce_content_length=False,
            )
            return Reply(found.status, found.headers, _content(found))
        except Exception as error:
            raise translated(error, url, proxy) from error

    def _route(self, url: str) -> tuple[Any, str, str | None]:
        """The pool for `url`, the request's target and its proxy, as botocore chooses them."""
        session = self._session
        proxy = self._http.proxy_for(url)
        pool = session._get_connection_manager(url, proxy).connection_from_url(url)  # noqa: SLF001
        session._setup_ssl_cert(pool, url, session._verify)  # noqa: SLF001
        route = pool, session._get_request_target(url, proxy), proxy  # noqa: SLF001
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[url] = route
        return route

    def let_go(self) -> None:
        """Nothing more: the pools are the botocore client's, which resets them itself."""


_NO_RETRIES = Retry(False)
_MAX_ROUTES = 16
"""An endpoint has one address, or one for each account that its credentials are of."""


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
