"""Whatever happens at whichever request: called again, the same end state is reached."""

from collections.abc import Callable

import pytest

from dynamo_chat import User
from dynamo_chat.core.errors import NotFound, Unreachable
from dynamo_chat.testing import DropAnswer, FaultInjector, TransactionConflict
from tests.identity.scenes import assert_sound
from tests.scene import Scene, cut_short, each_fault

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("no_backoff")]


def test_signing_up(scene: Scene) -> None:
    for place, (number, fault) in enumerate(each_fault(1)):

        def sign_up(name: str = f"user-{place}") -> User:
            return scene.store.users.create(
                f"{name}@example.com", user_id=name, response_email=f"{name}@re.example"
            )

        cut_short(scene, number, fault, sign_up)
        assert_sound(scene)
        made = sign_up()
        assert scene.store.users.get_by_email(f"user-{place}@example.com") == made
    assert scene.kinds()["user"] == 3


def test_changing_addresses(scene: Scene) -> None:
    users = scene.store.users
    for place, (number, fault) in enumerate(each_fault(2)):
        name = f"user-{place}"
        users.create(f"{name}@old.example", user_id=name, response_email=f"{name}@re.example")

        def change(name: str = name) -> User:
            return users.change_addresses(
                name, email=f"{name}@new.example", response_email=f"{name}@old.example"
            )

        cut_short(scene, number, fault, change)
        assert_sound(scene)
        changed = change()
        assert users.get_by_email(f"{name}@new.example") == changed
        assert users.get_by_response_email(f"{name}@old.example") == changed
        with pytest.raises(NotFound):
            users.get_by_email(f"{name}@old.example")


def test_opening_and_revoking(scene: Scene) -> None:
    logins = scene.store.logins
    scene.store.users.create("ann@example.com", user_id="ann")
    for place, (number, fault) in enumerate(each_fault(1)):
        secret = f"secret-of-the-caller-{place}"
        cut_short(scene, number, fault, lambda s=secret: logins.create("ann", secret=s))  # type: ignore[misc]
        assert_sound(scene)
        opened = logins.create("ann", secret=secret)
        assert logins.get(secret) == opened.login
        cut_short(scene, number, fault, lambda o=opened: logins.revoke(o.login))  # type: ignore[misc]
        assert_sound(scene)
        logins.revoke(opened.login)
        with pytest.raises(NotFound):
            logins.get(secret)


def test_revoking_all(scene: Scene) -> None:
    """A login whose listing is gone could never be revoked again: listings go last."""
    logins = scene.store.logins
    scene.store.users.create("ann@example.com", user_id="ann")
    for number, fault in each_fault(2):
        secrets = [logins.create("ann").secret for _ in range(3)]
        cut_short(scene, number, fault, lambda: logins.revoke_all("ann"))
        assert scene.kinds()["login"] <= scene.kinds()["login_listing"]
        logins.revoke_all("ann")
        for secret in secrets:
            with pytest.raises(NotFound):
                logins.get(secret)
        assert set(scene.kinds()) == {"user", "user_email"}


def test_recording_activity(scene: Scene) -> None:
    """Without an id of the caller's, only botocore's own resend is recognised, and it is."""
    scene.store.users.create("ann@example.com", user_id="ann")
    with FaultInjector(scene.store.connection.client) as injector:
        injector.plan(DropAnswer())
        scene.store.activity.record("ann", "logged_in")
        assert injector.injected
    assert len(scene.store.activity.list_by_user("ann")) == 1


def test_an_answer_lost_for_good(scene: Scene) -> None:
    """Unreachable leaves it open whether it happened; calling again settles it."""
    store = scene.fragile().store
    calls: list[Callable[[], User]] = [
        lambda: store.users.create("ann@example.com", user_id="ann"),
        lambda: store.users.change_addresses("ann", email="ann@example.org"),
        lambda: store.users.update("ann", name="Ann"),
    ]
    for call in calls:
        with FaultInjector(store.connection.client) as injector:
            injector.plan(DropAnswer(), operation="TransactWriteItems")
            injector.plan(DropAnswer(), operation="UpdateItem")
            with pytest.raises(Unreachable):
                call()
        assert call() == scene.store.users.get("ann", consistent=True)


def test_clashes_are_tried_again(scene: Scene) -> None:
    users = scene.store.users
    with FaultInjector(scene.store.connection.client) as injector:
        injector.plan(TransactionConflict(), times=3)
        users.create("ann@example.com", user_id="ann")
        injector.plan(TransactionConflict(), times=2)
        users.change_addresses("ann", email="ann@example.org")
        assert len(injector.injected) == 5
    assert users.get_by_email("ann@example.org").user_id == "ann"
