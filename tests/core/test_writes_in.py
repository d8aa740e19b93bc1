"""A store whose writes are for one region: in another one it reads, and writes nothing."""

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dynamo_chat import ChatStore, ConnectionOptions, InvalidArgument, NewMessage, WrongRegion
from dynamo_chat.aio import AsyncChatStore
from dynamo_chat.core.answers import WRITING
from dynamo_chat.testing import EmbeddedEngine, RequestMeter

HERE, THERE = "eu-west-1", "us-east-1"
TABLE = "writes-in"
ONLY_THERE = ConnectionOptions(writes_in=THERE)


def written(store: ChatStore) -> str:
    return store.conversations.create("ann", title="Kept").conversation_id


def test_a_write_in_another_region_is_refused_before_anything_is_sent(
    chat_store: ChatStore,
) -> None:
    kept = written(chat_store)
    name, region = chat_store.connection.table_name, chat_store.connection.region
    endpoint = chat_store.connection.endpoint_url
    other = ChatStore(name, region=region, endpoint_url=endpoint, options=ONLY_THERE)
    assert other.conversations.get(kept).title == "Kept"
    assert [each.title for each in other.conversations.list_by_user("ann")] == ["Kept"]
    calls: list[Callable[[], object]] = [
        lambda: other.conversations.create("ann"),
        lambda: other.users.create("ann@example.com"),
        lambda: other.rate_limits.count("account", "ai", "reply", limit=1),
    ]
    for call in calls:
        with RequestMeter(other.connection.client) as meter, pytest.raises(WrongRegion) as refused:
            call()
        assert not meter.count
        assert (refused.value.region, refused.value.writes_in) == (region, THERE)
        assert str(region) in str(refused.value)
        assert THERE in str(refused.value)
    with RequestMeter(other.connection.client) as meter, pytest.raises(WrongRegion):
        other.messages.append(kept, NewMessage(role="user", content="Hello"))
    assert (
        not {each.operation for each in meter.requests} & WRITING
    )  # it may look at the conversation first


def test_in_its_own_region_it_writes() -> None:
    with EmbeddedEngine(region=HERE) as engine:
        store = engine.store(TABLE, options=ConnectionOptions(writes_in=HERE))
        assert store.conversations.get(written(store)).title == "Kept"


def test_a_region_that_is_configured_elsewhere_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `region=` and AWS_REGION it is botocore's, from a profile."""
    with EmbeddedEngine(region=HERE) as engine:
        engine.store(TABLE)
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        for allowed in (HERE, THERE):
            store = ChatStore(TABLE, options=ConnectionOptions(writes_in=allowed))
            assert store.connection.region is None
            session: Any = store.connection._pynamo.session
            session.set_config_variable("region", HERE)
            if allowed == HERE:
                assert written(store)
            else:
                with pytest.raises(WrongRegion):
                    written(store)


def test_copies_and_connections_beside_refuse_as_well() -> None:
    store = ChatStore("chat", region=HERE, options=ONLY_THERE)
    for other in (
        pickle.loads(pickle.dumps(store)),
        ChatStore.from_env({"DYNAMODB_TABLE_NAME": "chat", "AWS_REGION": HERE}, options=ONLY_THERE),
    ):
        with pytest.raises(WrongRegion):
            written(other)
    beside = store.connection.beside("other")
    with pytest.raises(WrongRegion):
        beside.call("PutItem", {"TableName": "other", "Item": {}})


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(WrongRegion(HERE, THERE)))
    assert (error.region, error.writes_in) == (HERE, THERE)


def test_an_asynchronous_store_refuses_as_well() -> None:
    async def main() -> None:
        async with AsyncChatStore(TABLE, region=HERE, options=ONLY_THERE) as late:
            with pytest.raises(WrongRegion):
                await late.conversations.create("awaited")
            assert not (await late.conversations.list_by_user("awaited")).items
        async with AsyncChatStore(
            TABLE, region=HERE, options=replace(ONLY_THERE, writes_in=HERE)
        ) as store:
            made = await store.conversations.create("awaited")
            assert (await store.conversations.get(made.conversation_id)).user_id == "awaited"

    with EmbeddedEngine(region=HERE) as engine:
        engine.store(TABLE)
        asyncio.run(main())


@pytest.mark.parametrize("wrong", [5, "", "eu west", b"eu"], ids=repr)
def test_what_is_no_region_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        ConnectionOptions(writes_in=wrong)
    assert refused.value.argument == "writes_in"
