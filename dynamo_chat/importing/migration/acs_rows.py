"""The rows of `acs`, the e-mail service, as its document lays them out."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from dynamo_chat.core.entity import Count, Id, Json, JsonObject, Many, Model, Number, Text
from dynamo_chat.importing.shapes import Moment
from dynamo_chat.mail.thread import Category, Sentiment, ThreadStatus, Urgency
from dynamo_chat.orgs.invite import InviteRole, InviteStatus
from dynamo_chat.orgs.organization import BillingPlan, OrganizationStatus
from dynamo_chat.orgs.seats import MemberRole, MemberStatus


class UserRow(Model):
    """An item of ``Users``."""

    id: Id
    email: Text
    response_email: Text | None = None
    name: Text | None = None
    created_at: Moment
    updated_at: Moment
    status: Literal["active", "inactive", "suspended"] = "active"
    preferences: JsonObject = Field(default_factory=dict)
    organization_id: Id | None = None
    role: Literal["admin", "user", "member"] = "user"


class EmailMetadata(Model):
    """The metadata of an e-mail."""

    headers: JsonObject = Field(default_factory=dict)
    attachments: Many[Json] = ()
    spam_score: Number | None = None


class EmailRow(Model):
    """An item of ``Conversations``: one e-mail."""

    conversation_id: Id
    response_id: Id
    message_id: Text | None = None
    associated_account: Id
    sender_email: Text
    recipient_email: Text
    subject: Text = ""
    body: Text = ""
    timestamp: Moment
    is_first_email: bool | None = None
    thread_id: Id | None = None
    status: Literal["received", "processed", "responded", "scheduled"] = "received"
    ai_response: Text | None = None
    ev_score: Number | None = None
    metadata: EmailMetadata = EmailMetadata()


class ThreadAttributes(Model):
    """The attributes of a thread."""

    urgency: Urgency | None = None
    category: Category | None = None
    priority: int | None = None
    sentiment: Sentiment | None = None


class AISettings(Model):
    """The AI settings of a thread."""

    auto_response_enabled: bool = False
    response_delay_hours: Number | None = None
    max_response_length: Count | None = None


class ThreadRow(Model):
    """An item of ``Threads``."""

    conversation_id: Id
    associated_account: Id
    thread_id: Id | None = None
    created_at: Moment
    updated_at: Moment
    status: ThreadStatus = "active"
    subject: Text | None = None
    participants: Many[Text] = ()
    message_count: Count | None = None
    last_message_at: Moment | None = None
    attributes: ThreadAttributes = ThreadAttributes()
    ai_settings: AISettings = AISettings()


class SettingsRow(Model):
    """The settings of an organization."""

    email_domain_verification: bool = False
    ai_response_enabled: bool = True
    max_users: int | None = None
    storage_limit_gb: Decimal | None = None


class UsageRow(Model):
    """The usage of an organization."""

    emails_processed: Count = 0
    storage_used_gb: Decimal = Decimal(0)


class BillingRow(Model):
    """The billing of an organization."""

    plan: BillingPlan = "basic"
    next_billing_date: Moment | None = None
    usage: UsageRow = UsageRow()


class OrganizationRow(Model):
    """An item of ``Organizations``."""

    organization_id: Id
    name: Text
    domain: Text | None = None
    created_at: Moment
    updated_at: Moment
    status: OrganizationStatus = "active"
    settings: SettingsRow = SettingsRow()
    billing: BillingRow = BillingRow()


class MemberRow(Model):
    """An item of ``OrganizationMembers``."""

    organization_id: Id
    user_id: Id
    role: MemberRole = "member"
    joined_at: Moment
    status: MemberStatus = "active"
    permissions: JsonObject = Field(default_factory=dict)
    invited_by: Id | None = None
    last_active: Moment | None = None


class InviteRow(Model):
    """An item of ``OrganizationInvites``."""

    invite_id: Id
    timestamp: Moment
    organization_id: Id
    email: Text
    invite_token: Text | None = None
    invited_by: Id
    role: InviteRole = "member"
    status: InviteStatus
    expires_at: Moment
    accepted_at: Moment | None = None


class LoginRow(Model):
    """An item of ``Sessions``: a login."""

    session_id: Text
    user_id: Id
    account_id: Id | None = None
    created_at: Moment
    last_activity: Moment
    expires_at: Moment
    ttl: Json = None
    """Lies before `expires_at`, which counts."""
    ip_address: Text | None = None
    user_agent: Text | None = None
    is_active: bool = True
    metadata: JsonObject = Field(default_factory=dict)


class LimitMetadata(Model):
    """The metadata of a rate limit."""

    function_calls: dict[Text, Count] = Field(default_factory=dict)
    service_calls: dict[Text, Count] = Field(default_factory=dict)


class LimitRow(Model):
    """An item of ``RL_AI`` or ``RL_AWS``."""

    associated_account: Id
    request_count: Count = 0
    aws_requests: Count = 0
    window_start: Moment
    window_end: Moment
    last_request: Moment | None = None
    limit: Count
    reset_time: Moment | None = None
    """The end of the window."""
    throttled_requests: Count = 0
    blocked_until: Moment | None = None
    metadata: LimitMetadata = LimitMetadata()


class ScoreRow(Model):
    """An item of ``EVDataCollection``."""

    conversation_id: Id
    ev_score: Number
    calculation_date: Moment
    factors: dict[Text, Number] = Field(default_factory=dict)
    algorithm_version: Text | None = None
    confidence_score: Number | None = None
    recommendations: Many[Text] = ()
    metadata: JsonObject = Field(default_factory=dict)


class InteractionMetadata(Model):
    """The metadata of an LLM interaction."""

    temperature: Number | None = None
    top_p: Number | None = None
    max_tokens: Count | None = None
    cost_usd: Decimal | None = None


class InteractionRow(Model):
    """An item of ``LLMDataCollection``."""

    conversation_id: Id
    account_id: Id | None = None
    """Not in the document: add it to a record whose thread doesn't exist."""
    function_name: Id = "generate_email"
    """Not in the document, and needed by reports."""
    model_used: Id
    prompt_tokens: int
    response_tokens: int
    total_tokens: int | None = None
    response_time_ms: int
    quality_score: Decimal | None = None
    generated_at: Moment
    prompt: Text | None = None
    response: Text | None = None
    metadata: InteractionMetadata = InteractionMetadata()


class ModelRow(Model):
    """The usage of one model in a report."""

    requests: Count
    tokens: Count
    cost: Decimal


class ReportRow(Model):
    """An item of ``LLMReportData``."""

    report_id: Id
    account_id: Id
    report_period: Text
    generated_at: Moment
    total_requests: Count
    total_tokens: Count
    total_cost_usd: Decimal
    average_response_time_ms: Decimal | None = None
    average_quality_score: Decimal | None = None
    model_usage: dict[Text, ModelRow] = Field(default_factory=dict)
    function_breakdown: dict[Text, Count] = Field(default_factory=dict)


class InvocationRow(Model):
    """An item of ``Invocations``."""

    id: Id
    associated_account: Id
    function_name: Id
    invoked_at: Moment
    duration_ms: Decimal
    memory_used_mb: Count | None = None
    status: Literal["success", "error", "timeout"]
    error_message: Text | None = None
    request_id: Id | None = None
    cold_start: bool = False
    metadata: JsonObject = Field(default_factory=dict)
