"""E-mails that arrive in any order, some of them twice, and move through their states."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from dynamo_chat import ChatStore, NewEmail, keyspace
from dynamo_chat.core.errors import AlreadyExists, Conflict, IllegalTransition, NotFound
from dynamo_chat.core.layout import PK
from dynamo_chat.mail.email import EmailContent, EmailSummary
from dynamo_chat.mail.scores import EVScore
from dynamo_chat.mail.thread import EmailThread
from proof.evidence import Claim, Evidence, Violation, left_behind
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

THREADS: Final = tuple(f"mail-{number}" for number in range(12))
ACCOUNTS: Final = tuple(f"agency-{number}" for number in range(3))
START: Final = datetime(2024, 5, 1, tzinfo=UTC)
STAGES: Final = ("received", "processed", "responded")


def account_of(thread: str) -> str:
    """The account of a thread: always the same, whoever writes."""
    return ACCOUNTS[sum(thread.encode()) % len(ACCOUNTS)]


# -- calls --------------------------------------------------------------------------------------


def _add(store: ChatStore, args: Args) -> Json:
    new = NewEmail(
        account_id=account_of(args["thread"]),
        sender_email=args["sender"],
        recipient_email="us@example.com",
        subject="rain",
        body=args["id"],
        timestamp=START + timedelta(seconds=args["second"]),
        message_id=args["message_id"],
        response_id=args["response_id"],
    )
    return {"id": store.emails.add(args["thread"], new).response_id}


def _move(store: ChatStore, args: Args) -> Json:
    return {"status": store.emails.move(args["thread"], args["id"], args["status"]).status}


def _update(store: ChatStore, args: Args) -> Json:
    store.threads.update(args["thread"], priority=args["priority"])


def _score(store: ChatStore, args: Args) -> Json:
    moment = START - timedelta(seconds=args["second"])  # never ahead of the clock
    store.scores.record(args["thread"], 1.5, at=moment, algorithm_version=args["id"])


def _find(store: ChatStore, args: Args) -> Json:
    return {"body": store.emails.get_by_response_id(args["id"]).body}


def _walk(store: ChatStore, args: Args) -> Json:
    ids: list[str] = []
    cursor = None
    while True:
        page = store.emails.list_by_account(args["account"], page_size=50, cursor=cursor)
        ids += [each.response_id for each in page]
        cursor = page.cursor
        if cursor is None:
            return ids


def _delete(store: ChatStore, args: Args) -> Json:
    return {"items": store.threads.delete(args["thread"])}


# -- plans --------------------------------------------------------------------------------------


def _new(dice: Dice, thread: str) -> Args:
    email_id = dice.fresh("e")
    return {
        "thread": thread,
        "id": email_id,
        "sender": f"sender-{dice.randrange(5)}@example.com",
        "second": dice.randrange(100_000),
        "message_id": f"<{email_id}@mail>" if dice.random() < 0.5 else None,
        "response_id": email_id,
    }


def _plan_add(dice: Dice) -> Args:
    args = _new(dice, dice.choice(THREADS))
    dice.remember("email", args)
    return args


def _plan_nameless(dice: Dice) -> Args:
    return _new(dice, dice.choice(THREADS)) | {"response_id": None, "message_id": None}


def _plan_twice(dice: Dice) -> Sequence[Step]:
    """One e-mail is delivered twice at the same time; only its Message-ID is the same."""
    args = _new(dice, dice.choice(THREADS)) | {"response_id": None}
    args["message_id"] = f"<{args['id']}@mail>"
    return [Step("mail.add", args)] * 2


def _plan_move(dice: Dice) -> Args | None:
    known = dice.recall("email")
    return known and {
        "thread": known["thread"],
        "id": known["id"],
        "status": dice.choice(STAGES[1:]),
    }


def _plan_find(dice: Dice) -> Args | None:
    known = dice.recall("email")
    return known and {"thread": known["thread"], "id": known["id"]}


def _plan_doomed(dice: Dice) -> Sequence[Step]:
    known = dice.recall("doomed")
    luck = dice.random()
    if known is None or luck < 0.3:
        known = dice.remember("doomed", dice.fresh("doomed-mail"))
    adds = [Step("mail.add_doomed", _new(dice, known)) for _ in range(dice.randrange(1, 3))]
    return [*adds, Step("mail.delete", {"thread": known})] if luck > 0.7 else adds


def _setup() -> Iterator[Step]:
    for number, thread in enumerate(THREADS):
        args = {
            "thread": thread,
            "id": f"first-{number}",
            "sender": "first@example.com",
            "second": 50_000,
            "message_id": None,
            "response_id": f"first-{number}",
        }
        yield Step("mail.add", args)


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    for thread in sorted({call.args["thread"] for call in calls if call.kind == "mail.delete"}):
        if any(call.is_unknown for call in calls if call.args.get("thread") == thread):
            yield Step("mail.delete", {"thread": thread})
    for account in ACCOUNTS:
        yield Step("mail.walk", {"account": account})


# -- what is claimed, and what is there ---------------------------------------------------------


def _claims_email(call: Call) -> Iterable[Claim]:
    yield Claim(f"e-mail {call.args['id']} in {call.args['thread']}")


def _claims_score(call: Call) -> Iterable[Claim]:
    yield Claim(f"score {call.args['id']} of {call.args['thread']}")


def _found(evidence: Evidence) -> Iterator[str]:
    for content in evidence.entities(EmailContent):
        if content.conversation_id in THREADS:
            yield f"e-mail {content.body} in {content.conversation_id}"
    for score in evidence.entities(EVScore):
        yield f"score {score.algorithm_version} of {score.conversation_id}"


# -- what must hold -----------------------------------------------------------------------------


def _threads(evidence: Evidence) -> Iterator[Violation]:
    """A thread has the right number of e-mails, the latest time and the right participants."""
    emails: dict[str, list[Any]] = defaultdict(list)
    for email in evidence.entities(EmailSummary):
        emails[email.conversation_id].append(email)
    threads = {each.conversation_id: each for each in evidence.entities(EmailThread)}
    for name, thread in threads.items():
        own = emails[name]
        if thread.message_count != len(own):
            text = f"{name} counts {thread.message_count} e-mails and has {len(own)}"
            yield Violation("message_count of a thread", text)
        if own and thread.last_message_at != max(each.timestamp for each in own):
            yield Violation("latest e-mail of a thread", f"{name}: {thread.last_message_at}")
        if missing := {each.sender_email for each in own} - thread.participants:
            yield Violation("participants of a thread", f"{name} lacks {sorted(missing)}")
        if sum(each.is_first_email for each in own) != 1:
            yield Violation("first e-mail of a thread", f"{name} does not have one")
    buried = {item[PK]["S"] for item in evidence.stored(keyspace.EMAIL_THREAD_TOMBSTONE)}
    for name in emails.keys() - threads.keys():
        if keyspace.EMAIL_THREAD.key(conversation_id=name)[PK]["S"] not in buried:
            yield Violation("e-mails without a thread", name)


def _pairs(evidence: Evidence) -> Iterator[Violation]:
    """Every e-mail has its content, and every content its e-mail."""
    records = _places(evidence.entities(EmailSummary))
    contents = _places(evidence.entities(EmailContent))
    doomed = {call.args["thread"] for call in evidence.of("mail.delete")}
    if halves := {each for each in records ^ contents if each[0] not in doomed}:
        yield Violation("half an e-mail", str(sorted(halves)))


def _moved(evidence: Evidence) -> Iterator[Violation]:
    """The state of an e-mail is at least as far as an acknowledged call moved it."""
    status = {
        (each.conversation_id, each.response_id): STAGES.index(each.status)
        for each in evidence.entities(EmailSummary)
    }
    for call in evidence.of("mail.move"):
        place = (call.args["thread"], call.args["id"])
        if call.is_ok and status.get(place, -1) < STAGES.index(call.result["status"]):
            yield Violation("an e-mail moved back", str(call))


def _found_again(evidence: Evidence) -> Iterator[Violation]:
    for call in evidence.of("mail.find"):
        if call.is_ok and call.result["body"] != call.args["id"]:
            yield Violation("another e-mail found", str(call))


def _walks(evidence: Evidence) -> Iterator[Violation]:
    """The last list of an account shows exactly what is stored."""
    own: dict[str, list[str]] = defaultdict(list)
    for email in evidence.entities(EmailSummary):
        own[email.account_id].append(email.response_id)
    for call in evidence.of("mail.walk"):
        if call.is_ok and call.call_id.startswith("end-"):
            account = call.args["account"]
            if sorted(call.result) != sorted(own[account]):
                differing: Counter[str] = Counter(call.result)
                differing.subtract(own[account])
                wrong = {name: count for name, count in differing.items() if count}
                yield Violation("an account's e-mails", f"{account}: {wrong}")


def _gone(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is left of a thread that was deleted after everything had been added."""
    return left_behind(
        evidence,
        keyspace.EMAIL_THREAD,
        "conversation_id",
        of="thread",
        made_by="mail.add_doomed",
        deleted_by="mail.delete",
    )


def _places(emails: Iterable[Any]) -> set[tuple[Any, ...]]:
    return {(each.conversation_id, str(each.timestamp), each.entry_id) for each in emails}


DOMAIN: Final = Domain(
    name="mail",
    weight=2,
    actions={
        "mail.add": Action(_add, claims=_claims_email),
        "mail.add_nameless": Action(_add, claims=_claims_email, repeatable=False),
        "mail.add_doomed": Action(_add, refusals=(Conflict, AlreadyExists)),
        "mail.move": Action(_move, refusals=(NotFound, IllegalTransition), about=_claims_email),
        "mail.update": Action(_update),
        "mail.score": Action(_score, claims=_claims_score),
        "mail.find": Action(_find, refusals=(NotFound,), about=_claims_email),
        "mail.walk": Action(_walk),
        "mail.delete": Action(_delete, refusals=(NotFound,), many=True),
    },
    plans=[
        (8, alone("mail.add", _plan_add)),
        (4, alone("mail.add_nameless", _plan_nameless)),
        (3, _plan_twice),
        (5, alone("mail.move", _plan_move)),
        (
            2,
            alone(
                "mail.update",
                lambda dice: {"thread": dice.choice(THREADS), "priority": dice.randrange(1, 11)},
            ),
        ),
        (
            2,
            alone(
                "mail.score",
                lambda dice: {
                    "thread": dice.choice(THREADS),
                    "second": dice.randrange(10**9),
                    "id": dice.fresh("score"),
                },
            ),
        ),
        (3, alone("mail.find", _plan_find)),
        (1, alone("mail.walk", lambda dice: {"account": dice.choice(ACCOUNTS)})),
        (3, _plan_doomed),
    ],
    setup=_setup,
    settle=_settle,
    found=_found,
    checks=[
        ("threads", _threads),
        ("pairs of e-mails", _pairs),
        ("moves of e-mails", _moved),
        ("look-ups of e-mails", _found_again),
        ("lists of e-mails", _walks),
        ("deletions of threads", _gone),
    ],
)
