"""Which methods may be called in two regions at once: what is declared is true."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import NamedTuple

import pytest

from dynamo_chat import ChatStore, NewMessage, OrganizationSettings
from dynamo_chat.calls.points import DAILY_POINTS
from dynamo_chat.cases.scenarios import scenarios
from dynamo_chat.cases.stage import Stage
from dynamo_chat.catalogue import catalogue
from dynamo_chat.testing import EmbeddedEngine, FakeClock
from tests.two_regions import TwoRegions, same_chance

pytestmark = pytest.mark.once
TWO_SEATS = OrganizationSettings(max_users=2)
SAFE = [each.method for each in catalogue() if each.regions == "any" and "Put" in each.operation]
LOSING = (
    *("messages.append", "messages.append_turn", "messages.pop", "emails.add"),
    *("organizations.count_usage", "rate_limits.count", "queue.join", "conversations.delete"),
)
"""Methods that even beside another call of their own leave what no order of both would."""


class World(NamedTuple):
    """A table, and its two regions."""

    stage: Stage
    two: TwoRegions

    @property
    def store(self) -> ChatStore:
        return self.stage.store


@pytest.fixture
def world() -> Iterator[World]:
    clock = FakeClock()
    with EmbeddedEngine() as engine, same_chance() as chance:
        store = engine.store("two-regions", clock=clock, ids=chance.ulid)
        chance.seed("before")
        stage = Stage(lambda _: store, clock)
        yield World(stage, TwoRegions(store, chance))
        store.connection.client.delete_table(TableName="two-regions")


def is_as_one_after_the_other(world: World, call: Callable[[], object]) -> bool:
    """True if both regions come to what two calls in one region come to, whichever is first."""
    two, before = world.two, world.two.items()

    def outcomes(way: Callable[..., object]) -> Iterator[object]:
        for regions in ("ab", "ba"):
            two.restore(before)
            yield way(call, call, regions)

    in_one = list(outcomes(two.together))
    found = [outcome in in_one for outcome in outcomes(two.apart)]
    two.restore(before)
    assert len(set(found)) == 1
    return found[0]


@pytest.mark.parametrize("method", SAFE)
def test_what_may_be_called_in_any_region_is_as_in_one(world: World, method: str) -> None:
    for case in scenarios()[method](world.stage):
        assert is_as_one_after_the_other(world, case.call)


@pytest.mark.parametrize("method", LOSING)
def test_what_must_be_called_in_one_region_loses_something_in_two(
    world: World, method: str
) -> None:
    (case,) = islice(scenarios()[method](world.stage), 1)
    assert not is_as_one_after_the_other(world, case.call)


def test_an_append_in_each_region_is_counted_once(world: World) -> None:
    store, said = world.store, NewMessage(role="user", content="Hello")
    talk = store.conversations.create("ann").conversation_id
    world.two.apart(
        lambda: store.messages.append(talk, said), lambda: store.messages.append(talk, said)
    )
    assert len(store.messages.list(talk)) == 2
    assert store.conversations.get(talk).message_count == 1


def test_an_address_is_given_to_two_users(world: World) -> None:
    users, address = world.store.users, "ann@example.com"
    done = world.two.apart(
        lambda: users.create(address, user_id="ann"), lambda: users.create(address, user_id="bob")
    )
    assert done.came == ("done", "done")
    assert [users.get(each).email for each in ("ann", "bob")] == [address, address]


def test_one_seat_is_taken_by_two(world: World) -> None:
    store = world.store
    made = store.organizations.create("Acme", "owner", settings=TWO_SEATS).organization_id
    done = world.two.apart(
        lambda: store.members.add(made, "ann"), lambda: store.members.add(made, "bob")
    )
    assert done.came == ("done", "done")
    assert len(store.members.list_by_organization(made)) == 3
    assert store.organizations.get(made).member_count == 2


def test_a_caller_is_matched_in_each_region(world: World) -> None:
    store = world.store
    for user in ("ann", "bob", "cem"):
        store.callers.create(user)
    done = world.two.apart(
        lambda: store.calls.start("ann", "bob", room_name="one"),
        lambda: store.calls.start("ann", "cem", room_name="two"),
    )
    assert done.came == ("done", "done")
    assert len(store.calls.list_live()) == 2


def test_a_revoked_login_comes_back(world: World) -> None:
    logins = world.store.logins
    world.store.users.create("ann@example.com", user_id="ann")
    secret = logins.create("ann", lifetime=timedelta(days=1)).secret
    world.stage.later(timedelta(hours=1))
    world.two.apart(lambda: logins.revoke(secret), lambda: logins.touch(secret))
    assert logins.get(secret).user_id == "ann"


def test_an_item_that_is_created_in_both_regions_loses_what_was_changed_meanwhile(
    world: World,
) -> None:
    """So that a put alone is not enough: another method changes the item later."""
    callers = world.store.callers

    def spend() -> None:
        callers.create("ann")
        callers.spend("ann", 1)

    world.two.apart(spend, lambda: callers.create("ann"))
    assert callers.get("ann").points_left == DAILY_POINTS
