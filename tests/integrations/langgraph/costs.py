"""What a saver's requests cost, whichever it is: to measure it beside others."""

import random
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint

from dynamo_chat.cases.english import ENGLISH
from dynamo_chat.testing import RequestMeter
from dynamo_chat.testing.schema import CHAT_TABLE, TableSchema

WORDS = ENGLISH.split()


def said(number: int) -> str:
    """Some 300 characters, of other words each time: repeated texts would shrink to nothing."""
    return " ".join(random.Random(number).sample(WORDS, 60))


def state_of(turns: int) -> dict[str, Any]:
    """The channels of a chat of so many turns, with messages of some 300 characters."""
    messages: list[Any] = []
    for turn in range(turns):
        messages.append(HumanMessage(said(2 * turn), id=f"q-{turn}"))
        messages.append(AIMessage(said(2 * turn + 1), id=f"a-{turn}"))
    return {"messages": messages}


def costs(
    saver: Any, client: Any, turns: int, schema: TableSchema = CHAT_TABLE, **configurable: Any
) -> dict[str, dict[str, float]]:
    """Requests, units and bytes of each call of a saver on a thread of so many turns."""
    thread: Any = {"configurable": {"thread_id": "t-1", "checkpoint_ns": "", **configurable}}
    found: dict[str, dict[str, float]] = {}

    def metered(name: str, call: Callable[[], Any]) -> Any:
        with RequestMeter(client, schema=schema) as meter:
            given = call()
        found[name] = {
            "requests": meter.count,
            "wcu": sum(sum(each.wcu.values()) for each in meter.requests),
            "rcu": sum(sum(each.rcu.values()) for each in meter.requests),
            "bytes": sum(each.bytes_sent + each.bytes_received for each in meter.requests),
        }
        return given

    def checkpoint(count: int) -> Any:
        made = empty_checkpoint()
        made["channel_values"] = state_of(count)
        made["channel_versions"] = {"messages": count}
        return made

    about: Any = {"source": "loop", "step": turns, "parents": {}}
    written = [("messages", state_of(1)["messages"][0])]
    before = saver.put(thread, checkpoint(turns - 1), about, {"messages": turns - 1})
    saver.put_writes(before, written, "task-0")
    config = metered(
        "put", lambda: saver.put(before, checkpoint(turns), about, {"messages": turns})
    )
    metered("latest", lambda: saver.get_tuple(thread))
    metered("put_writes", lambda: saver.put_writes(config, written, "task-1"))
    metered("by id", lambda: saver.get_tuple(config))
    return found
