"""Every list can be iterated without cursors, in constant memory, and continued after an item."""

import copy
import gc
import inspect
import logging
import pickle
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from dynamo_chat import ChatStore, Message, Page
from dynamo_chat.catalogue import catalogue, repositories
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.iterating import iterated, iterating
from dynamo_chat.testing.engine import Engine
from tests.chat.scenes import say, user
from tests.scene import SECOND, Scene, drained, requests
from tests.tenancy.owners import PAGED, paged
from tooling.everything import Everything, populate


def _returned(method: str) -> str:
    repository, _, name = method.rpartition(".")
    return str(inspect.signature(getattr(repositories()[repository], name)).return_annotation)


LISTS = [entry.method for entry in catalogue() if _returned(entry.method).startswith("Page[")]


@pytest.fixture(scope="module")
def town(dynamo_chat_engine: Engine) -> Iterator[ChatStore]:
    """A table with several of everything of one user. Nothing here changes it."""
    with Scene(dynamo_chat_engine) as scene:
        populate(scene.store, "ann", entries=3)
        yield scene.store


def named(method: str) -> str:
    """The name of the iterating form."""
    return method.partition(".")[2].replace("list", "iterate").replace("find", "iterate")


@pytest.mark.parametrize("method", LISTS)
def test_every_list_has_an_iterating_form(method: str) -> None:
    """With its arguments, and its documentation."""
    repository = repositories()[method.partition(".")[0]]
    pages = getattr(repository, method.partition(".")[2])
    each = getattr(repository, named(method))
    assert iterated(each) is pages is not None
    assert inspect.isgeneratorfunction(each)
    wanted, found = inspect.signature(pages), inspect.signature(each)
    assert found.parameters == wanted.parameters
    item = str(wanted.return_annotation).removeprefix("Page[").removesuffix("]")
    assert found.return_annotation == f"Iterator[{item}]"
    assert each.__name__ == named(method)
    assert pages.__name__ in str(each.__doc__)


@pytest.mark.parametrize("method", PAGED)
@pytest.mark.parametrize("size", [{}, {"page_size": 1}, {"page_size": 2}])
def test_what_is_iterated_is_what_the_pages_hold(
    town: ChatStore, method: str, size: dict[str, int]
) -> None:
    """In the same order, whatever the size of the pages; and on from any item."""
    repository = getattr(town, method.partition(".")[0])
    pages = getattr(repository, method.partition(".")[2])
    asked = paged(method, Everything.named("ann"))
    whole = [item for page in drained(pages, **asked, page_size=1) for item in page]
    each = getattr(repository, named(method))
    assert list(each(**asked, **size)) == whole
    assert len(whole) > 1
    first = pages(**asked)
    for place, item in enumerate(first.items):
        cursor = first.cursor_after(item)
        assert list(each(**asked, **size, cursor=cursor)) == whole[place + 1 :]


# -- iterate --------------------------------------------------------------------------------------


@pytest.mark.engine
def test_requests_of_an_iteration(store: ChatStore) -> None:
    """None before the first item; 20, and then 100 at a time; no page more than is used."""
    store.conversations.create("u-1", conversation_id="c-1")
    for _ in range(4):
        store.messages.append_turn("c-1", [user(str(n)) for n in range(40)])
    with requests(store, 0):
        said = store.messages.iterate("c-1", newest_first=True)
    with requests(store, 1):
        first = [next(said) for _ in range(20)]
    with requests(store, 2):
        first += [next(said) for _ in range(100)]
    assert len({each.position for each in first}) == 120
    with requests(store, 2):
        assert len(list(said)) == 40


@pytest.mark.engine
def test_errors_come_with_the_first_item(store: ChatStore) -> None:
    """They are those of the list."""
    with pytest.raises(NotFound):
        next(store.messages.iterate("c-9"))
    with pytest.raises(InvalidArgument, match="page_size"):
        next(store.conversations.iterate_by_user("u-1", page_size=0))


@pytest.mark.engine
def test_what_cannot_be_read_is_logged(
    scene: Scene, store: ChatStore, caplog: pytest.LogCaptureFixture
) -> None:
    """And the others are returned."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    say(store, "c-1", "a")
    scene.put({**scene.only("message"), "sent_at": {"S": "once"}})
    say(store, "c-1", "b")
    with caplog.at_level(logging.WARNING, "dynamo_chat"):
        assert [each.content for each in store.messages.iterate("c-1")] == ["b"]
    (told,) = caplog.messages
    assert "message" in told


@pytest.mark.engine
def test_what_is_appended_meanwhile_comes_too(store: ChatStore) -> None:
    """Oldest first, an iteration goes on to the end that there is then."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    say(store, "c-1", "a", "b")
    said = store.messages.iterate("c-1", page_size=1)
    assert next(said).content == "a"
    say(store, "c-1", "c")
    assert [each.content for each in said] == ["b", "c"]


class Item:
    """Something that can be watched."""


def test_two_pages_are_in_memory_at_most() -> None:
    """However many there are: those that were used are free."""
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    class Lists:
        def list_all(self, *, page_size: int = 20, cursor: str | None = None) -> Page[Item]:
            """All of them."""
            made = tuple(Item() for _ in range(page_size))
            alive.update(made)
            number = int(cursor or 0) + 1
            return Page(made, None if number == 50 else str(number))

        iterate_all = iterating(list_all)

    count = 0
    for _ in Lists().iterate_all():
        count += 1
        if count % 50 == 0:
            if len(alive) > 200:  # only then: a full collection takes longer than all the rest
                gc.collect()
            most = max(most, len(alive))
    assert count == 20 + 49 * 100
    assert most <= 200


# -- cursor_after and after -----------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_cursor_after_an_item(store: ChatStore, newest_first: bool) -> None:
    """Continues there; another's item, or that of another page, is refused."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    made = say(store, "c-1", *"abcde")
    order = made[::-1] if newest_first else made
    page = store.messages.list("c-1", page_size=4, newest_first=newest_first)
    for place, item in enumerate(page.items):
        cursor = page.cursor_after(item.model_copy())
        rest = store.messages.list("c-1", cursor=cursor, newest_first=newest_first)
        assert list(rest) == order[place + 1 :]
    assert page.cursor_after(page.items[-1]) == page.cursor
    for stranger in (order[4], "c-1", None):
        with pytest.raises(InvalidArgument, match="item of this page"):
            page.cursor_after(stranger)
    with pytest.raises(InvalidArgument, match="item of this page"):
        Page((1,)).cursor_after(1)


@pytest.mark.engine
def test_a_page_is_copied_without_the_stores_secret(scene: Scene) -> None:
    """A copy or a pickle has the cursors, equal to the original's."""
    store = scene.new_store(cursor_secret=b"not to be told")
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    say(store, "c-1", "a", "b")
    page = store.messages.list("c-1")
    pickled = pickle.dumps(page)
    assert b"not to be told" not in pickled
    for other in (pickle.loads(pickled), copy.deepcopy(page)):
        assert other == page
        assert repr(other) == repr(page)
        for item in page:
            assert other.cursor_after(item) == page.cursor_after(item)


@pytest.mark.engine
@pytest.mark.parametrize("newest_first", [False, True])
def test_after_a_message(store: ChatStore, newest_first: bool) -> None:
    """By the store's id and by the caller's, which works after a deletion, too; two requests."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    made = [
        store.messages.append("c-1", user(str(n), message_id=f"m-{n}" if n % 2 else None))
        for n in range(6)
    ]
    order = made[::-1] if newest_first else made

    def after(message: Message, **options: Any) -> list[Message]:
        with requests(store, 2):
            page = store.messages.list(
                "c-1", after=message.message_id, newest_first=newest_first, **options
            )
        return list(page)

    for place, message in enumerate(order):
        assert after(message) == order[place + 1 :]
        assert after(message, user_id="u-1", page_size=2) == order[place + 1 :][:2]
        each = store.messages.iterate(
            "c-1", after=message.message_id, newest_first=newest_first, page_size=1
        )
        assert list(each) == order[place + 1 :]
    store.messages.delete("c-1", order[2].message_id)
    assert after(order[2]) == order[3:]


@pytest.mark.engine
def test_after_within_a_range(store: ChatStore, scene: Scene) -> None:
    """A message before the range leaves it whole; one behind it leaves nothing."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    made = []
    for content in "abcd":
        scene.clock.advance(SECOND)
        made += say(store, "c-1", content)
    for place, expected in enumerate([made[1:3], made[2:3], [], []]):
        found = store.messages.list(
            "c-1", after=made[place].message_id, since=made[1].sent_at, until=made[3].sent_at
        )
        assert list(found) == expected


@pytest.mark.engine
def test_after_what_is_not_there(store: ChatStore) -> None:
    """Not found: a message of another conversation, one that never was, one of another user."""
    store.conversations.create("u-1", conversation_id="c-1", title="T")
    store.conversations.create("u-1", conversation_id="c-2", title="T")
    (other,) = say(store, "c-2", "x")
    (mine,) = say(store, "c-1", "x")
    for after in (other.message_id, "m-9"):
        with requests(store, 1 if after == "m-9" else 0), pytest.raises(NotFound, match="message"):
            store.messages.list("c-1", after=after)
    with pytest.raises(NotFound, match="conversation"):
        store.messages.list("c-1", after=mine.message_id, user_id="u-2")
    cursor = store.messages.list("c-1", page_size=1).cursor_after(mine)
    with requests(store, 0), pytest.raises(InvalidArgument, match="after"):
        store.messages.list("c-1", after=mine.message_id, cursor=cursor)


@pytest.mark.engine
@pytest.mark.parametrize("newest_first", [False, True])
def test_after_a_conversation(store: ChatStore, scene: Scene, newest_first: bool) -> None:
    """As it was read: in no request more, also after it was deleted."""
    made = []
    for _ in range(4):
        scene.clock.advance(SECOND)
        made.append(store.conversations.create("u-1"))
    order = made[::-1] if newest_first else made
    gone = order.pop(1)
    store.conversations.delete(gone.conversation_id)
    for listed in (store.conversations.list_by_user, store.conversations.list_by_activity):
        with requests(store, 1):
            page = listed("u-1", after=gone, newest_first=newest_first)
        assert list(page) == order[1:]
    archived = gone.model_copy(update={"status": "archived"})
    with requests(store, 0), pytest.raises(InvalidArgument, match="after"):
        store.conversations.list_by_activity("u-1", after=archived)
    foreign = gone.model_copy(update={"user_id": "u-2"})
    for bad in (foreign, gone.conversation_id):
        with requests(store, 0), pytest.raises(InvalidArgument, match="after"):
            store.conversations.list_by_user("u-1", after=bad)  # type: ignore[arg-type]
