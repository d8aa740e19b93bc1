"""An answer that is lost, is none, or is about another try: asked again, or told as unknown."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from dynamo_chat import ChatStore, ConnectionOptions, Message, NewMessage
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.errors import (
    Contended,
    RequestRejected,
    Throttled,
    Unreachable,
)
from dynamo_chat.core.item import Item
from dynamo_chat.core.transaction import Put, Update, write
from dynamo_chat.testing import BrokenAnswer, Cancelled, ErrorAnswer, Fault, Unreachable as NotSent
from dynamo_chat.testing.answers import answer, error_answer
from dynamo_chat.testing.faults import Attempt
from tests.core.things import Thing, Things, item_of, key_of
from tests.scene import Scene, faults

BROKEN = {
    "html": b"<html>Welcome to the airport</html>",
    "empty": b"",
    "cut": b'{"Item": {"PK": {"S": "CO',
    "list": b"[]",
    "null": b"null",
    "number": b"7",
    "not text": b"\xff\xfe",
}
# Bodies that are JSON objects, and no answers to such a request.
MISSHAPEN: dict[str, list[dict[str, Any]]] = {
    "GetItem": [{"Item": []}, {"Item": 5}],
    "Query": [{}, {"Items": 5}, {"Items": [[]]}, {"Items": [], "LastEvaluatedKey": "k"}],
    "BatchGetItem": [{}, {"Responses": []}, {"Responses": {"t": 5}}, {"Responses": {"t": [5]}}],
    "BatchWriteItem": [{"UnprocessedItems": []}, {"UnprocessedItems": {"t": {}}}],
    "UpdateItem": [{"Attributes": []}],
}
THING = Thing(group="g", name="n1")


@pytest.fixture
def store(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> ChatStore:
    """A store that does not wait."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    options = ConnectionOptions(max_attempts=3, transaction_attempts=4)
    return scene.new_store(options=options)


def cycle(store: ChatStore) -> list[str]:
    """Writes and reads of each kind of request; what was read."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    store.messages.append("c-1", NewMessage(role="user", content="hi", message_id="m-1"))
    store.conversations.rename("c-1", "U")
    found = [each.content or "" for each in store.messages.list("c-1", consistent=True)]
    state = store.states.get("c-1")
    title = store.conversations.get("c-1", consistent=True).title
    assert store.conversations.delete("c-1") > 0
    return [*found, str(state), str(title)]


@pytest.mark.once
@pytest.mark.engine
@pytest.mark.parametrize("body", BROKEN)
@pytest.mark.parametrize("is_done", [True, False])
def test_a_success_that_is_none_is_asked_again(store: ChatStore, body: str, is_done: bool) -> None:
    """Every request's first answer is broken, whether it was done or not."""
    wanted = cycle(store)
    with faults(store) as injector:
        injector.plan(BrokenAnswer(BROKEN[body], is_done), times=None)
        assert cycle(store) == wanted
        assert len(injector.injected) >= 7


@pytest.mark.parametrize("body", BROKEN)
def test_only_such_answers_are_told(store: ChatStore, body: str) -> None:
    """Of a write nobody knows whether it happened; a read is just asked again."""
    with faults(store) as injector:
        injector.plan(BrokenAnswer(BROKEN[body]), times=None, every_attempt=True)
        with pytest.raises(Unreachable, match="may have happened") as caught:
            store.conversations.create("u-1", conversation_id="c-1")
        assert caught.value.code == "BrokenAnswer"
        with pytest.raises(Unreachable, match="; try again"):
            store.conversations.get("c-1")
        with pytest.raises(Unreachable):
            store.table.describe()
    assert store.conversations.get("c-1").conversation_id == "c-1"


@pytest.mark.parametrize(
    ("operation", "body"), [(name, body) for name, some in MISSHAPEN.items() for body in some]
)
def test_an_answer_of_another_form_is_none(store: ChatStore, operation: str, body: Any) -> None:
    with faults(store) as injector:
        injector.plan(BrokenAnswer(json.dumps(body).encode()), times=None, operation=operation)
        things = Things(store._binding)
        things.add(THING)
        write(store.connection, Update(key_of(THING), [Item.ttl.remove()]))
        assert things.find(THING)[0] is not None
        assert things._get_item(key_of(THING)) is not None
        assert [each.name for each in things.of_group("g", page_size=5)] == ["n1"]
        assert {each.operation for each in injector.injected} == {operation}


def test_what_an_answer_may_leave_out(store: ChatStore) -> None:
    """An empty object answers writes, batches of them, and a get that finds nothing."""
    things = Things(store._binding)
    with faults(store) as injector:
        injector.plan(BrokenAnswer(b"{}"), times=None, every_attempt=True)
        things.add(THING)
        write(store.connection, Put(item_of(THING)))
        assert things._get_item(key_of(THING)) is None


def test_some_operations_answer_nothing(store: ChatStore) -> None:
    """Those that botocore knows no answer of, such as the tagging of a table."""
    name = store.connection.table_name
    arn = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{name}"
    request = {"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}]}
    with faults(store) as injector:
        injector.plan(BrokenAnswer(b"", is_done=False), every_attempt=True)
        store.connection.call("TagResource", request)
        injector.plan(BrokenAnswer(BROKEN["html"], is_done=False), every_attempt=True)
        with pytest.raises(Unreachable):
            store.connection.call("TagResource", request)


@pytest.mark.once
@pytest.mark.parametrize("status", [400, 403, 500, 502, 504])
@pytest.mark.parametrize(
    "body",
    [
        *BROKEN.values(),
        b'{"__type": 5}',
        b'{"__type": "TransactionCanceledException", "CancellationReasons": [5]}',
        b'{"__type": "TransactionCanceledException", "CancellationReasons": [{"Code": 7}]}',
        b'{"__type": "ConditionalCheckFailedException", "Item": 5}',
        b'{"__type": "ConditionalCheckFailedException", "Item": {"PK": 5}}',
        b'{"__type": "ValidationException", "message": []}',
    ],
)
def test_an_error_that_cannot_be_read_is_typed(store: ChatStore, status: int, body: bytes) -> None:
    with faults(store) as injector:
        injector.plan(Page(body, status), times=None, every_attempt=True)
        with pytest.raises(Unreachable if status >= 500 else RequestRejected):
            store.conversations.create("u-1", conversation_id="c-1")
        with pytest.raises(Unreachable if status >= 500 else RequestRejected):
            store.conversations.get("c-1")


@dataclass(frozen=True)
class Page(Fault):
    """An answer with a status and body of a proxy's."""

    body: bytes
    status: int

    def happen(self, attempt: Attempt) -> AWSResponse:
        return answer(attempt.url, self.body, self.status)


# -- clashes beside failed conditions -------------------------------------------------------------

MIXED = [
    ("ConditionalCheckFailed", "TransactionConflict"),
    ("TransactionConflict", "ConditionalCheckFailed"),
    ("ConditionalCheckFailed", "ThrottlingError"),
    ("ConditionalCheckFailed", "ProvisionedThroughputExceeded"),
]


def append(store: ChatStore) -> Message:
    """A transaction of some writes."""
    return store.messages.append("c-1", NewMessage(role="user", content="hi", message_id="m-1"))


@pytest.fixture
def talk(store: ChatStore) -> None:
    """A conversation to append to."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")


@pytest.mark.usefixtures("talk")
@pytest.mark.parametrize("codes", MIXED)
def test_a_condition_that_fails_beside_a_clash_is_tried_again(
    store: ChatStore, codes: tuple[str, ...]
) -> None:
    """It may be the first try of this transaction that is in the way."""
    with faults(store) as injector:
        injector.plan(Cancelled(codes), times=2)
        sent = append(store)
        assert len(injector.injected) == 2
    assert store.messages.get("c-1", sent.message_id) == sent


@pytest.mark.usefixtures("talk")
@pytest.mark.parametrize("codes", MIXED)
def test_a_clash_that_stays_is_told(store: ChatStore, codes: tuple[str, ...]) -> None:
    """As what it is: the condition proves nothing."""
    wanted = Contended if "TransactionConflict" in codes else Throttled
    with faults(store) as injector:
        injector.plan(Cancelled(codes), times=None)
        with pytest.raises(wanted) as caught:
            append(store)
        assert "nothing was written" not in str(caught.value)


@pytest.mark.usefixtures("talk")
def test_a_try_that_stays_in_progress_may_have_happened(store: ChatStore) -> None:
    with faults(store) as injector:
        in_progress = ErrorAnswer("TransactionInProgressException")  # botocore tries those, too
        injector.plan(in_progress, times=None, every_attempt=True, operation="TransactWriteItems")
        with pytest.raises(Unreachable, match="may have happened"):
            append(store)


@pytest.mark.usefixtures("talk")
def test_the_tries_of_a_transaction_share_their_token(store: ChatStore) -> None:
    tokens: list[str] = []

    def note(params: Any, **_: Any) -> None:
        tokens.append(params["ClientRequestToken"])

    events = store.connection.client.meta.events
    events.register("before-parameter-build.dynamodb.TransactWriteItems", note)
    with faults(store) as injector:
        injector.plan(Cancelled(MIXED[0]), times=2)
        append(store)
    assert len(tokens) == 3
    assert len(set(tokens)) == 1


@dataclass(frozen=True)
class Overlap(Fault):
    """The first try is done and its answer lost; the second meets the first one on its way."""

    seen: list[str] = field(default_factory=list, hash=False)

    def happen(self, attempt: Attempt) -> AWSResponse:
        self.seen.append(attempt.operation)
        if len(self.seen) == 1:
            attempt.forward()
            raise ReadTimeoutError(endpoint_url=attempt.url, error="injected")
        return error_answer(attempt.url, "TransactionConflictException", "ongoing")


def test_a_lost_try_is_remembered_beyond_a_clash(store: ChatStore) -> None:
    """A later try that finds the item says that it may be its own work."""
    with faults(store) as injector:
        injector.plan(Overlap(), every_attempt=True)
        with pytest.raises(ConditionFailed) as caught:
            write(store.connection, Put(item_of(THING), Item.PK.does_not_exist()))
    assert caught.value.was_resent


@pytest.mark.parametrize("fault", [NotSent(), ErrorAnswer("ThrottlingException")])
def test_a_try_that_was_not_made_is_not_remembered(store: ChatStore, fault: Fault) -> None:
    """What the second one finds is somebody else's."""
    write(store.connection, Put(item_of(THING)))
    with faults(store) as injector:
        injector.plan(fault)
        with pytest.raises(ConditionFailed) as caught:
            write(store.connection, Put(item_of(THING), Item.PK.does_not_exist()))
        assert injector.injected
    assert not caught.value.was_resent


@dataclass(frozen=True)
class LostThenThrottled(Overlap):
    """The first try is done and its answer lost; there is no capacity for the others."""

    def happen(self, attempt: Attempt) -> AWSResponse:
        if self.seen:
            return error_answer(attempt.url, "ThrottlingException", "slow down")
        return Overlap.happen(self, attempt)


def test_a_throttled_write_whose_first_answer_was_lost_may_have_happened(store: ChatStore) -> None:
    with faults(store) as injector:
        injector.plan(LostThenThrottled(), every_attempt=True)
        with pytest.raises(Unreachable, match="may have happened"):
            write(store.connection, Put(item_of(THING)))


def test_a_batch_that_meets_a_transaction_is_sent_again(store: ChatStore) -> None:
    things = Things(store._binding)
    with faults(store) as injector:
        conflict = ErrorAnswer("TransactionConflictException")
        injector.plan(conflict, times=2, operation="BatchWriteItem")
        things.add(THING)
        assert len(injector.injected) == 2
    assert things.find(THING) == [item_of(THING)]
