"""Invites: issued, found, listed, taken back (O5–O8). Accepting is a workflow."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dynamo_chat import ChatStore, Invite
from dynamo_chat.core.errors import (
    AlreadyExists,
    Conflict,
    IllegalTransition,
    InvalidArgument,
    NotFound,
    Unreachable,
)
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.scene import Scene

pytestmark = pytest.mark.engine

TOKEN = "a-token-of-the-caller"


@pytest.fixture
def org(scene: Scene) -> str:
    made = scene.store.organizations.create(
        "Acme", "owner", organization_id="org-1", domain="acme.example"
    )
    return made.organization_id


def test_an_invite_comes_back_as_issued(scene: Scene, org: str) -> None:
    invites, now = scene.store.invites, scene.clock()
    issued = invites.create(
        org,
        "Guest@Example.com",
        invited_by="owner",
        role="admin",
        lifetime=timedelta(days=3),
        invite_id="invite-1",
    )
    assert issued.invite == Invite(
        organization_id=org,
        created_at=now,
        invite_id="invite-1",
        email="Guest@Example.com",
        invited_by="owner",
        role="admin",
        status="pending",
        expires_at=now + timedelta(days=3),
    )
    with RequestMeter(scene.store.connection.client) as meter:
        assert invites.get("invite-1") == issued.invite
        assert meter.count == 2
        meter.reset()
        assert invites.get_by_token(issued.token) == issued.invite
        assert meter.count == 2


def test_an_expired_invite_reads_as_expired_not_as_missing(scene: Scene, org: str) -> None:
    invites = scene.store.invites
    issued = invites.create(org, "guest@example.com", invited_by="owner")
    scene.clock.advance(timedelta(days=7))
    expired = issued.invite.model_copy(update={"status": "expired"})
    assert invites.get(issued.invite.invite_id) == expired
    assert invites.get_by_token(issued.token) == expired
    assert [*invites.list_by_organization(org)] == [expired]
    assert [*invites.list_by_address("guest@example.com")] == [expired]
    assert invites.expire(issued.invite.invite_id) == expired
    with pytest.raises(IllegalTransition, match="expired") as refused:
        invites.cancel(issued.invite.invite_id)
    assert refused.value.current == expired
    assert not any("ttl" in item for item in scene.items())


def test_cancelling_and_expiring(scene: Scene, org: str) -> None:
    invites = scene.store.invites
    first = invites.create(org, "one@example.com", invited_by="owner").invite.invite_id
    second = invites.create(org, "two@example.com", invited_by="owner").invite.invite_id
    assert invites.cancel(first).status == "cancelled"
    assert invites.cancel(first).status == "cancelled"
    with pytest.raises(IllegalTransition):
        invites.expire(first)
    assert invites.expire(second).status == "expired"
    assert invites.expire(second).status == "expired"
    with pytest.raises(IllegalTransition):
        invites.cancel(second)
    assert [each.status for each in invites.list_by_organization(org, newest_first=False)] == [
        "cancelled",
        "expired",
    ]


def test_deleting_leaves_no_trace(scene: Scene, org: str) -> None:
    before = scene.items()
    issued = scene.store.invites.create(org, "guest@example.com", invited_by="owner")
    scene.store.invites.delete(issued.invite.invite_id)
    assert scene.items() == before
    for call in (scene.store.invites.delete, scene.store.invites.cancel):
        with pytest.raises(NotFound):
            call(issued.invite.invite_id)


@pytest.mark.once
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("call", ["delete", "cancel", "expire"])
def test_an_id_that_is_another_invites_by_now(scene: Scene, org: str, call: str, at: int) -> None:
    """Of another organization, or of the same: nothing of it is changed."""
    invites = scene.store.invites
    scene.store.organizations.create("Other", "owner", organization_id="org-2")
    for other in (org, "org-2"):
        invites.create(org, "one@example.com", invited_by="owner", invite_id="i-1")

        def give_away(other: str = other) -> None:
            invites.delete("i-1")
            scene.clock.advance(1)
            invites.create(other, "two@example.com", invited_by="owner", invite_id="i-1")

        slow = scene.interrupted(None, at, give_away)
        with pytest.raises(NotFound):
            getattr(slow.invites, call)("i-1", organization_id=org)
        found = invites.get("i-1", organization_id=other)
        assert (found.email, found.status) == ("two@example.com", "pending")
        invites.delete("i-1")
    assert scene.kinds()["invite_token"] == 0


def test_invites_are_listed_by_organization_and_by_address(scene: Scene, org: str) -> None:
    store, began = scene.store, scene.clock()
    store.organizations.create("Other", "owner", organization_id="org-2")
    made = []
    for number in range(4):
        where = org if number % 2 else "org-2"
        made.append(store.invites.create(where, "Guest@example.com", invited_by="owner").invite)
        store.invites.create(org, f"other-{number}@example.com", invited_by="owner")
        scene.clock.advance(60)
    found = store.invites.list_by_address("guest@EXAMPLE.com")
    assert [*found] == made[::-1]
    first = store.invites.list_by_address("guest@example.com", newest_first=False, page_size=3)
    rest = store.invites.list_by_address(
        "guest@example.com", newest_first=False, page_size=3, cursor=first.cursor
    )
    assert [*first, *rest] == made
    assert len(store.invites.list_by_organization(org)) == 6
    assert len(store.invites.list_by_organization("org-2", consistent=True)) == 2
    within = store.invites.list_by_organization(
        org, since=began + timedelta(seconds=60), until=began + timedelta(seconds=120)
    )
    assert {each.email for each in within} == {"Guest@example.com", "other-1@example.com"}
    assert len(store.invites.list_by_address("guest@example.com", until=began)) == 0


def test_domain_verification_refuses_outsiders(scene: Scene, org: str) -> None:
    store = scene.store
    store.invites.create(org, "early@example.com", invited_by="owner")
    store.organizations.update_settings(org, email_domain_verification=True)
    store.invites.create(org, "Insider@ACME.example", invited_by="owner")
    before = scene.items()
    for outsider in ("guest@example.com", "guest@mail.acme.example", "guest@acme.example.com"):
        with pytest.raises(Conflict, match="own domain") as refused:
            store.invites.create(org, outsider, invited_by="owner")
        assert refused.value.current.domain == "acme.example"
    assert scene.items() == before
    store.organizations.update(org, domain=None)
    with pytest.raises(Conflict):
        store.invites.create(org, "insider@acme.example", invited_by="owner")


def test_id_and_token_of_the_callers_make_issuing_repeatable(scene: Scene, org: str) -> None:
    create = scene.store.invites.create
    issued = create(org, "a@example.com", invited_by="owner", invite_id="i-1", token=TOKEN)
    scene.clock.advance(5)
    again = create(org, "a@example.com", invited_by="owner", invite_id="i-1", token=TOKEN)
    assert again == issued
    with pytest.raises(AlreadyExists, match="invite id") as other_address:
        create(org, "b@example.com", invited_by="owner", invite_id="i-1", token=TOKEN)
    assert other_address.value.current == issued.invite
    with pytest.raises(AlreadyExists, match="invite id") as other_token:
        create(org, "a@example.com", invited_by="owner", invite_id="i-1")
    with pytest.raises(AlreadyExists, match="token is in use") as other_id:
        create(org, "a@example.com", invited_by="owner", token=TOKEN)
    for refused in (other_address, other_token, other_id):
        assert TOKEN not in repr(refused.value)
    assert scene.kinds()["invite"] == 1


def test_nobody_is_invited_to_nothing(scene: Scene) -> None:
    with pytest.raises(NotFound):
        scene.store.invites.create("org-9", "guest@example.com", invited_by="owner")
    for call in (scene.store.invites.get, scene.store.invites.get_by_token):
        with pytest.raises(NotFound):
            call("nothing")
    assert scene.items() == []


def test_a_token_item_that_leads_astray_opens_nothing(scene: Scene, org: str) -> None:
    """The invite itself knows the hash of its token; what leads to it is not believed alone."""
    invites, client = scene.store.invites, scene.client
    one = invites.create(org, "one@example.com", invited_by="owner")
    invites.create(org, "two@example.com", invited_by="owner", token=TOKEN)
    items = {item["SK"]["S"]: item for item in scene.items() if item["kind"]["S"] == "invite"}
    (changed,) = [item for item in items.values() if item["email"]["S"] == "one@example.com"]
    table = scene.store.connection.table_name
    client.put_item(TableName=table, Item={**changed, "token_hash": {"S": "0" * 64}})
    with pytest.raises(NotFound):
        invites.get_by_token(one.token)
    client.put_item(TableName=table, Item=changed)
    assert invites.get_by_token(one.token) == one.invite


BAD_CALLS: list[Callable[[Any], object]] = [
    lambda invites: invites.create("org-1", "nobody", invited_by="owner"),
    lambda invites: invites.create("org-1", "a@example.com", invited_by=""),
    lambda invites: invites.create("org-1", "a@example.com", invited_by="owner", role="owner"),
    lambda invites: invites.create("org-1", "a@example.com", invited_by="owner", role="viewer"),
    lambda invites: invites.create("org-1", "a@b.de", invited_by="owner", lifetime=timedelta()),
    lambda invites: invites.create("org-1", "a@b.de", invited_by="owner", lifetime=7),
    lambda invites: invites.create(
        "org-1", "a@b.de", invited_by="owner", lifetime=timedelta(days=367)
    ),
    lambda invites: invites.create("org-1", "a@b.de", invited_by="owner", token="short"),
    lambda invites: invites.create("org-1", "a@b.de", invited_by="owner", token=5),
    lambda invites: invites.create("org-1", "a@b.de", invited_by="owner", invite_id=""),
    lambda invites: invites.create("", "a@b.de", invited_by="owner"),
    lambda invites: invites.get(""),
    lambda invites: invites.get_by_token(None),
    lambda invites: invites.list_by_address("nobody"),
    lambda invites: invites.accept(5, "user-1"),
]


@pytest.mark.parametrize("call", BAD_CALLS)
def test_bad_input_is_refused_before_anything_is_sent(
    offline: ChatStore, call: Callable[[Any], object]
) -> None:
    with pytest.raises(InvalidArgument):
        call(offline.invites)


def test_no_token_appears_anywhere(
    scene: Scene, org: str, caplog: pytest.LogCaptureFixture, no_backoff: None
) -> None:
    caplog.set_level(logging.DEBUG)
    invites = scene.store.invites
    issued = invites.create(org, "guest@example.com", invited_by="owner", token=TOKEN)
    shown = [repr(issued), str(issued), repr(invites.get_by_token(TOKEN))]
    shown += [repr(invites.list_by_organization(org))]
    shown += [repr(invites.list_by_address("guest@example.com"))]
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer(), every_attempt=True)
        with pytest.raises(Unreachable) as lost:
            invites.get_by_token(TOKEN)
    shown += [repr(lost.value)]
    with pytest.raises(NotFound) as missing:
        invites.accept(TOKEN, "nobody")
    shown += [repr(missing.value), repr(scene.items()), caplog.text]
    assert caplog.text
    assert not any(TOKEN in text for text in shown)
