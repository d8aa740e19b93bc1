"""What the tests of streamed answers ask."""

from datetime import timedelta

from dynamo_chat import ChatStore, Message
from tests.doctor.scene import doctor_of
from tests.scene import Scene

NOW = timedelta(0)


def stored(store: ChatStore, message_id: str = "s-1") -> Message:
    """The message as the table has it."""
    return store.messages.get("c-1", message_id, consistent=True)


def unfinished(store: ChatStore, older_than: timedelta = NOW) -> list[str]:
    """The contents of what is listed."""
    return [each.content for each in store.messages.list_unfinished(older_than=older_than)]


def check_sound(scene: Scene) -> None:
    """The doctor finds nothing."""
    with doctor_of(scene) as doctor:
        assert not doctor.examine().findings
