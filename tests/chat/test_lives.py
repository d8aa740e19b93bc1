"""Work of several steps belongs to one life of an id: whoever is overtaken changes nothing.

A worker is stopped before each of its requests in turn. Meanwhile another server finishes what it
does, and the id is given anew, with messages, ids, reviews and a state of its own. Then it goes on.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import pytest

from dynamo_chat import ChatStore, Feedback
from dynamo_chat.core.clock import whole_second
from dynamo_chat.core.errors import NotFound
from dynamo_chat.testing import FakeClock, Kill, Killed, RequestMeter, kill_points
from dynamo_chat.testing.faults import Attempt, ErrorAnswer, Fault
from tests.chat.scenes import assistant, said, say, user
from tests.scene import DAY, MINUTE, Item, Scene, at_request, faults

pytestmark = [pytest.mark.engine, pytest.mark.once]

MESSAGES = 52
REVIEWS = 30
"""With their id items more than one transaction takes; so the cut falls inside both."""
PRAISE = Feedback(type="positive", rank=5, category="a")


def fill(store: ChatStore, owner: str, messages: int, reviews: int, **options: object) -> None:
    """A conversation with so much of everything, the same ids whoever owns it."""
    store.conversations.create(owner, conversation_id="c-1", title="T", **options)  # type: ignore[arg-type]
    for start in range(0, messages, 45):
        numbers = range(start, min(start + 45, messages))
        turn = [assistant(f"{owner} {n}", message_id=f"m-{n}") for n in numbers]
        store.messages.append_turn("c-1", turn)
    store.messages.give_feedback("c-1", "m-0", PRAISE)
    store.states.save("c-1", {"of": owner})
    for number in range(reviews):
        store.reviews.create("c-1", "admin", review_id=f"r-{number}", comments=owner)


def is_whole(store: ChatStore, owner: str, messages: int, reviews: int) -> None:
    """Everything that `fill` has put there is there, by list and by id."""
    wanted = [f"{owner} {n}" for n in range(messages)]
    assert said(store, "c-1") == wanted
    assert store.conversations.get("c-1", consistent=True).message_count == messages
    assert [store.messages.get("c-1", f"m-{n}").content for n in range(messages)] == wanted
    for number in range(reviews):
        assert store.reviews.get(f"r-{number}").comments == owner
    state = store.states.get("c-1")
    assert state is not None
    assert state.data == {"of": owner}


class Table:
    """A table that is filled once, and put back between two plays."""

    def __init__(self, scene: Scene, prepare: Callable[[ChatStore], object]) -> None:
        self.scene = scene
        self.other = scene.new_store()
        prepare(scene.new_store())
        self.beginning = scene.items()
        self._now = scene.clock()

    def requests(self, do: Callable[[ChatStore], object], wait: timedelta = timedelta()) -> int:
        """How many requests it takes undisturbed."""
        self.scene.clock.advance(wait)
        store = self.scene.new_store()
        with RequestMeter(store.connection.client) as meter:
            do(store)
        self.put_back()
        return meter.count

    def put_back(self) -> None:
        self.scene.restore(self.beginning)
        self.scene.clock.advance(self._now - self.scene.clock())
        self.other._snapshots._known.clear()

    def overtaken(
        self, do: Callable[[ChatStore], object], number: int, meanwhile: Callable[[], object]
    ) -> tuple[list[Item], list[Item]]:
        """The table when `do` goes on after its request `number`, and when it is done."""
        then: list[Item] = []

        def act() -> None:
            meanwhile()
            then.extend(self.scene.items())

        store = self.scene.new_store()
        with at_request(store, number, act), suppress(NotFound):
            do(store)
        now = self.scene.items()
        return then, now


def test_a_slow_deletion_touches_nothing_of_the_next_life(scene: Scene) -> None:
    """Whichever request it was stopped at, and although every key is there again."""
    table = Table(scene, lambda store: fill(store, "ann", MESSAGES, REVIEWS))

    def delete(store: ChatStore) -> object:
        return store.conversations.delete("c-1", user_id="ann")

    def begin_anew() -> None:
        table.other.conversations.delete("c-1")
        fill(table.other, "zed", 20, 5)

    requests = table.requests(delete)
    assert requests >= 5
    for number in range(1, requests + 1):
        then, now = table.overtaken(delete, number, begin_anew)
        assert now == then, f"overtaken at request {number}"
        is_whole(scene.new_store(), "zed", 20, 5)
        table.put_back()


@pytest.mark.parametrize("user_id", [None, "ann"])
def test_a_slow_deletion_deletes_what_it_has_looked_at(scene: Scene, user_id: str | None) -> None:
    """And no conversation that the same owner has begun under the id since."""
    table = Table(scene, lambda store: fill(store, "ann", 20, 5))

    def delete(store: ChatStore) -> object:
        return store.conversations.delete("c-1", user_id=user_id)

    def begin_anew() -> None:
        with suppress(NotFound):
            table.other.conversations.delete("c-1")
        fill(table.other, "ann", 30, 5)

    requests = table.requests(delete)
    begun_by_another = cut_at_the_tombstone(table)
    for beginning in (table.beginning, begun_by_another):
        for number in range(2, requests):
            scene.restore(beginning)
            then, now = table.overtaken(delete, number, begin_anew)
            assert now == then, f"overtaken at request {number}"
            table.put_back()


def cut_at_the_tombstone(table: Table) -> list[Item]:
    """The table when a deletion has begun, and has died."""
    with faults(table.other) as injector:
        injector.plan(Kill(after_sending=True), operation="TransactWriteItems")
        with pytest.raises(Killed):
            table.other.conversations.delete("c-1")
    begun = table.scene.items()
    table.put_back()
    return begun


def test_a_slow_deletion_touches_nothing_of_the_deletion_after_it(scene: Scene) -> None:
    """The id was given anew, and is being deleted again: that one is somebody else's work."""
    table = Table(scene, lambda store: fill(store, "ann", 60, 0))

    def delete(store: ChatStore) -> object:
        return store.conversations.delete("c-1", user_id="ann")

    def begin_anew_and_bury() -> None:
        table.other.conversations.delete("c-1")
        fill(table.other, "zed", 3, 1)
        with faults(table.other) as injector:
            injector.plan(Kill(after_sending=True), operation="TransactWriteItems")
            with pytest.raises(Killed):
                table.other.conversations.delete("c-1")

    requests = table.requests(delete)
    for number in range(1, requests + 1):
        then, now = table.overtaken(delete, number, begin_anew_and_bury)
        assert now == then, f"overtaken at request {number}"
        table.put_back()


def test_slow_creations_on_an_idle_id_touch_nothing_of_the_one_that_won(scene: Scene) -> None:
    """Of two that clear an expired conversation to take its id, one is much slower."""

    def prepare(store: ChatStore) -> None:
        fill(store, "ann", MESSAGES, 3, retention=DAY, sliding=True)

    table = Table(scene, prepare)

    def create(store: ChatStore) -> object:
        return store.conversations.create("zed", conversation_id="c-1", title="Z")

    def win() -> None:
        fill(table.other, "zed", 20, 5)

    requests = table.requests(create, wait=DAY + MINUTE)
    assert requests >= 5
    for number in range(1, requests + 1):
        scene.clock.advance(DAY + MINUTE)
        then, now = table.overtaken(create, number, win)
        assert now == then, f"overtaken at request {number}"
        is_whole(scene.new_store(), "zed", 20, 5)
        table.put_back()


def test_the_deletion_that_was_seen_is_finished_and_no_other(
    scene: Scene, store: ChatStore
) -> None:
    """By the tombstone that somebody read: also by one of before deletions had ids."""
    other = scene.new_store()
    for has_id in (True, False):
        fill(store, "ann", 4, 1)
        with faults(store) as injector:
            injector.plan(Kill(after_sending=True), operation="TransactWriteItems")
            with pytest.raises(Killed):
                store.conversations.delete("c-1")
        seen = scene.only("conversation_tombstone")
        assert "deletion_id" in seen
        if not has_id:
            del seen["deletion_id"]
            scene.put(seen)
        other.conversations.delete("c-1")
        fill(other, "zed", 3, 1)
        then = scene.items()
        assert store.conversations._remover.finish(seen) == 0
        assert scene.items() == then
        other.conversations.delete("c-1")
        scene.put(seen)
        assert store.conversations._remover.finish(seen) == 1
        assert scene.items() == []


# -- renewals -----------------------------------------------------------------------------------


def fill_and_use(scene: Scene, messages: int, reviews: int) -> None:
    """A sliding conversation, used once: six days later the next message renews it."""
    store = scene.new_store()
    fill(store, "ann", messages, reviews, retention=30 * DAY, sliding=True)
    scene.clock.advance(25 * DAY)
    say(store, "c-1", "still used")


SIX_DAYS = 6 * DAY


def test_a_slow_renewal_moves_no_deadline_of_the_next_life(scene: Scene) -> None:
    """A conversation that is kept for a day is not kept for sixty, whoever owns it."""
    table = Table(scene, lambda _: fill_and_use(scene, MESSAGES, REVIEWS))

    def append(store: ChatStore) -> object:
        return store.messages.append("c-1", user("late"), user_id="ann")

    requests = table.requests(append, wait=SIX_DAYS)
    assert requests >= 5
    for owner in ("ann", "zed"):

        def begin_anew(owner: str = owner) -> None:
            table.other.conversations.delete("c-1")
            fill(table.other, owner, 20, 5, retention=DAY)

        for number in range(1, requests + 1):
            scene.clock.advance(SIX_DAYS)
            table.overtaken(append, number, begin_anew)
            kept_until = scene.new_store().conversations.get("c-1").kept_until
            assert kept_until == whole_second(scene.clock() + DAY)
            deadlines = {item["ttl"]["N"] for item in scene.items()}
            assert deadlines == {str(int(kept_until.timestamp()))}, f"overtaken at {number}"
            table.put_back()


def deadline_pairs(scene: Scene) -> set[tuple[str, str]]:
    """The deadlines of each review and of its id item."""
    items = scene.items()
    pointers = {
        item["PK"]["S"].removeprefix("REVIEW"): item["ttl"]["N"]
        for item in items
        if item["kind"]["S"] == "review_id"
    }
    reviews = [item for item in items if item["kind"]["S"] == "review"]
    assert len(reviews) == len(pointers)
    return {
        (item["ttl"]["N"], pointers["#" + item["SK"]["S"].split("#", 2)[2]]) for item in reviews
    }


def test_a_review_and_its_id_item_are_never_parted(scene: Scene) -> None:
    """Wherever a renewal dies: both have been moved, or neither."""
    table = Table(scene, lambda _: fill_and_use(scene, 1, 52))

    def append(store: ChatStore) -> object:
        return store.messages.append("c-1", user("late", message_id="late"))

    requests = table.requests(append, wait=SIX_DAYS)
    assert requests >= 5
    for number, kill in kill_points(requests):
        scene.clock.advance(SIX_DAYS)
        store = scene.new_store()
        with faults(store) as injector:
            injector.plan(kill, at=number)
            with pytest.raises(Killed):
                append(store)
        assert all(review == pointer for review, pointer in deadline_pairs(scene))
        append(scene.new_store())
        assert len(deadline_pairs(scene)) == 1
        table.put_back()


def test_an_id_item_that_was_left_behind_is_moved_with_the_rest(
    scene: Scene, store: ChatStore, clock: FakeClock
) -> None:
    """An older release could die between the two: whoever finishes the renewal mends that."""
    fill_and_use(scene, 1, 3)
    old = {item["PK"]["S"]: item for item in scene.items() if item["kind"]["S"] == "review_id"}
    clock.advance(SIX_DAYS)
    with faults(store) as injector:
        injector.plan(Kill(), operation="UpdateItem", at=2)  # the end of the renewal
        with pytest.raises(Killed):
            say(store, "c-1", "late")
    scene.put(old["REVIEW#r-1#"])
    clock.advance(5 * DAY)
    say(scene.new_store(), "c-1", "later")
    assert len(deadline_pairs(scene)) == 1
    clock.advance(29 * DAY)
    assert scene.new_store().reviews.get("r-1").comments == "ann"


# -- pruning ------------------------------------------------------------------------------------


def test_a_slow_prune_deletes_nothing_of_the_next_life(scene: Scene) -> None:
    """Neither one that was asked for, nor the second half of an append to the life before."""
    table = Table(scene, lambda store: fill(store, "ann", 110, 0, keep_last=120))

    def prune(store: ChatStore) -> object:
        return store.messages.prune("c-1", 2)

    def begin_anew() -> None:
        table.other.conversations.delete("c-1")
        fill(table.other, "ann", 20, 0)

    requests = table.requests(prune)
    assert requests >= 4
    for number in range(2, requests + 1):  # before the first one it is the next life's
        then, now = table.overtaken(prune, number, begin_anew)
        assert now == then, f"overtaken at request {number}"
        table.put_back()

    def append(store: ChatStore) -> object:
        return store.messages.append_turn("c-1", [user(str(n)) for n in range(40)])

    requests = table.requests(append)
    assert requests >= 4
    for number in range(3, requests + 1):  # behind the append itself
        then, now = table.overtaken(append, number, begin_anew)
        assert now == then, f"overtaken at request {number}"
        table.put_back()


# -- what goes together goes together -----------------------------------------------------------


@dataclass(frozen=True)
class TooLarge(Fault):
    """A transaction of more than so many members is refused, as beyond 4 MB."""

    members: int

    def happen(self, attempt: Attempt) -> object:
        """The refusal, or the engine's own answer."""
        if len(attempt.body["TransactItems"]) > self.members:
            return ErrorAnswer("ValidationException", "Transaction size limit").happen(attempt)
        return attempt.forward()


@pytest.mark.parametrize("members", [100, 20])
def test_a_deletion_leaves_no_review_id_wherever_it_dies(scene: Scene, members: int) -> None:
    """Called again, it takes everything: each review's id is free, also where parts were halved."""

    def prepare(store: ChatStore) -> None:
        fill(store, "ann", 26, 101 if members == 100 else 52)

    table = Table(scene, prepare)
    limit = TooLarge(members)

    def delete(store: ChatStore) -> object:
        return store.conversations.delete("c-1")

    store = scene.new_store()
    with faults(store) as injector:
        injector.plan(limit, operation="TransactWriteItems", times=None)
        delete(store)
        requests = injector.requests
    assert scene.items() == []
    table.put_back()
    for number, kill in list(kill_points(requests))[:: 1 if members == 100 else 5]:
        store = scene.new_store()
        with faults(store) as injector:
            injector.plan(kill, at=number)
            injector.plan(limit, operation="TransactWriteItems", times=None)
            with pytest.raises(Killed):
                delete(store)
        items = scene.items()
        reviews = {item["SK"]["S"].split("#", 2)[2] for item in items if is_kind(item, "review")}
        pointers = {
            item["PK"]["S"].removeprefix("REVIEW#") for item in items if is_kind(item, "review_id")
        }
        assert reviews == pointers
        with suppress(NotFound):
            delete(scene.new_store())
        assert scene.items() == []
        table.put_back()


def is_kind(item: Item, kind: str) -> bool:
    return bool(item["kind"]["S"] == kind)


def test_an_id_item_that_leads_nowhere_is_taken_over(scene: Scene, store: ChatStore) -> None:
    """A deletion of an older release could leave it behind: its id is free all the same."""
    fill(store, "ann", 1, 1)
    pointer = scene.only("review_id")
    store.conversations.delete("c-1")
    scene.put(pointer)
    fill(store, "zed", 1, 0)
    made = store.reviews.create("c-1", "boss", review_id="r-0", comments="new")
    assert store.reviews.get("r-0") == made
    assert [each.review_id for each in store.reviews.list_by_conversation("c-1")] == ["r-0"]


def test_a_review_without_its_id_item_gets_another_one(scene: Scene, store: ChatStore) -> None:
    """By writing it again: an older release could let the id item expire before it."""
    now = scene.clock()
    fill(store, "ann", 1, 0)
    made = store.reviews.create("c-1", "boss", review_id="r-0", at=now)
    pointer = scene.only("review_id")
    scene.put({**pointer, "ttl": {"N": str(int(now.timestamp()) - 1)}})
    with pytest.raises(NotFound):
        store.reviews.get("r-0")
    assert store.reviews.create("c-1", "boss", review_id="r-0", at=now) == made
    assert store.reviews.get("r-0") == made
    assert scene.only("review_id") == pointer
