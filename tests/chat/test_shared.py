"""Conversations that belong to an organization: everywhere its members', nowhere anybody else's."""

import copy
import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import ChatStore, Conversation, OfOrganization
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, NotFound
from dynamo_chat.core.of_organization import PREFIX, as_owner
from dynamo_chat.testing import FakeClock, Fault, RequestMeter
from tests.chat.scenes import say, user
from tests.chat.test_costs import english
from tests.doctor.scene import doctor_of
from tests.scene import (
    SECOND,
    Scene,
    cut_short,
    drained,
    each_fault,
    just_before,
    race,
    requests,
)

engine = pytest.mark.engine
ACME = OfOrganization("acme")


@pytest.fixture
def org(store: ChatStore) -> OfOrganization:
    """An organization of Ann's, with Bob."""
    store.organizations.create("Acme", "ann", organization_id="acme")
    store.members.add("acme", "bob")
    return ACME


def listed(store: ChatStore, owner: str) -> list[str]:
    """The conversations in each list of an owner's, which agree."""
    talks = store.conversations
    by_creation, by_activity = (
        [each.conversation_id for page in drained(ask, user_id=owner) for each in page]
        for ask in (talks.list_by_user, talks.list_by_activity)
    )
    assert sorted(by_creation) == sorted(by_activity)
    return by_activity


# -- the owner ----------------------------------------------------------------------------------


@given(st.text(min_size=1).filter(lambda s: s.isprintable()))
def test_an_owner_is_kept_through_everything(organization_id: str) -> None:
    """Copies, pickles, JSON, and what is stored."""
    owner = OfOrganization(organization_id)
    for made in (copy.copy(owner), copy.deepcopy(owner), pickle.loads(pickle.dumps(owner))):
        assert (type(made), made) == (OfOrganization, owner)
    assert owner.organization_id == organization_id
    assert repr(owner) == f"OfOrganization({organization_id!r})"
    stored = json.loads(json.dumps(owner))
    assert stored == PREFIX + organization_id
    assert type(as_owner(stored)) is OfOrganization
    assert as_owner(organization_id) == organization_id


@pytest.mark.parametrize("given", ["", None, 7, b"acme", "\ud800", ACME, ["acme"]])
def test_what_is_no_id(given: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        OfOrganization(given)
    assert refused.value.argument == "organization_id"


@engine
@pytest.mark.parametrize("owner", [f"{PREFIX}acme", PREFIX, f"{PREFIX}{'x' * 5_000}"])
def test_a_text_that_only_looks_like_one(store: ChatStore, owner: str) -> None:
    """A client that chose its user id would choose an organization's conversations."""
    calls: list[Callable[[], object]] = [
        lambda: store.conversations.create(owner),
        lambda: store.conversations.get("c-1", user_id=owner),
        lambda: store.conversations.list_by_user(owner),
        lambda: store.messages.append("c-1", user(), user_id=owner),
        lambda: store.users.create("x@example.com", user_id=owner),
        lambda: store.members.add("acme", owner),
        lambda: store.members.authorize("acme", owner),
    ]
    for call in calls:
        with requests(store, 0), pytest.raises(InvalidArgument, match="user_id"):
            call()


@engine
def test_it_owns_nothing_but_conversations(store: ChatStore, org: OfOrganization) -> None:
    """It is no user, member, caller or reviewer, and nobody's data to erase."""
    calls: list[Callable[[], object]] = [
        lambda: store.users.create("x@example.com", user_id=org),
        lambda: store.users.delete(org),
        lambda: store.logins.create(org),
        lambda: store.members.add("acme", org),
        lambda: store.organizations.create("Evil", org),
        lambda: store.invites.create("acme", "x@example.com", invited_by=org),
        lambda: store.reviews.create("c-1", org),
        lambda: store.callers.create(org),
        lambda: store.calls.start(org, "bob"),
        lambda: next(store.people.export(org)),
        lambda: store.people.erase(org),
    ]
    for call in calls:
        with requests(store, 0), pytest.raises(InvalidArgument, match="conversations only"):
            call()


@engine
def test_ids_of_256_characters(store: ChatStore) -> None:
    """As long as an organization's may be, whatever they are of; users' no longer than before."""
    for identifier in ("x" * 256, "#" * 256, "\U0001f600" * 250):
        store.organizations.create("Acme", "ann", organization_id=identifier)
        owner = OfOrganization(identifier)
        made = store.conversations.create(owner, title="T")
        assert listed(store, owner) == [made.conversation_id]
        assert store.conversations.find_by_title("T", user_id=owner).items == (made,)
        store.organizations.delete(identifier)
    for too_long in ("x" * 257, OfOrganization("x" * 257)):
        with requests(store, 0), pytest.raises(InvalidArgument, match="user_id"):
            store.conversations.create(too_long)


# -- its conversations --------------------------------------------------------------------------


@engine
def test_a_shared_conversation(scene: Scene, store: ChatStore, org: OfOrganization) -> None:
    """Listed for the organization, by creation and by activity, and for nobody else."""
    talks = store.conversations
    first = talks.create(org, title="Plans")
    scene.clock.advance(SECOND)
    second = talks.create(org)
    assert (first.user_id, first.organization_id) == (org, "acme")
    assert talks.create("ann").organization_id is None
    scene.clock.advance(SECOND)
    said = store.messages.append(first.conversation_id, user("hi", message_id="m-1"), user_id=org)
    assert listed(store, org) == [first.conversation_id, second.conversation_id]
    (found,) = talks.find_by_title("Plans", user_id=org)
    assert (type(found.user_id), found.organization_id) == (OfOrganization, "acme")
    assert store.messages.get_by_id("m-1", user_id=org) == said
    head, messages = store.messages.latest_with_conversation(
        first.conversation_id, 20, user_id=found.user_id
    )
    assert (head.organization_id, tuple(messages)) == ("acme", (said,))
    for other in ("ann", "bob", "acme", OfOrganization("other"), OfOrganization("acme2")):
        assert first.conversation_id not in listed(store, other)
        assert not talks.find_by_title("Plans", user_id=other).items
        for call in (
            lambda by: store.messages.list(first.conversation_id, user_id=by),
            lambda by: store.messages.append(first.conversation_id, user("x"), user_id=by),
            lambda by: talks.rename(first.conversation_id, "Mine", user_id=by),
            lambda by: talks.delete(first.conversation_id, user_id=by),
            lambda by: store.messages.get_by_id("m-1", user_id=by),
        ):
            with pytest.raises(NotFound):
                call(other)
    with doctor_of(scene) as doctor:
        assert doctor.examine().is_clean


@engine
def test_how_it_is_stored(scene: Scene, store: ChatStore, org: OfOrganization) -> None:
    """These forms are released: they never change."""
    store.conversations.create(org, conversation_id="c-1", title="T")
    head, title = scene.only("conversation"), scene.only("conversation_title")
    assert head["user_id"] == {"S": "organization#acme"}
    for item in (head["GSI1PK"], head["GSI2PK"], title["GSI2PK"]):
        assert item == {"S": "USER#organization$23acme#"}


@engine
def test_what_it_costs(store: ChatStore, clock: FakeClock, org: OfOrganization) -> None:
    """An append, a page and an open conversation cost what a user's do; creation checks more."""
    costs = []
    for owner in ("ann", org):
        with RequestMeter(store.connection.client) as meter:
            made = store.conversations.create(owner, title="Renders of the harbour at night")
        creation = (meter.count, meter.wcu)
        talk = made.conversation_id
        for _ in range(20):
            clock.advance(SECOND)
            store.messages.append(talk, english(1_000))
        clock.advance(SECOND)
        cost = []
        for call in (
            lambda: store.messages.append(talk, english(1_000), user_id=owner),  # noqa: B023
            lambda: store.messages.latest_with_conversation(talk, 20, user_id=owner),  # noqa: B023
            lambda: store.conversations.list_by_activity(owner),  # noqa: B023
        ):
            with RequestMeter(store.connection.client) as meter:
                call()
            cost.append((meter.count, meter.wcu, meter.rcu))
        costs.append((creation, cost))
    (ann, as_ann), (acme, as_acme) = costs
    assert as_ann == as_acme
    assert as_acme[0] == (1, 7, 0)
    assert (ann, acme) == ((1, 8), (1, 10))


@engine
def test_the_organization_must_exist(store: ChatStore, org: OfOrganization) -> None:
    """Or a typing mistake, or a late request, would make conversations that nobody lists."""
    for _ in range(2):
        with requests(store, 1), pytest.raises(NotFound, match="organization 'other'"):
            store.conversations.create(OfOrganization("other"), conversation_id="c-1")
    store.conversations.create(org, conversation_id="c-1")
    again = store.conversations.create(org, conversation_id="c-1")
    assert again.organization_id == "acme"
    for owner in ("ann", OfOrganization("other")):
        with pytest.raises(AlreadyExists) as taken:
            store.conversations.create(owner, conversation_id="c-1")
        assert taken.value.current is None


@engine
def test_an_orphan_is_reported(scene: Scene, store: ChatStore, org: OfOrganization) -> None:
    """Its lists still lead to it, so a human decides."""
    store.conversations.create(org, conversation_id="c-1")
    scene.delete(scene.only("organization"))
    with doctor_of(scene) as doctor:
        found = [each for each in doctor.examine().findings if each.kind == "conversation"]
        assert [each.code for each in found] == ["orphan"]
        assert {each.outcome for each in doctor.repair(found)} == {"left"}
    assert store.conversations.get("c-1").organization_id == "acme"


@engine
def test_members_write_at_once(store: ChatStore, org: OfOrganization) -> None:
    """Each message is appended once, in one order."""
    talk = store.conversations.create(org, title="T").conversation_id

    def of(name: str) -> Callable[[], object]:
        return lambda: store.messages.append(talk, user(name, message_id=name), user_id=org)

    names = [f"m-{number % 8}" for number in range(16)]
    race([of(name) for name in names])
    found = store.messages.list(talk, user_id=org, consistent=True)
    assert sorted(each.content for each in found) == sorted(set(names))
    assert store.conversations.get(talk, consistent=True).message_count == 8


# -- sharing ------------------------------------------------------------------------------------


def own(store: ChatStore) -> str:
    """Bob's conversation, with a title, an id of his and feedback."""
    store.conversations.create("bob", conversation_id="c-1", title="T")
    store.messages.append("c-1", user("a", message_id="m-1"))
    store.messages.append("c-1", user("b"))
    return "c-1"


def assert_of(scene: Scene, owner: str, other: str) -> None:
    """It is in all lists of its owner, found by its ids, and in none of the other's."""
    store = scene.new_store()
    assert (listed(store, owner), listed(store, other)) == (["c-1"], [])
    assert [each.user_id for each in store.conversations.find_by_title("T", user_id=owner)]
    assert not store.conversations.find_by_title("T", user_id=other).items
    assert store.messages.get_by_id("m-1", user_id=owner).content == "a"
    for call in (store.messages.list, store.conversations.get):
        with pytest.raises(NotFound):
            call("c-1", user_id=other)
    with doctor_of(scene) as doctor:
        assert doctor.examine().is_clean


@engine
def test_shared_and_taken_back(scene: Scene, store: ChatStore, org: OfOrganization) -> None:
    """All of it moves at once; who remembers the owner before is refused, too."""
    talk, late = own(store), scene.new_store()
    late.messages.latest_with_conversation(talk, user_id="bob")
    shared = store.conversations.give_to(talk, org, user_id="bob")
    assert (type(shared.user_id), shared.organization_id) == (OfOrganization, "acme")
    assert_of(scene, org, "bob")
    with pytest.raises(NotFound):
        late.messages.append(talk, user("c"), user_id="bob")
    again = store.conversations.give_to(talk, org, user_id="bob")  # its answer was lost
    assert again.organization_id == "acme"
    for stranger in ("ann", OfOrganization("other")):
        with pytest.raises(NotFound):
            store.conversations.give_to(talk, "eve", user_id=stranger)
    store.messages.append(talk, user("c"), user_id=org)
    assert store.conversations.give_to(talk, "bob", user_id=org).organization_id is None
    assert_of(scene, "bob", org)


@engine
def test_shared_with_one_that_is_not_there(
    scene: Scene, store: ChatStore, org: OfOrganization
) -> None:
    """Nothing is written; a text that looks like one is refused before."""
    talk = own(store)
    before = scene.items()
    with pytest.raises(NotFound, match="organization 'other'"):
        store.conversations.give_to(talk, OfOrganization("other"), user_id="bob")
    with requests(store, 0), pytest.raises(InvalidArgument, match="new_user_id"):
        store.conversations.give_to(talk, str(org), user_id="bob")
    with (
        just_before(
            store, "TransactWriteItems", lambda: scene.new_store().organizations.delete("acme")
        ),
        pytest.raises(NotFound, match="organization 'acme'"),
    ):
        store.conversations.give_to(talk, org, user_id="bob")
    kinds = {"organization", "member", "membership"}
    assert scene.items() == [each for each in before if each["kind"]["S"] not in kinds]


@engine
@pytest.mark.once
@pytest.mark.parametrize(("number", "fault"), list(each_fault(4)))
def test_sharing_cut_short(
    scene: Scene, store: ChatStore, org: OfOrganization, number: int, fault: Fault
) -> None:
    """One of the two owns it; the same call finishes."""
    own(store)
    cut_short(scene, number, fault, lambda: store.conversations.give_to("c-1", org, user_id="bob"))
    owners = [name for name in ("bob", org) if listed(scene.new_store(), name)]
    assert len(owners) == 1
    store.conversations.give_to("c-1", org, user_id="bob")
    assert_of(scene, org, "bob")


@engine
@pytest.mark.once
def test_sharing_while_others_write(scene: Scene, store: ChatStore, org: OfOrganization) -> None:
    """Shared, taken back, renamed and appended to at once: one owner, everything in place."""
    own(store)
    talks = store.conversations

    def either(call: Callable[[str], object]) -> Callable[[], object]:
        def run() -> None:
            for owner in ("bob", org):
                with suppress(NotFound, AlreadyExists):
                    call(owner)

        return run

    race(
        [
            *[lambda: talks.give_to("c-1", org, user_id="bob")] * 3,
            *[lambda: talks.give_to("c-1", "bob", user_id=org)] * 3,
            *[either(lambda by: talks.rename("c-1", "T", user_id=by))] * 3,
            *[either(lambda by: store.messages.append("c-1", user("x"), user_id=by))] * 3,
        ]
    )
    owner = talks.get("c-1", consistent=True).user_id
    store.conversations.give_to("c-1", owner)  # finishes what was overtaken
    assert_of(scene, owner, "bob" if owner == org else org)


# -- people ------------------------------------------------------------------------------------


@engine
def test_it_is_no_persons(store: ChatStore, org: OfOrganization) -> None:
    """Neither exported with a member nor erased with one, who began it and wrote in it."""
    for name in ("ann", "bob"):
        store.users.create(f"{name}@example.com", user_id=name)
    store.members.update("acme", "bob", role="owner")
    own = store.conversations.create("ann").conversation_id
    talk = store.conversations.create(org, title="T").conversation_id
    say(store, talk, "hello")
    exported = [each.entity for each in store.people.export("ann")]
    found = [each.conversation_id for each in exported if isinstance(each, Conversation)]
    assert found == [own]
    store.people.erase("ann")
    assert listed(store, org) == [talk]
    assert store.messages.list(talk, user_id=org).items[0].content == "hello"
