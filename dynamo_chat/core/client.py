"""The botocore client of one connection: created once, and never shared with a fork.

Reads and writes take the short way (`core/wire.py`), which asks this client for what it needs.
Everything else goes through botocore: table management, and a client that is set up in a way that
the short way does not know. There, public events make it fast: `before-parse` parses the response
body as plain JSON (see `core/answers.py`) instead of checking every AttributeValue against its
shape, and `core/signing.py` signs requests. The user agent is built once per client.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from queue import Empty
from typing import Any, NamedTuple

import botocore.config
import botocore.loaders
import botocore.session
from botocore import exceptions as aws
from pynamodb import signals
from pynamodb.connection import Connection as PynamoConnection

from dynamo_chat.core import errors, settings
from dynamo_chat.core.announced import exchange_for
from dynamo_chat.core.answers import DATA_OPERATIONS, is_lost, is_throttled, parse_answer
from dynamo_chat.core.carrier import ON_THREAD, Carrier
from dynamo_chat.core.pool import PoolTransport
from dynamo_chat.core.signing import PostSigner
from dynamo_chat.core.size import DEFAULT_BODY_BYTES
from dynamo_chat.core.tracing import Telemetry, check_telemetry
from dynamo_chat.core.transport import HttpClient, HttpSettings, Transport, Waiting
from dynamo_chat.core.wire import COUNTED, Facts, Unfit, Wire, run

logger = logging.getLogger("dynamo_chat")


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Timeouts (in seconds), retries, size limits, region of writes and credentials of a store."""

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
    http_client: HttpClient | None = None
    """What sends reads and writes: ``pycurl`` (the extra `fast`), ``urllib3``, or ``botocore`` with
    all of its own steps, such as those that an instrumentation of botocore hooks into.

    By default pycurl if it is installed, else urllib3."""
    telemetry: bool | Telemetry | None = None
    """True or False: whether spans and metrics are made through OpenTelemetry, which needs the
    extra `otel`. `Telemetry` names other providers than the program's.

    By default they are made if the program has set OpenTelemetry up."""
    writes_in: str | None = None
    """The only region that writes are sent to, such as ``eu-west-1``, of a global table. In another
    one, a write raises `WrongRegion` before anything is sent, and reads go on.

    By default, writes are sent everywhere."""
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for timeout in ("connect_timeout", "read_timeout"):
            settings.check_seconds(timeout, getattr(self, timeout))
        for count in ("max_attempts", "transaction_attempts", "max_pool_connections"):
            settings.check_count(count, getattr(self, count))
        settings.check_body_bytes("max_body_bytes", self.max_body_bytes)
        settings.check_choice("http_client", self.http_client, HttpClient)
        check_telemetry(self.telemetry)
        settings.check_region(self.writes_in, "writes_in")
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


class _Way(NamedTuple):
    """A client, and the short way to its endpoint; or why there is none."""

    client: Any
    wire: Wire | str
    transport: Transport | None


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
        self.carrier: Carrier = ON_THREAD
        self._options = options
        self._session: botocore.session.Session | None = None
        self._making = threading.Lock()
        self._way: _Way | None = None
        self._told: set[str] = set()
        self._flight = threading.local()

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

    def send(self, operation: str, request: dict[str, Any], facts: Facts) -> dict[str, Any]:
        """Make one API call; reads and writes also ask for the consumed capacity.

        `facts` gets the number of attempts, and whether one of them was lost.
        """
        way = self._at_hand() or self.carrier.blocking(self._current)
        if operation not in DATA_OPERATIONS:
            # dispatch would ask for consumed capacity, which these do not support
            return self._through_botocore(self._make_api_call, operation, request, facts)
        wire, transport = way.wire, way.transport
        plan = wire if isinstance(wire, str) else wire.plan(operation)
        if isinstance(plan, str) or isinstance(wire, str) or transport is None:
            self._tell(operation, str(plan))
            return self._through_botocore(self.dispatch, operation, request, facts)
        if _has_receivers():
            self._tell(operation, "something is connected to PynamoDB's signals")
            return self._through_botocore(self.dispatch, operation, request, facts)
        request.setdefault("ReturnConsumedCapacity", "TOTAL")
        return run(exchange_for(wire, plan, request, facts), transport)

    def _through_botocore(
        self, call: Callable[..., Any], operation: str, request: dict[str, Any], facts: Facts
    ) -> dict[str, Any]:
        sent = partial(self._call, call, operation, request, facts)
        answer: dict[str, Any] = self.carrier.blocking(sent)
        return answer

    def _call(
        self, call: Callable[..., Any], operation: str, request: dict[str, Any], facts: Facts
    ) -> Any:
        # botocore sends on this thread, where its events find the facts.
        self._flight.facts = facts
        return call(operation, request)

    def _tell(self, operation: str, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            logger.debug("%s goes through botocore: %s", operation, reason)

    def _count_try(self, request: Any, **_: Any) -> None:
        facts = getattr(self._flight, "facts", None)
        if facts is not None and COUNTED not in request.context:
            facts.tries += 1

    def _note_outcome(self, response: Any, caught_exception: Any, **_: Any) -> None:
        lost = is_lost(response, caught_exception)  # it also corrects a broken response's status
        facts = getattr(self._flight, "facts", None)
        if facts is not None:
            facts.lost = lost or facts.lost
            facts.throttles += response is not None and is_throttled(response[1])

    @property
    def client(self) -> Any:
        return self._current().client

    @property
    def endpoint(self) -> tuple[str, str]:
        """The address and the region of the client; empty until there is one."""
        if self._way is None:
            return "", ""
        meta = self._way.client.meta
        return str(meta.endpoint_url), str(meta.region_name)

    def _at_hand(self) -> _Way | None:
        way = self._way
        if way is not None and way.client is self._client and self._has_credentials(way.client):
            return way
        return None

    def _current(self) -> _Way:
        # PynamoDB creates its client without a lock (16 threads, 16 clients), and creates it again
        # while credentials are missing; the handlers must be on the one in use.
        way = self._at_hand()
        if way is not None:
            return way
        with self._making:
            try:
                client = PynamoConnection.client.__get__(self)
            except aws.BotoCoreError:
                raise
            except ValueError as error:  # botocore could not read an environment variable
                raise settings.unusable_environment(error) from error
            way = self._way
            if way is None or way.client is not client:
                self._way = way = self._fitted(client)
            return way

    def _fitted(self, client: Any) -> _Way:
        # Botocore accepts addresses that nothing can be sent to.
        settings.check_endpoint(client.meta.endpoint_url)
        client.meta.events.register("before-parse.dynamodb", parse_answer)
        client.meta.events.register("request-created.dynamodb", self._count_try)
        # First, because it sets the status that botocore's own handler decides by.
        client.meta.events.register_first("needs-retry.dynamodb", self._note_outcome)
        signer = PostSigner()
        signer.attach(client)
        if self._options.http_client == "botocore":
            return _Way(client, "ConnectionOptions.http_client says so", None)
        try:
            http = HttpSettings(client._endpoint.http_session)  # noqa: SLF001 - nothing exposes it
            transport = self.carrier.transport(http) or chosen(http, self._options.http_client)
            return _Way(client, Wire(client, signer), transport)
        except (Unfit, AttributeError) as reason:
            return _Way(client, str(reason), None)

    def close(self) -> None:
        """Close the connections that no request uses now. The next request opens another."""
        if self._way is not None and isinstance(self._way.transport, Waiting):
            self._way.transport.close()
        for pool in _pools(self._client):
            with suppress(Empty):
                while True:
                    connection = pool.get(block=False)
                    if connection is not None:
                        connection.close()

    def let_go(self) -> None:
        """Close a forked process's copies of the sockets that its parent uses.

        A thread of the parent may have held a pool's lock, so each pool is reset first.
        """
        if self._way is not None and self._way.transport is not None:
            self._way.transport.let_go()
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


def _has_receivers() -> bool:
    """True if somebody wants to be told of requests by PynamoDB."""
    before, after = signals.pre_dynamodb_send, signals.post_dynamodb_send
    return bool(getattr(before, "receivers", None) or getattr(after, "receivers", None))


def chosen(http: HttpSettings, wanted: HttpClient | None) -> Transport:
    """The fastest transport that is installed and can do all that the client is set up for.

    ModuleNotFoundError or InvalidArgument if pycurl is wanted and can't be used.
    """
    if wanted == "urllib3" or (wanted is None and importlib.util.find_spec("pycurl") is None):
        return PoolTransport(http)
    try:
        from dynamo_chat.core import curl
    except ImportError as error:
        if wanted is None:  # it is there, and its library is not
            logger.debug("requests go through urllib3: pycurl can't be imported: %s", error)
            return PoolTransport(http)
        raise ModuleNotFoundError(
            "http_client='pycurl' needs the extra `fast`: pip install 'dynamo_chat[fast]'",
            name="pycurl",
        ) from error
    reason = curl.unsuitable(http)
    if reason is None:
        return curl.CurlTransport(http)
    if wanted is not None:
        raise errors.InvalidArgument("http_client", f"pycurl can't be used: {reason}")
    logger.debug("requests go through urllib3: %s", reason)
    return PoolTransport(http)
