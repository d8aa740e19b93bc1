"""Conversations and messages: many writers of a few conversations, and some that are deleted.

A *talk* is there from the beginning and stays. A *short* one keeps its last five messages. A
*doomed* one is made, used and deleted by one worker, while another call still appends to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, cast

from dynamo_chat import ChatStore, Feedback, NewMessage, keyspace
from dynamo_chat.chat.head import Conversation
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.errors import InvalidCursor, NotFound, RevisionConflict
from dynamo_chat.core.layout import GSI2, PK, SK, Slot
from proof.domains.common import Register, linear, ordered
from proof.evidence import Claim, Evidence, Violation, told
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

TALKS: Final = tuple(f"talk-{number}" for number in range(16))
SHORT: Final = tuple(f"short-{number}" for number in range(3))
USERS: Final = tuple(f"user-{number}" for number in range(4))
KEPT: Final = 5
TITLE: Final = cast("Slot", keyspace.CONVERSATION_TITLE.gsi2).sk

APPENDS: Final = ("chat.append", "chat.say", "chat.turn", "chat.append_short", "chat.append_doomed")


def owner_of(conversation_id: str) -> str:
    """The owner of one of the conversations that stay."""
    return USERS[int(conversation_id.rpartition("-")[2]) % len(USERS)]


def content_of(message_id: str) -> str:
    """What a message says: nothing else has it."""
    return f"{message_id} says that the rain falls mainly in the plain"


# -- calls --------------------------------------------------------------------------------------


def _create(store: ChatStore, args: Args) -> Json:
    made = store.conversations.create(
        args["user"],
        conversation_id=args["talk"],
        title=args["title"],
        keep_last=args.get("keep_last"),
    )
    return {"owner": made.user_id}


def _append(store: ChatStore, args: Args) -> Json:
    new = NewMessage(role="user", content=content_of(args["id"]), message_id=args["id"])
    return {"position": store.messages.append(args["talk"], new).position}


def _say(store: ChatStore, args: Args) -> Json:
    new = NewMessage(role="user", content=content_of(args["id"]))
    return {"position": store.messages.append(args["talk"], new).position}


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
    """Try another user's cursor: whether it was taken."""
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
    """A message that is appended, and deleted at once or a little later."""
    args = _plan_delete_message(dice)
    dice.remember("short-lived", args)
    return [Step("chat.append", args)]


def _plan_doomed(dice: Dice) -> Sequence[Step]:
    """Make a conversation; or use or delete one that was made before."""
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


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    for talk in sorted({call.args["talk"] for call in calls if call.kind == "chat.delete"}):
        if any(call.is_unknown for call in calls if call.args.get("talk") == talk):
            yield Step("chat.delete", {"talk": talk})
    for talk in TALKS:
        yield Step("chat.title", {"talk": talk})
        yield Step("chat.state", {"talk": talk})
        yield Step("chat.latest", {"talk": talk})
    for user in USERS:
        yield Step("chat.walk", {"user": user, "page_size": 50})


# -- what is claimed, and what is there ---------------------------------------------------------


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


def _found(evidence: Evidence) -> Iterator[str]:
    for message in evidence.entities(Message):
        if message.conversation_id in TALKS:
            yield f"message {message.conversation_id} {message.content}"
    for head in evidence.entities(Conversation):
        if head.conversation_id in {*TALKS, *SHORT}:
            yield f"conversation {head.conversation_id} of {head.user_id}"
        for key in head.preferences:
            yield f"preference {key} of {head.conversation_id}"
    for review in evidence.entities(Review):
        yield f"review {review.comments} by {review.reviewed_by}"


# -- what must hold -----------------------------------------------------------------------------


def _counts(evidence: Evidence) -> Iterator[Violation]:
    """Each conversation's counters say what its messages, and the appends, say."""
    stored = Counter(each.conversation_id for each in evidence.entities(Message))
    appends: dict[str, list[Call]] = {}
    for call in evidence.of(*APPENDS):
        appends.setdefault(call.args["talk"], []).append(call)
    for head in evidence.entities(Conversation):
        talk = head.conversation_id
        if head.message_count != stored[talk]:
            text = f"{talk} counts {head.message_count} messages and has {stored[talk]}"
            yield Violation("message_count", text)
        sure, perhaps = _appended(appends.get(talk, []))
        if not sure <= head.appended_count <= perhaps:
            text = f"{talk} counts {head.appended_count} appended, not {sure} to {perhaps}"
            yield Violation("appended_count", text)
        if talk in SHORT and stored[talk] < min(KEPT, head.appended_count):
            yield Violation("keep_last", f"{talk} keeps {stored[talk]} of {head.appended_count}")


def _appended(calls: Sequence[Call]) -> tuple[int, int]:
    """The fewest and the most messages that these calls can have appended."""
    sure: set[str] = set()
    perhaps: set[str] = set()
    for call in calls:
        ids = call.args.get("ids") or [call.args["id"]]
        if call.is_ok:
            sure.update(ids)
        if call.may_count:
            perhaps.update(ids)
    return len(sure), len(perhaps)


def _turns(evidence: Evidence) -> Iterator[Violation]:
    """Turns are whole, and their messages stand together in their order."""
    places: dict[str, dict[str, str]] = {}
    for message in evidence.entities(Message):
        places.setdefault(message.conversation_id, {})[message.message_id] = message.position
    ranks = {
        talk: {position: rank for rank, position in enumerate(sorted(known.values()))}
        for talk, known in places.items()
    }
    for call in evidence.of("chat.turn"):
        talk, ids = call.args["talk"], call.args["ids"]
        there = [places.get(talk, {}).get(each) for each in ids]
        if not any(there):
            continue
        if None in there:
            yield Violation("half a turn", str(call))
            continue
        found = [ranks[talk][position] for position in there if position]
        if found != list(range(found[0], found[0] + len(ids))):
            yield Violation("a turn torn apart", f"{call} stands at {found}")


def _order(evidence: Evidence) -> Iterator[Violation]:
    """What was appended after another append had returned has a later place."""
    for talk, calls in evidence.grouped("talk", *APPENDS).items():
        first: dict[str, Call] = {}
        for call in calls:
            # A repeated call answers with the place that an earlier one may have taken.
            key = str(call.args.get("ids") or call.args["id"])
            began = first[key].invoked if key in first else call.invoked
            if key not in first or (call.is_ok and not first[key].is_ok):
                first[key] = replace(call, invoked=began)
        done = [call for call in first.values() if call.is_ok]
        yield from ordered(
            "append order",
            talk,
            done,
            lambda call: (call.result["position"], call.result.get("last")),
        )


def _latest_seen(evidence: Evidence) -> Iterator[Violation]:
    """The latest messages are in order, and lack none that was acknowledged before."""
    deleted = {call.args["id"] for call in evidence.of("chat.delete_message")}
    appends = evidence.grouped("talk", "chat.append", "chat.say")
    for read in evidence.of("chat.latest"):
        if not read.is_ok:
            continue
        places = [position for position, _ in read.result]
        if places != sorted(set(places)):
            yield Violation("order of a list", str(read))
        if len(places) < 15:
            places = ["", *places]
        for call in appends.get(read.args["talk"], []):
            if not (call.is_ok and call.before(read)) or call.args["id"] in deleted:
                continue
            position = call.result["position"]
            if position > places[0] and position not in places:
                yield Violation("an acknowledged message is not read", f"{call}\n    {read}")


def _walks(evidence: Evidence) -> Iterator[Violation]:
    """A walk through all pages finds what was there, once each, and nothing of others."""
    owner: dict[str, str] = {}
    made: dict[str, list[Call]] = {}
    for call in evidence.of("chat.create", "chat.create_doomed"):
        owner[call.args["talk"]] = call.args["user"]
        made.setdefault(call.args["user"], []).append(call)
    doomed = {call.args["talk"] for call in evidence.of("chat.delete")}
    for read in evidence.of("chat.walk"):
        if not read.is_ok:
            continue
        user = read.args["user"]
        if len(set(read.result)) < len(read.result):
            yield Violation("a walk shows one twice", str(read))
        if foreign := [each for each in read.result if owner.get(each) != user]:
            yield Violation("a walk shows another user's", f"{foreign}: {read}")
        expected = {
            call.args["talk"]
            for call in made.get(user, [])
            if call.is_ok and call.before(read) and call.args["talk"] not in doomed
        }
        if missing := expected - set(read.result):
            yield Violation("a walk misses", f"{sorted(missing)}: {read}")


def _crossed(evidence: Evidence) -> Iterator[Violation]:
    for call in evidence.of("chat.cross"):
        if call.is_ok and call.result is not None:
            yield Violation("a cursor is taken in another list", str(call))


def _gone(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is left of a conversation whose deletion was acknowledged."""
    left = Counter(item[PK]["S"] for item in evidence.items)
    deletions = evidence.grouped("talk", "chat.delete")
    creations = evidence.grouped("talk", "chat.create_doomed")
    for talk, calls in deletions.items():
        made = creations.get(talk, [])
        if any(call.is_unknown for call in made) or not any(call.is_ok for call in calls):
            continue
        key = keyspace.CONVERSATION.key(conversation_id=talk)[PK]["S"]
        if left[key]:
            kept = [item[SK]["S"] for item in evidence.items if item[PK]["S"] == key]
            yield Violation("left behind by a deletion", f"{kept}{told([*made, *calls])}")


def _titles(evidence: Evidence) -> Iterator[Violation]:
    """The title item of a conversation, by which it is found, is of the title that it has."""
    hashes = {
        item[PK]["S"]: TITLE.decode(item[GSI2.sk]["S"])[0]
        for item in evidence.stored(keyspace.CONVERSATION_TITLE)
    }
    for head in evidence.entities(Conversation):
        key = keyspace.CONVERSATION.key(conversation_id=head.conversation_id)[PK]["S"]
        if hashes.get(key) != keyspace.digest_of(head.title or ""):
            yield Violation("title item", f"{head.conversation_id} is not found by {head.title!r}")


def _title_histories(evidence: Evidence) -> Iterator[Violation]:
    groups = evidence.grouped("talk", "chat.rename", "chat.title")
    for talk in TALKS:
        calls = groups.get(talk, [])
        seen = {call.result["value"] for call in calls if call.kind == "chat.title" and call.is_ok}
        # What may not have happened, and nobody saw, explains nothing.
        telling = [call for call in calls if not call.is_unknown or call.args.get("value") in seen]
        model = Register(f"about {talk}", writes="chat.rename")
        yield from linear("title", talk, model, telling, reads=["chat.title"])


class _State:
    """The state of a conversation: saved over the revision that was read."""

    initial = (0, "")

    def after(self, state: tuple[int, str], call: Call) -> Iterable[tuple[int, str]]:
        """The revisions that may follow."""
        revision, _ = state
        if call.kind == "chat.state":
            return [state] if tuple(call.result) == state else []
        if call.is_ok and call.result["revision"] != revision + 1:
            return []
        return [(revision + 1, call.args["value"])]


def _state_histories(evidence: Evidence) -> Iterator[Violation]:
    for talk, calls in evidence.grouped("talk", "chat.save_state", "chat.state").items():
        telling = [call for call in calls if call.may_count]
        yield from linear("state", talk, _State(), telling, reads=["chat.state"])


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
        "chat.append_doomed": Action(_append, refusals=(NotFound,)),
        "chat.rename": Action(_rename),
        "chat.title": Action(_title),
        "chat.save_state": Action(_save_state, refusals=(RevisionConflict,)),
        "chat.state": Action(_state),
        "chat.set_status": Action(_set_status),
        "chat.merge": Action(_merge, claims=_claims_preference),
        "chat.rate": Action(_rate, refusals=(NotFound,)),
        "chat.unrate": Action(_unrate, refusals=(NotFound,)),
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
    found=_found,
    checks=[
        ("counters of conversations", _counts),
        ("turns", _turns),
        ("order of messages", _order),
        ("latest messages", _latest_seen),
        ("pages", _walks),
        ("cursors", _crossed),
        ("deletions", _gone),
        ("titles", _titles),
        ("histories of titles", _title_histories),
        ("histories of states", _state_histories),
    ],
)
