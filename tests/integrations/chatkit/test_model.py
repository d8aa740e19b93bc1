"""Whatever is done in whatever order, ChatKit's store behaves like lists in memory."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from chatkit.store import NotFoundError
from hypothesis import HealthCheck, given, settings, strategies as st

from dynamo_chat.core.errors import Conflict
from tests.integrations.chatkit.scenes import ANN, BOB, Kit, asked, hidden, said, talking
from tests.scene import Scene

pytestmark = [pytest.mark.engine, pytest.mark.once]

IDS = st.sampled_from(["a", "b", "c", "d", "e"])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "save"]), IDS, st.sampled_from([said, asked, hidden])),
        st.tuples(st.sampled_from(["delete", "load"]), IDS, st.none()),
        st.tuples(st.just("page"), IDS | st.none(), st.tuples(st.integers(1, 4), st.booleans())),
    ),
    max_size=15,
)


class Model:
    """A thread's items, and the ids that were deleted."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.places: list[str] = []

    def write(self, item: Any, *, may_replace: bool) -> bool:
        """True if it may be written."""
        if item.id in self.places:
            there = self.items.get(item.id)
            if there is None or not (may_replace or there == item):
                return False
        else:
            self.places.append(item.id)
        self.items[item.id] = item
        return True

    def page(self, after: str | None, limit: int, *, is_descending: bool) -> tuple[list[Any], bool]:
        """The items behind `after`, and whether there are more."""
        order = self.places[::-1] if is_descending else self.places
        behind = order[order.index(after) + 1 :] if after is not None else order
        left = [self.items[each] for each in behind if each in self.items]
        return left[:limit], len(left) > limit


async def _same(kit: Kit, thread: str, model: Model, action: tuple[str, Any, Any]) -> None:
    name, item_id, more = action
    if name in ("add", "save"):
        item = more(item_id, name, thread=thread)
        call = kit.kit.add_thread_item if name == "add" else kit.kit.save_item
        if model.write(item, may_replace=name == "save"):
            await call(thread, item, ANN)
        else:
            with pytest.raises(Conflict):
                await call(thread, item, ANN)
    elif name == "delete":
        model.items.pop(item_id, None)
        await kit.kit.delete_thread_item(thread, item_id, ANN)
        await kit.kit.delete_thread_item(thread, item_id, BOB)
    elif name == "load" and item_id in model.items:
        assert await kit.kit.load_item(thread, item_id, ANN) == model.items[item_id]
    elif name == "page" and (item_id is None or item_id in model.places):
        limit, is_descending = more
        wanted, has_more = model.page(item_id, limit, is_descending=is_descending)
        order = "desc" if is_descending else "asc"
        page = await kit.kit.load_thread_items(thread, item_id, limit, order, ANN)
        assert (page.data, page.has_more) == (wanted, has_more)
        assert page.after == (wanted[-1].id if has_more else None)
    else:
        absent = (
            kit.kit.load_item(thread, item_id, ANN)
            if name == "load"
            else kit.kit.load_thread_items(thread, item_id, 1, "asc", ANN)
        )
        with pytest.raises(NotFoundError):
            await absent


def test_a_thread_is_a_list(scene: Scene) -> None:
    """Two servers take turns."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def opened() -> list[Kit]:
            return [await stack.enter_async_context(talking(scene)) for _ in range(2)]

        kits = runner.run(opened())
        threads = iter(range(10**6))

        @settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
        @given(ACTIONS)
        def behaves(actions: list[tuple[str, Any, Any]]) -> None:
            async def play() -> None:
                thread, model = (await kits[0].thread(f"thr_{next(threads)}")).id, Model()
                for number, action in enumerate(actions):
                    await _same(kits[number % 2], thread, model, action)

            runner.run(play())

        behaves()
        runner.run(stack.aclose())
