"""An application's own kinds that say whose they are: erased with the person, and nobody else's."""

from contextlib import suppress
from typing import Any, ClassVar

import pytest

from dynamo_chat import ChatStore
from dynamo_chat.core.errors import NotFound
from dynamo_chat.core.layout import Whose
from dynamo_chat.entities import (
    Entity,
    Id,
    Layout,
    Repository,
    Slot,
    partition,
    repository,
    sort,
    text,
)
from dynamo_chat.testing import Engine, Kill, Killed, RequestMeter
from tests.scene import Scene, at_request, faults

LETTER = Layout(
    "letter",
    table=Slot(partition("LETTER", text("letter_id")), sort("LETTER")),
    gsi1=Slot(partition("LETTERS", text("address")), sort("LETTER", text("letter_id"))),
    whose=Whose("address", ("address",)),
)
PARCEL = Layout(
    "parcel",
    table=Slot(partition("PARCEL", text("parcel_id")), sort("PARCEL")),
    gsi1=Slot(partition("PARCELS", text("user_id")), sort("PARCEL", text("parcel_id"))),
    whose=Whose("user", ("user_id",)),
)


CONTENT = Layout(
    "parcel_content",
    table=Slot(partition("PARCEL", text("parcel_id")), sort("THING", text("thing_id"))),
    of=PARCEL,
)


class Letter(Entity):
    """A letter to an address."""

    layout: ClassVar[Layout] = LETTER
    letter_id: Id
    address: Id


class Parcel(Entity):
    """A parcel that somebody has."""

    layout: ClassVar[Layout] = PARCEL
    parcel_id: Id
    user_id: Id


class ParcelContent(Entity):
    """A thing in a parcel."""

    layout: ClassVar[Layout] = CONTENT
    parcel_id: Id
    thing_id: Id


class Post(Repository):
    """Keeps letters and parcels."""

    kinds = (Letter, Parcel, ParcelContent)

    def keep(self, made: Entity) -> None:
        """Store it."""
        self.items.create(made)

    def hand_over(self, parcel_id: str, user_id: str) -> None:
        """Give a parcel to another user."""
        self.items.change(self.items.get(Parcel, parcel_id=parcel_id), user_id=user_id)


class PostStore(ChatStore):
    """A post office's table."""

    post = repository(Post)


@pytest.fixture
def office(scene: Scene, dynamo_chat_engine: Engine) -> PostStore:
    return dynamo_chat_engine.store(scene.table, store=PostStore, clock=scene.clock)


def ids(scene: Scene) -> list[Any]:
    return sorted(item["PK"]["S"] for item in scene.items())


def test_what_is_at_the_addresses_of_the_user_goes(office: PostStore, scene: Scene) -> None:
    """The store knows them; a further one is named."""
    office.users.create("ann@example.com", user_id="ann")
    for number, address in enumerate(("ann", "old", "bob")):
        office.post.keep(Letter(letter_id=str(number), address=f"{address}@example.com"))
    receipt = office.people.erase("ann", addresses=["old@example.com"])
    assert receipt.erased == {"user": 1, "letter": 2}
    assert ids(scene) == ["LETTER#2#"]


@pytest.mark.once
def test_what_got_another_owner_meanwhile_stays(
    office: PostStore, scene: Scene, dynamo_chat_engine: Engine
) -> None:
    """It is handed over between any two requests, also after it was read as the person's."""
    other = dynamo_chat_engine.store(scene.table, store=PostStore, clock=scene.clock)
    office.post.keep(Parcel(parcel_id="one", user_id="ann"))
    everything = scene.items()
    with RequestMeter(office.connection.client) as meter:
        office.people.erase("ann")
    assert scene.items() == []
    handed: list[int] = []
    for number in range(1, meter.count + 1):
        scene.restore(everything)

        def hand_over(number: int = number) -> None:
            with suppress(NotFound):
                other.post.hand_over("one", "bob")
                handed.append(number)

        with at_request(office, number, hand_over):
            office.people.erase("ann")
        assert ids(scene) == ["PARCEL#one#"] * handed.count(number), number
    assert len(handed) > meter.count // 2


@pytest.mark.once
def test_what_is_inside_goes_first(office: PostStore, scene: Scene) -> None:
    """Once its root is gone, nothing leads to it: so a call after a crash would not find it."""
    for name in ("one", "two"):
        office.post.keep(Parcel(parcel_id=name, user_id="ann"))
        for number in range(110):  # more than one transaction deletes
            office.post.keep(ParcelContent(parcel_id=name, thing_id=str(number)))
    everything = scene.items()
    with RequestMeter(office.connection.client) as meter:
        assert office.people.erase("ann").erased == {"parcel": 2, "parcel_content": 220}
    assert scene.items() == []
    for number in range(meter.count - 5, meter.count + 1):
        scene.restore(everything)
        with faults(office) as injector:
            injector.plan(Kill(), at=number)
            with pytest.raises(Killed):
                office.people.erase("ann")
        office.people.erase("ann")
        assert scene.items() == [], number
