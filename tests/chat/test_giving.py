"""C24: a conversation gets another owner, and from the first write on belongs to nobody else."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from dynamo_chat import ChatStore, Conversation, Feedback
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.testing import FakeClock, RequestMeter
from tests.chat.scenes import said, say, user
from tests.doctor.scene import doctor_of
from tests.scene import DAY, MINUTE, Scene, at_request, drained, just_before, race, requests

pytestmark = [pytest.mark.engine, pytest.mark.once]


@pytest.fixture
def talk(store: ChatStore) -> str:
    """Ann's conversation with one of everything."""
    store.conversations.create("ann", conversation_id="c-1", title="T", preferences={"a": 1})
    store.messages.append("c-1", user("a", message_id="m-1"))
    say(store, "c-1", "b")
    store.messages.give_feedback("c-1", "m-1", Feedback(type="positive"))
    store.states.save("c-1", {"step": 1})
    store.reviews.create("c-1", "admin", review_id="r-1")
    return "c-1"


def ids(store: ChatStore, user_id: str) -> list[str]:
    """The conversations in each list of a user's, which agree."""
    talks = store.conversations
    lists = (talks.list_by_user, talks.list_by_activity)
    first, second = (
        sorted(each.conversation_id for page in drained(ask, user_id=user_id) for each in page)
        for ask in lists
    )
    assert first == second
    return first


def titled(store: ChatStore, user_id: str, title: str = "T") -> list[str]:
    page = store.conversations.find_by_title(title, user_id=user_id)
    return [each.conversation_id for each in page]


def mentions(scene: Scene, name: str) -> int:
    """In how many items this text occurs."""
    return sum(name in json.dumps(item, default=repr) for item in scene.items())


def check_sound(scene: Scene) -> None:
    """The doctor finds nothing."""
    with doctor_of(scene) as doctor:
        assert not doctor.examine().findings


def test_it_has_another_owner(scene: Scene, store: ChatStore, talk: str) -> None:
    """Everything in it stays as it was; lists, titles and ids follow the owner."""
    before = store.conversations.get(talk)
    given = store.conversations.give_to(talk, "bob", user_id="ann")
    after = store.conversations.get(talk, user_id="bob")
    changes: dict[str, Any] = {"user_id": "bob", "given_from": given.given_from}
    assert after == before.model_copy(update=changes)
    assert given == after.model_copy(update={"preferences": None})
    assert (ids(store, "ann"), ids(store, "bob")) == ([], [talk])
    assert (titled(store, "ann"), titled(store, "bob")) == ([], [talk])
    assert store.messages.get_by_id("m-1", user_id="bob").content == "a"
    with pytest.raises(NotFound):
        store.messages.get_by_id("m-1", user_id="ann")
    assert said(store, talk) == ["a", "b"]
    assert [each.message_id for each in store.messages.list_by_feedback("positive")] == ["m-1"]
    assert store.reviews.get("r-1").conversation_id == talk
    assert mentions(scene, "ann") == 0


OF_AN_OWNER: dict[str, Callable[[ChatStore, str], Any]] = {
    "get": lambda s, u: s.conversations.get("c-1", user_id=u),
    "rename": lambda s, u: s.conversations.rename("c-1", "U", user_id=u),
    "set status": lambda s, u: s.conversations.set_status("c-1", "archived", user_id=u),
    "give": lambda s, u: s.conversations.give_to("c-1", "eve", user_id=u),
    "delete": lambda s, u: s.conversations.delete("c-1", user_id=u),
    "append": lambda s, u: s.messages.append("c-1", user("x"), user_id=u),
    "append with an id": lambda s, u: s.messages.append(
        "c-1", user("x", message_id="x"), user_id=u
    ),
    "list": lambda s, u: s.messages.list("c-1", user_id=u),
    "edit": lambda s, u: s.messages.edit("c-1", "m-1", content="x", user_id=u),
    "delete a message": lambda s, u: s.messages.delete("c-1", "m-1", user_id=u),
    "save a state": lambda s, u: s.states.save("c-1", {}, revision=1, user_id=u),
}


@pytest.mark.parametrize("call", OF_AN_OWNER.values(), ids=OF_AN_OWNER)
def test_who_had_it_is_refused(
    scene: Scene, store: ChatStore, talk: str, call: Callable[[ChatStore, str], Any]
) -> None:
    """By every store, also by one that remembers the conversation as theirs; the owner is not."""
    scene.new_store().conversations.give_to(talk, "bob")
    before = scene.items()
    with pytest.raises(NotFound, match="conversation"):
        call(store, "ann")
    assert scene.items() == before
    call(store, "bob")


@pytest.mark.parametrize("call", OF_AN_OWNER.values(), ids=OF_AN_OWNER)
def test_it_is_given_while_the_owner_writes(
    scene: Scene, store: ChatStore, talk: str, call: Callable[[ChatStore, str], Any]
) -> None:
    """At each request of the owner's call: that happens before, or not at all."""
    other = scene.new_store()
    beginning = scene.items()
    store.conversations.get(talk)
    with RequestMeter(store.connection.client) as meter:
        call(store, "ann")

    def give() -> None:
        with suppress(NotFound):
            other.conversations.give_to(talk, "bob", user_id="ann")

    for number in range(1, meter.count + 1):
        scene.restore(beginning)
        for each in (store, other):
            each._snapshots.forget(talk)
        store.conversations.get(talk)
        with suppress(NotFound), at_request(store, number, give):
            call(store, "ann")
        assert ids(store, "ann") == []
        assert mentions(scene, '"ann"') == 0
        check_sound(scene)


def test_an_edit_under_way_may_land_once(scene: Scene, store: ChatStore, talk: str) -> None:
    """It changes what it names, and nothing else; whatever comes next is refused."""
    other = scene.new_store()
    with just_before(store, "UpdateItem", lambda: other.conversations.give_to(talk, "bob")):
        store.messages.edit(talk, "m-1", metadata={"a": 1}, user_id="ann")
    there = store.messages.get(talk, "m-1", user_id="bob")
    assert (there.metadata, there.content) == ({"a": 1}, "a")
    before = scene.items()
    with pytest.raises(NotFound, match="conversation"):
        store.messages.edit(talk, "m-1", metadata={"a": 2}, user_id="ann")
    assert scene.items() == before
    check_sound(scene)


def test_it_is_given_to_two(scene: Scene, store: ChatStore, talk: str) -> None:
    """By its owner, who has it once: one of them gets it, whole."""
    heirs = [f"heir-{n}" for n in range(6)]
    stores = [scene.new_store() for _ in heirs]
    found = race(
        [
            partial(each.conversations.give_to, talk, heir, user_id="ann")
            for each, heir in zip(stores, heirs, strict=True)
        ]
    )
    (given,) = (each for each in found if isinstance(each, Conversation))
    assert all(isinstance(each, NotFound) for each in found if each is not given)
    assert [heir for heir in heirs if ids(store, heir)] == [given.user_id]
    assert ids(store, "ann") == []
    check_sound(scene)


def test_it_is_given_on_while_its_ids_move(scene: Scene, store: ChatStore, talk: str) -> None:
    """The first call changes nothing more."""
    other = scene.new_store()
    slow = scene.interrupted("Query", 1, lambda: other.conversations.give_to(talk, "cid"))
    slow.conversations.give_to(talk, "bob", user_id="ann")
    assert (ids(store, "bob"), ids(store, "cid")) == ([], [talk])
    assert store.messages.get_by_id("m-1", user_id="cid").content == "a"
    check_sound(scene)


def test_it_is_deleted_and_made_again_while_its_ids_move(
    scene: Scene, store: ChatStore, talk: str
) -> None:
    """The new conversation's ids stay its own."""
    other = scene.new_store()

    def again() -> None:
        other.conversations.delete(talk)
        other.conversations.create("ann", conversation_id=talk)
        other.messages.append(talk, user("new", message_id="m-1"))

    slow = scene.interrupted("Query", 1, again)
    slow.conversations.give_to(talk, "bob", user_id="ann")
    assert store.messages.get_by_id("m-1", user_id="ann").content == "new"
    assert ids(store, "bob") == []
    check_sound(scene)


def test_called_again_it_changes_nothing(scene: Scene, store: ChatStore, talk: str) -> None:
    """By who gave it, by who has it, or by staff; to anybody else it does not exist."""
    given = store.conversations.give_to(talk, "bob", user_id="ann")
    before = scene.items()
    for who in ("ann", "bob", None):
        assert store.conversations.give_to(talk, "bob", user_id=who) == given
    for who, heir in (("eve", "bob"), ("eve", "eve"), ("ann", "ann"), ("ann", "cid")):
        with pytest.raises(NotFound):
            store.conversations.give_to(talk, heir, user_id=who)
    assert scene.items() == before


SINCE: dict[str, Callable[[ChatStore], Any]] = {
    "append": lambda s: say(s, "c-1", "a secret"),
    "rename": lambda s: s.conversations.rename("c-1", "a secret"),
    "no title": lambda s: s.conversations.rename("c-1", None),
    "set status": lambda s: s.conversations.set_status("c-1", "archived"),
    "preferences": lambda s: s.conversations.set_preferences("c-1", {}),
    "delete a message": lambda s: s.messages.delete("c-1", "m-1"),
}


@pytest.mark.parametrize("change", SINCE.values(), ids=SINCE)
def test_who_had_it_sees_nothing_of_what_comes_after(
    scene: Scene, store: ChatStore, talk: str, change: Callable[[ChatStore], Any]
) -> None:
    """Called again after a change, it is not there for them; the new owner may still call it."""
    store.conversations.give_to(talk, "bob", user_id="ann")
    change(store)
    before = scene.items()
    for again in (store, scene.new_store()):
        with pytest.raises(NotFound):
            again.conversations.give_to(talk, "bob", user_id="ann")
    for who in ("bob", None):
        given = store.conversations.give_to(talk, "bob", user_id=who)
        assert given.user_id == "bob"
    assert scene.items() == before


def test_who_never_had_it_does_not_learn_that_it_exists(scene: Scene, store: ChatStore) -> None:
    """A conversation that was always bob's, as one that does not exist."""
    store.conversations.create("bob", conversation_id="c-1")
    for identity in ("c-1", "c-2"):
        with requests(store, 1), pytest.raises(NotFound):
            store.conversations.give_to(identity, "bob", user_id="ann")


def test_given_away_and_back(scene: Scene, store: ChatStore, talk: str) -> None:
    """The lists are as they were."""
    store.conversations.give_to(talk, "bob", user_id="ann")
    store.conversations.give_to(talk, "ann", user_id="bob")
    assert (ids(store, "ann"), ids(store, "bob")) == ([talk], [])
    assert store.messages.get_by_id("m-1", user_id="ann").content == "a"
    check_sound(scene)


def test_many_ids_move_in_few_requests(scene: Scene, store: ChatStore) -> None:
    """99 in a transaction; the messages themselves are not touched."""
    store.conversations.create("ann", conversation_id="c-1")
    for turn in range(3):
        named = [user("x", message_id=f"m-{turn}-{n}") for n in range(40)]
        store.messages.append_turn("c-1", named)
    with requests(store, 5) as meter:
        store.conversations.give_to("c-1", "bob")
    # The head, in the table and both indexes; each id item, in the table and its index.
    assert meter.wcu <= 16 + 120 * 4
    assert store.messages.get_by_id("m-2-39", user_id="bob").content == "x"
    check_sound(scene)


@pytest.mark.parametrize("sliding", [False, True])
def test_it_expires_as_before(
    scene: Scene, store: ChatStore, clock: FakeClock, sliding: bool
) -> None:
    """Its deadlines stay; the next append of the new owner's moves a sliding one."""
    store.conversations.create("ann", conversation_id="c-1", retention=DAY, sliding=sliding)
    store.messages.append("c-1", user("a", message_id="m-1"))
    clock.advance(DAY - MINUTE)
    given = store.conversations.give_to("c-1", "bob", user_id="ann")
    store.messages.append("c-1", user("b"), user_id="bob")
    clock.advance(2 * MINUTE)
    assert ids(store, "bob") == (["c-1"] if sliding else [])
    assert given.retention == DAY
    if not sliding:
        with pytest.raises(NotFound):
            store.conversations.give_to("c-1", "cid")


def test_it_goes_with_its_new_owner(scene: Scene, store: ChatStore, talk: str) -> None:
    """Exported, erased and deleted with the new owner's data, not with the old one's."""
    for name in ("ann", "bob"):
        store.users.create(f"{name}@example.com", user_id=name)
    store.conversations.give_to(talk, "bob", user_id="ann")
    kinds = {name: {record.kind for record in store.people.export(name)} for name in ("ann", "bob")}
    assert "conversation" not in kinds["ann"]
    assert {"conversation", "message"} <= kinds["bob"]
    store.users.delete("ann")
    assert ids(store, "bob") == [talk]
    store.people.erase("bob")
    assert "conversation" not in scene.kinds()


def test_a_user_is_deleted_while_a_conversation_is_given(
    scene: Scene, store: ChatStore, talk: str
) -> None:
    """What was listed as ann's is bob's by then, and stays."""
    store.users.create("ann@example.com", user_id="ann")
    other = scene.new_store()
    given = lambda: other.conversations.give_to(talk, "bob", user_id="ann")  # noqa: E731
    with just_before(store, "TransactWriteItems", given):
        store.users.delete("ann")
    assert ids(store, "bob") == [talk]
    assert said(store, talk) == ["a", "b"]


@pytest.mark.parametrize("heir", ["", None, 7, "x" * 257, "x" * 5_000, "\ud800"])
def test_nobody_to_give_it_to(scene: Scene, store: ChatStore, talk: str, heir: Any) -> None:
    """The error names the argument; nothing is sent."""
    with requests(store, 0), pytest.raises(InvalidArgument) as refused:
        store.conversations.give_to(talk, heir)
    assert refused.value.argument == "new_user_id"
