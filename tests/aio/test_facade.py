"""Every method of every repository is there, and what type checkers see is what runs."""

import ast
import asyncio
import inspect
from collections.abc import Callable, Generator, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from dynamo_chat import ChatStore, InvalidArgument, NewMessage
from dynamo_chat.aio import AsyncChatStore, derived, stubs
from dynamo_chat.aio.facade import Bound, asynchronous, is_iterating, scoped_kind
from dynamo_chat.catalogue import catalogue, repositories
from dynamo_chat.core.patterns import OPERATOR, access_pattern, declared_pattern
from dynamo_chat.core.repository import Repository
from dynamo_chat.testing.engine import Engine
from tests.scene import Scene


@cache
def of_stub() -> dict[str, dict[str, ast.AST]]:
    """The functions of each class in the stub, as it is generated."""
    return {
        node.name: {each.name: each for each in node.body if hasattr(each, "name")}
        for node in ast.parse(stubs.stub_of_the_package()).body
        if isinstance(node, ast.ClassDef)
    }


def found(store: Any, path: str) -> Any:
    for name in path.split("."):
        store = getattr(store, name)
    return store


@pytest.mark.parametrize("method", [entry.method for entry in catalogue()])
def test_nothing_is_missing(method: str) -> None:
    """Each method of the catalogue is awaited, iterated over or entered; the arguments stay."""
    store = AsyncChatStore("nowhere")
    plain, derived_method = found(ChatStore("nowhere"), method), found(store, method)
    is_begun = is_iterating(plain) or scoped_kind(plain) is not None
    assert inspect.iscoroutinefunction(derived_method) is not is_begun
    assert inspect.signature(derived_method) == inspect.signature(plain)
    assert derived_method.__doc__ == plain.__doc__
    assert declared_pattern(derived_method) == declared_pattern(plain)

    repository, _, name = method.rpartition(".")
    kind = type(found(ChatStore("nowhere"), repository)).__name__
    expected = ast.FunctionDef if is_begun else ast.AsyncFunctionDef
    assert type(of_stub()[f"Async{kind}"][name]) is expected


def test_the_store_has_every_repository() -> None:
    """As properties in the stub, and by name in `dir`."""
    listed = {name for name in repositories() if "." not in name}
    assert listed <= set(of_stub()["DerivedStore"])
    assert listed <= set(dir(AsyncChatStore("nowhere")))
    for kind in repositories().values():
        assert issubclass(getattr(derived, f"Async{kind.__name__}"), Bound)
    with pytest.raises(AttributeError, match="no attribute 'AsyncNonsense'"):
        _ = derived.AsyncNonsense  # type: ignore[attr-defined]


def test_what_is_not_there() -> None:
    store = AsyncChatStore("nowhere")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = store.nonsense  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="_private"):
        _ = store._private  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgument, match="table_name"):
        AsyncChatStore("?")


def test_a_repository_is_made_once() -> None:
    """So that a service may keep it."""
    store = AsyncChatStore("nowhere")
    assert store.messages is store.messages
    assert type(store.table.backups).__name__ == "AsyncBackups"


# -- a program's own store ------------------------------------------------------------------------


class Notes(Repository):
    """Keep notes."""

    @access_pattern("X1", "GetItem", "1", owner=OPERATOR)
    def get(self, note_id: str) -> str:
        """Return a note."""
        return f"note {note_id} of {self._connection.table_name}"

    @access_pattern("X2", "Query", "1", owner=OPERATOR)
    def each(self, first: str, *, count: int = 2, shout: bool = False) -> Iterator[str]:
        """Yield the notes from `first` on."""
        for number in range(count):
            note = f"{self.get(first)} {number}"
            yield note.upper() if shout else note

    def lately(self) -> Generator[str, None, None]:
        """Yield what was noted lately."""
        return (self.get(each) for each in "ab")


class MyStore(ChatStore):
    """A store with notes."""

    def __init__(self, table_name: str, *, greeting: str = "hello", **options: Any) -> None:
        super().__init__(table_name, **options)
        self.greeting = greeting

    @property
    def notes(self) -> Notes:
        """Notes."""
        return Notes(self._binding)

    def greet(self, name: str) -> str:
        """Return a greeting."""
        return f"{self.greeting}, {name}: {self.notes.get(name)}"


class AsyncMyStore(AsyncChatStore, of=MyStore):
    """It, for a service that awaits."""

    notes: Any
    greet: Any

    if TYPE_CHECKING:

        def __init__(self, table_name: str, *, greeting: str = "hello", **options: Any) -> None: ...


def test_a_program_s_own_store() -> None:
    """Its repositories and methods are served by the same rules as the package's."""

    async def main() -> list[Any]:
        store = AsyncMyStore("nowhere", greeting="bye")
        found = [await store.notes.get("n"), await store.greet("you")]
        found += [each async for each in store.notes.each("n")]
        return found + [each async for each in store.notes.lately()]

    assert asyncio.run(main()) == [
        "note n of nowhere",
        "bye, you: note you of nowhere",
        "note n of nowhere 0",
        "note n of nowhere 1",
        "note a of nowhere",
        "note b of nowhere",
    ]


def test_arguments_are_checked_at_the_call() -> None:
    """Also those of a generator, before the first item is asked for."""
    store = AsyncMyStore("nowhere")
    with pytest.raises(InvalidArgument, match="shout: must be True or False"):
        store.notes.each("n", shout="no")


def test_a_walk_that_is_left_is_closed() -> None:
    """What the generator would do at its end, it does; a request may be part of it."""
    left: list[str] = []

    class Walker(Repository):
        @access_pattern("X3", "Query", "1", owner=OPERATOR)
        def walk(self) -> Iterator[int]:
            """Yield numbers."""
            try:
                yield from range(10)
            finally:
                left.append("left")

    async def main() -> None:
        store = AsyncChatStore("nowhere")
        plain = Walker(store._synchronous._binding)
        items = asynchronous(store._runner, plain).walk()
        assert [await anext(items), await anext(items)] == [0, 1]
        await items.aclose()

    asyncio.run(main())
    assert left == ["left"]


def test_the_stub_of_a_program_s_own_store(capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is its own; the rest is inherited from `AsyncChatStore`."""
    assert stubs.main([f"{__name__}:MyStore"]) == 0
    text = capsys.readouterr().out
    classes = {
        node.name: ast.unparse(node)
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef)
    }
    assert list(classes) == ["AsyncMyStore"]
    assert "from dynamo_chat.aio import AsyncChatStore" in text
    assert "def __init__(self, table_name: str, *, greeting: str='hello'" in classes["AsyncMyStore"]
    assert "async def greet(self, name: str) -> str" in classes["AsyncMyStore"]
    assert stubs.main(["nonsense"]) == 2


def test_names_that_clash_are_told_apart() -> None:
    names = stubs._Names()
    assert [names.use("a.b", "T"), names.use("c.d", "T"), names.use("a.b", "T")] == [
        "T",
        "d_T",
        "T",
    ]
    assert list(names.lines()) == ["from a.b import T", "from c.d import T as d_T"]


# -- code for a synchronous store -----------------------------------------------------------------


def test_synchronous_code_runs_on_the_loop(dynamo_chat_engine: Engine, scene: Scene) -> None:
    """`run_sync` serves what is written for a `ChatStore`, such as an import."""

    def moved(store: ChatStore, count: int) -> list[str]:
        talk = store.conversations.create("u-1")
        for number in range(count):
            new = NewMessage(role="user", content=str(number))
            store.messages.append(talk.conversation_id, new)
        return [each.content for each in store.messages.list(talk.conversation_id)]

    async def main() -> list[str]:
        async with AsyncChatStore(
            scene.table, region=scene.engine.region, endpoint_url=scene.engine.endpoint_url
        ) as store:
            return await store.run_sync(moved, 3)

    assert asyncio.run(main()) == ["0", "1", "2"]


def test_every_iterating_method_is_recognised() -> None:
    def annotated() -> "Iterator[int]":
        return iter([1])

    def plain() -> "list[int]":
        return [1]

    def generator() -> "Any":
        yield 1

    methods: list[Callable[..., Any]] = [annotated, plain, generator]
    assert [is_iterating(method) for method in methods] == [True, False, True]
