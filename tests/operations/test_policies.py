"""Policies allow what the methods send, on real requests of every scenario, and nothing else."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from dynamo_chat import InvalidArgument
from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.core.of_organization import OfOrganization
from dynamo_chat.keyspace import USER_PARTITION
from dynamo_chat.operations.policies import (
    MANAGEMENT,
    Principals,
    data_entries,
    is_read,
    read_only_policy,
    repository_of,
    resource_policy,
    service_policy,
    table_arn,
)
from dynamo_chat.operations.user_policy import COGNITO, limit_of, user_policy
from tests.operations.evaluator import (
    Authorization,
    authorizations,
    every_action,
    is_allowed,
)
from tests.operations.recording import Request

pytestmark = pytest.mark.once  # they run the whole catalogue

ARN = table_arn("chat-prod", "eu-west-1", "123456789012")
OTHER = table_arn("chat-dev", "eu-west-1", "123456789012")
SUB = COGNITO[2:-1]
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
POLICY_OF_USERS = user_policy(data_entries(), ARN).policy
RESOURCES = (ARN, f"{ARN}/index/GSI1", f"{ARN}/index/GSI2", f"{ARN}/stream/x", f"{ARN}/backup/x")


def asked_of(requests: Iterable[Request]) -> list[Authorization]:
    return [
        asked
        for request in requests
        for asked in authorizations(request.operation, request.parameters, ARN)
    ]


def allowed_pairs(policy: dict[str, Any], **context: str) -> set[tuple[str, str]]:
    """All that a policy allows of everything there is: action and what follows the table's ARN."""
    return {
        (action.removeprefix("dynamodb:"), resource.removeprefix(ARN))
        for action in every_action()
        for resource in RESOURCES
        if is_allowed(policy, Authorization(action, resource, ("X#",)), context)
    }


# -- service ------------------------------------------------------------------------------------


def test_a_service_may_send_all_that_the_catalogue_sends(
    recorded: dict[str, list[Request]],
) -> None:
    policy = service_policy(data_entries(), ARN)
    for method, requests in recorded.items():
        assert requests, method
        for asked in asked_of(requests):
            assert is_allowed(policy, asked), (method, asked)


def test_a_service_may_test_its_access(managed: dict[str, list[Request]]) -> None:
    policy = service_policy(data_entries(), ARN)
    for asked in asked_of(managed["table.probe"]):
        assert is_allowed(policy, asked), asked


def test_a_service_may_do_nothing_else() -> None:
    table = {"BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem"}
    table |= {"PutItem", "Query", "UpdateItem"}
    assert allowed_pairs(service_policy(data_entries(), ARN)) == {
        *((action, "") for action in table),
        ("Query", "/index/GSI1"),
        ("Query", "/index/GSI2"),
    }


@pytest.mark.parametrize("repository", sorted({repository_of(each) for each in data_entries()}))
def test_the_policy_of_a_repository_is_enough_for_it(
    recorded: dict[str, list[Request]], repository: str
) -> None:
    """And no larger than what its methods declare."""
    entries = data_entries(repositories=[repository])
    policy = service_policy(entries, ARN)
    for entry in entries:
        for asked in asked_of(recorded.get(entry.method, ())):
            assert is_allowed(policy, asked), (entry.method, asked)
    indexes = {pair[1] for pair in allowed_pairs(policy) if pair[1]}
    declared = {place for entry in entries for place in entry.places} - {"table"}
    assert indexes == {f"/index/{place}" for place in declared}


def test_a_narrow_policy_is_narrow() -> None:
    policy = service_policy(data_entries(repositories=["rate_limits"]), ARN)
    writes = {(f"{each}Item", "") for each in ("ConditionCheck", "Delete", "Put", "Update")}
    assert allowed_pairs(policy) == {("GetItem", ""), ("Query", ""), *writes}
    policy = service_policy(data_entries(domains=["identity"]), ARN)
    assert ("Query", "/index/GSI2") not in allowed_pairs(policy)


def test_another_table_is_another_table() -> None:
    policy = service_policy(data_entries(), ARN)
    assert not is_allowed(policy, Authorization("dynamodb:GetItem", OTHER))
    assert not is_allowed(policy, Authorization("dynamodb:Query", f"{OTHER}/index/GSI1"))


@pytest.mark.parametrize("make", [service_policy, read_only_policy])
def test_nobody_scans_or_manages(make: Any) -> None:
    for action in ("Scan", "DeleteTable", "UpdateTable", "ExportTableToPointInTime"):
        for resource in RESOURCES:
            asked = Authorization(f"dynamodb:{action}", resource)
            assert not is_allowed(make(data_entries(), ARN), asked)


def test_a_customer_s_key_is_used_through_dynamodb_alone() -> None:
    policy = service_policy(data_entries(), ARN, kms_key=KEY)
    asked = Authorization("kms:Decrypt", KEY)
    assert is_allowed(policy, asked, {"kms:ViaService": "dynamodb.eu-west-1.amazonaws.com"})
    assert not is_allowed(policy, asked, {"kms:ViaService": "s3.eu-west-1.amazonaws.com"})
    assert not is_allowed(policy, asked)


# -- read-only ----------------------------------------------------------------------------------


def test_a_reader_may_read_and_no_more(recorded: dict[str, list[Request]]) -> None:
    policy = read_only_policy(data_entries(), ARN)
    for entry in filter(is_read, data_entries()):
        for asked in asked_of(recorded.get(entry.method, ())):
            assert is_allowed(policy, asked), (entry.method, asked)
    assert {action for action, _ in allowed_pairs(policy)} == {"GetItem", "BatchGetItem", "Query"}


# -- the resource policy ------------------------------------------------------------------------


def test_nobody_is_everybody() -> None:
    """A principal of * would open the table to every account there is."""
    wrong: tuple[Any, ...] = (("*",), ("",), ("chat",), ("arn:aws:iam::123456789012:role/*",), "*")
    for arns in wrong:
        with pytest.raises(InvalidArgument, match="service"):
            Principals(arns)
        with pytest.raises(InvalidArgument, match="read_only"):
            Principals((), arns)


def test_the_arn_is_of_the_region_s_partition() -> None:
    assert table_arn("t", "cn-north-1", "*") == "arn:aws-cn:dynamodb:cn-north-1:*:table/t"
    assert table_arn("t", "us-gov-west-1", "*").startswith("arn:aws-us-gov:")
    assert table_arn("t", "*", "*") == "arn:aws:dynamodb:*:*:table/t"
    for region, account in (("eu west", "*"), ("", "*"), ("*", "12"), ("*", "")):
        with pytest.raises(InvalidArgument):
            table_arn("t", region, account)


def test_a_table_s_own_policy_names_who_may() -> None:
    role, reader = "arn:aws:iam::123456789012:role/chat", "arn:aws:iam::123456789012:role/report"
    policy = resource_policy(data_entries(), ARN, Principals((role,), (reader,)))
    for_role = [each for each in policy["Statement"] if each["Principal"] == {"AWS": [role]}]
    for_reader = [each for each in policy["Statement"] if each["Principal"] == {"AWS": [reader]}]
    secure = {"aws:SecureTransport": "true"}
    tls = policy["Statement"][-1]
    service = allowed_pairs({"Statement": [*for_role, tls]}, **secure)
    assert service == allowed_pairs(service_policy(data_entries(), ARN))
    reading = allowed_pairs({"Statement": [*for_reader, tls]}, **secure)
    assert reading == allowed_pairs(read_only_policy(data_entries(), ARN))
    assert not allowed_pairs({"Statement": [*for_role, tls]}, **{"aws:SecureTransport": "false"})
    assert len(json.dumps(policy)) < 20 * 1024
    sids = [each["Sid"] for each in policy["Statement"]]
    assert len(set(sids)) == len(sids)


# -- users --------------------------------------------------------------------------------------


def users_in(requests: Iterable[Request]) -> set[str]:
    """The users in whose partitions the requests are."""
    return {
        USER_PARTITION.decode(key)[0]
        for asked in asked_of(requests)
        for key in asked.leading_keys or ()
        if USER_PARTITION.matches(key)
    }


def may(policy: Any, requests: list[Request], user: str) -> bool:
    """Whether a user may send all of these requests."""
    return all(is_allowed(policy, asked, {SUB: user}) for asked in asked_of(requests))


def test_a_user_may_read_what_is_theirs(recorded: dict[str, list[Request]]) -> None:
    """All that a method sends, but for what it joins from other partitions."""
    made = user_policy(data_entries(), ARN)
    methods = {entry.method for entry in made.allowed}
    assert {"conversations.list_by_user", "conversations.list_by_activity", "users.get"} <= methods
    for entry in made.allowed:
        for request in recorded.get(entry.method, ()):
            owners = users_in([request])
            if owners:
                assert may(made.policy, [request], *owners), entry.method
            else:
                assert request.operation in limit_of(entry), entry.method


def test_a_user_may_not_read_what_is_another_s(recorded: dict[str, list[Request]]) -> None:
    """For every pattern, allowed or not: nothing is answered to somebody else."""
    policy = user_policy(data_entries(), ARN).policy
    for method, requests in recorded.items():
        for request in requests:
            assert not may(policy, [request], "somebody-else"), method


def test_what_is_said_not_to_be_allowed_is_not(recorded: dict[str, list[Request]]) -> None:
    """Whoever the user is: of what a refused method sends, something is always denied."""
    made = user_policy(data_entries(), ARN)
    for refusal in made.refused:
        requests = recorded.get(refusal.entry.method, [])
        for user in users_in(requests):
            assert not may(made.policy, requests, user), refusal
        assert refusal.reason.startswith(("reads ", "writes,"))
    told = {entry.method for entry in made.allowed} | {each.entry.method for each in made.refused}
    assert told == {entry.method for entry in data_entries()}


def test_a_user_may_do_nothing_else() -> None:
    policy = user_policy(data_entries(), ARN).policy
    own = USER_PARTITION.encode("me")
    for action in every_action():
        for resource in RESOURCES:
            reads = action in {"dynamodb:GetItem", "dynamodb:Query"}
            expected = (reads and resource == ARN) or (
                action == "dynamodb:Query" and resource in RESOURCES[:3]
            )
            asked = Authorization(action, resource, (own,))
            assert is_allowed(policy, asked, {SUB: "me"}) is expected, asked
            # A request that names no partition is not "all of its partitions are mine".
            assert not is_allowed(policy, Authorization(action, resource), {SUB: "me"})
            mixed = Authorization(action, resource, (own, USER_PARTITION.encode("you")))
            assert not is_allowed(policy, mixed, {SUB: "me"})


def test_an_id_that_the_codec_writes_differently_reads_nothing() -> None:
    policy = user_policy(data_entries(), ARN).policy
    for user in ("a b", "a#b", "a$b"):
        asked = Authorization("dynamodb:GetItem", ARN, (USER_PARTITION.encode(user),))
        assert not is_allowed(policy, asked, {SUB: user})
    victim = Authorization("dynamodb:GetItem", ARN, (USER_PARTITION.encode("a"),))
    assert not is_allowed(policy, victim, {SUB: "a#"})


@given(st.text("an$#23*?{} \U0001f600", min_size=1, max_size=12))
@example("ann$23admin")
@example("ann#")
@example("$")
@example("*")
@example("?")
@example("${*}")
def test_no_id_spells_the_partition_of_another(user: str) -> None:
    """IAM puts an id where the variable stands as it is: that is theirs, nobody's, or forbidden."""
    spelt = f"USER#{user}#"
    is_theirs = USER_PARTITION.encode(user) == spelt
    is_somebodys = not is_theirs and USER_PARTITION.matches(spelt)
    for place in RESOURCES[:3]:
        query = Authorization("dynamodb:Query", place, (spelt,))
        if is_theirs or is_somebodys:
            assert is_allowed(POLICY_OF_USERS, query, {SUB: user}) == is_theirs


def test_the_partition_of_another_is_refused() -> None:
    victim = Authorization("dynamodb:GetItem", ARN, (USER_PARTITION.encode("ann#admin"),))
    assert not is_allowed(POLICY_OF_USERS, victim, {SUB: "ann$23admin"})


@pytest.mark.parametrize("user", ["organization#acme", "organization$23acme", "acme"])
def test_no_user_reads_the_conversations_of_an_organization(user: str) -> None:
    key = USER_PARTITION.encode(OfOrganization("acme"))
    assert key == "USER#organization$23acme#"
    for place in RESOURCES[:3]:
        for action in ("dynamodb:GetItem", "dynamodb:Query"):
            asked = Authorization(action, place, (key,))
            assert not is_allowed(POLICY_OF_USERS, asked, {SUB: user})


def test_the_subject_is_a_policy_variable() -> None:
    policy = user_policy(data_entries(), ARN, subject="${aws:PrincipalTag/user}").policy
    own = Authorization("dynamodb:GetItem", ARN, ("USER#u-1#",))
    assert is_allowed(policy, own, {"aws:PrincipalTag/user": "u-1"})
    other = Authorization("dynamodb:GetItem", ARN, ("USER#u$231#",))
    assert not is_allowed(policy, other, {"aws:PrincipalTag/user": "u$231"})
    bad: list[Any] = ["*", "u-1", "${a}${b}", "${a}*", "", None, 7, b"${aws:username}"]
    for wrong in bad:
        with pytest.raises(InvalidArgument, match="subject"):
            user_policy(data_entries(), ARN, subject=wrong)


# -- choosing -----------------------------------------------------------------------------------


def test_what_is_not_there_cannot_be_chosen() -> None:
    with pytest.raises(InvalidArgument, match=r"must be one of .*chat"):
        data_entries(domains=["chats"])
    with pytest.raises(InvalidArgument, match="repository table"):
        data_entries(repositories=["table"])


def test_all_but_the_management_of_the_table_is_chosen() -> None:
    chosen: list[Entry] = data_entries()
    assert {entry.method for entry in catalogue()} - {entry.method for entry in chosen} == {
        entry.method for entry in catalogue() if entry.domain == MANAGEMENT
    }
