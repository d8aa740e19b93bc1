"""A repair finishes the deletion that was seen, and nothing else that is there by then."""

from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

import pytest

from dynamo_chat import ChatStore, NewEmail, NewMessage
from dynamo_chat.core.deletion import DELETION_ID
from dynamo_chat.core.errors import NotFound
from dynamo_chat.operations.doctor.doctor import Doctor
from dynamo_chat.operations.doctor.findings import Finding, Repaired
from dynamo_chat.testing import FaultInjector, Kill
from dynamo_chat.testing.faults import Killed
from tests.scene import Item, Scene, at_request, before_each_request

pytestmark = [pytest.mark.engine, pytest.mark.long]


class Life(NamedTuple):
    """Something that is deleted step by step, under the id ``x``."""

    make: Callable[[ChatStore], object]
    delete: Callable[[ChatStore], object]
    kept_before: frozenset[str]
    """What the tombstones of older versions had, where the doctor may finish them."""

    @property
    def tombstone(self) -> str:
        return next(f"{name}_tombstone" for name, each in LIVES.items() if each is self)


def _conversation(store: ChatStore) -> None:
    store.conversations.create("ann", conversation_id="x", title="Mine")
    for number in range(3):
        message = NewMessage(role="user", content=f"No. {number}", message_id=f"x-{number}")
        store.messages.append("x", message)
    store.reviews.create("x", "boss", review_id="x-review")
    store.states.save("x", {"step": 1})


def _user(store: ChatStore) -> None:
    store.users.create("x@example.org", user_id="x", response_email="x@answers.example")
    store.logins.create("x")
    store.logins.create("x")
    store.activity.record("x", "logged_in")
    store.members.add("org-ann", "x")


def _organization(store: ChatStore) -> None:
    store.organizations.create("X", "ann", organization_id="x")
    store.members.add("x", "friend-ann")
    store.invites.create("x", "x@example.org", invited_by="ann", invite_id="x-invite")


def _thread(store: ChatStore) -> None:
    for number in range(3):
        store.emails.add(
            "x",
            NewEmail(
                account_id="account-1",
                sender_email="ann@example.com",
                recipient_email="us@example.org",
                body=f"No. {number}",
                message_id=f"<x-{number}@example.org>",
                response_id=f"x-{number}",
            ),
        )


_ALWAYS = frozenset({"PK", "SK", "kind", "v"})
LIVES = {
    "conversation": Life(
        _conversation,
        lambda store: store.conversations.delete("x"),
        _ALWAYS | {"user_id", "ttl", "idle_until"},
    ),
    "user": Life(
        _user,
        lambda store: store.users.delete("x"),
        _ALWAYS | {"email", "response_email", "memberships"},
    ),
    "organization": Life(_organization, lambda store: store.organizations.delete("x"), _ALWAYS),
    "email_thread": Life(_thread, lambda store: store.threads.delete("x"), _ALWAYS),
}
each_life = pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
with_old_tombstones = pytest.mark.parametrize("is_old", [False, True], ids=["named", "nameless"])


def begun(scene: Scene, store: ChatStore, life: Life, *, is_old: bool = False) -> None:
    """Its deletion has begun, and the process has died then."""
    for after in count(1):
        with FaultInjector(store.connection.client) as faults:
            faults.plan(Kill(), at=after + 1)
            with suppress(Killed):
                life.delete(store)
        if life.tombstone in scene.kinds():
            break
    if is_old:
        (there,) = tombstones(scene, life)
        scene.put({name: there[name] for name in there if name in life.kept_before})


def tombstones(scene: Scene, life: Life) -> list[Item]:
    return [each for each in scene.items() if each["kind"]["S"] == life.tombstone]


def found_unfinished(scene: Scene, doctor: Doctor, life: Life, *, is_old: bool) -> list[Finding]:
    store = scene.new_store()
    life.make(store)
    begun(scene, store, life, is_old=is_old)
    findings = doctor.examine().findings
    assert [each.code for each in findings] == ["unfinished_deletion"]
    return findings


def overtaken_at_each_request(
    scene: Scene, doctor: Doctor, life: Life, act: Callable[[], object], *, is_old: bool
) -> None:
    """Whatever request of the repair it happens before: nothing of what came then is touched."""
    findings = found_unfinished(scene, doctor, life, is_old=is_old)
    everything, number = scene.items(), 0
    done = Repaired(findings[0], "left", "not tried yet")
    for number in range(1, 100):
        scene.restore(everything)
        there: list[Item] = []

        def happen(sent: list[str], _: Any, number: int = number, there: Any = there) -> None:
            if len(sent) == number:
                act()
                there += scene.items()

        with before_each_request(doctor._connection, happen) as seen:
            (done,) = doctor.repair(findings)
        if number > len(seen):
            break
        assert scene.items() == there, (number, seen)
        is_untouched = "TransactWriteItems" not in seen[: number - 1]
        if is_untouched:
            assert done.outcome != "repaired"
    assert 4 < number < 99
    assert done.outcome == "repaired"
    assert doctor.examine().is_clean


@each_life
@with_old_tombstones
def test_a_new_life_of_the_id_is_left_alone(
    scene: Scene, doctor: Doctor, life: Life, is_old: bool
) -> None:
    if is_old and life is LIVES["email_thread"]:
        pytest.skip("its tombstones have always had ids")

    store = scene.new_store()

    def new_life() -> None:
        with suppress(NotFound):
            life.delete(store)
        life.make(store)

    overtaken_at_each_request(scene, doctor, life, new_life, is_old=is_old)


@each_life
@with_old_tombstones
def test_a_later_deletion_of_the_id_is_left_alone(
    scene: Scene, doctor: Doctor, life: Life, is_old: bool
) -> None:
    """Overtaken twice: what is there is a tombstone again, but not the one that was seen."""
    if is_old and life is LIVES["email_thread"]:
        pytest.skip("its tombstones have always had ids")

    store = scene.new_store()

    def deleted_again() -> None:
        with suppress(NotFound):
            life.delete(store)
        life.make(store)
        begun(scene, store, life)

    overtaken_at_each_request(scene, doctor, life, deleted_again, is_old=is_old)


@each_life
@with_old_tombstones
def test_a_later_deletion_is_another_finding(
    scene: Scene, doctor: Doctor, life: Life, is_old: bool
) -> None:
    """Between the report and the repair, as when a person reads the plan first."""
    if is_old and life is LIVES["email_thread"]:
        pytest.skip("its tombstones have always had ids")
    findings = found_unfinished(scene, doctor, life, is_old=is_old)
    store = scene.new_store()
    life.delete(store)
    life.make(store)
    begun(scene, store, life)
    there = scene.items()
    (done,) = doctor.repair(findings)
    assert (done.outcome, done.says) == ("gone", "the problem no longer exists")
    assert scene.items() == there
    (done,) = doctor.repair(doctor.examine().findings)
    assert done.outcome == "repaired"


@each_life
def test_what_somebody_else_finished_is_told(scene: Scene, doctor: Doctor, life: Life) -> None:
    findings = found_unfinished(scene, doctor, life, is_old=False)
    with at_request(doctor._connection, 5, lambda: life.delete(scene.new_store())):
        (done,) = doctor.repair(findings)
    assert done.outcome == "gone"


@pytest.mark.parametrize("name", ["conversation", "user", "organization"])
def test_a_nameless_deletion_can_be_tried_again(scene: Scene, doctor: Doctor, name: str) -> None:
    """The repair has given it an id, and then failed: it is still the deletion that was seen."""
    life = LIVES[name]
    findings = found_unfinished(scene, doctor, life, is_old=True)
    with FaultInjector(doctor._connection.client) as faults:
        faults.plan(Kill(), operation="TransactWriteItems", at=2)
        with pytest.raises(Killed):
            doctor.repair(findings)
    (there,) = tombstones(scene, life)
    assert DELETION_ID in there
    (done,) = doctor.repair(findings)
    assert done.outcome == "repaired"
    assert doctor.examine().is_clean
