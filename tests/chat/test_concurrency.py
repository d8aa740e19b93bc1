"""Many servers and threads at once: nothing is lost, doubled or mixed up."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, ConnectionOptions
from dynamo_chat.core.clock import system_clock
from dynamo_chat.core.errors import Contended
from dynamo_chat.testing import DropAnswer, FaultInjector, TransactionConflict
from dynamo_chat.testing.engine import Engine
from tests.chat.scenes import user
from tests.scene import Scene, drained

THREADS = 16
EACH = 125


def together(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run all jobs at once; their results, or the first error."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        barrier.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def skewed(seconds: float) -> Callable[[], Any]:
    """The clock of a server that is ahead by so much."""
    return lambda: system_clock() + timedelta(seconds=seconds)


def until_it_is_there(append: Callable[[], Any]) -> Any:
    """Call again when the others kept winning: the append was not made."""
    while True:
        try:
            return append()
        except Contended:
            continue


@pytest.mark.ministack
def test_sixteen_threads_append_two_thousand_messages(scene: Scene) -> None:
    """Each is there once, the count is right, each thread's order is kept.

    Four servers whose clocks disagree by up to a second; transactions conflict, answers are lost,
    and every fifth message is sent once more, by another server, under its id.
    """
    options = ConnectionOptions(transaction_attempts=100)
    stores = [
        scene.new_store(skewed(seconds), options=options) for seconds in (0.0, 1.0, 0.4, -0.3)
    ]
    injectors = [FaultInjector(store.connection.client).attach() for store in stores]
    for seed, injector in enumerate(injectors):
        injector.gamble({TransactionConflict(): 0.1, DropAnswer(): 0.005}, seed=seed)
    stores[0].conversations.create("u-1", conversation_id="c-1")

    def thread(number: int) -> None:
        dice = random.Random(number)
        store = stores[number % len(stores)]
        for place in range(EACH):
            name = f"{number}-{place}"
            with_id = place % 2 == 0
            message = user(name, message_id=name if with_id else None)
            until_it_is_there(lambda: store.messages.append("c-1", message))  # noqa: B023
            if place % 10 == 0:
                other = dice.choice(stores)
                until_it_is_there(lambda: other.messages.append("c-1", message))  # noqa: B023

    together([lambda number=number: thread(number) for number in range(THREADS)])  # type: ignore[misc]
    for injector in injectors:
        injector.detach()
    assert sum(len(injector.injected) for injector in injectors) > 100

    pages = drained(
        lambda **more: stores[0].messages.list("c-1", page_size=1_000, consistent=True, **more)
    )
    messages = [message for page in pages for message in page]
    contents = [message.content for message in messages]
    assert sorted(contents) == sorted(f"{n}-{p}" for n in range(THREADS) for p in range(EACH))
    for number in range(THREADS):
        own = [content for content in contents if content.startswith(f"{number}-")]
        assert own == [f"{number}-{place}" for place in range(EACH)]
    head = stores[0].conversations.get("c-1", consistent=True)
    assert head.message_count == head.appended_count == THREADS * EACH
    assert head.last_position == messages[-1].position
    assert head.title == contents[0]


@pytest.mark.ministack
def test_renames_and_appends_at_once_lose_nothing(scene: Scene) -> None:
    """Titles, messages, preferences, statuses and states of one conversation, from all sides."""
    stores = [scene.new_store(skewed(seconds)) for seconds in (0.0, 0.7)]
    stores[0].conversations.create("u-1", conversation_id="c-1", title="start")

    def renames(number: int) -> None:
        for place in range(20):
            until_it_is_there(
                lambda: stores[number % 2].conversations.rename("c-1", f"title {number}-{place}")  # noqa: B023
            )

    def appends(number: int) -> None:
        for place in range(20):
            until_it_is_there(
                lambda: stores[number % 2].messages.append("c-1", user(f"{number}-{place}"))  # noqa: B023
            )

    def merges(number: int) -> None:
        for place in range(20):
            until_it_is_there(
                lambda: stores[number % 2].conversations.merge_preferences(
                    "c-1",
                    {f"k-{number}": {str(place): place}},  # noqa: B023
                )
            )

    def archives(number: int) -> None:
        for place in range(20):
            status: Any = "archived" if place % 2 else "active"
            until_it_is_there(
                lambda: stores[number % 2].conversations.set_status("c-1", status)  # noqa: B023
            )

    together(
        [
            lambda number=number, work=work: work(number)  # type: ignore[misc]
            for number in range(3)
            for work in (renames, appends, merges, archives)
        ]
    )
    store = stores[0]
    head = store.conversations.get("c-1", consistent=True)
    page = store.messages.list("c-1", page_size=1_000, consistent=True)
    contents = [message.content for message in page]
    assert sorted(contents) == sorted(f"{n}-{p}" for n in range(3) for p in range(20))
    for number in range(3):
        assert [c for c in contents if c.startswith(f"{number}-")] == [
            f"{number}-{place}" for place in range(20)
        ]
    assert head.message_count == head.appended_count == 60
    everything = {str(place): place for place in range(20)}
    assert head.preferences == {f"k-{number}": everything for number in range(3)}
    # Everybody's last rename came last among their own: the title is one of those.
    assert head.title in {f"title {number}-19" for number in range(3)}
    assert head.title is not None
    in_a_list = head.model_copy(update={"preferences": None})
    for owner in (None, "u-1"):
        assert store.conversations.find_by_title(head.title, user_id=owner).items == (in_a_list,)
    listed = store.conversations.list_by_activity("u-1", status=head.status)
    assert listed.items == (in_a_list,)


@pytest.mark.ministack
def test_one_winner_of_everything_that_can_be_won_once(scene: Scene) -> None:
    """An id to create, a revision to save over, a message to delete, a review to write."""
    stores = [scene.new_store() for _ in range(4)]
    owners = [f"u-{number}" for number in range(8)]

    def won(attempt: Callable[[], Any]) -> Any:
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001 - compared by whoever asks
            return error

    made = together(
        [
            lambda owner=owner, store=stores[n % 4]: won(  # type: ignore[misc]
                lambda: store.conversations.create(owner, conversation_id="c-1", title=owner)
            )
            for n, owner in enumerate(owners)
        ]
    )
    (winner,) = [each for each in made if not isinstance(each, Exception)]
    assert winner.title == winner.user_id
    saves = together(
        [
            lambda n=n: won(lambda: stores[n % 4].states.save("c-1", {"n": n}))  # type: ignore[misc]
            for n in range(8)
        ]
    )
    (saved,) = [each for each in saves if not isinstance(each, Exception)]
    assert stores[0].states.get("c-1") == saved
    messages = [
        stores[0].messages.append("c-1", user(str(n), message_id=f"m-{n}")) for n in range(5)
    ]
    together(
        [
            lambda n=n: stores[n % 4].messages.delete("c-1", messages[n % 5].message_id)  # type: ignore[misc]
            for n in range(15)
        ]
    )
    assert stores[0].conversations.get("c-1", consistent=True).message_count == 0
    for _ in range(3):
        for n in range(20):
            stores[0].messages.append("c-1", user(str(n)))
        together([lambda n=n: stores[n % 4].messages.prune("c-1", 3) for n in range(4)])  # type: ignore[misc]
        assert stores[0].conversations.get("c-1", consistent=True).message_count == 3
        assert len(stores[0].messages.list("c-1", consistent=True)) == 3
        stores[0].messages.prune("c-1", 0)


@pytest.mark.engine
def test_two_stores_on_two_tables_never_mix(dynamo_chat_engine: Engine) -> None:
    """Used from the same threads, in turns, they see only their own."""
    with Scene(dynamo_chat_engine) as one, Scene(dynamo_chat_engine) as other:
        stores = [one.new_store(), other.new_store()]

        def work(number: int) -> None:
            for place in range(6):
                store = stores[(number + place) % 2]
                name = store.connection.table_name
                identity = f"c-{number}"
                made = store.conversations.create(name, conversation_id=identity, title=name)
                assert made.user_id == name
                store.messages.append(identity, user(name, message_id=f"{number}-{place}"))
                assert {m.content for m in store.messages.latest(identity)} == {name}

        together([lambda number=number: work(number) for number in range(8)])  # type: ignore[misc]
        for scene, store in zip((one, other), stores, strict=True):
            name = store.connection.table_name
            assert name == scene.table
            assert len(store.conversations.list_by_user(name)) == 8
            texts = [i["content"]["S"] for i in scene.items() if i["kind"]["S"] == "message"]
            assert texts == [name] * 24


@pytest.mark.engine
def test_one_store_makes_one_client(dynamo_chat_engine: Engine) -> None:
    """However many threads use it first at the same moment."""
    with Scene(dynamo_chat_engine) as scene:
        fresh = ChatStore(
            scene.table, region=scene.engine.region, endpoint_url=scene.engine.endpoint_url
        )
        clients = together([lambda: fresh.connection.client] * 16)
        assert len({id(client) for client in clients}) == 1
        found = together([lambda: fresh.conversations.list_by_user("u-1").items] * 16)
        assert found == [()] * 16
        assert fresh.connection.client is clients[0]
