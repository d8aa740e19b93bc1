"""The evaluator decides as IAM does: its judgement of the policies is worth something."""

from typing import Any

import pytest

from tests.operations.evaluator import Authorization, NotModelled, authorizations, is_allowed

TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/chat"
GET = Authorization("dynamodb:GetItem", TABLE, ("USER#1#",))


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(**changes: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": TABLE, **changes}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        (allow(), True),
        (allow(Action=["dynamodb:PutItem", "dynamodb:GetItem"]), True),
        (allow(Action="dynamodb:Get*"), True),
        (allow(Action="DYNAMODB:getitem"), True),
        (allow(Action="dynamodb:GetItems"), False),
        (allow(Resource="*"), True),
        (allow(Resource=f"{TABLE}/index/*"), False),
        (allow(Resource=TABLE[:-1]), False),
        (allow(Resource=TABLE.replace("eu-west-1", "*")), True),
        (allow(Resource=TABLE.replace("chat", "ch?t")), True),
        (allow(Resource=TABLE.replace("-", ".")), False),
    ],
)
def test_actions_and_resources(statement: dict[str, Any], allowed: bool) -> None:
    assert is_allowed(policy(statement), GET) is allowed


def test_what_is_not_allowed_is_denied_and_a_denial_wins() -> None:
    assert not is_allowed(policy(), GET)
    assert not is_allowed(policy(allow(), allow(Effect="Deny")), GET)


@pytest.mark.parametrize(
    ("condition", "keys", "allowed"),
    [
        ({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["USER#${id}#"]}}, ("USER#1#",), 1),
        ({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": "USER#${id}#"}}, ("USER#1#",), 1),
        ({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["USER#${id}#"]}}, ("USER#2#",), 0),
        ({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["USER#*"]}}, ("USER#1#",), 0),
        ({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["USER#*"]}}, ("USER#1#",), 1),
        (
            {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["USER#${id}#"]}},
            ("USER#1#", "USER#2#"),
            0,
        ),
        ({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["USER#${id}#"]}}, None, 1),
        ({"Null": {"dynamodb:LeadingKeys": "false"}}, None, 0),
        ({"Null": {"dynamodb:LeadingKeys": "false"}}, ("USER#1#",), 1),
        ({"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${missing}"]}}, ("",), 0),
        ({"Bool": {"aws:SecureTransport": "false"}}, ("USER#1#",), 0),
        ({"StringEquals": {"id": "1"}}, ("USER#1#",), 1),
        ({"StringLike": {"id": "?2"}}, ("USER#1#",), 0),
        ({"StringEquals": {"absent": "1"}}, ("USER#1#",), 0),
        ({"StringNotLike": {"id": ["*2*", "3"]}}, ("USER#1#",), 1),
        ({"StringNotLike": {"id": ["*2*", "?"]}}, ("USER#1#",), 0),
        ({"StringNotLike": {"absent": "*"}}, ("USER#1#",), 1),
        ({"StringNotLike": {"dear": "*${$}*"}}, ("USER#1#",), 0),
        ({"StringNotLike": {"id": "*${$}*"}}, ("USER#1#",), 1),
        ({"StringNotLike": {"id": "${*}"}}, ("USER#1#",), 1),
        ({"StringLike": {"star": "${*}"}}, ("USER#1#",), 1),
    ],
)
def test_conditions(condition: Any, keys: tuple[str, ...] | None, allowed: int) -> None:
    asked = Authorization("dynamodb:GetItem", TABLE, keys)
    context = {"id": "1", "dear": "a$23b", "star": "*", "aws:SecureTransport": "true"}
    assert is_allowed(policy(allow(Condition=condition)), asked, context) is bool(allowed)


def test_what_it_does_not_know_it_does_not_judge() -> None:
    for statement in (allow(Condition={"DateLessThan": {"id": "1"}}), allow(NotAction="x")):
        with pytest.raises(NotModelled):
            is_allowed(policy(statement), GET, {"id": "1"})
    with pytest.raises(NotModelled):
        list(authorizations("Scan", {}, TABLE))


def test_requests_are_taken_apart() -> None:
    def key(pk: str) -> dict[str, Any]:
        return {"PK": {"S": pk}, "SK": {"S": "X#"}}

    members = [
        {"Put": {"Item": key("A#")}},
        {"Update": {"Key": key("B#")}},
        {"Delete": {"Key": key("C#")}},
        {"ConditionCheck": {"Key": key("D#")}},
    ]
    asked = list(authorizations("TransactWriteItems", {"TransactItems": members}, TABLE))
    assert [(each.action, each.leading_keys) for each in asked] == [
        ("dynamodb:PutItem", ("A#",)),
        ("dynamodb:UpdateItem", ("B#",)),
        ("dynamodb:DeleteItem", ("C#",)),
        ("dynamodb:ConditionCheckItem", ("D#",)),
    ]
    batch = {"RequestItems": {"chat": {"Keys": [key("A#"), key("B#")]}}}
    (read,) = authorizations("BatchGetItem", batch, TABLE)
    assert read.leading_keys == ("A#", "B#")
    query = {
        "IndexName": "GSI1",
        "KeyConditionExpression": "#p = :p AND #s BETWEEN :a AND :b",
        "ExpressionAttributeNames": {"#p": "GSI1PK", "#s": "GSI1SK"},
        "ExpressionAttributeValues": {":p": {"S": "USER#1#"}},
    }
    (found,) = authorizations("Query", query, TABLE)
    assert found == Authorization("dynamodb:Query", f"{TABLE}/index/GSI1", ("USER#1#",))
