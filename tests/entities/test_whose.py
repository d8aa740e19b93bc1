"""An application's kinds are exported and erased with whoever they belong to."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from dynamo_chat import ChatStore, NotFound
from dynamo_chat.entities import (
    USER,
    Entity,
    Id,
    Layout,
    Repository,
    Slot,
    Whose,
    integer,
    partition,
    repository,
    sort,
    text,
)
from dynamo_chat.testing import FaultInjector, Kill, Killed
from dynamo_chat.testing.engine import Engine
from dynamo_chat.workflows.person_records import exported_kinds

SHARDS = 3


class Note(Entity):
    """In a partition that is named by the user, as in the guide."""

    layout: ClassVar[Layout] = Layout(
        "note", table=Slot(partition("NOTE", text("user_id")), sort("NOTE", text("note_id")))
    )
    user_id: Id
    note_id: Id


MARK = Layout(
    "note_mark",
    table=Slot(Note.layout.table.pk, sort("MARK", text("note_id"))),
    of=Note.layout,
    helper=True,
)


class Album(Entity):
    """In a partition of its own; an index lists the user's."""

    layout: ClassVar[Layout] = Layout(
        "album",
        table=Slot(partition("ALBUM", text("album_id")), sort("ALBUM")),
        gsi2=Slot(partition("ALBUMS", text("user_id")), sort("ALBUM", text("album_id"))),
    )
    album_id: Id
    user_id: Id


class Photo(Entity):
    """Inside its album."""

    layout: ClassVar[Layout] = Layout(
        "photo",
        table=Slot(Album.layout.table.pk, sort("PHOTO", text("photo_id"))),
        of=Album.layout,
    )
    album_id: Id
    photo_id: Id


class Order(Entity):
    """Of an account."""

    layout: ClassVar[Layout] = Layout(
        "order",
        table=Slot(partition("ORDER", text("order_id")), sort("ORDER")),
        gsi1=Slot(partition("ORDERS", text("account_id")), sort("ORDER", text("order_id"))),
    )
    order_id: Id
    account_id: Id


class Visit(Entity):
    """Spread over shards, whose number is declared."""

    layout: ClassVar[Layout] = Layout(
        "visit",
        table=Slot(
            partition("VISIT", text("user_id"), integer("shard", 2)),
            sort("VISIT", text("visit_id")),
        ),
        whose=Whose("user", ("user_id",), shards=SHARDS),
    )
    user_id: Id
    shard: int
    visit_id: Id


class Letter(Entity):
    """To an address."""

    layout: ClassVar[Layout] = Layout(
        "letter",
        table=Slot(partition("LETTER", text("address")), sort("LETTER", text("letter_id"))),
        whose=Whose("address", ("address",)),
    )
    address: Id
    letter_id: Id


class Board(Entity):
    """Of an organization: it is no person's."""

    layout: ClassVar[Layout] = Layout(
        "board",
        table=Slot(partition("BOARD", text("organization_id")), sort("BOARD", text("board_id"))),
    )
    organization_id: Id
    board_id: Id


class Things(Repository):
    """Writes them all."""

    kinds = (Note, MARK, Album, Photo, Order, Visit, Letter, Board)

    def fill(self, user: str, account: str, address: str) -> None:
        """Two of each kind."""
        for number in "12":
            album = f"{user}-{number}"
            note = Note(user_id=user, note_id=number)
            mark = {name: {"S": value["S"]} for name, value in MARK.key(**note.__dict__).items()}
            self.items.create(note)
            for entity in (
                Album(album_id=album, user_id=user),
                Photo(album_id=album, photo_id="1"),
                Photo(album_id=album, photo_id="2"),
                Order(order_id=album, account_id=account),
                Visit(user_id=user, shard=int(number), visit_id="v"),
                Letter(address=address, letter_id=number),
                Board(organization_id=account, board_id=album),
            ):
                self.items.create(entity)
            client, table = self._connection.client, self._connection.table_name
            client.put_item(
                TableName=table, Item={**mark, "kind": {"S": MARK.kind}, "v": {"N": "1"}}
            )


class ThingStore(ChatStore):
    """A store with kinds that say in each way whose they are."""

    things = repository(Things)


EACH = Counter(note=2, album=2, photo=4, order=2, visit=2, letter=2, user=1)


@pytest.fixture
def store(dynamo_chat_engine: Engine) -> Iterator[ThingStore]:
    made = dynamo_chat_engine.store("things", store=ThingStore)
    for user, account in (("ann", "a-1"), ("bob", "a-2")):
        made.users.create(f"{user}@example.com", user_id=user)
        made.things.fill(user, account, f"{user}@example.com")
    yield made
    made.connection.client.delete_table(TableName="things")


def items_of(store: ThingStore) -> list[dict[str, Any]]:
    found = store.connection.client.scan(TableName="things")["Items"]
    return sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))


def kept(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What stays when ann is erased: what names her nowhere, and boards."""
    return [
        each
        for each in items
        if each["kind"]["S"] == "board" or not ("ann" in str(each) or "a-1" in str(each))
    ]


def test_the_partition_says_whose_it_is() -> None:
    assert {
        each.kind: each.owner.what for each in ThingStore.key_space.own if each.owner is not None
    } == {
        "note": "user",
        "note_mark": "user",
        "album": "user",
        "order": "account",
        "visit": "user",
        "letter": "address",
        "board": "nobody",
    }
    exported = dict(exported_kinds(ThingStore.key_space))
    assert set(EACH) <= set(exported)
    assert not {"board", "note_mark"} & set(exported)


def test_a_kind_that_belongs_to_its_user_keeps_to_it() -> None:
    """As before: in the user's own partition, or in one that is named by the user."""
    inside = Layout("a", Slot(USER.table.pk, sort("APPA")), of=USER, entity=Note)
    apart = Layout("b", Slot(partition("B", text("user_id")), sort("B")), of=USER, entity=Note)
    listed = Layout("c", apart.table, Slot(partition("C", text("organization_id")), sort("C")))
    also = replace(listed, of=USER, entity=Note)
    assert inside.owner is None
    assert apart.owner == also.owner == Whose("user", ("user_id",))


def test_an_export_has_what_is_the_persons(store: ThingStore) -> None:
    found = [*store.people.export("ann", account_ids=["a-1"])]
    assert Counter(each.kind for each in found) == EACH
    assert all("ann" in each.line() or "a-1" in each.line() for each in found)
    assert "order" not in {each.kind for each in store.people.export("ann")}


def test_an_erasure_takes_it_and_its_helper_items(store: ThingStore) -> None:
    before = items_of(store)
    receipt = store.people.erase("ann", account_ids=["a-1"])
    assert Counter(receipt.erased) == EACH
    assert items_of(store) == kept(before)


@pytest.mark.once
def test_an_erasure_that_dies_anywhere_is_finished(store: ThingStore) -> None:
    """Nothing is left that only an erased item led to, where one transaction can't take all."""
    for number in range(120):
        store.things.items.create(Photo(album_id="ann-1", photo_id=f"p-{number}"))
    before = items_of(store)
    for at in range(1, 100):
        with FaultInjector(store.connection.client) as faults:
            faults.plan(Kill(after_sending=True), at=at, operation="TransactWriteItems")
            try:
                store.people.erase("ann", account_ids=["a-1"])
            except Killed:
                pass
            else:
                break
        store.people.erase("ann", account_ids=["a-1"])
        assert items_of(store) == kept(before), at
        for each in before:
            store.connection.client.put_item(TableName="things", Item=each)
    assert at > 3, "some transactions"


@pytest.mark.once
def test_what_was_given_away_meanwhile_stays(store: ThingStore, dynamo_chat_engine: Engine) -> None:
    """After whichever read: the deletion of what an index led to checks whose it still is."""
    before, items = items_of(store), store.things.items
    album = items.get(Album, album_id="ann-1")
    seen: list[str] = []
    given: list[Album] = []

    def meanwhile(event: Any) -> None:
        if event.operation == "BatchGetItem":
            seen.append(event.operation)
        if event.operation == "BatchGetItem" and len(seen) == at:
            with suppress(NotFound):
                given.append(items.change(album, user_id="bob"))

    slow = ThingStore("things", region=dynamo_chat_engine.region, on_request=meanwhile)
    for at in range(1, 100):  # noqa: B007 - `meanwhile` reads it
        seen.clear()
        given.clear()
        slow.people.erase("ann", account_ids=["a-1"])
        assert [each for each in [items.find(Album, album_id="ann-1")] if each] == given
        if not given:
            break
        for each in before:
            store.connection.client.put_item(TableName="things", Item=each)
    assert at > 2


def test_kinds_of_integrations_are_the_applications() -> None:
    """Their entities are in modules of the package, but only some stores have them."""
    layout = Layout(
        "session", table=Slot(partition("SESSION", text("user_id")), sort("SESSION", text("name")))
    )
    module = "dynamo_chat.integrations.framework"
    of_one = type("Session", (Entity,), {"layout": layout, "__module__": module})
    layout.bind(of_one)
    assert (layout.is_own, layout.domain) == (True, "application")
    assert layout.owner == Whose("user", ("user_id",))
