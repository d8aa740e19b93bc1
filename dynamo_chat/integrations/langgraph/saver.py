"""A checkpointer of LangGraph over the store's `Checkpoints`."""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from dynamo_chat.entities import InvalidArgument
from dynamo_chat.integrations.langgraph.asking import (
    USER_ID,
    Kept,
    checked_retention,
    checked_user,
    who_asks,
)
from dynamo_chat.integrations.langgraph.checkpoints import Checkpoints
from dynamo_chat.integrations.langgraph.kinds import At, Outline, Saved, Written

if TYPE_CHECKING:
    from dynamo_chat.aio import AsyncChatStore
    from dynamo_chat.store import ChatStore

_ITEMS_OF_ONE = 3
"""The state of a checkpoint, and what one or two tasks wrote."""
_MAX_PAGE = 300
_STRATEGIES = ("keep_latest", "delete")
_COUNTERS = "counters_since_delta_snapshot"


class DynamoCheckpointSaver(BaseCheckpointSaver[Any]):
    """Keeps the checkpoints of graphs in a store whose class has `Checkpoints`.

        class MyStore(ChatStore):
            checkpoints = repository(Checkpoints)

        saver = DynamoCheckpointSaver(MyStore("chat-prod"), retention=timedelta(days=30))
        graph = builder.compile(checkpointer=saver)
        graph.invoke(state, {"configurable": {"thread_id": "t-1", "user_id": "u-1"}})

    A checkpoint belongs to the user in the graph's configuration, or to the one that the saver
    was made for: threads of others don't exist for it. Over an `AsyncChatStore` the graph is
    awaited, over a `ChatStore` it is called. With `retention`, each checkpoint expires that long
    after it was written. InvalidArgument names what is missing or not allowed.
    """

    def __init__(
        self,
        store: ChatStore | AsyncChatStore,
        *,
        user_id: str | None = None,
        retention: timedelta | None = None,
        serde: SerializerProtocol | None = None,
    ) -> None:
        super().__init__(serde=serde)
        self._kept: Kept[Checkpoints] = Kept(store, Checkpoints)
        self._user_id = None if user_id is None else checked_user(user_id)
        self._retention = checked_retention(retention)

    def for_user(self, user_id: str) -> Self:
        """The same saver for one user: for calls without a configuration, such as `delete_thread`.

        InvalidArgument if it was made for another one.
        """
        made = copy.copy(self)
        made._user_id = who_asks(self._user_id, {USER_ID: checked_user(user_id)})  # noqa: SLF001 - its own
        return made

    # -- reading ------------------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest one; None if there is none.

        One strongly consistent request.
        """
        return self._tuple(self._kept.call(self._finding(config)))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return self._tuple(await self._kept.wait(self._finding(config)))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the framework's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """The checkpoints of a thread, newest first in each namespace.

        Without `config`, those of all threads of the user that the saver was made for. `filter`
        compares metadata, after reading.
        """
        chosen = _Chosen(filter, before, limit)
        walking = self._walking(config, chosen)
        yield from chosen.among(map(self._tuple_of, self._kept.call(walking)))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the framework's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        chosen = _Chosen(filter, before, limit)
        if chosen.is_done:
            return
        async for saved in self._kept.iterate(self._walking(config, chosen)):
            found = self._tuple_of(saved)
            if chosen.takes(found):
                yield found
            if chosen.is_done:
                return

    # -- writing ------------------------------------------------------------------------------

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,  # noqa: ARG002 - whole states are kept, no channels
    ) -> RunnableConfig:
        """Write a checkpoint, in one request, and return the configuration that names it."""
        self._kept.call(self._saving(config, checkpoint, metadata))
        return self._config_of(config, checkpoint["id"])

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,  # noqa: ARG002 - whole states are kept, no channels
    ) -> RunnableConfig:
        """As `put`."""
        await self._kept.wait(self._saving(config, checkpoint, metadata))
        return self._config_of(config, checkpoint["id"])

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Write what a task wrote after a checkpoint, in one request."""
        if writes:
            self._kept.call(self._writing(config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `put_writes`."""
        if writes:
            await self._kept.wait(self._writing(config, writes, task_id, task_path))

    # -- whole threads ------------------------------------------------------------------------

    def delete_thread(self, thread_id: str) -> None:
        """Delete all that is kept of a thread. After a crash, call it again."""
        self._kept.call(self._removing(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._kept.wait(self._removing(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs. It reads all checkpoints of the user."""
        if run_ids:
            self._kept.call(self._removing_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        if run_ids:
            await self._kept.wait(self._removing_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints of a thread to another. After a crash, call it again."""
        self._kept.call(self._copying(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await self._kept.wait(self._copying(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all checkpoints of these threads but the latest of each namespace, or all.

        What the latest ones need of earlier ones (`DeltaChannel`) stays. After a crash, call it
        again.
        """
        for work in self._prunings(thread_ids, strategy):
            self._kept.call(work)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        for work in self._prunings(thread_ids, strategy):
            await self._kept.wait(work)

    def get_next_version(self, current: Any, channel: None) -> Any:  # noqa: ARG002
        """The version after `current`: a number, or text where another saver began with text."""
        if isinstance(current, str):
            return f"{int(current.split('.')[0]) + 1:032}.{random.random():016}"  # noqa: S311
        return 1 if current is None else current + 1

    # -- what a call does with the repository ---------------------------------------------------

    def _finding(self, config: RunnableConfig) -> Any:
        user_id, at = self._user_of(config), _at(config)
        if at.checkpoint_id:
            return lambda kept: kept.get(user_id, at)
        return lambda kept: kept.latest(user_id, at.thread_id, at.namespace)

    def _walking(self, config: RunnableConfig | None, chosen: _Chosen) -> Any:
        if config is None:
            user_id = self._bound("list")
            return lambda kept: kept.walk(user_id)
        user_id, at = self._user_of(config), _at(config)
        if at.checkpoint_id:
            return lambda kept: iter([found] if (found := kept.get(user_id, at)) else [])
        namespace = config["configurable"].get("checkpoint_ns")
        return lambda kept: kept.walk(
            user_id, at.thread_id, namespace, before=chosen.before, page_size=chosen.page_size
        )

    def _saving(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> Any:
        user_id, at = self._user_of(config), _at(config)
        about: Any = get_checkpoint_metadata(config, metadata)
        run_id = about.get("run_id")
        return partial(
            Checkpoints.save,
            user_id=user_id,
            at=at._replace(checkpoint_id=_text("checkpoint", checkpoint["id"])),
            state=[*self._dumped(checkpoint), *self._dumped(about)],
            parent_id=at.checkpoint_id or None,
            run_id=str(run_id) if run_id and len(str(run_id)) <= 256 else None,
            retention=self._retention,
        )

    def _writing(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Any:
        user_id, at = self._user_of(config), _at(config)
        if not at.checkpoint_id:
            raise InvalidArgument("config", "must name the checkpoint (checkpoint_id)")
        written = []
        for place, (channel, value) in enumerate(writes):
            form, data = self.serde.dumps_typed(value)
            index = WRITES_IDX_MAP.get(channel, place)
            written.append(Written(index, channel, form, data, task_path))
        return lambda kept: kept.save_writes(
            user_id, at, task_id, written, retention=self._retention
        )

    def _removing(self, thread_id: str) -> Any:
        user_id, thread_id = self._bound("delete_thread"), _text("thread_id", thread_id)
        return lambda kept: kept.remove(user_id, kept.outlines(user_id, thread_id))

    def _removing_runs(self, run_ids: Sequence[str]) -> Any:
        user_id, runs = self._bound("delete_for_runs"), set(map(str, run_ids))

        def remove(kept: Checkpoints) -> None:
            found = kept.outlines(user_id)
            gone = {each.at for each in found if each.is_state and each.run_id in runs}
            kept.remove(user_id, [each for each in found if each.at in gone])

        return remove

    def _copying(self, source: str, target: str) -> Any:
        user_id = self._bound("copy_thread")
        source, target = _text("source_thread_id", source), _text("target_thread_id", target)
        if source == target:
            return lambda _: None
        return lambda kept: kept.copy(user_id, source, target, retention=self._retention)

    def _prunings(self, thread_ids: Sequence[str], strategy: str) -> Iterator[Any]:
        if strategy not in _STRATEGIES:
            raise InvalidArgument("strategy", f"must be one of {', '.join(_STRATEGIES)}")
        if not thread_ids:
            return
        user_id = self._bound("prune")
        for thread_id in thread_ids:
            if strategy == "delete":
                yield self._removing(thread_id)
            else:
                yield partial(self._prune, user_id, _text("thread_ids", thread_id))

    def _prune(self, user_id: str, thread_id: str, kept: Checkpoints) -> None:
        found = kept.outlines(user_id, thread_id)
        newest: dict[str, Outline] = {}
        for each in found:
            if each.is_state:
                newest.setdefault(each.at.namespace, each)
        needed = {at for each in newest.values() for at in self._needed(kept, user_id, each.at)}

        def goes(each: Outline) -> bool:
            latest = newest.get(each.at.namespace)
            # What is newer than the latest belongs to a checkpoint that is being written.
            is_older = latest is not None and each.at.checkpoint_id < latest.at.checkpoint_id
            return is_older and each.at not in needed

        kept.remove(user_id, [each for each in found if goes(each)])

    def _needed(self, kept: Checkpoints, user_id: str, latest: At) -> Iterator[At]:
        """A checkpoint, and its ancestors up to where each of its delta channels has a value."""
        at: At | None = latest
        wanted: set[str] | None = None
        while at is not None:
            yield at
            saved = kept.get(user_id, at)
            if saved is None:
                return
            found = self._tuple_of(saved)
            if wanted is None:
                counters: Any = found.metadata.get(_COUNTERS) or {}
                wanted = set(counters)
            wanted -= set(found.checkpoint["channel_values"])
            if not wanted or saved.parent_id is None:
                return
            at = at._replace(checkpoint_id=saved.parent_id)

    # -- forms --------------------------------------------------------------------------------

    def _bound(self, method: str) -> str:
        if self._user_id is None:
            raise InvalidArgument(
                "user_id", f"{method} has no configuration that says who asks: for_user(…).{method}"
            )
        return self._user_id

    def _user_of(self, config: RunnableConfig) -> str:
        return who_asks(self._user_id, config.get("configurable") or {})

    def _config_of(self, config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
        at = _at(config)._replace(checkpoint_id=str(checkpoint_id))
        return self._config(at, self._user_of(config))

    def _config(self, at: At, user_id: str) -> RunnableConfig:
        """It also says who asks, unless the saver does."""
        found = {
            "thread_id": at.thread_id,
            "checkpoint_ns": at.namespace,
            "checkpoint_id": at.checkpoint_id,
        }
        return {"configurable": found if self._user_id else {**found, USER_ID: user_id}}

    def _dumped(self, value: Any) -> Iterator[bytes]:
        form, data = self.serde.dumps_typed(value)
        yield form.encode()
        yield data

    def _tuple(self, saved: Saved | None) -> CheckpointTuple | None:
        return None if saved is None else self._tuple_of(saved)

    def _tuple_of(self, saved: Saved) -> CheckpointTuple:
        form, state, about_form, about = saved.state
        ordered = sorted(
            saved.writes,
            key=lambda each: writes_sort_key(each[1].task_path, each[0], each[1].place),
        )
        parent = saved.at._replace(checkpoint_id=saved.parent_id or "")
        return CheckpointTuple(
            config=self._config(saved.at, saved.user_id),
            checkpoint=self.serde.loads_typed((form.decode(), state)),
            metadata=self.serde.loads_typed((about_form.decode(), about)),
            parent_config=self._config(parent, saved.user_id) if saved.parent_id else None,
            pending_writes=[
                (task_id, each.channel, self.serde.loads_typed((each.form, each.value)))
                for task_id, each in ordered
            ],
        )


class _Chosen:
    """Which checkpoints a list takes."""

    def __init__(
        self, about: dict[str, Any] | None, before: RunnableConfig | None, limit: int | None
    ) -> None:
        self._about = about or {}
        self._left = limit
        self.before = None if before is None else get_checkpoint_id(before) or None

    @property
    def page_size(self) -> int:
        """How many items to read at a time."""
        if self._left is None or self._about:
            return _MAX_PAGE
        return min(_ITEMS_OF_ONE * max(self._left, 0) + 1, _MAX_PAGE)

    @property
    def is_done(self) -> bool:
        """True if it takes no more."""
        return self._left is not None and self._left <= 0

    def takes(self, found: CheckpointTuple) -> bool:
        """True, and one less is left, if `found` is one of them."""
        if self.is_done:
            return False
        if self.before is not None and found.checkpoint["id"] >= self.before:
            return False
        metadata: Any = found.metadata
        if any(metadata.get(name) != value for name, value in self._about.items()):
            return False
        if self._left is not None:
            self._left -= 1
        return True

    def among(self, found: Iterator[CheckpointTuple]) -> Iterator[CheckpointTuple]:
        """Those among `found`."""
        while not self.is_done and (each := next(found, None)) is not None:
            if self.takes(each):
                yield each


def _at(config: RunnableConfig) -> At:
    """The checkpoint that a configuration names; without an id, a namespace of a thread."""
    configurable = config.get("configurable") or {}
    thread_id, checkpoint_id = configurable.get("thread_id"), get_checkpoint_id(config)
    if thread_id is None:
        raise InvalidArgument("config", "must name the thread (thread_id)")
    return At(
        _text("thread_id", thread_id),
        str(configurable.get("checkpoint_ns") or ""),
        str(checkpoint_id or ""),
    )


def _text(argument: str, value: object) -> str:
    """An id as text: applications also pass UUIDs and numbers. InvalidArgument if it is empty."""
    found = str(value)
    if not found:
        raise InvalidArgument(argument, "must not be empty")
    return found
