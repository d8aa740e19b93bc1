"""Organizations: settings, billing, usage (O1), and their removal (O9)."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from types import NoneType
from typing import Any

import pytest

from dynamo_chat import Billing, ChatStore, Organization, OrganizationSettings, Usage
from dynamo_chat.core.errors import AlreadyExists, InvalidArgument, LimitExceeded, NotFound
from dynamo_chat.testing import DropAnswer, FaultInjector, RequestMeter
from tests.scene import Scene

pytestmark = pytest.mark.engine


def test_an_organization_comes_back_as_created(scene: Scene) -> None:
    """Every attribute of the document, in its two groups, and the first owner with it."""
    store, now = scene.store, scene.clock()
    settings = OrganizationSettings(
        email_domain_verification=True,
        ai_response_enabled=False,
        max_users=100,
        storage_limit_gb=Decimal("10.5"),
    )
    billing = Billing(
        plan="pro",
        next_billing_date=now + timedelta(days=30),
        usage=Usage(emails_processed=1_000, storage_used_gb=Decimal("2.5")),
    )
    made = store.organizations.create(
        "Acme",
        "user-1",
        organization_id="org-1",
        domain="Acme.Example",
        status="inactive",
        settings=settings,
        billing=billing,
    )
    assert (made.name, made.domain, made.status) == ("Acme", "acme.example", "inactive")
    assert (made.settings, made.billing) == (settings, billing)
    assert (made.member_count, made.owner_count) == (1, 1)
    assert made.created_at == made.updated_at == now
    assert store.organizations.get("org-1", consistent=True) == made
    owner = store.members.get("org-1", "user-1", consistent=True)
    assert (owner.role, owner.status, owner.joined_at) == ("owner", "active", now)


def test_defaults_survive_the_table(scene: Scene) -> None:
    made = scene.store.organizations.create("Acme", "user-1")
    found = scene.store.organizations.get(made.organization_id, consistent=True)
    assert found == made
    assert found.settings == OrganizationSettings()
    assert found.billing == Billing()


def test_creating_the_same_again_returns_what_is_there(scene: Scene) -> None:
    create = scene.store.organizations.create
    made = create("Acme", "user-1", organization_id="org-1", domain="acme.example")
    scene.store.organizations.count_usage("org-1", emails_processed=5)
    scene.clock.advance(5)
    again = create("Acme", "user-1", organization_id="org-1", domain="ACME.example")
    assert again.created_at == made.created_at
    assert again.emails_processed == 5
    for name, owner in (("Other", "user-1"), ("Acme", "user-2")):
        with pytest.raises(AlreadyExists) as taken:
            create(name, owner, organization_id="org-1", domain="acme.example")
        # Whoever does not own it is shown nothing of it.
        assert isinstance(taken.value.current, Organization if owner == "user-1" else NoneType)
    assert scene.kinds() == {"organization": 1, "member": 1, "membership": 1}


def test_storage_is_counted_to_the_byte(scene: Scene) -> None:
    organizations = scene.store.organizations
    organizations.create("Acme", "user-1", organization_id="org-1")
    byte = Decimal("0.000000001")
    for step in (byte, byte, 2 * byte, -3 * byte, byte):
        organizations.count_usage("org-1", storage_used_gb=step)
    found = organizations.get("org-1", consistent=True)
    assert found.storage_used_gb == 2 * byte


def test_an_update_changes_what_is_given_and_nothing_else(scene: Scene) -> None:
    organizations = scene.store.organizations
    made = organizations.create("Acme", "user-1", organization_id="org-1", domain="acme.example")
    later = scene.clock.advance(60)
    renamed = organizations.update("org-1", name="Acme Ltd", status="suspended", domain=None)
    assert renamed == made.model_copy(
        update={"name": "Acme Ltd", "status": "suspended", "domain": None, "updated_at": later}
    )
    organizations.update_settings("org-1", max_users=5, ai_response_enabled=False)
    limited = organizations.update_settings("org-1", storage_limit_gb=7)
    assert limited.settings == OrganizationSettings(
        max_users=5, ai_response_enabled=False, storage_limit_gb=Decimal(7)
    )
    assert organizations.update_settings("org-1", max_users=None).max_users is None
    due = scene.clock() + timedelta(days=30)
    organizations.update_billing("org-1", plan="enterprise", next_billing_date=due)
    anew = organizations.update_billing("org-1", emails_processed=7, storage_used_gb=Decimal("0.1"))
    assert anew.billing == Billing(
        plan="enterprise",
        next_billing_date=due,
        usage=Usage(emails_processed=7, storage_used_gb=Decimal("0.1")),
    )
    assert organizations.get("org-1", consistent=True) == anew


def test_seats_cannot_be_fewer_than_members(scene: Scene) -> None:
    store = scene.store
    store.organizations.create("Acme", "user-1", organization_id="org-1")
    store.members.add("org-1", "user-2", status="pending")
    store.members.add("org-1", "user-3", status="inactive")
    with pytest.raises(LimitExceeded, match="2 members") as refused:
        store.organizations.update_settings("org-1", max_users=1)
    assert refused.value.current.member_count == 2
    assert refused.value.retry_after is None  # waiting frees no seat
    assert store.organizations.update_settings("org-1", max_users=2).max_users == 2


def test_usage_is_counted_exactly(scene: Scene) -> None:
    """A thousand times a tenth is a hundred: decimals do not drift."""
    organizations = scene.store.organizations
    organizations.create("Acme", "user-1", organization_id="org-1")
    for _ in range(10):
        organizations.count_usage("org-1", emails_processed=1, storage_used_gb=Decimal("0.1"))
    organizations.count_usage("org-1", storage_used_gb=Decimal("-0.000000001"))
    usage = organizations.get("org-1", consistent=True).billing.usage
    assert usage == Usage(emails_processed=10, storage_used_gb=Decimal("0.999999999"))
    organizations.count_usage("org-1", storage_used_gb=-usage.storage_used_gb)
    assert organizations.get("org-1", consistent=True).storage_used_gb == 0


def test_storage_never_falls_below_zero(scene: Scene) -> None:
    organizations = scene.store.organizations
    organizations.create("Acme", "user-1", organization_id="org-1")
    organizations.count_usage("org-1", storage_used_gb=1)
    with pytest.raises(LimitExceeded) as refused:
        organizations.count_usage("org-1", emails_processed=5, storage_used_gb=Decimal("-1.5"))
    assert refused.value.current.storage_used_gb == 1
    assert organizations.get("org-1", consistent=True).emails_processed == 0


def test_usage_is_counted_once_when_an_answer_is_lost(scene: Scene, no_backoff: None) -> None:
    organizations = scene.store.organizations
    organizations.create("Acme", "user-1", organization_id="org-1")
    with FaultInjector(scene.store.connection.client) as faults:
        faults.plan(DropAnswer())
        organizations.count_usage("org-1", emails_processed=3)
        assert faults.injected
    assert organizations.get("org-1", consistent=True).emails_processed == 3


def test_every_call_is_one_request(scene: Scene) -> None:
    organizations = scene.store.organizations
    with RequestMeter(scene.store.connection.client) as meter:
        organizations.create("Acme", "user-1", organization_id="org-1")
        organizations.get("org-1")
        organizations.update("org-1", name="Acme Ltd")
        organizations.update_settings("org-1", max_users=5)
        organizations.update_billing("org-1", plan="pro")
        organizations.count_usage("org-1", emails_processed=1)
    assert [request.operation for request in meter.requests] == [
        "TransactWriteItems",
        "GetItem",
        "UpdateItem",
        "UpdateItem",
        "UpdateItem",
        "TransactWriteItems",
    ]


def test_deleting_takes_members_and_invites_along(scene: Scene) -> None:
    """120 members and some invites: two pages of deletes, and another organization untouched."""
    store = scene.store
    store.organizations.create("Other", "user-1", organization_id="org-2")
    kept = scene.items()
    store.organizations.create("Acme", "user-1", organization_id="org-1")
    for number in range(2, 60):
        store.members.add("org-1", f"user-{number}")
    issued = [
        store.invites.create("org-1", f"guest-{number}@example.com", invited_by="user-1")
        for number in range(3)
    ]
    with RequestMeter(store.connection.client) as meter:
        assert store.organizations.delete("org-1") == 1 + 2 * 59 + 3 * 3
        assert meter.operations() == {"TransactWriteItems": 3, "Query": 2}
    assert scene.items() == kept
    with pytest.raises(NotFound):
        store.invites.get_by_token(issued[0].token)
    with pytest.raises(NotFound):
        store.organizations.delete("org-1")
    store.organizations.create("Acme again", "user-9", organization_id="org-1")


BAD_CALLS: list[Callable[[Any], object]] = [
    lambda organizations: organizations.create("", "user-1"),
    lambda organizations: organizations.create("x" * 201, "user-1"),
    lambda organizations: organizations.create("Acme", ""),
    lambda organizations: organizations.create("Acme", None),
    lambda organizations: organizations.create("Acme", "user-1", domain="no domain"),
    lambda organizations: organizations.create("Acme", "user-1", domain="ann@acme.example"),
    lambda organizations: organizations.create("Acme", "user-1", status="closed"),
    lambda organizations: organizations.create("Acme", "user-1", settings={"max_users": 5}),
    lambda organizations: organizations.create("Acme", "user-1", billing=Usage()),
    lambda organizations: organizations.update("org-1"),
    lambda organizations: organizations.update("org-1", name=None),
    lambda organizations: organizations.update("org-1", status="closed"),
    lambda organizations: organizations.update_settings("org-1", max_users=0),
    lambda organizations: organizations.update_settings("org-1", max_users=-1),
    lambda organizations: organizations.update_settings("org-1", max_users=2.5),
    lambda organizations: organizations.update_settings("org-1", storage_limit_gb=1.5),
    lambda organizations: organizations.update_settings("org-1", storage_limit_gb=-1),
    lambda organizations: organizations.update_settings("org-1", ai_response_enabled=None),
    lambda organizations: organizations.update_billing("org-1", plan="free"),
    lambda organizations: organizations.update_billing("org-1", emails_processed=-1),
    lambda organizations: organizations.update_billing("org-1", next_billing_date="2024-02-01"),
    lambda organizations: organizations.count_usage("org-1"),
    lambda organizations: organizations.count_usage("org-1", emails_processed=-1),
    lambda organizations: organizations.count_usage("org-1", emails_processed=1.5),
    lambda organizations: organizations.count_usage("org-1", storage_used_gb=0.1),
    lambda organizations: organizations.count_usage("org-1", storage_used_gb=Decimal("NaN")),
    lambda organizations: organizations.count_usage("org-1", storage_used_gb=Decimal("sNaN")),
    lambda organizations: organizations.count_usage("org-1", storage_used_gb=Decimal("1e-10")),
    lambda organizations: organizations.get(""),
    lambda organizations: organizations.delete(""),
]


@pytest.mark.parametrize("call", BAD_CALLS)
def test_bad_input_is_refused_before_anything_is_sent(
    offline: ChatStore, call: Callable[[Any], object]
) -> None:
    with pytest.raises(InvalidArgument):
        call(offline.organizations)


def test_what_is_no_owner_or_no_settings_is_named(offline: ChatStore) -> None:
    create: Any = offline.organizations.create
    for owner in (None, "", 7, b"ann", "x" * 257):
        with pytest.raises(InvalidArgument) as refused:
            create("Acme", owner)
        assert refused.value.argument == "owner_id"
    wrong: Any
    for wrong in (0, "", [], {}, set(), timedelta()):
        for argument in ("settings", "billing"):
            with pytest.raises(InvalidArgument) as refused:
                create("Acme", "ann", **{argument: wrong})
            assert refused.value.argument == argument


@pytest.mark.parametrize(
    "most", [{"emails_processed": 10**30}, {"storage_used_gb": Decimal(10**15 - 1)}]
)
def test_usage_is_not_counted_beyond_what_can_be_read(scene: Scene, most: Any) -> None:
    """However absurd the numbers: the organization stays readable."""
    organizations = scene.store.organizations
    organizations.create("Acme", "ann", organization_id="org-1")
    organizations.count_usage("org-1", **most)
    with pytest.raises(LimitExceeded, match="that high"):
        organizations.count_usage("org-1", **most)
    there = organizations.get("org-1")
    assert most.items() <= there.billing.usage.model_dump().items()


def test_settings_check_themselves() -> None:
    wrong: list[dict[str, Any]] = [
        {"max_users": 0},
        {"storage_limit_gb": 0.5},
        {"storage_limit_gb": Decimal(-1)},
    ]
    for bad in wrong:
        with pytest.raises(InvalidArgument):
            OrganizationSettings(**bad)
    with pytest.raises(InvalidArgument):
        Billing(plan="free")  # type: ignore[arg-type]


def test_unknown_organizations_are_not_found(scene: Scene) -> None:
    organizations = scene.store.organizations
    for call in (
        lambda: organizations.get("org-9"),
        lambda: organizations.update("org-9", name="Nobody"),
        lambda: organizations.update_settings("org-9", max_users=5),
        lambda: organizations.update_billing("org-9", plan="pro"),
        lambda: organizations.count_usage("org-9", emails_processed=1),
        lambda: organizations.delete("org-9"),
    ):
        with pytest.raises(NotFound):
            call()
    assert scene.items() == []
