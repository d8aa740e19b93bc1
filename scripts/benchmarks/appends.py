"""What an append costs in the designs that were considered (docs/design/append-cost.md).

The transaction is the store's own, as it was sent. For the designs that were not taken, the head
is kept in fewer indexes, or its counters in an item beside it; the rest stays as it is.

Then what a streamed answer costs, from its begin to its end, beside an append of the whole text
(docs/guide/messages.md). Its text is words that never come again, which deflate to half their size.
"""

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from functools import partial
from typing import Any

from benchmarks.samples import CHARACTERS, USER, text_of
from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.cases.english import ENGLISH
from dynamo_chat.testing import EmbeddedEngine, FakeClock, RequestMeter

TITLE = text_of(40, 0)
KEYS = {"GSI1": ("GSI1PK", "GSI1SK"), "GSI2": ("GSI2PK", "GSI2SK")}
BESIDE = "CONV#COUNTERS#"
WORDS = " ".join(f"{number * 7919 % 100_003:x}" for number in range(4_000))
_PIECE = 20

Request = dict[str, Any]
Row = dict[str, object]


def measure() -> list[Row]:
    """One row per design: the requests of an append, and its write units by table and index."""
    with EmbeddedEngine() as engine:
        store = engine.store("bench-appends")
        taken = "kept: counters in the head, head in both indexes"
        rows = [
            _row(taken, store, lambda: _append(store, _talk(store), 1, CHARACTERS)),
            _row("… a turn of two", store, lambda: _append(store, _talk(store), 2, CHARACTERS)),
            _row("… of 900 characters", store, lambda: _append(store, _talk(store), 1, 900)),
            _row("… with an id of the caller's", store, lambda: _append_named(store)),
        ]
        for name, kept, beside in (
            ("head in GSI1 only: no list by activity", {"GSI1"}, False),
            ("head in GSI2 only: no list by creation", {"GSI2"}, False),
            ("counters beside the head, in GSI2", {"GSI2"}, True),
            ("counters in no index", set[str](), False),
        ):
            rows.append(_variant(name, store, kept, beside=beside))
        clock = FakeClock()
        later = engine.store("bench-streams", clock=clock)
        for characters in (1_000, 4_000, 16_000):
            text = f"an answer of {characters:,} characters"
            rows.append(_row(text, later, partial(_answer, later, clock, characters)))
            for rate, every in ((200, 1), (200, 3), (2_000, 1)):
                name = f"… streamed, {rate:,} a second, every={every} s"
                stream = partial(_stream, later, clock, characters, rate, every)
                rows.append(_row(name, later, stream))
    return rows


def _talk(store: ChatStore) -> str:
    """A conversation that the store remembers, with a title and one message."""
    talk = store.conversations.create(USER, title=TITLE).conversation_id
    store.messages.append(talk, NewMessage(role="user", content="x"))
    return talk


def _append(store: ChatStore, talk: str, messages: int, characters: int) -> Callable[[], object]:
    turn = [NewMessage(role="user", content=ENGLISH[:characters]) for _ in range(messages)]
    return lambda: store.messages.append_turn(talk, turn)


def _append_named(store: ChatStore) -> Callable[[], object]:
    named = NewMessage(role="user", content=ENGLISH, message_id="client-id-1")
    talk = _talk(store)
    return lambda: store.messages.append(talk, named)


def _answer(store: ChatStore, clock: FakeClock, characters: int) -> Callable[[], object]:
    """The append of a whole answer, a second after the question."""
    answer = NewMessage(role="assistant", content=WORDS[:characters])
    talk = _talk(store)
    clock.advance(timedelta(seconds=1))
    return lambda: store.messages.append(talk, answer)


def _stream(
    store: ChatStore, clock: FakeClock, characters: int, rate: int, every: int
) -> Callable[[], object]:
    """An answer that arrives in pieces of 20 characters, so many characters a second."""
    talk = _talk(store)
    clock.advance(timedelta(seconds=1))

    def write() -> None:
        with store.messages.stream(talk, every=timedelta(seconds=every)) as answer:
            for at in range(0, characters, _PIECE):
                clock.advance(timedelta(seconds=_PIECE / rate))
                answer.write(WORDS[at : min(at + _PIECE, characters)])

    return write


def _row(name: str, store: ChatStore, prepare: Callable[[], Callable[[], object]]) -> Row:
    call = prepare()
    with RequestMeter(store.connection.client) as meter:
        call()
    write_units, _ = meter.totals()
    units = {place: write_units.get(place, 0.0) for place in ("table", "GSI1", "GSI2")}
    return {
        "design": name,
        "requests": meter.count,
        **{place: f"{units[place]:g}" for place in units},
        "WCU": f"{sum(units.values()):g}",
    }


def _variant(name: str, store: ChatStore, kept: set[str], *, beside: bool) -> Row:
    """The store's transaction, with its head removed from some indexes, before and after it."""
    talk = _talk(store)
    sent: list[Request] = []

    def note(params: Request, **_: Any) -> None:
        sent.append(deepcopy(params))

    events, client = store.connection.client.meta.events, store.connection.client
    key = {"PK": {"S": f"CONV#{talk}#"}, "SK": {"S": "CONV#"}}
    head = client.get_item(TableName=store.connection.table_name, Key=key)["Item"]
    event = "before-parameter-build.dynamodb.TransactWriteItems"
    events.register(event, note)
    try:
        _append(store, talk, 1, CHARACTERS)()
    finally:
        events.unregister(event, note)
    request = sent[0]
    update = request["TransactItems"][0]["Update"]
    del update["ConditionExpression"]
    if beside:
        head["SK"] = update["Key"]["SK"] = {"S": BESIDE}
    for index in KEYS.keys() - kept:
        for attribute in KEYS[index]:
            del head[attribute]
            _leave_out(update, attribute)
    words = update["UpdateExpression"].replace(",", " ").split()
    for field in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        update[field] = {token: value for token, value in update[field].items() if token in words}
    put = request["TransactItems"][1]["Put"]
    put["Item"]["SK"] = {"S": f"CHAT#{'7' * 26}#"}
    request["ClientRequestToken"] = f"variant-{'-'.join(sorted(kept))}-{beside}"
    client.put_item(TableName=store.connection.table_name, Item=head)
    return _row(name, store, lambda: lambda: client.transact_write_items(**request))


def _leave_out(update: Request, attribute: str) -> None:
    """Remove the assignment of one attribute from an update expression."""
    names = update["ExpressionAttributeNames"]
    token = next((each for each, name in names.items() if name == attribute), None)
    if token is None:
        return
    verb, _, rest = update["UpdateExpression"].partition(" ")
    assignments, add, counters = rest.partition(" ADD ")
    kept = [each for each in assignments.split(", ") if each.split()[0] != token]
    update["UpdateExpression"] = f"{verb} {', '.join(kept)}{add}{counters}"
