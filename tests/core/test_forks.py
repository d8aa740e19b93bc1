"""A store may be made and used before a fork: what the processes have in common is the table."""

import copy
import gc
import os
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any

import pytest

from dynamo_chat import UNCHANGED, ChatStore, ConnectionOptions, NewMessage
from dynamo_chat.catalogue import repositories
from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core import forks, ulids
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.errors import CorruptItem
from dynamo_chat.core.ulids import new_ulid
from dynamo_chat.testing import FakeClock
from proof.forks import busy
from tests.core.forked import echo_server, forked
from tests.scene import Scene

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # What Python 3.12 warns of, deadlocks in the child, is what these tests look for.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPTIONS = ConnectionOptions(
    aws_access_key_id="testing",
    aws_secret_access_key="testing",
    read_timeout=5,
    max_attempts=1,
)


@pytest.fixture(params=["urllib3", "pycurl", "botocore"])
def store(request: pytest.FixtureRequest) -> Iterator[ChatStore]:
    """A store on a server that answers with what it was asked for, by each HTTP client."""
    if request.param == "pycurl":
        pytest.importorskip("pycurl")
    with echo_server() as url:
        options = replace(OPTIONS, http_client=request.param)
        yield ChatStore("chat", region="eu-west-1", endpoint_url=url, options=options)


def gets(store: ChatStore, name: str, times: int) -> int:
    """How many of so many gets were answered with somebody else's item."""
    wrong = 0
    for number in range(times):
        key = {"PK": {"S": f"{name}#{number}"}, "SK": {"S": name}}
        found = store.connection.call("GetItem", {"TableName": "chat", "Key": key})
        wrong += found["Item"] != key
    return wrong


def test_no_child_gets_another_s_answer(store: ChatStore) -> None:
    """The parent has a connection open, and goes on using it beside four children."""
    gets(store, "warm", 1)
    with busy(partial(gets, store, "parent", 1)):
        assert forked(*(partial(gets, store, f"c{n}", 30) for n in range(4))) == [0] * 4
    assert gets(store, "parent", 10) == 0


@pytest.mark.ministack
def test_what_forked_workers_append_at_one_moment_is_all_stored(scene: Scene) -> None:
    """By the store of the parent, which has appended at that moment, too."""
    store = scene.new_store()
    store.conversations.create("u-1", conversation_id="c-1")
    at = scene.clock.now()

    def append(name: str) -> str:
        appended = store.messages.append("c-1", NewMessage(role="user", content=name, at=at))
        return str(appended.content)

    append("parent")
    names = [f"worker {number}" for number in range(4)]
    assert forked(*(partial(append, name) for name in names)) == names
    page = store.messages.list("c-1", consistent=True)
    assert sorted(each.content or "" for each in page) == ["parent", *names]


def test_no_two_processes_make_the_same_ulid() -> None:
    """Of one moment, which one process counts on from."""
    new_ulid(NOW)
    made = forked(*[lambda: [new_ulid(NOW) for _ in range(50)]] * 4)
    assert len({each for ulids in made for each in ulids}) == 200


def test_no_two_processes_draw_the_same_lots(store: ChatStore) -> None:
    """Of pauses, and of shards."""

    def drawn() -> tuple[float, float]:
        return store.connection._random.random(), store.queue._matcher._lots.random()

    made = forked(*[drawn] * 4)
    assert len({pause for pause, _ in made}) == len({lot for _, lot in made}) == 4


def test_no_child_waits_for_a_thread_of_its_parent(store: ChatStore) -> None:
    """While other threads mint, remember, send and look at the clock."""
    snapshots, clock = SnapshotCache(), FakeClock(NOW)
    works: list[Callable[[], Any]] = [
        partial(new_ulid, NOW),
        partial(snapshots.forget, "c"),
        clock.now,
        partial(gets, store, "parent", 1),
    ]

    def all_of_it() -> int:
        for work in works:
            work()
        return gets(store, "child", 2)

    all_of_it()  # what is imported on the way is imported: Python itself holds locks meanwhile
    with busy(*works):
        for _ in range(4):
            assert forked(*[all_of_it] * 3) == [0] * 3


def locks_of(store: ChatStore) -> dict[str, Any]:
    """Every lock that a thread can hold in the package, or in a pool of sockets, by its name."""
    pools = store.connection.client._endpoint.http_session._manager.pools._container.values()
    sockets = [pool.pool.mutex for pool in pools] or [nullcontext()]  # libcurl's have no lock
    return {
        "ulid": ulids._mint._lock,
        "snapshots": store._snapshots._lock,
        "crowds": store.queue._matcher._crowds._lock,
        "sockets": sockets[0],
        # Python 3.11 makes such properties under a lock.
        "cached_property": getattr(vars(ChatStore)["users"], "lock", nullcontext()),
    }


@contextmanager
def held_by_another_thread(lock: Any) -> Iterator[None]:
    is_held, is_done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            is_done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


@pytest.mark.parametrize("name", ["ulid", "snapshots", "crowds", "sockets", "cached_property"])
def test_a_lock_that_is_held_is_free_in_the_child(store: ChatStore, name: str) -> None:
    """Whatever was held at the fork, the child works, and ends."""
    gets(store, "warm", 1)

    def all_of_it() -> int:
        new_ulid(NOW)
        store._snapshots.forget("c")
        store.queue._matcher._crowds.won("q")
        assert store.users is store.users
        return gets(store, "child", 1)

    with held_by_another_thread(locks_of(store)[name]):
        assert forked(all_of_it) == [0]


def test_a_client_that_is_being_made_is_made_again_in_the_child(store: ChatStore) -> None:
    with held_by_another_thread(store.connection._pynamo._making):
        assert forked(partial(gets, store, "child", 1)) == [0]


def test_what_is_told_of_forks_is_not_kept_alive() -> None:
    connection = Connection("chat", region="eu-west-1")
    known = weakref.ref(connection)
    assert connection in forks._forkable
    del connection
    gc.collect()
    assert known() is None


# -- pickle ---------------------------------------------------------------------------------------


def again(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def fixed_clock() -> datetime:
    return NOW


def fixed_ids(_: datetime) -> str:
    return "0" * 26


def ignored(_: Any) -> None:
    """A hook."""


def test_a_store_is_pickled_as_what_it_was_made_of(store: ChatStore) -> None:
    """Also one that is in use: what it has made meanwhile stays behind."""
    given = ChatStore(
        "chat",
        region="eu-west-1",
        endpoint_url=store.connection.endpoint_url,
        options=store.connection.options,
        clock=fixed_clock,
        ids=fixed_ids,
        on_request=ignored,
        cursor_secret=b"secret",
    )
    gets(given, "warm", 1)
    given.messages._heads.snapshots.forget("c")
    copy = again(given)
    for made in (copy, again(copy)):
        assert made.connection.table_name == "chat"
        assert made.connection.region == "eu-west-1"
        assert made.connection.endpoint_url == store.connection.endpoint_url
        assert made.connection.options == given.connection.options
        assert made.connection.on_request is ignored
        assert (made._binding.clock, made._binding.ids) == (fixed_clock, fixed_ids)
        cursor = given._binding.cursors.seal("X1", (), "THING#a#")
        assert made._binding.cursors.seal("X1", (), "THING#a#") == cursor
        assert gets(made, "copy", 2) == 0
        assert made.connection.client is not given.connection.client


def test_a_pickled_store_keeps_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that it is sent to may have another environment."""
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    sent = pickle.dumps(ChatStore("chat"))
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert pickle.loads(sent).connection.region == "eu-north-1"


def test_a_connection_is_pickled_as_what_it_was_made_of() -> None:
    connection = Connection("chat", region="eu-west-1", options=OPTIONS, on_request=ignored)
    copy = again(connection)
    assert (copy.table_name, copy.region, copy.endpoint_url) == ("chat", "eu-west-1", None)
    assert (copy.options, copy.on_request) == (OPTIONS, ignored)


@pytest.mark.parametrize("name", sorted(repositories()))
def test_a_repository_can_be_pickled_and_copied(store: ChatStore, name: str) -> None:
    """A pool of processes pickles the method that it is given, and its repository with it."""
    repository = attrgetter(name)(store)
    for made in (again(repository), copy.deepcopy(repository), again(again(repository))):
        assert type(made) is type(repository)
        assert made is not repository


def test_a_method_works_where_it_was_sent(store: ChatStore) -> None:
    """What its repository remembers stays behind, and its locks do."""
    store._snapshots.forget("c")
    get = again(store.users.get)
    with pytest.raises(CorruptItem):  # the server answers with a key, which is no user
        get("u")
    assert again(store.queue)._matcher._lots.random() != again(store.queue)._matcher._lots.random()


def test_what_stays_as_it_is_stays_so_in_another_process() -> None:
    """Methods compare with `is`: there must be one UNCHANGED, however it came."""
    assert again(UNCHANGED) is UNCHANGED
    assert copy.copy(UNCHANGED) is UNCHANGED
    assert copy.deepcopy({"name": UNCHANGED})["name"] is UNCHANGED
