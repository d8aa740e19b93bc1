"""Organizations: seats run out, the last owner must stay, and several users want one invite.

A *firm* exists from the beginning, with few seats. A *party* is created by one worker for a single
invite, which three guests accept at the same time while another worker may revoke it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from dynamo_chat import ChatStore, OrganizationSettings, keyspace
from dynamo_chat.core.errors import (
    AlreadyExists,
    IllegalTransition,
    LimitExceeded,
    NotFound,
)
from dynamo_chat.core.layout import PK, SK
from dynamo_chat.identity.user import User
from dynamo_chat.orgs.invite import HASH_ATTRIBUTE, Invite
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member
from proof.domains.common import linear
from proof.domains.life_names import LIFE
from proof.evidence import Claim, Evidence, Violation, told
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

FIRMS: Final = tuple(f"firm-{number}" for number in range(4))
SEATS: Final = 7
PEOPLE: Final = tuple(f"person-{number}" for number in range(12))
CLUBS: Final = tuple(f"club-{number}" for number in range(2))
GUESTS: Final = tuple(f"guest-{number}" for number in range(8))
LONG: Final = 3_600


# -- calls --------------------------------------------------------------------------------------


def _found_firm(store: ChatStore, args: Args) -> Json:
    store.organizations.create(
        args["firm"],
        args["owner"],
        organization_id=args["firm"],
        settings=OrganizationSettings(max_users=args["seats"]),
    )


def _sign_up(store: ChatStore, args: Args) -> Json:
    store.users.create(f"{args['user']}@example.org", user_id=args["user"])


def _delete_user(store: ChatStore, args: Args) -> Json:
    return {"items": store.users.delete(args["user"], heir_id="guest-0")}


def _add(store: ChatStore, args: Args) -> Json:
    store.members.add(args["firm"], args["user"], role=args["role"])


def _change(store: ChatStore, args: Args) -> Json:
    store.members.update(args["firm"], args["user"], role=args["role"], status=args["status"])


def _remove(store: ChatStore, args: Args) -> Json:
    store.members.remove(args["firm"], args["user"])


def _throw_out(store: ChatStore, args: Args) -> Json:
    """Remove a member, and ask whether they are one."""
    store.members.remove(args["firm"], args["user"])
    try:
        store.members.get(args["firm"], args["user"])
    except NotFound:
        return {"is_in": False}
    return {"is_in": True}


def _replace(store: ChatStore, args: Args) -> Json:
    store.members.replace(args["firm"], args["user"], heir_id=args["heir"])


def _use(store: ChatStore, args: Args) -> Json:
    store.organizations.count_usage(
        args["firm"], emails_processed=args["emails"], storage_used_gb=Decimal(args["emails"]) / 4
    )


def _members(store: ChatStore, args: Args) -> Json:
    page = store.members.list_by_organization(args["firm"], page_size=100, consistent=True)
    return [each.user_id for each in page]


def _invite(store: ChatStore, args: Args) -> Json:
    issued = store.invites.create(
        args["firm"],
        args["email"],
        invited_by="host",
        invite_id=args["id"],
        token=args["token"],
        lifetime=timedelta(seconds=args["seconds"]),
    )
    return {"expires": issued.invite.expires_at.timestamp()}


def _accept(store: ChatStore, args: Args) -> Json:
    member = store.invites.accept(args["token"], args["user"], any_address=True)
    return {"user": member.user_id}


def _cancel(store: ChatStore, args: Args) -> Json:
    return {"status": store.invites.cancel(args["id"]).status}


# -- plans --------------------------------------------------------------------------------------


def _plan_party(dice: Dice) -> Sequence[Step]:
    """A step in the life of a party: it is created, an invite is sent, then everybody accepts."""
    if dice.random() < 0.4:
        firm = dice.fresh("party")
        dice.remember("founded", firm)
        return [Step("orgs.found", {"firm": firm, "owner": "host", "seats": None})]
    invited = dice.recall("invited")
    if invited is not None and dice.random() < 0.6:
        return _coming(dice, invited)
    founded = dice.recall("founded")
    if founded is None:
        return _plan_party(dice)
    args = {
        "firm": founded,
        "email": "anybody@example.org",
        "id": dice.fresh("invite"),
        "token": dice.secret("invite"),
        "seconds": dice.choice([1, LONG, LONG, LONG]),
    }
    dice.remember("invited", args)
    return [Step("orgs.invite", args)]


def _coming(dice: Dice, invited: Args) -> Sequence[Step]:
    accept = {"token": invited["token"], "id": invited["id"]}
    guests = dice.sample(GUESTS, 3)
    steps = [Step("orgs.accept", accept | {"user": guest}) for guest in guests]
    if dice.random() < 0.3:
        steps.append(Step("orgs.cancel", {"id": invited["id"]}))
    return steps


def _plan_member(dice: Dice) -> Args:
    return {"firm": dice.choice(FIRMS), "user": dice.choice(PEOPLE)}


def _plan_adding(dice: Dice) -> Sequence[Step]:
    """Several users want a seat at the same time."""
    firm = dice.choice(FIRMS)
    people = dice.sample(PEOPLE, dice.randrange(1, 4))
    roles = ["member", "owner", "admin"]
    return [
        Step("orgs.add", {"firm": firm, "user": person, "role": dice.choice(roles)})
        for person in people
    ]


def _plan_newcomer(dice: Dice) -> Sequence[Step]:
    """A user who joins, perhaps as an owner, and who is deleted while joining more."""
    user = dice.recall("newcomer")
    luck = dice.random()
    if user is None or luck < 0.3:
        user = dice.remember("newcomer", dice.fresh("newcomer"))
        return [Step("orgs.sign_up", {"user": user})]
    role = dice.choice(["owner", "member"])
    join = Step("orgs.add_newcomer", {"firm": dice.choice(CLUBS), "user": user, "role": role})
    return [join, Step("orgs.delete_user", {"user": user})] if luck > 0.75 else [join]


def _plan_visitor(dice: Dice) -> Sequence[Step]:
    """Somebody joins a club, or one who joined is thrown out, whom nobody else lets in again."""
    place = dice.recall("visitor") if dice.random() < 0.5 else None
    if place is not None:
        return [Step("orgs.throw_out", place)]
    place = {"firm": dice.choice(CLUBS), "user": dice.fresh("visitor")}
    dice.remember("visitor", place)
    return [Step("orgs.add", place | {"role": "admin"})]


def _plan_change(dice: Dice) -> Args:
    return _plan_member(dice) | {
        "role": dice.choice(["member", "owner", "admin"]),
        "status": dice.choice(["active", "active", "inactive", "pending"]),
    }


def _plan_leaving(dice: Dice) -> Sequence[Step]:
    """Two members leave at once: they may be the last two owners."""
    firm = dice.choice(FIRMS)
    return [
        Step("orgs.remove", {"firm": firm, "user": person})
        for person in dice.sample([*PEOPLE, "host"], 2)
    ]


def _plan_replace(dice: Dice) -> Args:
    user, heir = dice.sample([*PEOPLE, "host"], 2)
    return {"firm": dice.choice(FIRMS), "user": user, "heir": heir}


def _setup() -> Iterator[Step]:
    for user in ("host", *PEOPLE, *GUESTS):
        yield Step("orgs.sign_up", {"user": user})
    for club in CLUBS:
        yield Step("orgs.found", {"firm": club, "owner": "host", "seats": None})
    for firm in FIRMS:
        yield Step("orgs.found", {"firm": firm, "owner": "host", "seats": SEATS})


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    for user in sorted({call.args["user"] for call in calls if call.kind == "orgs.delete_user"}):
        if any(call.is_unknown for call in calls if call.args.get("user") == user):
            yield Step("orgs.delete_user", {"user": user})
    for firm in FIRMS:
        yield Step("orgs.members", {"firm": firm})


# -- what is claimed, and what is there ---------------------------------------------------------


def _claims_firm(call: Call) -> Iterable[Claim]:
    yield Claim(f"organization {call.args['firm']}")


def _claims_invite(call: Call) -> Iterable[Claim]:
    yield Claim(f"invite {call.args['id']} to {call.args['firm']}")


def _found(evidence: Evidence) -> Iterator[str]:
    for organization in evidence.entities(Organization):
        if not organization.organization_id.startswith(LIFE):
            yield f"organization {organization.organization_id}"
    for invite in evidence.entities(Invite):
        if not invite.organization_id.startswith(LIFE):
            yield f"invite {invite.invite_id} to {invite.organization_id}"


# -- what must hold -----------------------------------------------------------------------------


def _counts(evidence: Evidence) -> Iterator[Violation]:
    """An organization counts its seats and owners correctly, and has an owner."""
    seats: Counter[str] = Counter()
    owners: Counter[str] = Counter()
    for member in evidence.entities(Member):
        seats[member.organization_id] += member.takes_seat
        owners[member.organization_id] += member.is_active_owner
    for each in evidence.entities(Organization):
        name = each.organization_id
        if each.member_count != seats[name] or each.owner_count != owners[name]:
            text = (
                f"{name} counts {each.member_count} members and {each.owner_count} owners, "
                f"and has {seats[name]} and {owners[name]}"
            )
            yield Violation("member counts", text)
        if each.max_users is not None and seats[name] > each.max_users:
            yield Violation("seats", f"{name} has {seats[name]} members on {each.max_users} seats")
        if not owners[name]:
            yield Violation("owners", f"{name} has no owner")


def _memberships(evidence: Evidence) -> Iterator[Violation]:
    """Every membership is in both partitions, the organization's and the user's."""
    needed = {_place(keyspace.MEMBERSHIP.key(**m.__dict__)) for m in evidence.entities(Member)}
    found = {(item[PK]["S"], item[SK]["S"]) for item in evidence.stored(keyspace.MEMBERSHIP)}
    if needed != found:
        yield Violation("memberships", f"differ: {sorted(needed ^ found)}")


def _usage(evidence: Evidence) -> Iterator[Violation]:
    """The usage that was counted is the usage that was reported, once each.

    A server that was restarted has forgotten its tokens, which DynamoDB does not: a call that was
    sent before and after may have counted twice.
    """
    calls = evidence.grouped("firm", "orgs.use")
    for each in evidence.entities(Organization):
        known = calls.get(each.organization_id, [])
        sure = sum(call.args["emails"] for call in known if call.is_ok)
        most = sum(call.args["emails"] for call in known if call.may_count)
        most += sum(call.args["emails"] for call in known if _may_be_twice(evidence, call))
        if not sure <= each.emails_processed <= most:
            text = f"{each.organization_id} counts {each.emails_processed}, not {sure} to {most}"
            yield Violation("usage", text + told(known, 30))
        if each.storage_used_gb != Decimal(each.emails_processed) / 4:
            yield Violation("usage", f"{each.organization_id}: the two counters differ")


def _may_be_twice(evidence: Evidence, call: Call) -> bool:
    return call.may_count and evidence.was_restarted(call)


def _invites(evidence: Evidence) -> Iterator[Violation]:
    """Every pointer to an invite leads to one, and every invite has both pointers."""
    needed: set[tuple[str, str]] = set()
    for item in evidence.stored(keyspace.INVITE):
        _, invite_id = keyspace.INVITE.table.sk.decode(item[SK]["S"])
        needed.add(_place(keyspace.INVITE_ID.key(invite_id=invite_id)))
        token_hash = item[HASH_ATTRIBUTE]["S"]
        needed.add(_place(keyspace.INVITE_TOKEN.key(token_hash=token_hash)))
    found = {
        (item[PK]["S"], item[SK]["S"])
        for layout in (keyspace.INVITE_ID, keyspace.INVITE_TOKEN)
        for item in evidence.stored(layout)
    }
    if needed != found:
        yield Violation("ways to an invite", f"differ: {sorted(needed ^ found)}")


def _accepted(evidence: Evidence) -> Iterator[Violation]:
    """An invite is accepted at most once, and never after it expired."""
    issued = evidence.grouped("id", "orgs.invite")
    for invite_id, calls in evidence.grouped("id", "orgs.accept").items():
        done = [call for call in calls if call.is_ok]
        if len({call.args["user"] for call in done}) > 1:
            yield Violation("an invite accepted twice", told(done))
        makers = issued[invite_id]
        if not all(each.is_ok for each in makers):
            continue
        expires = max(each.result["expires"] for each in makers)
        for call in done:
            first = min(each.now for each in calls if each.args["user"] == call.args["user"])
            if first >= expires:
                yield Violation("an expired invite accepted", told([*makers, call]))


def _joined(evidence: Evidence) -> Iterator[Violation]:
    """Who accepted is a member, and every member of a party accepted, or is its owner."""
    issued = {call.args["id"]: call.args["firm"] for call in evidence.of("orgs.invite")}
    members = {(each.organization_id, each.user_id) for each in evidence.entities(Member)}
    may_be: set[tuple[str, str]] = set()
    for call in evidence.of("orgs.accept"):
        place = (issued[call.args["id"]], call.args["user"])
        if call.may_count:
            may_be.add(place)
        if call.is_ok and place not in members:
            yield Violation("lost", f"the membership of {place}{told([call])}")
    for firm, user in members:
        is_party = firm not in {*FIRMS, *CLUBS} and not firm.startswith(LIFE)
        if is_party and user != "host" and (firm, user) not in may_be:
            yield Violation("written though refused", f"the membership of {user} in {firm}")


class _InviteModel:
    """An invite: pending until someone accepts or revokes it."""

    initial = "pending"

    def after(self, state: str, call: Call) -> Iterable[str]:
        """The states that may follow."""
        wanted = "cancelled"
        if call.kind == "orgs.accept":
            wanted = f"accepted by {call.args['user']}"
        if call.outcome == "refused":
            said = call.result
            status = f"accepted by {said['accepted_by']}" if said["accepted_by"] else said["status"]
            return [state] if state == status else []
        return [wanted] if state in {"pending", wanted} else []


def _invite_histories(evidence: Evidence) -> Iterator[Violation]:
    brief = {call.args["id"] for call in evidence.of("orgs.invite") if call.args["seconds"] != LONG}
    for invite_id, calls in evidence.grouped("id", "orgs.accept", "orgs.cancel").items():
        telling = [
            call
            for call in calls
            if call.may_count or (call.result is not None and "accepted_by" in call.result)
        ]
        if invite_id not in brief:
            yield from linear("invite", invite_id, _InviteModel(), telling, reads=[])


def _left(evidence: Evidence) -> Iterator[Violation]:
    """A deleted user is in no organization, unless added again afterwards."""
    members = {each.user_id for each in evidence.entities(Member)}
    users = {each.user_id for each in evidence.entities(User)}
    joins = evidence.grouped("user", "orgs.add_newcomer", "orgs.sign_up")
    for user, calls in evidence.grouped("user", "orgs.delete_user").items():
        done = [call.invoked for call in calls if call.is_ok]
        known = [call for call in joins.get(user, []) if call.may_count]
        if done and all(call.returned < max(done) for call in known):
            if user in members:
                yield Violation("left behind by a deletion", f"a membership of {user}{told(calls)}")
            if user in users:
                yield Violation("still there", f"{user}{told(calls)}")


def _kept_out(evidence: Evidence) -> Iterator[Violation]:
    """A member who was removed is none at once."""
    for call in evidence.of("orgs.throw_out"):
        if call.is_ok and call.result["is_in"]:
            yield Violation("a removed member passes", told([call]))


def _place(key: dict[str, dict[str, str]]) -> tuple[str, str]:
    return key[PK]["S"], key[SK]["S"]


_SEATING: Final = (NotFound, LimitExceeded, IllegalTransition)

DOMAIN: Final = Domain(
    name="orgs",
    weight=3,
    actions={
        "orgs.found": Action(_found_firm, claims=_claims_firm),
        "orgs.sign_up": Action(_sign_up),
        "orgs.add": Action(_add, refusals=(AlreadyExists, LimitExceeded)),
        "orgs.change": Action(_change, refusals=_SEATING),
        "orgs.remove": Action(_remove, refusals=_SEATING),
        "orgs.throw_out": Action(_throw_out, refusals=_SEATING, many=True),
        "orgs.replace": Action(_replace, refusals=_SEATING),
        "orgs.add_newcomer": Action(_add, refusals=(AlreadyExists, NotFound)),
        "orgs.delete_user": Action(_delete_user, refusals=(NotFound,), many=True),
        "orgs.use": Action(_use, repeatable=False),
        "orgs.members": Action(_members),
        "orgs.invite": Action(_invite, refusals=(NotFound,), claims=_claims_invite),
        "orgs.accept": Action(_accept, refusals=(IllegalTransition, AlreadyExists, NotFound)),
        "orgs.cancel": Action(_cancel, refusals=(IllegalTransition, NotFound)),
    },
    plans=[
        (12, _plan_party),
        (6, _plan_adding),
        (5, _plan_newcomer),
        (6, alone("orgs.change", _plan_change)),
        (5, _plan_leaving),
        (4, _plan_visitor),
        (2, alone("orgs.replace", _plan_replace)),
        (
            8,
            alone(
                "orgs.use",
                lambda dice: {"firm": dice.choice(FIRMS), "emails": dice.randrange(1, 9)},
            ),
        ),
        (2, alone("orgs.members", lambda dice: {"firm": dice.choice(FIRMS)})),
    ],
    setup=_setup,
    settle=_settle,
    found=_found,
    checks=[
        ("member counts", _counts),
        ("memberships", _memberships),
        ("deletions of members", _left),
        ("removed members", _kept_out),
        ("usage", _usage),
        ("ways to invites", _invites),
        ("accepted invites", _accepted),
        ("memberships from invites", _joined),
        ("histories of invites", _invite_histories),
    ],
)
