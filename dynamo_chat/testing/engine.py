"""The engines that tests and the demo run on: one in this process, or any endpoint.

    with EmbeddedEngine() as engine:
        store = engine.store("chat-test")       # a ChatStore, its table created

The embedded engine is moto. While it runs, these faults of moto are fixed, which would mislead a
test:

* every request takes one lock: without it, threads lose updates and break transactions;
* a transaction that is sent again with its ClientRequestToken is not applied a second time;
* items may be as large as DynamoDB allows (409,600 bytes, by its own count), also in updates;
* numbers are added exactly, even those that Python writes as 1E-9;
* a stream has one record of an update that creates an item, and none of an equal write;
* contributor insights can be switched on, but report nothing.

It gets slow above a few thousand items per table, has no throttling, conflicts or index lag, and
accepts requests that DynamoDB rejects: use `StrictHook` and `FaultInjector` for those.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Context, Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload
from unittest.mock import patch
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.config import Config

from dynamo_chat.core.client import new_session
from dynamo_chat.core.forks import ProcessLock
from dynamo_chat.core.size import MAX_ITEM_BYTES, attribute_size
from dynamo_chat.testing.answers import answer, error_answer
from dynamo_chat.testing.changes import one_record_per_change
from dynamo_chat.testing.hook import Client
from dynamo_chat.testing.insights import kept_insights
from dynamo_chat.testing.rollback import small_rollbacks
from dynamo_chat.testing.speed import (
    dynamodb_first,
    forgotten_items,
    known_conditions,
    known_updates,
    quick_answers,
    quick_comparisons,
    small_queries,
)

if TYPE_CHECKING:
    from dynamo_chat.store import ChatStore
    from dynamo_chat.testing.changes import TableChanges
    from dynamo_chat.testing.lag import Lag

S = TypeVar("S", bound="ChatStore")

DEFAULT_REGION = "eu-west-1"
TOKEN_SECONDS = 600.0
"""How long DynamoDB remembers a ClientRequestToken."""
MAX_TOKENS = 10_000
"""How many tokens the embedded engine remembers."""
_DIGITS = Context(prec=38)

_DUMMY = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# Each of these could send a request elsewhere, or sign it with real credentials.
_UNSET = (
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ACCOUNT_ID",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
)


class Engine:
    """A DynamoDB endpoint, as a context manager that may be entered again and nested.

    Unless the endpoint is AWS itself, the environment has dummy credentials and the region inside
    the context; the previous environment is restored afterwards.
    """

    def __init__(self, endpoint_url: str | None, *, region: str = DEFAULT_REGION) -> None:
        self.endpoint_url = endpoint_url
        self.region = region
        self._entered: list[ExitStack] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if not _is_aws(self.endpoint_url):
                stack.enter_context(_environment(self.region))
            self._start(stack)
            self._entered.append(stack.pop_all())
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.pop().close()

    def _start(self, stack: ExitStack) -> None:
        """Start the engine, and push what must be undone on leaving onto `stack`."""

    @overload
    def store(
        self, table_name: str, *, store: type[S], lag: Lag | None = None, **options: Any
    ) -> S: ...
    @overload
    def store(self, table_name: str, *, lag: Lag | None = None, **options: Any) -> ChatStore: ...
    def store(
        self,
        table_name: str,
        *,
        store: type[ChatStore] | None = None,
        lag: Lag | None = None,
        **options: Any,
    ) -> ChatStore:
        """Create a table and return its `ChatStore`, or a `store` of the application's class.

        With `lag`, its reads are behind. `options` are those of ChatStore.

        The table is for tests only: without deletion protection, backups and an encryption key.
        """
        from dynamo_chat.provision.table import TableDefinition
        from dynamo_chat.store import ChatStore

        options.setdefault("region", self.region)
        made = (store or ChatStore)(table_name, endpoint_url=self.endpoint_url, **options)
        made.table.create(
            TableDefinition(
                point_in_time_recovery=False, deletion_protection=False, encryption_managed=False
            )
        )
        return made if lag is None else lag.attach(made)

    def changes(self, store: ChatStore) -> TableChanges:
        """What changes in the store's table from now on, as `read` returns it.

        It switches on the table's stream. DynamoDB's own deletions of expired items are not among
        the changes on the embedded engine, which deletes none.
        """
        from dynamo_chat.testing.changes import TableChanges

        return TableChanges(store, region=self.region, endpoint_url=self.endpoint_url)

    def client(self, **config: Any) -> Client:
        """A plain botocore client. `config` is passed to botocore's Config."""
        return new_session().create_client(
            "dynamodb",
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            config=Config(**config),
        )


class EmbeddedEngine(Engine):
    """moto in this process, made thread-safe. Its tables are gone after the context.

    Nested engines share their tables until the outermost one is left.

    Needs the extra `testing`. Create stores after entering: clients that were created before moto
    was first imported are not served.
    """

    _cure_lock: ClassVar = ProcessLock()
    _cured: ClassVar = 0
    _undo: ClassVar = ExitStack()

    def __init__(self, *, region: str = DEFAULT_REGION) -> None:
        super().__init__(None, region=region)

    def _start(self, stack: ExitStack) -> None:
        # Imported here: moto takes half a second to import, and hooks into botocore.
        try:
            from moto import mock_aws
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "EmbeddedEngine needs the extra `testing`: pip install 'dynamo_chat[testing]'",
                name=error.name,
            ) from error

        self._cure()
        stack.callback(self._uncure)
        stack.enter_context(mock_aws())

    @classmethod
    def _cure(cls) -> None:
        """Patch moto, once for all entered engines."""
        with cls._cure_lock:
            cls._cured += 1
            if cls._cured == 1:
                cls._undo = ExitStack()
                cls._undo.enter_context(_one_request_at_a_time())
                cls._undo.enter_context(_items_of_full_size())
                cls._undo.enter_context(_exact_sums())
                cls._undo.enter_context(one_record_per_change())
                cls._undo.enter_context(small_rollbacks())
                cls._undo.enter_context(kept_insights())
                cls._undo.enter_context(quick_answers())
                cls._undo.enter_context(known_conditions())
                cls._undo.enter_context(known_updates())
                cls._undo.enter_context(quick_comparisons())
                cls._undo.enter_context(small_queries())
                cls._undo.enter_context(dynamodb_first())
                cls._undo.enter_context(forgotten_items())

    @classmethod
    def _uncure(cls) -> None:
        with cls._cure_lock:
            cls._cured -= 1
            if cls._cured == 0:
                cls._undo.close()


def _is_aws(endpoint_url: str | None) -> bool:
    host = urlsplit(endpoint_url or "").hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


@contextmanager
def _environment(region: str) -> Iterator[None]:
    settings = {**_DUMMY, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    before = {name: os.environ.get(name) for name in (*settings, *_UNSET)}
    os.environ.update(settings)
    for name in _UNSET:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _one_request_at_a_time() -> Iterator[None]:
    """Make moto serve requests under one lock, and a transaction once per ClientRequestToken."""
    from moto.core.botocore_stubber import BotocoreStubber

    serve = BotocoreStubber.__call__
    lock = ProcessLock()
    replays = _Replays()

    def serve_alone(stubber: Any, event_name: str, request: Any, **more: Any) -> Any:
        with lock:
            token, payload = _token_of(request) if stubber.enabled else (None, "")
            if token is None:
                return serve(stubber, event_name, request, **more)
            known = replays.find(request.url, token, payload)
            if known is not None:
                return known
            response = serve(stubber, event_name, request, **more)
            if response is not None:
                replays.keep(token, payload, response)
            return response

    with patch.object(BotocoreStubber, "__call__", serve_alone):
        yield


class _Replays:
    """Responses to transactions by ClientRequestToken, kept as long as DynamoDB keeps them."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, str, bytes]] = {}

    def find(self, url: str, token: str, payload: str) -> AWSResponse | None:
        if token not in self._answers:
            return None
        answered_at, known, body = self._answers[token]
        if time.monotonic() - answered_at > TOKEN_SECONDS:
            return None
        if known != payload:
            code = "IdempotentParameterMismatchException"
            return error_answer(url, code, "The token was used for another transaction")
        return answer(url, body)

    def keep(self, token: str, payload: str, response: AWSResponse) -> None:
        if response.status_code == HTTPStatus.OK:
            self._answers[token] = (time.monotonic(), payload, response.content)
            if len(self._answers) > MAX_TOKENS:
                del self._answers[next(iter(self._answers))]


def _token_of(request: Any) -> tuple[str | None, str]:
    """The token of a TransactWriteItems request and the digest of what it writes."""
    target = request.headers.get("X-Amz-Target", b"")
    if isinstance(target, str):
        target = target.encode()
    if not target.endswith(b".TransactWriteItems"):
        return None, ""
    body: Mapping[str, Any] = json.loads(request.body)
    written = json.dumps(body.get("TransactItems"), sort_keys=True).encode()
    return body.get("ClientRequestToken"), hashlib.sha256(written).hexdigest()


@contextmanager
def _items_of_full_size() -> Iterator[None]:
    """Make moto allow items up to DynamoDB's limit, and count a replaced attribute only once."""
    from moto.dynamodb.exceptions import ItemSizeTooLarge
    from moto.dynamodb.models.dynamo_type import LimitedSizeDict

    def set_attribute(attributes: dict[str, Any], name: str, value: Any) -> None:
        changed = {**attributes, name: value}
        rough = sum(_rough_size(n, v) for n, v in changed.items())
        # moto's own size is fast but rough; near the limit, compute it as DynamoDB does.
        if rough > MAX_ITEM_BYTES // 4 and _exact_size(changed) > MAX_ITEM_BYTES:
            raise ItemSizeTooLarge
        dict.__setitem__(attributes, name, value)

    with patch.object(LimitedSizeDict, "__setitem__", set_attribute):
        yield


@contextmanager
def _exact_sums() -> Iterator[None]:
    """Make moto add and subtract numbers with 38 digits, and store them without an exponent.

    moto keeps 28 digits, and stores a small sum with an exponent that it cannot read again.
    """
    from moto.dynamodb.exceptions import IncorrectDataType
    from moto.dynamodb.models.dynamo_type import DynamoType

    def computed(operation: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Any, Any], Any]:
        def compute(one: Any, other: Any) -> Any:
            if not one.is_number() or not other.is_number():
                raise IncorrectDataType
            total = operation(Decimal(one.value), Decimal(other.value))
            return DynamoType({"N": format(total, "f")})

        return compute

    with (
        patch.object(DynamoType, "__add__", computed(_DIGITS.add)),
        patch.object(DynamoType, "__sub__", computed(_DIGITS.subtract)),
    ):
        yield


def _rough_size(name: str, value: Any) -> int:
    size = value.size() if hasattr(value, "size") else len(str(value))
    return len(name) + int(size)


def _exact_size(attributes: Mapping[str, Any]) -> int:
    """The size of an item in moto's own form, whose values convert to AttributeValues."""
    return sum(
        len(name.encode())
        + (
            attribute_size(value.to_regular_json())
            if hasattr(value, "to_regular_json")
            else len(str(value).encode())
        )
        for name, value in attributes.items()
    )
