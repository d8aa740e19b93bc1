"""A pattern of its own on the package's messages, and fields of its own on them."""

from dynamo_chat import Message
from dynamo_chat.chat.messages import Messages
from dynamo_chat.entities import Count, OwnFields, Text, access_pattern


class Cost(OwnFields, name="cost"):
    """What an answer cost."""

    model: Text
    cents: Count = 0


class DeskMessages(Messages):
    """Messages, with what the desk asks of them."""

    @access_pattern("ME1", "Query", "1", owner="read", reads="late")
    def last_answer(
        self, conversation_id: str, *, among: int = 20, user_id: str | None = None
    ) -> Message | None:
        """The latest answer of the assistant among the last messages; None if there is none."""
        for message in reversed(self.latest(conversation_id, among, user_id=user_id)):
            if message.role == "assistant":
                return message
        return None
