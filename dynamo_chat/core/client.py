"""The botocore client of one connection: made once, made cheap, and never shared with a fork.

Public botocore events make it cheap: the response body is parsed as plain JSON (`before-parse`, see
`core/answers.py`), instead of walking the shape of every AttributeValue, requests are signed by a
signer that knows their form, and the user-agent is fixed once per client.
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
    """How a store talks to its endpoint, and how much it takes. Times are in seconds."""

    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    max_attempts: int = 5
    """HTTP tries of one request, by botocore's standard retry mode."""
    transaction_attempts: int = 25
    """Tries of one change whose condition or transaction keeps losing races."""
    max_pool_connections: int = 50
    max_body_bytes: int = DEFAULT_BODY_BYTES
    """The most that a text or a piece of JSON may have when it is written, before compression.

    Up to 16 MiB; what is stored is read up to there, whatever this is."""
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
    """A botocore session of its own, that shares what botocore knows of the services."""
    session = botocore.session.Session()
    session.register_component(
        "data_loader", _descriptions(session.get_config_variable("data_path"))
    )
    return session


@cache
def _descriptions(data_path: str | None) -> botocore.loaders.Loader:
    """Botocore's files, parsed once in a process: that is half of what a client costs."""
    return botocore.loaders.create_loader(data_path)


class PynamoClient(PynamoConnection):
    """PynamoDB's connection with a session of its own and one client, made once."""

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
        """One API call, with its signals; reads and writes report what they consumed."""
        self._tries.count = 0
        self._tries.lost = False
        if operation in DATA_OPERATIONS:
            answer: dict[str, Any] = self.dispatch(operation, request)
        else:  # dispatch would ask for consumed capacity, which these do not know
            answer = self._make_api_call(operation, request)
        return answer

    @property
    def tries(self) -> int:
        """HTTP tries of the call that this thread made last."""
        return int(self._tries.count)

    @property
    def was_lost(self) -> bool:
        """Whether a try of that call got no answer: it may have been done all the same."""
        return bool(self._tries.lost)

    def _count_try(self, **_: Any) -> None:
        self._tries.count = getattr(self._tries, "count", 0) + 1

    def _note_loss(self, response: Any, caught_exception: Any, **_: Any) -> None:
        if is_lost(response, caught_exception):
            self._tries.lost = True

    @property
    def client(self) -> Any:
        # PynamoDB makes its client without a lock (16 threads, 16 clients), and makes it anew
        # while credentials are missing; the handler must be on whichever is in use.
        client = self._client
        if client is not None and client is self._fitted and self._has_credentials(client):
            return client
        with self._making:
            try:
                client = PynamoConnection.client.__get__(self)
            except aws.BotoCoreError:
                raise
            except ValueError as error:  # what botocore itself found in the environment
                raise settings.unusable_environment(error) from error
            if client is not self._fitted:
                # Botocore takes more for an address than anything can be sent to.
                settings.check_endpoint(client.meta.endpoint_url)
                client.meta.events.register("before-parse.dynamodb", parse_answer)
                client.meta.events.register("request-created.dynamodb", self._count_try)
                # First, because botocore's own handler decides by the status that is set there.
                client.meta.events.register_first("needs-retry.dynamodb", self._note_loss)
                PostSigner().attach(client)
                self._fitted = client
            return client

    def let_go(self) -> None:
        """Close this process's copies of the sockets of a client that its parent uses.

        A thread of the parent may have held the lock of a pool: each pool is begun anew first.
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
    """The queues of urllib3 in which a client keeps its open connections."""
    try:
        session = client._endpoint.http_session  # noqa: SLF001 - neither library tells it
        managers = [session._manager, *session._proxy_managers.values()]  # noqa: SLF001
        containers = [manager.pools._container for manager in managers]  # noqa: SLF001
        return [each.pool for pools in containers for each in pools.values() if each.pool]
    except AttributeError:
        return []  # another version keeps them elsewhere, and closes them some time
