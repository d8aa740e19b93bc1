"""Behind the tombstone of an organization: gone for every reader and every writer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from dynamo_chat import ChatStore, Page
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.testing import FaultInjector, Kill, Killed, RequestMeter
from tests.scene import Scene

pytestmark = pytest.mark.engine

TOKEN = "a-token-of-the-caller"
List = Callable[..., Page[Any]]


def furnish(scene: Scene) -> None:
    """An organization with three members, three invites, and an owner who has another one."""
    store = scene.store
    for user in ("ann", "bob", "carl"):
        store.users.create(f"{user}@example.com", user_id=user)
    for org in ("gone", "stays"):
        store.organizations.create("Acme", "ann", organization_id=org)
        store.members.add(org, "bob")
        store.members.add(org, "carl")
        for number in range(3):
            token = TOKEN if (org, number) == ("gone", 0) else None
            invite_id = f"{org}-{number}"
            store.invites.create(
                org, "guest@example.com", invited_by="ann", invite_id=invite_id, token=token
            )


@pytest.fixture
def lists(scene: Scene) -> Iterator[Sequence[List]]:
    """The lists, of an organization whose deletion died right behind its tombstone."""
    furnish(scene)
    store = scene.store
    with FaultInjector(store.connection.client) as faults, suppress(Killed):
        faults.plan(Kill(), at=2)
        store.organizations.delete("gone")
    yield lists_of(store)
    store.organizations.delete("gone")
    assert len(store.members.list_by_organization("stays", consistent=True)) == 3


def lists_of(store: ChatStore) -> Sequence[List]:
    """Every list that shows something of an organization."""
    members, invites = store.members, store.invites

    def bound(method: List, argument: str, **fixed: Any) -> List:
        return lambda **options: method(argument, **fixed, **options)

    return [
        *(
            bound(members.list_by_organization, "gone", consistent=sure, descending=down)
            for sure in (False, True)
            for down in (False, True)
        ),
        *(
            bound(invites.list_by_organization, "gone", consistent=sure, newest_first=down)
            for sure in (False, True)
            for down in (False, True)
        ),
        *(bound(members.list_by_user, "ann", descending=down) for down in (False, True)),
        *(
            bound(invites.list_by_address, "guest@example.com", newest_first=down)
            for down in (False, True)
        ),
    ]


def shown(method: List, page_size: int) -> list[str]:
    """The organizations of everything that a list shows, page by page."""
    found, cursor = [], None
    while True:
        page = method(page_size=page_size, cursor=cursor)
        found += [each.organization_id for each in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("page_size", [1, 2, 3, 20])
def test_no_list_shows_it(lists: Sequence[List], page_size: int) -> None:
    for method in lists:
        assert "gone" not in shown(method, page_size)


def test_what_is_beside_it_in_a_list_is_shown(lists: Sequence[List]) -> None:
    """A page is full although something on it was hidden."""
    for method, count in zip(lists[-4:], (1, 1, 3, 3), strict=True):
        page = method(page_size=count)
        assert [each.organization_id for each in page.items] == ["stays"] * count


def test_nor_do_pages_that_began_before(scene: Scene) -> None:
    furnish(scene)
    cursors = [method(page_size=1).cursor for method in lists_of(scene.store)]
    with FaultInjector(scene.store.connection.client) as faults, suppress(Killed):
        faults.plan(Kill(), at=2)
        scene.store.organizations.delete("gone")
    for method, cursor in zip(lists_of(scene.store), cursors, strict=True):
        rest = method(page_size=5, cursor=cursor).items
        assert "gone" not in {each.organization_id for each in rest}
    scene.store.organizations.delete("gone")


def test_no_method_finds_it(scene: Scene, lists: Sequence[List]) -> None:
    store = scene.store
    calls: list[Callable[[], object]] = [
        lambda: store.organizations.get("gone", consistent=True),
        lambda: store.organizations.update("gone", name="Still here"),
        lambda: store.organizations.update_settings("gone", max_users=9),
        lambda: store.organizations.update_billing("gone", plan="pro"),
        lambda: store.organizations.count_usage("gone", emails_processed=1),
        lambda: store.members.get("gone", "bob", consistent=True),
        lambda: store.members.touch("gone", "bob"),
        lambda: store.members.add("gone", "bob"),
        lambda: store.members.add("gone", "new"),
        lambda: store.members.update("gone", "bob", role="admin"),
        lambda: store.members.update("gone", "bob", role="member"),
        lambda: store.members.remove("gone", "bob"),
        lambda: store.members.replace("gone", "bob", heir_id="carl"),
        lambda: store.invites.get("gone-0"),
        lambda: store.invites.get_by_token(TOKEN),
        lambda: store.invites.cancel("gone-0"),
        lambda: store.invites.expire("gone-0"),
        lambda: store.invites.delete("gone-0"),
        lambda: store.invites.accept(TOKEN, "bob", any_address=True),
        lambda: store.invites.create("gone", "new@example.com", invited_by="ann"),
        lambda: store.invites.create(
            "gone", "guest@example.com", invited_by="ann", invite_id="gone-0", token=TOKEN
        ),
    ]
    before = scene.items()
    for call in calls:
        with pytest.raises(NotFound):
            call()
    with pytest.raises(AlreadyExists, match="being deleted"):
        store.organizations.create("Acme", "ann", organization_id="gone")
    assert scene.items() == before


def test_requests(scene: Scene) -> None:
    """A list of an organization's members reads it in the same query, where it gets that far."""
    furnish(scene)
    members, invites = scene.store.members, scene.store.invites
    with RequestMeter(scene.store.connection.client) as meter:

        def requests(call: Callable[[], object]) -> int:
            meter.reset()
            call()
            return meter.count

        scene.clock.advance(600)  # so old that it was not made anew during the call
        listed = partial(members.list_by_organization, "gone")
        assert requests(listed) == requests(partial(listed, descending=True)) == 1
        small = partial(listed, page_size=2)
        assert requests(small) == 2
        assert requests(partial(small, descending=True)) == 1
        assert requests(partial(small, cursor=small().cursor)) == 1
        assert requests(lambda: members.list_by_organization("nothing")) == 1
        assert requests(lambda: invites.list_by_organization("gone")) == 2
        assert requests(lambda: invites.list_by_organization("nothing")) == 1
        assert requests(lambda: members.list_by_user("ann")) == 2
        assert requests(lambda: members.list_by_user("nobody")) == 1
        assert requests(lambda: invites.list_by_address("guest@example.com")) == 2
        assert requests(lambda: members.touch("gone", "bob")) == 2


@pytest.mark.once
def test_many_hidden_ones_cost_few_requests(scene: Scene) -> None:
    """The steps grow behind a run of what is hidden."""
    store = scene.store
    for number in range(60):
        store.organizations.create("Acme", "ann", organization_id=f"gone-{number:02d}")
        with FaultInjector(store.connection.client) as faults, suppress(Killed):
            faults.plan(Kill(), at=2)
            store.organizations.delete(f"gone-{number:02d}")
    store.organizations.create("Acme", "ann", organization_id="stays")
    with RequestMeter(store.connection.client) as meter:
        page = store.members.list_by_user("ann", page_size=1)
        assert [each.organization_id for each in page.items] == ["stays"]
        assert meter.count <= 8
    for number in range(60):
        store.organizations.delete(f"gone-{number:02d}")


@pytest.mark.once
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_list_is_of_one_life_of_the_id(scene: Scene, at: int) -> None:
    """Deleted and given anew between two requests: nobody of the old organization is shown."""
    furnish(scene)
    store = scene.store
    cursor = store.members.list_by_organization("gone", page_size=1).cursor

    def give_away() -> None:
        store.organizations.delete("gone")
        store.organizations.create("New", "owner", organization_id="gone")
        store.members.add("gone", "zoe")

    choices: tuple[dict[str, Any], ...] = ({}, {"page_size": 1}, {"page_size": 1, "cursor": cursor})
    for options in choices:
        slow = scene.interrupted(None, at, give_away)
        with RequestMeter(slow.connection.client) as meter:
            found = slow.members.list_by_organization("gone", consistent=True, **options)
        users = {each.user_id for each in found}
        # Of the old one only if nothing was read after it was given away.
        assert users <= ({"owner", "zoe"} if meter.count > at else {"ann", "bob", "carl"})
        slow = scene.interrupted(None, 1, give_away)
        assert not slow.invites.list_by_organization("gone", consistent=True).items
        store.organizations.delete("gone")
        store.organizations.delete("stays")
        for user in ("ann", "bob", "carl"):
            store.users.delete(user)
        furnish(scene)
