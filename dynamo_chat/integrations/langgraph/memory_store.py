"""A long-term memory of LangGraph over the store's `Memories`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from dynamo_chat.entities import InvalidArgument
from dynamo_chat.integrations.langgraph.asking import USER_ID, Kept, checked_user, who_asks
from dynamo_chat.integrations.langgraph.memories import Labels, Memories, Memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamo_chat.aio import AsyncChatStore
    from dynamo_chat.store import ChatStore

_ANY: Final = "*"
_MAX_PAGE: Final = 1_000


class DynamoMemoryStore(BaseStore):
    """Keeps what graphs remember in a store whose class has `Memories`.

        class MyStore(ChatStore):
            memories = repository(Memories)

        graph = builder.compile(store=DynamoMemoryStore(MyStore("chat-prod")))

    A memory belongs to the user in the running graph's configuration, or to the one that this was
    made for (`for_user`): others' don't exist for it. Over an `AsyncChatStore` its methods with `a`
    are awaited, over a `ChatStore` the others are called. Reads are strongly consistent. A value is
    a JSON object. With a time to live, in minutes, it is kept that long after its last use; what
    has expired is absent.

    There is no search by meaning: `query` raises InvalidArgument, and `index` has no effect.
    """

    supports_ttl: ClassVar[bool] = True  # type: ignore[misc]

    def __init__(
        self,
        store: ChatStore | AsyncChatStore,
        *,
        user_id: str | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        self._store = store
        self._kept: Kept[Memories] = Kept(store, Memories)
        self._user_id = None if user_id is None else checked_user(user_id)
        self.ttl_config = ttl

    def for_user(self, user_id: str) -> Self:
        """The same for one user, for use outside of graphs.

        InvalidArgument if it was made for another one.
        """
        asks = who_asks(self._user_id, {USER_ID: checked_user(user_id)})
        return type(self)(self._store, user_id=asks, ttl=self.ttl_config)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of these operations, in their order; what is read is as it was before."""
        return self._kept.call(self._doing(ops))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        return await self._kept.wait(self._doing(ops))

    def _doing(self, ops: Iterable[Op]) -> Callable[[Memories], list[Result]]:
        running = var_child_runnable_config.get() or {}
        user_id = who_asks(self._user_id, running.get("configurable") or {})
        asked = list(ops)
        for op in asked:
            _check(op)
        return lambda kept: _done(kept, user_id, asked)


def _check(op: Op) -> None:
    """InvalidArgument for what can't be done; the framework's error for a namespace."""
    if not isinstance(op, GetOp | PutOp | SearchOp | ListNamespacesOp):
        raise InvalidArgument("ops", f"must be of the framework's kinds, not {type(op).__name__}")
    validate_op_namespace(op)
    if isinstance(op, SearchOp) and op.query:
        raise InvalidArgument(
            "query", "there is no search by meaning here: use a filter, or a vector store"
        )
    if isinstance(op, SearchOp | ListNamespacesOp):
        _check_number("limit", op.limit)
        _check_number("offset", op.offset, least=0)
    if isinstance(op, ListNamespacesOp) and op.max_depth is not None:
        _check_number("max_depth", op.max_depth, least=0)


def _check_number(argument: str, value: object, *, least: int | None = None) -> None:
    if type(value) is not int or (least is not None and value < least):
        more = "" if least is None else f" from {least}"
        raise InvalidArgument(argument, f"must be an integer{more}")


def _done(kept: Memories, user_id: str, ops: list[Op]) -> list[Result]:
    last = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
    # Nothing is written if any is refused.
    for (labels, key), put in last.items() if len(ops) > 1 else ():
        kept.check(user_id, labels, key, put.value, minutes=put.ttl)
    results: list[Result] = [None] * len(ops)
    used: dict[tuple[str, str], Memory] = {}
    for at, memory in _found(kept, user_id, ops):
        results[at] = _item(Item, memory)
        if getattr(ops[at], "refresh_ttl", False):
            used[memory.namespace, memory.key] = memory
    for at, op in enumerate(ops):
        if isinstance(op, SearchOp):
            matching = _search(kept, user_id, op)
            results[at] = [_item(SearchItem, memory) for memory in matching]
            if op.refresh_ttl:
                used |= {(memory.namespace, memory.key): memory for memory in matching}
        elif isinstance(op, ListNamespacesOp):
            stop = op.offset + max(op.limit, 0)
            results[at] = list(islice(_namespaces(kept, user_id, op), op.offset, stop))
    if used:
        kept.refresh(user_id, list(used.values()))
    for (labels, key), put in last.items():
        if put.value is None:
            kept.delete(user_id, labels, key)
        else:
            kept.put(user_id, labels, key, put.value, minutes=put.ttl)
    return results


def _found(kept: Memories, user_id: str, ops: Sequence[Op]) -> Iterator[tuple[int, Memory]]:
    """What is asked for by its key, with the place of the operation."""
    gets = [(at, op) for at, op in enumerate(ops) if isinstance(op, GetOp)]
    if gets:
        found = kept.get(user_id, [(op.namespace, op.key) for _, op in gets])
        for (at, _), memory in zip(gets, found, strict=True):
            if memory is not None:
                yield at, memory


def _search(kept: Memories, user_id: str, op: SearchOp) -> list[Memory]:
    if op.limit <= 0:
        return []
    stop = op.offset + op.limit
    found = kept.walk(user_id, op.namespace_prefix, page_size=min(stop, _MAX_PAGE))
    matching = (each for each in found if matches(each.value, op.filter or {}))
    return list(islice(matching, op.offset, stop))


def _namespaces(kept: Memories, user_id: str, op: ListNamespacesOp) -> Iterator[Labels]:
    """The namespaces that are asked for, in order: one request for each that there is."""
    conditions = op.match_conditions or ()
    prefix = _common_prefix(conditions)
    shown: Labels | None = None
    found = kept.next_namespace(user_id, prefix)
    while found is not None:
        is_deep = False
        if all(_fits(each, found) for each in conditions):
            cut = found if op.max_depth is None else found[: op.max_depth]
            if cut != shown:
                yield cut
                shown = cut
            is_deep = op.max_depth is not None and len(found) >= op.max_depth > 0
        behind = found[: op.max_depth] if is_deep else found
        found = kept.next_namespace(user_id, prefix, after=behind, deep=is_deep)


def _common_prefix(conditions: Iterable[MatchCondition]) -> Labels:
    """What all that fits begins with."""
    for each in conditions:
        if each.match_type == "prefix":
            labels = tuple(each.path)
            return labels[: labels.index(_ANY)] if _ANY in labels else labels
    return ()


def _fits(condition: MatchCondition, labels: Labels) -> bool:
    path = condition.path
    if condition.match_type not in {"prefix", "suffix"}:
        raise InvalidArgument("match_conditions", "each must be of a prefix or a suffix")
    if len(labels) < len(path):
        return False
    part = labels[: len(path)] if condition.match_type == "prefix" else labels[-len(path) :]
    return not path or all(
        wanted in {_ANY, label} for wanted, label in zip(path, part, strict=True)
    )


def _item(kind: Any, memory: Memory) -> Any:
    return kind(
        value=memory.value,
        key=memory.key,
        namespace=memory.labels,
        created_at=memory.created_at,
        updated_at=memory.updated_at,
    )


def matches(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """True if all of `wanted` holds for the value: equal, or compared with ``$gt`` and so on."""
    return all(_is(value.get(name), each) for name, each in wanted.items())


def _is(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if any(str(name).startswith("$") for name in wanted):
            return all(_compares(value, name, each) for name, each in wanted.items())
        return isinstance(value, Mapping) and matches(value, wanted)
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(wanted)
            and all(map(_is, value, wanted))
        )
    return bool(value == wanted)


def _compares(value: Any, operator: str, wanted: Any) -> bool:
    if operator == "$eq":
        return bool(value == wanted)
    if operator == "$ne":
        return bool(value != wanted)
    if operator not in {"$gt", "$gte", "$lt", "$lte"}:
        raise InvalidArgument("filter", f"{operator} is none of $eq, $ne, $gt, $gte, $lt, $lte")
    try:
        left, right = float(value), float(wanted)
    except (TypeError, ValueError):
        return False  # what is no number, or missing, is neither more nor less
    if operator in {"$gte", "$lte"} and left == right:
        return True
    return left > right if operator in {"$gt", "$gte"} else left < right
