"""The key space: every kind of item in the table, its keys, and what it is for.

One layout per kind, grouped by domain. All keys are declared here and nowhere else. Tests prove
that no two shapes overlap in the table or in an index, and the key-space page of the documentation
is generated from this file.

An index sort key ends with the components of the item's own key, so it is unique.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.keys import flag, integer, partition, sort, text, time
from dynamo_chat.core.layout import GSI1, GSI2, KeySpace, Layout, Place, Slot, Whose
from dynamo_chat.core.sharding import Count, Counts, Spread

# -- shards: the number of partitions of a list that would be too hot for one -------------------
#
# DynamoDB gives one partition 1,000 write units a second. A list that all users write to is
# spread over several partitions by the hash of an id; reading it takes a query per partition.

# An application may choose larger numbers, in `ChatStore.shards`: see `Shards` at the end.

TITLE_SHARDS: Final = Spread("titles", 4)
FEEDBACK_RANK_SHARDS: Final = Spread("feedback", 2)
FEEDBACK_CATEGORY_SHARDS: Final = Spread("feedback_categories", 4)
STREAM_SHARDS: Final = Spread("streams", 4)
REVIEW_SHARDS: Final = Spread("reviews", 4)
LLM_SHARDS: Final = Spread("llm", 4)
INVOCATION_SHARDS: Final = Spread("invocations", 4)
LIVE_CALL_SHARDS: Final = Spread("live_calls", 4)


def digest_of(free_text: str) -> str:
    """The hash of free text for use in a key: 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(free_text.encode()).hexdigest()[:32]


# -- to whom items belong -----------------------------------------------------------------------
#
# Export and erasure of a person's data follow these. A kind without one belongs to whoever its
# parent belongs to.

OF_A_USER: Final = Whose("user", ("user_id",))
OF_AN_ACCOUNT: Final = Whose("account", ("account_id",))
OF_NOBODY: Final = Whose("nobody")

# -- partitions that several kinds share --------------------------------------------------------

CONVERSATION_PARTITION: Final = partition("CONV", text("conversation_id"))
USER_PARTITION: Final = partition("USER", text("user_id"))

# -- chat ---------------------------------------------------------------------------------------
#
# In a conversation, CHAT < CONV < CONVPREF < CONVREVIEW < ID < STATE < STREAM < TITLE: the head is
# between the messages and the reviews, so that one descending query returns it, and its
# preferences, with the latest messages, and one query over the reviews returns it with them.

CONVERSATION: Final = Layout(
    "conversation",
    table=Slot(CONVERSATION_PARTITION, sort("CONV")),
    gsi1=Slot(USER_PARTITION, sort("CONV", time("created_at"), text("conversation_id"))),
    gsi2=Slot(
        USER_PARTITION,
        sort("ACTIVE", text("status"), time("updated_at"), text("conversation_id")),
    ),
    entity=".chat.conversation:Conversation",
    root=True,
    note="While it is being deleted, a `conversation_tombstone` is in its place.",
    whose=OF_A_USER,
)
CONVERSATION_TOMBSTONE: Final = Layout(
    "conversation_tombstone",
    table=CONVERSATION.table,
    of=CONVERSATION,
    says=(text("user_id"),),
    helper=True,
    version=2,
)
CONVERSATION_TITLE: Final = Layout(
    "conversation_title",
    table=Slot(CONVERSATION_PARTITION, sort("TITLE")),
    gsi1=Slot(
        partition("TITLE", text("title_hash"), integer("shard", 2)),
        sort("TITLE", time("created_at"), text("conversation_id")),
    ),
    gsi2=Slot(
        USER_PARTITION,
        sort("TITLE", text("title_hash"), time("created_at"), text("conversation_id")),
    ),
    of=CONVERSATION,
    helper=True,
)
CONVERSATION_PREFERENCES: Final = Layout(
    "conversation_preferences",
    table=Slot(CONVERSATION_PARTITION, sort("CONVPREF")),
    entity=".chat.preferences:ConversationPreferences",
    of=CONVERSATION,
    note="Exists while the conversation has preferences. Until version 2 of `conversation`, they "
    "were in the head.",
)
CONVERSATION_STATE: Final = Layout(
    "conversation_state",
    table=Slot(CONVERSATION_PARTITION, sort("STATE")),
    entity=".chat.states:ConversationState",
    of=CONVERSATION,
)
MESSAGE: Final = Layout(
    "message",
    table=Slot(CONVERSATION_PARTITION, sort("CHAT", text("position"))),
    gsi1=Slot(
        partition("FEEDBACK", text("feedback_type"), integer("rank", 1), integer("shard", 2)),
        sort("RATED", time("rated_at"), text("conversation_id"), text("position")),
    ),
    gsi2=Slot(
        partition("CATEGORY", text("feedback_type"), text("category"), integer("shard", 2)),
        sort("RATED", time("rated_at"), text("conversation_id"), text("position")),
    ),
    entity=".chat.message:Message",
    of=CONVERSATION,
    note="In the indexes only while it has feedback; rank 0 means that it has no rank.",
)
MESSAGE_ID: Final = Layout(
    "message_id",
    table=Slot(CONVERSATION_PARTITION, sort("ID", text("message_id"))),
    gsi2=Slot(
        partition("MESSAGE", text("message_id")),
        sort("OWNER", text("owner_hash"), text("conversation_id")),
    ),
    of=CONVERSATION,
    says=(text("position"), text("digest")),
    helper=True,
    version=2,
    note="Only for caller-supplied ids. Kept after the message is deleted, so that late retries "
    "are recognised. `owner_hash` is the hash of the user's id; version 1 had no owner.",
)
MESSAGE_ID_OF_NO_OWNER: Final = sort("MESSAGE", text("conversation_id"))
"""The sort key in GSI2 of a `message_id` of version 1."""
MESSAGE_STREAM: Final = Layout(
    "message_stream",
    table=Slot(CONVERSATION_PARTITION, sort("STREAM", text("position"))),
    gsi1=Slot(
        partition("STREAM", integer("shard", 2)),
        sort("STREAM", text("position"), text("conversation_id")),
    ),
    of=MESSAGE,
    helper=True,
    note="Exists while the message is streamed: written and deleted with its begin and its end.",
)
REVIEW: Final = Layout(
    "review",
    table=Slot(CONVERSATION_PARTITION, sort("CONVREVIEW", time("reviewed_at"), text("review_id"))),
    gsi1=Slot(
        partition("REVIEWER", text("reviewed_by")),
        sort(
            "REVIEW",
            flag("archived"),
            time("reviewed_at"),
            text("conversation_id"),
            text("review_id"),
        ),
    ),
    gsi2=Slot(
        partition("REVIEWS", flag("archived"), integer("shard", 2)),
        sort("REVIEW", time("reviewed_at"), text("conversation_id"), text("review_id")),
    ),
    entity=".chat.reviews:Review",
    of=CONVERSATION,
    names=("reviewed_by",),
)
REVIEW_ID: Final = Layout(
    "review_id",
    table=Slot(partition("REVIEW", text("review_id")), sort("REVIEW")),
    of=REVIEW,
    says=(text("conversation_id"), text("reviewed_by"), time("reviewed_at")),
    helper=True,
    note="Has the comments, too, so that archiving can read the whole review from it.",
)

# -- identity -----------------------------------------------------------------------------------
#
# An address item makes the address unique, and finds its user. E-mail and response e-mail are
# separate namespaces.

USER: Final = Layout(
    "user",
    table=Slot(USER_PARTITION, sort("USER")),
    entity=".identity.user:User",
    root=True,
    note="While it is being deleted, a `user_tombstone` is in its place.",
    whose=OF_A_USER,
)
USER_TOMBSTONE: Final = Layout("user_tombstone", table=USER.table, of=USER, helper=True)
USER_EMAIL: Final = Layout(
    "user_email",
    table=Slot(partition("ADDRESS", text("address")), sort("EMAIL")),
    of=USER,
    says=(text("user_id"),),
    helper=True,
    note="`address` is the normal form; the user keeps the address as it was given.",
)
USER_RESPONSE_EMAIL: Final = Layout(
    "user_response_email",
    table=Slot(partition("ADDRESS", text("address")), sort("RESPONSE")),
    of=USER,
    says=(text("user_id"),),
    helper=True,
)
USER_PASSWORD: Final = Layout(
    "user_password",
    table=Slot(partition("PASSWORD", text("user_id")), sort("PASSWORD")),
    of=USER,
    says=(text("password_hash"),),
    helper=True,
    note="In a partition of its own, so that whoever may read the user's does not read it.",
)
ACTIVITY: Final = Layout(
    "activity",
    table=Slot(USER_PARTITION, sort("ACTIVITY", time("created_at"), text("activity_id"))),
    entity=".identity.activity:Activity",
    of=USER,
)
LOGIN: Final = Layout(
    "login",
    table=Slot(partition("LOGIN", text("login_id")), sort("LOGIN")),
    gsi1=Slot(USER_PARTITION, sort("LOGIN", time("expires_at"), text("login_id"))),
    entity=".identity.logins:LoginSession",
    of=USER,
    note="`login_id` is the SHA-256 of the secret, which is not stored.",
    whose=OF_A_USER,
)
LOGIN_LISTING: Final = Layout(
    "login_listing",
    table=Slot(USER_PARTITION, sort("LOGIN", time("expires_at"), text("login_id"))),
    of=LOGIN,
    helper=True,
    note="Written and deleted with its login: revoking all logins must not depend on an index.",
)

# -- orgs ---------------------------------------------------------------------------------------

ORGANIZATION_PARTITION: Final = partition("ORG", text("organization_id"))

ORGANIZATION: Final = Layout(
    "organization",
    table=Slot(ORGANIZATION_PARTITION, sort("ORG")),
    entity=".orgs.organization:Organization",
    root=True,
    note="While it is being deleted, an `organization_tombstone` is in its place.",
    whose=OF_NOBODY,
)
ORGANIZATION_TOMBSTONE: Final = Layout(
    "organization_tombstone", table=ORGANIZATION.table, of=ORGANIZATION, helper=True
)
MEMBER: Final = Layout(
    "member",
    table=Slot(ORGANIZATION_PARTITION, sort("MEMBER", text("user_id"))),
    gsi1=Slot(USER_PARTITION, sort("MEMBER", text("organization_id"))),
    entity=".orgs.seats:Member",
    of=ORGANIZATION,
    whose=OF_A_USER,
    names=("invited_by",),
)
MEMBERSHIP: Final = Layout(
    "membership",
    table=Slot(USER_PARTITION, sort("MEMBER", text("organization_id"))),
    of=MEMBER,
    helper=True,
    note="Lists memberships in the user's partition: deleting a user must not depend on an index.",
)
INVITE: Final = Layout(
    "invite",
    table=Slot(ORGANIZATION_PARTITION, sort("INVITE", time("created_at"), text("invite_id"))),
    gsi1=Slot(
        partition("ADDRESS", text("address")),
        sort("INVITE", time("created_at"), text("organization_id"), text("invite_id")),
    ),
    entity=".orgs.invite:Invite",
    of=ORGANIZATION,
    whose=Whose("address", ("email",)),
    names=("invited_by", "accepted_by"),
)
INVITE_ID: Final = Layout(
    "invite_id",
    table=Slot(partition("INVITE", text("invite_id")), sort("INVITE")),
    of=INVITE,
    says=(text("organization_id"), time("created_at")),
    helper=True,
)
INVITE_TOKEN: Final = Layout(
    "invite_token",
    table=Slot(partition("TOKEN", text("token_hash")), sort("INVITE")),
    of=INVITE,
    says=(text("organization_id"), time("created_at"), text("invite_id")),
    helper=True,
    note="`token_hash` is the SHA-256 of the token, which is not stored.",
)

# -- mail ---------------------------------------------------------------------------------------
#
# The items of one e-mail conversation sort CONV < EMAIL < LLM < RESPONSE < SCORE: the thread sorts
# directly before its e-mails, so that one query returns both. The sort keys of an e-mail and its
# content differ only in their last component, `part`, and the content sorts first.

MAIL_PARTITION: Final = partition("MAIL", text("conversation_id"))

EMAIL_THREAD: Final = Layout(
    "email_thread",
    table=Slot(MAIL_PARTITION, sort("CONV")),
    gsi1=Slot(
        partition("ACCOUNT", text("account_id")),
        sort("THREAD", time("last_message_at"), text("conversation_id")),
    ),
    entity=".mail.thread:EmailThread",
    root=True,
    note="While it is being deleted, an `email_thread_tombstone` is in its place.",
    whose=OF_AN_ACCOUNT,
)
EMAIL_THREAD_TOMBSTONE: Final = Layout(
    "email_thread_tombstone",
    table=EMAIL_THREAD.table,
    of=EMAIL_THREAD,
    says=(text("deletion_id"),),
    helper=True,
)
EMAIL: Final = Layout(
    "email",
    table=Slot(MAIL_PARTITION, sort("EMAIL", time("timestamp"), text("entry_id"), text("part"))),
    gsi1=Slot(
        partition("MAILBOX", text("account_id"), flag("is_first_email")),
        sort("EMAIL", time("timestamp"), text("conversation_id"), text("entry_id")),
    ),
    gsi2=Slot(
        partition("MESSAGEID", text("account_id"), text("message_hash")),
        sort("EMAIL", time("timestamp"), text("conversation_id"), text("entry_id")),
    ),
    entity=".mail.email:EmailSummary",
    of=EMAIL_THREAD,
    note="`part` is `email`.",
)
EMAIL_CONTENT: Final = Layout(
    "email_content",
    table=EMAIL.table,
    entity=".mail.email:EmailContent",
    of=EMAIL,
    note="`part` is `content`: body, headers, attachments, in no index and never rewritten.",
)
EMAIL_RESPONSE_ID: Final = Layout(
    "email_response_id",
    table=Slot(MAIL_PARTITION, sort("RESPONSE", text("response_id"))),
    gsi2=Slot(
        partition("RESPONSE", text("response_id")),
        sort("OWNER", text("owner_hash"), text("conversation_id")),
    ),
    of=EMAIL,
    says=(time("timestamp"), text("entry_id"), text("digest")),
    helper=True,
    version=2,
    note="Only for caller-supplied ids. `owner_hash` is the hash of the account's id; version 1 "
    "had no owner.",
)
EMAIL_RESPONSE_ID_OF_NO_OWNER: Final = sort("RESPONSE", text("conversation_id"))
"""The sort key in GSI2 of an `email_response_id` of version 1."""
EMAIL_MESSAGE_ID: Final = Layout(
    "email_message_id",
    table=Slot(partition("MESSAGEID", text("account_id"), text("message_hash")), sort("MESSAGEID")),
    of=EMAIL,
    says=(time("timestamp"), text("entry_id"), text("digest"), text("conversation_id")),
    helper=True,
    note="Makes a Message-ID unique in its account. The e-mail itself is found by its GSI2 key.",
)
EV_SCORE: Final = Layout(
    "ev_score",
    table=Slot(MAIL_PARTITION, sort("SCORE", time("calculation_date"))),
    entity=".mail.scores:EVScore",
    of=EMAIL_THREAD,
)

# -- limits -------------------------------------------------------------------------------------

RATE_LIMIT: Final = Layout(
    "rate_limit",
    table=Slot(partition("LIMIT", text("account_id")), sort("LIMIT", text("resource"))),
    entity=".limits.rate_limit:RateLimit",
    root=True,
    note="Holds the current window, so that one update checks and counts.",
    whose=OF_AN_ACCOUNT,
)

# -- telemetry ----------------------------------------------------------------------------------
#
# LLM interactions are in the partition of their e-mail conversation, and are deleted with it. Those
# of a chat conversation are there, too: they are deleted with that one.

LLM_USAGE: Final = Layout(
    "llm_usage",
    table=Slot(
        MAIL_PARTITION, sort("LLM", time("generated_at"), text("interaction_id"), text("part"))
    ),
    gsi1=Slot(
        partition("LLM", text("account_id"), integer("shard", 2)),
        sort("LLM", time("generated_at"), text("conversation_id"), text("interaction_id")),
    ),
    entity=".telemetry.llm:LLMUsage",
    root=True,
    note="`part` is `usage`.",
    whose=Whose("account", ("account_id",), shards=LLM_SHARDS),
)
LLM_CONTENT: Final = Layout(
    "llm_content",
    table=LLM_USAGE.table,
    entity=".telemetry.llm:LLMContent",
    of=LLM_USAGE,
    note="`part` is `content`: prompt, response and metadata, in no index.",
)
LLM_REPORT: Final = Layout(
    "llm_report",
    table=Slot(partition("REPORT", text("report_id")), sort("REPORT")),
    gsi1=Slot(
        partition("ACCOUNT", text("account_id")),
        sort("REPORT", time("period_start"), time("period_end"), text("report_id")),
    ),
    entity=".telemetry.reports:LLMReport",
    root=True,
    whose=OF_AN_ACCOUNT,
)
INVOCATION: Final = Layout(
    "invocation",
    table=Slot(partition("INVOCATION", text("invocation_id")), sort("INVOCATION")),
    gsi1=Slot(
        partition("INVOCATION", text("account_id"), integer("shard", 2)),
        sort("INVOCATION", time("invoked_at"), text("invocation_id")),
    ),
    entity=".telemetry.invocations:Invocation",
    root=True,
    whose=Whose("account", ("account_id",), shards=INVOCATION_SHARDS),
)

# -- calls --------------------------------------------------------------------------------------
#
# A user's points, place in a queue and live call are one item, so that one condition can check all
# of them. A queue is a partition of the table, not of an index, so that matching reads it strongly
# consistently.

CALLER: Final = Layout(
    "caller",
    table=Slot(USER_PARTITION, sort("CALLER")),
    entity=".calls.caller:Caller",
    root=True,
    note="The points of the day, the place in a queue, the live call.",
    whose=OF_A_USER,
)
QUEUE_TICKET: Final = Layout(
    "queue_ticket",
    table=Slot(
        partition("QUEUE", text("queue"), integer("shard", 2)),
        sort("TICKET", text("ticket_id")),
    ),
    entity=".calls.ticket:QueueTicket",
    of=CALLER,
    note="One for each waiting caller, in the order of joining.",
    whose=OF_A_USER,
)
CALL: Final = Layout(
    "call",
    table=Slot(partition("CALL", text("call_id")), sort("CALL")),
    gsi1=Slot(USER_PARTITION, sort("CALL", time("started_at"), text("call_id"))),
    gsi2=Slot(USER_PARTITION, sort("CALL", time("started_at"), text("call_id"))),
    entity=".calls.call:Call",
    root=True,
    note="`user_id` is `user_a` in GSI1 and `user_b` in GSI2.",
    whose=Whose("user", ("user_a", "user_b")),
)
CALL_ROOM: Final = Layout(
    "call_room",
    table=Slot(partition("ROOM", text("room_name")), sort("ROOM")),
    gsi1=Slot(
        partition("LIVE", integer("shard", 2)),
        sort("ROOM", time("started_at"), text("room_name")),
    ),
    entity=".calls.call:CallRoom",
    of=CALL,
    helper=True,
    note="Exists while the call is live. Makes the room's name unique and lists the live calls.",
)

# -- the table itself ---------------------------------------------------------------------------

PROBE: Final = Layout(
    "probe",
    table=Slot(partition("PROBE", text("probe_id")), sort("PROBE")),
    gsi1=Slot(partition("PROBE", text("probe_id")), sort("PROBE")),
    gsi2=Slot(partition("PROBE", text("probe_id")), sort("PROBE")),
    root=True,
    helper=True,
    note="Written, read and deleted by a test of access; expires after an hour if not deleted.",
    whose=OF_NOBODY,
)

KEY_SPACE: Final = KeySpace(each for each in [*globals().values()] if isinstance(each, Layout))
"""Every layout of the table, by domain."""

# -- over how many partitions lists are spread ----------------------------------------------------

SPREAD: Final[Mapping[tuple[str, Place], Spread]] = {
    (CONVERSATION_TITLE.kind, GSI1): TITLE_SHARDS,
    (MESSAGE.kind, GSI1): FEEDBACK_RANK_SHARDS,
    (MESSAGE.kind, GSI2): FEEDBACK_CATEGORY_SHARDS,
    (MESSAGE_STREAM.kind, GSI1): STREAM_SHARDS,
    (REVIEW.kind, GSI2): REVIEW_SHARDS,
    (LLM_USAGE.kind, GSI1): LLM_SHARDS,
    (INVOCATION.kind, GSI1): INVOCATION_SHARDS,
    (CALL_ROOM.kind, GSI1): LIVE_CALL_SHARDS,
}
"""The lists that are spread, by kind and index. The shard is the partition's last component."""

MAX_SHARDS: Final = 100


@dataclass(frozen=True, slots=True)
class Shards:
    """Over how many partitions the store spreads its busiest lists: `ChatStore.shards`.

    Each takes 1,000 write units a second, and each page of the list takes a request to each. A
    number is at least the one here, and at most 100. InvalidArgument.
    """

    titles: int = TITLE_SHARDS
    """Conversations with one title, such as "New chat", of all users."""
    feedback: int = FEEDBACK_RANK_SHARDS
    """Messages with one kind of feedback and one rank."""
    feedback_categories: int = FEEDBACK_CATEGORY_SHARDS
    """Messages with feedback of one category."""
    streams: int = STREAM_SHARDS
    """Messages that are being streamed."""
    reviews: int = REVIEW_SHARDS
    """Reviews of all reviewers."""
    llm: int = LLM_SHARDS
    """The LLM usage of one account."""
    invocations: int = INVOCATION_SHARDS
    """The invocations of one account."""
    live_calls: int = LIVE_CALL_SHARDS
    """The live calls of all users."""
    also: Shards | None = None
    """Numbers that other servers write with, or wrote with before: lists read the larger one."""

    def __post_init__(self) -> None:
        if self.also is not None and not isinstance(self.also, Shards):
            raise InvalidArgument("also", "must be Shards or None")
        for spread in SPREAD.values():
            count = getattr(self, spread.name)
            if isinstance(count, bool) or not isinstance(count, int):
                raise InvalidArgument(spread.name, "must be an integer")
            if not spread <= count <= MAX_SHARDS:
                raise InvalidArgument(spread.name, f"must be from {spread} to {MAX_SHARDS}")

    def counts(self) -> Counts:
        """For each list, over how many partitions it is written, and how many are read."""
        return {
            each.name: Count(getattr(self, each.name), self._read(each.name))
            for each in SPREAD.values()
        }

    def _read(self, name: str) -> int:
        count: int = getattr(self, name)
        return count if self.also is None else max(count, self.also._read(name))  # noqa: SLF001
