"""A ministack server: DynamoDB's API over HTTP, for tests with several processes.

    with MinistackServer() as server:
        with server.engine() as engine:
            store = engine.store("chat-test")

ministack is installed in its own environment, because it pins another botocore. That happens once,
in a folder that may be deleted at any time, unless an interpreter that has ministack is named. The
server listens on 127.0.0.1 only, and stores nothing on disk unless it is given a folder.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Self

from dynamo_chat.testing.engine import DEFAULT_REGION, Engine

MINISTACK = "ministack==1.5.33"
PYTHON_VARIABLE = "DYNAMO_CHAT_TEST_MINISTACK_PYTHON"
"""The environment variable that may name an interpreter that has ministack."""

HOST = "127.0.0.1"
START_ATTEMPTS = 3
START_SECONDS = 30.0
STOP_SECONDS = 10.0
SAVE_SECONDS = 120.0
"""How long a server with a folder may take to save its tables when it is stopped."""

_SETTINGS = {
    "BIND_HOST": HOST,
    "SERVICES": "dynamodb,dynamodbstreams,s3",
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
    "PERSIST_STATE": "0",
    "S3_PERSIST": "0",
}
# Settings of this interpreter, and those that would make the server write state.
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LOCALSTACK_PERSISTENCE")


class ServerFailed(RuntimeError):
    """The server could not be installed or started. The message ends with its output."""


class MinistackServer:
    """A ministack process, from `start` to `stop`, or as a context manager.

    `python` is an interpreter that has ministack; by default the one in the environment variable
    `DYNAMO_CHAT_TEST_MINISTACK_PYTHON`, or else one that is installed under `cache` (by default
    ``.ministack`` in the working folder). With a folder `state`, it stores its tables there.
    """

    def __init__(
        self,
        *,
        python: Path | None = None,
        cache: Path | None = None,
        state: Path | None = None,
    ) -> None:
        named = os.environ.get(PYTHON_VARIABLE)
        self._python = python or (Path(named) if named else None)
        self._cache = cache or Path(".ministack")
        self._state = state
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        """The server's address. RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return f"http://{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it is not running."""
        return None if self._process is None else self._process.pid

    def engine(self, *, region: str = DEFAULT_REGION) -> Engine:
        """An `Engine` on this server, to be entered as a context."""
        return Engine(self.endpoint_url, region=region)

    def start(self) -> Self:
        """Install it if necessary, start it on a free port, and wait until it is ready."""
        if self._process is not None:
            return self
        python = self._interpreter()
        printed = ""
        for _ in range(START_ATTEMPTS):
            # Another process may take the port before the server listens: then try another one.
            self._port = _free_port()
            self._launch(python)
            if self._answers():
                return self
            printed = self._printed()
            self.stop()
        raise ServerFailed(f"ministack did not start:\n{printed}")

    def restart(self) -> Self:
        """Stop it, and start it again at the same address, with the tables that it stored.

        RuntimeError when it has no folder `state`; ServerFailed when another process took the port.
        Unlike DynamoDB, it forgets the tokens of transactions.
        """
        if self._state is None:
            raise RuntimeError("a server without state=… would lose its tables in a restart")
        port, printed = self._port, ""
        self.stop()
        for _ in range(START_ATTEMPTS):
            self._port = port
            self._launch(self._interpreter())
            if self._answers():
                return self
            printed = self._printed()
            self.stop()
        raise ServerFailed(f"ministack did not start again:\n{printed}")

    def stop(self) -> None:
        """Stop it and wait for its process to end. Its tables are lost without a folder `state`."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS if self._state is None else SAVE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._output is not None:
            self._output.close()
            self._output = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _interpreter(self) -> Path:
        return self._python or install_ministack(self._cache)

    def _launch(self, python: Path) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in _NOT_INHERITED and not name.startswith("AWS_")
        }
        environment |= {**_SETTINGS, "GATEWAY_PORT": str(self._port)}
        if self._state is not None:
            environment |= {"PERSIST_STATE": "1", "STATE_DIR": str(self._state)}
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process = subprocess.Popen(  # noqa: S603 - the interpreter that the caller named
            [str(python), "-m", "ministack"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def _answers(self) -> bool:
        """Wait until it is ready; False if it ended or took too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            if _is_healthy(self._port):
                return True
            time.sleep(0.05)
        return False

    def _printed(self) -> str:
        if self._output is None:
            return ""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")[-2_000:]


def install_ministack(cache: Path) -> Path:
    """Install ministack under `cache` if necessary, and return its interpreter.

    Two processes may do this at once: each creates one, and the first to finish is kept.
    """
    cache.mkdir(parents=True, exist_ok=True)
    version = MINISTACK.rpartition("=")[2]
    home = cache.resolve() / f"{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    if home.is_dir():
        return _interpreter(home)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=cache)).resolve()
    try:
        _run([sys.executable, "-m", "venv", str(making)])
        pip = [str(_interpreter(making)), "-m", "pip", "install", "--quiet"]
        _run([*pip, "--disable-pip-version-check", MINISTACK])
        try:
            # Renaming is safe: the server is started with -m, so no script's path matters.
            making.rename(home)
        except OSError:
            if not home.is_dir():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return _interpreter(home)


def _interpreter(home: Path) -> Path:
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _run(command: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - commands of this file
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerFailed(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2_000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
