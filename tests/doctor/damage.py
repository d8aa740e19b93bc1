"""Damage, planted in a table past the store: what it is, and what must be found of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dynamo_chat import ChatStore, keyspace
from dynamo_chat.calls.call import Call, room_item
from dynamo_chat.chat.message import Message
from dynamo_chat.core.attributes import epoch_seconds
from dynamo_chat.core.item import plan
from dynamo_chat.testing import FaultInjector, Kill
from dynamo_chat.testing.faults import Killed
from tests.scene import Item, Scene

Plant = Callable[[Scene], object]
_OF_A_USER = [
    each.kind for each in keyspace.KEY_SPACE if each.of is keyspace.USER and not each.is_tombstone
]


@dataclass(frozen=True)
class Damage:
    """One kind of damage."""

    name: str
    plant: Plant
    found: frozenset[tuple[str, str]]
    """Code and kind of everything that must be found, and nothing else may be."""
    is_repairable: bool = True
    restores: bool = True
    """Repairing makes the table what it was before the damage."""


def damage(
    name: str, plant: Plant, *found: str, repairable: bool = True, restores: bool = True
) -> Damage:
    """`found` is written like ``orphan message``."""
    pairs = frozenset((words[0], words[1]) for words in (each.split() for each in found))
    return Damage(name, plant, pairs, repairable, restores and repairable)


def one(scene: Scene, kind: str, **of: str) -> Item:
    """The first item of a kind, whose attributes are these."""
    return next(
        item
        for item in scene.items()
        if item["kind"]["S"] == kind
        and all(item.get(name) == {"S": value} for name, value in of.items())
    )


def key(**named: str) -> dict[str, Any]:
    return {name: {"S": value} for name, value in named.items()}


def gone(kind: str, **of: str) -> Plant:
    """An item is lost."""
    return lambda scene: scene.delete(one(scene, kind, **of))


def changed(kind: str, _of: dict[str, str] | None = None, **attributes: Any) -> Plant:
    """An item's attributes are others; None for lost."""

    def plant(scene: Scene) -> None:
        item = {**one(scene, kind, **(_of or {})), **attributes}
        scene.put({name: value for name, value in item.items() if value is not None})

    return plant


def moved(scene: Scene, kind: str, **attributes: Any) -> None:
    item = one(scene, kind)
    scene.delete(item)
    scene.put({**item, **attributes})


def cut_short(act: Callable[[ChatStore], object], *, after: int) -> Plant:
    """The process that did this died after so many requests."""

    def plant(scene: Scene) -> None:
        store = scene.new_store()
        with FaultInjector(store.connection.client) as faults:
            faults.plan(Kill(), at=after + 1)
            try:
                act(store)
            except Killed:
                return
        raise AssertionError("it was done before the process died")

    return plant


def in_days(scene: Scene, days: int) -> dict[str, str]:
    return {"N": str(epoch_seconds(scene.clock() + timedelta(days=days)))}


def _expired(scene: Scene) -> None:
    changed("login_listing", ttl=in_days(scene, -20))(scene)
    changed("login", ttl=in_days(scene, -20))(scene)


def _ttl_as_text(scene: Scene) -> None:
    there = one(scene, "login")
    scene.put({**there, "ttl": {"S": there["ttl"]["N"]}})


def _stale_claim(scene: Scene) -> None:
    """An address of nobody that leads to somebody."""
    scene.put({**one(scene, "user_email"), **keyspace.USER_EMAIL.key(address="old@example.org")})


def _stolen_claim(scene: Scene) -> None:
    """The friend's address leads to ann, who does not have it."""
    claim = one(scene, "user_email", user_id="friend-ann")
    scene.put({**claim, "user_id": {"S": "ann"}})


def _two_of_one_address(scene: Scene) -> None:
    """The friend has the address that is ann's: only a person can decide."""
    changed("user", {"email": "friend-ann@example.com"}, email={"S": "ann@example.com"})(scene)


def _message_without_head(scene: Scene) -> None:
    there = one(scene, "message", content="4K?")
    item = {**there, **keyspace.MESSAGE.key(conversation_id="lost", position="0" * 26)}
    item.pop("message_id", None)
    scene.put(item)


def _rated_without_head(scene: Scene) -> None:
    there = next(item for item in scene.items() if "feedback" in item)
    place = {"conversation_id": "lost", "position": there["SK"]["S"][5:-1]}
    keys = keyspace.MESSAGE.key(**place)
    scene.put(plan(Message).encode(plan(Message).decode({**there, **keys})))


def _title_of_another(scene: Scene) -> None:
    there = one(scene, "conversation_title", GSI2PK="USER#ann#")
    scene.put({**there, "GSI1SK": {"S": there["GSI1SK"]["S"].replace("20", "19", 1)}})


def _head_lost(scene: Scene) -> None:
    """A head is lost, with everything of its conversation that lists still show."""
    lost = ("review", "review_id", "conversation")
    for item in scene.items():
        of_talk = item["PK"]["S"] in {"CONV#talk-ann#", "REVIEW#review-ann#"}
        if of_talk and (item["kind"]["S"] in lost or "feedback" in item):
            scene.delete(item)


def _ticket_of_nobody(scene: Scene) -> None:
    there = one(scene, "queue_ticket")
    place = {"queue": "night", "shard": 0, "ticket_id": "0" * 26}
    scene.put({**there, **keyspace.QUEUE_TICKET.key(**place)})


def _room_of_an_ended_call(scene: Scene) -> None:
    over = plan(Call).decode(one(scene, "call", room_name="room-ann-1"))
    scene.put(room_item(over))


def _dead_owner(scene: Scene) -> None:
    """An organization whose other owner was deleted, as if both had gone at one moment."""
    scene.new_store().users.delete("partner-ann", memberships="keep")


def _nobodys(scene: Scene) -> None:
    """All owners are members by now, and the organization has counted that."""
    for owner in ("ann", "partner-ann"):
        changed("member", {"SK": f"MEMBER#{owner}#"}, role={"S": "member"})(scene)
    changed("organization", owner_count={"N": "0"})(scene)


def _address_of_the_dead(scene: Scene) -> None:
    claim = one(scene, "user_email", user_id="friend-ann")
    scene.new_store().users.delete("friend-ann", memberships="keep")
    scene.put(claim)


def _login_of_the_dead(scene: Scene) -> None:
    """It was being opened while its user was deleted."""
    store = scene.new_store()
    store.logins.create("friend-ann")
    login = one(scene, "login", user_id="friend-ann")
    store.users.delete("friend-ann", memberships="keep")
    scene.put(login)


def _forgotten_login(scene: Scene) -> None:
    store = scene.new_store()
    store.users.create("dora@example.org", user_id="dora")
    store.logins.create("dora")
    scene.delete(one(scene, "login_listing", PK="USER#dora#"))
    cut_short(lambda s: s.users.delete("dora"), after=2)(scene)


def _old_deletion(scene: Scene) -> None:
    """It does not say what becomes of the memberships."""
    cut_short(lambda s: s.users.delete("friend-ann", memberships="keep"), after=2)(scene)
    tombstone = one(scene, "user_tombstone")
    kept = ("PK", "SK", "kind", "v", "email", "response_email")
    scene.put({name: tombstone[name] for name in kept if name in tombstone})


def _other_deadline(scene: Scene) -> None:
    there = next(item for item in scene.items() if "ttl" in item and "content" in item)
    scene.put({**there, "ttl": in_days(scene, 500)})


def _left_open(scene: Scene) -> None:
    scene.clock.advance(timedelta(days=3))


def _email_without_its_ids(scene: Scene) -> None:
    for kind in ("email_response_id", "email_message_id"):
        scene.delete(one(scene, kind))


DAMAGES = [
    # -- one item by itself
    damage(
        "somebody else's item",
        lambda w: w.put(key(PK="X", SK="Y", kind="invoice")),
        "unknown_kind invoice",
        repairable=False,
    ),
    damage(
        "an item without a kind",
        lambda w: w.put(key(PK="X", SK="Y")),
        "unknown_kind -",
        repairable=False,
    ),
    damage(
        "a newer version",
        changed("message", v={"N": "2"}),
        "newer_version message",
        repairable=False,
    ),
    damage(
        "a helper of a newer version",
        changed("review_id", v={"N": "2"}),
        "newer_version review_id",
        repairable=False,
    ),
    damage("no version", changed("review", v=None), "unreadable review", repairable=False),
    damage(
        "the key of another kind",
        lambda w: moved(w, "conversation_state", SK={"S": "STATUS#"}),
        "wrong_key conversation_state",
        repairable=False,
    ),
    damage(
        "the key of another part",
        lambda w: moved(w, "llm_report", SK={"S": "REPORT"}),
        "wrong_key llm_report",
        repairable=False,
    ),
    damage(
        "a value of another type",
        changed("message", {"role": "assistant"}, role={"N": "7"}),
        "unreadable message",
        repairable=False,
    ),
    damage(
        "a lost attribute",
        changed("invocation", status=None),
        "unreadable invocation",
        repairable=False,
    ),
    damage(
        "a helper that says nothing",
        changed("message_id", position=None),
        "unreadable message_id",
        "leads_elsewhere message",
        repairable=False,
    ),
    damage("a TTL as text", _ttl_as_text, "wrong_ttl login"),
    damage(
        "a TTL that is none",
        changed("login", ttl={"BOOL": True}),
        "wrong_ttl login",
        repairable=False,
    ),
    damage(
        "a TTL where none may be",
        lambda w: changed("user_email", ttl=in_days(w, 3))(w),
        "wrong_ttl user_email",
    ),
    damage("long expired", _expired, "expired login", "expired login_listing", restores=False),
    damage(
        "half an index key",
        changed("conversation", {"PK": "CONV#talk-ann#"}, GSI2SK=None),
        "half_index_key conversation",
    ),
    damage(
        "half an index key of a helper",
        changed("message_id", GSI2PK=None),
        "half_index_key message_id",
    ),
    damage(
        "a wrong index key",
        changed("member", GSI1PK={"S": "USER#nobody#"}),
        "wrong_index_key member",
    ),
    damage(
        "no index key",
        changed("email_thread", GSI1PK=None, GSI1SK=None),
        "wrong_index_key email_thread",
    ),
    damage(
        "an index key too many",
        changed("user", GSI1PK={"S": "A"}, GSI1SK={"S": "B"}),
        "wrong_index_key user",
    ),
    damage("a title at another time", _title_of_another, "wrong_index_key conversation_title"),
    # -- items together
    damage(
        "a message with another TTL",
        _other_deadline,
        "deadline message",
    ),
    damage("a message of no conversation", _message_without_head, "orphan message"),
    damage(
        "a rated message of no conversation",
        _rated_without_head,
        "orphan message",
        repairable=False,
    ),
    damage(
        "a lost head",
        _head_lost,
        "orphan conversation_preferences",
        "orphan conversation_title",
        "orphan conversation_state",
        "orphan message",
        "orphan message_id",
        "orphan message_stream",
        restores=False,
    ),
    damage("a lost title item", gone("conversation_title"), "missing_item conversation"),
    damage(
        "a title of an untitled conversation",
        changed("conversation", {"PK": "CONV#talk-ann#"}, title=None),
        "orphan conversation_title",
        restores=False,
    ),
    damage(
        "a lost item of a message's id",
        gone("message_id", SK="ID#message-ann#"),
        "missing_item message",
    ),
    damage(
        "a message's id elsewhere",
        changed("message_id", position={"S": "0" * 26}),
        "leads_elsewhere message",
        repairable=False,
    ),
    damage("a lost item of a review's id", gone("review_id"), "missing_item review"),
    damage("a lost review", gone("review"), "orphan review_id", restores=False),
    damage("a lost address item", gone("user_email", user_id="friend-ann"), "missing_item user"),
    damage("an address of nobody", _stale_claim, "orphan user_email"),
    damage("an address of another", _stolen_claim, "orphan user_email", "leads_elsewhere user"),
    damage(
        "one address, two users",
        _two_of_one_address,
        "leads_elsewhere user",
        "orphan user_email",
        repairable=False,
    ),
    damage(
        "a lost user",
        gone("user", email="friend-ann@example.com"),
        "orphan user_email",
        "no_user member",
        repairable=False,
    ),
    damage(
        "a lost user who did something",
        gone("user", email="ann@example.com"),
        *(f"orphan {kind}" for kind in _OF_A_USER),
        "no_user member",
        repairable=False,
    ),
    damage("an owner of a deleted user", _dead_owner, "no_user member", repairable=False),
    damage("an organization of nobody", _nobodys, "no_owner organization", repairable=False),
    damage(
        "an address of a deleted user", _address_of_the_dead, "orphan user_email", restores=False
    ),
    damage("a login of a deleted user", _login_of_the_dead, "orphan login", restores=False),
    damage(
        "a login that a deletion forgets",
        _forgotten_login,
        "orphan login",
        "unfinished_deletion user_tombstone",
        restores=False,
    ),
    damage("a lost listing of a login", gone("login_listing"), "missing_item login"),
    damage("a lost login", gone("login"), "orphan login_listing", restores=False),
    damage("a lost membership", gone("membership"), "missing_item member"),
    damage("a lost member", gone("member", status="inactive"), "orphan membership", restores=False),
    damage(
        "a lost organization",
        gone("organization"),
        "orphan member",
        "orphan invite",
        repairable=False,
    ),
    damage("a lost item of an invite's id", gone("invite_id"), "missing_item invite"),
    damage("a lost item of an invite's token", gone("invite_token"), "missing_item invite"),
    damage(
        "a lost invite", gone("invite"), "orphan invite_id", "orphan invite_token", restores=False
    ),
    damage(
        "lost items of an e-mail's ids",
        _email_without_its_ids,
        "missing_item email",
        restores=False,
    ),
    damage(
        "a lost content of an e-mail", gone("email_content"), "missing_item email", repairable=False
    ),
    damage(
        "a lost e-mail",
        gone("email", response_id="response-ann"),
        "orphan email_content",
        "orphan email_response_id",
        "orphan email_message_id",
        "counter email_thread",
        restores=False,
    ),
    damage(
        "a lost thread", gone("email_thread"), "orphan email", "orphan ev_score", repairable=False
    ),
    damage(
        "a lost record of an interaction", gone("llm_usage"), "orphan llm_content", restores=False
    ),
    damage(
        "a lost content of an interaction",
        gone("llm_content"),
        "missing_item llm_usage",
        repairable=False,
    ),
    damage("a caller without a ticket", gone("queue_ticket"), "stuck caller", restores=False),
    damage("a ticket of nobody", _ticket_of_nobody, "orphan queue_ticket"),
    damage("a room of a call that is over", _room_of_an_ended_call, "orphan call_room"),
    damage("a lost room", gone("call_room"), "missing_item call"),
    damage(
        "a lost call",
        gone("call", room_name="room-ann"),
        "orphan call_room",
        "stuck caller",
        restores=False,
    ),
    damage("a call left open", _left_open, "open_call call", repairable=False),
    # -- counters
    damage(
        "messages counted wrong",
        changed("conversation", {"PK": "CONV#talk-ann#"}, message_count={"N": "7"}),
        "counter conversation",
    ),
    damage(
        "a message behind the last position",
        changed("conversation", {"PK": "CONV#talk-ann#"}, last_position=None),
        "counter conversation",
    ),
    damage(
        "members counted wrong",
        changed("organization", member_count={"N": "9"}),
        "counter organization",
    ),
    damage(
        "owners counted wrong",
        changed("organization", owner_count={"N": "0"}),
        "counter organization",
    ),
    damage(
        "e-mails counted wrong",
        changed("email_thread", message_count={"N": "0"}),
        "counter email_thread",
    ),
    # -- deletions
    damage(
        "an unfinished deletion of a conversation",
        cut_short(lambda s: s.conversations.delete("talk-ann"), after=2),
        "unfinished_deletion conversation_tombstone",
        restores=False,
    ),
    damage(
        "an unfinished deletion of a user",
        cut_short(lambda s: s.users.delete("friend-ann"), after=3),
        "unfinished_deletion user_tombstone",
        restores=False,
    ),
    damage(
        "an unfinished deletion of a user that an older version began",
        _old_deletion,
        "unfinished_deletion user_tombstone",
        repairable=False,
    ),
    damage(
        "an unfinished deletion of a user in no organization",
        cut_short(lambda s: s.users.delete("friend-ann"), after=4),
        "unfinished_deletion user_tombstone",
        restores=False,
    ),
    damage(
        "an unfinished deletion of an organization",
        cut_short(lambda s: s.organizations.delete("org-ann"), after=1),
        "unfinished_deletion organization_tombstone",
        restores=False,
    ),
    damage(
        "an unfinished deletion of a thread",
        cut_short(lambda s: s.threads.delete("mail-ann"), after=1),
        "unfinished_deletion email_thread_tombstone",
        restores=False,
    ),
]
