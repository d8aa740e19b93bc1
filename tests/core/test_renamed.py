"""What has a new name works under its old one for one release, and warns."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dynamo_chat import ChatStore, NewMessage
from dynamo_chat.catalogue import catalogue, repositories
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.renamed import formerly, is_old_name

OLD_METHODS = {
    f"{name}.{member}"
    for name, kind in repositories().items()
    for member, method in vars(kind).items()
    if is_old_name(method)
}


def test_the_old_methods() -> None:
    """Not in the catalogue, so neither in the documentation nor in policies."""
    assert {"messages.open", "logins.open"} == OLD_METHODS
    assert not OLD_METHODS & {entry.method for entry in catalogue()}


def test_messages_and_logins_are_opened_as_before(store: ChatStore) -> None:
    store.users.create("ann@example.com", user_id="ann")
    store.conversations.create("ann", conversation_id="c-1")
    store.messages.append("c-1", NewMessage(role="user", content="Hello"))
    with pytest.deprecated_call(match=r"open\(\) is now latest_with_conversation\(\)") as told:
        there = store.messages.open("c-1", 5, user_id="ann")
    assert there == store.messages.latest_with_conversation("c-1", 5)
    assert told[0].filename == __file__
    with pytest.deprecated_call(match=r"open\(\) is now create\(\)"):
        opened = store.logins.open("ann", user_agent="Mozilla/5.0")
    assert store.logins.get(opened.secret) == opened.login


class _Repository:
    @access_pattern(
        "X1", "PutItem", "1", owner="argument", renamed={"made_at": "at", "whose": "owner"}
    )
    def make(self, name: str, *, at: datetime | None = None, owner: str = "") -> tuple[Any, ...]:
        """Make something."""
        return name, at, owner

    build = formerly("build", make)


def test_an_old_argument_is_the_new_one() -> None:
    make: Callable[..., Any] = _Repository().make
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.deprecated_call(match="made_at= is now at=") as told:
        assert make("a", made_at=moment) == ("a", moment, "")
    assert told[0].filename == __file__
    with pytest.deprecated_call(match="whose= is now owner="):
        assert make("a", whose="ann") == ("a", None, "ann")
    with pytest.raises(InvalidArgument, match="at: is the new name of made_at: give one"):
        make("a", made_at=moment, at=moment)


def test_an_old_argument_is_checked_as_the_new_one() -> None:
    make: Callable[..., Any] = _Repository().make
    with pytest.deprecated_call(), pytest.raises(InvalidArgument, match="owner"):
        make("a", whose="o" * 5_000)


def test_an_old_method_takes_what_the_new_one_takes() -> None:
    with pytest.deprecated_call(match=r"build\(\) is now make\(\)"):
        assert _Repository().build("a", owner="ann") == ("a", None, "ann")
    assert _Repository.build.__name__ == "build"
    assert "old name of `make`" in (_Repository.build.__doc__ or "")


def test_an_old_method_is_that_of_a_subclass() -> None:
    """What an application has put in the method's place is not passed by."""

    class Own(_Repository):
        def make(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
            return "own", *super().make(*args, **kwargs)

    with pytest.deprecated_call():
        assert Own().build("a", owner="ann") == ("own", "a", None, "ann")


@pytest.mark.parametrize(
    ("old", "call"),
    [
        ("created_at", lambda store, old: store.conversations.create("ann", **old)),
        ("created_at", lambda store, old: store.activity.record("ann", "paid", **old)),
        ("ended_at", lambda store, old: store.calls.end("c-1", **old)),
        ("calculation_date", lambda store, old: store.scores.record("c-1", 0.5, **old)),
        ("joined_at", lambda store, old: store.members.add("o-1", "ann", **old)),
        ("reviewed_at", lambda store, old: store.reviews.create("c-1", "ann", **old)),
        ("archived_at", lambda store, old: store.reviews.archive("r-1", **old)),
    ],
)
def test_every_renamed_argument(
    store: ChatStore, old: str, call: Callable[[ChatStore, dict[str, Any]], Any]
) -> None:
    """It is told by its new name in what is refused, and nothing is sent."""
    with (
        pytest.deprecated_call(match=f"{old}= is now at="),
        pytest.raises(InvalidArgument, match=r"^at: "),
    ):
        call(store, {old: datetime(2026, 1, 1)})  # noqa: DTZ001 - a time without a zone
