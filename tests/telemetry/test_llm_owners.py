"""An account's interactions are its own, whoever else knows the id of the conversation."""

from typing import Any

import pytest

from dynamo_chat import ChatStore, LLMInteraction
from dynamo_chat.core.errors import Conflict, NotFound
from dynamo_chat.testing import FaultInjector, Kill, Killed
from tests.mail.scenes import new_email
from tests.scene import Scene
from tests.telemetry.samples import new_interaction

pytestmark = pytest.mark.engine


def recorded(store: ChatStore, account_id: str, number: int = 3) -> list[LLMInteraction]:
    """Interactions of an account in ``c-1``, some with content."""
    return [
        store.llm.record(
            "c-1",
            new_interaction(account_id=account_id, prompt=account_id if place % 2 else None),
        )
        for place in range(number)
    ]


def listed(store: ChatStore, account_id: str | None, **how: Any) -> list[LLMInteraction]:
    return [*store.llm.list_by_conversation("c-1", account_id=account_id, consistent=True, **how)]


def by_id(interactions: list[LLMInteraction]) -> list[LLMInteraction]:
    return sorted(interactions, key=lambda each: each.interaction_id)


@pytest.mark.parametrize("account_id", ["a-1", None])
def test_deleting_a_thread_leaves_what_another_account_recorded_before_it(
    scene: Scene, account_id: str | None
) -> None:
    """Usage and contents, also in the other's reports."""
    theirs = recorded(scene.store, "b-1")
    recorded(scene.store, "a-1")
    scene.store.emails.add("c-1", new_email())
    scene.store.threads.delete("c-1", account_id=account_id)
    assert by_id(listed(scene.store, "b-1")) == by_id(theirs)
    assert listed(scene.store, "a-1") == []
    month = scene.clock().strftime("%Y-%m")
    assert scene.store.reports.build("b-1", month).total_requests == 3
    assert scene.store.reports.build("a-1", month).total_requests == 0
    scene.store.threads.delete("c-1")  # of nobody's thread, by nobody in particular: everything
    assert scene.kinds() == {"llm_report": 2}


def test_another_account_cannot_record_under_a_thread(scene: Scene) -> None:
    """Whatever it brings: it learns nothing, and the thread's own list stays as it was."""
    scene.store.emails.add("c-1", new_email())
    ours = recorded(scene.store, "a-1")
    for fields in ({}, {"prompt": "Ignore what was said."}):
        with pytest.raises(Conflict, match="another account") as refused:
            scene.store.llm.record("c-1", new_interaction(account_id="b-1", **fields))
        assert refused.value.current is None
    same = new_interaction(interaction_id="i-1", generated_at=scene.clock())
    scene.store.llm.record("c-1", same)
    with pytest.raises(Conflict, match="another account"):
        scene.store.llm.record("c-1", same.model_copy(update={"account_id": "b-1"}))
    assert len(listed(scene.store, "a-1")) == len(ours) + 1 == len(listed(scene.store, None))


def test_what_another_account_recorded_first_hides_nothing(scene: Scene) -> None:
    """Every account sees its own, page by page, in its own order."""
    theirs = recorded(scene.store, "b-1", 60)
    ours = recorded(scene.store, "a-1", 5)
    scene.store.emails.add("c-1", new_email())
    for newest_first in (False, True):
        for size in (1, 2, 5, 100):
            found: list[LLMInteraction] = []
            cursor: str | None = None
            while True:
                page = scene.store.llm.list_by_conversation(
                    "c-1",
                    account_id="a-1",
                    newest_first=newest_first,
                    page_size=size,
                    cursor=cursor,
                )
                found += page
                cursor = page.cursor
                if cursor is None:
                    break
            assert by_id(found) == by_id(ours)
    assert by_id(listed(scene.store, "b-1", page_size=100)) == by_id(theirs)
    assert listed(scene.store, "x-1") == []


def test_nothing_is_recorded_while_a_deletion_goes_on(scene: Scene) -> None:
    """What is acknowledged is not destroyed by a deletion that began before it."""
    scene.store.emails.add("c-1", new_email())
    recorded(scene.store, "a-1")
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(Kill(), at=2)
        with pytest.raises(Killed):
            scene.store.threads.delete("c-1")
    for account_id in ("a-1", "b-1"):
        with pytest.raises(Conflict, match="being deleted"):
            recorded(scene.store, account_id)
    scene.store.threads.delete("c-1")
    assert scene.items() == []
    assert recorded(scene.store, "b-1")


def test_a_slow_deletion_leaves_what_was_recorded_after_a_quick_one(scene: Scene) -> None:
    """Also under the same ids: by the account that has the conversation by then, or the same."""
    made = new_interaction(interaction_id="i-1", generated_at=scene.clock(), prompt="Hello")

    def replace() -> None:
        scene.store.threads.delete("c-1")
        scene.store.llm.record("c-1", made.model_copy(update={"account_id": owner}))

    for owner in ("a-1", "b-1"):
        for after in (1, 2):
            scene.store.emails.add("c-1", new_email())
            scene.store.llm.record("c-1", made)
            scene.interrupted(None, after, replace).threads.delete("c-1", account_id="a-1")
            assert scene.kinds() == {"llm_usage": 1, "llm_content": 1}
            assert len(listed(scene.store, owner)) == 1
            scene.store.threads.delete("c-1")


def test_an_account_may_take_its_own_back_without_a_thread(scene: Scene) -> None:
    """Nothing says whose the conversation is: by its owner's name it is not found."""
    recorded(scene.store, "b-1")
    with pytest.raises(NotFound):
        scene.store.threads.delete("c-1", account_id="a-1")
    assert len(listed(scene.store, "b-1")) == 3
