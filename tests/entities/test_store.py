"""A store class with repositories of its own, beside what the desk shows."""

from typing import ClassVar

import pytest

from dynamo_chat import ChatStore, NotFound
from dynamo_chat.core.own import made_like
from dynamo_chat.entities import (
    GSI1,
    TABLE,
    AlreadyExists,
    Bytes,
    Conflict,
    Entity,
    ExpiresAt,
    Id,
    InvalidArgument,
    Layout,
    Page,
    PageRequest,
    Repository,
    Slot,
    Time,
    Whose,
    access_pattern,
    fields,
    partition,
    repository,
    sort,
    text,
    time,
)
from dynamo_chat.store import _locks
from dynamo_chat.testing import FakeClock
from dynamo_chat.testing.engine import Engine
from tests.scene import DAY

ORDER = Layout(
    "order",
    table=Slot(partition("ORDER", text("order_id")), sort("ORDER")),
    gsi1=Slot(partition("SHOP", text("shop_id")), sort("ORDER", time("paid_at"), text("order_id"))),
    whose=Whose("nobody"),
)


class Order(Entity):
    """In the index once it is paid."""

    layout: ClassVar[Layout] = ORDER
    order_id: Id
    shop_id: Id
    paid_at: Time | None = None
    receipt: Bytes = b""
    expires_at: ExpiresAt = None


class Orders(Repository):
    """What a shop asks."""

    kinds = (Order,)

    @access_pattern("OR1", "Query", "1", index="GSI1", owner="argument")
    def paid(self, shop_id: str, *, page_size: int = 20, cursor: str | None = None) -> Page[Order]:
        """The paid orders of a shop, oldest first."""
        asked = PageRequest((shop_id,), False, page_size, cursor)
        return self.items.page(asked, Order, ORDER.collection(GSI1, shop_id)())


class ShopStore(ChatStore):
    """A shop's table."""

    orders = repository(Orders)


@pytest.fixture
def shop(dynamo_chat_engine: Engine, clock: FakeClock) -> ShopStore:
    return dynamo_chat_engine.store(f"shop-{id(clock)}", store=ShopStore, clock=clock)


def test_an_entity_is_in_an_index_while_its_components_have_values(shop: ShopStore) -> None:
    """A change sets both keys of an index, or removes both."""
    items = shop.orders.items
    order = items.create(Order(order_id="o-1", shop_id="s-1", receipt=b"\x00\x01"))
    assert not list(shop.orders.paid("s-1"))
    paid = items.change(order, paid_at=items.now())
    assert list(shop.orders.paid("s-1")) == [paid]
    assert paid.receipt == b"\x00\x01"
    moved = items.change(paid, shop_id="s-2")
    assert not list(shop.orders.paid("s-1"))
    assert list(shop.orders.paid("s-2")) == [moved]
    with pytest.raises(Conflict) as stale:
        items.change(paid, shop_id="s-3")
    assert stale.value.current == moved
    items.change(moved, paid_at=None)
    assert not list(shop.orders.paid("s-2"))


def test_what_is_part_of_a_key_is_not_changed_unread(shop: ShopStore) -> None:
    items = shop.orders.items
    order = items.create(Order(order_id="o-1", shop_id="s-1"))
    with pytest.raises(InvalidArgument, match="shop_id: is part of a key"):
        items.update(Order, {"shop_id": "s-2"}, order_id="o-1")
    with pytest.raises(InvalidArgument, match="order_id: is part of the key in the table"):
        items.change(order, order_id="o-2")
    with pytest.raises(NotFound, match="order 'o-9'"):
        items.update(Order, {"receipt": b"1"}, order_id="o-9")
    with pytest.raises(NotFound):
        items.change(Order(order_id="o-9", shop_id="s"), receipt=b"1")
    found = items.update(
        Order, {"receipt": b"1"}, only_if=fields(Order).shop_id == "s-1", order_id="o-1"
    )
    assert found.receipt == b"1"
    with pytest.raises(Conflict) as refused:
        items.update(Order, {"receipt": b"2"}, only_if=fields(Order).shop_id == "x", order_id="o-1")
    assert refused.value.current == found


def test_an_expired_item_is_absent_for_all_of_it(shop: ShopStore, clock: FakeClock) -> None:
    items = shop.orders.items
    first = Order(order_id="o-1", shop_id="s-1", expires_at=clock() + DAY)
    items.create(first)
    assert items.create(first).order_id == "o-1"
    with pytest.raises(AlreadyExists):
        items.create(Order(order_id="o-1", shop_id="s-2"))
    clock.advance(2 * DAY)
    assert items.find(Order, order_id="o-1") is None
    assert items.find_many(Order, [{"order_id": "o-1"}]) == [None]
    with pytest.raises(Conflict):
        items.write(items.requiring(Order, order_id="o-1"))
    again = items.create(Order(order_id="o-1", shop_id="s-2"))
    items.write(items.requiring(Order, order_id="o-1"))
    assert items.get(Order, order_id="o-1") == again
    with pytest.raises(Conflict):
        items.put(first, only_if=fields(Order).shop_id == "s-1")
    items.delete(Order, order_id="o-1")
    items.delete(Order, order_id="o-1")
    with pytest.raises(NotFound):
        items.get(Order, order_id="o-1")


def test_own_items_stay_out_of_conversations(shop: ShopStore) -> None:
    """And those of conversations out of `items`: their writes must check the head."""
    talk = shop.conversations.create("u-1").conversation_id
    order = Order(order_id="o-1", shop_id="s-1")
    with pytest.raises(TypeError, match="a order is not in a conversation: use items"):
        shop.orders.conversation_items.write(talk, lambda each: [each.putting(order)])


def test_locks_of_own_repositories_are_renewed_in_a_forked_child() -> None:
    """Python 3.11 keeps a lock on each cached property, which another thread may hold."""
    member = vars(ShopStore)["orders"]
    before = getattr(member, "lock", None)
    _locks.after_fork()
    assert before is None or member.lock is not before


def test_a_repository_is_only_made_like_one_that_it_extends(shop: ShopStore) -> None:
    with pytest.raises(TypeError, match="Orders must extend Messages"):
        made_like(shop.messages, Orders)


def test_the_attribute_shows_the_repository() -> None:
    assert ShopStore.orders.__doc__ == Orders.__doc__
    assert ShopStore.orders.made is Orders
    assert ORDER.table.pk.pattern() == "ORDER#<order_id>"
    assert ORDER.slot(TABLE) is ORDER.table
