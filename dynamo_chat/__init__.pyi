"""The public names of the package, each with the module that it is from: the only list of them."""

from dynamo_chat.calls.call import Call as Call
from dynamo_chat.calls.caller import Caller as Caller
from dynamo_chat.calls.ticket import (
    CallQueue as CallQueue,
    QueuePosition as QueuePosition,
    QueueTicket as QueueTicket,
)
from dynamo_chat.chat.conversation import Conversation as Conversation
from dynamo_chat.chat.exchange import Exchange as Exchange
from dynamo_chat.chat.message import (
    ExtractedFilters as ExtractedFilters,
    Feedback as Feedback,
    Message as Message,
    NewMessage as NewMessage,
    ToolCall as ToolCall,
    YearRange as YearRange,
)
from dynamo_chat.chat.reviews import Review as Review
from dynamo_chat.chat.states import ConversationState as ConversationState
from dynamo_chat.core.client import ConnectionOptions as ConnectionOptions
from dynamo_chat.core.connection import RequestEvent as RequestEvent
from dynamo_chat.core.entity import UNCHANGED as UNCHANGED
from dynamo_chat.core.errors import (
    AccessDenied as AccessDenied,
    AlreadyExists as AlreadyExists,
    BatchIncomplete as BatchIncomplete,
    Conflict as Conflict,
    Contended as Contended,
    CorruptItem as CorruptItem,
    CredentialsMissing as CredentialsMissing,
    DynamoChatError as DynamoChatError,
    IllegalTransition as IllegalTransition,
    ImageMissing as ImageMissing,
    IndexNotReady as IndexNotReady,
    InvalidArgument as InvalidArgument,
    InvalidCursor as InvalidCursor,
    InvalidKey as InvalidKey,
    ItemTooLarge as ItemTooLarge,
    LimitExceeded as LimitExceeded,
    MessageDeleted as MessageDeleted,
    NotFound as NotFound,
    NotSupported as NotSupported,
    RecoveryUnavailable as RecoveryUnavailable,
    RegionMissing as RegionMissing,
    RequestRejected as RequestRejected,
    RevisionConflict as RevisionConflict,
    ServiceError as ServiceError,
    StillRunning as StillRunning,
    TableNotFound as TableNotFound,
    Throttled as Throttled,
    Unreachable as Unreachable,
)
from dynamo_chat.core.page import Items as Items, Page as Page
from dynamo_chat.identity.activity import Activity as Activity
from dynamo_chat.identity.logins import LoginSession as LoginSession, OpenedLogin as OpenedLogin
from dynamo_chat.identity.user import User as User
from dynamo_chat.limits.rate_limits import RateLimit as RateLimit
from dynamo_chat.mail.email import (
    EmailMessage as EmailMessage,
    EmailSummary as EmailSummary,
    NewEmail as NewEmail,
)
from dynamo_chat.mail.scores import EVScore as EVScore
from dynamo_chat.mail.thread import EmailThread as EmailThread
from dynamo_chat.orgs.invite import Invite as Invite, IssuedInvite as IssuedInvite
from dynamo_chat.orgs.organization import (
    Billing as Billing,
    Organization as Organization,
    OrganizationSettings as OrganizationSettings,
    Usage as Usage,
)
from dynamo_chat.orgs.seats import Member as Member
from dynamo_chat.provision.table import Difference as Difference, TableDefinition as TableDefinition
from dynamo_chat.store import ChatStore as ChatStore
from dynamo_chat.streams.changes import (
    Change as Change,
    Changed as Changed,
    Created as Created,
    Deleted as Deleted,
    Expired as Expired,
    UnknownKind as UnknownKind,
)
from dynamo_chat.streams.handler import (
    process_batch as process_batch,
    stream_handler as stream_handler,
)
from dynamo_chat.streams.records import parse_stream_record as parse_stream_record
from dynamo_chat.telemetry.invocations import (
    Invocation as Invocation,
    NewInvocation as NewInvocation,
)
from dynamo_chat.telemetry.llm import (
    LLMInteraction as LLMInteraction,
    LLMUsage as LLMUsage,
    NewInteraction as NewInteraction,
)
from dynamo_chat.telemetry.reports import (
    LLMReport as LLMReport,
    ModelUsage as ModelUsage,
    Period as Period,
)

__all__: list[str]
