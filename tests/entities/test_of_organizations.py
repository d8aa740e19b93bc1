"""Own kinds in the partition of an organization, and in the conversations that it owns."""

from contextlib import suppress
from typing import ClassVar

import pytest
from pynamodb.expressions.operand import Path

from dynamo_chat import ChatStore, OfOrganization
from dynamo_chat.core.errors import Conflict, DynamoChatError, InvalidArgument, NotFound
from dynamo_chat.entities import (
    CONVERSATION,
    ORGANIZATION,
    TABLE,
    Check,
    Entity,
    ExpiresAt,
    Id,
    Layout,
    Page,
    PageRequest,
    Repository,
    Slot,
    access_pattern,
    partition,
    repository,
    sort,
    text,
)
from dynamo_chat.testing import FaultInjector, Kill, Killed
from tests.scene import Scene

pytestmark = pytest.mark.engine

BOARDS = 120


class Board(Entity):
    """A board of an organization."""

    layout: ClassVar[Layout] = Layout(
        "board",
        table=Slot(partition("ORG", text("organization_id")), sort("APPBOARD", text("board_id"))),
        of=ORGANIZATION,
    )
    organization_id: Id
    board_id: Id


class Pin(Entity):
    """A pin in a conversation."""

    layout: ClassVar[Layout] = Layout(
        "pin",
        table=Slot(partition("CONV", text("conversation_id")), sort("APPPIN", text("pin_id"))),
        of=CONVERSATION,
    )
    conversation_id: Id
    pin_id: Id
    expires_at: ExpiresAt = None


class Boards(Repository):
    """Boards of organizations, and pins in conversations."""

    kinds = (Board, Pin)

    @access_pattern("BO1", "TransactWriteItems", "1", owner="argument")
    def add(self, organization_id: str, board_id: str) -> Board:
        """Add a board to an organization that exists. Conflict."""
        board = Board(organization_id=organization_id, board_id=board_id)
        key = ORGANIZATION.key(organization_id=organization_id)
        return self.items.create(board, Check(key, Path("kind") == ORGANIZATION.kind))

    @access_pattern("BO2", "TransactWriteItems", "≤2", owner="condition")
    def pin(self, conversation_id: str, pin_id: str, *, user_id: str | None = None) -> Pin:
        """Pin something in a conversation. NotFound."""
        made = Pin(conversation_id=conversation_id, pin_id=pin_id)
        self.conversation_items.write(
            conversation_id, lambda talk: [talk.putting(made)], user_id=user_id
        )
        return made

    @access_pattern("BO3", "BatchGetItem", "1", owner="read")
    def pinned(self, conversation_id: str, pin_id: str, reader: str) -> Pin:
        """A pin, for the owner, who is named in a way of its own. NotFound."""
        return self.conversation_items.get(
            Pin, conversation_id=conversation_id, pin_id=pin_id, user_id=reader
        )

    @access_pattern("BO4", "GetItem, Query", "2", owner="read")
    def pins(self, conversation_id: str, reader: str) -> Page[Pin]:
        """The pins of a conversation, as `pinned`."""
        return self.conversation_items.page(
            PageRequest((conversation_id,), False, 20, None),
            Pin,
            Pin.layout.collection(TABLE, conversation_id)(),
            conversation_id=conversation_id,
            user_id=reader,
        )

    @access_pattern("BO5", "TransactWriteItems", "≤2", owner="condition")
    def unpin(self, conversation_id: str, pin_id: str, reader: str) -> None:
        """Take a pin away, as `pinned`."""
        self.conversation_items.delete(
            Pin, conversation_id=conversation_id, pin_id=pin_id, user_id=reader
        )


class Desk(ChatStore):
    """A store with boards."""

    boards = repository(Boards)


def desk(scene: Scene) -> Desk:
    connection = scene.store.connection
    return Desk(
        connection.table_name,
        region=connection.region,
        endpoint_url=connection.endpoint_url,
        clock=scene.clock,
    )


def furnish(store: Desk) -> OfOrganization:
    """An organization with boards, and a conversation with a pin."""
    store.organizations.create("Acme", "ann", organization_id="acme")
    store.members.add("acme", "bob")
    for number in range(BOARDS):
        store.boards.add("acme", f"b-{number:03}")
    team = store.members.authorize("acme", "bob")
    store.conversations.create(team, conversation_id="c-1")
    store.boards.pin("c-1", "p-1", user_id=team)
    return team


def test_they_know_the_organization(scene: Scene) -> None:
    """An own method takes the owner of a conversation as the package's do."""
    with desk(scene) as store:
        furnish(store)
        for other in ("bob", "acme", OfOrganization("other")):
            with pytest.raises(NotFound):
                store.boards.pin("c-1", "p-2", user_id=other)
        with pytest.raises(InvalidArgument, match="user_id"):
            store.boards.pin("c-1", "p-2", user_id="organization#acme")
        assert scene.kinds()["pin"] == 1


def test_the_text_opens_under_no_name(scene: Scene) -> None:
    """Also where an own method names the owner otherwise than the package does."""
    with desk(scene) as store:
        team = furnish(store)
        boards = store.boards
        for call in (
            lambda reader: boards.pinned("c-1", "p-1", reader),
            lambda reader: boards.pins("c-1", reader),
            lambda reader: boards.unpin("c-1", "p-1", reader),
        ):
            with pytest.raises(InvalidArgument, match="user_id: must not begin"):
                call("organization#acme")
            assert scene.kinds()["pin"] == 1
            call(team)


@pytest.mark.once
@pytest.mark.parametrize("died", range(1, 8))
def test_they_go_with_it(scene: Scene, died: int) -> None:
    """All of them, wherever the deletion stops; those of another organization stay."""
    with desk(scene) as store:
        store.organizations.create("Other", "ann", organization_id="acme-2")
        store.boards.add("acme-2", "b-000")
        kept = scene.items()
        furnish(store)
        with FaultInjector(store.connection.client) as faults, suppress(Killed, DynamoChatError):
            faults.plan(Kill(after_sending=True), at=died)
            store.organizations.delete("acme")
        assert scene.kinds()["organization_tombstone"] == 1
        with pytest.raises(Conflict):
            store.boards.add("acme", "late")
        store.organizations.delete("acme")
        assert scene.items() == kept
