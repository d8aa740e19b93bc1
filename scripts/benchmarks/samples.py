"""The measured calls of dynamo_chat, and the recorded responses of an engine.

Each call is made on the embedded engine, with its requests and answers recorded; a canned server
then gives those very bytes. The recording is done in a process of its own: moto is large and hooks
into botocore, and must not be part of the measured process.
"""

import json
import multiprocessing
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.chat.message import ExtractedFilters, ToolCall, YearRange
from dynamo_chat.testing import EmbeddedEngine

TABLE = "chat-bench"
USER = "u-1"
MESSAGES = 100
CHARACTERS = 1_000
WORDS = ("old", "new", "lens", "light", "harbour", "render", "picture", "shadow", "morning", "in")

Bound = Callable[[], object]


@dataclass(frozen=True)
class Conversations:
    """What the samples read and write."""

    talk: str
    """100 messages: questions, and answers with what a recommender stores about them."""
    plain: str
    """100 messages of text."""
    message: str
    """The first message of ``talk``."""
    noted: str
    """A user with preferences of 1,000 characters."""


@dataclass
class Recording:
    """The requests and responses of one call of a sample."""

    known: Conversations
    request: dict[str, Any] = field(default_factory=dict)
    """The sample's main request."""
    bodies: dict[str, bytes] = field(default_factory=dict)
    """The response to each operation."""
    requests: int = 0
    """How many requests a warm store makes for one call."""


@dataclass(frozen=True)
class Sample:
    """One call, and the operation in it that the other contenders make as well."""

    operation: str
    bind: Callable[[ChatStore, Conversations], Bound]


def text_of(characters: int, seed: int) -> str:
    """A text of that many characters, always the same for one seed."""
    dice = random.Random(seed)
    words = " ".join(dice.choice(WORDS) for _ in range(characters))
    return words[:characters]


NOTES: dict[str, Any] = {"notes": text_of(CHARACTERS, -1)}


def _append(store: ChatStore, known: Conversations) -> Bound:
    message = question(0)  # drawing its text is no part of an append
    return lambda: store.messages.append(known.talk, message)


SAMPLES = {
    "get": Sample("GetItem", lambda store, known: lambda: store.users.get(known.noted)),
    "get message": Sample(
        "BatchGetItem", lambda store, known: lambda: store.messages.get(known.talk, known.message)
    ),
    "put": Sample("PutItem", lambda store, _: lambda: store.conversations.create(USER)),
    "query 25": Sample("Query", lambda store, known: lambda: store.messages.latest(known.talk, 25)),
    "query 100": Sample(
        "Query", lambda store, known: lambda: store.messages.latest(known.talk, 100)
    ),
    "query 100 text": Sample(
        "Query", lambda store, known: lambda: store.messages.latest(known.plain, 100)
    ),
    # Two requests: the head comes first, to tell an empty conversation from a missing one.
    "list 100": Sample(
        "Query", lambda store, known: lambda: store.messages.list(known.talk, page_size=100)
    ),
    "transaction of 2": Sample("TransactWriteItems", _append),
}


def question(number: int) -> NewMessage:
    """A message with nothing but text."""
    return NewMessage(role="user", content=text_of(CHARACTERS, number))


def answer(number: int) -> NewMessage:
    """A message with what a recommender stores beside its text."""
    return NewMessage(
        role="assistant",
        content=text_of(CHARACTERS, number),
        response_time=1.25,
        confidence=0.875,
        documents=tuple(
            {"id": f"doc-{number}-{rank}", "title": text_of(40, rank), "score": 0.5, "rank": rank}
            for rank in range(3)
        ),
        filters=ExtractedFilters(
            genres=("drama", "crime"), year_range=YearRange(min=1990, max=1999), keywords=("noir",)
        ),
        recommendations=tuple(text_of(20, rank) for rank in range(3)),
        tool_calls=(ToolCall(tool="search", args={"query": "noir", "limit": 3}, call_id="c-1"),),
        metadata={"model": "m-1", "tokens": {"in": 512, "out": 256}, "cached": False},
    )


def recordings() -> dict[str, Recording]:
    """The requests and responses of each sample, by its name."""
    apart = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=apart) as pool:
        return pool.submit(_record_all).result()


def _record_all() -> dict[str, Recording]:
    with EmbeddedEngine() as engine:
        known = _fill(engine.store(TABLE))
        recorded = {}
        for name, sample in SAMPLES.items():
            store = engine.store(TABLE)
            call = sample.bind(store, known)
            recording = Recording(known)
            with _recorded(store.connection.client, sample.operation, recording):
                call()  # what a store asks once is answered too, but is no part of a warm call
                recording.requests = 0
                call()
            recorded[name] = recording
    return recorded


def _fill(store: ChatStore) -> Conversations:
    talk = store.conversations.create(USER, title="Old harbour").conversation_id
    plain = store.conversations.create(USER, title="New harbour").conversation_id
    for number in range(0, MESSAGES, 2):
        store.messages.append_turn(talk, [question(number), answer(number + 1)])
        store.messages.append_turn(plain, [question(number), question(number + 1)])
    return Conversations(
        talk=talk,
        plain=plain,
        message=store.messages.latest(talk, MESSAGES)[0].message_id,
        noted=store.users.create("ann@example.com", preferences=NOTES).user_id,
    )


@contextmanager
def _recorded(client: Any, operation: str, recording: Recording) -> Iterator[None]:
    """Record in ``recording`` what ``client`` sends and receives inside the block."""

    def asked(params: dict[str, Any], model: Any, **_: Any) -> None:
        recording.requests += 1
        if model.name == operation:
            recording.request = dict(params)

    def answered(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
        recording.bodies[operation_model.name] = compact(json.loads(response_dict["body"]))

    handlers: dict[str, Callable[..., None]] = {
        "before-parameter-build.dynamodb.*": asked,
        "before-parse.dynamodb.*": answered,
    }
    for event, handler in handlers.items():
        client.meta.events.register_first(event, handler)
    try:
        yield
    finally:
        for event, handler in handlers.items():
            client.meta.events.unregister(event, handler)


def compact(body: Any) -> bytes:
    """JSON as DynamoDB writes it."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
