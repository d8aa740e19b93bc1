"""LangGraph, with threads and long-term memory in a chat table.

    python examples/langgraph_agent.py

It runs on the embedded engine, with a model that only pretends. Needs `langgraph` and the extras
`langgraph` and `testing`.
"""

import operator
from typing import Annotated, Any, TypedDict, cast

from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.types import Command, interrupt

from dynamo_chat import ChatStore
from dynamo_chat.entities import repository
from dynamo_chat.integrations.langgraph import (
    Checkpoints,
    DynamoCheckpointSaver,
    DynamoMemoryStore,
    Memories,
)
from dynamo_chat.testing import EmbeddedEngine


class AgentStore(ChatStore):
    """The package's repositories, and those of the graph."""

    checkpoints = repository(Checkpoints)
    memories = repository(Memories)


class State(TypedDict):
    """What a thread is about."""

    said: Annotated[list[str], operator.add]


def pretended_model(said: list[str], known: dict[str, Any]) -> str:
    """An answer that shows what was heard and what is known."""
    name = known.get("name", "stranger")
    return f"Hello {name}, I have heard {len(said)} things."


def answer(state: State, runtime: Runtime) -> State:
    """Learn a name, and answer."""
    memory = cast("BaseStore", runtime.store)
    heard = state["said"][-1]
    if heard.startswith("I am "):
        memory.put(("profile",), "about", {"name": heard.removeprefix("I am ")})
    about = memory.get(("profile",), "about")
    return {"said": [pretended_model(state["said"], about.value if about else {})]}


def confirm(state: State) -> State:
    """Ask a human, and go on with what they say, perhaps days later on another server."""
    name = state["said"][0].removeprefix("I am ")
    return {"said": [f"{name} said: {interrupt('Is that right?')}"]}


def graph_on(store: AgentStore) -> Any:
    """One graph for all users: each call says whose it is."""
    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_node("confirm", confirm)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", "confirm")
    return builder.compile(
        checkpointer=DynamoCheckpointSaver(store), store=DynamoMemoryStore(store)
    )


def main() -> None:
    """Make a table that lives as long as this program."""
    with EmbeddedEngine() as engine:
        store = engine.store("chat", store=AgentStore)
        ann = {"configurable": {"thread_id": "talk-1", "user_id": "ann"}}
        stopped = graph_on(store).invoke({"said": ["I am Ann"]}, ann)
        print(stopped["said"][-1], stopped["__interrupt__"][0].value)

        server = graph_on(store)  # another one, which remembers nothing itself
        print(server.invoke(Command(resume="yes"), ann)["said"][-1])
        print(f"{len(list(server.get_state_history(ann)))} checkpoints")

        other = {"configurable": {"thread_id": "talk-2", "user_id": "ann"}}
        print(server.invoke({"said": ["Who am I?"]}, other)["said"][-1])

        eve = {"configurable": {"thread_id": "talk-1", "user_id": "eve"}}
        print(f"Eve sees {server.get_state(eve).values}")
        print(server.invoke({"said": ["Who am I?"]}, eve)["said"][-1])

        store.people.erase("ann")
        print(f"Ann's thread is {server.get_state(ann).values}")


if __name__ == "__main__":
    main()
