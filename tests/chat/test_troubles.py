"""The troubles that the documents list are typed errors, which say what to do."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore, ConnectionOptions, NewMessage
from dynamo_chat.core import errors
from dynamo_chat.testing import (
    ErrorAnswer,
    ServerError,
    Throttled,
    TransactionConflict,
    Unreachable,
)
from dynamo_chat.testing.answers import error_answer
from dynamo_chat.testing.engine import Engine
from dynamo_chat.testing.faults import Attempt, Fault
from tests.chat.scenes import say
from tests.scene import Scene, faults

HASTY = ConnectionOptions(max_attempts=1, transaction_attempts=2, connect_timeout=1.0)
ACCOUNT = "123456789012"


def calls(store: ChatStore) -> list[Callable[[], object]]:
    """A read, a query, an index, a batch, a write, a transaction, a change of what was read."""
    return [
        lambda: store.conversations.get("c-1"),
        lambda: store.messages.latest_with_conversation("c-1"),
        lambda: store.conversations.list_by_user("u-1"),
        lambda: store.states.get("c-1"),
        lambda: store.conversations.create("u-1", conversation_id="c-2"),
        lambda: store.messages.append("c-1", NewMessage(role="user")),
        lambda: store.conversations.set_status("c-1", "archived"),
    ]


def told(store: ChatStore, kind: type[errors.ServiceError]) -> list[errors.ServiceError]:
    """The errors of all these calls, which are of this kind."""
    raised = []
    for call in calls(store):
        with pytest.raises(kind) as caught:
            call()
        assert type(caught.value) is kind
        assert caught.value.__cause__ is not None
        assert ACCOUNT not in str(caught.value)
        assert "CONV#" not in str(caught.value)
        raised.append(caught.value)
    return raised


@pytest.fixture
def store(scene: Scene) -> ChatStore:
    """A store that does not try again, with a conversation."""
    made = scene.new_store(options=HASTY)
    made.conversations.create("u-1", conversation_id="c-1", title="T")
    return made


@pytest.mark.engine
def test_the_table_is_missing(dynamo_chat_engine: Engine) -> None:
    """The error names it and says how to make it."""
    name = f"missing-{uuid.uuid4()}"
    store = ChatStore(
        name,
        region=dynamo_chat_engine.region,
        endpoint_url=dynamo_chat_engine.endpoint_url,
        options=HASTY,
    )
    for error in told(store, errors.TableNotFound):
        assert name in str(error)
        assert "store.table.create()" in str(error)
        assert error.code == "ResourceNotFoundException"


def test_access_is_denied(store: ChatStore) -> None:
    """The error names the action that the policy must allow, and no account."""
    message = (
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/chat/i-1 is not authorized to perform: "
        f"dynamodb:Query on resource: arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/chat/index/GSI1 "
        "because no identity-based policy allows the dynamodb:Query action"
    )
    with faults(store) as injector:
        injector.plan(ErrorAnswer("AccessDeniedException", message), times=None)
        for error in told(store, errors.AccessDenied):
            assert "dynamodb:Query" in str(error)
            assert "policy must allow" in str(error)


@pytest.mark.engine
def test_an_index_is_missing(dynamo_chat_engine: Engine) -> None:
    """The error says how to find out which."""
    name = f"bare-{uuid.uuid4()}"
    client = dynamo_chat_engine.client()
    keys = {"PK": "HASH", "SK": "RANGE"}
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
    )
    store = ChatStore(
        name, region=dynamo_chat_engine.region, endpoint_url=dynamo_chat_engine.endpoint_url
    )
    for ask in (store.conversations.list_by_user, store.conversations.list_by_activity):
        with pytest.raises(errors.IndexNotReady, match=r"store\.table\.check\(\) says which"):
            ask("u-1")
    client.delete_table(TableName=name)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("The table does not have the specified index: GSI1", errors.IndexNotReady),
        ("Cannot read from backfilling global secondary index: GSI1", errors.IndexNotReady),
        ("Type mismatch for Index Key GSI1PK Expected: S Actual: N", errors.RequestRejected),
        ("Invalid KeyConditionExpression: Syntax error", errors.RequestRejected),
    ],
)
def test_what_dynamodb_finds_invalid(
    store: ChatStore, message: str, kind: type[errors.ServiceError]
) -> None:
    """Only a missing or unfinished index is told as such; nothing quotes the items."""
    with faults(store) as injector:
        injector.plan(ErrorAnswer("ValidationException", message), times=None)
        with pytest.raises(kind) as caught:
            store.conversations.list_by_user("u-1")
    assert type(caught.value) is kind
    assert "GSI1PK" not in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "LimitExceededException",
    ],
)
def test_throttled(store: ChatStore, code: str) -> None:
    """After every retry."""
    with faults(store) as injector:
        injector.plan(Throttled(code=code), times=None, every_attempt=True)
        for error in told(store, errors.Throttled):
            assert "throttled" in str(error)
            assert "try again later" in str(error)


def test_throttling_is_waited_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times, by the default options."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    store = scene.new_store()
    store.conversations.create("u-1", conversation_id="c-1")
    with faults(store) as injector:
        for _ in range(2):
            injector.plan(Throttled(), times=2, every_attempt=False)
        say(store, "c-1", "hello")
    assert store.conversations.get("c-1").message_count == 1


class Cancelled(Fault):
    """A transaction that DynamoDB cancels for these reasons."""

    def __init__(self, *codes: str) -> None:
        self.codes = codes

    def strikes(self, operation: str) -> bool:
        return operation == "TransactWriteItems"

    def happen(self, attempt: Attempt) -> Any:
        reasons = [{"Code": code, "Message": "injected"} for code in self.codes]
        return error_answer(
            attempt.url, "TransactionCanceledException", "Cancelled", CancellationReasons=reasons
        )


def test_conflicts_and_throttling_of_transactions_are_told_apart(store: ChatStore) -> None:
    """Both are waited out; who keeps losing hears what was in the way, or that it is unknown."""
    for fault, kind in (
        (TransactionConflict(), errors.Contended),
        (Cancelled("None", "ThrottlingError"), errors.Throttled),
        (Cancelled("ProvisionedThroughputExceeded", "None"), errors.Throttled),
        (ErrorAnswer("TransactionInProgressException"), errors.Unreachable),
        (Cancelled("ItemCollectionSizeLimitExceeded", "None"), errors.RequestRejected),
        (Cancelled("None", "SomethingNew"), errors.RequestRejected),
    ):
        with faults(store) as injector:
            injector.plan(fault, operation="TransactWriteItems", times=None)
            with pytest.raises(kind) as caught:
                say(store, "c-1", "hello")
        assert type(caught.value) is kind
        assert caught.value.code not in {"", "None"}
    for fault in (TransactionConflict(), Cancelled("None", "ThrottlingError")):
        with faults(store) as injector:
            injector.plan(fault, operation="TransactWriteItems")
            say(store, "c-1", "hello")
    assert store.conversations.get("c-1").message_count == 2


@pytest.mark.parametrize(
    "code",
    ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"],
)
def test_credentials_are_refused(store: ChatStore, code: str) -> None:
    """Expired, unknown, or not matching."""
    with faults(store) as injector:
        injector.plan(ErrorAnswer(code, "The security token is expired"), times=None)
        for error in told(store, errors.CredentialsMissing):
            assert "renew or replace them" in str(error)


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    """No credentials and no region anywhere."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


def test_there_are_no_credentials(bare_environment: pytest.MonkeyPatch) -> None:
    """The error says where they are looked for."""
    store = ChatStore("chat-prod", region="eu-west-1", options=HASTY)
    for error in told(store, errors.CredentialsMissing):
        assert "AWS_ACCESS_KEY_ID" in str(error)


def test_credentials_that_come_later_are_used(
    bare_environment: pytest.MonkeyPatch, dynamo_chat_engine: Engine
) -> None:
    """A store that was made too early is not broken for good."""
    store = ChatStore(
        f"late-{uuid.uuid4()}",
        region="eu-west-1",
        endpoint_url=dynamo_chat_engine.endpoint_url,
        options=HASTY,
    )
    with pytest.raises(errors.CredentialsMissing):
        store.conversations.get("c-1")
    bare_environment.setenv("AWS_ACCESS_KEY_ID", "testing")
    bare_environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises((errors.TableNotFound, errors.CredentialsMissing)):
        store.conversations.get("c-1")


def test_a_profile_that_is_not_there(bare_environment: pytest.MonkeyPatch) -> None:
    """Is a matter of credentials, too."""
    bare_environment.setenv("AWS_PROFILE", "nobody")
    store = ChatStore("chat-prod", region="eu-west-1", options=HASTY)
    told(store, errors.CredentialsMissing)


def test_there_is_no_region(bare_environment: pytest.MonkeyPatch) -> None:
    """The error says how to give one. A local endpoint needs none."""
    bare_environment.setenv("AWS_ACCESS_KEY_ID", "testing")
    bare_environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    store = ChatStore("chat-prod", options=HASTY)
    for error in told(store, errors.RegionMissing):
        assert "pass region=, or set AWS_REGION" in str(error)
    with pytest.raises(errors.RegionMissing):
        _ = store.connection.client
    local = ChatStore("chat-dev", endpoint_url="http://127.0.0.1:9", options=HASTY)
    with pytest.raises(errors.Unreachable):
        local.conversations.get("c-1")


def assert_told_apart(found: list[errors.ServiceError], writes: set[int]) -> None:
    """What only read is asked again; what wrote may have happened."""
    for place, error in enumerate(found):
        is_write = place in writes
        assert ("it may have happened anyway: call again" in str(error)) is is_write
        assert ("; try again" in str(error)) is not is_write


def test_nobody_answers(dynamo_chat_engine: Engine) -> None:
    """Nothing listens there: the error says what to check, and that calling again is safe."""
    store = ChatStore(
        "chat-dev", region="eu-west-1", endpoint_url="http://127.0.0.1:9", options=HASTY
    )
    found = told(store, errors.Unreachable)
    for error in found:
        assert "check the endpoint, the region and the network" in str(error)
    assert_told_apart(found, {4})  # a store that knows no conversation asks before it appends


@pytest.mark.parametrize("fault", [Unreachable(), ServerError()])
def test_dynamodb_is_down(store: ChatStore, fault: Fault) -> None:
    """Connections that fail, and servers that do."""
    with faults(store) as injector:
        injector.plan(fault, times=None, every_attempt=True)
        assert_told_apart(told(store, errors.Unreachable), {4, 5})


def test_what_nobody_foresaw(store: ChatStore) -> None:
    """Keeps DynamoDB's code, and shows nothing of the items."""
    with faults(store) as injector:
        injector.plan(ErrorAnswer("BrandNewException", "item CONV#secret#"), times=None)
        for error in told(store, errors.RequestRejected):
            assert error.code == "BrandNewException"
            assert "secret" not in str(error)


def test_an_item_that_grew_too_large(store: ChatStore) -> None:
    """However DynamoDB words it."""
    for fault in (
        ErrorAnswer("ValidationException", "Item size has exceeded the maximum allowed size"),
        ErrorAnswer(
            "ValidationException", "Item size to update has exceeded the maximum allowed size"
        ),
    ):
        with faults(store) as injector:
            injector.plan(fault, operation="TransactWriteItems")
            with pytest.raises(errors.ItemTooLarge, match="409,600"):
                say(store, "c-1", "hello")


def test_the_tree_of_errors() -> None:
    """Whoever catches a family catches its members; wrong calls are ValueErrors."""
    assert issubclass(errors.InvalidArgument, ValueError)
    assert issubclass(errors.NotFound, LookupError)
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, Exception):
            assert issubclass(error, errors.DynamoChatError), name
            assert error.__doc__, name


def test_secrets_are_not_shown() -> None:
    """Neither in options nor in stores."""
    options = ConnectionOptions(
        aws_access_key_id="AKIA", aws_secret_access_key="hush", aws_session_token="hush"
    )
    store = ChatStore("chat-prod", region="eu-west-1", options=options, cursor_secret=b"hush")
    for shown in (options, store, store.connection):
        assert "hush" not in repr(shown)
