"""Many sign-ups, changes and revocations at one moment, on a real server."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from dynamo_chat import LoginSession, OpenedLogin, User
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.identity.user import UserExists
from tests.scene import Scene, race

pytestmark = pytest.mark.ministack


def test_500_sign_ups_for_100_addresses_give_100_users(scene: Scene) -> None:
    create = scene.store.users.create
    spellings = ["ann-{}@example.com", "Ann-{}@example.com", "ANN-{}@EXAMPLE.com"]
    calls = [
        partial(create, spellings[n % 3].format(n % 100), response_email=f"re-{n}@example.com")
        for n in range(500)
    ]
    results = Counter(type(result) for result in race(calls))
    assert results == {User: 100, UserExists: 400}
    assert scene.kinds() == {"user": 100, "user_email": 100, "user_response_email": 100}
    for number in range(100):
        scene.store.users.get_by_email(f"ann-{number}@example.com")


def test_one_of_many_gets_an_address_that_all_change_to(scene: Scene) -> None:
    users = scene.store.users
    for number in range(32):
        users.create(f"user-{number}@example.com", user_id=f"user-{number}")
    wanted = [
        partial(users.change_addresses, f"user-{number}", email=f"Wanted-{number % 4}@example.com")
        for number in range(32)
    ]
    results = Counter(type(result) for result in race(wanted))
    assert results == {User: 4, UserExists: 28}
    assert scene.kinds() == {"user": 32, "user_email": 32}


def test_one_users_changes_at_one_moment_leave_one_address(scene: Scene) -> None:
    users = scene.store.users
    users.create("ann@example.com", user_id="ann", response_email="ann@example.com")
    calls = [
        partial(users.change_addresses, "ann", email=f"a-{n}@example.com", response_email=response)
        for n, response in enumerate([None, "ann@example.com", "b@example.com"] * 11)
    ]
    assert Counter(type(result) for result in race(calls)) == {User: 33}
    found = users.get("ann", consistent=True)
    assert users.get_by_email(found.email) == found


def test_changing_and_deleting_at_one_moment(scene: Scene) -> None:
    """Whoever comes first: the address items are those of the users that are there."""
    users = scene.store.users
    for number in range(20):
        users.create(f"user-{number}@example.com", user_id=f"user-{number}")
    calls = [
        call
        for n in range(20)
        for call in (
            partial(users.change_addresses, f"user-{n}", email=f"new-{n}@example.com"),
            partial(users.delete, f"user-{n}"),
            partial(users.create, f"user-{n}@example.com", user_id=f"other-{n}"),
        )
    ]
    allowed = (User, int, NotFound, AlreadyExists)
    assert all(isinstance(result, allowed) for result in race(calls))
    assert not any(kind.endswith("tombstone") for kind in scene.kinds())


def test_nobody_is_let_in_after_all_logins_were_revoked(scene: Scene) -> None:
    """Touches race with the revocation; none of them brings a login back."""
    logins = scene.store.logins
    scene.store.users.create("ann@example.com", user_id="ann")
    opened = [logins.create("ann") for _ in range(40)]
    touches = [partial(logins.touch, each.secret) for each in opened]
    calls: list[Callable[[], object]] = [
        *touches,
        partial(logins.revoke_all, "ann"),
        *touches,
        *touches,
    ]
    for result in race(calls):
        assert isinstance(result, (LoginSession, NotFound, int))
    assert scene.kinds() == {"user": 1, "user_email": 1}


def test_no_login_outlives_its_user(scene: Scene) -> None:
    """Logins that are opened while their user is being deleted are refused, or go along."""
    logins, users = scene.store.logins, scene.store.users
    users.create("ann@example.com", user_id="ann")
    opens = [partial(logins.create, "ann") for _ in range(20)]
    calls: list[Callable[[], object]] = [*opens, partial(users.delete, "ann"), *opens]
    for result in race(calls):
        assert isinstance(result, (OpenedLogin, NotFound, int))
    assert scene.items() == []
