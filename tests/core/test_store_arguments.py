"""What a store is made of is checked when it is made: by name, and before anything is sent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from dynamo_chat import ChatStore, ConnectionOptions, InvalidArgument, NewMessage
from tests.scene import Scene

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def address(scene: Scene) -> dict[str, Any]:
    """Where the scene's table is."""
    return {"region": scene.engine.region, "endpoint_url": scene.engine.endpoint_url}


def refused(argument: str, call: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        call()
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "foo", "foo:8000", "http://", "ftp://127.0.0.1", "http://a b", "http://h:99999"),
        *("http://h:port", "http://under_score:8000", 7, b"http://h", [], {}),
    ],
    ids=repr,
)
def test_what_is_no_endpoint_is_refused(wrong: Any) -> None:
    refused("endpoint_url", lambda: ChatStore("chat", region="eu-west-1", endpoint_url=wrong))


@pytest.mark.parametrize(
    "right", ["http://127.0.0.1:8000", "https://h", "HTTP://localhost:1", "http://[::1]:8000"]
)
def test_an_endpoint_is_taken(right: str) -> None:
    assert ChatStore("chat", endpoint_url=right).connection.endpoint_url == right


@pytest.mark.parametrize("wrong", [5, "", "eu west", "-x", "eu_west_1", "123", b"eu", []], ids=repr)
def test_what_is_no_region_is_refused(wrong: Any) -> None:
    refused("region", lambda: ChatStore("chat", region=wrong))


@pytest.mark.parametrize("wrong", ["", "ab", "a" * 256, "a b", "a#b", "é" * 4, 7, None, b"chat"])
def test_what_is_no_table_name_is_refused(wrong: Any) -> None:
    refused("table_name", lambda: ChatStore(wrong, region="eu-west-1"))


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("options", {}),
        ("options", 0),
        ("clock", None),
        ("clock", NOW),
        ("ids", "x"),
        ("on_request", 5),
        ("on_request", False),
        ("cursor_secret", "text"),
        ("cursor_secret", b""),
    ],
)
def test_what_is_no_part_of_a_store_is_refused(argument: str, wrong: Any) -> None:
    refused(argument, lambda: ChatStore("chat", region="eu-west-1", **{argument: wrong}))


@pytest.mark.parametrize("timeout", ["connect_timeout", "read_timeout"])
@pytest.mark.parametrize("wrong", [0, -1, "3", None, True, float("nan"), float("inf"), 1e30])
def test_what_is_no_timeout_is_refused(timeout: str, wrong: Any) -> None:
    refused(timeout, lambda: ConnectionOptions(**{timeout: wrong}))


@pytest.mark.parametrize("count", ["max_attempts", "transaction_attempts", "max_pool_connections"])
@pytest.mark.parametrize("wrong", [0, -1, "3", None, True, 2.0, 10_001])
def test_what_is_no_number_of_tries_is_refused(count: str, wrong: Any) -> None:
    refused(count, lambda: ConnectionOptions(**{count: wrong}))


def test_credentials_are_text_and_come_in_pairs() -> None:
    wrong: Any = 7
    refused("aws_access_key_id", lambda: ConnectionOptions(aws_access_key_id=wrong))
    refused("aws_secret_access_key", lambda: ConnectionOptions(aws_access_key_id="id"))
    refused("aws_access_key_id", lambda: ConnectionOptions(aws_secret_access_key="secret"))
    refused("aws_access_key_id", lambda: ConnectionOptions(aws_session_token="token"))
    shown = repr(ConnectionOptions(aws_access_key_id="id", aws_secret_access_key="hidden"))
    assert "hidden" not in shown


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
@pytest.mark.parametrize("wrong", ["foo", "http://[", "http://h:99999", "http://h:x", "ftp://h"])
def test_an_endpoint_of_the_environment_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, wrong: str
) -> None:
    """The session reads it by itself, when the first request is sent."""
    monkeypatch.setenv(variable, wrong)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    store = ChatStore("chat", region="eu-west-1")
    refused("endpoint_url", lambda: store.conversations.get("c"))


@pytest.mark.parametrize(
    ("variable", "wrong"),
    [
        ("AWS_METADATA_SERVICE_TIMEOUT", "1.5"),
        ("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "many"),
        ("AWS_CREDENTIAL_EXPIRATION", "soon"),
    ],
)
def test_a_setting_of_the_environment_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, wrong: str
) -> None:
    monkeypatch.setenv(variable, wrong)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    store = ChatStore("chat", region="eu-west-1")
    refused(variable, lambda: store.conversations.get("c"))


@pytest.mark.parametrize(
    "wrong",
    [NOW.replace(tzinfo=None), NOW.isoformat(), NOW.timestamp(), None, NOW.date()],
)
def test_what_tells_no_time_is_no_clock(scene: Scene, store: ChatStore, wrong: Any) -> None:
    """Told at the first call that asks for the time; nothing is written."""
    broken = ChatStore(scene.table, **address(scene), clock=lambda: wrong)
    refused("clock", lambda: broken.conversations.create("u", conversation_id="c"))
    assert store.conversations.list_by_user("u").items == ()


def test_a_clock_of_another_time_zone_is_taken(scene: Scene) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    made = ChatStore(scene.table, **address(scene), clock=lambda: local).conversations.create("u")
    assert made.created_at == NOW
    assert made.created_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("wrong", [None, 7, "", "id-1", "0" * 25, b"0" * 26, "z" * 26], ids=repr)
def test_what_gives_no_ulid_is_no_source_of_ids(scene: Scene, store: ChatStore, wrong: Any) -> None:
    """Positions are ULIDs: anything else would be sorted where it does not belong."""
    broken = ChatStore(scene.table, **address(scene), ids=lambda moment: wrong)
    refused("ids", lambda: broken.conversations.create("u"))
    made = store.conversations.create("u")
    hello = NewMessage(role="user", content="Hello")
    refused("ids", lambda: broken.messages.append(made.conversation_id, hello))
    assert store.messages.latest(made.conversation_id) == ()


def test_a_store_of_the_environment_takes_what_no_environment_can_say() -> None:
    heard: list[object] = []
    store = ChatStore.from_env(
        {"DYNAMODB_TABLE_NAME": "chat", "AWS_REGION": "eu-west-1"},
        options=ConnectionOptions(max_attempts=1),
        on_request=heard.append,
        cursor_secret=b"secret",
    )
    assert store.connection.table_name == "chat"
    assert store.connection.options.max_attempts == 1
    assert store.connection.on_request == heard.append
    refused(
        "cursor_secret",
        lambda: ChatStore.from_env({"DYNAMODB_TABLE_NAME": "chat"}, cursor_secret=b""),
    )
