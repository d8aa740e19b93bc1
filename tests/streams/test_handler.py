"""A batch is worked through in order, up to the first record that fails."""

import gc
import logging
from collections.abc import AsyncIterator, Iterator
from functools import partial, reduce, wraps
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from dynamo_chat import (
    Change,
    CorruptItem,
    Created,
    Deleted,
    InvalidArgument,
    UnknownKind,
    stream_handler,
)
from dynamo_chat.streams import process_batch
from tests.streams.record import as_lambda, record
from tests.streams.test_records import ITEM, STRANGE, TALK, TOMBSTONE

DAMAGED = {**ITEM, "created_at": {"S": "yesterday"}}


def batch(*pairs: tuple[Any, Any]) -> dict[str, Any]:
    """An event; its records are numbered from 100."""
    made = [record(old, new, number=f"{100 + at}") for at, (old, new) in enumerate(pairs)]
    return {"Records": [as_lambda(each) for each in made]}


def refuse(change: Change) -> None:
    pytest.fail(f"told of {change}")


def failure(number: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"{number}"}]}


def test_every_change_is_handed_on_in_order() -> None:
    seen: list[Change] = []
    event = batch((None, ITEM), (ITEM, TOMBSTONE), (TOMBSTONE, None))
    assert process_batch(event, seen.append) == {"batchItemFailures": []}
    assert seen == [Created(TALK), Deleted(TALK)]


def test_a_lambda_handler_takes_event_and_context() -> None:
    seen: list[Change] = []
    handler = stream_handler(seen.append)
    assert handler(batch((None, ITEM)), object()) == {"batchItemFailures": []}
    assert handler({"Records": []}, None) == {"batchItemFailures": []}
    assert seen == [Created(TALK)]


def test_the_first_failure_ends_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    """Lambda comes back with it and what follows: working on would do that twice."""
    seen: list[Change] = []

    def react(change: Change) -> None:
        if isinstance(change, Deleted):
            raise ConnectionError("the search index is down")
        seen.append(change)

    event = batch((None, ITEM), (ITEM, None), (None, ITEM))
    assert process_batch(event, react) == failure(101)
    assert seen == [Created(TALK)]
    (logged,) = caplog.records
    assert "record 101" in logged.message
    assert "the search index is down" in caplog.text


def test_a_damaged_item_ends_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Change] = []
    event = batch((None, ITEM), (None, DAMAGED), (None, ITEM))
    assert process_batch(event, seen.append) == failure(101)
    assert len(seen) == 1
    assert "CorruptItem" in caplog.text


def test_a_stream_without_images_is_told(caplog: pytest.LogCaptureFixture) -> None:
    event = batch((None, ITEM))
    del event["Records"][0]["dynamodb"]["NewImage"]
    assert process_batch(event, refuse) == failure(100)
    assert "NEW_AND_OLD_IMAGES" in caplog.text


def test_an_unknown_kind_is_logged_and_handed_on(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Change] = []
    assert process_batch(batch((None, STRANGE), (None, ITEM)), seen.append) == {
        "batchItemFailures": []
    }
    assert seen == [UnknownKind("invoice", None, STRANGE), Created(TALK)]
    (logged,) = caplog.records
    assert logged.levelno == logging.WARNING
    assert "'invoice'" in logged.message
    assert "1234" not in caplog.text


_LEAF: dict[str, Any] = {"S": "x"}


def _within(inner: dict[str, Any], _: int) -> dict[str, Any]:
    return {"M": {"a": inner}}


HOSTILE: dict[str, Any] = {
    "deep": {"preferences": {"S": "[" * 1_000_000}},
    "deep items": {"preferences": reduce(_within, range(300), _LEAF)},
    "many values": {"preferences": {"S": "[" + "[]," * 3_000_000 + "[]]"}},
    "many items": {"preferences": {"L": [{"L": []}] * 1_000_000}},
    "a long integer": {"message_count": {"N": "9" * 5_000}},
    "a longer integer": {"v": {"N": "1" * 10_000_000}},
    "an exponent": {"message_count": {"N": "1e999999999"}},
    "an integer in JSON": {"preferences": {"S": '{"a": ' + "9" * 5_000 + "}"}},
    "a long title": {"title": {"S": "x" * 10_000_000}},
    "a long key": {"PK": {"S": "CONV#" + "k" * 10_000_000}},
    "a long time": {"created_at": {"S": "2" * 10_000_000}},
    "no base64": {"preferences": {"B": "!!!"}},
    "nothing packed": {"preferences": {"B": "A" * 10_000_000}},
    "no value": {"title": "x"},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_item_is_a_failure_in_few_words(
    caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    """At once, and typed: no other record of the batch is touched."""
    event = batch((None, ITEM), (None, {**ITEM, **changes}))
    assert process_batch(event, lambda _: None) == failure(101)
    (logged,) = caplog.records
    assert logged.exc_info is not None
    assert isinstance(logged.exc_info[1], CorruptItem)
    assert len(str(logged.exc_info[1])) < 1_000


def test_a_long_kind_is_logged_in_part(caplog: pytest.LogCaptureFixture) -> None:
    process_batch(batch((None, {**ITEM, "kind": {"S": "\n" + "k" * 1_000_000}})), lambda _: None)
    assert len(caplog.text) < 1_000
    assert "'\\nkkkk" in caplog.text


def test_a_failure_that_cannot_be_named_fails_the_whole_batch() -> None:
    """An empty answer would tell Lambda that all went well."""
    event = batch((None, DAMAGED))
    del event["Records"][0]["dynamodb"]["SequenceNumber"]
    with pytest.raises(Exception, match="cannot be read"):
        process_batch(event, refuse)
    for broken in ({}, None, {"dynamodb": None}):
        with pytest.raises(InvalidArgument):
            process_batch({"Records": [broken]}, refuse)


def test_what_stops_the_process_is_not_a_failure_of_a_record() -> None:
    def react(_: Change) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process_batch(batch((None, ITEM)), react)


@pytest.mark.parametrize("event", [{}, None, [], {"Records": None}, {"Records": {}}])
def test_what_is_no_event_is_refused(event: Any) -> None:
    with pytest.raises(InvalidArgument, match="event: "):
        process_batch(event, refuse)


def test_what_would_never_run_is_refused() -> None:
    """A coroutine that nobody awaits reacts to nothing, and Lambda is told that all went well."""

    async def later(_: Change) -> None:
        pytest.fail("nobody awaits it")

    class Later:
        async def __call__(self, _: Change) -> None:
            pytest.fail("nobody awaits it")

    def pieces(_: Change) -> Iterator[None]:
        pytest.fail("nobody asks for its pieces")
        yield

    async def async_pieces(_: Change) -> AsyncIterator[None]:
        pytest.fail("nobody asks for its pieces")
        yield

    wrong: tuple[Any, ...] = (later, Later(), partial(later), partial(Later()), Later().__call__)
    for react in (*wrong, pieces, async_pieces, AsyncMock(), None, 5):
        with pytest.raises(InvalidArgument, match="react"):
            stream_handler(react)
        with pytest.raises(InvalidArgument, match="react"):
            process_batch(batch((None, ITEM)), react)


async def _later(_: Change) -> None:
    pytest.fail("nobody awaits it")


async def _async_pieces(_: Change) -> AsyncIterator[None]:
    pytest.fail("nobody asks for its pieces")
    yield


def _pieces(_: Change) -> Iterator[None]:
    pytest.fail("nobody asks for its pieces")
    yield


class _Waits:
    """Something else that is to be awaited."""

    def __await__(self) -> Iterator[None]:
        pytest.fail("nobody awaits it")
        yield


class _Around:
    def __call__(self, change: Change) -> object:
        return _later(change)

    def method(self, change: Change) -> object:
        return _later(change)


@wraps(_pieces)
def _wrapped(change: Change) -> object:
    return _later(change)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "react",
    [
        lambda change: _later(change),  # noqa: PLW0108 - as people write it
        lambda change: _async_pieces(change),  # noqa: PLW0108
        lambda change: _pieces(change),  # noqa: PLW0108
        lambda change: _Waits(),
        partial(lambda again, change: again(change), _later),
        _Around(),
        _Around().method,
        partial(_Around()),
        _wrapped,
    ],
)
def test_what_only_a_call_shows_is_refused_by_the_first(react: Any) -> None:
    """And raised: it is a fault of the function's, not of the record's."""
    handler = stream_handler(react)
    with pytest.raises(InvalidArgument, match="react: must not be async"):
        handler(batch((None, ITEM), (ITEM, None)), None)
    gc.collect(1)  # a coroutine that nobody awaited would be told of now


def test_whatever_else_is_returned_is_ignored() -> None:
    for returned in (None, 1, "text", [1], iter([1]), MagicMock(), Exception("as a value")):
        react = MagicMock(return_value=returned)
        assert process_batch(batch((None, ITEM)), react) == {"batchItemFailures": []}
