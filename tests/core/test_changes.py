"""A partial update changes what it is given, checked as the field it is."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dynamo_chat.core.changes import actions, checked
from dynamo_chat.core.entity import UNCHANGED
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.identity.user import User
from dynamo_chat.orgs.organization import Organization


def test_only_what_is_given() -> None:
    assert checked(User, name=UNCHANGED, role="admin", preferences={}) == {
        "role": "admin",
        "preferences": {},
    }
    assert checked(User, name=UNCHANGED) == {}


def test_values_are_brought_into_the_fields_form() -> None:
    given = checked(Organization, domain="Example.COM", storage_limit_gb=5)
    assert given == {"domain": "example.com", "storage_limit_gb": Decimal(5)}
    local = datetime.fromisoformat("2026-01-01T02:00:00+02:00")
    moved = checked(Organization, next_billing_date=local)["next_billing_date"]
    assert moved == local
    assert moved.tzinfo is UTC


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "owner"),
        ("role", None),
        ("preferences", {"a": float("nan")}),
        ("organization_id", ""),
        ("email", "nobody"),
        ("email", None),
    ],
)
def test_what_the_field_does_not_take_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(InvalidArgument) as refused:
        checked(User, **{field: value})
    assert refused.value.argument.split(".")[0] == field


def test_emptiness_is_removed_where_it_is_the_default_and_stored_where_not() -> None:
    names: dict[str, object] = {"name": None, "preferences": {}, "organization_id": None}
    assert {type(action).__name__ for action in actions(User, names)} == {"RemoveAction"}
    stored = actions(Organization, {"ai_response_enabled": False, "emails_processed": 0})
    assert {type(action).__name__ for action in stored} == {"SetAction"}
