"""Users, addresses, logins and activity behave as a few dictionaries would."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)

from dynamo_chat import OpenedLogin, User
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.testing import Engine
from tests.machines import walks
from tests.scene import Scene

NAMES = ["ann", "ANN", "Ann", "bob", "Bob", "carl", "dora"]
addresses = st.sampled_from(NAMES)
ids = st.sampled_from(["1", "2", "3", "4"])


@dataclass
class Known:
    """What the model knows of one user."""

    user: User
    logins: dict[str, OpenedLogin] = field(default_factory=dict)
    activity: list[tuple[datetime, str]] = field(default_factory=list)


class IdentityMachine(RuleBasedStateMachine):
    """Random calls on the store and on the model, compared after each."""

    opened = Bundle("opened")

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene, self.store = scene, scene.store
        self.run = uuid4().hex[:8]
        self.model: dict[str, Known] = {}

    def address(self, name: str) -> str:
        return f"{name}@{self.run}.Example"

    def named(self, number: str) -> str:
        return f"{self.run}-{number}"

    def holder(self, name: str | None, attribute: str, besides: str = "") -> str | None:
        """Who has this address, by the model: case does not matter."""
        wanted = None if name is None else self.address(name).lower()
        for user_id, known in self.model.items():
            address = getattr(known.user, attribute)
            if wanted and user_id != besides and address and address.lower() == wanted:
                return user_id
        return None

    @rule(number=ids, email=addresses, response=st.none() | addresses, name=st.text(max_size=5))
    def sign_up(self, number: str, email: str, response: str | None, name: str) -> None:
        user_id = self.named(number)
        free = not self.holder(email, "email") and not self.holder(response, "response_email")
        try:
            made = self.store.users.create(
                self.address(email),
                user_id=user_id,
                response_email=None if response is None else self.address(response),
                name=name,
            )
        except AlreadyExists:
            assert user_id in self.model or not free
            return
        if user_id in self.model:
            assert made == self.model[user_id].user
        else:
            assert free
            self.model[user_id] = Known(made)

    @rule(number=ids, email=addresses, response=st.none() | addresses)
    def change_addresses(self, number: str, email: str, response: str | None) -> None:
        user_id = self.named(number)
        taken = self.holder(email, "email", user_id) or self.holder(
            response, "response_email", user_id
        )
        wanted = None if response is None else self.address(response)
        try:
            changed = self.store.users.change_addresses(
                user_id, email=self.address(email), response_email=wanted
            )
        except NotFound:
            assert user_id not in self.model
        except AlreadyExists:
            assert taken
        else:
            assert not taken
            known = self.model[user_id]
            assert changed == known.user.model_copy(
                update={
                    "email": self.address(email),
                    "response_email": wanted,
                    "updated_at": changed.updated_at,
                }
            )
            known.user = changed

    @rule(number=ids, role=st.sampled_from(["admin", "user", "member"]), name=st.none() | st.text())
    def update(self, number: str, role: str, name: str | None) -> None:
        user_id = self.named(number)
        try:
            changed = self.store.users.update(user_id, role=role, name=name)  # type: ignore[arg-type]
        except NotFound:
            assert user_id not in self.model
            return
        known = self.model[user_id]
        expected = {"role": role, "name": name, "updated_at": self.scene.clock()}
        assert changed == known.user.model_copy(update=expected)
        known.user = changed

    @rule(number=ids)
    def get(self, number: str) -> None:
        known = self.model.get(self.named(number))
        try:
            found = self.store.users.get(self.named(number), consistent=True)
        except NotFound:
            assert known is None
        else:
            assert known is not None
            assert found == known.user

    @rule(name=addresses, by_response=st.booleans())
    def find(self, name: str, *, by_response: bool) -> None:
        users = self.store.users
        find, attribute = (
            (users.get_by_response_email, "response_email")
            if by_response
            else (users.get_by_email, "email")
        )
        holder = self.holder(name, attribute)
        try:
            found = find(self.address(name).upper())
        except NotFound:
            assert holder is None
        else:
            assert holder is not None
            assert found == self.model[holder].user

    @rule(number=ids)
    def delete(self, number: str) -> None:
        user_id = self.named(number)
        try:
            self.store.users.delete(user_id)
        except NotFound:
            assert user_id not in self.model
        else:
            del self.model[user_id]

    @rule(target=opened, number=ids, hours=st.integers(1, 5))
    def open(self, number: str, hours: int) -> object:
        user_id = self.named(number)
        try:
            login = self.store.logins.create(user_id, lifetime=timedelta(hours=hours))
        except NotFound:
            assert user_id not in self.model
            return multiple()
        self.model[user_id].logins[login.login.login_id] = login
        return login

    def is_active(self, login: OpenedLogin) -> bool:
        known = self.model.get(login.login.user_id)
        expires = login.login.expires_at
        now = self.scene.clock().replace(microsecond=0)
        return known is not None and login.login.login_id in known.logins and expires > now

    @rule(login=opened)
    def touch(self, login: OpenedLogin) -> None:
        try:
            found = self.store.logins.touch(login.secret)
        except NotFound:
            assert not self.is_active(login)
        else:
            assert self.is_active(login)
            expected = {"last_activity": self.scene.clock()}
            assert found == login.login.model_copy(update=expected)

    @rule(login=consumes(opened))
    def revoke(self, login: OpenedLogin) -> None:
        self.store.logins.revoke(login.login)
        known = self.model.get(login.login.user_id)
        if known is not None:
            known.logins.pop(login.login.login_id, None)

    @rule(number=ids)
    def revoke_all(self, number: str) -> None:
        known = self.model.get(self.named(number))
        self.store.logins.revoke_all(self.named(number))
        if known is not None:
            known.logins.clear()

    @rule(number=ids)
    def list_active(self, number: str) -> None:
        known = self.model.get(self.named(number))
        logins = [] if known is None else [*known.logins.values()]
        expected = {each.login.login_id for each in logins if self.is_active(each)}
        found = self.store.logins.list_active(self.named(number), page_size=100)
        assert {each.login_id for each in found} == expected
        ends = [each.expires_at for each in found]
        assert ends == sorted(ends, reverse=True)

    @rule(number=ids, action=st.text(min_size=1, max_size=5))
    def record(self, number: str, action: str) -> None:
        user_id = self.named(number)
        try:
            done = self.store.activity.record(user_id, action)
        except NotFound:
            assert user_id not in self.model
        else:
            self.model[user_id].activity.append((done.created_at, action))

    @rule(number=ids)
    def list_activity(self, number: str) -> None:
        known = self.model.get(self.named(number))
        found = self.store.activity.list_by_user(
            self.named(number), page_size=100, newest_first=False
        )
        times = [each.created_at for each in found]
        assert times == sorted(times)
        said = sorted((each.created_at, each.action) for each in found)
        assert said == sorted([] if known is None else known.activity)

    @rule(minutes=st.integers(1, 90))
    def wait(self, minutes: int) -> None:
        self.scene.clock.advance(timedelta(minutes=minutes))


@pytest.mark.engine
def test_identity_behaves_like_its_model(scene: Scene, dynamo_chat_engine: Engine) -> None:
    class Machine(IdentityMachine):
        def __init__(self) -> None:
            super().__init__(scene)

    run_state_machine_as_test(Machine, settings=walks(dynamo_chat_engine))
