"""`DynamoSession`: the session of the OpenAI Agents SDK, kept as an ordinary conversation.

    async with AsyncChatStore("chat-prod", region="eu-west-1") as store:
        session = DynamoSession("talk-1", store, "u-1")
        result = await Runner.run(agent, "Hello", session=session)

Every item of the SDK is a message. What the message does not say of its item is in its metadata,
under ``openai_agents``:

    nothing                      the item is ``{"role": …, "content": text}``, or what
                                 `openai_items` makes of the message
    {"item": …, "text": path}    the item; its one text is not in it: that is the message's content
    {"changed": …}               how the item differs from what `openai_items` makes of the message
    {"item": …}                  the item
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from agents.memory.session_settings import SessionSettings, resolve_session_limit

from dynamo_chat.chat.formats.openai_responses import ITEM, from_openai_items, openai_items
from dynamo_chat.chat.formats.shared import PARTS, filled, shown_role
from dynamo_chat.chat.message import Message, MessageConflict, NewMessage
from dynamo_chat.chat.turns import is_one_turn, turns_of
from dynamo_chat.core.attributes import json_text
from dynamo_chat.core.entity import json_copy, validated
from dynamo_chat.core.errors import InvalidArgument, MessageDeleted, NotFound
from dynamo_chat.core.page import MAX_PAGE_SIZE

if TYPE_CHECKING:
    from agents.items import TResponseInputItem

    from dynamo_chat.aio import AsyncChatStore

logger = logging.getLogger("dynamo_chat")

Item: TypeAlias = dict[str, Any]
Path: TypeAlias = list[str | int]

KEPT: Final = "openai_agents"
"""In a message's metadata: what the message does not say of its item."""


class DynamoSession:
    """A session of the OpenAI Agents SDK that is a conversation of one user.

    The conversation is made when the first items are added, with `retention`, `sliding` and
    `keep_last` as in `conversations.create`; one that the user has with this id is used as it is.
    Of somebody else's conversation there are no items; adding some raises AlreadyExists.
    InvalidArgument if `session_id` or `user_id` is not text, or empty.
    """

    session_settings: SessionSettings | None

    def __init__(
        self,
        session_id: str,
        store: AsyncChatStore,
        user_id: str,
        *,
        session_settings: SessionSettings | None = None,
        retention: timedelta | None = None,
        sliding: bool = False,
        keep_last: int | None = None,
    ) -> None:
        for name, value in (("session_id", session_id), ("user_id", user_id)):
            if not isinstance(value, str) or not value:
                raise InvalidArgument(name, "must be text, not empty")
        self.session_id = session_id
        self.session_settings = session_settings or SessionSettings()
        self.user_id = user_id
        self._store = store
        self._creation: dict[str, Any] = {
            "retention": retention,
            "sliding": sliding,
            "keep_last": keep_last,
        }
        self._unfinished: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"DynamoSession({self.session_id!r}, {self._store!r})"

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The latest `limit` items, oldest first; all without a limit, here and in the settings.

        One request for up to 1 MB, strongly consistent. Messages that can't be read, or are still
        being streamed, are left out. InvalidArgument for a limit below 0.
        """
        wanted = resolve_session_limit(limit, self.session_settings)
        if wanted is not None and (type(wanted) is not int or wanted < 0):
            raise InvalidArgument("limit", "must be an integer from 0, or None")
        latest_first: list[Item] = []
        cursor: str | None = None
        while wanted is None or len(latest_first) < wanted:
            missing = MAX_PAGE_SIZE if wanted is None else wanted - len(latest_first)
            try:
                page = await self._store.messages.list(
                    self.session_id,
                    user_id=self.user_id,
                    newest_first=True,
                    page_size=min(MAX_PAGE_SIZE, missing),
                    cursor=cursor,
                    consistent=True,
                )
            except NotFound:
                return []
            for damaged in page.unreadable:
                logger.warning("left out of a session: %s", damaged)
            for message in page:
                if not message.is_streaming:
                    latest_first += reversed(items_of(message))
            cursor = page.cursor
            if cursor is None:
                break
        return cast("list[TResponseInputItem]", latest_first[:wanted][::-1])

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add items, in their order.

        Up to 45 items and 3 MB are one request, and are written all or not at all. More are
        written in several; if that was interrupted, the same call of this session goes on where it
        stopped. InvalidArgument names an item that is not JSON; ItemTooLarge; in both cases nothing
        is written. AlreadyExists if the conversation is somebody else's, or is being deleted.
        """
        messages = [message_of(item, f"items.{at}") for at, item in enumerate(_listed(items))]
        if not messages:
            return
        if is_one_turn(messages):
            await self._append(messages)
            return
        # The ids say what was written already. Without them an append is cheaper.
        said = _digest(messages)
        turn = self._unfinished.pop(said, None) or uuid.uuid4().hex
        named = [
            message.model_copy(update={"message_id": f"{turn}.{at}"})
            for at, message in enumerate(messages)
        ]
        parts = turns_of(self.session_id, named)
        try:
            for part in parts:
                await self._append(part)
        except (MessageConflict, MessageDeleted):
            raise  # what was written is not there any more: there is nothing to go on from
        except BaseException:
            self._unfinished[said] = turn
            raise

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the last item away and return it; None if there is none. Two requests.

        Each item is returned once, however many callers pop at the same time. Contended, if others
        were always first: call again.
        """
        self._unfinished.clear()
        try:
            message = await self._store.messages.pop(
                self.session_id, user_id=self.user_id, finished_only=True
            )
        except NotFound:
            return None
        return None if message is None else cast("TResponseInputItem", items_of(message)[-1])

    async def clear_session(self) -> None:
        """Delete all items. The conversation, its title and its settings stay.

        After a crash, call it again: items are deleted in transactions of 99, the oldest first.
        """
        self._unfinished.clear()
        try:
            await self._store.messages.prune(self.session_id, 0, user_id=self.user_id)
        except NotFound:
            return

    async def _append(self, messages: Sequence[NewMessage]) -> None:
        """Append a turn; make the conversation if there is none."""
        try:
            await self._store.messages.append_turn(self.session_id, messages, user_id=self.user_id)
        except NotFound:
            turns_of(self.session_id, messages)  # none is made for what is too large for it
            await self._store.conversations.create(
                self.user_id, conversation_id=self.session_id, **self._creation
            )
            await self._store.messages.append_turn(self.session_id, messages, user_id=self.user_id)


# -- items and messages ---------------------------------------------------------------------------


def message_of(item: Any, argument: str = "item") -> NewMessage:
    """The message that keeps an item of the SDK, to be appended. InvalidArgument."""
    if not isinstance(item, Mapping):
        raise InvalidArgument(argument, f"must be an object, not {type(item).__name__}")
    try:
        wanted: Item = json_copy(dict(item))
    except ValueError as error:
        raise InvalidArgument(argument, str(error)) from error
    for message in _ways_to_keep(wanted):
        if _is_same(items_of(message), [wanted]):
            return message
    return validated(NewMessage, argument, role="assistant", metadata={KEPT: {"item": wanted}})


def items_of(message: Message | NewMessage) -> list[Item]:
    """The items of a message; one, unless another program wrote it with several tool calls."""
    kept = message.metadata.get(KEPT)
    match kept:
        case {"item": dict(item), "text": list(path)}:
            return [filled(item, path, message.content)]
        case {"item": dict(item)}:
            return [json_copy(item)]
    is_plain = not (message.tool_calls or message.metadata.keys() & {PARTS, ITEM})
    if kept is None and message.role != "tool" and is_plain:
        return [{"role": shown_role(message), "content": message.content}]
    try:
        items = openai_items([message])
    except InvalidArgument:  # of a form that only another model's API has
        items = [{"role": "assistant", "content": message.content}]
    if isinstance(kept, dict) and "changed" in kept:
        items[-1] = changed(items[-1], kept["changed"])
    return items


def _ways_to_keep(item: Item) -> Iterator[NewMessage]:
    """Messages that may keep the item, the smallest first."""
    try:
        made = from_openai_items([item])
    except InvalidArgument:
        return
    if len(made) != 1:
        return
    message = made[0]
    yield message
    path = _path_of_text(item)
    if path is not None:
        others = {name: value for name, value in message.metadata.items() if name != PARTS}
        kept = {"item": filled(item, path, None), "text": path}
        yield message.model_copy(update={"metadata": {**others, KEPT: kept}})
    slim = _without_values(message)
    yield _with(slim, {"changed": difference(openai_items([slim])[-1], item)})
    yield _with(message, {"item": item})


def _without_values(message: NewMessage) -> NewMessage:
    """The message without what only OpenAI's format says of its parts: images are not kept twice.

    What that is comes back from the difference between the items.
    """
    parts = message.metadata.get(PARTS)
    if not isinstance(parts, list):
        return message
    slim = [
        {name: value for name, value in part.items() if name not in {"format", "value"}}
        if part["type"] in {"text", "image"}
        else part
        for part in parts
    ]
    return message.model_copy(update={"metadata": {**message.metadata, PARTS: slim}})


def _with(message: NewMessage, kept: Item) -> NewMessage:
    return message.model_copy(update={"metadata": {**message.metadata, KEPT: kept}})


def _path_of_text(item: Item) -> Path | None:
    """Where the text of an item with one text is; None if it has several, or other content."""
    match item:
        case {"role": str(), "content": str()}:
            return ["content"]
        case {"role": str(), "content": [{"type": "input_text" | "output_text", "text": str()}]}:
            return ["content", 0, "text"]
        case {"type": "function_call_output", "output": str()}:
            return ["output"]
    return None


def difference(there: Any, wanted: Any) -> Any:
    """How JSON `wanted` differs from `there`, for `changed`.

    ``{"is": value}``, or for objects ``{"keys": {key: difference}, "without": [key, …]}``, or for
    lists of one length ``{"places": {place: difference}, "of": length}``.
    """
    if isinstance(there, dict) and isinstance(wanted, dict):
        keys = {
            key: difference(there[key], value) if key in there else {"is": value}
            for key, value in wanted.items()
            if key not in there or not _is_same(there[key], value)
        }
        return {"keys": keys, "without": [key for key in there if key not in wanted]}
    if isinstance(there, list) and isinstance(wanted, list) and len(there) == len(wanted):
        places = {
            str(place): difference(one, other)
            for place, (one, other) in enumerate(zip(there, wanted, strict=True))
            if not _is_same(one, other)
        }
        return {"places": places, "of": len(there)}
    return {"is": wanted}


def changed(there: Any, by: Any) -> Any:
    """`there` with this difference; unchanged where it has become something else meanwhile."""
    match by, there:
        case {"is": value}, _:
            return json_copy(value)
        case {"keys": dict(keys), "without": list(without)}, dict():
            kept = {key: value for key, value in there.items() if key not in without}
            return {**kept, **{key: changed(there.get(key), each) for key, each in keys.items()}}
        case {"places": dict(places), "of": int(length)}, list() if len(there) == length:
            return [
                changed(each, places[str(place)]) if str(place) in places else each
                for place, each in enumerate(there)
            ]
    return there


def _is_same(one: Any, other: Any) -> bool:
    return json_text(one, sort_keys=True) == json_text(other, sort_keys=True)  # 1 is not True


def _listed(items: Any) -> Sequence[Any]:
    if not isinstance(items, Sequence) or isinstance(items, (str, bytes)):
        raise InvalidArgument("items", f"must be a list, not {type(items).__name__}")
    return items


def _digest(messages: Sequence[NewMessage]) -> str:
    said = [message.model_dump(mode="json", exclude_defaults=True) for message in messages]
    return hashlib.sha256(json_text(said, sort_keys=True).encode()).hexdigest()
