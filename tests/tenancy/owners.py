"""Which methods check an owner, which are about their owner alone, and which have none, and why."""

from collections.abc import Callable
from typing import Any, Final

from dynamo_chat import ChatStore, Exchange, Feedback, NewMessage
from dynamo_chat.cases.everything import Everything

Attempt = Callable[[ChatStore, Everything, Everything], Any]
"""A call for things of the first estate, by the owner of the second."""

_SAID = NewMessage(role="user", content="mine now")

CHECKED: Final[dict[str, Attempt]] = {
    # Reading first: each is also tried by the owner, in this order.
    "conversations.get": lambda s, e, by: s.conversations.get(
        e.conversation_id, user_id=by.user_id
    ),
    "messages.list": lambda s, e, by: s.messages.list(e.conversation_id, user_id=by.user_id),
    "messages.latest": lambda s, e, by: s.messages.latest(e.conversation_id, user_id=by.user_id),
    "messages.open": lambda s, e, by: s.messages.open(e.conversation_id, user_id=by.user_id),
    "messages.list_exchanges": lambda s, e, by: s.messages.list_exchanges(
        e.conversation_id, user_id=by.user_id
    ),
    "messages.get": lambda s, e, by: s.messages.get(
        e.conversation_id, e.message_id, user_id=by.user_id
    ),
    "messages.get (brought id)": lambda s, e, by: s.messages.get(
        e.conversation_id, e.brought_id, user_id=by.user_id
    ),
    "messages.get_by_id": lambda s, e, by: s.messages.get_by_id(e.message_id, user_id=by.user_id),
    "messages.get_by_id (brought id)": lambda s, e, by: s.messages.get_by_id(
        e.brought_id, user_id=by.user_id
    ),
    "states.get": lambda s, e, by: s.states.get(e.conversation_id, user_id=by.user_id),
    "emails.list_by_conversation": lambda s, e, by: s.emails.list_by_conversation(
        e.thread_id, account_id=by.account_id
    ),
    "emails.list_by_conversation (newest)": lambda s, e, by: s.emails.list_by_conversation(
        e.thread_id, account_id=by.account_id, newest_first=True
    ),
    "emails.get": lambda s, e, by: s.emails.get(
        e.thread_id, e.response_id, account_id=by.account_id
    ),
    "emails.get (brought id)": lambda s, e, by: s.emails.get(
        e.thread_id, e.brought_response_id, account_id=by.account_id
    ),
    "emails.get_by_response_id": lambda s, e, by: s.emails.get_by_response_id(
        e.response_id, account_id=by.account_id
    ),
    "emails.get_by_response_id (brought id)": lambda s, e, by: s.emails.get_by_response_id(
        e.brought_response_id, account_id=by.account_id
    ),
    "emails.get_by_message_id": lambda s, e, by: s.emails.get_by_message_id(
        by.account_id, e.rfc_id
    ),
    "threads.get": lambda s, e, by: s.threads.get(e.thread_id, account_id=by.account_id),
    "scores.latest": lambda s, e, by: s.scores.latest(e.thread_id, account_id=by.account_id),
    "scores.list_by_conversation": lambda s, e, by: s.scores.list_by_conversation(
        e.thread_id, account_id=by.account_id
    ),
    "reports.get": lambda s, e, by: s.reports.get(e.report_id, account_id=by.account_id),
    "invocations.get": lambda s, e, by: s.invocations.get(
        e.invocation_id, account_id=by.account_id
    ),
    "invites.get": lambda s, e, by: s.invites.get(e.invite_id, organization_id=by.organization_id),
    "members.get": lambda s, e, by: s.members.get(by.organization_id, e.user_id),
    "logins.get_by_id": lambda s, e, by: s.logins.get_by_id(_login_id(e), user_id=by.user_id),
    "calls.get": lambda s, e, by: s.calls.get(e.call_id, user_id=by.user_id),
    "calls.get_by_room": lambda s, e, by: s.calls.get_by_room(e.room_name, user_id=by.user_id),
    # Changing
    "conversations.rename": lambda s, e, by: s.conversations.rename(
        e.conversation_id, "Mine", user_id=by.user_id
    ),
    "conversations.set_status": lambda s, e, by: s.conversations.set_status(
        e.conversation_id, "archived", user_id=by.user_id
    ),
    "conversations.set_preferences": lambda s, e, by: s.conversations.set_preferences(
        e.conversation_id, {"a": 1}, user_id=by.user_id
    ),
    "conversations.merge_preferences": lambda s, e, by: s.conversations.merge_preferences(
        e.conversation_id, {"a": 2}, user_id=by.user_id
    ),
    "messages.append": lambda s, e, by: s.messages.append(
        e.conversation_id, _SAID, user_id=by.user_id
    ),
    "messages.append_turn": lambda s, e, by: s.messages.append_turn(
        e.conversation_id, [_SAID], user_id=by.user_id
    ),
    "messages.append_exchange": lambda s, e, by: s.messages.append_exchange(
        e.conversation_id, Exchange(user_prompt="a", bot_response="b"), user_id=by.user_id
    ),
    "messages.give_feedback": lambda s, e, by: s.messages.give_feedback(
        e.conversation_id, e.message_id, Feedback(type="negative"), user_id=by.user_id
    ),
    "messages.give_feedback (brought id)": lambda s, e, by: s.messages.give_feedback(
        e.conversation_id, e.brought_id, Feedback(type="negative"), user_id=by.user_id
    ),
    "messages.withdraw_feedback": lambda s, e, by: s.messages.withdraw_feedback(
        e.conversation_id, e.message_id, user_id=by.user_id
    ),
    "messages.withdraw_feedback (brought id)": lambda s, e, by: s.messages.withdraw_feedback(
        e.conversation_id, e.brought_id, user_id=by.user_id
    ),
    "messages.edit": lambda s, e, by: s.messages.edit(
        e.conversation_id, e.message_id, content="x", user_id=by.user_id
    ),
    "messages.edit (brought id)": lambda s, e, by: s.messages.edit(
        e.conversation_id, e.brought_id, content="x", user_id=by.user_id
    ),
    "messages.finish": lambda s, e, by: s.messages.finish(
        e.conversation_id, e.brought_id, content="x", user_id=by.user_id
    ),
    "reviews.create": lambda s, e, by: s.reviews.create(
        e.conversation_id, "boss", user_id=by.user_id
    ),
    "states.save": lambda s, e, by: s.states.save(
        e.conversation_id, {"step": 2}, revision=1, user_id=by.user_id
    ),
    "threads.update": lambda s, e, by: s.threads.update(
        e.thread_id, status="archived", account_id=by.account_id
    ),
    "emails.move": lambda s, e, by: s.emails.move(
        e.thread_id, e.response_id, "processed", account_id=by.account_id
    ),
    "emails.move (brought id)": lambda s, e, by: s.emails.move(
        e.thread_id, e.brought_response_id, "processed", account_id=by.account_id
    ),
    "emails.move (to where it is)": lambda s, e, by: s.emails.move(
        e.thread_id, e.response_id, "received", account_id=by.account_id
    ),
    "scores.record": lambda s, e, by: s.scores.record(e.thread_id, 0.9, account_id=by.account_id),
    "members.update": lambda s, e, by: s.members.update(
        by.organization_id, e.user_id, permissions={"all": True}
    ),
    "members.touch": lambda s, e, by: s.members.touch(by.organization_id, e.user_id),
    "invites.expire": lambda s, e, by: s.invites.expire(
        e.invite_id, organization_id=by.organization_id
    ),
    "invites.cancel": lambda s, e, by: s.invites.cancel(
        e.invite_id, organization_id=by.organization_id
    ),
    "calls.end": lambda s, e, by: s.calls.end(e.call_id, user_id=by.user_id),
    # Deleting
    "messages.delete": lambda s, e, by: s.messages.delete(
        e.conversation_id, e.message_id, user_id=by.user_id
    ),
    "messages.delete (brought id)": lambda s, e, by: s.messages.delete(
        e.conversation_id, e.brought_id, user_id=by.user_id
    ),
    "messages.prune": lambda s, e, by: s.messages.prune(e.conversation_id, 0, user_id=by.user_id),
    "conversations.delete": lambda s, e, by: s.conversations.delete(
        e.conversation_id, user_id=by.user_id
    ),
    "invites.delete": lambda s, e, by: s.invites.delete(
        e.invite_id, organization_id=by.organization_id
    ),
    "threads.delete": lambda s, e, by: s.threads.delete(e.thread_id, account_id=by.account_id),
    "members.remove": lambda s, e, by: s.members.remove(by.organization_id, _friend(e)),
    "members.replace": lambda s, e, by: s.members.replace(
        by.organization_id, e.user_id, heir_id="somebody"
    ),
}
"""By name in the catalogue, with a remark where a method is tried in several ways."""

EMPTY: Final[dict[str, Attempt]] = {
    "llm.list_by_conversation": lambda s, e, by: s.llm.list_by_conversation(
        e.thread_id, account_id=by.account_id
    ),
    "conversations.find_by_title": lambda s, e, by: s.conversations.find_by_title(
        e.user_id, user_id=by.user_id
    ),
}
"""Lists that are empty where there is nothing: so they are for what is somebody else's."""

_ARGUMENT = "the owner is the argument: there is nothing else to name"
_BEARER = "who has the secret is let in, whoever they are"
_STAFF = "for staff: it spans users, and an application must not offer it to them"
_SELF = "it is about the user, account or organization that the argument names"
_CREATES = "it makes something new; an id of somebody else's is taken, and told as AlreadyExists"

UNCHECKED: Final[dict[str, str]] = {
    "conversations.create": _CREATES,
    "conversations.list_by_user": _ARGUMENT,
    "conversations.list_by_activity": _ARGUMENT,
    "messages.list_by_feedback": _STAFF,
    "reviews.get": _STAFF,
    "reviews.archive": _STAFF,
    "reviews.list_by_conversation": _STAFF,
    "reviews.list_by_status": _STAFF,
    "users.create": _CREATES,
    "users.get": _SELF,
    "users.get_by_email": _SELF,
    "users.get_by_response_email": _SELF,
    "users.update": _SELF,
    "users.change_addresses": _SELF,
    "users.delete": _SELF,
    "activity.record": _SELF,
    "activity.list_by_user": _ARGUMENT,
    "logins.open": _SELF,
    "logins.get": _BEARER,
    "logins.touch": _BEARER,
    "logins.revoke": "it takes a login that was read before, by secret or with its user",
    "logins.revoke_all": _SELF,
    "logins.list_active": _ARGUMENT,
    "organizations.create": _CREATES,
    "organizations.get": _SELF,
    "organizations.update": _SELF,
    "organizations.update_settings": _SELF,
    "organizations.update_billing": _SELF,
    "organizations.count_usage": _SELF,
    "organizations.delete": _SELF,
    "members.add": _SELF,
    "members.list_by_organization": _ARGUMENT,
    "members.list_by_user": _ARGUMENT,
    "invites.create": _SELF,
    "invites.get_by_token": _BEARER,
    "invites.accept": _BEARER,
    "invites.list_by_organization": _ARGUMENT,
    "invites.list_by_address": _ARGUMENT,
    "emails.add": "the e-mail names its account; another account's conversation is a Conflict",
    "emails.list_by_account": _ARGUMENT,
    "emails.list_by_first_email": _ARGUMENT,
    "threads.list_by_account": _ARGUMENT,
    "llm.record": "the interaction names its account; another account's thread is a Conflict",
    "llm.list_by_account": _ARGUMENT,
    "reports.build": _SELF,
    "reports.load": "it brings over another system's reports, which name their accounts",
    "reports.list_by_account": _ARGUMENT,
    "invocations.record": _CREATES,
    "invocations.list_by_account": _ARGUMENT,
    "rate_limits.count": _SELF,
    "rate_limits.get": _SELF,
    "rate_limits.load": _SELF,
    "rate_limits.block": _SELF,
    "rate_limits.unblock": _SELF,
    "rate_limits.reset": _SELF,
    "rate_limits.record_throttle": _SELF,
    "callers.create": _SELF,
    "callers.load": _SELF,
    "callers.get": _SELF,
    "callers.update": _SELF,
    "callers.delete": _SELF,
    "callers.spend": _SELF,
    "callers.reset_points": _STAFF,
    "queue.join": _SELF,
    "queue.leave": _SELF,
    "queue.position": _SELF,
    "queue.list_waiting": _STAFF,
    "queue.match": _STAFF,
    "calls.start": "a call has two owners, who are its arguments",
    "calls.load": "a call has two owners, whom it names",
    "calls.end_overdue": _STAFF,
    "calls.list_live": _STAFF,
    "calls.list_by_user": _ARGUMENT,
}
"""Methods that check no owner, and why."""

TABLE: Final = "table."
"""The table itself belongs to the operator."""

PAGED: Final[dict[str, Callable[[Everything], dict[str, Any]]]] = {
    "conversations.list_by_user": lambda e: {"user_id": e.user_id},
    "conversations.list_by_activity": lambda e: {"user_id": e.user_id},
    "conversations.find_by_title": lambda e: {"title": "Renders", "user_id": e.user_id},
    "messages.list": lambda e: {"conversation_id": e.conversation_id, "user_id": e.user_id},
    "messages.list_exchanges": lambda e: {
        "conversation_id": e.conversation_id,
        "user_id": e.user_id,
    },
    "reviews.list_by_conversation": lambda e: {"conversation_id": e.conversation_id},
    "reviews.list_by_status": lambda e: {"reviewed_by": e.user_id},
    "activity.list_by_user": lambda e: {"user_id": e.user_id},
    "logins.list_active": lambda e: {"user_id": e.user_id},
    "members.list_by_organization": lambda e: {"organization_id": e.organization_id},
    "members.list_by_user": lambda e: {"user_id": e.user_id},
    "invites.list_by_organization": lambda e: {"organization_id": e.organization_id},
    "invites.list_by_address": lambda e: {"email": f"new-{e.user_id}@example.com"},
    "emails.list_by_conversation": lambda e: {
        "conversation_id": e.thread_id,
        "account_id": e.account_id,
    },
    "emails.list_by_account": lambda e: {"account_id": e.account_id},
    "emails.list_by_first_email": lambda e: {"account_id": e.account_id, "is_first_email": False},
    "threads.list_by_account": lambda e: {"account_id": e.account_id},
    "scores.list_by_conversation": lambda e: {
        "conversation_id": e.thread_id,
        "account_id": e.account_id,
    },
    "llm.list_by_conversation": lambda e: {
        "conversation_id": e.thread_id,
        "account_id": e.account_id,
    },
    "llm.list_by_account": lambda e: {"account_id": e.account_id},
    "reports.list_by_account": lambda e: {"account_id": e.account_id},
    "invocations.list_by_account": lambda e: {"account_id": e.account_id},
    "calls.list_by_user": lambda e: {"user_id": e.user_id},
}
"""The lists of an owner, and how they are asked for."""

OWNERLESS_LISTS: Final = {"messages.list_by_feedback", "queue.list_waiting", "calls.list_live"}
"""Lists for staff: a cursor of them belongs to nobody."""


def _login_id(estate: Everything) -> str:
    return estate.login.login_id if estate.login is not None else "0" * 64


def _friend(estate: Everything) -> str:
    return f"friend-{estate.user_id}"
