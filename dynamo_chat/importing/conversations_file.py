r"""Reads ``conversations.jsonl``: a conversation per line, with messages as in OpenAI's API.

    {"messages": [{"role": "user", "content": "Show me 4K renders"},
                  {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function",
                     "function": {"name": "search", "arguments": "{\"limit\": 5}"}}]},
                  {"role": "tool", "tool_call_id": "c1", "content": "[{\"file_id\": 123}]"},
                  {"role": "assistant", "content": "Here is one."}]}

A line may name its conversation (``id`` or ``conversation_id``), its user (``user_id`` or
``user``), a ``title`` and ``created_at``; its messages may have an ``id`` and a ``timestamp``.
Missing ids are derived from the line's content, so that a file can be loaded again.

A tool result is stored in its call; one without a call stays a message of its own. All other
fields of a message become its metadata, those of a line its conversation's state: nothing is lost.

A file may come from anywhere. So the bytes and values of a line are limited before it is parsed,
which limits the time and memory that parsing takes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from dynamo_chat.chat.message import NewMessage
from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.importing.records import TOOL_CALL_ID, ConversationRecord, numbered_id

DEFAULT_USER = "demo"
MAX_LINE_BYTES: Final = 16 * 2**20
MAX_LINE_VALUES: Final = 1_000_000
"""JSON values in a line: each takes about 60 bytes of memory, even if it is one byte of text."""

_ROLES = {"developer": "system", "function": "tool"}
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_MILLISECONDS_FROM = 100_000_000_000
_LINE_KEYS = frozenset(
    {"messages", "id", "conversation_id", "user", "user_id", "title", "created_at"}
)
_MESSAGE_KEYS = frozenset(
    {"role", "content", "tool_calls", "function_call", "id", "message_id", "timestamp"}
)


class InvalidLine(InvalidArgument):
    """A line of a file is not a conversation. ``line`` counts from 1."""

    def __init__(self, source: str, line: int, problem: str) -> None:
        super().__init__(f"{source}, line {line}", problem)
        self.line = line


class NumberedRecord(NamedTuple):
    """A conversation of a file, and its line number."""

    line: int
    record: ConversationRecord


def read_conversations(path: Path) -> Iterator[NumberedRecord]:
    """The conversations of a file, in file order; empty lines are skipped.

    InvalidLine names the first line that is not a conversation, and its error. OSError.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
            try:
                _check_size(raw)
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    yield NumberedRecord(number, parse_conversation(text))
            except UnicodeDecodeError as error:
                raise InvalidLine(path.name, number, "is not UTF-8 text") from error
            except InvalidArgument as error:
                raise InvalidLine(path.name, number, str(error)) from error


def _check_size(raw: bytes) -> None:
    """Raise InvalidArgument for a line that is too large to parse."""
    if len(raw) > MAX_LINE_BYTES:
        raise InvalidArgument("line", f"must have at most {MAX_LINE_BYTES // 2**20} MiB")
    if _most_values(raw) > MAX_LINE_VALUES and _most_values(_TEXT.sub(b"", raw)) > MAX_LINE_VALUES:
        raise InvalidArgument("line", f"must have at most {MAX_LINE_VALUES:,} values")


def _most_values(raw: bytes) -> int:
    """An upper bound of the values in JSON text: each but the first follows one of these."""
    return 1 + sum(map(raw.count, (b",", b"[", b"{")))


def parse_conversation(text: str) -> ConversationRecord:
    """The conversation in one line. InvalidArgument names the wrong field."""
    try:
        return _record(_json_object(text))
    except RecursionError as error:
        raise InvalidArgument("line", "is nested too deeply") from error


def _record(line: Mapping[str, Any]) -> ConversationRecord:
    given = line.get("messages")
    if not isinstance(given, list) or not given:
        raise InvalidArgument("messages", "must be a list of messages, not empty")
    identity = _first_text(line, "conversation_id", "id")
    if identity is None:
        digest = hashlib.sha256(json.dumps(line, sort_keys=True).encode()).hexdigest()
        identity = f"line-{digest[:20]}"
    created_at = _moment(line.get("created_at"), "created_at")
    drafts = _folded([_draft(each, place) for place, each in enumerate(given)])
    beyond = {name: value for name, value in line.items() if name not in _LINE_KEYS}
    return ConversationRecord(
        conversation_id=identity,
        user_id=_first_text(line, "user_id", "user") or DEFAULT_USER,
        title=_first_text(line, "title"),
        created_at=created_at,
        messages=[draft.message(identity, created_at) for draft in drafts],
        state=beyond or None,
    )


@dataclass(slots=True)
class _Call:
    """A tool call, perhaps still without its result."""

    tool: str
    args: Any
    call_id: str | None
    result: Any = None
    is_answered: bool = False


@dataclass(slots=True)
class _Draft:
    """A message of a line, before tool results are stored in their calls."""

    place: int
    role: str
    content: str
    message_id: str | None
    timestamp: datetime | None
    metadata: dict[str, Any]
    calls: list[_Call] = field(default_factory=list)

    def message(self, conversation_id: str, created_at: datetime | None) -> NewMessage:
        at = self.timestamp or created_at
        identity = self.message_id
        return validated(
            NewMessage,
            f"messages.{self.place}",
            role=self.role,
            content=self.content,
            message_id=numbered_id(conversation_id, self.place) if identity is None else identity,
            at=at,
            sent_at=at,
            tool_calls=[
                {"tool": each.tool, "args": each.args, "result": each.result}
                | ({} if each.call_id is None else {"call_id": each.call_id})
                for each in self.calls
            ],
            metadata=self.metadata,
        )


def _draft(given: Any, place: int) -> _Draft:
    where = f"messages.{place}"
    if not isinstance(given, dict):
        _refuse(where, "must be an object")
    role = given.get("role")
    if not isinstance(role, str):
        _refuse(f"{where}.role", "must be text such as 'user'")
    content, parts = _content(given.get("content"), f"{where}.content")
    metadata = {name: value for name, value in given.items() if name not in _MESSAGE_KEYS}
    if parts:
        metadata["content_parts"] = parts
    return _Draft(
        place=place,
        role=_ROLES.get(role, role),
        content=content,
        message_id=_first_text(given, "message_id", "id", where=where),
        timestamp=_moment(given.get("timestamp"), f"{where}.timestamp"),
        metadata=metadata,
        calls=list(_calls(given, where)),
    )


def _content(given: Any, where: str) -> tuple[str, list[Any]]:
    """The text of a message, and its parts unless all of them are text."""
    if given is None:
        return "", []
    if isinstance(given, str):
        return given, []
    if not isinstance(given, list):
        _refuse(where, "must be text, a list of parts, or null")
    texts = [part.get("text") for part in given if isinstance(part, dict)]
    is_plain = len(texts) == len(given) and all(isinstance(text, str) for text in texts)
    return "\n".join(text for text in texts if isinstance(text, str)), [] if is_plain else given


def _calls(given: Mapping[str, Any], where: str) -> Iterator[_Call]:
    listed = given.get("tool_calls") or []
    if not isinstance(listed, list):
        _refuse(f"{where}.tool_calls", "must be a list")
    legacy = given.get("function_call")
    if legacy is not None:
        listed = [*listed, {"function": legacy}]
    for place, call in enumerate(listed):
        at = f"{where}.tool_calls.{place}"
        if not isinstance(call, dict):
            _refuse(at, "must be an object")
        yield _call(call, at)


def _call(given: Mapping[str, Any], where: str) -> _Call:
    """A tool call in OpenAI's format, or in that of `cgchat` (``tool``, ``args``, ``result``)."""
    call_id = _first_text(given, "id", "call_id", where=where)
    if "tool" in given:
        name, args = given["tool"], given.get("args")
    else:
        called = given.get("function", given.get("custom"))
        if not isinstance(called, dict):
            _refuse(where, "must have a function with its name and arguments")
        name = called.get("name")
        args = _maybe_json(called.get("arguments", called.get("input")))
    if not isinstance(name, str):
        _refuse(f"{where}.function.name", "must be text")
    return _Call(name, args, call_id, given.get("result"), "result" in given)


def _folded(drafts: Sequence[_Draft]) -> list[_Draft]:
    """The messages, with tool results moved into the earlier calls that they answer."""
    kept: list[_Draft] = []
    waiting = _Waiting()
    for draft in drafts:
        call = waiting.answered_by(draft) if draft.role == "tool" else None
        if call is None:
            kept.append(draft)
            waiting.add(draft.calls)
        else:
            call.result, call.is_answered = _maybe_json(draft.content), True
    return kept


class _Waiting:
    """The calls so far that have no result yet."""

    def __init__(self) -> None:
        self._by_id: defaultdict[str, list[_Call]] = defaultdict(list)
        self._by_tool: defaultdict[str, list[_Call]] = defaultdict(list)

    def add(self, calls: Sequence[_Call]) -> None:
        """Add the calls of a message; `answered_by` finds the first of them first."""
        for call in reversed(calls):
            self._by_tool[call.tool].append(call)
            if call.call_id is not None:
                self._by_id[call.call_id].append(call)

    def answered_by(self, result: _Draft) -> _Call | None:
        """The latest call that waits for this result, by call id, or else by tool name."""
        call_id, name = result.metadata.get(TOOL_CALL_ID), result.metadata.get("name")
        named, calls = (name, self._by_tool) if call_id is None else (call_id, self._by_id)
        found = calls.get(named, []) if isinstance(named, str) else []
        while found:
            call = found.pop()
            if not call.is_answered:  # it is in both maps
                return call
        return None


# -- values -------------------------------------------------------------------------------------


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_constant, parse_int=_integer)
    except ValueError as error:
        raise InvalidArgument("line", f"is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidArgument("line", "must be a JSON object with a list of messages")
    return found


def _maybe_json(text: Any) -> Any:
    """`text` parsed if it is a JSON object or list, else `text` itself."""
    if isinstance(text, str) and text.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return text
    return text


def _integer(digits: str) -> int:
    limit = sys.get_int_max_str_digits()
    if limit and len(digits) > limit:
        raise ValueError(f"an integer must have at most {limit:,} digits, not {len(digits):,}")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _first_text(given: Mapping[str, Any], *names: str, where: str = "") -> str | None:
    for name in names:
        value = given.get(name)
        if value is not None:
            if not isinstance(value, str) or not value:
                _refuse(f"{where}.{name}".removeprefix("."), "must be text, not empty")
            return str(value)
    return None


def _moment(given: Any, where: str) -> datetime | None:
    """A time from ISO 8601 text (UTC if it has no zone), or from seconds or milliseconds."""
    try:
        if given is None:
            return None
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            seconds = given / 1_000 if abs(given) >= _MILLISECONDS_FROM else given
            return datetime.fromtimestamp(seconds, UTC)
        moment = datetime.fromisoformat(given)
        return moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        _refuse(where, "must be a time: ISO 8601 text or seconds since 1970")


def _refuse(where: str, what: str) -> NoReturn:
    raise InvalidArgument(where, what)
