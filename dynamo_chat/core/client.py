"""The botocore client of one connection: created once, fast, and never shared with a fork.

Public botocore events make it fast: `before-parse` parses the response body as plain JSON (see
`core/answers.py`) instead of checking every AttributeValue against its shape, and `core/signing.py`
signs requests. The user agent is built once per client.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.config
import botocore.loaders
import botocore.session
from botocore import exceptions as aws
from pynamodb.connection import Connection as PynamoConnection

from dynamo_chat.core import settings
from dynamo_chat.core.answers import DATA_OPERATIONS, is_lost, parse_answer
from dynamo_chat.core.signing import PostSigner
from dynamo_chat.core.size import DEFAULT_BODY_BYTES


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Timeouts (in seconds), retries, size limits and credentials of a store."""

    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    max_attempts: int = 5
    """HTTP attempts of one request, in botocore's standard retry mode."""
    transaction_attempts: int = 25
    """How often one change is tried when other writers change the same items first."""
    max_pool_connections: int = 50
    max_body_bytes: int = DEFAULT_BODY_BYTES
    """The largest text or JSON that may be written, before compression; up to 16 MiB.

    Reading always allows 16 MiB."""
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for timeout in ("connect_timeout", "read_timeout"):
            settings.check_seconds(timeout, getattr(self, timeout))
        for count in ("max_attempts", "transaction_attempts", "max_pool_connections"):
            settings.check_count(count, getattr(self, count))
        settings.check_body_bytes("max_body_bytes", self.max_body_bytes)
        settings.check_credentials(
            self.aws_access_key_id, self.aws_secret_access_key, self.aws_session_token
        )


def new_session() -> botocore.session.Session:
    """A new botocore session that shares the parsed service descriptions."""
    session = botocore.session.Session()
    session.register_component(
        "data_loader", _descriptions(session.get_config_variable("data_path"))
    )
    return session


@cache
def _descriptions(data_path: str | None) -> botocore.loaders.Loader:
    """Botocore's service descriptions, parsed once per process: half the cost of a client."""
    return botocore.loaders.create_loader(data_path)


class PynamoClient(PynamoConnection):
    """PynamoDB's connection with its own session and a single client."""

    def __init__(self, options: ConnectionOptions, region: str | None, host: str | None) -> None:
        super().__init__(
            region=region,
            host=host,
            connect_timeout_seconds=options.connect_timeout,
            read_timeout_seconds=options.read_timeout,
            max_pool_connections=options.max_pool_connections,
            retry_configuration={"mode": "standard", "total_max_attempts": options.max_attempts},
        )
        self._options = options
        self._session: botocore.session.Session | None = None
        self._making = threading.Lock()
        self._fitted: Any = None
        self._tries = threading.local()

    @property
    def session(self) -> botocore.session.Session:
        if self._session is None:
            session = new_session()
            session.set_default_client_config(
                botocore.config.Config(user_agent=f"dynamo_chat botocore/{botocore.__version__}")
            )
            if self._options.aws_access_key_id:
                session.set_credentials(
                    self._options.aws_access_key_id,
                    self._options.aws_secret_access_key,
                    self._options.aws_session_token,
                )
            self._session = session
        return self._session

    def send(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Make one API call; reads and writes also ask for the consumed capacity."""
        self._tries.count = 0
        self._tries.lost = False
        if operation in DATA_OPERATIONS:
            answer: dict[str, Any] = self.dispatch(operation, request)
        else:  # dispatch would ask for consumed capacity, which these do not support
            answer = self._make_api_call(operation, request)
        return answer

    @property
    def tries(self) -> int:
        """HTTP attempts of this thread's last call."""
        return int(self._tries.count)

    @property
    def was_lost(self) -> bool:
        """True if an attempt of that call got no answer: it may have happened anyway."""
        return bool(self._tries.lost)

    def _count_try(self, **_: Any) -> None:
        self._tries.count = getattr(self._tries, "count", 0) + 1

    def _note_loss(self, response: Any, caught_exception: Any, **_: Any) -> None:
        if is_lost(response, caught_exception):
            self._tries.lost = True

    @property
    def client(self) -> Any:
        # PynamoDB creates its client without a lock (16 threads, 16 clients), and creates it again
        # while credentials are missing; the handlers must be on the one in use.
        client = self._client
        if client is not None and client is self._fitted and self._has_credentials(client):
            return client
        with self._making:
            try:
                client = PynamoConnection.client.__get__(self)
            except aws.BotoCoreError:
                raise
            except ValueError as error:  # botocore could not read an environment variable
                raise settings.unusable_environment(error) from error
            if client is not self._fitted:
                # Botocore accepts addresses that nothing can be sent to.
                settings.check_endpoint(client.meta.endpoint_url)
                client.meta.events.register("before-parse.dynamodb", parse_answer)
                client.meta.events.register("request-created.dynamodb", self._count_try)
                # First, because it sets the status that botocore's own handler decides by.
                client.meta.events.register_first("needs-retry.dynamodb", self._note_loss)
                PostSigner().attach(client)
                self._fitted = client
            return client

    def let_go(self) -> None:
        """Close a forked process's copies of the sockets that its parent uses.

        A thread of the parent may have held a pool's lock, so each pool is reset first.
        """
        for pool in _pools(self._client):
            inherited = list(pool.queue)
            pool.__init__(pool.maxsize)
            for connection in filter(None, inherited):
                with suppress(OSError):
                    connection.close()

    @staticmethod
    def _has_credentials(client: Any) -> bool:
        return bool(client._request_signer._credentials)  # noqa: SLF001 - as PynamoDB itself asks


def _pools(client: Any) -> list[Any]:
    """The urllib3 queues that hold a client's open connections."""
    try:
        session = client._endpoint.http_session  # noqa: SLF001 - neither library exposes it
        managers = [session._manager, *session._proxy_managers.values()]  # noqa: SLF001
        containers = [manager.pools._container for manager in managers]  # noqa: SLF001
        return [each.pool for pools in containers for each in pools.values() if each.pool]
    except AttributeError:
        return []  # another version keeps them elsewhere, and closes them later
