"""One interaction, report or invocation is deleted, or all of an account's; nobody else's."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.testing import DropAnswer, Engine, RequestMeter
from tests.mail.scenes import open_scene
from tests.scene import Scene, cut_short, each_fault, faults, just_before
from tests.telemetry.samples import new_interaction, new_invocation

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("no_backoff")]

MANY = 105
"""More than one transaction has room for."""


def fill(scene: Scene, account_id: str, many: int = 5) -> None:
    """What an account has: every third interaction with content."""
    store, month = scene.store, scene.clock().strftime("%Y-%m")
    for number in range(many):
        said = "Say something." if number % 3 == 0 else None
        store.llm.record(f"c-{number % 2}", new_interaction(account_id=account_id, prompt=said))
        store.invocations.record(new_invocation(account_id=account_id))
    store.reports.build(account_id, month)
    store.reports.build(account_id, "2025-01")
    store.rate_limits.count(account_id, "ai", "f")
    store.rate_limits.count(account_id, "aws", "f")


def of_account(scene: Scene, account_id: str) -> list[Any]:
    """The items of an account; contents do not name it."""
    named = ({"S": account_id}, f"LIMIT#{account_id}#")
    return [
        item
        for item in scene.items()
        if item.get("account_id") == named[0] or item["PK"]["S"] == named[1]
    ]


ALL: dict[str, tuple[str, Callable[[ChatStore, str], int]]] = {
    "llm": ("llm_usage", lambda store, account: store.llm.delete_all(account)),
    "invocations": ("invocation", lambda store, account: store.invocations.delete_all(account)),
    "reports": ("llm_report", lambda store, account: store.reports.delete_all(account)),
    "rate_limits": ("rate_limit", lambda store, account: store.rate_limits.delete_all(account)),
}


@pytest.mark.once
@pytest.mark.parametrize("name", ALL)
def test_all_of_an_account_goes_and_nothing_else(scene: Scene, name: str) -> None:
    kind, delete_all = ALL[name]
    fill(scene, "a-2")
    before = scene.items()
    fill(scene, "a-1", MANY)
    there = scene.kinds()[kind] - sum(item["kind"]["S"] == kind for item in before)
    contents = MANY // 3 if kind == "llm_usage" else 0
    assert delete_all(scene.store, "a-1") == there + contents
    for _, rest in ALL.values():
        rest(scene.store, "a-1")
    assert scene.items() == before
    assert delete_all(scene.store, "a-1") == 0


@pytest.mark.once
@pytest.mark.parametrize("name", ALL)
def test_it_is_finished_by_calling_again(dynamo_chat_engine: Engine, name: str) -> None:
    _, delete_all = ALL[name]
    with open_scene(dynamo_chat_engine) as scene:
        fill(scene, "a-1")
        everything = scene.items()
        with RequestMeter(scene.store.connection.client) as meter:
            delete_all(scene.store, "a-1")
        done = scene.items()
        for number, fault in each_fault(meter.count):
            scene.restore(everything)
            cut_short(scene, number, fault, lambda: delete_all(scene.store, "a-1"))
            delete_all(scene.store, "a-1")
            assert scene.items() == done


def test_an_id_that_changed_hands_while_all_are_deleted(scene: Scene) -> None:
    """The index shows it as the account's, but by now it is somebody else's, and stays."""
    scene.store.invocations.record(new_invocation(invocation_id="v-1"))
    other = scene.new_store()
    at = scene.clock() - timedelta(minutes=1)
    new = new_interaction(interaction_id="i-1", generated_at=at, prompt="Mine")
    scene.store.llm.record("c-1", new)

    def changes_hands() -> None:
        other.invocations.delete("v-1")
        other.invocations.record(new_invocation(invocation_id="v-1", account_id="a-2"))

    def too() -> None:
        other.llm.delete("c-1", "i-1", at)
        other.llm.record("c-1", new.model_copy(update={"account_id": "a-2"}))

    with just_before(scene.store, "TransactWriteItems", changes_hands):
        assert scene.store.invocations.delete_all("a-1") == 0
    with just_before(scene.store, "TransactWriteItems", too):
        assert scene.store.llm.delete_all("a-1") == 0
    assert scene.store.invocations.get("v-1").account_id == "a-2"
    (kept,) = scene.store.llm.list_by_conversation("c-1")
    assert (kept.account_id, kept.prompt) == ("a-2", "Mine")


def test_one_interaction(scene: Scene) -> None:
    store = scene.store
    first = store.llm.record("c-1", new_interaction(prompt="Hi"))
    second = store.llm.record("c-1", new_interaction())
    for wrong in ({"account_id": "a-2"}, {"interaction_id": "i-9"}):
        given = {"interaction_id": first.interaction_id, "account_id": "a-1", **wrong}
        with pytest.raises(NotFound):
            store.llm.delete("c-1", generated_at=first.generated_at, **given)
    with pytest.raises(InvalidArgument, match="generated_at"):
        store.llm.delete("c-1", first.interaction_id, first.generated_at.replace(tzinfo=None))
    store.llm.delete("c-1", first.interaction_id, first.generated_at, account_id="a-1")
    assert [*store.llm.list_by_conversation("c-1")] == [second]
    assert scene.kinds() == {"llm_usage": 1}
    with pytest.raises(NotFound):
        store.llm.delete("c-1", first.interaction_id, first.generated_at)


def test_one_report_and_one_invocation(scene: Scene) -> None:
    store = scene.store
    report = store.reports.build("a-1", "2025-01").report_id
    invocation = store.invocations.record(new_invocation()).invocation_id
    for delete, identity in (
        (store.reports.delete, report),
        (store.invocations.delete, invocation),
    ):
        before = scene.items()
        with pytest.raises(NotFound):
            delete(identity, account_id="a-2")
        assert scene.items() == before
        with faults(store) as injector:
            injector.plan(DropAnswer(), at=1)  # the response of the deletion is lost
            delete(identity, account_id="a-1")
            assert injector.injected
        with pytest.raises(NotFound):
            delete(identity)
    assert scene.items() == []


def test_one_rate_limit(scene: Scene) -> None:
    limits = scene.store.rate_limits
    limits.count("a-1", "ai", "f", limit=1)
    limits.count("a-1", "aws", "f")
    limits.delete("a-1", "ai")
    assert scene.only("rate_limit")["SK"]["S"] == "LIMIT#aws#"
    limits.count("a-1", "ai", "f", limit=1)
    limits.delete("a-1", "ai")
    with pytest.raises(NotFound):
        limits.delete("a-1", "ai")
    with pytest.raises(InvalidArgument, match="resource"):
        limits.delete("a-1", "")
