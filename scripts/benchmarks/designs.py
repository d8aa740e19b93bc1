"""Two ways to store a conversation: dynamo_chat's, and all messages as a list in one item.

The second is what most guides show: one item per conversation, appended to with ``list_append``,
listed through an index on the user. It is written with the raw client, as well as it can be.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from benchmarks.samples import CHARACTERS, USER, question, text_of
from dynamo_chat import ChatStore, Feedback
from dynamo_chat.core.size import MAX_ITEM_BYTES, item_size
from dynamo_chat.testing import Engine
from dynamo_chat.testing.hook import Client

PAGE = 20
TURN = 40
TITLE = text_of(40, 0)
Operations = dict[str, Callable[[], object]]


class Design(Protocol):
    """A way to store conversations, in a table of its own."""

    name: str
    client: Client

    def fill(self, messages: int) -> None:
        """Put 20 conversations of ``USER``; the measured one has these messages."""

    def operations(self) -> Operations:
        """The operations to measure, in an order in which they can run; deletion is last."""


class DynamoChat:
    """The package, used as a program uses it; the store is warm."""

    name = "dynamo_chat"

    def __init__(self, engine: Engine, table: str) -> None:
        self.store: ChatStore = engine.store(table)
        self.client = self.store.connection.client
        self.talk = self.message = ""

    def fill(self, messages: int) -> None:
        """Put one full conversation; a page lists only heads, so the others may stay empty."""
        for _ in range(PAGE):
            self.talk = self.store.conversations.create(USER, title=TITLE).conversation_id
        for start in range(0, messages, TURN):
            turn = [question(number) for number in range(start, min(start + TURN, messages))]
            self.store.messages.append_turn(self.talk, turn)
        self.message = self.store.messages.latest(self.talk, 1)[0].message_id

    def operations(self) -> Operations:
        """One method each."""
        talks, messages, talk = self.store.conversations, self.store.messages, self.talk
        praise = Feedback(type="positive", rank=5)
        return {
            "create": lambda: talks.create(USER, title=TITLE),
            "get head": lambda: talks.get(talk),
            "page of 20": lambda: talks.list_by_user(USER, page_size=PAGE),
            "latest 20": lambda: messages.latest(talk, PAGE),
            "get message": lambda: messages.get(talk, self.message),
            "rename": lambda: talks.rename(talk, text_of(40, 1)),
            "append": lambda: messages.append(talk, question(0)),
            "append 2": lambda: messages.append_turn(talk, [question(1), question(2)]),
            "feedback": lambda: messages.give_feedback(talk, self.message, praise),
            "delete": lambda: talks.delete(talk),
        }


class EmbeddedList:
    """One item per conversation, the messages as a list in it."""

    name = "one item"

    def __init__(self, engine: Engine, table: str) -> None:
        engine.store(table)  # the table and the index are the same
        self.client = engine.client()
        self.table = table
        self.key: dict[str, Any] = {}

    def fill(self, messages: int) -> None:
        """Put that many messages into every conversation: a page reads them all."""
        for number in range(PAGE):
            item = embedded_item(number, messages)
            self.key = {"PK": item["PK"], "SK": item["SK"]}
            self.client.put_item(TableName=self.table, Item=item)

    def operations(self) -> Operations:
        """One request each."""
        get, query = self.client.get_item, self.client.query
        one = {"TableName": self.table, "Key": self.key}
        page = {
            "TableName": self.table,
            "IndexName": "GSI1",
            "KeyConditionExpression": "GSI1PK = :user",
            "ExpressionAttributeValues": {":user": {"S": USER}},
            "ScanIndexForward": False,
            "Limit": PAGE,
        }

        def all_of_page() -> None:
            """Read all of a page: DynamoDB stops at 1 MB, so large items take several requests."""
            left = PAGE
            start: dict[str, Any] = {}
            while left > 0:
                answer = query(**page | {"Limit": left} | start)
                left -= len(answer["Items"])
                if "LastEvaluatedKey" not in answer:
                    return
                start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

        return {
            "create": lambda: self.client.put_item(
                TableName=self.table, Item=embedded_item(PAGE, 0)
            ),
            "get head": lambda: get(**one),
            "page of 20": all_of_page,
            "latest 20": lambda: get(**one),
            "get message": lambda: get(**one),
            "rename": lambda: self._update("SET title = :new", {"S": text_of(40, 1)}),
            "append": lambda: self._append(1),
            "append 2": lambda: self._append(2),
            "feedback": lambda: self._update(
                "SET messages[0].feedback = :new", {"M": {"type": {"S": "positive"}}}
            ),
            "delete": lambda: self.client.delete_item(**one),
        }

    def _append(self, messages: int) -> None:
        added = {"L": [embedded_message(number) for number in range(messages)]}
        self._update("SET messages = list_append(messages, :new)", added)

    def _update(self, expression: str, value: dict[str, Any]) -> None:
        self.client.update_item(
            TableName=self.table,
            Key=self.key,
            UpdateExpression=expression,
            ExpressionAttributeValues={":new": value},
        )


def embedded_item(number: int, messages: int) -> dict[str, Any]:
    """A conversation with all its messages."""
    identifier = f"conversation-{number:013d}"  # as long as a ULID
    return {
        "PK": {"S": identifier},
        "SK": {"S": "CONVERSATION"},
        "GSI1PK": {"S": USER},
        "GSI1SK": {"S": f"{_moment(number)}#{identifier}"},
        "title": {"S": TITLE},
        "messages": {"L": [embedded_message(place) for place in range(messages)]},
    }


def embedded_message(number: int) -> dict[str, Any]:
    """A message of 1,000 characters as an element of the list."""
    return {
        "M": {
            "role": {"S": "user"},
            "content": {"S": text_of(CHARACTERS, number)},
            "timestamp": {"S": _moment(number)},
        }
    }


def embedded_capacity() -> int:
    """How many messages fit into one item."""
    empty, one = (item_size(embedded_item(0, messages)) for messages in (0, 1))
    return (MAX_ITEM_BYTES - empty) // (one - empty)


def _moment(number: int) -> str:
    return (datetime(2025, 12, 30, tzinfo=UTC) + timedelta(seconds=number)).isoformat()
