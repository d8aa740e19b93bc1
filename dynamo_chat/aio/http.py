"""Where the bytes travel on an event loop: aiohttp, set up as the botocore client is.

Its errors become botocore's, as those of the synchronous transports do: what is retried, and what
a caller gets, is decided there.
"""

from __future__ import annotations

import asyncio
import io
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from botocore import exceptions as aws
from botocore.credentials import Credentials, RefreshableCredentials

from dynamo_chat.aio.bridge import wait_for
from dynamo_chat.core.transport import HttpSettings, Outgoing, Reply, proxy_failed
from dynamo_chat.core.wire import Unfit

try:
    import aiohttp
    from yarl import URL
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "AsyncChatStore needs the extra `async`: pip install 'dynamo_chat[async]'", name=error.name
    ) from error

T = TypeVar("T")

_IDLE_SECONDS: Final = 30.0
"""How long an unused connection is kept open."""
_LARGE_BODY: Final = 2**20
"""aiohttp sends larger ones in parts, so that the loop is not held up by copying them."""
_MAX_ROUTES: Final = 16


class Threads(Protocol):
    """Runs what blocks."""

    def blocking(self, work: Callable[[], T]) -> T:
        """The result of `work`, which runs in a thread."""


class LoopTransport:
    """Sends the requests of one store. Its session belongs to the loop that sends first."""

    def __init__(self, threads: Threads, http: HttpSettings) -> None:
        """Unfit if aiohttp can't do what the client is set up for."""
        if http.proxy_settings:
            settings = ", ".join(sorted(http.proxy_settings))
            raise Unfit(f"aiohttp does not know a proxy's {settings}")
        self._threads = threads
        self._http = http
        self._session: aiohttp.ClientSession | None = None
        self._context: ssl.SSLContext | None = None
        self._routes: dict[str, tuple[URL, str | None, ssl.SSLContext | bool]] = {}

    def send(self, request: Outgoing) -> Reply:
        """The response, whatever its status; or one of botocore's connection errors."""
        route = self._routes.get(request.url) or self._route(request.url)
        return wait_for(self._post(request, *route))

    def sleep(self, seconds: float) -> None:
        """Wait before the next attempt."""
        wait_for(asyncio.sleep(seconds))

    def credentials(self, current: Any) -> Any:
        """Botocore's frozen credentials. A thread renews them when it is time."""
        if type(current) is Credentials:
            return current.get_frozen_credentials()
        if isinstance(current, RefreshableCredentials) and not current.refresh_needed():
            return current.get_frozen_credentials()
        return self._threads.blocking(current.get_frozen_credentials)

    def let_go(self) -> None:
        """Close a forked child's copies of the sockets that its parent uses, without a word.

        Also of those with a request: if the child ended one of these, its loop, which shares the
        parent's selector, would make the parent deaf to the answer.
        """
        connector: Any = self._session and self._session.connector
        if self._session is None or connector is None:
            return
        self._session.detach()  # closing it would speak to the parent's loop and server
        self._session = None
        idle: dict[Any, Any] = getattr(connector, "_conns", {})
        held = [protocol for each in idle.values() for protocol, _ in each]
        held += getattr(connector, "_acquired", ())
        idle.clear()  # or aiohttp complains, when the program ends, that nobody closed them
        _INHERITED.extend(held)
        for protocol in held:
            with suppress(AttributeError, OSError):
                os.close(protocol.transport.get_extra_info("socket")._sock.detach())  # noqa: SLF001

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(
        self, request: Outgoing, url: URL, proxy: str | None, trust: ssl.SSLContext | bool
    ) -> Reply:
        body = request.body
        session = self._session or self._open()
        try:
            response = await session.post(
                url,
                data=body if len(body) < _LARGE_BODY else io.BytesIO(body),
                headers=request.headers,
                allow_redirects=False,
                proxy=proxy,
                ssl=trust,
            )
            try:
                content = await response.read()  # which gives the connection back, or closes it
            except aiohttp.ClientPayloadError:
                content = b""  # cut: as good as none, which is noticed where answers are read
            return Reply(response.status, response.headers, content)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise translated(error, request.url, proxy) from error

    def _open(self) -> aiohttp.ClientSession:
        http = self._http
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=http.max_connections, keepalive_timeout=_IDLE_SECONDS
            ),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=http.connect_timeout, sock_read=http.read_timeout
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
        )
        return self._session

    def _route(self, address: str) -> tuple[URL, str | None, ssl.SSLContext | bool]:
        proxy = self._http.proxy_for(address)
        trust: ssl.SSLContext | bool = True
        if address.startswith("https:") or (proxy or "").startswith("https:"):
            if self._context is None:  # reading the certificates takes long
                self._context = self._threads.blocking(self._trusting)
            trust = self._context
        route = URL(address, encoded=True), proxy, trust
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[address] = route
        return route

    def _trusting(self) -> ssl.SSLContext:
        """The certificates that the client trusts, and its own."""
        bundle = self._http.ca_bundle()
        if bundle is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif Path(bundle).is_dir():
            context = ssl.create_default_context(capath=bundle)
        else:
            context = ssl.create_default_context(cafile=bundle)
        # From Python 3.13 on the default refuses private authorities that botocore accepts.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        certificate, key = self._http.certificate
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return context


_INHERITED: Final[list[Any]] = []
"""Connections of a parent process, which a forked child keeps and does not use."""


def translated(error: Exception, url: str, proxy: str | None) -> Any:
    """The error that botocore's own session raises for one of aiohttp's."""
    if isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError)):
        return proxy_failed(proxy, error)
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return aws.SSLError(endpoint_url=url, error=error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return aws.EndpointConnectionError(endpoint_url=url, error=error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return aws.ConnectTimeoutError(endpoint_url=url, error=error)
    if isinstance(error, TimeoutError):
        return aws.ReadTimeoutError(endpoint_url=url, error=error)
    if isinstance(error, OSError | aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return aws.ConnectionClosedError(error=error, request=None, endpoint_url=url)
    return aws.HTTPClientError(error=error)
