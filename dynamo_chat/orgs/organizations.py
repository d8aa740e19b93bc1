"""The repository of organizations: O1 and O9. The entity is in `organization`.

Deleting one spans domains: the store passes in the function (`workflows.delete_organization`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from pynamodb.expressions.condition import Condition

from dynamo_chat.core.binding import Binding
from dynamo_chat.core.changes import actions, check_rewritten, checked, checked_as
from dynamo_chat.core.clock import not_ahead
from dynamo_chat.core.connection import ConditionFailed
from dynamo_chat.core.entity import UNCHANGED, Model, Unchanged, validated
from dynamo_chat.core.errors import InvalidArgument, NotFound
from dynamo_chat.core.item import plan
from dynamo_chat.core.patterns import access_pattern
from dynamo_chat.core.repository import Repository
from dynamo_chat.core.transaction import Put, Update, absent, contended
from dynamo_chat.orgs.organization import (
    Billing,
    BillingPlan,
    BillingTerms,
    Organization,
    OrganizationExists,
    OrganizationSettings,
    OrganizationStatus,
    QuotaExceeded,
    Usage,
    is_organization,
    organization_exists,
    organization_key,
)
from dynamo_chat.orgs.seats import Member, Move, deleted_user, seat_writes

_COMPARED = {
    "name",
    "domain",
    "status",
    *OrganizationSettings.model_fields,
    *BillingTerms.model_fields,
}

# The maxima of the fields of `Usage`: a higher sum could be stored, but not read.
_MOST_EMAILS = 10**30
_MOST_GIGABYTES = Decimal("999999999999999.999999999")


DeleteOrganization: TypeAlias = Callable[[str], int]
"""Deletes an organization and what belongs to it: see `Organizations.delete`."""


class Organizations(Repository):
    """Create, change, count and delete organizations."""

    def __init__(self, binding: Binding, delete: DeleteOrganization) -> None:
        super().__init__(binding)
        self._delete = delete

    @access_pattern("O1", "TransactWriteItems", "1", owner="creation")
    def create(
        self,
        name: str,
        owner_id: str,
        *,
        organization_id: str | None = None,
        domain: str | None = None,
        status: OrganizationStatus = "active",
        settings: OrganizationSettings | None = None,
        billing: Billing | None = None,
    ) -> Organization:
        """Create an organization with its first owner and return it.

        A retry with the same id returns the existing organization. AlreadyExists if the id belongs
        to a different one. NotFound if the owner was deleted.
        """
        now = self._now()
        settings = OrganizationSettings() if settings is None else settings
        billing = Billing() if billing is None else billing
        checked_as(Member, "user_id", owner_id, "owner_id")
        organization = validated(
            Organization,
            organization_id=self._new_id() if organization_id is None else organization_id,
            name=name,
            domain=domain,
            status=status,
            created_at=now,
            updated_at=now,
            member_count=1,
            owner_count=1,
            **_fields_of("settings", settings, OrganizationSettings),
            **_fields_of("billing", billing, BillingTerms),
            **_fields_of("billing.usage", billing.usage, Usage),
        )
        owner = validated(
            Member,
            organization_id=organization.organization_id,
            user_id=owner_id,
            role="owner",
            status="active",
            joined_at=now,
        )
        return self._put(organization, owner, now)

    @access_pattern("O1", "TransactWriteItems", "1", owner="creation")
    def load(self, organization: Organization, owner: Member) -> Organization:
        """Store an organization of another system with one of its owners, and return it.

        Both are stored unchanged, except for the counts of members and owners: they begin with
        this owner, and `members.load` adds the others. Loading it again returns the existing
        organization. AlreadyExists if the id belongs to a different one. NotFound if the owner
        was deleted. InvalidArgument for times more than five minutes ahead.
        """
        if not isinstance(organization, Organization):
            given = type(organization).__name__
            raise InvalidArgument("organization", f"must be an Organization, not {given}")
        if not isinstance(owner, Member) or not owner.is_active_owner:
            raise InvalidArgument("owner", "must be a Member who is an active owner")
        if owner.organization_id != organization.organization_id:
            raise InvalidArgument("owner.organization_id", "must be this organization's")
        now = self._now()
        for name in ("created_at", "updated_at"):
            not_ahead(f"organization.{name}", getattr(organization, name), now)
        not_ahead("owner.joined_at", owner.joined_at, now)
        check_rewritten(permissions=owner.permissions)
        counted = organization.model_copy(update={"member_count": 1, "owner_count": 1})
        return self._put(counted, owner, now)

    @access_pattern("O1", "GetItem", "1", owner="argument")
    def get(self, organization_id: str, *, consistent: bool = False) -> Organization:
        """The organization with this id. NotFound."""
        item = self._get_item(organization_key(organization_id), consistent=consistent)
        if item is None or not is_organization(item):
            raise NotFound("organization", organization_id)
        return plan(Organization).decode(item)

    @access_pattern("O1", "UpdateItem", "1", owner="argument")
    def update(
        self,
        organization_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        domain: str | Unchanged | None = UNCHANGED,
        status: OrganizationStatus | Unchanged = UNCHANGED,
    ) -> Organization:
        """Change only the given fields of an organization and return it. NotFound."""
        changes = checked(Organization, name=name, domain=domain, status=status)
        return self._changed(organization_id, changes)

    @access_pattern("O1", "UpdateItem", "1", owner="argument")
    def update_settings(
        self,
        organization_id: str,
        *,
        email_domain_verification: bool | Unchanged = UNCHANGED,
        ai_response_enabled: bool | Unchanged = UNCHANGED,
        max_users: int | Unchanged | None = UNCHANGED,
        storage_limit_gb: Decimal | int | Unchanged | None = UNCHANGED,
    ) -> Organization:
        """Change only the given settings and return the organization. NotFound.

        None removes a limit. LimitExceeded if more members have a seat than `max_users` allows.
        """
        changes = checked(
            Organization,
            email_domain_verification=email_domain_verification,
            ai_response_enabled=ai_response_enabled,
            max_users=max_users,
            storage_limit_gb=storage_limit_gb,
        )
        seats = changes.get("max_users")
        if seats is None:
            return self._changed(organization_id, changes)
        has_room = _attributes().member_count <= seats
        return self._changed(organization_id, changes, has_room)

    @access_pattern("O1", "UpdateItem", "1", owner="argument")
    def update_billing(
        self,
        organization_id: str,
        *,
        plan: BillingPlan | Unchanged = UNCHANGED,
        next_billing_date: datetime | Unchanged | None = UNCHANGED,
        emails_processed: int | Unchanged = UNCHANGED,
        storage_used_gb: Decimal | int | Unchanged = UNCHANGED,
    ) -> Organization:
        """Change plan, billing date or usage and return the organization. NotFound.

        Set usage at the start of a period; to add to it, use `count_usage`.
        """
        changes = checked(
            Organization,
            plan=plan,
            next_billing_date=next_billing_date,
            emails_processed=emails_processed,
            storage_used_gb=storage_used_gb,
        )
        return self._changed(organization_id, changes)

    @access_pattern("O1", "TransactWriteItems", "1", owner="argument")
    def count_usage(
        self,
        organization_id: str,
        *,
        emails_processed: int = 0,
        storage_used_gb: Decimal | int = 0,
    ) -> None:
        """Add to the usage counters; negative storage subtracts from them. NotFound.

        Each call counts exactly once, also when calls are concurrent or a request is sent again.
        LimitExceeded if storage would become negative, or a counter too large (10**30 e-mails,
        10**15 GB).
        """
        emails: int = checked(Usage, emails_processed=emails_processed)["emails_processed"]
        size = checked(Usage, storage_used_gb=_magnitude(storage_used_gb))["storage_used_gb"]
        stored = size if storage_used_gb >= 0 else -size
        attributes = _attributes()
        condition = organization_exists()
        if stored < 0:
            condition &= attributes.storage_used_gb >= size
        for name, value, most in (
            ("emails_processed", emails, _MOST_EMAILS),
            ("storage_used_gb", stored, _MOST_GIGABYTES),
        ):
            if value > 0:
                counter = getattr(attributes, name)
                condition &= counter.does_not_exist() | (counter <= most - value)
        added = {"emails_processed": emails, "storage_used_gb": stored}
        counting = [getattr(attributes, name).add(value) for name, value in added.items() if value]
        if not counting:
            raise InvalidArgument("usage", "give emails_processed, storage_used_gb or both")
        key = organization_key(organization_id)
        try:
            self._write(Update(key, counting, condition), once=True)
        except ConditionFailed as failed:
            there = failed.items.get(0)
            if there is None or not is_organization(there):
                raise NotFound("organization", organization_id) from failed
            why = (
                "storage in use cannot become negative"
                if stored < 0
                else "usage cannot be counted that high; reset it with update_billing"
            )
            raise QuotaExceeded(why, plan(Organization).decode(there)) from failed

    @access_pattern(
        "O9",
        "Query, GetItem, TransactWriteItems",
        "2 + ⌈items/99⌉ + ⌈MB⌉; conversations: C16 each",
        budget=4,
        index="table + GSI1",
        owner="argument",
        domain="workflows",
    )
    def delete(self, organization_id: str) -> int:
        """Delete an organization with its conversations, members and invites.

        Returns the number of items deleted. Readers no longer see it from the first request on;
        its id is free when all items are deleted. Conversations that shall stay must be given to
        somebody before. After a crash, call it again to finish. NotFound if it does not exist.
        """
        return self._delete(organization_id)

    # -- inside -------------------------------------------------------------------------------

    def _put(self, organization: Organization, owner: Member, now: datetime) -> Organization:
        """Store an organization with its first owner; return it, or the same one if it exists."""
        _, *membership = seat_writes(organization.organization_id, [Move(None, owner)], now)
        try:
            self._write(Put(plan(Organization).encode(organization), absent(now)), *membership)
        except ConditionFailed as failed:
            deleted = deleted_user(failed)
            if deleted is not None:
                raise deleted from failed
            return _already_there(failed, organization)
        return organization

    def _changed(
        self,
        organization_id: str,
        changes: dict[str, Any],
        allowed: Condition | None = None,
    ) -> Organization:
        if not changes:
            raise InvalidArgument("update", "give at least one field to change")
        condition = organization_exists()
        if allowed is not None:
            condition &= allowed
        made = actions(Organization, {**changes, "updated_at": self._now()})
        try:
            item = self._write(
                Update(organization_key(organization_id), made, condition), returning=True
            )
        except ConditionFailed as failed:
            there = failed.items.get(0)
            if there is None or not is_organization(there):
                raise NotFound("organization", organization_id) from failed
            if "max_users" not in changes:  # no other change has a condition of its own
                raise contended("the organization") from failed
            raise _too_small(changes["max_users"], plan(Organization).decode(there)) from failed
        return plan(Organization).decode(item)


def _attributes() -> Any:
    return plan(Organization).model


def _fields_of(argument: str, given: Model, model: type[Model]) -> dict[str, Any]:
    """The fields of `model` in `given`. InvalidArgument if `given` has another type."""
    if not isinstance(given, model):
        raise InvalidArgument(argument, f"must be {model.__name__}, not {type(given).__name__}")
    return {name: getattr(given, name) for name in model.model_fields}


def _already_there(failed: ConditionFailed, wanted: Organization) -> Organization:
    """The existing organization, if it equals the wanted one. AlreadyExists otherwise."""
    item = failed.items.get(0)
    if item is None or not is_organization(item):
        raise OrganizationExists(
            f"organization {wanted.organization_id!r} is being deleted; finish the deletion first"
        )
    there = plan(Organization).decode(item)
    # Writes 0 and 1 of the transaction are the organization and its owner.
    member = failed.items.get(1)
    has_owner = member is not None and plan(Member).decode(member).role == "owner"
    said = there.model_dump(include=_COMPARED) == wanted.model_dump(include=_COMPARED)
    if has_owner and said:
        return there
    # The existing one is shown only to its owner.
    raise OrganizationExists(
        f"organization id {wanted.organization_id!r} is taken", there if has_owner else None
    )


def _too_small(seats: int, organization: Organization) -> QuotaExceeded:
    return QuotaExceeded(
        f"{organization.member_count:,} members are more than {seats:,} seats; remove some first",
        organization,
    )


def _magnitude(amount: Any) -> Any:
    if type(amount) is Decimal:
        return amount.copy_abs()  # abs() raises for a signalling NaN
    return abs(amount) if type(amount) is int else amount
