"""What a new holder of a user id finds of the one before: nothing, or the id is never free."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from dynamo_chat import NewMessage
from dynamo_chat.chat.snapshot import SnapshotCache
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.testing import FaultInjector, Kill, Killed, RequestMeter
from dynamo_chat.workflows.delete_user import UserRemover
from tests.scene import Item, Scene, cut_short, dead_after, each_fault

pytestmark = pytest.mark.engine

LOGINS = 55  # with their listings, more than one transaction takes
REQUESTS = 23
"""Of deleting what `furnish` makes."""


def furnish(scene: Scene, email: str = "ann@example.com", *, logins: int = 2) -> None:
    """A user with everything that a user can have."""
    store = scene.store
    store.users.create(email, user_id="ann")
    for _ in range(logins):
        store.logins.create("ann")
    store.activity.record("ann", "signed up")
    store.organizations.create("Acme", "ann", organization_id=f"own-{email}")
    store.members.add(f"own-{email}", "bob", role="owner")
    store.members.add("org-1", "ann")
    for _ in range(2):
        talk = store.conversations.create("ann", title="Plans")
        store.messages.append(talk.conversation_id, NewMessage(role="user", content="Hello"))
    store.callers.create("ann", email=email)
    store.queue.join("ann")


def of_user(scene: Scene) -> list[Item]:
    """Everything that says who `ann` is, or that belongs to her."""
    return [
        item
        for item in scene.items()
        if "'ann'" in str(item) or "#ann#" in str(item) or "CONV" in item["PK"]["S"]
    ]


@pytest.fixture(autouse=True)
def another_organization(scene: Scene) -> None:
    """One that others own."""
    scene.store.users.create("bob@example.com", user_id="bob")
    scene.store.organizations.create("Other", "bob", organization_id="org-1")


@pytest.mark.once
@pytest.mark.parametrize("is_being_deleted_again", [False, True])
@pytest.mark.parametrize("at", range(1, REQUESTS + 1))
def test_a_worker_that_was_overtaken_takes_nothing_of_the_new_holder(
    scene: Scene, at: int, is_being_deleted_again: bool
) -> None:
    """Another one finishes, the id is given anew, and even deleted again, half-way."""
    users = scene.store.users
    furnish(scene)
    kept: list[Item] = []

    def meanwhile() -> None:
        with suppress(NotFound):
            users.delete("ann")
        scene.clock.advance(1)
        furnish(scene, "new@example.com")
        if is_being_deleted_again:
            cut_short(scene, *dead_after(2), lambda: users.delete("ann"))
        kept.extend(scene.items())

    slow = scene.interrupted(None, at, meanwhile)
    slow.users.delete("ann")
    assert kept
    assert sorted(scene.items(), key=str) == sorted(kept, key=str)


@pytest.mark.once
def test_nothing_is_left_wherever_it_dies(scene: Scene, no_backoff: None) -> None:
    """Calling again finishes, at whichever request it died or an answer was lost."""
    before = scene.items()
    furnish(scene)
    everything = scene.items()
    for number, fault in each_fault(REQUESTS):
        cut_short(scene, number, fault, lambda: scene.store.users.delete("ann"))
        with suppress(NotFound):
            scene.store.users.delete("ann")
        assert of_user(scene) == []
        assert scene.store.members.list_by_organization("own-ann@example.com").items
        scene.store.organizations.delete("own-ann@example.com")
        assert scene.items() == before
        scene.put(*everything)


@pytest.mark.once
@pytest.mark.parametrize("dies_at", [7, 8, 9, 11, 12, 13])
@pytest.mark.parametrize("at", [4, 7])
def test_what_another_worker_died_in_is_finished(scene: Scene, at: int, dies_at: int) -> None:
    """Also when it began behind the back of one who is slow, and goes on afterwards."""
    before = scene.items()
    furnish(scene)

    def meanwhile() -> None:
        cut_short(scene, *dead_after(dies_at), lambda: scene.store.users.delete("ann"))

    slow = scene.interrupted(None, at, meanwhile)
    assert slow.users.delete("ann") > 0
    scene.store.organizations.delete("own-ann@example.com")
    assert scene.items() == before


@pytest.mark.once
@pytest.mark.parametrize("dies_at", range(11, 14))
def test_a_conversation_whose_deletion_had_begun_is_finished(scene: Scene, dies_at: int) -> None:
    """Where an index that is late still shows it, and the user's deletion dies in it, too."""
    before = scene.items()
    furnish(scene)
    talk, _ = scene.store.conversations.list_by_user("ann", newest_first=False).items

    def meanwhile() -> None:
        delete = partial(scene.store.conversations.delete, talk.conversation_id)
        cut_short(scene, *dead_after(2), delete)

    slow = scene.interrupted("Query", 3, meanwhile)  # which lists them
    with FaultInjector(slow.connection.client) as injector, suppress(Killed):
        injector.plan(Kill(after_sending=True), at=dies_at)
        slow.users.delete("ann")
    assert injector.injected
    scene.store.users.delete("ann")
    scene.store.organizations.delete("own-ann@example.com")
    assert scene.items() == before


@pytest.mark.once
def test_logins_go_first_and_each_with_its_listing(scene: Scene) -> None:
    """So many that they take several transactions: a login that is left is one that is found."""
    furnish(scene, logins=LOGINS)
    for number in (5, 6, 7):
        with FaultInjector(scene.store.connection.client) as injected, suppress(Killed):
            injected.plan(Kill(after_sending=True), at=number)
            scene.store.users.delete("ann")
        kinds = scene.kinds()
        assert kinds["login"] == kinds["login_listing"]
        if kinds["login"]:
            assert kinds["activity"] == 1
            assert kinds["conversation"] == 2
    assert not scene.kinds()["login"]
    scene.store.users.delete("ann")


def test_a_login_with_a_secret_that_is_another_users_by_now_is_left(scene: Scene) -> None:
    """A stale listing, as TTL leaves one for a while: it leads to somebody else's login."""
    store, table = scene.store, scene.store.connection.table_name
    store.users.create("ann@example.com", user_id="ann")
    store.logins.create("ann", secret="a-secret-that-is-used-again")
    (login,) = [item for item in scene.items() if item["kind"]["S"] == "login"]
    (listing,) = [item for item in scene.items() if item["kind"]["S"] == "login_listing"]
    scene.client.delete_item(TableName=table, Key={name: login[name] for name in ("PK", "SK")})
    store.logins.create("bob", secret="a-secret-that-is-used-again")
    store.logins.revoke_all("ann")
    assert store.logins.get("a-secret-that-is-used-again").user_id == "bob"
    scene.put(listing)
    store.users.delete("ann")
    assert store.logins.get("a-secret-that-is-used-again").user_id == "bob"


def test_conversations_and_the_place_in_a_queue_go_along(scene: Scene) -> None:
    furnish(scene)
    store = scene.store
    talk, _ = store.conversations.list_by_user("ann").items
    with RequestMeter(store.connection.client) as meter:
        store.users.delete("ann")
    assert meter.count == REQUESTS
    store.users.create("somebody@example.com", user_id="ann")
    assert not store.conversations.list_by_user("ann").items
    assert not store.conversations.list_by_activity("ann").items
    with pytest.raises(NotFound):
        store.conversations.get(talk.conversation_id, consistent=True)
    with pytest.raises(NotFound):
        store.callers.get("ann", consistent=True)
    assert not store.queue.list_waiting().items
    assert not store.members.list_by_user("ann").items


@pytest.mark.once
@pytest.mark.parametrize("at", range(14, REQUESTS))
def test_a_caller_made_meanwhile_is_not_the_next_holders(scene: Scene, at: int) -> None:
    """Nothing asks whether a caller is a user; their e-mail address is still nobody else's."""
    furnish(scene)

    def meanwhile() -> None:
        with suppress(AlreadyExists):
            scene.store.callers.create("ann", email="late@example.com")

    scene.interrupted(None, at, meanwhile).users.delete("ann")
    assert of_user(scene) == []


def test_others_conversations_stay(scene: Scene) -> None:
    furnish(scene)
    talk = scene.store.conversations.create("bob")
    scene.store.users.delete("ann")
    assert scene.store.conversations.get(talk.conversation_id, user_id="bob") == talk


def test_a_live_call_does_not_keep_the_user(scene: Scene) -> None:
    """It goes on for the other one, and ends as ever."""
    store = scene.store
    store.users.create("ann@example.com", user_id="ann")
    for name in ("ann", "bob"):
        store.callers.create(name)
    call = store.calls.start("ann", "bob", call_id="call-1")
    store.users.delete("ann")
    assert store.calls.end(call.call_id).user_b == "bob"
    assert not store.callers.get("bob", consistent=True).is_in_call


def test_what_is_kept_keeps_the_id(scene: Scene) -> None:
    """The id is nobody's again; asking again changes nothing; and all of it can go after all."""
    store = scene.store
    furnish(scene)
    talks = store.conversations.list_by_user("ann").items
    assert store.users.delete("ann", conversations="keep") > 0
    with pytest.raises(AlreadyExists, match="retired"):
        store.users.create("new@example.com", user_id="ann")
    with pytest.raises(NotFound):
        store.users.get("ann", consistent=True)
    with pytest.raises(NotFound):
        store.logins.create("ann")
    (left,) = [item for item in scene.items() if item["PK"]["S"] == "USER#ann#"]
    assert "example" not in str(left)  # nothing personal
    before = scene.items()
    assert store.users.delete("ann", conversations="keep") == 0
    assert scene.items() == before
    assert store.conversations.list_by_user("ann").items == talks
    store.users.create("ann@example.com", user_id="somebody-else")  # the address is free
    store.users.delete("ann")
    assert not store.conversations.list_by_user("ann").items
    store.users.create("new@example.com", user_id="ann")


def test_kept_memberships_keep_the_id(scene: Scene) -> None:
    """A new holder of it would be in those organizations."""
    store = scene.store
    furnish(scene)
    store.users.delete("ann", memberships="keep")
    with pytest.raises(AlreadyExists, match="retired"):
        store.users.create("new@example.com", user_id="ann")
    assert len(store.members.list_by_user("ann").items) == 2
    store.users.delete("ann")
    assert not store.members.list_by_user("ann").items
    store.users.create("new@example.com", user_id="ann")


def tombstone(scene: Scene) -> Item:
    """What a deletion has left so far."""
    (found,) = [item for item in scene.items() if item["kind"]["S"] == "user_tombstone"]
    return found


def remover_of(scene: Scene) -> UserRemover:
    """The remover that a repair uses to finish deletions."""
    return UserRemover(scene.store._binding, SnapshotCache())


@pytest.mark.once
@pytest.mark.parametrize("conversations", ["remove", "keep"])
def test_only_the_deletion_that_was_seen_is_finished(scene: Scene, conversations: str) -> None:
    """As it was asked for, and never that of another life of the id."""
    users, deletion = scene.store.users, remover_of(scene)
    furnish(scene)
    asked = {"conversations": conversations}
    cut_short(scene, *dead_after(4), lambda: users.delete("ann", **asked))  # type: ignore[arg-type]
    seen = dict(tombstone(scene))
    assert deletion.finish(seen) > 0
    assert bool(scene.kinds()["conversation"]) == (conversations == "keep")
    assert bool(scene.kinds()["user_tombstone"]) == (conversations == "keep")
    if conversations == "keep":
        retired = dict(tombstone(scene))
        assert deletion.finish(retired) == deletion.finish(seen) == 0
        assert tombstone(scene) == retired
        users.delete("ann")
    scene.store.organizations.delete("own-ann@example.com")
    furnish(scene)
    before = scene.items()
    assert deletion.finish(seen) == 0
    cut_short(scene, *dead_after(4), lambda: users.delete("ann"))
    begun = scene.items()
    assert deletion.finish(seen) == 0
    assert scene.items() == begun != before
    assert deletion.finish(dict(tombstone(scene))) > 0


def test_a_deletion_that_an_older_version_began_is_finished(scene: Scene) -> None:
    """Its tombstone has no id, and keeps nothing but the addresses."""
    users, table = scene.store.users, scene.store.connection.table_name
    deletion = remover_of(scene)
    finishes: tuple[Callable[[], int], ...] = (
        lambda: users.delete("ann"),
        lambda: deletion.finish(dict(tombstone(scene))),
    )
    for finish in finishes:
        furnish(scene)
        (user,) = [
            item
            for item in scene.items()
            if item["PK"]["S"] == "USER#ann#" and item["kind"]["S"] == "user"
        ]
        kept = {name: user[name] for name in ("PK", "SK", "v", "email")}
        scene.client.put_item(TableName=table, Item={**kept, "kind": {"S": "user_tombstone"}})
        finish()
        assert not scene.kinds()["login"]
        assert not scene.store.members.list_by_user("ann").items
        with suppress(NotFound):
            users.delete("ann")
        scene.store.organizations.delete("own-ann@example.com")
        assert of_user(scene) == []
