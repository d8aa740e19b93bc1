"""A walk through the access patterns of e-mails, their threads and scores (M1–M12)."""

from __future__ import annotations

from dynamo_chat.cli.item_words import words
from dynamo_chat.cli.walks.step import Step, Walk, own, several
from dynamo_chat.mail.email import EmailMessage, NewEmail
from dynamo_chat.store import ChatStore


def walk_through_mail(store: ChatStore, shown: EmailMessage) -> Walk:
    """M1–M12 on this store; `shown` is the e-mail that reading looks at."""
    emails, identity = store.emails, own("conversation")
    new = NewEmail(
        account_id=own("account"),
        sender_email="walker@example.com",
        recipient_email="office@example.com",
        subject="A walk",
        body="Which renders are 4K?",
        message_id=f"<{identity}@example.com>",
        is_first_email=True,  # known, so it takes one request
    )
    added: EmailMessage = yield Step("emails.add", lambda: emails.add(identity, new), words)
    yield Step(
        "emails.add",
        lambda: emails.add(identity, new),
        lambda _: "delivered again: it is there once",
    )
    yield from _finding(store, shown)
    yield Step(
        "emails.move",
        lambda: emails.move(identity, added.response_id, "processed", ev_score=0.8),
        lambda moved: f"from received to {moved.status}, expected value {moved.ev_score}",
    )
    yield from _threading(store, identity, shown)
    yield from _scoring(store, identity, shown)
    yield Step(
        "threads.delete",
        lambda: store.threads.delete(identity),
        lambda count: f"{count} items of the walk's conversation are gone",
    )


def _finding(store: ChatStore, shown: EmailMessage) -> Walk:
    emails, account, identity = store.emails, shown.account_id, shown.conversation_id
    yield Step(
        "emails.list_by_conversation",
        lambda: emails.list_by_conversation(identity),
        lambda page: several(page, lambda email: f"'{email.body}'"),
    )
    yield Step("emails.get", lambda: emails.get(identity, shown.response_id), words)
    yield Step(
        "emails.list_by_account",
        lambda: emails.list_by_account(account),
        lambda page: several(page, words),
    )
    yield Step(
        "emails.list_by_first_email",
        lambda: emails.list_by_first_email(account, False),
        lambda page: f"{len(page)} that follow another one",
    )
    message_id = shown.message_id
    if message_id is not None:
        yield Step(
            "emails.get_by_message_id",
            lambda: emails.get_by_message_id(account, message_id),
            words,
        )
    yield Step(
        "emails.get_by_response_id",
        lambda: emails.get_by_response_id(shown.response_id),
        words,
    )


def _threading(store: ChatStore, identity: str, shown: EmailMessage) -> Walk:
    threads = store.threads
    yield Step("threads.get", lambda: threads.get(shown.conversation_id), words)
    yield Step(
        "threads.update",
        lambda: threads.update(identity, urgency="high", priority=9),
        lambda thread: f"urgency {thread.urgency}, priority {thread.priority}",
    )
    yield Step(
        "threads.list_by_account",
        lambda: threads.list_by_account(shown.account_id),
        lambda page: several(page, words),
    )


def _scoring(store: ChatStore, identity: str, shown: EmailMessage) -> Walk:
    scores = store.scores
    yield Step(
        "scores.record",
        lambda: scores.record(identity, 0.8, factors={"urgency": 0.9}, confidence_score=0.7),
        words,
    )
    yield Step("scores.latest", lambda: scores.latest(shown.conversation_id), words)
    yield Step(
        "scores.list_by_conversation",
        lambda: scores.list_by_conversation(shown.conversation_id),
        lambda page: several(page, words),
    )
