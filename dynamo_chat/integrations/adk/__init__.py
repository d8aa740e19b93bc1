"""`DynamoSessionService`: the sessions of Google's Agent Development Kit, in this table.

    class MyStore(ChatStore):
        adk_sessions = repository(AdkSessions)

    class AsyncMyStore(AsyncChatStore, of=MyStore):
        adk_sessions: Any

    runner = Runner(app_name="shop", agent=agent, session_service=DynamoSessionService(store))

A session is a conversation of its user, and each of its events is a message. What else there is,
the state of sessions, users and applications, is in the kinds of `AdkSessions`.
"""

from dynamo_chat.integrations.adk.kinds import (
    AdkAppState as AdkAppState,
    AdkSession as AdkSession,
    AdkSessions as AdkSessions,
    AdkSessionState as AdkSessionState,
    AdkUserState as AdkUserState,
)
from dynamo_chat.integrations.adk.service import (
    DynamoSessionService as DynamoSessionService,
    conversation_id_of as conversation_id_of,
)
