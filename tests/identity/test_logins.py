"""Login sessions: opened, checked, touched, listed, revoked (U6, U7)."""

import logging
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, LoginSession, OpenedLogin
from dynamo_chat.core.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidCursor,
    NotFound,
    Unreachable,
)
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.scene import Scene

pytestmark = pytest.mark.engine

SECRET = "a-secret-of-the-caller"


@pytest.fixture
def user_id(scene: Scene) -> str:
    return scene.store.users.create("ann@example.com", user_id="user-1").user_id


def test_a_login_comes_back_as_opened(scene: Scene, user_id: str) -> None:
    now = scene.clock()
    opened = scene.store.logins.create(
        user_id,
        lifetime=timedelta(days=1),
        account_id="account-1",
        ip_address="192.168.1.1",
        user_agent="Mozilla/5.0",
        metadata={"login_method": "form", "device_type": "tablet"},
    )
    login = opened.login
    assert login == LoginSession(
        login_id=login.login_id,
        user_id=user_id,
        account_id="account-1",
        created_at=now,
        last_activity=now,
        expires_at=login.expires_at,
        ip_address="192.168.1.1",
        user_agent="Mozilla/5.0",
        metadata={"login_method": "form", "device_type": "tablet"},
    )
    assert timedelta() <= login.expires_at - (now + timedelta(days=1)) < timedelta(seconds=1)
    assert scene.store.logins.get(opened.secret) == login
    assert scene.store.logins.get_by_id(login.login_id, user_id=user_id) == login
    with pytest.raises(NotFound):
        scene.store.logins.get_by_id(login.login_id, user_id="somebody-else")


def test_every_step_is_one_request(scene: Scene, user_id: str) -> None:
    logins = scene.store.logins
    with RequestMeter(scene.store.connection.client) as meter:
        opened = logins.create(user_id)
        logins.get(opened.secret)
        logins.touch(opened.secret)
        logins.list_active(user_id)
        logins.revoke(opened.login)
    assert [request.operation for request in meter.requests] == [
        "TransactWriteItems",
        "GetItem",
        "UpdateItem",
        "Query",
        "TransactWriteItems",
    ]


def test_the_items_expire_with_the_login(scene: Scene, user_id: str) -> None:
    """Login and listing carry one TTL, and readers do not wait until it is enforced."""
    logins = scene.store.logins
    opened = logins.create(user_id, lifetime=timedelta(hours=1))
    expected = str(int(opened.login.expires_at.timestamp()))
    stored = [item for item in scene.items() if item["kind"]["S"].startswith("login")]
    assert [item["ttl"]["N"] for item in stored] == [expected, expected]
    scene.clock.advance(timedelta(hours=1, seconds=1))
    for ask in (logins.get, logins.touch):
        with pytest.raises(NotFound):
            ask(opened.secret)
    assert len(logins.list_active(user_id)) == 0


def test_touching_moves_the_last_activity_forward_only(scene: Scene, user_id: str) -> None:
    logins = scene.store.logins
    opened = logins.create(user_id)
    later = scene.clock.advance(60)
    assert logins.touch(opened.secret).last_activity == later
    scene.clock.advance(-30)  # a server whose clock is behind
    assert logins.touch(opened.secret).last_activity == later
    assert logins.get(opened.secret).last_activity == later


def test_touching_never_brings_a_login_back(scene: Scene, user_id: str) -> None:
    logins = scene.store.logins
    revoked, expired = logins.create(user_id), logins.create(user_id, lifetime=timedelta(seconds=1))
    logins.revoke(revoked.login)
    scene.clock.advance(3)
    before = scene.items()
    for secret in (revoked.secret, expired.secret, "a secret that nobody was given"):
        with pytest.raises(NotFound):
            logins.touch(secret)
    assert scene.items() == before


def test_revoking_ends_a_login_and_no_other(scene: Scene, user_id: str) -> None:
    logins = scene.store.logins
    one, other = logins.create(user_id), logins.create(user_id)
    logins.revoke(one.login)
    logins.revoke(one.login)
    with pytest.raises(NotFound):
        logins.get(one.secret)
    assert logins.get(other.secret) == other.login
    assert [*logins.list_active(user_id)] == [other.login]


def test_revoking_all_ends_fresh_ones_too_and_counts_none_that_has_expired(
    scene: Scene, user_id: str
) -> None:
    logins = scene.store.logins
    scene.store.users.create("bob@example.com", user_id="user-2")
    others = logins.create("user-2")
    logins.create(user_id, lifetime=timedelta(seconds=1))
    scene.clock.advance(5)
    opened = [logins.create(user_id) for _ in range(60)]
    with RequestMeter(scene.store.connection.client) as meter:
        assert logins.revoke_all(user_id) == 60
        assert meter.operations() == {"Query": 1, "TransactWriteItems": 2}
    for each in opened:
        with pytest.raises(NotFound):
            logins.get(each.secret)
    assert logins.get(others.secret) == others.login
    # DynamoDB deletes the one that has expired.
    assert scene.kinds() == {"user": 2, "user_email": 2, "login": 2, "login_listing": 2}
    assert logins.revoke_all(user_id) == 0


def test_a_login_is_revoked_by_its_secret(scene: Scene, user_id: str) -> None:
    """As the client that logs out has it: two requests, and NotFound the second time."""
    opened = scene.store.logins.create(user_id)
    other = scene.store.logins.create(user_id)
    with RequestMeter(scene.store.connection.client) as meter:
        scene.store.logins.revoke(opened.secret)
        assert meter.count == 2
    with pytest.raises(NotFound, match="login"):
        scene.store.logins.get(opened.secret)
    for unknown in (opened.secret, other.login.login_id, "x" * 40):
        with pytest.raises(NotFound, match="login"):
            scene.store.logins.revoke(unknown)
    assert scene.store.logins.get(other.secret) == other.login
    scene.store.logins.revoke(other.secret)
    assert {"login", "login_listing"}.isdisjoint(scene.kinds())


def test_revoking_ends_no_other_login_with_the_same_secret(scene: Scene, user_id: str) -> None:
    """A caller's secret may be used again: what was read before is not what is there."""
    logins = scene.store.logins
    scene.store.users.create("bob@example.com", user_id="user-2")
    secret = "a-secret-of-the-caller"
    for again in (user_id, "user-2"):
        old = logins.create(user_id, secret=secret)
        logins.revoke(old.login)
        scene.clock.advance(1)
        new = logins.create(again, secret=secret)
        logins.revoke(old.login)
        assert logins.get(secret) == new.login
        logins.revoke(new.login)
    assert scene.kinds() == {"user": 2, "user_email": 2}


def test_logging_out_everywhere_else(scene: Scene, user_id: str) -> None:
    logins = scene.store.logins
    here, there = logins.create(user_id), logins.create(user_id)
    assert logins.revoke_all(user_id, except_for=here.login) == 1
    assert logins.get(here.secret) == here.login
    with pytest.raises(NotFound):
        logins.get(there.secret)


def test_active_logins_are_listed_by_their_end(scene: Scene, user_id: str) -> None:
    logins = scene.store.logins
    opened = [logins.create(user_id, lifetime=timedelta(hours=h)).login for h in (3, 1, 4, 2)]
    by_end = sorted(opened, key=lambda login: login.expires_at)
    assert [*logins.list_active(user_id, latest_first=False)] == by_end
    first = logins.list_active(user_id, page_size=2)
    rest = logins.list_active(user_id, page_size=2, cursor=first.cursor)
    assert [*first, *rest] == by_end[::-1]


def test_dead_logins_are_not_even_read(scene: Scene, user_id: str) -> None:
    """However many have expired and were not removed yet: the page reads active ones only."""
    logins = scene.store.logins
    for _ in range(12):
        logins.create(user_id, lifetime=timedelta(seconds=1))
    scene.clock.advance(60)
    alive = [logins.create(user_id).login for _ in range(2)]
    with RequestMeter(scene.store.connection.client) as meter:
        found = logins.list_active(user_id)
        assert meter.count == 1
        assert meter.requests[0].items == 2
    assert {login.login_id for login in found} == {login.login_id for login in alive}


@pytest.mark.parametrize("wrong", ["a-login-id", SECRET, 7, True, {}, object, LoginSession])
def test_only_a_login_that_was_read_can_be_revoked(offline: ChatStore, wrong: Any) -> None:
    if not isinstance(wrong, str):  # a secret
        with pytest.raises(InvalidArgument, match=r"^login: "):
            offline.logins.revoke(wrong)
    with pytest.raises(InvalidArgument, match=r"^except_for: ") as refused:
        offline.logins.revoke_all("user-1", except_for=wrong)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("latest_first", [True, False])
def test_a_cursor_survives_the_end_of_its_login(
    scene: Scene, user_id: str, *, latest_first: bool
) -> None:
    """Between two pages the login at the cursor expires: the next page goes on from there."""
    logins = scene.store.logins
    opened = [logins.create(user_id, lifetime=timedelta(hours=h)).login for h in (1, 2, 3)]
    page = logins.list_active(user_id, latest_first=latest_first, page_size=1)
    scene.clock.advance(timedelta(hours=3 if latest_first else 1, seconds=2))
    rest = logins.list_active(user_id, latest_first=latest_first, cursor=page.cursor)
    assert [*rest] == ([] if latest_first else opened[1:])
    with pytest.raises(InvalidCursor):
        logins.list_active("user-2", latest_first=latest_first, cursor=page.cursor)


def test_a_secret_of_the_callers_makes_opening_repeatable(scene: Scene, user_id: str) -> None:
    logins = scene.store.logins
    scene.store.users.create("bob@example.com", user_id="user-2")
    opened = logins.create(user_id, secret=SECRET, ip_address="192.0.2.1")
    scene.clock.advance(5)
    assert logins.create(user_id, secret=SECRET, ip_address="192.0.2.1") == opened
    for whose, address in (("user-2", "192.0.2.1"), (user_id, "192.0.2.2")):
        with pytest.raises(AlreadyExists) as refused:
            logins.create(whose, secret=SECRET, ip_address=address)
        assert SECRET not in repr(refused.value)
    assert scene.kinds()["login"] == 1


def test_nobody_logs_in_as_nobody(scene: Scene) -> None:
    with pytest.raises(NotFound):
        scene.store.logins.create("nobody")
    assert scene.items() == []


@pytest.mark.parametrize(
    "options",
    [
        {"lifetime": timedelta()},
        {"lifetime": timedelta(days=-1)},
        {"lifetime": timedelta(days=4_000)},
        {"lifetime": 3_600},
        {"secret": "short"},
        {"secret": b"bytes are no secret text"},
        {"secret": "x" * 1_025},
        {"ip_address": 5},
        {"metadata": "form"},
        {"account_id": ""},
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    offline: ChatStore, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        offline.logins.create("user-1", **options)
    assert str(options.get("secret")) not in str(refused.value)


def test_no_secret_appears_anywhere(
    scene: Scene, user_id: str, caplog: pytest.LogCaptureFixture, no_backoff: None
) -> None:
    """Not in the table, a repr, an error, a list or the log, even of botocore at its chattiest."""
    caplog.set_level(logging.DEBUG)
    logins = scene.store.logins
    opened = logins.create(user_id, secret=SECRET)
    shown = [repr(opened), str(opened), repr(logins.get(SECRET)), repr(logins.list_active(user_id))]
    logins.touch(SECRET)
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer(), every_attempt=True)
        with pytest.raises(Unreachable) as lost:
            logins.touch(SECRET)
    shown += [repr(lost.value), str(lost.value)]
    logins.revoke_all(user_id)
    for ask in (logins.get, logins.touch):
        with pytest.raises(NotFound) as missing:
            ask(SECRET)
        shown += [repr(missing.value), str(missing.value)]
    shown += [repr(scene.items()), caplog.text]
    assert caplog.text
    assert not any(SECRET in text for text in shown)


def test_the_secret_is_shown_where_it_is_made() -> None:
    assert OpenedLogin.__dataclass_fields__["secret"].repr is False
