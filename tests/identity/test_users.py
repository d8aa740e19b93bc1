"""Users: signing up, being found, changing (U1–U3, U5)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import UNCHANGED, ChatStore, User
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.testing import RequestMeter
from tests.scene import Scene

pytestmark = pytest.mark.engine


def test_a_user_comes_back_as_created(scene: Scene) -> None:
    made = scene.store.users.create(
        "Ann.Smith@Example.com",
        user_id="user-1",
        response_email="ann@replies.example.com",
        name="Ann Smith",
        status="suspended",
        role="admin",
        preferences={"email_notifications": True, "ai_auto_response": False, "ratio": 0.1},
        organization_id="org-1",
    )
    now = scene.clock()
    assert made == User(
        user_id="user-1",
        email="Ann.Smith@Example.com",
        response_email="ann@replies.example.com",
        name="Ann Smith",
        status="suspended",
        role="admin",
        preferences={"email_notifications": True, "ai_auto_response": False, "ratio": 0.1},
        organization_id="org-1",
        created_at=now,
        updated_at=now,
    )
    assert scene.store.users.get("user-1", consistent=True) == made


def test_a_fresh_user_is_found_at_once_by_either_address(scene: Scene) -> None:
    users = scene.store.users
    made = users.create("Ann@Example.com", response_email="Replies@Example.com")
    with RequestMeter(scene.store.connection.client) as meter:
        assert users.get_by_email("ann@EXAMPLE.com") == made
        assert meter.count == 2
        meter.reset()
        assert users.get_by_response_email("replies@example.com") == made
        assert meter.count == 2


def test_the_two_addresses_are_two_namespaces(scene: Scene) -> None:
    """One user's e-mail may be another's response e-mail, or their own."""
    users = scene.store.users
    first = users.create("ann@example.com", response_email="ann@example.com")
    second = users.create("bob@example.com", response_email="carl@example.com")
    third = users.create("carl@example.com", response_email="bob@example.com")
    assert users.get_by_response_email("ann@example.com") == first
    assert users.get_by_email("carl@example.com") == third
    assert users.get_by_response_email("carl@example.com") == second


def test_nobody_else_gets_a_taken_address(scene: Scene) -> None:
    users = scene.store.users
    users.create("ann@example.com", response_email="replies@example.com")
    before = scene.items()
    with pytest.raises(AlreadyExists, match="the e-mail address is taken"):
        users.create("ANN@example.com")
    with pytest.raises(AlreadyExists, match="the response e-mail address is taken") as refused:
        users.create("bob@example.com", response_email="Replies@example.com")
    assert "replies" not in str(refused.value).lower()
    assert scene.items() == before


def test_unknown_users_are_not_found(scene: Scene) -> None:
    users = scene.store.users
    with pytest.raises(NotFound):
        users.get("nobody")
    with pytest.raises(NotFound):
        users.update("nobody", name="Nobody")
    with pytest.raises(NotFound):
        users.change_addresses("nobody", email="nobody@example.com")
    with pytest.raises(NotFound) as missing:
        users.get_by_email("nobody@example.com")
    assert "nobody@example.com" not in str(missing.value)
    with pytest.raises(NotFound):
        users.get_by_response_email("nobody@example.com")
    assert scene.items() == []


def test_creating_the_same_user_again_returns_what_is_there(scene: Scene) -> None:
    users = scene.store.users
    made = users.create("ann@example.com", user_id="user-1", preferences={"theme": "dark"})
    scene.clock.advance(60)
    again = users.create("ann@example.com", user_id="user-1", preferences={"theme": "dark"})
    assert again == made
    with pytest.raises(AlreadyExists) as taken:
        users.create("ANN@example.com", user_id="user-1")
    assert taken.value.current == made
    with pytest.raises(AlreadyExists) as somebody_elses:
        users.create("other@example.com", user_id="user-1", preferences={"theme": "dark"})
    assert somebody_elses.value.current is None
    assert scene.kinds() == {"user": 1, "user_email": 1}


def test_an_update_changes_what_is_given_and_nothing_else(scene: Scene) -> None:
    users = scene.store.users
    made = users.create("ann@example.com", user_id="user-1", name="Ann", organization_id="org-1")
    scene.clock.advance(60)
    changed = users.update("user-1", status="inactive", preferences={"theme": "dark"})
    assert changed == made.model_copy(
        update={
            "status": "inactive",
            "preferences": {"theme": "dark"},
            "updated_at": made.created_at + timedelta(seconds=60),
        }
    )
    emptied = users.update("user-1", name=None, preferences=None, organization_id=None)
    assert (emptied.name, emptied.preferences, emptied.organization_id) == (None, {}, None)
    assert users.update("user-1", name=UNCHANGED, role="admin").status == "inactive"
    assert users.get("user-1", consistent=True) == users.get_by_email("ann@example.com")


def test_a_changed_address_is_free_again(scene: Scene) -> None:
    users = scene.store.users
    users.create("ann@example.com", user_id="user-1", response_email="replies@example.com")
    changed = users.change_addresses("user-1", email="ann@example.org", response_email=None)
    assert (changed.email, changed.response_email) == ("ann@example.org", None)
    assert users.get_by_email("ann@example.org") == changed == users.get("user-1", consistent=True)
    for find in (users.get_by_email, users.get_by_response_email):
        with pytest.raises(NotFound):
            find("ann@example.com")
    users.create("ann@example.com", response_email="replies@example.com")


def test_an_address_that_stays_the_same_costs_nothing(scene: Scene) -> None:
    """Unchanged: a read. Only its spelling changed: the user alone is written."""
    users = scene.store.users
    made = users.create("ann@example.com", user_id="user-1")
    with RequestMeter(scene.store.connection.client) as meter:
        assert users.change_addresses("user-1", email="ann@example.com") == made
        assert list(meter.operations()) == ["GetItem"]
        meter.reset()
        assert users.change_addresses("user-1", email="Ann@Example.com").email == "Ann@Example.com"
        assert list(meter.operations()) == ["GetItem", "UpdateItem"]
        meter.reset()
        users.change_addresses("user-1", email="ann@example.org")
        assert list(meter.operations()) == ["GetItem", "TransactWriteItems"]
    assert users.get("user-1", consistent=True).email == "ann@example.org"


def test_two_users_cannot_swap_into_a_taken_address(scene: Scene) -> None:
    users = scene.store.users
    users.create("ann@example.com", user_id="user-1")
    bob = users.create("bob@example.com", user_id="user-2", response_email="b@example.com")
    with pytest.raises(AlreadyExists):
        users.change_addresses("user-2", email="Ann@example.com", response_email="c@example.com")
    assert users.get("user-2", consistent=True) == bob
    assert users.get_by_response_email("b@example.com") == bob


def test_a_user_may_swap_their_own_two_addresses(scene: Scene) -> None:
    users = scene.store.users
    users.create("a@example.com", user_id="user-1", response_email="b@example.com")
    users.change_addresses("user-1", email="b@example.com", response_email="a@example.com")
    assert users.get_by_email("b@example.com").response_email == "a@example.com"


@pytest.mark.parametrize("taken_over", [False, True])
def test_an_address_given_up_between_the_two_requests(scene: Scene, *, taken_over: bool) -> None:
    """The look-up finds the address item, and then a user who has left that address."""
    users = scene.store.users
    users.create("ann@example.com", user_id="ann")

    def meanwhile() -> None:
        users.change_addresses("ann", email="ann@example.org")
        if taken_over:
            users.create("ann@example.com", user_id="other")

    slow = scene.interrupted("GetItem", 1, meanwhile)
    with pytest.raises(NotFound):
        slow.users.get_by_email("ann@example.com")


BAD_CALLS: list[Callable[[Any], object]] = [
    lambda users: users.create("not an address"),
    lambda users: users.create("ann@example.com", response_email=" ann@example.com"),
    lambda users: users.create(None),
    lambda users: users.create("ann@example.com", user_id=""),
    lambda users: users.create("ann@example.com", role="owner"),
    lambda users: users.create("ann@example.com", status="deleted"),
    lambda users: users.create("ann@example.com", name=5),
    lambda users: users.create("ann@example.com", preferences=[("a", 1)]),
    lambda users: users.create("ann@example.com", preferences={"a": float("nan")}),
    lambda users: users.create("ann@example.com", preferences={1: "a"}),
    lambda users: users.create("ann@example.com", organization_id="x" * 257),
    lambda users: users.update("user-1"),
    lambda users: users.update("user-1", role="owner"),
    lambda users: users.update("user-1", role=None),
    lambda users: users.update("user-1", status="gone"),
    lambda users: users.update("user-1", preferences="dark"),
    lambda users: users.update(""),
    lambda users: users.change_addresses("user-1", email="nobody"),
    lambda users: users.change_addresses("user-1", email=None),
    lambda users: users.change_addresses("user-1", response_email="a@b"),
    lambda users: users.get(""),
    lambda users: users.get_by_email("nobody"),
    lambda users: users.get_by_response_email(""),
]


@pytest.mark.parametrize("call", BAD_CALLS)
def test_bad_input_is_refused_before_anything_is_sent(
    offline: ChatStore, call: Callable[[Any], object]
) -> None:
    with pytest.raises(InvalidArgument):
        call(offline.users)
