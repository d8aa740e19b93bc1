"""Calls that take more requests than those of `owners`: further pages, renewals, taken ids.

A method that makes something under an id names its owner itself; what it meets under the id may
have become somebody else's at any moment, too.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from dynamo_chat import ChatStore, NewEmail, NewInteraction
from tests.chat.scenes import assistant, user
from tests.scene import MINUTE
from tests.tenancy.handover import Call
from tooling.everything import Everything


def _paged(ask: Callable[[ChatStore, Everything], Callable[..., Any]]) -> Call:
    """Two pages of one thing each, the second behind the cursor of the first."""

    def call(store: ChatStore, ids: Everything, by: Everything) -> Any:
        del by
        first = ask(store, ids)(page_size=1)
        if first.cursor is None:
            return first
        assert first.cursor is not None
        return first, ask(store, ids)(page_size=1, cursor=first.cursor)

    return call


def _with(called: Callable[..., Any], *given: Any, **fields: Any) -> Callable[..., Any]:
    return lambda **more: called(*given, **fields, **more)


def _email(ids: Everything, **fields: Any) -> NewEmail:
    return NewEmail(
        account_id=ids.account_id,
        sender_email="ann@example.com",
        recipient_email="desk@example.com",
        **fields,
    )


def _interaction(ids: Everything, **fields: Any) -> NewInteraction:
    used = {"prompt_tokens": 1, "response_tokens": 1, "response_time_ms": 1}
    given: dict[str, Any] = {"function_name": "f", "model_used": "m", **used, **fields}
    return NewInteraction(account_id=ids.account_id, **given)


def _accepted(store: ChatStore, ids: Everything, by: Everything) -> Any:
    del by
    return store.invites.accept(f"token-of-the-invite-{ids.user_id}", "new", any_address=True)


def _revoked(store: ChatStore, ids: Everything, by: Everything) -> Any:
    del by
    assert ids.login is not None
    return store.logins.revoke(ids.login)


PAGES: Final[Mapping[str, Call]] = {
    "messages.list (next page)": _paged(
        lambda s, e: _with(s.messages.list, e.conversation_id, user_id=e.user_id)
    ),
    "messages.list (next page, newest)": _paged(
        lambda s, e: _with(s.messages.list, e.conversation_id, user_id=e.user_id, newest_first=True)
    ),
    "messages.list_exchanges (next page)": _paged(
        lambda s, e: _with(s.messages.list_exchanges, e.conversation_id, user_id=e.user_id)
    ),
    "emails.list_by_conversation (next page)": _paged(
        lambda s, e: _with(s.emails.list_by_conversation, e.thread_id, account_id=e.account_id)
    ),
    "emails.list_by_conversation (next page, newest)": _paged(
        lambda s, e: _with(
            s.emails.list_by_conversation,
            e.thread_id,
            account_id=e.account_id,
            newest_first=True,
        )
    ),
    "scores.list_by_conversation (next page)": _paged(
        lambda s, e: _with(s.scores.list_by_conversation, e.thread_id, account_id=e.account_id)
    ),
    "llm.list_by_conversation (next page)": _paged(
        lambda s, e: _with(s.llm.list_by_conversation, e.thread_id, account_id=e.account_id)
    ),
}
"""Later pages: a cursor outlives what it was made for."""

RENEWALS: Final[Mapping[str, Call]] = {
    "messages.append (renewing)": lambda s, e, by: s.messages.append(
        e.conversation_id, user("mine"), user_id=by.user_id
    ),
    "messages.append (renewing, with an id)": lambda s, e, by: s.messages.append(
        e.conversation_id, user("mine", message_id="mine"), user_id=by.user_id
    ),
    "messages.append_turn (renewing)": lambda s, e, by: s.messages.append_turn(
        e.conversation_id, [user("mine"), assistant("yours")], user_id=by.user_id
    ),
}
"""Appends that move the deadlines of a whole conversation, and prune it."""

IDLE: Final[Mapping[str, Call]] = {
    "conversations.create (idle id)": lambda s, e, by: s.conversations.create(
        by.user_id, conversation_id=e.conversation_id, title="Mine"
    ),
}
"""An id whose conversation has expired is cleared, and taken by somebody else meanwhile."""

NAMING: Final[Mapping[str, Call]] = {
    "conversations.create (taken id)": lambda s, e, by: s.conversations.create(
        by.user_id, conversation_id=e.conversation_id, title="Mine"
    ),
    "messages.append (id of before)": lambda s, e, by: s.messages.append(
        e.conversation_id, assistant("to ann", message_id=e.brought_id), user_id=by.user_id
    ),
    "messages.append (taken id)": lambda s, e, by: s.messages.append(
        e.conversation_id, assistant("else", message_id=e.brought_id), user_id=by.user_id
    ),
    "emails.add": lambda s, e, by: s.emails.add(e.thread_id, _email(by)),
    "emails.add (late)": lambda s, e, by: s.emails.add(
        e.thread_id, _email(by, timestamp=s._binding.clock() - MINUTE)
    ),
    "emails.add (taken ids)": lambda s, e, by: s.emails.add(
        e.thread_id,
        _email(by, response_id=e.brought_response_id, message_id=e.rfc_id),
    ),
    "llm.record (taken id)": lambda s, e, by: s.llm.record(
        e.thread_id,
        _interaction(by, interaction_id="i-0", generated_at=s._binding.clock()),
    ),
    "invites.create (taken id)": lambda s, e, by: s.invites.create(
        by.organization_id, "x@example.com", invited_by=by.user_id, invite_id=e.invite_id
    ),
    "invites.accept": _accepted,
    "logins.revoke": _revoked,
    "logins.create (taken secret)": lambda s, e, by: s.logins.create(by.user_id, secret=e.secret),
    "calls.start (taken id)": lambda s, e, by: s.calls.start(
        by.user_id, f"friend-{by.user_id}", call_id=e.call_id, room_name=e.room_name
    ),
}
"""Calls that bring an id along, or a secret."""

FURTHER: Final[Mapping[str, Call]] = {**PAGES, **RENEWALS, **IDLE, **NAMING}
