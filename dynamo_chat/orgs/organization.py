"""An organization: the entity, its settings and billing, and the condition that it exists.

Each setting and billing value is an attribute of its own: each can be changed alone, and be part
of a condition such as "fewer members than seats".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from dynamo_chat import keyspace
from dynamo_chat.core.addresses import Domain
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.core.entity import Count, Entity, Id, Model, Text, Time, exact
from dynamo_chat.core.errors import AlreadyExists, Conflict, IllegalTransition, LimitExceeded
from dynamo_chat.core.item import kind_of, plan
from dynamo_chat.core.layout import KIND, Layout
from dynamo_chat.core.transaction import Key

OrganizationStatus = Literal["active", "inactive", "suspended"]
BillingPlan = Literal["basic", "pro", "enterprise"]


Gigabytes = Annotated[Decimal, BeforeValidator(exact), Field(ge=0, max_digits=24, decimal_places=9)]
"""An exact amount, to the byte: a Decimal or an int. A float is refused: it is not exact."""

Seats = Annotated[int, Field(ge=1, le=10**9)]


class OrganizationSettings(Model):
    """What an organization allows."""

    email_domain_verification: bool = False
    """Only addresses of the organization's domain can be invited; without a domain, none."""
    ai_response_enabled: bool = True
    max_users: Seats | None = None
    """The most active and pending members; None for no limit."""
    storage_limit_gb: Gigabytes | None = None


class Usage(Model):
    """What an organization has used in the current billing period."""

    emails_processed: Count = 0
    storage_used_gb: Gigabytes = Decimal(0)


class BillingTerms(Model):
    """What an organization pays for, and when."""

    plan: BillingPlan = "basic"
    next_billing_date: Time | None = None


class Billing(BillingTerms):
    """What an organization pays for, when, and what it has used."""

    usage: Usage = Usage()


class Organization(Entity, OrganizationSettings, BillingTerms, Usage):
    """A company or team whose members share an account."""

    layout: ClassVar[Layout] = keyspace.ORGANIZATION

    organization_id: Id
    name: Annotated[Text, Field(min_length=1, max_length=200)]
    domain: Domain | None = None
    """Its mail domain, in lower case and ASCII (IDNA)."""
    status: OrganizationStatus = "active"
    created_at: Time
    updated_at: Time
    """When an update last changed it; counting usage or members does not."""
    member_count: Count
    """Active and pending members; each takes a seat."""
    owner_count: Count
    """Active owners; always at least one."""

    @property
    def settings(self) -> OrganizationSettings:
        """Only the settings."""
        return OrganizationSettings(**_part(self, OrganizationSettings))

    @property
    def billing(self) -> Billing:
        """Only the billing."""
        return Billing(**_part(self, BillingTerms), usage=Usage(**_part(self, Usage)))


class OrganizationExists(AlreadyExists):
    """The organization's id is taken."""

    current: Organization | None


class QuotaExceeded(LimitExceeded):
    """A limit of the organization, such as its seats, does not allow the call."""

    current: Organization


class DomainMismatch(Conflict):
    """The organization admits only addresses of its own domain."""

    current: Organization


class LastOwner(IllegalTransition):
    """The change would leave the organization without an active owner."""

    current: Organization


def organization_key(organization_id: str) -> Key:
    """The table key of an organization."""
    return keyspace.ORGANIZATION.key(organization_id=organization_id)


def is_organization(item: AttributeValues | None) -> bool:
    """True if `item` is an organization; False if it is missing or a tombstone."""
    layout = keyspace.ORGANIZATION
    return item is not None and kind_of(item, layout) == layout.kind


def organization_exists() -> Condition:
    """`is_organization` as a condition."""
    condition: Condition = Path(KIND) == keyspace.ORGANIZATION.kind
    return condition


def has_one_owner() -> Condition:
    """Condition: the organization exists and has exactly one active owner."""
    condition: Condition = organization_exists() & (plan(Organization).model.owner_count == 1)
    return condition


def admits(domain: str) -> Condition:
    """Condition: the organization admits addresses of this domain."""
    attributes = plan(Organization).model
    is_open = attributes.email_domain_verification.does_not_exist()
    is_open |= attributes.email_domain_verification == False  # noqa: E712 - a condition
    condition: Condition = is_open | (attributes.domain == domain)
    return condition


def _part(organization: Organization, model: type[Model]) -> dict[str, Any]:
    return {name: getattr(organization, name) for name in model.model_fields}
