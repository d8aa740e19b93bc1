"""Two lives of the same ids: first they are Ann's, then Zed's, who says so in everything he has.

Ann never sees, changes or deletes anything that says "zed".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from dynamo_chat import ChatStore, Feedback, NewEmail, NewInteraction, NewInvocation
from tests.chat.scenes import assistant, user
from tests.scene import DAY, MINUTE, Item, Scene
from tooling.everything import PERIOD, Everything

OLD, NEW = "ann", "zed"
HOUR: Final = timedelta(hours=1)
LONG: Final = timedelta(days=60)
ULID: Final = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")

Live = Callable[[ChatStore, str, Everything, str], Everything]
"""Makes all that somebody can have under these ids, in these words; the estate that it is, with
ids that the store made."""


@dataclass(frozen=True)
class Domain:
    """What one domain keeps under an id, and how the id becomes free."""

    live: Live
    free: Callable[[ChatStore, Everything], object] | None = None
    """None where nothing deletes it: it has expired, and DynamoDB removed it."""
    wait: timedelta = timedelta(0)
    """How long Ann's life lasts before her call."""
    then: Callable[[ChatStore, Everything], object] | None = None
    """What both do after some time; Ann then waits once more."""

    def played(self, scene: Scene, words: str) -> tuple[Everything, list[Item], list[Item]]:
        """Ann's estate, the table while the ids are hers, and the table once they are Zed's.

        He has other words than she has, or these very same ones: a condition on what was said
        tells nobody who said it.
        """
        store = scene.new_store()
        estate = self.live(store, OLD, Everything.named(OLD), words or OLD)
        scene.clock.advance(self.wait)
        if self.then is not None:
            self.then(store, estate)
            scene.clock.advance(self.wait)
        before = scene.items()
        if self.free is None:
            scene.restore([])
        else:
            self.free(store, estate)
        self.live(store, NEW, estate, words or NEW)
        if self.then is not None:
            self.then(store, estate)
        after = scene.items()
        return estate, before, retold(before, after)


def retold(before: list[Item], after: list[Item]) -> list[Item]:
    """`after`, as if it had been brought in with the positions that `before` has.

    Where nothing but chance keeps two lives apart, nothing does here.
    """
    was, is_now = _ulids(before), _ulids(after)
    assert len(was) == len(is_now), "both lives are made of the same calls"
    names = dict(zip(is_now, was, strict=True))
    return [_renamed(item, names) for item in after]


def _ulids(items: list[Item]) -> list[str]:
    return sorted({found for item in items for found in ULID.findall(repr(item))})


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return ULID.sub(lambda found: names[found.group()], value)
    if isinstance(value, dict):
        return {name: _renamed(each, names) for name, each in value.items()}
    return [_renamed(each, names) for each in value] if isinstance(value, list) else value


# -- the domains --------------------------------------------------------------------------------


def _chat(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    talk = ids.conversation_id
    store.conversations.create(
        name, conversation_id=talk, title=ids.user_id, preferences={"of": words}
    )
    first = store.messages.append(talk, user(f"{words} asks"))
    brought = assistant(f"to {words}", message_id=ids.brought_id)
    store.messages.append(talk, brought)
    store.messages.append(talk, user(f"{words} asks on"))
    store.messages.append(
        talk, assistant(f"{words}…", message_id=f"s-{ids.user_id}", is_streaming=True)
    )
    for each in (first.message_id, ids.brought_id):
        store.messages.give_feedback(
            talk, each, Feedback(type="positive", rank=5, text=f"{words} likes it")
        )
    store.states.save(talk, {"of": words})
    store.reviews.create(talk, f"judge of {words}", review_id=ids.review_id)
    return replace(ids, message_id=first.message_id)


def _streaming(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    """A conversation whose brought id is still arriving."""
    talk = ids.conversation_id
    store.conversations.create(name, conversation_id=talk)
    store.messages.append(
        talk, assistant(f"{words}…", message_id=ids.brought_id, is_streaming=True)
    )
    return ids


def _sliding(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    """A conversation that expires some time after its latest message, and keeps three of them."""
    talk = ids.conversation_id
    retention = LONG if name == OLD else DAY
    store.conversations.create(
        name, conversation_id=talk, retention=retention, sliding=True, keep_last=3, title=words
    )
    for number in range(4):
        store.messages.append(talk, user(f"{words} {number}", message_id=f"m-{number}"))
    store.messages.give_feedback(talk, "m-2", Feedback(type="positive", text=words))
    store.states.save(talk, {"of": words})
    store.reviews.create(talk, f"judge of {words}", review_id=ids.review_id)
    return ids


def _mail(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    account, thread = f"account-{name}", ids.thread_id
    minted = ""
    now: datetime = store._binding.clock()
    for place in range(3):
        said = NewEmail(
            account_id=account,
            sender_email=f"{name}@example.com",
            recipient_email="desk@example.com",
            subject=f"For {words}",
            body=f"Hello {words}",
            response_id=ids.brought_response_id if place == 1 else None,
            message_id=ids.rfc_id if place == 0 else None,
            timestamp=now,
        )
        added = store.emails.add(thread, said)
        minted = minted or added.response_id
    store.scores.record(thread, 0.5, metadata={"of": words}, at=now)
    for place in range(2):
        used = NewInteraction(
            account_id=account,
            function_name=f"of {words}",
            model_used="m",
            prompt=f"{words}?",
            prompt_tokens=1,
            response_tokens=1,
            response_time_ms=5,
            interaction_id=f"i-{place}",
            generated_at=now + place * MINUTE,
        )
        store.llm.record(thread, used)
    return replace(ids, response_id=minted)


def _telemetry(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    account = f"account-{name}"
    ran = NewInvocation(
        account_id=account,
        function_name=f"of {words}",
        invocation_id=ids.invocation_id,
        duration_ms=Decimal(5),
        status="success",
    )
    store.invocations.record(ran)
    report = store.reports.build(account, PERIOD)
    store.reports.load(report.model_copy(update={"report_id": "p-1"}))
    return replace(ids, report_id="p-1")


def _invites(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    for each in (OLD, NEW):
        if not any(member.organization_id == f"org-{each}" for member in _member_of(store, each)):
            store.users.create(f"{each}@example.com", user_id=each)
            store.organizations.create(each, each, organization_id=f"org-{each}")
            if each == OLD:
                store.users.create("new@example.com", user_id="new")
    store.invites.create(
        f"org-{name}",
        f"new-{name}@example.com",
        invited_by=name,
        invite_id=ids.invite_id,
        token=f"token-of-the-invite-{name}",
    )
    return ids


def _member_of(store: ChatStore, user_id: str) -> Any:
    return store.members.list_by_user(user_id)


def _members(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    """Ann and her friend are members of the organization of `name`, which others own."""
    for each in (OLD, NEW):
        keeper = f"keeper-{each}"
        if not any(_member_of(store, keeper)):
            store.users.create(f"{keeper}@example.com", user_id=keeper)
            store.organizations.create(each, keeper, organization_id=f"org-{each}")
    if name == OLD:
        for each in (ids.user_id, f"friend-{ids.user_id}", "somebody"):
            store.users.create(f"{each}@example.com", user_id=each)
        store.members.add(f"org-{name}", "somebody", role="owner")
    for each in (ids.user_id, f"friend-{ids.user_id}"):
        store.members.add(f"org-{name}", each, permissions={"of": words})
    return ids


def _leave(store: ChatStore, ids: Everything) -> None:
    for each in (ids.user_id, f"friend-{ids.user_id}"):
        store.members.remove(f"org-{OLD}", each)


def _logins(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    for each in (OLD, NEW):
        store.users.create(f"{each}@example.com", user_id=each)
    opened = store.logins.create(name, secret=ids.secret, user_agent=f"of {words}")
    return replace(ids, login=opened.login)


def _calls(store: ChatStore, name: str, ids: Everything, words: str) -> Everything:
    for each in (OLD, f"friend-{OLD}", NEW, f"friend-{NEW}"):
        store.callers.create(each)
    store.calls.start(name, f"friend-{name}", call_id=ids.call_id, room_name=ids.room_name)
    return ids


DOMAINS: Final[dict[str, Domain]] = {
    "chat": Domain(_chat, lambda store, ids: store.conversations.delete(ids.conversation_id)),
    "streaming": Domain(
        _streaming, lambda store, ids: store.conversations.delete(ids.conversation_id)
    ),
    "aging": Domain(
        _sliding,
        lambda store, ids: store.conversations.delete(ids.conversation_id),
        wait=LONG - HOUR,
        then=lambda store, ids: store.messages.append(ids.conversation_id, user("still here")),
    ),
    "idle": Domain(_sliding, lambda store, ids: None, wait=LONG + HOUR),
    "mail": Domain(_mail, lambda store, ids: store.threads.delete(ids.thread_id)),
    "telemetry": Domain(_telemetry),
    "invites": Domain(_invites, lambda store, ids: store.invites.delete(ids.invite_id)),
    "members": Domain(_members, _leave),
    "logins": Domain(_logins),
    "calls": Domain(_calls),
}

_OF: Final = {
    "conversations": "chat",
    "messages": "chat",
    "states": "chat",
    "reviews": "chat",
    "threads": "mail",
    "emails": "mail",
    "scores": "mail",
    "llm": "mail",
    "reports": "telemetry",
    "invocations": "telemetry",
}


def domain_of(name: str) -> str:
    """The domain that an attempt of this name is about."""
    for remark, domain in (("finish", "streaming"), ("renewing", "aging"), ("idle", "idle")):
        if remark in name:
            return domain
    repository = name.partition(".")[0]
    return _OF.get(repository, repository)
