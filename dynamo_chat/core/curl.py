"""The faster transport: libcurl, through pycurl. Comes with the extra `fast`.

A handle belongs to one request at a time: it is taken from a stack, used, and put back with its
open connection, the warmest on top. Everything is set as botocore's own session has it.
"""

from __future__ import annotations

import math
import os
import socket
from collections import deque
from contextlib import suppress
from typing import Any

import pycurl
from botocore import exceptions as aws

from dynamo_chat.core.transport import (
    HEADER_LINE,
    Headers,
    HttpSettings,
    Outgoing,
    Reply,
    Waiting,
    proxy_failed,
)

_TO_ENDPOINT = {pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT}
_OF_TLS = {
    pycurl.E_SSL_CONNECT_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CACERT,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER,
    pycurl.E_SSL_ENGINE_NOTFOUND,
}
_CLOSED = {
    pycurl.E_ABORTED_BY_CALLBACK,
    pycurl.E_GOT_NOTHING,
    pycurl.E_PARTIAL_FILE,
    pycurl.E_RECV_ERROR,
    pycurl.E_SEND_ERROR,
}
_WHOLE_SECOND = 1.0
_KNOWN_OPTIONS = {
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
}


def unsuitable(http: HttpSettings) -> str | None:
    """Why libcurl can't do what this client is set up for; None if it can."""
    if not hasattr(pycurl, "PREREQFUNCTION"):
        return "pycurl is older than 7.46"
    if os.environ.get("BOTO_EXPERIMENTAL__ADD_PROXY_HOST_HEADER"):
        return "the header that a proxy gets is botocore's"
    if http.proxy_settings:
        return "the settings of a proxy are urllib3's"
    if not set(map(tuple, http.socket_options)) <= _KNOWN_OPTIONS:
        return "the options of its sockets are urllib3's"
    return None


class CurlTransport(Waiting):
    """A stack of libcurl handles, each with one connection."""

    def __init__(self, http: HttpSettings) -> None:
        self._http = http
        self._free: deque[_Handle] = deque(maxlen=http.max_connections)

    def send(self, request: Outgoing) -> Reply:
        try:
            handle = self._free.pop()
        except IndexError:
            handle = _Handle(self._http)
        reply = handle.send(request)
        # A handle whose request failed is not used again, nor one beyond the limit: closed with it.
        if len(self._free) < self._http.max_connections:
            self._free.append(handle)
        return reply

    def close(self) -> None:
        with suppress(IndexError):
            while True:
                self._free.pop().close()

    def let_go(self) -> None:
        inherited, self._free = self._free, deque(maxlen=self._http.max_connections)
        for handle in inherited:
            handle.let_go()


class _Handle:
    """One libcurl handle, with the connection that it keeps open."""

    def __init__(self, http: HttpSettings) -> None:
        self._http = http
        self._url = ""
        self._proxy: str | None = None
        self._sent = False
        self._curl = curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.POST, 1)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.MAXCONNECTS, 1)
        # A lost answer must be counted as one: no second sending that nobody is told of.
        curl.setopt(pycurl.PREREQFUNCTION, self._once)
        # Called once a second at least: there Python runs signal handlers, such as Ctrl-C's.
        curl.setopt(pycurl.NOPROGRESS, 0)
        curl.setopt(pycurl.XFERINFOFUNCTION, _go_on)
        self._set_timeouts()
        self._set_trust()
        for level, name, _ in http.socket_options:
            if (level, name) == (socket.SOL_SOCKET, socket.SO_KEEPALIVE):
                curl.setopt(pycurl.TCP_KEEPALIVE, 1)

    def _set_timeouts(self) -> None:
        read, connect = self._http.read_timeout, self._http.connect_timeout
        self._curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(connect * 1000)))
        if read < _WHOLE_SECOND:  # libcurl watches for silence in whole seconds
            self._curl.setopt(pycurl.TIMEOUT_MS, max(1, round((connect + read) * 1000)))
        else:
            self._curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
            self._curl.setopt(pycurl.LOW_SPEED_TIME, math.ceil(read))

    def _set_trust(self) -> None:
        curl, bundle = self._curl, self._http.ca_bundle()
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        if bundle is None:
            curl.setopt(pycurl.SSL_VERIFYPEER, 0)
            curl.setopt(pycurl.SSL_VERIFYHOST, 0)
        else:
            curl.setopt(pycurl.CAPATH if os.path.isdir(bundle) else pycurl.CAINFO, bundle)  # noqa: PTH112
        certificate, key = self._http.certificate
        if certificate is not None:
            curl.setopt(pycurl.SSLCERT, certificate)
        if key is not None:
            curl.setopt(pycurl.SSLKEY, key)

    def _set_route(self, url: str) -> None:
        self._proxy = self._http.proxy_for(url)
        self._curl.setopt(pycurl.URL, url)
        # Both also turn off libcurl's own look into the environment.
        self._curl.setopt(pycurl.PROXY, self._proxy or "")
        self._curl.setopt(pycurl.NOPROXY, "")
        self._url = url

    def _once(self, *_: Any) -> int:
        if self._sent:
            return int(pycurl.PREREQFUNC_ABORT)
        self._sent = True
        return int(pycurl.PREREQFUNC_OK)

    def send(self, request: Outgoing) -> Reply:
        curl = self._curl
        url, headers, body = request
        chunks: list[bytes] = []
        lines: list[bytes] = []
        try:
            if url != self._url:
                self._set_route(url)
            self._sent = False
            curl.setopt(pycurl.HTTPHEADER, [*_NO_OTHERS, *map(HEADER_LINE, headers.items())])
            curl.setopt(pycurl.POSTFIELDS, body)
            curl.setopt(pycurl.WRITEFUNCTION, chunks.append)
            curl.setopt(pycurl.HEADERFUNCTION, lines.append)
            curl.perform()
        except pycurl.error as error:
            code = error.args[0]
            replied = Headers(lines)
            if code == pycurl.E_PARTIAL_FILE and replied.get("content-length") is not None:
                return Reply(self._status(), replied, b"".join(chunks))  # cut: its reader notices
            raise self._translated(code, error) from error
        return Reply(curl.getinfo(pycurl.RESPONSE_CODE), Headers(lines), b"".join(chunks))

    def _status(self) -> int:
        return int(self._curl.getinfo(pycurl.RESPONSE_CODE))

    def _translated(self, code: int, error: Exception) -> Any:
        """The error that botocore's own session raises in this case."""
        url, curl = self._url, self._curl
        if code in _OF_TLS:
            return aws.SSLError(endpoint_url=url, error=error)
        refused = curl.getinfo(pycurl.HTTP_CONNECTCODE) >= 300
        if self._proxy and (
            refused or code in {pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_CONNECT}
        ):
            return proxy_failed(self._proxy, error)
        if code in _TO_ENDPOINT:
            return aws.EndpointConnectionError(endpoint_url=url, error=error)
        if code == pycurl.E_OPERATION_TIMEDOUT:
            if self._sent:
                return aws.ReadTimeoutError(endpoint_url=url, error=error)
            return aws.ConnectTimeoutError(endpoint_url=url, error=error)
        if code in _CLOSED:
            return aws.ConnectionClosedError(error=error, request=None, endpoint_url=url)
        return aws.HTTPClientError(error=error)

    def close(self) -> None:
        """Close its connection."""
        self._curl.close()

    def let_go(self) -> None:
        """Close this process's copy of the socket without a word to the server.

        libcurl would end a TLS session that the parent still uses; so it gets a hole to write to.
        """
        copied = self._curl.getinfo(pycurl.ACTIVESOCKET)
        if copied < 0:
            return
        hole = os.open(os.devnull, os.O_RDWR)
        try:
            os.dup2(hole, copied)
        finally:
            os.close(hole)


def _go_on(*_: int) -> int:
    return 0


# What libcurl would add and botocore does not send; "Expect" would wait for a second answer.
_NO_OTHERS = ("Accept:", "Expect:")
