"""The store behind OpenAI ChatKit's server: threads are conversations, items are messages.

store = AsyncChatKitStore("chat-prod")
server = MyServer(DynamoChatKitStore(store, user_of=lambda context: context["user_id"]))
"""

from dynamo_chat.integrations.chatkit.attachments import (
    ChatKitAttachment as ChatKitAttachment,
    ChatKitAttachments as ChatKitAttachments,
    ChatKitStore as ChatKitStore,
    ChatKitUpload as ChatKitUpload,
)
from dynamo_chat.integrations.chatkit.store import (
    AsyncChatKitStore as AsyncChatKitStore,
    DynamoChatKitStore as DynamoChatKitStore,
)
