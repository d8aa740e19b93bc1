"""Describe items and the results of calls in a few words, without secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from dynamo_chat.calls.call import Call
from dynamo_chat.calls.caller import Caller
from dynamo_chat.calls.ticket import QueueTicket
from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.exchange import Exchange
from dynamo_chat.chat.message import Feedback, Message
from dynamo_chat.chat.reviews import Review
from dynamo_chat.chat.states import ConversationState
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.item import kind_of, plan
from dynamo_chat.core.layout import KEY_ATTRIBUTES, KIND
from dynamo_chat.core.page import Page
from dynamo_chat.core.text import cut
from dynamo_chat.identity.activity import Activity
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.identity.user import User
from dynamo_chat.keyspace import KEY_SPACE, MESSAGE
from dynamo_chat.limits.rate_limit import RateLimit
from dynamo_chat.mail.email import EmailContent, EmailSummary
from dynamo_chat.mail.scores import EVScore
from dynamo_chat.mail.thread import EmailThread
from dynamo_chat.orgs.invite import Invite
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member
from dynamo_chat.provision.backups import Backup, Export, RecoveryWindow
from dynamo_chat.provision.restoring import Restored
from dynamo_chat.telemetry.invocations import Invocation
from dynamo_chat.telemetry.llm import LLMContent, LLMUsage
from dynamo_chat.telemetry.reports import LLMReport

TOLD_WIDTH = 60

_UNSPOKEN = KEY_ATTRIBUTES | {KIND, "digest"}


def describe(item: AttributeValues) -> str:
    """Describe an item; a helper item by its fields, or by its kind if it has none. CorruptItem."""
    kind = kind_of(item, MESSAGE)
    layout = KEY_SPACE.layouts.get(kind)
    entity = None if layout is None or layout.helper else layout.resolved()
    if entity is not None:
        return words(plan(entity).decode(item))
    said = ", ".join(
        f"{name} {value['S']}"
        for name, value in item.items()
        if name not in _UNSPOKEN and isinstance(value, dict) and "S" in value
    )
    return said or kind.replace("_", " ")


def tell(given: object) -> str:
    """Describe a result in one short line; several results by their number and the first."""
    match given:
        case None:
            return "done"
        case int():
            return f"{given:,}"
        case Page() | list() | tuple():
            each = list(given)
            told = f"{len(each)}, first: {tell(each[0])}" if each else "none"
        case _:
            told = words(given)
    return cut(told, TOLD_WIDTH)


def deleted(count: int) -> str:
    """Describe a deletion by the number of its items."""
    return f"{count} items deleted" if count != 1 else "1 item deleted"


def words(given: object) -> str:
    """Describe a value; one without a description may contain a secret, so its type is shown."""
    for each in type(given).__mro__:
        if each in _WORDS:
            return _WORDS[each](given)
    return "none" if given is None else type(given).__name__


# -- chat ---------------------------------------------------------------------------------------


def _message(message: Message) -> str:
    parts = [f"{message.role}: {message.content}" if message.content else f"{message.role}:"]
    parts += [f"→ {call.tool}()" for call in message.tool_calls]
    if message.errors is not None:
        parts.append(f"! {message.errors}")
    if message.status != "complete":
        parts.append(f"({message.status})")
    if message.feedback is not None:
        rank = f" {message.feedback.rank}/5" if message.feedback.rank else ""
        parts.insert(0, f"({message.feedback.type}{rank})")
    return " ".join(parts)


def _conversation(conversation: Conversation) -> str:
    until = conversation.expires_at
    kept = f", until {until:%Y-%m-%d}" if until is not None else ""
    title = cut(conversation.title or "no title", 30)
    return f"{title}: {conversation.message_count} messages, {conversation.status}{kept}"


def _feedback(feedback: Feedback) -> str:
    rank = "" if feedback.rank is None else f", {feedback.rank}/5"
    return f"{feedback.type}{rank}" + (f", {feedback.category}" if feedback.category else "")


def _review(review: Review) -> str:
    state = "archived" if review.is_archived else "open"
    return f"{state}, by {review.reviewed_by}: {review.comments or 'no comment'}"


# -- identity, orgs -----------------------------------------------------------------------------


def _activity(activity: Activity) -> str:
    details = "".join(f", {name} {value}" for name, value in activity.details.items())
    return f"{activity.action}{details}"


def _login(login: LoginSession) -> str:
    method = login.metadata.get("login_method")
    by = f" by {method}" if method else ""
    return f"login{by}, until {login.expires_at:%Y-%m-%d %H:%M}"


def _organization(organization: Organization) -> str:
    count = organization.member_count
    members = f"{count} member{'s' if count != 1 else ''}"
    return f"{organization.name}: {members}, {organization.plan}, {organization.status}"


# -- mail, limits, telemetry --------------------------------------------------------------------


def _thread(thread: EmailThread) -> str:
    count = thread.message_count
    emails = f"{count} e-mail{'s' if count != 1 else ''}"
    return f"{cut(thread.subject or 'no subject', 30)}: {emails}, {thread.status}"


def _email(email: EmailSummary) -> str:
    return f"{email.sender_email}: {email.subject or 'no subject'}, {email.status}"


def _score(score: EVScore) -> str:
    sure = score.confidence_score
    return f"expected value {score.ev_score}" + ("" if sure is None else f", confidence {sure}")


def _rate_limit(window: RateLimit) -> str:
    resource = {"ai": "AI", "aws": "AWS"}.get(window.resource, window.resource)
    return (
        f"{window.request_count} of {window.limit:,} {resource} calls, "
        f"{window.throttled_requests} throttled, until {window.window_end:%H:%M}"
    )


def _usage(usage: LLMUsage) -> str:
    cost = "" if usage.cost_usd is None else f", ${usage.cost_usd}"
    model = usage.model_used.rpartition("/")[2]
    return f"{usage.total_tokens} tokens{cost}, {usage.response_time_ms:,} ms, {model}"


def _report(report: LLMReport) -> str:
    return (
        f"{report.report_period}: {report.total_requests:,} requests, "
        f"{report.total_tokens:,} tokens, ${report.total_cost_usd}"
    )


def _invocation(invocation: Invocation) -> str:
    took = f"{invocation.duration_ms:,} ms"
    return f"{invocation.function_name}: {invocation.status} after {took}"


# -- calls --------------------------------------------------------------------------------------


def _caller(caller: Caller) -> str:
    state = "idle"
    if caller.is_in_call:
        state = "in a call"
    elif caller.is_waiting:
        state = f"waits in {caller.queue}"
    return f"{caller.points_left} points, {state}"


def _call(call: Call) -> str:
    minutes = call.duration_minutes
    state = "live" if minutes is None else f"{minutes:g} minutes"
    return f"{call.user_a} – {call.user_b}: {state}"


# -- the table ----------------------------------------------------------------------------------


def _restored(restored: Restored) -> str:
    return f"{restored.table_name}, {len(restored.differences)} settings differ"


_WORDS: Final[Mapping[type, Callable[[Any], str]]] = {
    Conversation: _conversation,
    Message: _message,
    Exchange: lambda exchange: f"{exchange.user_prompt} – {exchange.bot_response}",
    Feedback: _feedback,
    Review: _review,
    ConversationState: lambda state: f"revision {state.revision}: {', '.join(state.data)}",
    User: lambda user: f"{user.name or user.email}, {user.role}, {user.status}",
    Activity: _activity,
    LoginSession: _login,
    Organization: _organization,
    Member: lambda member: f"{member.user_id}, {member.role}, {member.status}",
    Invite: lambda invite: f"{invite.email} as {invite.role}, {invite.status}",
    EmailThread: _thread,
    EmailSummary: _email,
    EmailContent: lambda content: f"body: {content.body}",
    EVScore: _score,
    RateLimit: _rate_limit,
    LLMUsage: _usage,
    LLMContent: lambda content: f"{content.prompt} → {content.response}",
    LLMReport: _report,
    Invocation: _invocation,
    Caller: _caller,
    QueueTicket: lambda ticket: f"{ticket.user_id}, since {ticket.joined_at:%H:%M}",
    Call: _call,
    Backup: lambda backup: f"{backup.table_name}: {backup.status}",
    RecoveryWindow: lambda window: f"any time up to {window.latest:%Y-%m-%d %H:%M}",
    Export: lambda export: f"to {export.bucket}: {export.status}",
    Restored: _restored,
}
