"""Conversations and messages: many writers of a few conversations, and some that are deleted.

A *talk* exists from the beginning and is not deleted. A *short* one keeps its last five messages;
the deadline of a *sliding* one moves with its messages. A *doomed* one is created, used and deleted
by one worker, while another call still appends to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from dynamo_chat import ChatStore, Feedback, NewMessage
from dynamo_chat.core.errors import Conflict, InvalidCursor, NotFound, RevisionConflict
from proof.domains.chat_checks import CHECKS, found
from proof.domains.chat_names import (
    KEPT,
    SHORT,
    SLIDES,
    SLIDING,
    TALKS,
    USERS,
    content_of,
    owner_of,
)
from proof.evidence import Claim
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

# -- calls --------------------------------------------------------------------------------------


def _create(store: ChatStore, args: Args) -> Json:
    made = store.conversations.create(
        args["user"],
        conversation_id=args["talk"],
        title=args["title"],
        keep_last=args.get("keep_last"),
        retention=SLIDES if args.get("slides") else None,
        sliding=args.get("slides", False),
    )
    return {"owner": made.user_id}


def _append(store: ChatStore, args: Args) -> Json:
    new = NewMessage(role="user", content=content_of(args["id"]), message_id=args["id"])
    return {"position": store.messages.append(args["talk"], new).position}


def _say(store: ChatStore, args: Args) -> Json:
    new = NewMessage(role="user", content=content_of(args["id"]))
    return {"position": store.messages.append(args["talk"], new).position}


def _sing(store: ChatStore, args: Args) -> Json:
    """Append what others append at the same moment with the same text."""
    new = NewMessage(role="user", content="la", at=datetime.fromisoformat(args["at"]))
    return {"position": store.messages.append(args["talk"], new).position}


def _append_ahead(store: ChatStore, args: Args) -> Json:
    """Append when the conversation's deadline must move first, most of the time."""
    head = store.conversations.get(args["talk"], consistent=True)
    new = NewMessage(
        role="user",
        content=content_of(args["id"]),
        message_id=args["id"],
        at=head.created_at + timedelta(seconds=args["ahead"]),
    )
    return {"position": store.messages.append(args["talk"], new).position}


def _begin(store: ChatStore, args: Args) -> Json:
    new = NewMessage(role="assistant", message_id=args["id"], is_streaming=True)
    return {"position": store.messages.append(args["talk"], new).position}


def _finish(store: ChatStore, args: Args) -> Json:
    return {
        "content": store.messages.finish(args["talk"], args["id"], content=args["content"]).content
    }


def _turn(store: ChatStore, args: Args) -> Json:
    turn = [NewMessage(role="user", content=content_of(i), message_id=i) for i in args["ids"]]
    stored = store.messages.append_turn(args["talk"], turn)
    return {"position": stored[0].position, "last": stored[-1].position}


def _rename(store: ChatStore, args: Args) -> Json:
    store.conversations.rename(args["talk"], args["value"], user_id=owner_of(args["talk"]))


def _title(store: ChatStore, args: Args) -> Json:
    return {"value": store.conversations.get(args["talk"], consistent=True).title}


def _save_state(store: ChatStore, args: Args) -> Json:
    there = store.states.get(args["talk"])
    revision = 0 if there is None else there.revision
    saved = store.states.save(args["talk"], {"value": args["value"]}, revision=revision)
    return {"revision": saved.revision}


def _state(store: ChatStore, args: Args) -> Json:
    there = store.states.get(args["talk"])
    return [0, ""] if there is None else [there.revision, there.data["value"]]


def _set_status(store: ChatStore, args: Args) -> Json:
    store.conversations.set_status(args["talk"], args["status"])


def _merge(store: ChatStore, args: Args) -> Json:
    store.conversations.merge_preferences(args["talk"], {args["id"]: True})


def _rate(store: ChatStore, args: Args) -> Json:
    feedback = Feedback(type=args["type"], rank=args["rank"], category=args["category"])
    store.messages.give_feedback(args["talk"], args["id"], feedback)


def _unrate(store: ChatStore, args: Args) -> Json:
    store.messages.withdraw_feedback(args["talk"], args["id"])


def _delete_message(store: ChatStore, args: Args) -> Json:
    store.messages.delete(args["talk"], args["id"])


def _review(store: ChatStore, args: Args) -> Json:
    store.reviews.create(args["talk"], args["by"], comments=args["id"], review_id=args["id"])


def _archive(store: ChatStore, args: Args) -> Json:
    store.reviews.archive(args["id"])


def _delete(store: ChatStore, args: Args) -> Json:
    return {"items": store.conversations.delete(args["talk"])}


def _latest(store: ChatStore, args: Args) -> Json:
    found = store.messages.latest(args["talk"], 15, consistent=True)
    return [[each.position, each.message_id] for each in found]


def _walk(store: ChatStore, args: Args) -> Json:
    ids: list[str] = []
    cursor = None
    while True:
        page = store.conversations.list_by_user(
            args["user"], page_size=args["page_size"], cursor=cursor
        )
        ids += [each.conversation_id for each in page]
        cursor = page.cursor
        if cursor is None:
            return ids


def _cross(store: ChatStore, args: Args) -> Json:
    """Use another user's cursor. Returns True if it was accepted."""
    page = store.conversations.list_by_user(args["user"], page_size=1)
    if page.cursor is None:
        return None
    try:
        taken = store.conversations.list_by_user(args["other"], page_size=1, cursor=page.cursor)
    except InvalidCursor:
        return None
    return [each.conversation_id for each in taken]


# -- plans --------------------------------------------------------------------------------------


def _talk(dice: Dice) -> str:
    return dice.choice(TALKS)


def _plan_append(dice: Dice) -> Args:
    talk, message_id = dice.remember("message", (_talk(dice), dice.fresh("m")))
    return {"talk": talk, "id": message_id}


def _plan_of_message(dice: Dice) -> Args | None:
    known = dice.recall("message")
    return None if known is None else {"talk": known[0], "id": known[1]}


def _plan_rate(dice: Dice) -> Args | None:
    message = _plan_of_message(dice)
    return message and message | {
        "type": dice.choice(["positive", "negative"]),
        "rank": dice.choice([None, 1, 5]),
        "category": dice.choice([None, "tone", "facts"]),
    }


def _plan_delete_message(dice: Dice) -> Args:
    return {"talk": _talk(dice), "id": dice.fresh("m")}


def _plan_short_life(dice: Dice) -> Sequence[Step]:
    """Append a message, and delete it at once or a little later."""
    args = _plan_delete_message(dice)
    dice.remember("short-lived", args)
    return [Step("chat.append", args)]


def _plan_doomed(dice: Dice) -> Sequence[Step]:
    """Create a conversation, or use or delete one that was created before."""
    known = dice.recall("doomed")
    luck = dice.random()
    if known is None or luck < 0.3:
        doomed = dice.remember("doomed", dice.fresh("doomed"))
        made = {"talk": doomed, "user": dice.choice(USERS), "title": f"about {doomed}"}
        return [Step("chat.create_doomed", made)]
    appends = [
        Step("chat.append_doomed", {"talk": known, "id": dice.fresh("m")})
        for _ in range(dice.randrange(1, 3))
    ]
    return [*appends, Step("chat.delete", {"talk": known})] if luck > 0.8 else appends


def _plan_stream(dice: Dice) -> Sequence[Step]:
    """Append a message in parts, or finish one by two calls."""
    known = dice.recall("streaming")
    if known is None or dice.random() < 0.5:
        args = dice.remember("streaming", {"talk": _talk(dice), "id": dice.fresh("stream")})
        return [Step("chat.begin", args)]
    ends = [dice.fresh("end") for _ in range(2)]
    return [Step("chat.finish", known | {"content": end}) for end in ends]


def _plan_sliding(dice: Dice) -> Args:
    ahead = dice.randrange(280)
    return {"talk": dice.choice(SLIDING), "id": dice.fresh("m"), "ahead": ahead}


def _plan_rename_race(dice: Dice) -> Sequence[Step]:
    talk = _talk(dice)
    values = [dice.fresh("title") for _ in range(2)]
    renames = [Step("chat.rename", {"talk": talk, "value": value}) for value in values]
    return [*renames, Step("chat.title", {"talk": talk})]


def _plan_walk(dice: Dice) -> Args:
    return {"user": dice.choice(USERS), "page_size": dice.randrange(3, 30)}


def _plan_cross(dice: Dice) -> Args:
    user, other = dice.sample(USERS, 2)
    return {"user": user, "other": other}


def _setup() -> Iterator[Step]:
    for talk in TALKS:
        args = {"talk": talk, "user": owner_of(talk), "title": f"about {talk}"}
        yield Step("chat.create", args)
    for talk in SHORT:
        about = {"talk": talk, "user": owner_of(talk), "title": f"about {talk}"}
        yield Step("chat.create", about | {"keep_last": KEPT})
    for talk in SLIDING:
        about = {"talk": talk, "user": owner_of(talk), "title": f"about {talk}"}
        yield Step("chat.create", about | {"slides": True})


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    for talk in sorted({call.args["talk"] for call in calls if call.kind == "chat.delete"}):
        if any(call.is_unknown for call in calls if call.args.get("talk") == talk):
            yield Step("chat.delete", {"talk": talk})
    for talk in SLIDING:
        # Finishes a renewal that was cut short, and begins none: there is no time ahead of it.
        yield Step("chat.append_sliding", {"talk": talk, "id": f"last-{talk}", "ahead": 0})
    for talk in TALKS:
        yield Step("chat.title", {"talk": talk})
        yield Step("chat.state", {"talk": talk})
        yield Step("chat.latest", {"talk": talk})
    for user in USERS:
        yield Step("chat.walk", {"user": user, "page_size": 50})


# -- what is claimed ----------------------------------------------------------------------------


def _claims_message(call: Call) -> Iterable[Claim]:
    yield Claim(f"message {call.args['talk']} {content_of(call.args['id'])}")


def _claims_turn(call: Call) -> Iterable[Claim]:
    return [Claim(f"message {call.args['talk']} {content_of(each)}") for each in call.args["ids"]]


def _claims_no_message(call: Call) -> Iterable[Claim]:
    thing = f"message {call.args['talk']} {content_of(call.args['id'])}"
    yield Claim(thing, is_there=False)


def _claims_talk(call: Call) -> Iterable[Claim]:
    yield Claim(f"conversation {call.args['talk']} of {call.args['user']}")


def _claims_review(call: Call) -> Iterable[Claim]:
    yield Claim(f"review {call.args['id']} by {call.args['by']}")


def _claims_preference(call: Call) -> Iterable[Claim]:
    yield Claim(f"preference {call.args['id']} of {call.args['talk']}")


DOMAIN: Final = Domain(
    name="chat",
    weight=4,
    actions={
        "chat.create": Action(_create, claims=_claims_talk),
        "chat.create_doomed": Action(_create),
        "chat.append": Action(_append, claims=_claims_message),
        "chat.say": Action(_say, claims=_claims_message, repeatable=False),
        "chat.turn": Action(_turn, claims=_claims_turn),
        "chat.append_short": Action(_append),
        "chat.sing": Action(_sing, repeatable=False),
        "chat.append_doomed": Action(_append, refusals=(NotFound,)),
        "chat.rename": Action(_rename),
        "chat.title": Action(_title),
        "chat.save_state": Action(_save_state, refusals=(RevisionConflict,)),
        "chat.state": Action(_state),
        "chat.set_status": Action(_set_status),
        "chat.merge": Action(_merge, claims=_claims_preference),
        "chat.rate": Action(_rate, refusals=(NotFound,), about=_claims_message),
        "chat.unrate": Action(_unrate, refusals=(NotFound,), about=_claims_message),
        "chat.begin": Action(_begin),
        "chat.finish": Action(_finish, refusals=(NotFound, Conflict)),
        "chat.append_sliding": Action(_append_ahead, claims=_claims_message),
        "chat.delete_message": Action(_delete_message, claims=_claims_no_message),
        "chat.review": Action(_review, claims=_claims_review),
        "chat.archive": Action(_archive, refusals=(NotFound,)),
        "chat.delete": Action(_delete, refusals=(NotFound,), many=True),
        "chat.latest": Action(_latest),
        "chat.walk": Action(_walk),
        "chat.cross": Action(_cross),
    },
    plans=[
        (20, alone("chat.append", _plan_append)),
        (8, alone("chat.say", lambda dice: {"talk": _talk(dice), "id": dice.fresh("m")})),
        (
            3,
            alone(
                "chat.turn",
                lambda dice: {
                    "talk": _talk(dice),
                    "ids": [dice.fresh("m") for _ in range(dice.randrange(2, 5))],
                },
            ),
        ),
        (
            4,
            alone(
                "chat.append_short",
                lambda dice: {"talk": dice.choice(SHORT), "id": dice.fresh("m")},
            ),
        ),
        (5, _plan_short_life),
        (5, alone("chat.delete_message", lambda dice: dice.recall("short-lived"))),
        (10, _plan_doomed),
        (4, _plan_stream),
        (6, alone("chat.append_sliding", _plan_sliding)),
        (3, _plan_rename_race),
        (5, alone("chat.title", lambda dice: {"talk": _talk(dice)})),
        (
            5,
            alone(
                "chat.save_state",
                lambda dice: {"talk": _talk(dice), "value": dice.fresh("state")},
            ),
        ),
        (4, alone("chat.state", lambda dice: {"talk": _talk(dice)})),
        (
            4,
            alone(
                "chat.set_status",
                lambda dice: {
                    "talk": _talk(dice),
                    "status": dice.choice(["active", "archived"]),
                },
            ),
        ),
        (3, alone("chat.merge", lambda dice: {"talk": _talk(dice), "id": dice.fresh("key")})),
        (6, alone("chat.rate", _plan_rate)),
        (2, alone("chat.unrate", _plan_of_message)),
        (
            3,
            alone(
                "chat.review",
                lambda dice: {
                    "talk": _talk(dice),
                    "by": dice.choice(USERS),
                    "id": dice.remember("review", dice.fresh("review")),
                },
            ),
        ),
        (
            2,
            alone(
                "chat.archive",
                lambda dice: (known := dice.recall("review")) and {"id": known},
            ),
        ),
        (6, alone("chat.latest", lambda dice: {"talk": _talk(dice)})),
        (3, alone("chat.walk", _plan_walk)),
        (2, alone("chat.cross", _plan_cross)),
    ],
    setup=_setup,
    settle=_settle,
    found=found,
    checks=CHECKS,
)
