"""The doctor on a table in use: no false alarm, and nothing is overwritten that changed."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.operations.doctor.doctor import Doctor
from dynamo_chat.operations.doctor.findings import Code
from tests.doctor.damage import changed, cut_short, gone, one
from tests.doctor.scene import doctor_of
from tests.scene import Item, Scene, just_before
from tooling.everything import Everything

pytestmark = [pytest.mark.engine, pytest.mark.once]


def before(doctor: Doctor, operation: str, act: Callable[[], object]) -> Any:
    return just_before(doctor._connection, operation, act)


# -- writers at work ----------------------------------------------------------------------------


def _work(store: ChatStore, number: int) -> None:
    """Something of everything whose items belong together, made and taken away again."""
    name = f"worker-{number}"
    talk = store.conversations.create(name, title="Busy").conversation_id
    store.messages.append(talk, NewMessage(role="user", content="Hi", message_id=f"b-{number}"))
    store.messages.append("talk-ann", NewMessage(role="user", content="Me too"))
    store.conversations.rename(talk, "Busier")
    store.users.create(f"{name}@example.org", user_id=name)
    store.logins.create(name)
    store.members.add("org-ann", name)
    store.users.change_addresses(name, email=f"{name}@other.example")
    store.callers.create(name)
    store.queue.join(name)
    store.queue.leave(name)
    store.callers.delete(name)
    store.conversations.delete(talk)
    store.users.delete(name)


def test_a_table_in_use_gives_no_false_alarm(
    scene: Scene, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    rounds = [0, 0]
    moved = threading.Condition()

    def run(worker: int) -> None:
        store = scene.new_store()
        while not stop.is_set():
            _work(store, 2 * rounds[worker] + worker)
            with moved:
                rounds[worker] += 1
                moved.notify_all()

    def until_everybody_moved_on(_: float) -> None:
        """Whatever was half done at the first look is done at the second, however long it takes."""
        before = list(rounds)
        with moved:
            moved.wait_for(
                lambda: all(now > then for now, then in zip(rounds, before, strict=True)),
                timeout=300,
            )

    with ThreadPoolExecutor(2) as pool, doctor_of(scene, page_size=7) as hasty:
        monkeypatch.setattr(hasty, "_sleep", until_everybody_moved_on)
        working = [pool.submit(run, worker) for worker in range(2)]
        try:
            reports = [hasty.examine() for _ in range(3)]
        finally:
            stop.set()
        for each in working:
            each.result()
    assert min(rounds) > 1
    assert [each.findings for each in reports] == [[]] * len(reports)
    quiet = doctor.examine()
    assert quiet.is_clean
    assert quiet.unsettled == 0


# -- what is being looked at ----------------------------------------------------------------------


def _between_looks(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, act: Iterator[object]) -> None:
    """Let the next thing happen at each pause between two looks."""
    monkeypatch.setattr(doctor, "_sleep", lambda _: next(act, None))


def test_what_is_put_right_meanwhile_is_not_reported(
    scene: Scene, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = one(scene, "membership")
    gone("membership")(scene)
    _between_looks(doctor, monkeypatch, map(scene.put, [there]))
    assert doctor.examine().is_clean


def test_a_deletion_that_goes_on_is_not_reported(
    scene: Scene, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_short(lambda store: store.conversations.delete("talk-ann"), after=2)(scene)

    def steps() -> Iterator[None]:
        """The end of the walk, an item at a time, with the finish after it."""
        *begun, last, very_last = sorted(
            item["SK"]["S"]
            for item in scene.items()
            if item["PK"]["S"] == "CONV#talk-ann#" and item["kind"]["S"] == "message"
        )
        for positions in ([*begun, last], [very_last]):
            for position in positions:
                gone("message", SK=position)(scene)
            yield
        scene.new_store().conversations.delete("talk-ann")
        yield

    _between_looks(doctor, monkeypatch, steps())
    report = doctor.examine()
    assert report.is_clean
    assert report.unsettled == 0


def test_what_never_holds_still_is_told_apart(
    scene: Scene, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation that counts wrong, and another number at each look: nothing is said of it."""
    numbers = iter(range(100, 200))

    def count() -> None:
        changed("conversation", {"title": "Renders"}, message_count={"N": str(next(numbers))})(
            scene
        )

    count()
    _between_looks(doctor, monkeypatch, iter(count, "never"))
    report = doctor.examine()
    assert report.is_clean
    assert report.unsettled == 1


def test_an_item_that_changes_during_a_look_is_looked_at_again(
    scene: Scene, doctor: Doctor
) -> None:
    """A member leaves between the reading of the member and of the listing."""
    gone("membership")(scene)
    member = one(scene, "member")
    reads = iter(range(100))

    def touch(**_: Any) -> None:
        number = next(reads)
        scene.put({**member, "last_active": {"S": f"2025-01-01T00:00:{number:02d}.000000Z"}})

    events = doctor._connection.client.meta.events
    events.register("before-call.dynamodb.BatchGetItem", touch)
    try:
        report = doctor.examine()
    finally:
        events.unregister("before-call.dynamodb.BatchGetItem", touch)
    assert report.is_clean
    assert report.unsettled == 1


# -- repairs --------------------------------------------------------------------------------------

REPAIRS: list[tuple[Code, Callable[[Scene], object], str, str]] = [
    (
        "half_index_key",
        changed("conversation", {"title": "Renders"}, GSI2SK=None),
        "conversation",
        "UpdateItem",
    ),
    (
        "counter",
        changed("organization", member_count={"N": "9"}),
        "organization",
        "UpdateItem",
    ),
]


@pytest.mark.parametrize(("code", "plant", "kind", "operation"), REPAIRS)
def test_what_changed_meanwhile_is_not_overwritten(
    scene: Scene,
    doctor: Doctor,
    code: Code,
    plant: Callable[[Scene], object],
    kind: str,
    operation: str,
) -> None:
    plant(scene)
    report = doctor.examine()
    changes = {
        "conversation": {"last_position": {"S": "7" * 26}},
        "organization": {"member_count": {"N": "10"}},
    }[kind]
    of = {"title": "Renders"} if kind == "conversation" else {}

    def change() -> Item:
        changed(kind, of, **changes)(scene)
        return one(scene, kind, **of)

    after: list[Item] = []
    with before(doctor, operation, lambda: after.append(change())):
        (done,) = doctor.repair(report.findings)
    assert (done.outcome, done.finding.code) == ("left", code)
    assert one(scene, kind, **of) == after[0]
    # At the next look it is seen with what changed, and repaired.
    again = doctor.repair(doctor.examine().findings)
    assert {each.outcome for each in again} == {"repaired"}
    assert doctor.examine().is_clean


def test_an_orphan_that_found_its_owner_is_kept(scene: Scene, doctor: Doctor) -> None:
    conversation = one(scene, "conversation", PK="CONV#talk-ann-1#")
    gone("conversation", PK="CONV#talk-ann-1#")(scene)
    kept = scene.kinds()["message"]
    orphans = {each for each in doctor.examine().findings if each.code == "orphan"}
    messages = [each for each in orphans if each.kind == "message"]
    assert len(messages) == 2
    with before(doctor, "TransactWriteItems", lambda: scene.put(conversation)):
        done = doctor.repair(messages)
    assert {each.outcome for each in done} == {"gone"}
    assert doctor.examine().is_clean
    assert scene.kinds()["message"] == kept


def test_a_listing_is_not_made_for_a_login_that_was_revoked(scene: Scene, doctor: Doctor) -> None:
    store = scene.new_store()
    gone("login_listing")(scene)
    report = doctor.examine()
    login = store.logins.get(Everything.named("ann").secret)
    with before(doctor, "TransactWriteItems", lambda: store.logins.revoke(login)):
        (done,) = doctor.repair(report.findings)
    assert done.outcome == "left"
    assert "login_listing" not in scene.kinds()
    assert doctor.examine().is_clean


def test_what_was_repaired_by_others_is_told(scene: Scene, doctor: Doctor) -> None:
    there = one(scene, "review_id")
    gone("review_id")(scene)
    report = doctor.examine()
    scene.put(there)
    assert [each.outcome for each in doctor.repair(report.findings)] == ["gone"]
