"""Where the bytes of the short way travel: what a transport is, and what it is set up with.

A transport sends one HTTP request and returns the response, or raises botocore's error for what
went wrong. It also does the waiting, so that an asynchronous one can leave the event loop to
others meanwhile. `core/pool.py` has urllib3, `core/curl.py` libcurl.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import botocore.httpsession
from botocore import exceptions as aws

HttpClient = Literal["pycurl", "urllib3", "botocore"]


class Outgoing(NamedTuple):
    """A signed HTTP request: a POST of a JSON body."""

    url: str
    headers: dict[str, str]
    body: bytes


class Reply:
    """An HTTP response; its attributes have the names of botocore's `AWSResponse`."""

    __slots__ = ("content", "headers", "status_code")

    def __init__(self, status_code: int, headers: Any, content: bytes) -> None:
        self.status_code = status_code
        self.headers = headers
        """A mapping whose `get` and `items` do not mind the case of a name."""
        self.content = content


class Headers:
    """The header lines of a response, read when they are asked for."""

    __slots__ = ("_lines",)

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def get(self, name: str, default: str | None = None) -> str | None:
        wanted = name.lower().encode() + b":"
        size = len(wanted)
        for line in reversed(self._lines):
            if line[:size].lower() == wanted:
                return line[size:].strip().decode("iso-8859-1")
        return default

    def items(self) -> list[tuple[str, str]]:
        """Names and values of the last response: a proxy's own comes before it."""
        found: list[tuple[str, str]] = []
        for line in self._lines:
            if line.startswith(b"HTTP/"):
                found.clear()
            name, colon, value = line.decode("iso-8859-1").partition(":")
            if colon:
                found.append((name.strip(), value.strip()))
        return found


HEADER_LINE = "%s: %s".__mod__
"""The line of a header, from a pair of its name and value."""


class Transport(Protocol):
    """Sends requests for one client. Safe to share between threads."""

    def send(self, request: Outgoing) -> Reply:
        """The response, whatever its status; or one of botocore's connection errors."""

    def sleep(self, seconds: float) -> None:
        """Wait before the next attempt."""

    def credentials(self, current: Any) -> Any:
        """Botocore's frozen credentials; renewing them may wait for a network or a disk."""

    def let_go(self) -> None:
        """Close a forked child's copies of the sockets that its parent uses."""


class HttpSettings:
    """What a botocore client's HTTP session was set up with."""

    def __init__(self, session: Any) -> None:
        """AttributeError if this botocore keeps its settings elsewhere."""
        if type(session) is not botocore.httpsession.URLLib3Session:
            raise AttributeError("the client has an HTTP session of its own")
        timeout = session._timeout  # noqa: SLF001 - this and the following: botocore exposes none
        one = isinstance(timeout, (int, float))
        self.session = session
        self.connect_timeout: float = timeout if one else timeout.connect_timeout
        self.read_timeout: float = timeout if one else timeout.read_timeout
        self.max_connections = int(session._max_pool_connections)  # noqa: SLF001
        self.verify: bool | str = session._verify  # noqa: SLF001
        self.certificate: tuple[str | None, str | None] = (session._cert_file, session._key_file)  # noqa: SLF001
        self.socket_options: list[Any] = list(session._socket_options)  # noqa: SLF001
        self.proxy_settings: Mapping[str, Any] = {
            name: value
            for name, value in session._proxy_config.settings.items()  # noqa: SLF001
            if value is not None
        }

    def proxy_for(self, url: str) -> str | None:
        """The proxy of requests to `url`; None if they go straight to the endpoint."""
        found: str | None = self.session._proxy_config.proxy_url_for(url)  # noqa: SLF001
        return found

    def ca_bundle(self) -> str | None:
        """The file or folder of trusted certificates; None if none are checked."""
        if not self.verify:
            return None
        return str(botocore.httpsession.get_cert_path(self.verify))


class Waiting:
    """The waiting of a synchronous transport."""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        """Close the connections of its own that no request uses now."""

    def credentials(self, current: Any) -> Any:
        return current.get_frozen_credentials()


def proxy_failed(proxy: str | None, error: Exception) -> Exception:
    """The error of a proxy that did not let a request through; without its password."""
    masked = botocore.httpsession.mask_proxy_url(proxy or "")
    failure: Exception = aws.ProxyConnectionError(proxy_url=masked, error=error)
    return failure
