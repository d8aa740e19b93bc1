"""The parsers of text and data from outside that need no table."""

import atexit
import base64
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol, TypeAlias

from dynamo_chat import keyspace
from dynamo_chat.cases.words import describe
from dynamo_chat.chat.message import parse_minted as parse_message_id
from dynamo_chat.core import addresses, bearer
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.core.item import plan
from dynamo_chat.core.keys import parse_time
from dynamo_chat.importing.cgchat import cgchat_record
from dynamo_chat.importing.conversations_file import parse_conversation, read_conversations
from dynamo_chat.importing.sample_records import DOCUMENTS, sample
from dynamo_chat.importing.support import support_record
from dynamo_chat.importing.trinity import trinity_record
from dynamo_chat.mail.email import parse_minted as parse_email_id
from dynamo_chat.operations.cost import load_prices
from dynamo_chat.streams.handler import process_batch
from dynamo_chat.streams.records import parse_stream_record
from dynamo_chat.telemetry.reports import Period
from fuzzing.image import Item
from fuzzing.mutation import STRANGE, mutated, mutated_text

Input: TypeAlias = Any
"""The input of a parser: JSON values, and bytes."""


class Untyped(Exception):
    """A parser returned or raised something wrong, although of a known type."""


class Parser(Protocol):
    """Something that reads data from outside."""

    @property
    def name(self) -> str:
        """Its name in tables and options."""

    def make(self, rng: Random) -> Input:
        """An input."""

    def run(self, made: Input) -> str:
        """The outcome for this input, in a word. Refusals are raised."""


class Reading:
    """A function, the values whose changes it reads, and the errors that it may raise."""

    def __init__(
        self,
        name: str,
        read: Callable[[Any], object],
        corpus: Iterable[Any],
        donors: Sequence[Any] = (),
    ) -> None:
        self.name = name
        self._read = read
        self._corpus = list(corpus)
        self._donors = donors

    def make(self, rng: Random) -> Input:
        """A value of the corpus, changed."""
        whole = rng.choice(self._corpus)
        if isinstance(whole, tuple):  # which of several readers, and what it reads
            name, inside = whole
            return [name, self._changed(inside, rng)]
        return self._changed(whole, rng)

    def _changed(self, whole: Any, rng: Random) -> Any:
        if isinstance(whole, str):
            return mutated_text(whole, rng) if rng.random() < 0.95 else rng.choice(STRANGE)
        return mutated(whole, rng, self._donors)

    def run(self, made: Input) -> str:
        """Read it. Returns the outcome."""
        found = self._read(made)
        if isinstance(found, str) and found.startswith(OUTCOME):
            return found.removeprefix(OUTCOME)
        return "nothing" if found is None else "read"


OUTCOME: Final = "outcome: "


def readings(items: Sequence[Item]) -> list[Parser]:
    """Every parser that needs no table, with changes of these items and of fixed values."""
    parts = [value for item in items for value in item.values()]
    records = [sample(document).records for document in DOCUMENTS]
    rows = [row for tables in records for rows in tables.values() for row in rows]
    keys = sorted(
        {item[name]["S"] for item in items for name in item if name.endswith(("PK", "SK"))}
    )
    return [
        Reading("keys", _key, [(tag, key) for key in keys for tag in _shapes_near(key)], keys),
        Reading(
            "items", _item, ((kind, item) for item in items for kind in _kinds_near(item)), parts
        ),
        Reading("stream records", _record, _records(items), parts),
        Reading("stream batches", _batch, ({"Records": each} for each in _batches(items)), parts),
        Reading("conversations", parse_conversation, _LINES),
        Reading("conversation files", _file(_conversations), [line.encode() for line in _LINES]),
        Reading("price tables", _file(load_prices), [_prices().encode()]),
        Reading("documents", _document, _documents(records), rows),
        Reading("texts", _text, [(name, text) for name in _TEXTS for text in _WORDS], _WORDS),
    ]


# -- keys, items, records -----------------------------------------------------------------------

_SHAPES: Final = {
    repr(shape): shape
    for layout in keyspace.KEY_SPACE
    for slot in (layout.table, layout.gsi1, layout.gsi2)
    if slot is not None
    for shape in slot
}
_PLANS: Final = {kind: plan(entity) for kind, entity in keyspace.KEY_SPACE.entities.items()}


def _shapes_near(key: str) -> list[str]:
    tag = key[: key.find("#") + 1]
    return [name for name in _SHAPES if name.startswith(tag.rstrip("#"))]


def _kinds_near(item: Item) -> list[str]:
    kind = item["kind"]["S"]
    return [kind] if kind in _PLANS else []


def _key(made: Any) -> object:
    """The law of keys: a text that decodes is what encoding writes; any other is a ValueError."""
    name, key = _pair(made)
    shape = _SHAPES.get(name) if isinstance(name, str) else None
    if shape is None or not isinstance(key, str):
        return None
    try:
        parts = shape.decode(key)
    except ValueError:
        return f"{OUTCOME}ValueError"
    if shape.encode(*parts) != key:
        raise Untyped("two texts decode to one key")
    return parts


def _item(made: Any) -> object:
    kind, item = _pair(made)
    if not isinstance(kind, str) or kind not in _PLANS:
        return None
    entity = _PLANS[kind].decode(item)
    # What was let in must be good for everything that an application does with it.
    repr(entity)
    entity.model_dump(mode="json")
    describe(item)
    return entity


def _record(made: Any) -> object:
    change = parse_stream_record(made)
    return None if change is None else f"{OUTCOME}{type(change).__name__}"


def _batch(made: Any) -> object:
    answer = process_batch(made, lambda _: None)
    return f"{OUTCOME}{'failed at a record' if answer['batchItemFailures'] else 'processed'}"


def _records(items: Sequence[Item]) -> Iterable[dict[str, Any]]:
    for place, item in enumerate(items):
        event = ("INSERT", "MODIFY", "REMOVE")[place % 3]
        images = {
            "ApproximateCreationDateTime": 1_768_478_400.0,
            "SequenceNumber": f"{place:021d}",
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            "Keys": {"PK": item["PK"], "SK": item["SK"]},
        }
        images |= {"NewImage": item} if event != "REMOVE" else {}
        images |= {"OldImage": item} if event != "INSERT" else {}
        by = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
        yield {"eventID": str(place), "eventName": event, "dynamodb": images, "userIdentity": by}


def _batches(items: Sequence[Item]) -> Iterable[list[dict[str, Any]]]:
    records = list(_records(items))
    return (records[start : start + 3] for start in range(0, len(records), 3))


# -- files --------------------------------------------------------------------------------------

_LINES: Final = [
    json.dumps(line, ensure_ascii=False)
    for line in (
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi!"}]},
        {
            "conversation_id": "c-1",
            "user_id": "u-1",
            "title": "Renders",
            "created_at": "2025-12-30T14:00:00Z",
            "topic": {"a": [1, 2.5, None]},
            "messages": [
                {"role": "developer", "content": "Be brief", "timestamp": 1_767_103_200},
                {"role": "user", "content": [{"type": "text", "text": "4K?"}, {"type": "image"}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "t1", "function": {"name": "f", "arguments": '{"q": [1]}'}},
                        {"tool": "g", "args": {"x": 1}, "result": None},
                    ],
                },
                {"role": "tool", "tool_call_id": "t1", "content": '{"found": 3}'},
                {"role": "function", "name": "g", "content": "done", "id": "m-5"},
                {"role": "assistant", "function_call": {"name": "h", "arguments": "{"}},
            ],
        },
    )
]


def _conversations(path: Path) -> object:
    return list(read_conversations(path))


def _prices() -> str:
    names = ("write_million", "read_million", "storage_gb_month", "recovery_gb_month")
    table = {"region": "eu-west-1", "date": "2025-01-01", "note": "", **dict.fromkeys(names, "0.7")}
    return json.dumps({"one": table, "other": table})


def _file(read: Callable[[Path], object]) -> Callable[[Any], object]:
    """The result of `read` for a file with these bytes."""
    folder = tempfile.mkdtemp(prefix="fuzzing-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    def of_bytes(made: Any) -> object:
        path = Path(folder, "input")
        path.write_bytes(
            made if isinstance(made, bytes) else json.dumps(made, default=str).encode()
        )
        return read(path)

    return of_bytes


# -- documents and texts ------------------------------------------------------------------------

_DOCUMENTS: Final[dict[str, Callable[[Any], object]]] = {
    "cgchat": cgchat_record,
    "trinity": trinity_record,
    "support": lambda tables: support_record(
        _row(tables.get("chat_sessions")),
        _rows(tables.get("messages")),
        _rows(tables.get("reviews")),
    ),
}


def _row(made: Any) -> dict[str, Any]:
    return next(iter(_rows(made)), {})


def _rows(made: Any) -> list[dict[str, Any]]:
    return [row for row in made if isinstance(row, dict)] if isinstance(made, list) else []


def _support(tables: Mapping[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Each session with its rows."""
    for session in tables.get("chat_sessions", []):
        identity = session["pk_session_id"]
        yield {
            "chat_sessions": [session],
            "messages": [each for each in tables["messages"] if each["sk_session_id"] == identity],
            "reviews": [each for each in tables["reviews"] if each["session_id"] == identity],
        }


def _documents(
    records: Sequence[Mapping[str, list[dict[str, Any]]]],
) -> Iterator[tuple[str, Any]]:
    for tables in records:
        yield from (("support", each) for each in _support(tables))
        for name, marks in {"cgchat": "conversation_id", "trinity": "session_id"}.items():
            yield from ((name, row) for rows in tables.values() for row in rows if marks in row)


def _document(made: Any) -> object:
    name, row = _pair(made)
    if not isinstance(name, str) or name not in _DOCUMENTS or not isinstance(row, dict):
        return None
    return _DOCUMENTS[name]({str(key): value for key, value in row.items()})


def _time(text: str) -> object:
    try:
        return parse_time(text)
    except ValueError:
        return f"{OUTCOME}ValueError"


_TEXTS: Final[dict[str, Callable[[Any], object]]] = {
    "time": _time,
    "period": Period.month,
    "address": addresses.address_key,
    "message id": parse_message_id,
    "e-mail id": parse_email_id,
    "secret": lambda text: bearer.hash_of("secret", text),
    "brought secret": lambda text: bearer.given_or_new("secret", text),
    "is the same": lambda text: bearer.is_same(bearer.hash_of("secret", text), "0" * 64),
}

_WORDS: Final = [
    "ann@example.com",
    "Ann.O'Neil+news@Bücher.example",
    "x@xn--bcher-kva.example",
    "ß@faß.example",
    "2025-12",
    "2025-12-30T14:00:00.000000Z",
    "conversation-1~01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "conversation-1~2025-12-30T14:00:00.000000Z~01ARZ3NDEKTSV4RRFFQ69G5FAV",
    base64.urlsafe_b64encode(bytes(range(32))).decode(),
]


def _text(made: Any) -> object:
    name, text = _pair(made)
    if not isinstance(name, str) or name not in _TEXTS or not isinstance(text, str):
        return None
    return _TEXTS[name](text)


def _pair(made: Any) -> tuple[Any, Any]:
    return (made[0], made[1]) if isinstance(made, list) and len(made) > 1 else (None, None)


REFUSALS: Final = (DynamoChatError,)
"""The errors that a parser may raise."""
