"""A person's data, handed out and erased: all of it, and nothing of anybody else's."""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import NewMessage
from dynamo_chat.core.errors import (
    CorruptItem,
    IllegalTransition,
    InvalidArgument,
    NotFound,
)
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import KIND
from dynamo_chat.keyspace import KEY_SPACE
from dynamo_chat.testing import Engine, Kill, RequestMeter
from dynamo_chat.workflows.person_records import (
    Mention,
    exported_kinds,
    read_record,
    record_schema,
)
from tests.mail.scenes import new_email
from tests.scene import Scene, address, cut_short, just_before
from tests.telemetry.samples import new_interaction, new_invocation
from tests.workflows.json_schema import problems
from tests.workflows.people import (
    FIRST,
    SECOND,
    assert_doctor_is_clean,
    belonging,
    erase,
    export,
    naming,
    opened,
    two_persons,
)

pytestmark = pytest.mark.engine


def test_every_kind_says_whose_it_is() -> None:
    """A kind that nobody declared would be neither handed out nor erased."""
    undeclared = [each.kind for each in KEY_SPACE if each.root and each.whose is None]
    assert not undeclared, "declare `whose` in dynamo_chat/keyspace.py"
    for layout in KEY_SPACE:
        entity = layout.resolved()
        fields = set() if entity is None else set(entity.model_fields)
        assert set(layout.names) <= fields, layout.kind
        assert layout.whose is None or set(layout.whose.fields) <= fields, layout.kind


def test_all_that_a_raw_look_finds_is_handed_out(dynamo_chat_engine: Engine) -> None:
    """Every attribute of every entity, once; of both persons, their own alone."""
    with opened(dynamo_chat_engine) as scene:
        for ids in two_persons(scene):
            expected = [
                plan(KEY_SPACE.entities[item[KIND]["S"]]).decode(item)
                for item in belonging(scene.items(), ids)
            ]
            found = [each.entity for each in export(scene, ids)]
            assert Counter(map(repr, found)) == Counter(map(repr, expected))
            kinds = {each.kind for each in export(scene, ids)}
            # The partner waits in the queue; the invite was to the first one alone.
            assert {kind for kind, _ in exported_kinds()} - kinds <= {"queue_ticket", "invite"}


@pytest.mark.once
def test_lines_are_read_back(dynamo_chat_engine: Engine) -> None:
    with opened(dynamo_chat_engine) as scene:
        ids, _ = two_persons(scene)
        kinds = dict(exported_kinds())
        schema = record_schema()
        assert len(schema["oneOf"]) == len(kinds)
        for record in export(scene, ids):
            assert read_record(record.line()) == record
            line = json.loads(record.line())
            assert not [*problems(line, schema, schema)]
            fields = line["fields"]
            for wrong in (
                {**line, "kind": "nothing"},
                {**line, "more": 1},
                {**line, "fields": {**fields, "more": 1}},
                {**line, "fields": dict(list(fields.items())[1:])},
            ):
                assert [*problems(wrong, schema, schema)], wrong


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "line"),
        ("[]", "line"),
        ('{"kind":"user","version":1}', "line"),
        ('{"kind":"nothing","version":1,"fields":{}}', "line.kind"),
        ('{"kind":["user"],"version":1,"fields":{}}', "line.kind"),
        ('{"kind":"user","version":0,"fields":{}}', "line.version"),
        ('{"kind":"user","version":1,"fields":{"user_id":7}}', "line.fields"),
        ('{"kind":"user","version":1,"fields":7}', "line.fields"),
        ("[" * 100_000, "line"),
    ],
)
def test_a_line_that_is_no_record(line: str, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        read_record(line)


@pytest.mark.once
def test_nothing_is_left_and_nothing_of_others_changed(dynamo_chat_engine: Engine) -> None:
    with opened(dynamo_chat_engine) as scene:
        ids, _ = two_persons(scene)
        before = scene.items()
        theirs = {address(item) for item in belonging(before, ids)}
        naming_them = {address(item) for item in naming(before)}
        receipt = erase(scene, ids)
        left = scene.items()
        # -- found by a raw look: only what the receipt names
        organization = next(e for e in receipt.mentions if e.kind == "organization")
        assert organization.identity == {"organization_id": ids.organization_id}
        assert [item["PK"]["S"] for item in naming(left)] == [f"ORG#{ids.organization_id}#"]
        review = next(e for e in receipt.mentions if e.kind == "review")
        assert review.identity["review_id"] == "by-the-first"
        assert scene.store.reviews.get("by-the-first").reviewed_by == receipt.pseudonyms[0]
        # -- of others: as it was, byte for byte, unless it named the person
        was = {address(item): item for item in before}
        changed = {address(each) for each in left if was.get(address(each)) != each}
        counts = {each for each in changed if each[1] == "ORG#"}  # a member less
        friends = {f"USER#friend-{FIRST}#", f"ROOM#room-{FIRST}#"}  # in the call that was ended
        assert {each for each in changed - counts if each[0] not in friends} <= naming_them
        gone = set(was) - {address(each) for each in left}
        assert all(SECOND not in pk or address in naming_them for address in gone for pk in address)
        assert not theirs & {address(e) for e in left} - {
            address(e) for e in left if e[KIND]["S"] == "call"
        }
        # -- told
        kinds = Counter(was[each][KIND]["S"] for each in theirs)
        assert receipt.replaced == {
            "call": kinds.pop("call"),
            "invite": 2,
            "member": 1,
            "review": 1,
        }
        assert receipt.erased == kinds
        assert_doctor_is_clean(scene)
        again = erase(scene, ids)
        assert again.is_empty
        assert not again.mentions
        assert scene.items() == left


def test_a_receipt_lists_the_first_mentions_and_counts_all(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them is passed on before anything is erased; the receipt stays small."""
    monkeypatch.setattr("dynamo_chat.workflows.person_records.MAX_MENTIONS", 2)
    store = scene.store
    store.conversations.create("bob", conversation_id="talk")
    for number in range(5):
        store.reviews.create("talk", "ann", review_id=f"r-{number}", comments="Rude")
    for number in range(3):
        store.conversations.create("ann", conversation_id=f"damaged-{number}")
    for item in scene.items():
        if item["PK"]["S"].startswith("CONV#damaged") and item[KIND]["S"] == "conversation":
            scene.put(item | {"user_id": {"BOOL": True}})
    before = scene.items()

    def full(_: Mention) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        store.people.erase("ann", on_mention=full)
    assert scene.items() == before
    told: list[Mention] = []
    planned = store.people.plan_erasure("ann", on_mention=told.append)
    reviews = {each.identity["review_id"] for each in told}
    assert reviews == {f"r-{number}" for number in range(5)}
    receipt = store.people.erase("ann", on_mention=told.append)
    assert told[5:] == told[:5]
    for each in (planned, receipt):
        assert each.mentions == tuple(told[:2])
        assert each.as_dict()["mention_counts"] == {"review": 5}
        assert len(each.unreadable) == 2
        assert each.as_dict()["unreadable_counts"] == {"conversation": 3}
    for call in (store.people.plan_erasure, store.people.erase):
        with pytest.raises(InvalidArgument, match="on_mention"):
            call("ann", on_mention="no function")  # type: ignore[arg-type]


@pytest.mark.once
def test_a_plan_changes_nothing(dynamo_chat_engine: Engine) -> None:
    """It says what the erasure then does."""
    with opened(dynamo_chat_engine) as scene:
        ids, _ = two_persons(scene)
        before = scene.items()
        planned = scene.store.people.plan_erasure(FIRST, account_ids=[ids.account_id])
        assert scene.items() == before
        receipt = erase(scene, ids)
        assert (planned.erased, planned.replaced, planned.mentions) == (
            receipt.erased,
            receipt.replaced,
            receipt.mentions,
        )
        assert json.loads(json.dumps(receipt.as_dict()))["erased"] == dict(receipt.erased)


def same_but_for_pseudonyms(items: list[Any]) -> list[Any]:
    """The items, with one pseudonym for all: each call of an erasure makes its own."""
    return sorted(
        json.dumps(
            {
                name: "erased" if "erased~" in str(value) else value
                for name, value in item.items()
                if name not in {"ended_at", "duration_minutes", "ttl", "updated_at"}
            },
            sort_keys=True,
            default=str,
        )
        for item in items
    )


@pytest.mark.long
def test_killed_at_each_request_and_called_again(dynamo_chat_engine: Engine) -> None:
    """It comes to the end that it would have come to."""
    with opened(dynamo_chat_engine) as scene:
        ids, _ = two_persons(scene)
        everything = scene.items()
        with RequestMeter(scene.store.connection.client) as meter:
            erase(scene, ids)
        expected = same_but_for_pseudonyms(scene.items())
        for number in range(1, meter.count + 1):
            scene.restore(everything)
            cut_short(scene, number, Kill(), lambda: erase(scene, ids))
            erase(scene, ids)
            left = scene.items()
            assert same_but_for_pseudonyms(left) == expected, number
            assert not naming(left)[1:], number
        assert_doctor_is_clean(scene)


def test_nobody_gets_in_after_the_first_writes(scene: Scene) -> None:
    """Wherever it stops after the user is buried: no login, no invite, no call."""
    store = scene.store
    store.users.create("ann@example.com", user_id="ann")
    opened_login = store.logins.create("ann")
    store.conversations.create("ann", conversation_id="talk")
    store.callers.create("ann")
    with RequestMeter(store.connection.client) as meter:
        store.people.plan_erasure("ann")
    looks = meter.count
    cut_short(scene, looks + 6, Kill(), lambda: store.people.erase("ann"))
    assert scene.kinds()["conversation"] == 1
    with pytest.raises(NotFound):
        store.logins.get(opened_login.secret)
    with pytest.raises(NotFound):
        store.logins.create("ann")
    store.people.erase("ann")
    assert scene.items() == []


def test_a_receipt_says_whether_an_earlier_call_had_begun(scene: Scene) -> None:
    """The earlier one may have erased anything, so its counts are not the whole."""
    store = scene.store
    for number in range(3):
        store.conversations.create("ann", conversation_id=f"talk-{number}")
    everything = scene.items()
    with RequestMeter(store.connection.client) as meter:
        receipt = store.people.erase("ann")
    assert (receipt.is_resumed, receipt.erased) == (False, {"conversation": 3})
    scene.restore(everything)
    cut_short(scene, meter.count - 2, Kill(), lambda: store.people.erase("ann"))
    resumed = store.people.erase("ann")
    assert resumed.is_resumed
    assert resumed.as_dict()["is_resumed"] is True
    assert resumed.erased.get("conversation", 0) < 3
    assert scene.items() == []


def test_progress_counts_what_is_erased(scene: Scene) -> None:
    store = scene.store
    for number in range(3):
        store.conversations.create("ann", conversation_id=f"talk-{number}")
    store.invocations.record(new_invocation())
    before, told = len(scene.items()), list[int]()
    store.people.erase("ann", account_ids=["a-1"], on_progress=told.append)
    assert told == sorted(told)
    assert len(told) == 4
    assert told[-1] >= before
    with pytest.raises(InvalidArgument, match="on_progress"):
        store.people.erase("ann", on_progress=7)  # type: ignore[arg-type]


def test_still_active_while_being_erased(scene: Scene) -> None:
    """What a server that has not noticed writes in between goes, too."""
    store, other = scene.store, scene.new_store()
    store.users.create("ann@example.com", user_id="ann")
    for number in range(3):
        store.conversations.create("ann", conversation_id=f"talk-{number}")

    def writes() -> None:
        late = other.conversations.create("ann", conversation_id="late")
        other.messages.append(late.conversation_id, NewMessage(role="user", content="Still here"))
        other.callers.create("ann")
        with pytest.raises(NotFound):
            other.logins.create("ann")

    seen: list[int] = []

    def told(event: Any) -> None:
        if event.operation == "TransactWriteItems":
            seen.append(1)
            if len(seen) == 4:  # after the tombstone, amid the conversations
                writes()

    scene.new_store(on_request=told).people.erase("ann")
    assert len(seen) > 4
    assert scene.items() == []


def test_an_id_without_a_user(scene: Scene) -> None:
    """Applications may keep their users elsewhere: the tombstone blocks the id meanwhile."""
    store = scene.store
    store.conversations.create("ann", conversation_id="talk")
    store.callers.create("ann")
    store.conversations.create("bob", conversation_id="his")
    with just_before(store, "TransactWriteItems", lambda: None):
        receipt = store.people.erase("ann")
    assert receipt.erased == {"conversation": 1, "caller": 1}
    assert [item["PK"]["S"] for item in scene.items()] == ["CONV#his#"]
    assert store.people.erase("nobody-knows").is_empty
    store.users.create("ann@example.com", user_id="ann")  # the id is free


@pytest.mark.once
def test_an_id_without_a_user_killed_at_each_request(dynamo_chat_engine: Engine) -> None:
    with opened(dynamo_chat_engine) as scene:
        store = scene.store
        for number in range(2):
            store.conversations.create("ann", conversation_id=f"talk-{number}")
            store.emails.add(f"mail-{number}", new_email(account_id="a-1"))
        everything = scene.items()
        with RequestMeter(store.connection.client) as meter:
            store.people.erase("ann", account_ids=["a-1"])
        assert scene.items() == []
        for number in range(1, meter.count + 1):
            scene.restore(everything)
            cut_short(scene, number, Kill(), lambda: store.people.erase("ann", account_ids=["a-1"]))
            store.people.erase("ann", account_ids=["a-1"])
            assert scene.items() == [], number


def test_the_last_owner_names_an_heir(scene: Scene) -> None:
    """Otherwise the whole is refused, and nothing is changed."""
    store = scene.store
    for name in ("ann", "bob"):
        store.users.create(f"{name}@example.com", user_id=name)
    store.organizations.create("Example", "ann", organization_id="org")
    store.conversations.create("ann", conversation_id="talk")
    before = scene.items()
    with pytest.raises(IllegalTransition):
        store.people.erase("ann")
    with pytest.raises(NotFound):
        store.people.erase("ann", heir_id="nobody")
    assert scene.items() == before
    store.people.erase("ann", heir_id="bob")
    assert store.members.get("org", "bob").role == "owner"
    assert not any("ann" in str(item) for item in scene.items())


def test_an_invite_accepted_at_another_address_is_mentioned(scene: Scene) -> None:
    """The address may be the person's; with `addresses` it is, and the invite goes."""
    store = scene.store
    for name in ("ann", "bob"):
        store.users.create(f"{name}@example.com", user_id=name)
    store.organizations.create("Example", "bob", organization_id="org")
    issued = store.invites.create("org", "private@example.net", invited_by="bob", invite_id="i")
    store.invites.accept(issued.token, "ann", any_address=True)
    before = scene.items()
    receipt = store.people.erase("ann")
    (mention,) = receipt.mentions
    assert mention.identity == {"organization_id": "org", "invite_id": "i"}
    assert mention.fields == ("email",)
    assert store.invites.get("i").accepted_by == receipt.pseudonyms[0]
    scene.restore(before)
    receipt = store.people.erase("ann", addresses=["private@example.net"])
    assert (receipt.mentions, receipt.erased["invite"]) == ((), 1)
    assert not any("private" in str(item) for item in scene.items())


def test_when_both_sides_are_erased_nobody_keeps_the_call(scene: Scene) -> None:
    store = scene.store
    for name in ("ann", "bob"):
        store.callers.create(name)
    call = store.calls.start("ann", "bob")
    first = store.people.erase("ann")
    kept = store.calls.get(call.call_id)
    assert (kept.user_a, kept.user_b) == (first.pseudonyms[0], "bob")
    assert not kept.is_live
    assert [each.call_id for each in store.calls.list_by_user("bob")] == [call.call_id]
    assert not [*store.calls.list_by_user("ann")]
    assert not store.callers.get("bob").is_in_call
    store.people.erase("bob")
    assert scene.items() == []


def test_accounts_of_others_stay(scene: Scene) -> None:
    """Interactions in the person's conversation go with it; in others' conversations they stay."""
    store = scene.store
    store.conversations.create("ann", conversation_id="talk")
    store.conversations.create("bob", conversation_id="his")
    store.llm.record("talk", new_interaction(account_id="firm", prompt="Ann asks"))
    store.llm.record("his", new_interaction(account_id="firm", prompt="Bob asks"))
    records = [*store.people.export("ann")]
    assert [each.kind for each in records] == ["conversation", "llm_usage", "llm_content"]
    both = [*store.people.export("ann", account_ids=["firm"])]
    assert len(both) == 1 + 2 * 2
    store.people.erase("ann")
    assert [each.prompt for each in store.llm.list_by_conversation("his")] == ["Bob asks"]
    assert not [*store.llm.list_by_conversation("talk")]


def test_what_cannot_be_read_is_told_last(scene: Scene) -> None:
    store = scene.store
    store.users.create("ann@example.com", user_id="ann")
    store.conversations.create("ann", conversation_id="talk")
    for number in range(2):
        store.messages.append("talk", NewMessage(role="user", content=str(number)))
    damaged = next(item for item in scene.items() if item[KIND]["S"] == "message")
    scene.put(damaged | {"role": {"S": "nobody"}})
    records = store.people.export("ann")
    assert [next(records).kind for _ in range(3)] == ["conversation", "message", "user"]
    with pytest.raises(CorruptItem):
        next(records)
    store.people.erase("ann")
    assert scene.items() == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 300}, "user_id"),
        ({"account_ids": "a-1"}, "account_ids"),
        ({"account_ids": [""]}, "account_ids"),
        ({"account_ids": [7]}, "account_ids"),
        ({"account_ids": None}, "account_ids"),
        ({"account_ids": (str(n) for n in range(2_000))}, "account_ids"),
        ({"addresses": ["nonsense"]}, "email"),
        ({"addresses": 7}, "addresses"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    scene: Scene, given: dict[str, Any], named: str
) -> None:
    people = scene.store.people
    for call in (people.export, people.plan_erasure, people.erase):
        arguments = dict(given)
        user_id = arguments.pop("user_id", "ann")
        if "account_ids" in arguments and not isinstance(arguments["account_ids"], (str, list)):
            arguments["account_ids"] = [str(n) for n in range(2_000)]
        with RequestMeter(scene.store.connection.client) as meter:
            with pytest.raises(InvalidArgument, match=named):
                call(user_id, **arguments)
            assert meter.count == 0


def test_what_expired_is_not_handed_out(scene: Scene) -> None:
    store, day = scene.store, timedelta(days=1)
    store.conversations.create("ann", conversation_id="fixed", retention=day)
    store.conversations.create("ann", conversation_id="sliding", retention=day, sliding=True)
    store.conversations.create("ann", conversation_id="kept")
    for name in ("fixed", "sliding", "kept"):
        store.messages.append(name, NewMessage(role="user", content="Hi"))
        store.llm.record(name, new_interaction(account_id="a-1"))
    scene.clock.advance(day + timedelta(minutes=1))
    found = [*store.people.export("ann")]
    assert {each.entity.conversation_id for each in found} == {"kept"}  # type: ignore[attr-defined]


@pytest.mark.once
def test_many_items_are_walked_page_by_page(scene: Scene) -> None:
    """More than a page of DynamoDB's of each: all of them, and nothing is kept in between."""
    store = scene.store
    store.conversations.create("ann", conversation_id="talk")
    text = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(12_000))
    for start in range(0, 60, 20):
        turn = [
            NewMessage(role="user", content=f"{n} {text[n:]}") for n in range(start, start + 20)
        ]
        store.messages.append_turn("talk", turn)
    for _ in range(120):
        store.invocations.record(new_invocation())
    with RequestMeter(store.connection.client) as meter:
        records = store.people.export("ann", account_ids=["a-1"])
        next(records)
        first = meter.count
        kinds = Counter(each.kind for each in records)
        assert meter.count > first
    assert kinds == {"message": 60, "invocation": 120}
    assert store.people.erase("ann", account_ids=["a-1"]).erased["message"] == 60
    assert scene.items() == []
