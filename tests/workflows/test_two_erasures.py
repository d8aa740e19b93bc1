"""Two erasures of one person side by side; and of an id that is given anew while one sleeps."""

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat.core.errors import Conflict
from dynamo_chat.core.layout import KIND
from dynamo_chat.testing import Engine, RequestMeter
from tests.mail.scenes import new_email
from tests.scene import Item, Scene, address, at_request, race
from tests.workflows.people import FIRST, assert_doctor_is_clean, erase, naming, opened, two_persons
from tests.workflows.test_people import same_but_for_pseudonyms

pytestmark = [pytest.mark.engine, pytest.mark.once]


def anew(items: list[Item]) -> list[Item]:
    """The items, as those of a new person with the same id, who did all the same again.

    Only what tells the two apart is different: when the user was created, and when calls began,
    whose ids are always new.
    """
    found = copy.deepcopy(items)
    for item in found:
        if item[KIND]["S"] == "user":
            item["created_at"] = {"S": "2020-01-01T00:00:00.000000Z"}
    return [each for each in found if each[KIND]["S"] not in {"call", "call_room"}]


def every(number: int, step: int, count: int) -> Iterator[int]:
    return iter(range(number, count + 1, step))


def asleep(
    scene: Scene, numbers: Iterator[int], call: Callable[[], Any], meanwhile: Callable[[], Any]
) -> list[int]:
    """Let `call` sleep before each of these requests while `meanwhile` happens.

    Returns the numbers after which the table is not as `meanwhile` left it.
    """
    everything = scene.items()
    return [
        each for each in numbers if not _is_left_alone(scene, everything, each, call, meanwhile)
    ]


def _is_left_alone(
    scene: Scene,
    everything: list[Item],
    number: int,
    call: Callable[[], Any],
    meanwhile: Callable[[], Any],
) -> bool:
    scene.restore(everything)
    left: list[Item] = []

    def happens() -> None:
        meanwhile()
        left.extend(scene.items())

    with at_request(scene.store, number, happens), suppress(Conflict):
        call()
    return scene.items() == left


def requests_of(scene: Scene, call: Callable[[], Any]) -> int:
    everything = scene.items()
    with RequestMeter(scene.store.connection.client) as meter:
        call()
    scene.restore(everything)
    return meter.count


@pytest.mark.long
def test_nothing_of_a_new_person_with_the_id_is_erased(dynamo_chat_engine: Engine) -> None:
    """While it sleeps, another call finishes, and a new person does all the same under the id."""
    with opened(dynamo_chat_engine) as scene:
        ids, _ = two_persons(scene)
        everything, other = scene.items(), scene.new_store()
        count = requests_of(scene, lambda: erase(scene, ids))

        def meanwhile() -> None:
            other.people.erase(ids.user_id, account_ids=[ids.account_id])
            left = scene.items()
            there = {address(item) for item in left}
            scene.restore([*left, *(e for e in anew(everything) if address(e) not in there)])

        numbers = every(1, 7, count)
        assert not asleep(scene, numbers, lambda: erase(scene, ids), meanwhile)


def test_the_call_of_a_new_person_goes_on(scene: Scene) -> None:
    """While it sleeps, another call finishes, and a new person with the id begins a call."""
    store, other = scene.store, scene.new_store()
    store.users.create("ann@example.com", user_id="ann")
    for name in ("ann", "bob"):
        store.callers.create(name)
    store.calls.start("ann", "bob")

    def meanwhile() -> None:
        other.people.erase("ann")
        scene.clock.advance(timedelta(seconds=1))
        other.users.create("ann@example.com", user_id="ann")
        other.callers.create("ann")
        other.calls.start("ann", "bob")

    count = requests_of(scene, lambda: store.people.erase("ann"))
    # The first request reads who has the id.
    numbers = every(2, 1, count)
    assert not asleep(scene, numbers, lambda: store.people.erase("ann"), meanwhile)


def test_the_slower_one_changes_nothing_more(dynamo_chat_engine: Engine) -> None:
    """While it sleeps, another call does all of it."""
    with opened(dynamo_chat_engine) as scene:
        ids, _ = two_persons(scene)
        other = scene.new_store()
        count = requests_of(scene, lambda: erase(scene, ids))

        def meanwhile() -> None:
            other.people.erase(ids.user_id, account_ids=[ids.account_id])

        assert not asleep(scene, every(30, 67, count), lambda: erase(scene, ids), meanwhile)
        assert_doctor_is_clean(scene)


def test_two_at_one_moment(dynamo_chat_engine: Engine) -> None:
    """Between them, everything goes once, and what others keep has one name or the other."""
    with opened(dynamo_chat_engine) as scene:
        ids, _ = two_persons(scene)
        everything = scene.items()
        erase(scene, ids)
        expected = same_but_for_pseudonyms(scene.items())
        for _ in range(2):
            scene.restore(everything)
            receipts = race([lambda: erase(scene, ids)] * 2)
            assert not [each for each in receipts if isinstance(each, Exception)]
            assert same_but_for_pseudonyms(scene.items()) == expected
            assert not naming(scene.items())[1:]
        assert_doctor_is_clean(scene)


def test_an_id_without_a_user_that_somebody_gets(dynamo_chat_engine: Engine) -> None:
    """A new user with the id, and what they have by then, is not erased."""
    with opened(dynamo_chat_engine) as scene:
        store, other = scene.store, scene.new_store()
        store.conversations.create(FIRST, conversation_id="talk")
        store.callers.create(FIRST)
        store.emails.add("mail", new_email(account_id="a-1"))

        def call() -> Any:
            return store.people.erase(FIRST, account_ids=["a-1"])

        def meanwhile() -> None:
            other.people.erase(FIRST, account_ids=["a-1"])
            other.users.create(f"{FIRST}@example.com", user_id=FIRST)
            other.logins.create(FIRST)
            other.conversations.create(FIRST, conversation_id="talk")
            other.callers.create(FIRST)
            other.emails.add("mail", new_email(account_id="a-1"))

        # The first request reads who has the id: whoever has it then is meant.
        count = requests_of(scene, call)
        assert not asleep(scene, every(2, 3, count), call, meanwhile)
