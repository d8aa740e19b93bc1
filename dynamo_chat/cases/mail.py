"""Scenarios of e-mails, their threads and scores (M1–M12)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from dynamo_chat.cases.stage import Case, Stage
from dynamo_chat.cases.words import deleted
from dynamo_chat.mail.email import EmailMessage, NewEmail


class _Thread(NamedTuple):
    conversation_id: str
    account_id: str


def _thread(stage: Stage, *, emails: int = 1) -> _Thread:
    """A conversation by e-mail of a fresh account, with this many e-mails."""
    thread = _Thread(stage.fresh("conversation"), stage.fresh("account"))
    for _ in range(emails):
        stage.later()
        stage.store.emails.add(thread.conversation_id, _email(thread))
    stage.later()
    return thread


def _email(thread: _Thread, **fields: object) -> NewEmail:
    """An e-mail with a body of 1,000 characters."""
    given = {
        "account_id": thread.account_id,
        "sender_email": "ann@example.com",
        "recipient_email": "team@example.org",
        "subject": "Renders",
        "body": "x" * 1_000,
    }
    return NewEmail.model_validate({**given, **fields})


def _added(stage: Stage, thread: _Thread, **fields: object) -> EmailMessage:
    return stage.store.emails.add(thread.conversation_id, _email(thread, **fields))


# -- e-mails ------------------------------------------------------------------------------------


def emails_add(stage: Stage) -> Iterator[Case]:
    emails, new = stage.store.emails, _Thread(stage.fresh("conversation"), stage.fresh("account"))
    opens = _email(new, is_first_email=True)
    yield Case("the first", lambda: emails.add(new.conversation_id, opens), budget=1)
    follows = _email(new, is_first_email=False)
    yield Case("the next", lambda: emails.add(new.conversation_id, follows), budget=1)
    ids = {"message_id": stage.fresh("mail"), "response_id": stage.fresh("response")}
    named = _email(new, is_first_email=False, **ids)
    yield Case("with outside ids", lambda: emails.add(new.conversation_id, named))
    late = _email(new, timestamp=stage.clock() - timedelta(days=1))
    yield Case("out of order", lambda: emails.add(new.conversation_id, late))


def emails_list_by_conversation(stage: Stage) -> Iterator[Case]:
    emails, thread = stage.store.emails, _thread(stage, emails=25)
    page = emails.list_by_conversation(thread.conversation_id)
    yield Case("a page of 20", lambda: emails.list_by_conversation(thread.conversation_id))
    yield Case(
        "the next page",
        lambda: emails.list_by_conversation(thread.conversation_id, cursor=page.cursor),
    )


def emails_get(stage: Stage) -> Iterator[Case]:
    emails, thread, own = stage.store.emails, _thread(stage), stage.fresh("response")
    minted = _added(stage, thread).response_id
    _added(stage, thread, response_id=own)
    talk = thread.conversation_id
    yield Case("the store's id", lambda: emails.get(talk, minted), budget=1)
    yield Case("the caller's id", lambda: emails.get(talk, own))


def emails_get_by_response_id(stage: Stage) -> Iterator[Case]:
    emails, thread, own = stage.store.emails, _thread(stage), stage.fresh("response")
    minted = _added(stage, thread).response_id
    _added(stage, thread, response_id=own)
    yield Case("the store's id", lambda: emails.get_by_response_id(minted), budget=1)
    yield Case("the caller's id", lambda: emails.get_by_response_id(own))


def emails_get_by_message_id(stage: Stage) -> Iterator[Case]:
    emails, thread, message_id = stage.store.emails, _thread(stage), stage.fresh("mail")
    _added(stage, thread, message_id=message_id)
    yield Case("", lambda: emails.get_by_message_id(thread.account_id, message_id))


def emails_list_by_account(stage: Stage) -> Iterator[Case]:
    emails, thread = stage.store.emails, _thread(stage, emails=25)
    yield Case("a page of 20", lambda: emails.list_by_account(thread.account_id))


def emails_list_by_first_email(stage: Stage) -> Iterator[Case]:
    emails, thread = stage.store.emails, _thread(stage, emails=5)
    yield Case("first", lambda: emails.list_by_first_email(thread.account_id, True))
    yield Case("following", lambda: emails.list_by_first_email(thread.account_id, False))


def emails_move(stage: Stage) -> Iterator[Case]:
    emails, thread, own = stage.store.emails, _thread(stage), stage.fresh("response")
    minted = _added(stage, thread).response_id
    _added(stage, thread, response_id=own)
    talk = thread.conversation_id
    yield Case("the store's id", lambda: emails.move(talk, minted, "processed"), budget=1)
    yield Case("the caller's id", lambda: emails.move(talk, own, "processed"))


# -- threads ------------------------------------------------------------------------------------


def threads_get(stage: Stage) -> Iterator[Case]:
    thread = _thread(stage)
    yield Case("", lambda: stage.store.threads.get(thread.conversation_id))


def threads_update(stage: Stage) -> Iterator[Case]:
    thread, threads = _thread(stage), stage.store.threads
    yield Case("", lambda: threads.update(thread.conversation_id, status="closed", priority=5))


def threads_list_by_account(stage: Stage) -> Iterator[Case]:
    thread = _thread(stage)
    yield Case("", lambda: stage.store.threads.list_by_account(thread.account_id))


def threads_delete(stage: Stage) -> Iterator[Case]:
    threads, small = stage.store.threads, _thread(stage, emails=3)
    yield Case("3 e-mails", lambda: threads.delete(small.conversation_id), deleted)
    large = _thread(stage, emails=50)
    yield Case(
        "50 e-mails, 100 items", lambda: threads.delete(large.conversation_id), deleted, budget=4
    )


# -- scores -------------------------------------------------------------------------------------


def scores_record(stage: Stage) -> Iterator[Case]:
    thread, scores = _thread(stage), stage.store.scores
    talk, account, factors = thread.conversation_id, thread.account_id, {"urgency": 0.8}
    yield Case("", lambda: scores.record(talk, 0.85, factors=factors, account_id=account), budget=1)
    yield Case("without the account", lambda: scores.record(talk, 0.85, factors=factors))


def scores_latest(stage: Stage) -> Iterator[Case]:
    talk, scores = _thread(stage).conversation_id, stage.store.scores
    scores.record(talk, 0.85)
    yield Case("", lambda: scores.latest(talk))


def scores_list_by_conversation(stage: Stage) -> Iterator[Case]:
    talk, scores = _thread(stage).conversation_id, stage.store.scores
    for place in range(3):
        stage.later()
        scores.record(talk, place / 10)
    yield Case("", lambda: scores.list_by_conversation(talk))
