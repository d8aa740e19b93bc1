"""Deletions that are cut short, overtaken, or finished by somebody else."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from dynamo_chat import ChatStore, keyspace
from dynamo_chat.core.errors import NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.mail.email import EmailSummary
from dynamo_chat.mail.removal import ThreadRemover
from dynamo_chat.testing import FaultInjector, Kill, Killed
from tests.mail.scenes import new_email
from tests.scene import Item, Scene
from tests.telemetry.samples import new_interaction

pytestmark = pytest.mark.engine

EMAILS = 26
"""With content, Message-ID and response id: 104 items, which takes two transactions."""


def fill(scene: Scene, emails: int = EMAILS) -> None:
    for number in range(emails):
        ids = {"message_id": f"<{number}@example.com>", "response_id": f"r-{number}"}
        scene.store.emails.add("c-1", new_email(**ids))


def restore(scene: Scene, items: list[Item]) -> None:
    table = scene.store.connection.table_name
    for start in range(0, len(items), 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        scene.client.batch_write_item(RequestItems={table: puts})


def tombstone(scene: Scene) -> Item:
    """That of ``c-1``, whose deletion has died."""
    (found,) = (item for item in scene.items() if item["kind"]["S"] == "email_thread_tombstone")
    return found


def buried(scene: Scene) -> Item:
    """The tombstone of a deletion of ``c-1`` that died when it had begun."""
    cut_short(scene, at=2)
    return tombstone(scene)


def cut_short(scene: Scene, at: int) -> bool:
    """Delete ``c-1``, dying before the request of this number; whether there was one."""
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(Kill(), at=at)
        with suppress(Killed):
            scene.store.threads.delete("c-1")
        return bool(faults.injected)


def assert_nothing_torn(scene: Scene) -> None:
    """Each e-mail has its content and its Message-ID, or none of the three is there.

    An id leads to an e-mail: ids go before what they lead to.
    """
    found: dict[str, set[Any]] = defaultdict(set)
    for item in scene.items():
        if item["kind"]["S"] == "email":
            email = plan(EmailSummary).decode(dict(item))
            found["email"].add(email.entry_id)
            found["named"].add(email.response_id)
        elif item["kind"]["S"] == "email_content":
            found["content"].add(keyspace.EMAIL.table.sk.decode(item["SK"]["S"])[1])
        elif item["kind"]["S"] == "email_message_id":
            found["message"].add(item["entry_id"]["S"])
        elif item["kind"]["S"] == "email_response_id":
            found["response"].add(keyspace.EMAIL_RESPONSE_ID.table.sk.decode(item["SK"]["S"])[0])
    assert found["email"] == found["content"] == found["message"]
    assert found["response"] <= found["named"]


@pytest.mark.once
def test_what_belongs_together_goes_together(scene: Scene) -> None:
    """Killed at every request of a deletion that takes three transactions."""
    fill(scene, 55)
    everything, at = scene.items(), 1
    while True:
        restore(scene, everything)
        if not cut_short(scene, at):
            break
        assert_nothing_torn(scene)
        scene.store.threads.delete("c-1")
        assert scene.items() == []
        at += 1
    assert at == 1 + 1 + 3 + 1  # begin, one query, three transactions: and there was no sixth


@pytest.mark.once
def test_overtaken_between_any_two_requests(scene: Scene) -> None:
    """The id has a new life, or is being deleted again: the slow one touches nothing of it."""

    def new_life() -> None:
        scene.store.threads.delete("c-1")
        fill(scene, 2)

    def being_deleted_again() -> None:
        new_life()
        cut_short(scene, at=2)

    for after in (1, 2, 3):
        for act, kind in ((new_life, "email_thread"), (being_deleted_again, None)):
            fill(scene)
            scene.interrupted(None, after, act).threads.delete("c-1", account_id="a-1")
            assert scene.kinds()[kind or "email_thread_tombstone"] == 1
            assert scene.kinds()["email"] == scene.kinds()["email_content"] == 2
            assert scene.kinds()["email_message_id"] == 2
            scene.store.threads.delete("c-1")


def finished(store: ChatStore, tombstone: Item) -> int:
    """Finish the deletion that left this tombstone, as a repair does."""
    return ThreadRemover(store._binding).finish(dict(tombstone))


def test_a_deletion_that_was_seen_is_finished(scene: Scene) -> None:
    fill(scene, 3)
    left = buried(scene)
    assert finished(scene.store, left) == 4 * 3 + 1
    assert scene.items() == []
    assert finished(scene.store, left) == 0


@pytest.mark.parametrize("again", [False, True])
def test_only_the_deletion_that_was_seen_is_finished(scene: Scene, again: bool) -> None:
    """Somebody else has finished it: the next life, or its own deletion, is left alone."""
    fill(scene, 3)
    seen = buried(scene)
    scene.store.threads.delete("c-1")
    fill(scene, 2)
    if again:
        cut_short(scene, at=2)
    before = scene.items()
    assert finished(scene.store, seen) == 0
    assert scene.items() == before


@pytest.mark.once
def test_finishing_is_overtaken_between_any_two_requests(scene: Scene) -> None:
    def new_life() -> None:
        scene.store.threads.delete("c-1")
        fill(scene, 2)

    for after in (1, 2):
        fill(scene)
        store = scene.interrupted(None, after, new_life)
        assert finished(store, buried(scene)) < 4 * EMAILS + 1
        assert scene.store.threads.get("c-1").message_count == 2
        scene.store.threads.delete("c-1")


@pytest.mark.parametrize("names", [(), ("deletion_id",), ("account_id", "deletion_id")])
def test_tombstones_of_earlier_releases_are_finished(scene: Scene, names: tuple[str, ...]) -> None:
    """Without whose it was, or without a deletion's id."""

    def old() -> Item:
        left = {name: value for name, value in buried(scene).items() if name not in names}
        scene.client.put_item(TableName=scene.store.connection.table_name, Item=left)
        return left

    finish: tuple[Callable[[Item], object], ...] = (
        lambda _: scene.store.threads.delete("c-1"),
        lambda left: finished(scene.store, left),
    )
    for how in finish:
        fill(scene, 3)
        scene.store.llm.record("c-1", new_interaction(prompt="Hello"))
        how(old())
        assert scene.items() == []


def test_only_its_own_account_finishes_a_deletion(scene: Scene) -> None:
    fill(scene, 3)
    cut_short(scene, at=2)
    with pytest.raises(NotFound):
        scene.store.threads.delete("c-1", account_id="b-1")
    assert scene.kinds()["email"] == 3
    scene.store.threads.delete("c-1", account_id="a-1")
    assert scene.items() == []


def test_the_account_of_a_collection_of_several_megabytes(scene: Scene) -> None:
    """Where the tombstone is not in the first answer, it is asked for once."""
    theirs = scene.store.llm.record("c-1", new_interaction(account_id="b-1", prompt="Hello"))
    for place in range(5):
        noise = "".join(
            chr(0x4E00 + (place * 7_919 + n * 104_729) % 20_000) for n in range(120_000)
        )
        scene.store.emails.add("c-1", new_email(body=noise))
    scene.store.threads.delete("c-1")
    assert [*scene.store.llm.list_by_conversation("c-1")] == [theirs]
    assert scene.kinds() == {"llm_usage": 1, "llm_content": 1}


def test_damaged_items_go_with_the_rest(scene: Scene) -> None:
    """What says nothing of whose it is, or of what it is, keeps nobody from deleting it."""
    fill(scene, 2)
    scene.store.llm.record("c-1", new_interaction(prompt="Hello"))
    table = scene.store.connection.table_name
    for item in scene.items():
        if item["kind"]["S"] in {"llm_usage", "email", "email_response_id"}:
            damaged = {name: item[name] for name in ("PK", "SK")}
            scene.client.put_item(TableName=table, Item=damaged)
    scene.store.threads.delete("c-1", account_id="a-1")
    left = {item["kind"]["S"] for item in scene.items()}
    assert left == {"email_message_id"}  # only the e-mails said where they are
    for item in scene.items():
        scene.client.delete_item(TableName=table, Key={name: item[name] for name in ("PK", "SK")})


def test_two_may_delete_at_once(scene: Scene) -> None:
    """Two at once, step by step: both end well, or one finds nothing any more."""
    for after in (1, 2, 3):
        fill(scene)
        store = scene.interrupted(None, after, lambda: scene.store.threads.delete("c-1"))
        with suppress(NotFound):
            store.threads.delete("c-1")
        assert scene.items() == []
