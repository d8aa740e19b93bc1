"""The public names of the package, each with the module that it is from: the only list of them."""

from dynamo_chat.calls.call import Call as Call, CallExists as CallExists
from dynamo_chat.calls.caller import (
    Caller as Caller,
    CallerBusy as CallerBusy,
    CallerExists as CallerExists,
    PointsExceeded as PointsExceeded,
    PointsSpent as PointsSpent,
)
from dynamo_chat.calls.ticket import (
    CallQueue as CallQueue,
    QueuePosition as QueuePosition,
    QueueTicket as QueueTicket,
)
from dynamo_chat.chat.conversation import (
    Conversation as Conversation,
    ConversationChanged as ConversationChanged,
    ConversationExists as ConversationExists,
)
from dynamo_chat.chat.exchange import Exchange as Exchange
from dynamo_chat.chat.formats.anthropic import (
    AnthropicPrompt as AnthropicPrompt,
    anthropic_messages as anthropic_messages,
    from_anthropic_messages as from_anthropic_messages,
)
from dynamo_chat.chat.formats.openai_chat import (
    from_openai_messages as from_openai_messages,
    openai_messages as openai_messages,
)
from dynamo_chat.chat.formats.openai_responses import (
    from_openai_items as from_openai_items,
    openai_items as openai_items,
)
from dynamo_chat.chat.formats.plain import (
    from_message_dicts as from_message_dicts,
    message_dicts as message_dicts,
)
from dynamo_chat.chat.message import (
    ExtractedFilters as ExtractedFilters,
    Feedback as Feedback,
    Message as Message,
    MessageConflict as MessageConflict,
    NewMessage as NewMessage,
    StreamLost as StreamLost,
    ToolCall as ToolCall,
    YearRange as YearRange,
)
from dynamo_chat.chat.preferences import ConversationPreferences as ConversationPreferences
from dynamo_chat.chat.reviews import Review as Review, ReviewExists as ReviewExists
from dynamo_chat.chat.states import (
    ConversationState as ConversationState,
    NewState as NewState,
    StateConflict as StateConflict,
)
from dynamo_chat.chat.streaming import MessageStream as MessageStream
from dynamo_chat.core.client import ConnectionOptions as ConnectionOptions
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
    InvalidArchive as InvalidArchive,
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
    UnusableStore as UnusableStore,
    WrongRegion as WrongRegion,
)
from dynamo_chat.core.events import RequestEvent as RequestEvent
from dynamo_chat.core.of_organization import OfOrganization as OfOrganization
from dynamo_chat.core.page import Found as Found, Items as Items, Page as Page
from dynamo_chat.core.tracing import Telemetry as Telemetry
from dynamo_chat.identity.activity import Activity as Activity, ActivityExists as ActivityExists
from dynamo_chat.identity.logins import LoginSession as LoginSession, OpenedLogin as OpenedLogin
from dynamo_chat.identity.user import User as User, UserExists as UserExists
from dynamo_chat.keyspace import Shards as Shards
from dynamo_chat.limits.rate_limit import (
    RateLimit as RateLimit,
    RateLimitExceeded as RateLimitExceeded,
    RefundRefused as RefundRefused,
)
from dynamo_chat.mail.email import (
    EmailExists as EmailExists,
    EmailMessage as EmailMessage,
    EmailStatusFixed as EmailStatusFixed,
    EmailSummary as EmailSummary,
    NewEmail as NewEmail,
)
from dynamo_chat.mail.scores import EVScore as EVScore, ScoreExists as ScoreExists
from dynamo_chat.mail.thread import EmailThread as EmailThread, ThreadConflict as ThreadConflict
from dynamo_chat.orgs.invite import (
    Invite as Invite,
    InviteClosed as InviteClosed,
    InviteExists as InviteExists,
    IssuedInvite as IssuedInvite,
)
from dynamo_chat.orgs.organization import (
    Billing as Billing,
    DomainMismatch as DomainMismatch,
    LastOwner as LastOwner,
    Organization as Organization,
    OrganizationExists as OrganizationExists,
    OrganizationSettings as OrganizationSettings,
    QuotaExceeded as QuotaExceeded,
    Usage as Usage,
)
from dynamo_chat.orgs.seats import Member as Member, MemberExists as MemberExists
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
    async_process_batch as async_process_batch,
    async_stream_handler as async_stream_handler,
    process_batch as process_batch,
    stream_handler as stream_handler,
)
from dynamo_chat.streams.records import parse_stream_record as parse_stream_record
from dynamo_chat.telemetry.invocations import (
    Invocation as Invocation,
    InvocationExists as InvocationExists,
    NewInvocation as NewInvocation,
)
from dynamo_chat.telemetry.llm import (
    InteractionExists as InteractionExists,
    LLMInteraction as LLMInteraction,
    LLMUsage as LLMUsage,
    NewInteraction as NewInteraction,
)
from dynamo_chat.telemetry.reports import (
    LLMReport as LLMReport,
    ModelUsage as ModelUsage,
    Period as Period,
    ReportExists as ReportExists,
)
from dynamo_chat.workflows.person_records import (
    ErasurePlan as ErasurePlan,
    ErasureReceipt as ErasureReceipt,
    Mention as Mention,
    PersonRecord as PersonRecord,
)

__all__: list[str]
__version__: str
