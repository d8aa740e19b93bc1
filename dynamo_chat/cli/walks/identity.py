"""A walk through the access patterns of users, their activity and their logins (U1–U8)."""

from __future__ import annotations

from dynamo_chat.cli.item_words import words
from dynamo_chat.cli.walks.step import Step, Walk, own, several
from dynamo_chat.identity.logins import OpenedLogin
from dynamo_chat.identity.user import User
from dynamo_chat.store import ChatStore


def walk_through_identity(store: ChatStore, shown: User) -> Walk:
    """U1–U8 on this store; `shown` is the user that reading looks at."""
    users, name = store.users, own("user")
    made: User = yield Step(
        "users.create",
        lambda: users.create(f"{name}@example.com", response_email=f"{name}@reply.example"),
        lambda _: "a user whose two addresses nobody else can take",
    )
    identity = made.user_id
    yield Step("users.get", lambda: users.get(shown.user_id), words)
    yield Step("users.get_by_email", lambda: users.get_by_email(shown.email), words)
    yield Step(
        "users.get_by_response_email",
        lambda: users.get_by_response_email(made.response_email or ""),
        lambda found: f"the walk's: {found.user_id == identity}",
    )
    yield Step(
        "users.update",
        lambda: users.update(identity, name="A walker", preferences={"ai_auto_response": False}),
        lambda changed: f"is now '{changed.name}', {changed.preferences}",
    )
    yield Step(
        "users.change_addresses",
        lambda: users.change_addresses(identity, email=f"{name}@example.org", response_email=None),
        lambda _: "another e-mail, no response e-mail; both old ones are free",
    )
    yield from _doing(store, identity)
    yield from _logging_in(store, identity, shown)
    yield Step(
        "users.delete",
        lambda: users.delete(identity),
        lambda count: f"{count} items of the walk's user are gone",
    )


def _doing(store: ChatStore, identity: str) -> Walk:
    activity = store.activity
    yield Step(
        "activity.record",
        lambda: activity.record(identity, "opened_file", details={"file_id": 123}),
        words,
    )
    yield Step(
        "activity.list_by_user",
        lambda: activity.list_by_user(identity),
        lambda page: several(page, words),
    )


def _logging_in(store: ChatStore, identity: str, shown: User) -> Walk:
    """What the secret is never shows: a login is told by when it ends."""
    logins = store.logins
    opened: OpenedLogin = yield Step(
        "logins.open",
        lambda: logins.open(identity, user_agent="a walk"),
        lambda made: f"{words(made.login)}; its secret is shown once, to the client",
    )
    yield Step("logins.get", lambda: logins.get(opened.secret), words)
    yield Step(
        "logins.get_by_id",
        lambda: logins.get_by_id(opened.login.login_id, user_id=identity),
        words,
    )
    yield Step(
        "logins.touch",
        lambda: logins.touch(opened.secret),
        lambda login: f"in use at {login.last_activity:%H:%M:%S}",
    )
    yield Step(
        "logins.list_active",
        lambda: logins.list_active(shown.user_id),
        lambda page: several(page, words),
    )
    yield Step("logins.revoke", lambda: logins.revoke(opened.login), lambda _: "nobody is let in")
    logins.open(identity)
    yield Step(
        "logins.revoke_all",
        lambda: logins.revoke_all(identity),
        lambda count: f"{count} other login ended",
    )
