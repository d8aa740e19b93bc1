"""The documents whose tables can be brought in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dynamo_chat.importing.migration import mailing, people
from dynamo_chat.importing.migration.calling import ONEONONE
from dynamo_chat.importing.migration.chats import CGCHAT, SUPPORT, TRINITY
from dynamo_chat.importing.migration.declaring import Document

ACS: Final = Document(
    "acs",
    (*people.STEPS, *mailing.STEPS),
    settled=(
        "Sessions.session_id, OrganizationInvites.invite_token: stored as hashes, and still valid",
        "Sessions.ttl: replaced by expires_at",
        "Threads.message_count, participants, subject, last_message_at: those of the e-mails",
        "LLMDataCollection: account of the thread, id of the conversation",
        "RL_AI, RL_AWS: unchanged, also over the limit; reset_time is the end of the window",
    ),
)

DOCUMENTS: Final[Mapping[str, Document]] = {
    document.name: document for document in (SUPPORT, TRINITY, ACS, ONEONONE, CGCHAT)
}
