"""Users who want the same addresses, logins that expire and are revoked, activity, deletion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from dynamo_chat import ChatStore, keyspace
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.bearer import hash_of
from dynamo_chat.core.errors import AlreadyExists, NotFound
from dynamo_chat.core.layout import PK, SK
from dynamo_chat.identity.activity import Activity
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.identity.user import User, address_keys
from proof.domains.life_names import LIFE
from proof.evidence import Claim, Evidence, Violation, left_behind, told
from proof.history import Call, Json
from proof.steps import Action, Args, Dice, Domain, Step, alone

RESIDENTS: Final = tuple(f"resident-{number}" for number in range(6))
ADDRESSES: Final = tuple(f"someone-{number}@example.com" for number in range(40))
WALKERS: Final = tuple(f"walker-{number}" for number in range(3))
"""Users who log out everywhere again and again."""
LONG: Final = 3_600
SHORT: Final = (1, 2)


# -- calls --------------------------------------------------------------------------------------


def _sign_up(store: ChatStore, args: Args) -> Json:
    store.users.create(
        args["email"], user_id=args["user"], response_email=args.get("response_email")
    )


def _move(store: ChatStore, args: Args) -> Json:
    store.users.change_addresses(args["user"], email=args["email"])


def _find(store: ChatStore, args: Args) -> Json:
    found = store.users.get_by_email(args["email"])
    return {"user": found.user_id, "email": found.email}


def _open(store: ChatStore, args: Args) -> Json:
    opened = store.logins.create(
        args["user"], secret=args["secret"], lifetime=timedelta(seconds=args["seconds"])
    )
    return {"expires": opened.login.expires_at.timestamp()}


def _enter(store: ChatStore, args: Args) -> Json:
    return {"user": store.logins.get(args["secret"]).user_id}


def _touch(store: ChatStore, args: Args) -> Json:
    return {"user": store.logins.touch(args["secret"]).user_id}


def _revoke(store: ChatStore, args: Args) -> Json:
    store.logins.revoke(store.logins.get(args["secret"]))


def _log_out(store: ChatStore, args: Args) -> Json:
    """Open a login, revoke all, and try to enter with it."""
    store.logins.create(args["user"], secret=args["secret"])
    store.logins.revoke_all(args["user"])
    try:
        store.logins.get(args["secret"])
    except NotFound:
        return {"is_in": False}
    return {"is_in": True}


def _record(store: ChatStore, args: Args) -> Json:
    store.activity.record(args["user"], args["id"])


def _active(store: ChatStore, args: Args) -> Json:
    return [each.login_id for each in store.logins.list_active(args["user"], page_size=100)]


def _delete(store: ChatStore, args: Args) -> Json:
    return {"items": store.users.delete(args["user"])}


# -- plans --------------------------------------------------------------------------------------


def _address(dice: Dice) -> str:
    """One of the addresses that several users want, in upper or lower case."""
    address = dice.choice(ADDRESSES)
    return address.upper() if dice.random() < 0.3 else address


def _plan_sign_up(dice: Dice) -> Sequence[Step]:
    """Several users sign up with one address at the same time."""
    address = _address(dice)
    users = [dice.remember("user", dice.fresh("user")) for _ in range(dice.randrange(1, 4))]
    return [Step("identity.sign_up", {"user": user, "email": address}) for user in users]


def _plan_of_user(dice: Dice) -> Args | None:
    known = dice.recall("user")
    return None if known is None else {"user": known}


def _plan_move(dice: Dice) -> Args | None:
    args = _plan_of_user(dice)
    return args and args | {"email": _address(dice)}


def _plan_open(dice: Dice) -> Args:
    seconds = dice.choice([*SHORT, LONG])
    secret = dice.remember("secret", dice.secret("login"))
    return {"user": dice.choice(RESIDENTS), "secret": secret, "seconds": seconds}


def _plan_of_login(dice: Dice) -> Args | None:
    known = dice.recall("secret")
    return None if known is None else {"secret": known}


def _plan_log_out(dice: Dice) -> Args:
    return {"user": dice.choice(WALKERS), "secret": dice.secret("walk")}


def _setup() -> Iterator[Step]:
    for user in (*RESIDENTS, *WALKERS):
        args = {"user": user, "email": f"{user}@example.com", "response_email": f"{user}@r.example"}
        yield Step("identity.settle_down", args)


def _settle(calls: Sequence[Call]) -> Iterator[Step]:
    unsure = {
        call.args["user"]: None
        for call in calls
        if call.kind == "identity.delete" and call.is_unknown
    }
    for user in unsure:
        yield Step("identity.delete", {"user": user})
    for address in ADDRESSES:
        yield Step("identity.find", {"email": address})


# -- what is claimed, and what is there ---------------------------------------------------------


def _claims_activity(call: Call) -> Iterable[Claim]:
    yield Claim(f"activity {call.args['id']} of {call.args['user']}")


def _claims_login(call: Call) -> Iterable[Claim]:
    if call.args["seconds"] == LONG:
        yield Claim(f"login {call.args['secret']}")


def _about_login(call: Call) -> Iterable[Claim]:
    yield Claim(f"login {call.args['secret']}")  # which only those claim that last


def _claims_no_login(call: Call) -> Iterable[Claim]:
    yield Claim(f"login {call.args['secret']}", is_there=False)


def _found(evidence: Evidence) -> Iterator[str]:
    for activity in evidence.entities(Activity):
        if not activity.user_id.startswith(LIFE):
            yield f"activity {activity.action} of {activity.user_id}"
    secrets = {
        hash_of("secret", call.args["secret"]): call.args["secret"]
        for call in evidence.of("identity.open")
        if call.args["seconds"] == LONG
    }
    for login in evidence.entities(LoginSession):
        if login.login_id in secrets:
            yield f"login {secrets[login.login_id]}"


# -- what must hold -----------------------------------------------------------------------------


def _unique(evidence: Evidence) -> Iterator[Violation]:
    """Each address belongs to one user, who has it; each user has reserved their addresses."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for user in evidence.entities(User):
        for layout, key in address_keys(user.email, user.response_email):
            wanted.setdefault((layout.kind, key), []).append(user.user_id)
    # What is half deleted keeps its addresses until it is gone.
    buried = {item[PK]["S"] for item in evidence.stored(keyspace.USER_TOMBSTONE)}
    taken: dict[tuple[str, str], str] = {}
    for layout in (keyspace.USER_EMAIL, keyspace.USER_RESPONSE_EMAIL):
        for item in evidence.stored(layout):
            (address,) = layout.table.pk.decode(item[PK]["S"])
            owner = item["user_id"]["S"]
            if keyspace.USER.key(user_id=owner)[PK]["S"] not in buried:
                taken[layout.kind, address] = owner
    for place, users in wanted.items():
        if len(users) > 1:
            yield Violation("an address of two users", f"{place[1]}: {users}")
        if taken.get(place) not in users:
            yield Violation("an address not taken", f"{place[1]}: {taken.get(place)}, not {users}")
    for place, owner in taken.items():
        if owner not in wanted.get(place, []):
            yield Violation("an address of nobody", f"{place[1]} leads to {owner}")


def _users(evidence: Evidence) -> Iterator[Violation]:
    """A user who signed up exists unless deleted; a user whose sign-up was refused doesn't."""
    there = {user.user_id for user in evidence.entities(User)}
    deletions = evidence.grouped("user", "identity.delete")
    for user, calls in evidence.grouped("user", "identity.sign_up").items():
        deleted = [call for call in deletions.get(user, []) if call.may_count]
        is_in = any(call.is_ok for call in calls)
        if user in there and not any(call.may_count for call in calls):
            yield Violation("written though refused", f"user {user}{told(calls)}")
        if is_in and user not in there and not deleted:
            yield Violation("lost", f"user {user}{told(calls)}")


def _gone(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is left of a user whose deletion was acknowledged."""
    return left_behind(
        evidence,
        keyspace.USER,
        "user_id",
        of="user",
        made_by="identity.sign_up",
        deleted_by="identity.delete",
    )


def _finds(evidence: Evidence) -> Iterator[Violation]:
    for call in evidence.of("identity.find"):
        if call.is_ok and address_key(call.result["email"]) != address_key(call.args["email"]):
            yield Violation("found by another address", str(call))


def _ended(evidence: Evidence) -> Iterator[Violation]:
    """No login is accepted that has expired, or that was revoked before."""
    opened = evidence.grouped("secret", "identity.open")
    revoked = evidence.grouped("secret", "identity.revoke")
    for call in evidence.of("identity.enter", "identity.touch"):
        if not call.is_ok:
            continue
        secret = call.args["secret"]
        # Of several tries to open it, one made it: the last of their deadlines is the safe one.
        calls = opened[secret]
        if all(each.is_ok for each in calls):
            expires = max(each.result["expires"] for each in calls)
            if call.now >= expires:
                yield Violation("an expired login lets in", told([*calls, call]))
        ends = [each for each in revoked.get(secret, []) if each.is_ok and each.before(call)]
        if any(all(each.before(end) for each in calls) for end in ends):
            yield Violation("a revoked login lets in", told([*calls, *ends, call]))


def _logged_out(evidence: Evidence) -> Iterator[Violation]:
    """Whoever logged out everywhere is in nowhere, however new the login was."""
    for call in evidence.of("identity.log_out"):
        if call.is_ok and call.result["is_in"]:
            yield Violation("a login survives logging out everywhere", told([call]))


def _listings(evidence: Evidence) -> Iterator[Violation]:
    """Every login has its listing, which revokes it together with all others, and the reverse."""
    needed = {
        keyspace.LOGIN_LISTING.key(**login.__dict__)[SK]["S"]
        for login in evidence.entities(LoginSession)
    }
    found = {item[SK]["S"] for item in evidence.stored(keyspace.LOGIN_LISTING)}
    if needed != found:
        yield Violation("listings of logins", f"differ: {sorted(needed ^ found)}")


DOMAIN: Final = Domain(
    name="identity",
    weight=2,
    actions={
        "identity.settle_down": Action(_sign_up),
        "identity.sign_up": Action(_sign_up, refusals=(AlreadyExists,)),
        "identity.move": Action(_move, refusals=(AlreadyExists, NotFound)),
        "identity.find": Action(_find, refusals=(NotFound,)),
        "identity.open": Action(_open, claims=_claims_login),
        "identity.enter": Action(_enter, refusals=(NotFound,), about=_about_login),
        "identity.touch": Action(_touch, refusals=(NotFound,), about=_about_login),
        "identity.revoke": Action(_revoke, refusals=(NotFound,), claims=_claims_no_login),
        "identity.log_out": Action(_log_out, many=True),
        "identity.record": Action(_record, claims=_claims_activity, repeatable=False),
        "identity.active": Action(_active),
        "identity.delete": Action(_delete, refusals=(NotFound,), many=True),
    },
    plans=[
        (10, _plan_sign_up),
        (8, alone("identity.move", _plan_move)),
        (6, alone("identity.find", lambda dice: {"email": _address(dice)})),
        (8, alone("identity.open", _plan_open)),
        (8, alone("identity.enter", _plan_of_login)),
        (4, alone("identity.touch", _plan_of_login)),
        (3, alone("identity.revoke", _plan_of_login)),
        (
            5,
            alone(
                "identity.record",
                lambda dice: {"user": dice.choice(RESIDENTS), "id": dice.fresh("did")},
            ),
        ),
        (3, alone("identity.log_out", _plan_log_out)),
        (2, alone("identity.active", lambda dice: {"user": dice.choice(RESIDENTS)})),
        (5, alone("identity.delete", _plan_of_user)),
    ],
    setup=_setup,
    settle=_settle,
    found=_found,
    checks=[
        ("unique addresses", _unique),
        ("users", _users),
        ("deletions of users", _gone),
        ("look-ups", _finds),
        ("ended logins", _ended),
        ("logging out everywhere", _logged_out),
        ("listings of logins", _listings),
    ],
)
