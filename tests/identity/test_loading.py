"""Users and logins of another system are kept as they are."""

from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import LoginSession, User
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.testing import RequestMeter
from tests.scene import DAY, Scene

pytestmark = pytest.mark.engine
SECRET = "a-session-id-of-another-system"


def old_user(scene: Scene, **fields: Any) -> User:
    began = scene.clock() - 400 * DAY
    usual = {"user_id": "ann", "email": "Ann@example.com", "response_email": "ann@reply.dev"}
    return User(**{**usual, "created_at": began, "updated_at": began + DAY, **fields})


def old_login(scene: Scene, **fields: Any) -> LoginSession:
    now = scene.clock()
    usual = {
        "login_id": "anything",
        "user_id": "ann",
        "created_at": now - 2 * DAY,
        "last_activity": now - DAY,
        "expires_at": now.replace(microsecond=0) + DAY,
        "user_agent": "Mozilla",
    }
    return LoginSession(**{**usual, **fields})


def test_a_user_is_kept_as_it_is(scene: Scene) -> None:
    """In one request, found by both addresses, and once."""
    users, user = scene.store.users, old_user(scene, role="admin", preferences={"x": 0.5})
    with RequestMeter(scene.store.connection.client) as meter:
        assert users.load(user) == user
    assert meter.operations() == {"TransactWriteItems": 1}
    assert users.load(user) == users.get("ann") == user
    assert users.get_by_email("ann@EXAMPLE.com") == user
    assert users.get_by_response_email("ann@reply.dev") == user


def test_another_user_is_not_replaced(scene: Scene) -> None:
    """Nor one who differs in a time; and nobody's address is taken."""
    users = scene.store.users
    users.load(old_user(scene))
    later = scene.clock() - DAY
    for other in ({"name": "Other"}, {"updated_at": later}, {"created_at": later}):
        with pytest.raises(AlreadyExists, match="'ann' is taken"):
            users.load(old_user(scene, **other))
    with pytest.raises(AlreadyExists, match="e-mail"):
        users.load(old_user(scene, user_id="bob", response_email=None))
    with pytest.raises(AlreadyExists, match="response"):
        users.load(old_user(scene, user_id="bob", email="bob@example.com"))
    with pytest.raises(NotFound):
        users.get("bob")


@pytest.mark.parametrize("name", ["created_at", "updated_at"])
def test_a_user_of_the_future_is_refused(scene: Scene, name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        scene.store.users.load(old_user(scene, **{name: scene.clock() + DAY}))
    with pytest.raises(InvalidArgument, match="must be a User"):
        scene.store.users.load("ann")  # type: ignore[arg-type]
    assert scene.items() == []


def test_a_login_is_kept_and_its_secret_opens_it(scene: Scene) -> None:
    logins = scene.store.logins
    scene.store.users.load(old_user(scene))
    with RequestMeter(scene.store.connection.client) as meter:
        loaded = logins.load(SECRET, old_login(scene))
    assert meter.operations() == {"TransactWriteItems": 1}
    assert logins.load(SECRET, old_login(scene)) == logins.get(SECRET) == loaded
    assert loaded == old_login(scene, login_id=loaded.login_id)
    assert list(logins.list_active("ann")) == [loaded]
    assert SECRET not in str(scene.items())
    with pytest.raises(AlreadyExists):
        logins.load(SECRET, old_login(scene, user_agent="another"))


def test_a_login_that_opens_nothing_is_refused(scene: Scene) -> None:
    logins, now = scene.store.logins, scene.clock()
    with pytest.raises(NotFound):
        logins.load(SECRET, old_login(scene))
    for wrong in (now, now + timedelta(days=4_000)):
        with pytest.raises(InvalidArgument, match="expires_at"):
            logins.load(SECRET, old_login(scene, expires_at=wrong))
    for name in ("created_at", "last_activity"):
        with pytest.raises(InvalidArgument, match=name):
            logins.load(SECRET, old_login(scene, **{name: now + DAY}))
    for secret in ("short", None):
        with pytest.raises(InvalidArgument, match="secret"):
            logins.load(secret, old_login(scene))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="LoginSession"):
        logins.load(SECRET, SECRET)  # type: ignore[arg-type]
    assert scene.items() == []
