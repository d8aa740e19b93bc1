"""What is written again with each change of its item is small, and refused before it is sent."""

from collections.abc import Callable
from typing import Any

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import InvalidArgument, Unreachable

TEXT, LARGE = "x" * 4_096, {"x": "y" * (65_536 - len('{"x": ""}'))}
CALLS: dict[str, Callable[[ChatStore, Any], object]] = {
    "name": lambda store, value: store.users.create("ann@example.com", name=value),
    "preferences": lambda store, value: store.users.update("ann", preferences=value),
    "ip_address": lambda store, value: store.logins.create("ann", ip_address=value),
    "user_agent": lambda store, value: store.logins.create("ann", user_agent=value),
    "metadata": lambda store, value: store.logins.create("ann", metadata=value),
    "permissions": lambda store, value: store.members.add("org", "ann", permissions=value),
}


@pytest.mark.parametrize("argument", CALLS)
def test_too_much_is_refused_and_names_its_argument(offline: ChatStore, argument: str) -> None:
    is_text = argument in {"name", "ip_address", "user_agent"}
    most: Any = TEXT if is_text else LARGE
    more: Any = TEXT + "x" if is_text else {**LARGE, "": ""}
    with pytest.raises(InvalidArgument) as refused:
        CALLS[argument](offline, more)
    assert refused.value.argument == argument
    assert len(str(refused.value)) < 200
    with pytest.raises(Unreachable):
        CALLS[argument](offline, most)


def test_so_are_changes(offline: ChatStore) -> None:
    for call in (
        lambda: offline.users.update("ann", name=TEXT + "x"),
        lambda: offline.users.create("ann@example.com", preferences={**LARGE, "": ""}),
        lambda: offline.members.update("org", "ann", permissions={**LARGE, "": ""}),
    ):
        with pytest.raises(InvalidArgument):
            call()
