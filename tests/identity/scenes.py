"""What the tests of users and organizations share: a store, a clock, a look at everything."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from uuid import uuid4

import pytest

from dynamo_chat import ChatStore, ConnectionOptions, RequestEvent, keyspace
from dynamo_chat.core.addresses import address_key
from dynamo_chat.core.errors import DynamoChatError
from dynamo_chat.core.item import plan
from dynamo_chat.core.layout import GSI1, KIND, PLACES, Layout
from dynamo_chat.identity.logins import LoginSession
from dynamo_chat.identity.user import User, address_keys
from dynamo_chat.orgs.invite import HASH_ATTRIBUTE, Invite
from dynamo_chat.orgs.organization import Organization
from dynamo_chat.orgs.seats import Member
from dynamo_chat.testing import (
    DropAnswer,
    Engine,
    FakeClock,
    Fault,
    FaultInjector,
    Kill,
    Killed,
    StrictHook,
)

Item = Mapping[str, Any]
THREADS = 16


@dataclass(frozen=True)
class Scene:
    """A store on a table of its own, its clock, and a client that no hook looks at."""

    store: ChatStore
    clock: FakeClock
    client: Any

    def items(self) -> list[Item]:
        """Everything in the table."""
        pages = self.client.get_paginator("scan").paginate(
            TableName=self.store.connection.table_name, ConsistentRead=True
        )
        return [item for page in pages for item in page["Items"]]

    def put_back(self, items: Sequence[Item]) -> None:
        """Write items that were there before, as they were."""
        table = self.store.connection.table_name
        for start in range(0, len(items), 25):
            puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            self.client.batch_write_item(RequestItems={table: puts})

    def kinds(self) -> Counter[str]:
        """How many items there are of each kind."""
        return Counter(item[KIND]["S"] for item in self.items())

    def interrupted(
        self, operation: str | None, at: int, meanwhile: Callable[[], object]
    ) -> ChatStore:
        """The same table through a store that is held up while something else happens.

        `meanwhile` runs after the answer to the `at`-th request of `operation`, or of any.
        """
        seen: list[RequestEvent] = []

        def told(event: RequestEvent) -> None:
            if operation in (None, event.operation):
                seen.append(event)
                if len(seen) == at:
                    meanwhile()

        connection = self.store.connection
        return ChatStore(
            connection.table_name,
            region=connection.region,
            endpoint_url=connection.endpoint_url,
            clock=self.clock,
            on_request=told,
        )

    def fragile(self) -> "Scene":
        """The same table through a store that sends every request once only."""
        connection = self.store.connection
        store = ChatStore(
            connection.table_name,
            region=connection.region,
            endpoint_url=connection.endpoint_url,
            clock=self.clock,
            options=ConnectionOptions(max_attempts=1),
        )
        return replace(self, store=store)


@pytest.fixture(scope="session")
def onlooker(dynamo_chat_engine: Engine) -> Any:
    """A client that no hook looks at: making one takes time."""
    return dynamo_chat_engine.client()


@pytest.fixture
def scene(dynamo_chat_engine: Engine, onlooker: Any) -> Iterator[Scene]:
    """A scene on a fresh table, under the strict hook; what it leaves there must be sound."""
    clock = FakeClock()
    store = dynamo_chat_engine.store(f"scene-{uuid4()}", clock=clock)
    scene = Scene(store, clock, onlooker)
    try:
        with StrictHook(store.connection.client) as strict:
            yield scene
        assert not strict.violations
        assert_sound(scene)
    finally:
        onlooker.delete_table(TableName=store.connection.table_name)


@pytest.fixture(scope="session")
def offline() -> ChatStore:
    """A store that reaches nothing: a request would raise Unreachable."""
    options = ConnectionOptions(
        max_attempts=1, aws_access_key_id="none", aws_secret_access_key="none"
    )
    return ChatStore("nowhere", endpoint_url="http://127.0.0.1:9", options=options)


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore sends again at once."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


def race(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What the calls return, or the package's errors they raise, run by 16 threads at once."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except DynamoChatError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, calls))


def faults(requests: int) -> Iterator[tuple[int, Fault]]:
    """Every way in which an operation of so many requests can be cut short.

    Death before the next request leaves the table as death after this one does.
    """
    numbers = range(1, requests + 1)
    dead = ((number, Kill(after_sending=True)) for number in numbers)
    dropped = ((number, DropAnswer()) for number in numbers)
    return chain([(1, Kill())], dead, dropped)


def dead_after(number: int) -> tuple[int, Fault]:
    """The process dies when this request has been done."""
    return number, Kill(after_sending=True)


def cut_short(scene: Scene, number: int, fault: Fault, call: Callable[[], object]) -> None:
    """Run `call`, which meets `fault` at this request; whatever it raises is lost with it."""
    with FaultInjector(scene.store.connection.client) as injector:
        injector.plan(fault, at=number)
        with suppress(Killed, DynamoChatError):
            call()
        assert injector.injected, f"the operation has no request number {number}"


# -- what must hold of the whole table, whatever happened ---------------------------------------


def assert_sound(scene: Scene) -> None:
    """No orphan leads anywhere, nothing lacks what leads to it, and every count is right."""
    items = scene.items()
    expected = Counter(chain.from_iterable(_needed_by(item) for item in items))
    helpers = {
        layout.kind
        for layout in (*keyspace.IDENTITY, *keyspace.ORGS)
        if layout.helper and not layout.kind.endswith("tombstone")
    }
    found = Counter(_address(item) for item in items if item[KIND]["S"] in helpers)
    assert found == expected
    for item in items:
        for place in PLACES:
            assert (place.pk in item) == (place.sk in item)
    _assert_counts(items)


def _needed_by(item: Item) -> Iterator[tuple[str, str]]:
    """The helper items that this item needs, by their keys."""
    kind = item[KIND]["S"]
    if kind == keyspace.USER.kind:
        user = plan(User).decode(dict(item))
        for layout, key in address_keys(user.email, user.response_email):
            yield _key(layout, address=key)
    elif kind == keyspace.USER_TOMBSTONE.kind:
        response = item.get("response_email", {}).get("S")
        # A retired one says no address.
        for layout, key in address_keys(item["email"]["S"], response) if "email" in item else ():
            yield _key(layout, address=key)
    elif kind == keyspace.LOGIN.kind:
        login = plan(LoginSession).decode(item)
        yield _key(keyspace.LOGIN_LISTING, **login.__dict__)
    elif kind == keyspace.MEMBER.kind:
        yield _key(keyspace.MEMBERSHIP, **plan(Member).decode(dict(item)).__dict__)
    elif kind == keyspace.INVITE.kind:
        yield _key(keyspace.INVITE_ID, **plan(Invite).decode(dict(item)).__dict__)
        yield _key(keyspace.INVITE_TOKEN, token_hash=item[HASH_ATTRIBUTE]["S"])
        assert GSI1.pk in item
        address = address_key(plan(Invite).decode(dict(item)).email)
        assert keyspace.INVITE.gsi1 is not None
        assert item[GSI1.pk]["S"] == keyspace.INVITE.gsi1.pk.encode(address)


def _assert_counts(items: list[Item]) -> None:
    members = [plan(Member).decode(dict(item)) for item in items if item[KIND]["S"] == "member"]
    for item in items:
        if item[KIND]["S"] != keyspace.ORGANIZATION.kind:
            continue
        organization = plan(Organization).decode(dict(item))
        own = [each for each in members if each.organization_id == organization.organization_id]
        assert organization.member_count == sum(each.takes_seat for each in own)
        assert organization.owner_count == sum(each.is_active_owner for each in own) >= 1
        assert organization.member_count <= (organization.max_users or 10**9)


def _key(layout: Layout, **fields: Any) -> tuple[str, str]:
    return _address(layout.key(**fields))


def _address(item: Item) -> tuple[str, str]:
    return item["PK"]["S"], item["SK"]["S"]
