"""Chat products on one DynamoDB table: typed repositories, one method per access pattern.

The names are imported when they are first used: a service pays, at its cold start, for the domains
that it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamo_chat.calls.call import Call
    from dynamo_chat.calls.caller import Caller
    from dynamo_chat.calls.ticket import CallQueue, QueuePosition, QueueTicket
    from dynamo_chat.chat.conversation import Conversation
    from dynamo_chat.chat.exchange import Exchange
    from dynamo_chat.chat.message import (
        ExtractedFilters,
        Feedback,
        Message,
        NewMessage,
        ToolCall,
        YearRange,
    )
    from dynamo_chat.chat.reviews import Review
    from dynamo_chat.chat.states import ConversationState
    from dynamo_chat.core.client import ConnectionOptions
    from dynamo_chat.core.connection import RequestEvent
    from dynamo_chat.core.entity import UNCHANGED
    from dynamo_chat.core.errors import (
        AccessDenied,
        AlreadyExists,
        BatchIncomplete,
        Conflict,
        Contended,
        CorruptItem,
        CredentialsMissing,
        DynamoChatError,
        IllegalTransition,
        ImageMissing,
        IndexNotReady,
        InvalidArgument,
        InvalidCursor,
        InvalidKey,
        ItemTooLarge,
        LimitExceeded,
        MessageDeleted,
        NotFound,
        NotSupported,
        RecoveryUnavailable,
        RegionMissing,
        RequestRejected,
        RevisionConflict,
        ServiceError,
        StillRunning,
        TableNotFound,
        Throttled,
        Unreachable,
    )
    from dynamo_chat.core.page import Items, Page
    from dynamo_chat.identity.activity import Activity
    from dynamo_chat.identity.logins import LoginSession, OpenedLogin
    from dynamo_chat.identity.user import User
    from dynamo_chat.limits.rate_limits import RateLimit
    from dynamo_chat.mail.email import EmailMessage, EmailSummary, NewEmail
    from dynamo_chat.mail.scores import EVScore
    from dynamo_chat.mail.thread import EmailThread
    from dynamo_chat.orgs.invite import Invite, IssuedInvite
    from dynamo_chat.orgs.organization import Billing, Organization, OrganizationSettings, Usage
    from dynamo_chat.orgs.seats import Member
    from dynamo_chat.provision.table import Difference, TableDefinition
    from dynamo_chat.store import ChatStore
    from dynamo_chat.streams.changes import (
        Change,
        Changed,
        Created,
        Deleted,
        Expired,
        UnknownKind,
    )
    from dynamo_chat.streams.handler import process_batch, stream_handler
    from dynamo_chat.streams.records import parse_stream_record
    from dynamo_chat.telemetry.invocations import Invocation, NewInvocation
    from dynamo_chat.telemetry.llm import LLMInteraction, LLMUsage, NewInteraction
    from dynamo_chat.telemetry.reports import LLMReport, ModelUsage, Period

__all__ = [
    "UNCHANGED",
    "AccessDenied",
    "Activity",
    "AlreadyExists",
    "BatchIncomplete",
    "Billing",
    "Call",
    "CallQueue",
    "Caller",
    "Change",
    "Changed",
    "ChatStore",
    "Conflict",
    "ConnectionOptions",
    "Contended",
    "Conversation",
    "ConversationState",
    "CorruptItem",
    "Created",
    "CredentialsMissing",
    "Deleted",
    "Difference",
    "DynamoChatError",
    "EVScore",
    "EmailMessage",
    "EmailSummary",
    "EmailThread",
    "Exchange",
    "Expired",
    "ExtractedFilters",
    "Feedback",
    "IllegalTransition",
    "ImageMissing",
    "IndexNotReady",
    "InvalidArgument",
    "InvalidCursor",
    "InvalidKey",
    "Invite",
    "Invocation",
    "IssuedInvite",
    "ItemTooLarge",
    "Items",
    "LLMInteraction",
    "LLMReport",
    "LLMUsage",
    "LimitExceeded",
    "LoginSession",
    "Member",
    "Message",
    "MessageDeleted",
    "ModelUsage",
    "NewEmail",
    "NewInteraction",
    "NewInvocation",
    "NewMessage",
    "NotFound",
    "NotSupported",
    "OpenedLogin",
    "Organization",
    "OrganizationSettings",
    "Page",
    "Period",
    "QueuePosition",
    "QueueTicket",
    "RateLimit",
    "RecoveryUnavailable",
    "RegionMissing",
    "RequestEvent",
    "RequestRejected",
    "Review",
    "RevisionConflict",
    "ServiceError",
    "StillRunning",
    "TableDefinition",
    "TableNotFound",
    "Throttled",
    "ToolCall",
    "UnknownKind",
    "Unreachable",
    "Usage",
    "User",
    "YearRange",
    "parse_stream_record",
    "process_batch",
    "stream_handler",
]

_HOMES = {
    "dynamo_chat.calls.call": ("Call",),
    "dynamo_chat.calls.caller": ("Caller",),
    "dynamo_chat.calls.ticket": (
        "CallQueue",
        "QueuePosition",
        "QueueTicket",
    ),
    "dynamo_chat.chat.conversation": ("Conversation",),
    "dynamo_chat.chat.exchange": ("Exchange",),
    "dynamo_chat.chat.message": (
        "ExtractedFilters",
        "Feedback",
        "Message",
        "NewMessage",
        "ToolCall",
        "YearRange",
    ),
    "dynamo_chat.chat.reviews": ("Review",),
    "dynamo_chat.chat.states": ("ConversationState",),
    "dynamo_chat.core.client": ("ConnectionOptions",),
    "dynamo_chat.core.connection": ("RequestEvent",),
    "dynamo_chat.core.entity": ("UNCHANGED",),
    "dynamo_chat.core.errors": (
        "AccessDenied",
        "AlreadyExists",
        "BatchIncomplete",
        "Conflict",
        "Contended",
        "CorruptItem",
        "CredentialsMissing",
        "DynamoChatError",
        "IllegalTransition",
        "ImageMissing",
        "IndexNotReady",
        "InvalidArgument",
        "InvalidCursor",
        "InvalidKey",
        "ItemTooLarge",
        "LimitExceeded",
        "MessageDeleted",
        "NotFound",
        "NotSupported",
        "RecoveryUnavailable",
        "RegionMissing",
        "RequestRejected",
        "RevisionConflict",
        "ServiceError",
        "StillRunning",
        "TableNotFound",
        "Throttled",
        "Unreachable",
    ),
    "dynamo_chat.core.page": ("Items", "Page"),
    "dynamo_chat.identity.activity": ("Activity",),
    "dynamo_chat.identity.logins": (
        "LoginSession",
        "OpenedLogin",
    ),
    "dynamo_chat.identity.user": ("User",),
    "dynamo_chat.limits.rate_limits": ("RateLimit",),
    "dynamo_chat.mail.email": (
        "EmailMessage",
        "EmailSummary",
        "NewEmail",
    ),
    "dynamo_chat.mail.scores": ("EVScore",),
    "dynamo_chat.mail.thread": ("EmailThread",),
    "dynamo_chat.orgs.invite": (
        "Invite",
        "IssuedInvite",
    ),
    "dynamo_chat.orgs.organization": (
        "Billing",
        "Organization",
        "OrganizationSettings",
        "Usage",
    ),
    "dynamo_chat.orgs.seats": ("Member",),
    "dynamo_chat.provision.table": (
        "Difference",
        "TableDefinition",
    ),
    "dynamo_chat.store": ("ChatStore",),
    "dynamo_chat.streams.changes": (
        "Change",
        "Changed",
        "Created",
        "Deleted",
        "Expired",
        "UnknownKind",
    ),
    "dynamo_chat.streams.handler": (
        "process_batch",
        "stream_handler",
    ),
    "dynamo_chat.streams.records": ("parse_stream_record",),
    "dynamo_chat.telemetry.invocations": (
        "Invocation",
        "NewInvocation",
    ),
    "dynamo_chat.telemetry.llm": (
        "LLMInteraction",
        "LLMUsage",
        "NewInteraction",
    ),
    "dynamo_chat.telemetry.reports": (
        "LLMReport",
        "ModelUsage",
        "Period",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # a checker would take any name for granted

    def __getattr__(name: str) -> Any:
        module = _HOME_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(module), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
