"""E-mails and threads against plain dictionaries: any calls in any order."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from dynamo_chat import EmailMessage, EmailThread, EVScore, NewEmail
from dynamo_chat.core.errors import AlreadyExists, Conflict, IllegalTransition, NotFound
from dynamo_chat.mail.email import EmailStatus
from dynamo_chat.mail.emails import COMES_FROM
from dynamo_chat.testing import Engine
from tests.machines import walks
from tests.mail.scenes import new_email, open_scene
from tests.scene import Scene

CONVERSATIONS = ("c-1", "c-2", "c 3#")
ACCOUNTS = ("a-1", "a-2")
ADDRESSES = ("ann@example.com", "bob@example.com", "carl@example.com")

conversations = st.sampled_from(CONVERSATIONS)
news = st.builds(
    new_email,
    account_id=st.sampled_from(ACCOUNTS),
    sender_email=st.sampled_from(ADDRESSES),
    recipient_email=st.sampled_from(ADDRESSES),
    subject=st.sampled_from(["", "Prices", "Re: Prices"]),
    body=st.sampled_from(["", "What does it cost?", "Much. " * 500]),
    response_id=st.sampled_from([None, None, "r-1", "r-2", "r-3"]),
    message_id=st.sampled_from([None, None, "<1@example.com>", "<2@example.com>"]),
    is_first_email=st.sampled_from([None, True, False]),
    thread_id=st.sampled_from([None, None, None, "t-1"]),
    status=st.sampled_from(["received", "received", "scheduled"]),
)
minutes = st.integers(0, 6)


@dataclass
class Talk:
    """What the model knows of one conversation."""

    thread: dict[str, Any]
    emails: list[EmailMessage] = field(default_factory=list)
    scores: list[EVScore] = field(default_factory=list)

    def in_order(self) -> list[EmailMessage]:
        return sorted(self.emails, key=lambda email: email.timestamp)


class MailMachine(RuleBasedStateMachine):
    """One table, one clock, a handful of conversations."""

    engine: ClassVar[Engine]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.scene: Scene = self.stack.enter_context(open_scene(self.engine))
        self.store = self.scene.store
        self.start: datetime = self.scene.clock() - timedelta(hours=1)
        self.talks: dict[str, Talk] = {}
        self.said: dict[str, NewEmail] = {}
        """By response id and conversation: what the e-mail was added as."""

    def teardown(self) -> None:
        self.stack.close()  # checks the table

    # -- adding

    @rule(conversation=conversations, new=news, minute=minutes)
    def add(self, conversation: str, new: NewEmail, minute: int) -> None:
        self._add(conversation, new.model_copy(update={"timestamp": self._at(minute)}))

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def add_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.said)))
        conversation, _, _ = name.partition("|")
        self._add(conversation, self.said[name])

    def _add(self, conversation: str, new: NewEmail) -> None:
        self.scene.clock.advance(1)
        taken = self._taken(conversation, new)
        talk = self.talks.get(conversation)
        if taken is not None:
            there, is_same = taken
            if is_same:
                assert self.store.emails.add(conversation, new) == there
                return
            is_own = there.account_id == new.account_id
            with pytest.raises(AlreadyExists if is_own else Conflict) as refused:
                self.store.emails.add(conversation, new)
            # Another account is refused as if the id were free.
            assert refused.value.current == (there if is_own else None)
            assert isinstance(refused.value, AlreadyExists) == is_own
            return
        if talk is not None and (
            talk.thread["account_id"] != new.account_id
            or new.thread_id not in {None, talk.thread["thread_id"]}
        ):
            with pytest.raises(Conflict):
                self.store.emails.add(conversation, new)
            return
        made = self.store.emails.add(conversation, new)
        assert made.is_first_email == (
            talk is None if new.is_first_email is None else new.is_first_email
        )
        self.said[f"{conversation}|{made.response_id}"] = new
        if talk is None:
            talk = self.talks[conversation] = self._opened(conversation, new)
        assert made.thread_id == talk.thread["thread_id"]
        self._keep_in_step(talk, made)

    def _opened(self, conversation: str, new: NewEmail) -> Talk:
        now = self.scene.clock()
        return Talk(
            {
                "conversation_id": conversation,
                "account_id": new.account_id,
                "thread_id": new.thread_id or conversation,
                "created_at": now,
                "subject": new.subject,
                "participants": frozenset(),
                "message_count": 0,
                "last_message_at": new.timestamp,
            }
        )

    def _keep_in_step(self, talk: Talk, made: EmailMessage) -> None:
        thread = talk.thread
        thread["updated_at"] = self.scene.clock()
        thread["message_count"] += 1
        thread["last_message_at"] = max(thread["last_message_at"], made.timestamp)
        thread["participants"] |= {made.sender_email, made.recipient_email}
        if made.is_first_email and made.subject:
            thread["subject"] = made.subject
        talk.emails.append(made)

    def _taken(self, conversation: str, new: NewEmail) -> tuple[EmailMessage, bool] | None:
        """The e-mail that has an id of `new`, and whether it is that e-mail."""
        for name, talk in self.talks.items():
            for there in talk.emails:
                as_added = self.said[f"{name}|{there.response_id}"]
                by_id = name == conversation and new.response_id == there.response_id
                by_message = new.message_id is not None and (
                    (new.account_id, new.message_id) == (there.account_id, there.message_id)
                )
                ignored = {"response_id"}
                is_same = name == conversation and as_added.model_dump(
                    exclude=ignored
                ) == new.model_dump(exclude=ignored)
                if by_id and new.response_id is not None:
                    return there, is_same
                if by_message and not self._has(conversation, new.response_id):
                    return there, is_same and new.response_id in {None, there.response_id}
        return None

    def _has(self, conversation: str, response_id: str | None) -> bool:
        talk = self.talks.get(conversation)
        return talk is not None and any(e.response_id == response_id for e in talk.emails)

    # -- changing

    @precondition(lambda self: self.talks)
    @rule(
        data=st.data(),
        status=st.sampled_from(sorted(COMES_FROM)),
        answer=st.sampled_from([None, "Yes.", "No. " * 400]),
    )
    def move(self, data: st.DataObject, status: EmailStatus, answer: str | None) -> None:
        talk = self.talks[data.draw(st.sampled_from(sorted(self.talks)))]
        place = data.draw(st.integers(0, len(talk.emails) - 1))
        email = talk.emails[place]
        name = (email.conversation_id, email.response_id)
        if email.status == status:
            moved = self.store.emails.move(*name, status, ai_response=answer)
            assert moved.ai_response == email.ai_response
        elif email.status in COMES_FROM[status]:
            moved = self.store.emails.move(*name, status, ai_response=answer, ev_score=0.25)
            change = {"status": status, "ai_response": answer, "ev_score": 0.25}
            talk.emails[place] = email.model_copy(update=change)
        else:
            with pytest.raises(IllegalTransition):
                self.store.emails.move(*name, status)

    @precondition(lambda self: self.talks)
    @rule(
        data=st.data(),
        changes=st.fixed_dictionaries(
            {},
            optional={
                "status": st.sampled_from(["active", "closed", "archived"]),
                "urgency": st.sampled_from([None, "high", "low"]),
                "priority": st.none() | st.integers(1, 10),
                "auto_response_enabled": st.booleans(),
            },
        ),
    )
    def update(self, data: st.DataObject, changes: dict[str, Any]) -> None:
        talk = self.talks[data.draw(st.sampled_from(sorted(self.talks)))]
        self.scene.clock.advance(1)
        talk.thread |= {**changes, "updated_at": self.scene.clock()}
        updated = self.store.threads.update(talk.thread["conversation_id"], **changes)
        assert updated == EmailThread(**talk.thread)

    @rule(conversation=conversations, value=st.integers(0, 10))
    def score(self, conversation: str, value: int) -> None:
        self.scene.clock.advance(1)
        if conversation not in self.talks:
            with pytest.raises(NotFound):
                self.store.scores.record(conversation, value)
            return
        made = self.store.scores.record(conversation, value)
        self.talks[conversation].scores.append(made)

    @rule(conversation=conversations)
    def delete(self, conversation: str) -> None:
        talk = self.talks.pop(conversation, None)
        if talk is None:
            with pytest.raises(NotFound):
                self.store.threads.delete(conversation)
            return
        self.store.threads.delete(conversation)
        for email in talk.emails:
            del self.said[f"{conversation}|{email.response_id}"]

    # -- reading

    @rule(conversation=conversations, newest_first=st.booleans(), size=st.integers(1, 4))
    def read(self, conversation: str, newest_first: bool, size: int) -> None:
        talk = self.talks.get(conversation)
        if talk is None:
            with pytest.raises(NotFound):
                self.store.threads.get(conversation)
            with pytest.raises(NotFound):
                self.store.emails.list_by_conversation(conversation, newest_first=newest_first)
            return
        assert self.store.threads.get(conversation) == EmailThread(**talk.thread)
        expected = talk.in_order()
        assert self._pages(conversation, newest_first, size) == (
            expected[::-1] if newest_first else expected
        )
        assert self.store.scores.latest(conversation) == (talk.scores[-1] if talk.scores else None)

    def _pages(self, conversation: str, newest_first: bool, size: int) -> list[EmailMessage]:
        found: list[EmailMessage] = []
        cursor = None
        while True:
            page = self.store.emails.list_by_conversation(
                conversation, newest_first=newest_first, page_size=size, cursor=cursor
            )
            found += page
            cursor = page.cursor
            if cursor is None:
                return found

    @rule(account=st.sampled_from(ACCOUNTS), since=minutes, until=minutes)
    def read_account(self, account: str, since: int, until: int) -> None:
        since, until = sorted((since, until))
        within: dict[str, Any] = {"since": self._at(since), "until": self._at(until)}
        mine = [
            email
            for talk in self.talks.values()
            for email in talk.emails
            if email.account_id == account and within["since"] <= email.timestamp < within["until"]
        ]
        found = self.store.emails.list_by_account(account, **within, page_size=100)
        assert [e.timestamp for e in found] == sorted((e.timestamp for e in mine), reverse=True)
        assert {e.response_id for e in found} == {e.response_id for e in mine}
        firsts = self.store.emails.list_by_first_email(account, True, **within, page_size=100)
        assert {e.response_id for e in firsts} == {e.response_id for e in mine if e.is_first_email}
        threads = [
            EmailThread(**talk.thread)
            for talk in self.talks.values()
            if talk.thread["account_id"] == account
        ]
        latest = self.store.threads.list_by_account(account)
        assert sorted(latest, key=str) == sorted(threads, key=str)
        assert [each.last_message_at for each in latest] == sorted(
            (each.last_message_at for each in threads), reverse=True
        )

    @precondition(lambda self: self.talks)
    @rule(data=st.data())
    def find(self, data: st.DataObject) -> None:
        talk = self.talks[data.draw(st.sampled_from(sorted(self.talks)))]
        email = data.draw(st.sampled_from(talk.emails))
        assert self.store.emails.get(email.conversation_id, email.response_id) == email
        if email.message_id is not None:
            found = self.store.emails.get_by_message_id(email.account_id, email.message_id)
            assert found.response_id == email.response_id

    def _at(self, minute: int) -> datetime:
        return self.start + timedelta(minutes=minute)


@pytest.mark.once
@pytest.mark.engine
def test_mail_does_what_plain_dictionaries_do(dynamo_chat_engine: Engine) -> None:
    class Machine(MailMachine):
        engine = dynamo_chat_engine

    run_state_machine_as_test(Machine, settings=walks(dynamo_chat_engine))
