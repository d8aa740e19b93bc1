"""Forked processes that report, and a server that answers each with its own question."""

import faulthandler
import json
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection as Pipe
from typing import Any

PATIENCE = 60.0
"""Seconds in which a child that is not stuck has long answered, on a busy machine too."""

_context = multiprocessing.get_context("fork")


class Stuck(AssertionError):
    """A child waits for something that happens in its parent alone."""


class Child:
    """A forked process that does `work` and sends back what it gave, or how it failed."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._here, there = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_report, args=(work, there), daemon=True)
        self._process.start()
        there.close()

    def answer(self) -> Any:
        """What `work` gave. Stuck, or an AssertionError with what it raised."""
        try:
            if not self._here.poll(PATIENCE):
                raise Stuck
            kind, value = self._here.recv()
            self._process.join(PATIENCE)
            if self._process.exitcode != 0:
                raise Stuck("it answered, and could not end")
        finally:
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._here.close()
        assert kind == "done", value
        return value


def forked(*works: Callable[[], Any]) -> list[Any]:
    """What forked children gave, one for each of `works`, all at once."""
    children = [Child(work) for work in works]
    return [child.answer() for child in children]


def _report(work: Callable[[], Any], there: Pipe) -> None:
    # A child that is stuck shows where, before its parent loses patience.
    faulthandler.dump_traceback_later(0.8 * PATIENCE, file=2)
    try:
        there.send(("done", work()))
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        there.send(("failed", repr(error)))


class _Echo(BaseHTTPRequestHandler):
    """Answers GetItem with an item of the key that was asked for."""

    protocol_version = "HTTP/1.1"  # connections are kept, as DynamoDB keeps them

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"Item": request["Key"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def echo_server() -> Iterator[str]:
    """The address of a server on this machine, in threads of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
