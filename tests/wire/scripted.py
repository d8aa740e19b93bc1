"""A server that does what a script says, request by request, and keeps what it was sent."""

import json
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Asked:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """The number of the connection that it came on, from 0."""

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)

    @property
    def key_id(self) -> str:
        """The access key of its signature."""
        return self.headers["authorization"].partition("Credential=")[2].partition("/")[0]


Action = Callable[["Server", socket.socket], bool]
"""Answers a request; False if the connection is closed."""


@dataclass
class Server:
    """What is left of a script, and what came."""

    script: list[Action] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    connections: int = 0
    refuses: bool = False
    """True for a proxy that opens no tunnel."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def answer(
    body: Any, status: int = 200, *, checksum: str | None = None, cut: int = 0, **headers: str
) -> Action:
    """A response with DynamoDB's checksum, or another one; without its last `cut` bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {
        "Content-Type": "application/x-amz-json-1.0",
        "Content-Length": str(len(content)),
        "x-amz-crc32": str(zlib.crc32(content)) if checksum is None else checksum,
        "x-amzn-RequestId": "R-1",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = f"HTTP/1.1 {status} Whatever\r\n" + "".join(f"{n}: {v}\r\n" for n, v in given.items())

    def act(_: Server, there: socket.socket) -> bool:
        there.sendall(head.encode() + b"\r\n" + content[: len(content) - cut])
        return not cut

    return act


def raw(*pieces: bytes, stays: bool = True) -> Action:
    """These bytes, one piece after the other; the connection is closed unless it stays."""

    def act(_: Server, there: socket.socket) -> bool:
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            there.sendall(piece)
        return stays

    return act


def error(code: str, status: int = 400, message: str = "Scripted", **more: Any) -> Action:
    """An error in DynamoDB's form."""
    return answer(
        {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more}, status
    )


def dropped(_: Server, __: socket.socket) -> bool:
    """The connection is closed without an answer."""
    return False


def reset(_: Server, there: socket.socket) -> bool:
    """The connection is reset without an answer."""
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def silent(server: Server, _: socket.socket) -> bool:
    """Nothing comes as long as the test runs."""
    server.is_over.wait(60)
    return False


@contextmanager
def serving(*script: Action, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server that follows the script; then it closes connections without an answer."""
    server = Server(list(script))
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    threads: list[threading.Thread] = []

    def accept() -> None:
        while not server.is_over.is_set():
            with suppress(OSError):
                there, _ = listener.accept()
                number, server.connections = server.connections, server.connections + 1
                thread = threading.Thread(target=_talk, args=(server, there, tls, number))
                threads.append(thread)
                thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield server
    finally:
        server.is_over.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", server.port), 5).close()  # wakes accept
        listener.close()
        accepting.join()
        for thread in threads:
            thread.join()


def _talk(server: Server, plain: socket.socket, tls: ssl.SSLContext | None, number: int) -> None:
    there = plain
    with suppress(OSError, ssl.SSLError):
        plain.settimeout(0.05)  # to notice the end of the test
        if tls is not None:
            plain.settimeout(10)
            there = tls.wrap_socket(plain, server_side=True)
            there.settimeout(0.05)
        while (asked := _read(server, there, number)) is not None:
            if asked.line.startswith("CONNECT") and not server.refuses:
                _tunnel(server, there, asked)
                break
            server.asked.append(asked)
            action = server.script.pop(0) if server.script else dropped
            if not action(server, there):
                break
    with suppress(OSError):
        there.close()


def _read(server: Server, there: socket.socket, number: int) -> Asked | None:
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        if end:
            line, *rest = head.decode().split("\r\n")
            headers = {n.lower(): v for n, _, v in (each.partition(": ") for each in rest)}
            if len(body) >= int(headers.get("content-length", 0)):
                return Asked(line, headers, body, number)
        try:
            more = there.recv(65536)
        except TimeoutError:
            if server.is_over.is_set():
                return None
            continue
        if not more:
            return None
        received += more


def _tunnel(server: Server, there: socket.socket, asked: Asked) -> None:
    """Be a proxy for one TLS connection."""
    server.asked.append(asked)
    host, _, port = asked.line.split()[1].rpartition(":")
    with socket.create_connection((host, int(port)), 5) as onward:
        onward.settimeout(0.05)
        there.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        back = threading.Thread(target=_copy, args=(server, onward, there))
        back.start()
        _copy(server, there, onward)
        back.join()


def _copy(server: Server, here: socket.socket, there: socket.socket) -> None:
    while not server.is_over.is_set():
        try:
            some = here.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            break
        if not some:
            break
        there.sendall(some)
    with suppress(OSError):
        there.shutdown(socket.SHUT_WR)
