"""The desk's store: the package's repositories, and its own."""

from typing import ClassVar

from desk.attachments import Attachments
from desk.checkpoints import Checkpoints
from desk.messages import DeskMessages
from desk.notes import Notes
from dynamo_chat import ChatStore
from dynamo_chat.entities import repository


class DeskStore(ChatStore):
    """The desk's table."""

    cases: ClassVar[tuple[str, ...]] = ("desk.cases",)

    attachments = repository(Attachments)
    checkpoints = repository(Checkpoints)
    notes = repository(Notes)

    @repository
    def messages(self) -> DeskMessages:
        """The package's messages, with a pattern of the desk's."""
        return self.attached("messages", DeskMessages)
