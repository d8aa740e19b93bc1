"""A loopback server that answers DynamoDB operations with fixed bytes.

It does nothing that costs time, so what a client spends on a request is the client's own. It runs
in a process of its own, to leave the measured process alone, and ends with the process that
started it.
"""

import asyncio
import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

HEAD_END = b"\r\n\r\n"


@contextmanager
def canned_server(bodies: Mapping[str, bytes], delay: float = 0.0) -> Iterator[str]:
    """The URL of a server that answers each operation in ``bodies`` with its body.

    Each answer takes ``delay`` seconds.
    """
    answers = {operation: body.decode() for operation, body in bodies.items()}
    spec = json.dumps({"answers": answers, "delay": delay})
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the canned server has no pipes")
    with process:
        process.stdin.write(spec + "\n")
        process.stdin.flush()
        port = int(process.stdout.readline())
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stdin.close()  # the server stops when its input ends


def response(body: bytes, status: str = "200 OK") -> bytes:
    """A whole HTTP response around ``body``, with the headers that DynamoDB sends."""
    head = (
        f"HTTP/1.1 {status}\r\n"
        "Server: Server\r\n"
        "Date: Tue, 30 Dec 2025 14:00:00 GMT\r\n"
        "Content-Type: application/x-amz-json-1.0\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: keep-alive\r\n"
        "x-amzn-RequestId: 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEF\r\n"
        f"x-amz-crc32: {zlib.crc32(body)}\r\n"
    )
    return head.encode() + b"\r\n" + body


class _Answers(asyncio.Protocol):
    """Reads requests from a connection, one after the other, and writes the fixed responses."""

    def __init__(self, answers: Mapping[bytes, bytes], delay: float) -> None:
        self._answers = answers
        self._delay = delay
        self._unknown = response(b'{"__type":"UnknownOperationException"}', "400 Bad Request")
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._transport is not None and (taken := self._take()):
            found = self._answers.get(taken, self._unknown)
            if self._delay:
                loop = asyncio.get_running_loop()
                loop.call_later(self._delay, self._transport.write, found)
            else:
                self._transport.write(found)

    def _take(self) -> bytes:
        """Remove the next complete request from what was received. Returns its operation, or ""."""
        head, end, rest = self._received.partition(HEAD_END)
        if not end:
            return b""
        length, operation = 0, b"?"
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            match name.lower():
                case b"content-length":
                    length = int(value)
                case b"x-amz-target":
                    operation = value.strip().rpartition(b".")[2]
        if len(rest) < length:
            return b""
        self._received = rest[length:]
        return operation


async def _serve(answers: Mapping[bytes, bytes], delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answers(answers, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    spec = json.loads(sys.stdin.readline())
    found = {name.encode(): response(body.encode()) for name, body in spec["answers"].items()}
    asyncio.run(_serve(found, spec["delay"]))
