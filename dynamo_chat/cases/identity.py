"""Scenarios of users, their activity and their logins (U1–U8)."""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.cases.words import deleted, words
from dynamo_chat.identity.logins import OpenedLogin
from dynamo_chat.identity.user import User


def a_user(stage: Stage) -> User:
    """A user with both addresses."""
    name = stage.fresh("user")
    return stage.store.users.create(f"{name}@example.com", response_email=f"{name}@reply.example")


# -- users --------------------------------------------------------------------------------------


def users_create(stage: Stage) -> Iterator[Case]:
    users, name, other = stage.store.users, stage.fresh("user"), stage.fresh("user")
    yield Case("", lambda: users.create(f"{name}@example.com"))
    both = (f"{other}@example.com", f"{other}@reply.example")
    yield Case(
        "with a response address",
        lambda: users.create(both[0], user_id=other, response_email=both[1]),
    )


def users_load(stage: Stage) -> Iterator[Case]:
    users, name = stage.store.users, stage.fresh("user")
    old = a_user(stage).model_copy(
        update={"user_id": name, "email": f"{name}@example.org", "response_email": None}
    )
    yield Case("", lambda: users.load(old))


def users_get(stage: Stage) -> Iterator[Case]:
    users, user_id = stage.store.users, a_user(stage).user_id
    yield Case("", lambda: users.get(user_id))


def users_get_many(stage: Stage) -> Iterator[Case]:
    users, ids = stage.store.users, [a_user(stage).user_id for _ in range(3)]
    yield Case("3", lambda: users.get_many(ids))


def users_get_by_email(stage: Stage) -> Iterator[Case]:
    users, user = stage.store.users, a_user(stage)
    yield Case("", lambda: users.get_by_email(user.email))


def users_get_by_response_email(stage: Stage) -> Iterator[Case]:
    users, address = stage.store.users, a_user(stage).response_email or ""
    yield Case("", lambda: users.get_by_response_email(address))


def users_update(stage: Stage) -> Iterator[Case]:
    users, user_id = stage.store.users, a_user(stage).user_id
    yield Case("", lambda: users.update(user_id, name="Ann", preferences={"ai": True}))


def users_change_addresses(stage: Stage) -> Iterator[Case]:
    users, user_id, name = stage.store.users, a_user(stage).user_id, stage.fresh("user")
    yield Case("one", lambda: users.change_addresses(user_id, email=f"{name}@example.com"))
    both = {"email": f"{name}@example.org", "response_email": f"{name}@reply.example"}
    yield Case("both", lambda: users.change_addresses(user_id, **both))


def users_set_password_hash(stage: Stage) -> Iterator[Case]:
    users, user_id = stage.store.users, a_user(stage).user_id
    yield Case("", lambda: users.set_password_hash(user_id, "$argon2id$v=19$m=65536$c2FsdA$aGFzaA"))


def users_get_password_hash(stage: Stage) -> Iterator[Case]:
    users, user_id = stage.store.users, a_user(stage).user_id
    users.set_password_hash(user_id, "$argon2id$v=19$m=65536$c2FsdA$aGFzaA")
    yield Case("", lambda: users.get_password_hash(user_id), lambda _: "a hash, for its owner")


def users_delete(stage: Stage) -> Iterator[Case]:
    users, alone, member = stage.store.users, a_user(stage).user_id, a_user(stage).user_id
    stage.store.logins.create(member)
    stage.store.activity.record(member, "signed up")
    organization = stage.store.organizations.create("Org", a_user(stage).user_id)
    stage.store.members.add(organization.organization_id, member)
    yield Case("who did nothing yet", lambda: users.delete(alone), deleted)
    yield Case("a member with a login", lambda: users.delete(member), deleted)


# -- activity -----------------------------------------------------------------------------------


def activity_record(stage: Stage) -> Iterator[Case]:
    activity, user_id = stage.store.activity, a_user(stage).user_id
    yield Case("", lambda: activity.record(user_id, "opened a file", details={"file_id": 123}))


def activity_list_by_user(stage: Stage) -> Iterator[Case]:
    activity, user_id = stage.store.activity, a_user(stage).user_id
    for place in range(25):
        stage.later()
        activity.record(user_id, "opened a file", details={"file_id": place})
    page = activity.list_by_user(user_id)
    yield Case("a page of 20", lambda: activity.list_by_user(user_id))
    yield Case("the next page", lambda: activity.list_by_user(user_id, cursor=page.cursor))


def _created(created: OpenedLogin) -> str:
    return f"{words(created.login)}; its secret is shown once"


def _ended(count: int) -> str:
    return f"{count} logins revoked"


# -- logins -------------------------------------------------------------------------------------


def logins_create(stage: Stage) -> Iterator[Case]:
    logins, user_id = stage.store.logins, a_user(stage).user_id
    yield Case("", lambda: logins.create(user_id, user_agent="Mozilla/5.0"), _created)


def logins_load(stage: Stage) -> Iterator[Case]:
    logins, secret = stage.store.logins, stage.fresh("a-secret-of-another-system")
    old = logins.create(a_user(stage).user_id, user_agent="Mozilla/5.0").login
    yield Case("", lambda: logins.load(secret, old))


def logins_get(stage: Stage) -> Iterator[Case]:
    logins = stage.store.logins
    secret = logins.create(a_user(stage).user_id).secret
    yield Case("", lambda: logins.get(secret))


def logins_get_by_id(stage: Stage) -> Iterator[Case]:
    logins = stage.store.logins
    login = logins.create(a_user(stage).user_id).login
    yield Case("", lambda: logins.get_by_id(login.login_id, user_id=login.user_id))


def logins_touch(stage: Stage) -> Iterator[Case]:
    logins = stage.store.logins
    secret = logins.create(a_user(stage).user_id).secret
    yield Case(
        "", lambda: logins.touch(secret), lambda login: f"in use at {login.last_activity:%H:%M}"
    )


def logins_revoke(stage: Stage) -> Iterator[Case]:
    logins = stage.store.logins
    login = logins.create(a_user(stage).user_id).login
    yield Case("", lambda: logins.revoke(login), lambda _: "revoked: its secret no longer works")
    secret = logins.create(login.user_id).secret
    yield Case("by its secret", lambda: logins.revoke(secret), lambda _: "logged out", budget=2)


def logins_revoke_all(stage: Stage) -> Iterator[Case]:
    logins, few, many = stage.store.logins, a_user(stage).user_id, a_user(stage).user_id
    for _ in range(3):
        logins.create(few)
    yield Case("3 logins", lambda: logins.revoke_all(few), _ended)
    for _ in range(30):
        logins.create(many)
    yield Case("30 logins", lambda: logins.revoke_all(many), _ended)


def logins_list_active(stage: Stage) -> Iterator[Case]:
    logins, user_id = stage.store.logins, a_user(stage).user_id
    for place in range(5):
        opened = logins.create(user_id)
        if place % 2:
            logins.revoke(opened.login)
    yield Case("", lambda: logins.list_active(user_id))
