"""What must hold of ids that are reused: each life keeps its own items, and has no others.

Only a read shows which life an id is in, and a life never comes back. So what was added after a
read of a life belongs to that life if it still exists, and what was added before a deletion began
belongs to no life that is seen after the deletion returned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dynamo_chat import keyspace
from dynamo_chat.chat.conversation import Conversation
from dynamo_chat.chat.message import Message
from dynamo_chat.chat.reviews import Review
from dynamo_chat.core.bearer import hash_of
from dynamo_chat.core.layout import PK, SK, Layout
from dynamo_chat.identity.activity import Activity
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.identity.user import User
from dynamo_chat.mail.email import EmailContent, EmailSummary
from dynamo_chat.mail.thread import EmailThread
from dynamo_chat.orgs.invite import Invite
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member
from proof.domains.chat_names import APPENDS
from proof.domains.life_names import LIFE, SEEN
from proof.evidence import Evidence, Violation, told
from proof.history import NEVER, Call, Json

Things = Callable[[Call], Iterable[str]]


def _own(what: str) -> Things:
    return lambda call: [f"{what} {call.args['id']}"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of root item whose ids are reused."""

    name: str
    """The argument that is its id."""
    has: tuple[str, ...]
    """The kinds that belong to it."""
    makers: Sequence[str]
    ends: str
    adds: Mapping[str, Things]
    """The calls that add to a life, and what they add."""


KINDS: Final = (
    Kind(
        "talk",
        ("message", "review"),
        ["lives.create"],
        "lives.delete",
        {
            "lives.append": _own("message"),
            "lives.fill": lambda call: [f"message {each}" for each in call.args["ids"]],
            "lives.review": _own("review"),
        },
    ),
    Kind(
        "user",
        ("login", "activity", "member"),
        ["lives.sign_up"],
        "lives.delete_user",
        {
            "lives.login": lambda call: [f"login {hash_of('secret', call.args['id'])}"],
            "lives.record": _own("activity"),
            "lives.join": lambda call: [f"member of {call.args['club']}"],
        },
    ),
    Kind(
        "firm",
        ("member", "invite"),
        ["lives.found"],
        "lives.close",
        {"lives.hire": _own("member"), "lives.invite": _own("invite")},
    ),
    Kind("thread", ("e-mail",), ["lives.mail"], "lives.drop", {"lives.mail": _own("e-mail")}),
)
ROOTS: Final[Mapping[str, Callable[[str], str]]] = {
    "talk": lambda name: keyspace.CONVERSATION.key(conversation_id=name)[PK]["S"],
    "user": lambda name: keyspace.USER.key(user_id=name)[PK]["S"],
    "firm": lambda name: keyspace.ORGANIZATION.key(organization_id=name)[PK]["S"],
    "thread": lambda name: keyspace.EMAIL_THREAD.key(conversation_id=name)[PK]["S"],
}
TOMBSTONES: Final = (
    keyspace.CONVERSATION_TOMBSTONE,
    keyspace.USER_TOMBSTONE,
    keyspace.ORGANIZATION_TOMBSTONE,
    keyspace.EMAIL_THREAD_TOMBSTONE,
)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of an id at one time: by a call, or in the table at the end."""

    began: float
    life: str | None
    """None if the id was free."""
    things: set[str]
    sees: tuple[str, ...]
    """The kinds of items that would have been seen."""
    shown: str


@dataclass(frozen=True, slots=True)
class Id:
    """An id, and everything that is known of its lives."""

    kind: Kind
    name: str
    calls: Sequence[Call]
    sights: Sequence[Sight]
    adds: Mapping[str, Sequence[Call]]
    """The calls that added each item, or may have added it."""


class _Table:
    """Whose life each id is in at the end, and what belongs to it."""

    def __init__(self, evidence: Evidence) -> None:
        self.lives: dict[tuple[str, str], str] = {}
        self.things: dict[tuple[str, str], set[str]] = defaultdict(set)
        of = evidence.entities
        for head in of(Conversation):
            self.lives["talk", head.conversation_id] = str(head.title)
        for message in of(Message):
            self.things["talk", message.conversation_id].add(f"message {message.message_id}")
        for review in of(Review):
            self.things["talk", review.conversation_id].add(f"review {review.review_id}")
        for user in of(User):
            self.lives["user", user.user_id] = str(user.name)
        for login in of(LoginSession):
            self.things["user", login.user_id].add(f"login {login.login_id}")
        for activity in of(Activity):
            self.things["user", activity.user_id].add(f"activity {activity.action}")
        for member in of(Member):
            firm, user = member.organization_id, member.user_id
            self.things["user", user].add(f"member of {firm}")
            self.things["firm", firm].add(f"member {user}")
        for firm in of(Organization):
            self.lives["firm", firm.organization_id] = firm.name
        for invite in of(Invite):
            self.things["firm", invite.organization_id].add(f"invite {invite.invite_id}")
        for thread in of(EmailThread):
            self.lives["thread", thread.conversation_id] = thread.created_at.isoformat()
        for email in of(EmailContent):
            self.things["thread", email.conversation_id].add(f"e-mail {email.body}")


def _ids(evidence: Evidence) -> Iterator[Id]:
    table = _Table(evidence)
    groups: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in evidence.calls:
        if call.kind.startswith("lives."):
            for kind in KINDS:
                if kind.name in call.args:
                    groups[kind.name, call.args[kind.name]].append(call)
    for (name, each), calls in groups.items():
        (kind,) = (kind for kind in KINDS if kind.name == name)
        at_last = table.things[name, each]
        last = Sight(NEVER, table.lives.get((name, each)), at_last, kind.has, "the table")
        yield Id(kind, each, calls, [*_looks(calls), last], _adds(kind, calls))


def _looks(calls: Iterable[Call]) -> Iterator[Sight]:
    """The reads of a conversation that saw its life, and all of its messages."""
    for call in calls:
        if call.is_ok and call.kind == "lives.open" and len(call.result["things"]) < SEEN:
            things = {f"message {each}" for each in call.result["things"]}
            yield Sight(call.invoked, call.result["life"], things, ("message",), str(call))


def _adds(kind: Kind, calls: Iterable[Call]) -> dict[str, list[Call]]:
    adds: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.kind in kind.adds and call.may_count:
            for thing in kind.adds[call.kind](call):
                adds[thing].append(call)
    return adds


# -- what must hold -----------------------------------------------------------------------------


def _kept(evidence: Evidence) -> Iterator[Violation]:
    """What was acknowledged in a life that still exists is there."""
    for each in _ids(evidence):
        makers = [call for call in each.calls if call.kind in each.kind.makers]
        if any(evidence.was_restarted(call) for call in makers):
            continue  # the server forgot the token: one creation may have begun two lives
        seen = _first_seen(each.calls)
        for sight in each.sights:
            since = seen.get(sight.life or "", NEVER)
            for thing, calls in each.adds.items():
                if thing in sight.things or not thing.startswith(sight.sees):
                    continue
                sure = [
                    call
                    for call in calls
                    if call.is_ok and call.invoked > since and call.returned < sight.began
                ]
                if sure:
                    text = f"{each.name}: {thing} of {sight.life}{told(sure)}\n    {sight.shown}"
                    yield Violation("lost from a life that goes on", text, each.name)


def _first_seen(calls: Iterable[Call]) -> dict[str, float]:
    """When each life was first seen."""
    seen: dict[str, float] = {}
    for call in calls:
        if call.is_ok and call.result and "life" in call.result:
            life = call.result["life"]
            seen[life] = min(seen.get(life, NEVER), call.returned)
    return seen


def _ended(evidence: Evidence) -> Iterator[Violation]:
    """Nothing of an ended life is seen in the next one, or without a life."""
    for each in _ids(evidence):
        ends = [call for call in each.calls if call.kind == each.kind.ends and call.is_ok]
        for sight in each.sights:
            over = [call for call in ends if call.returned < sight.began]
            last = max((call.invoked for call in over), default=-NEVER)
            for thing in sight.things & each.adds.keys():
                if all(call.returned < last for call in each.adds[thing]):
                    calls = [*each.adds[thing], *over]
                    text = f"{each.name}: {thing}{told(calls)}\n    {sight.shown}"
                    yield Violation("outlives its owner", text, each.name)


def _added(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is added to a free id: one that was deleted, and not created since."""
    for each in _ids(evidence):
        if each.kind.ends == "lives.drop":
            continue  # an e-mail that is added makes its thread
        makers = [call for call in each.calls if call.kind in each.kind.makers and call.may_count]
        ends = [call for call in each.calls if call.kind == each.kind.ends and call.is_ok]
        for call in each.calls:
            if not (call.kind in each.kind.adds and call.is_ok) or call.kind == "lives.join":
                continue  # a member need not be a user of this table
            last = max((end for end in ends if end.before(call)), key=_began, default=None)
            if last is not None and not any(
                made.returned > last.invoked and made.invoked < call.returned for made in makers
            ):
                yield Violation("added to nobody", told([last, call]), each.name)


def _began(call: Call) -> float:
    return call.invoked


def _let_in(evidence: Evidence) -> Iterator[Violation]:
    """No login is accepted after its user was deleted."""
    opened = evidence.grouped("id", "lives.login")
    ends = evidence.grouped("user", "lives.delete_user")
    for call in evidence.of("lives.enter"):
        tries = [each for each in opened.get(call.args["id"], []) if each.may_count]
        for end in ends.get(call.args["user"], []):
            is_over = end.is_ok and end.before(call) and all(each.before(end) for each in tries)
            if call.is_ok and is_over:
                text = told([*tries, end, call])
                yield Violation("a login outlives its user", text, call.args["user"])


def _answered(evidence: Evidence) -> Iterator[Violation]:
    """Every result is about what was asked for."""
    for call in evidence.calls:
        if call.is_ok and isinstance(call.result, dict) and "of" in call.result:
            asked = next(call.args[kind.name] for kind in KINDS if kind.name in call.args)
            if call.result["of"] != asked:
                yield Violation("an answer to another request", str(call), asked)


def _collided(evidence: Evidence) -> Iterator[Violation]:
    """No two messages have the same position."""
    places: dict[tuple[str, str], Call] = {}
    for call in evidence.of(*APPENDS, "lives.append", "lives.fill"):
        if not call.is_ok:
            continue
        place = (call.args["talk"], call.result["position"])
        other = places.setdefault(place, call)
        if _named(other) != _named(call):
            yield Violation("positions that collide", told([other, call]), call.args["talk"])


def _named(call: Call) -> Json:
    return call.args.get("id") or call.args.get("ids")


def _orphaned(evidence: Evidence) -> Iterator[Violation]:
    """Every item that belongs to another has its owner."""
    table = _Table(evidence)
    buried = {item[PK]["S"] for layout in TOMBSTONES for item in evidence.stored(layout)}
    for (kind, name), things in table.things.items():
        if (kind, name) in table.lives or ROOTS[kind](name) in buried:
            continue
        for thing in sorted(things):
            # A member need not be a user of this table.
            if not (kind == "user" and thing.startswith("member")):
                yield Violation("outlives its owner", f"{kind} {name}: {thing}", name)


def _pointed(evidence: Evidence) -> Iterator[Violation]:
    """Every pointer leads to an item, and every item that needs a pointer has one."""
    key = keyspace.REVIEW_ID.key
    yield from _pairs(
        evidence,
        keyspace.REVIEW_ID,
        (key(review_id=each.review_id) for each in evidence.entities(Review)),
    )
    yield from _pairs(
        evidence,
        keyspace.EMAIL_MESSAGE_ID,
        (
            keyspace.EMAIL_MESSAGE_ID.key(
                account_id=each.account_id, message_hash=keyspace.digest_of(each.message_id)
            )
            for each in evidence.entities(EmailSummary)
            if each.message_id is not None
        ),
    )
    # An id item outlives a message that is deleted or pruned, which no message of a life is.
    yield from _pairs(
        evidence,
        keyspace.MESSAGE_ID,
        (
            keyspace.MESSAGE_ID.key(
                conversation_id=each.conversation_id, message_id=each.message_id
            )
            for each in evidence.entities(Message)
            if each.conversation_id.startswith(LIFE)
        ),
        within=ROOTS["talk"](LIFE).removesuffix("#"),
    )


def _pairs(
    evidence: Evidence, layout: Layout, needed: Iterable[Mapping[str, Any]], within: str = ""
) -> Iterator[Violation]:
    wanted = {(key[PK]["S"], key[SK]["S"]) for key in needed}
    there = {
        (item[PK]["S"], item[SK]["S"])
        for item in evidence.stored(layout)
        if item[PK]["S"].startswith(within)
    }
    for place in sorted(there - wanted):
        yield Violation("a pointer without its item", f"{layout.kind} at {place}", place[0])
    for place in sorted(wanted - there):
        yield Violation("an item without its pointer", f"{layout.kind} at {place}", place[0])


CHECKS: Final = [
    ("lives that go on", _kept),
    ("lives that ended", _ended),
    ("additions to lives", _added),
    ("logins of lives", _let_in),
    ("whose answers", _answered),
    ("places of messages", _collided),
    ("orphans", _orphaned),
    ("pointers", _pointed),
]
