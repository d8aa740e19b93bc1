"""Ids that are reused: deleted by several workers at once, and created again at once.

A *life* is what an id names from one creation to the next deletion. Each creation writes a unique
title or name, so every read shows which life it saw. An addition that was acknowledged during a
life belongs to that life.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from dynamo_chat import ChatStore, NewEmail, NewMessage
from dynamo_chat.core.errors import AlreadyExists, Conflict, NotFound
from proof.domains.life_checks import CHECKS
from proof.domains.life_names import CLUB, HOSTS, LIFE, SEEN, account_of, address_of
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Plan, Step

TALKS: Final = tuple(f"{LIFE}talk-{number}" for number in range(3))
OWNERS: Final = tuple(f"{LIFE}owner-{number}" for number in range(2))
USERS: Final = tuple(f"{LIFE}user-{number}" for number in range(3))
FIRMS: Final = tuple(f"{LIFE}firm-{number}" for number in range(2))
THREADS: Final = tuple(f"{LIFE}mail-{number}" for number in range(2))
LASTING: Final = timedelta(hours=5)


# -- conversations ------------------------------------------------------------------------------


def _create(store: ChatStore, args: Args) -> Json:
    seconds = args.get("slides")
    made = store.conversations.create(
        args["user"],
        conversation_id=args["talk"],
        title=args["life"],
        retention=timedelta(seconds=seconds) if seconds else None,
        sliding=bool(seconds),
    )
    return {"of": made.conversation_id, "life": made.title, "user": made.user_id}


def _append(store: ChatStore, args: Args) -> Json:
    new = NewMessage(role="user", content=args["id"], message_id=args["id"])
    done = store.messages.append(args["talk"], new, user_id=args.get("user"))
    return {"of": done.conversation_id, "position": done.position}


def _fill(store: ChatStore, args: Args) -> Json:
    """A turn so large that a deletion takes several steps."""
    long = "x" * args.get("size", 0)
    turn = [NewMessage(role="user", content=each + long, message_id=each) for each in args["ids"]]
    stored = store.messages.append_turn(args["talk"], turn)
    return {"of": stored[0].conversation_id, "position": stored[0].position}


def _review(store: ChatStore, args: Args) -> Json:
    made = store.reviews.create(args["talk"], "reviewer", comments=args["id"], review_id=args["id"])
    return {"of": made.conversation_id}


def _open(store: ChatStore, args: Args) -> Json:
    head, latest = store.messages.latest_with_conversation(args["talk"], SEEN, consistent=True)
    return {
        "of": head.conversation_id,
        "life": head.title,
        "user": head.user_id,
        "things": [each.message_id for each in latest],
    }


def _delete(store: ChatStore, args: Args) -> Json:
    return {"items": store.conversations.delete(args["talk"])}


# -- users --------------------------------------------------------------------------------------


def _sign_up(store: ChatStore, args: Args) -> Json:
    email = address_of(args["user"])
    made = store.users.create(email, user_id=args["user"], name=args["life"])
    return {"of": made.user_id, "life": made.name}


def _user(store: ChatStore, args: Args) -> Json:
    found = store.users.get(args["user"], consistent=True)
    return {"of": found.user_id, "life": found.name}


def _login(store: ChatStore, args: Args) -> Json:
    opened = store.logins.create(args["user"], secret=args["id"], lifetime=LASTING)
    return {"of": opened.login.user_id}


def _enter(store: ChatStore, args: Args) -> Json:
    return {"of": store.logins.get(args["id"]).user_id}


def _record(store: ChatStore, args: Args) -> Json:
    return {"of": store.activity.record(args["user"], args["id"]).user_id}


def _join(store: ChatStore, args: Args) -> Json:
    return {"of": store.members.add(args["club"], args["user"]).user_id}


def _delete_user(store: ChatStore, args: Args) -> Json:
    return {"items": store.users.delete(args["user"])}


# -- organizations ------------------------------------------------------------------------------


def _found_firm(store: ChatStore, args: Args) -> Json:
    made = store.organizations.create(args["life"], HOSTS[0], organization_id=args["firm"])
    return {"of": made.organization_id, "life": made.name}


def _firm(store: ChatStore, args: Args) -> Json:
    found = store.organizations.get(args["firm"], consistent=True)
    return {"of": found.organization_id, "life": found.name}


def _hire(store: ChatStore, args: Args) -> Json:
    return {"of": store.members.add(args["firm"], args["id"]).organization_id}


def _invite(store: ChatStore, args: Args) -> Json:
    issued = store.invites.create(
        args["firm"],
        "anybody@example.org",
        invited_by=HOSTS[0],
        invite_id=args["id"],
        token=args["token"],
    )
    return {"of": issued.invite.organization_id}


def _close(store: ChatStore, args: Args) -> Json:
    return {"items": store.organizations.delete(args["firm"])}


# -- threads ------------------------------------------------------------------------------------


def _mail(store: ChatStore, args: Args) -> Json:
    new = NewEmail(
        account_id=account_of(args["thread"]),
        sender_email="sender@example.com",
        recipient_email="us@example.com",
        body=args["id"],
        message_id=f"<{args['id']}@mail>",
        response_id=args["id"],
    )
    return {"of": store.emails.add(args["thread"], new).conversation_id}


def _thread(store: ChatStore, args: Args) -> Json:
    found = store.threads.get(args["thread"], consistent=True)
    return {"of": found.conversation_id, "life": found.created_at.isoformat()}


def _drop(store: ChatStore, args: Args) -> Json:
    return {"items": store.threads.delete(args["thread"])}


# -- plans --------------------------------------------------------------------------------------


def anew(kind: str, about: Args, life: str, dice: Dice) -> Step:
    """The step that creates an id of this kind again."""
    match kind:
        case "talk":
            step = Step("lives.create", about | {"life": life, "user": dice.choice(OWNERS)})
        case "user":
            step = Step("lives.sign_up", about | {"life": life})
        case "firm":
            step = Step("lives.found", about | {"life": life})
        case _:
            step = Step("lives.mail", about | {"id": dice.fresh("mail")})
    return step


def ending(kind: str, about: Args) -> Step:
    """The step that deletes the item with the id."""
    ends = {"talk": "delete", "user": "delete_user", "firm": "close", "thread": "drop"}
    return Step(f"lives.{ends[kind]}", about)


def look(kind: str, about: Args) -> Step:
    """The step that reads which life it is."""
    sights = {"talk": "open", "user": "user", "firm": "firm", "thread": "thread"}
    return Step(f"lives.{sights[kind]}", about)


def adding(kind: str, about: Args, dice: Dice, club: str = CLUB) -> Sequence[Step]:
    """Some steps at the same time that add to it."""
    match kind:
        case "talk":
            steps = [Step("lives.append", about | {"id": dice.fresh("m")}) for _ in range(2)]
            if dice.random() < 0.3:
                steps.append(Step("lives.review", about | {"id": dice.fresh("review")}))
            if dice.random() < 0.2:
                ids = [dice.fresh("m") for _ in range(30)]
                steps.append(Step("lives.fill", about | {"ids": ids}))
        case "user":
            secret = dice.remember("life-login", about | {"id": dice.secret("login")})
            steps = [
                Step("lives.login", secret),
                Step("lives.record", about | {"id": dice.fresh("did")}),
                Step("lives.join", about | {"club": club}),
            ]
        case "firm":
            token = dice.secret("invite")
            steps = [
                Step("lives.hire", about | {"id": dice.choice(HOSTS[1:])}),
                Step("lives.invite", about | {"id": dice.fresh("invite"), "token": token}),
            ]
        case _:
            steps = [Step("lives.mail", about | {"id": dice.fresh("mail")}) for _ in range(2)]
    return steps


def _lives_of(kind: str, ids: Sequence[str]) -> Plan:
    """Delete it, often twice, while something is added; create it again and add; or only read."""

    def planned(dice: Dice) -> Sequence[Step]:
        about = {kind: dice.choice(ids)}
        luck = dice.random()
        if luck < 0.3:
            dice.then(
                [anew(kind, about, dice.fresh("life"), dice)],
                adding(kind, about, dice),
                [look(kind, about)],
            )
            late = adding(kind, about, dice)[:1]
            return [*[ending(kind, about)] * dice.choice([1, 2, 2]), *late]
        if luck < 0.5:
            return [look(kind, about)]
        if luck < 0.6:
            return [anew(kind, about, dice.fresh("life"), dice), *adding(kind, about, dice)[:2]]
        return adding(kind, about, dice)

    return planned


def _plan_enter(dice: Dice) -> Sequence[Step] | None:
    known = dice.recall("life-login")
    return None if known is None else [Step("lives.enter", known)]


_KINDS: Final = {"talk": TALKS, "user": USERS, "firm": FIRMS, "thread": THREADS}


def _setup() -> Iterator[Step]:
    for host in HOSTS:
        yield Step("lives.sign_up", {"user": host, "life": host})
    yield Step("lives.found", {"firm": CLUB, "life": CLUB})


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    """Finish what may have been interrupted: otherwise the next creation is refused."""
    for kind in _KINDS:
        ends = [call for call in calls if call.kind == ending(kind, {}).kind]
        for name in sorted({call.args[kind] for call in ends if call.is_unknown}):
            yield ending(kind, {kind: name})
        for name in sorted({str(call.args[kind]) for call in ends}):
            yield look(kind, {kind: name})


_MAKING: Final = (AlreadyExists,)
_ADDING: Final = (NotFound,)

DOMAIN: Final = Domain(
    name="lives",
    weight=4,
    actions={
        # A creation that is called again may begin another life; its title would be the same.
        "lives.create": Action(_create, refusals=_MAKING, repeatable=False),
        "lives.append": Action(_append, refusals=_ADDING),
        "lives.fill": Action(_fill, refusals=_ADDING),
        "lives.review": Action(_review, refusals=_ADDING),
        "lives.open": Action(_open, refusals=_ADDING),
        "lives.delete": Action(_delete, refusals=_ADDING, many=True),
        "lives.sign_up": Action(_sign_up, refusals=_MAKING, repeatable=False),
        "lives.user": Action(_user, refusals=_ADDING),
        "lives.login": Action(_login, refusals=_ADDING),
        "lives.enter": Action(_enter, refusals=_ADDING),
        "lives.record": Action(_record, refusals=_ADDING, repeatable=False),
        "lives.join": Action(_join, refusals=(NotFound, AlreadyExists)),
        "lives.delete_user": Action(_delete_user, refusals=_ADDING, many=True),
        "lives.found": Action(_found_firm, refusals=_MAKING, repeatable=False),
        "lives.firm": Action(_firm, refusals=_ADDING),
        "lives.hire": Action(_hire, refusals=(NotFound, AlreadyExists)),
        "lives.invite": Action(_invite, refusals=_ADDING),
        "lives.close": Action(_close, refusals=_ADDING, many=True),
        "lives.mail": Action(_mail, refusals=(Conflict, AlreadyExists)),
        "lives.thread": Action(_thread, refusals=_ADDING),
        "lives.drop": Action(_drop, refusals=_ADDING, many=True),
    },
    plans=[
        (8, _lives_of("talk", TALKS)),
        (5, _lives_of("user", USERS)),
        (3, _lives_of("firm", FIRMS)),
        (3, _lives_of("thread", THREADS)),
        (3, _plan_enter),
    ],
    setup=_setup,
    settle=_settle,
    found=lambda _: (),
    checks=CHECKS,
)
