"""What creating a table sets up, what checking it finds, and a DynamoDB that isn't ready yet."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dynamo_chat import ChatStore, IndexNotReady, InvalidArgument, RequestRejected, TableNotFound
from dynamo_chat.core.connection import Connection
from dynamo_chat.provision import inspection
from dynamo_chat.provision.definition import Capacity, TableDefinition
from dynamo_chat.testing import EmbeddedEngine, ErrorAnswer, FaultInjector

KEY = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
ALL_OF_IT = TableDefinition(
    kms_key=KEY,
    tags={"team": "chat", "stage": "prod"},
    stream=True,
    contributor_insights=True,
)


@pytest.fixture
def store() -> Iterator[ChatStore]:
    with EmbeddedEngine() as engine:
        yield ChatStore(f"chat-{uuid.uuid4().hex}", region=engine.region)


def told(store: ChatStore, wanted: TableDefinition) -> list[str]:
    return [str(each) for each in store.table.check(wanted)]


# -- all that a definition says -----------------------------------------------------------------


def test_a_table_is_created_with_all_that_its_definition_says(store: ChatStore) -> None:
    assert told_after_creation(store, ALL_OF_IT) == []
    description = store.table.describe()
    assert description["DeletionProtectionEnabled"] is True
    assert description["SSEDescription"]["KMSMasterKeyArn"] == KEY
    assert description["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    client, name = store.connection.client, store.connection.table_name
    for index in ({}, {"IndexName": "GSI1"}, {"IndexName": "GSI2"}):
        insights = client.describe_contributor_insights(TableName=name, **index)
        assert insights["ContributorInsightsStatus"] == "ENABLED"


def told_after_creation(store: ChatStore, wanted: TableDefinition) -> list[str]:
    assert store.table.create(wanted) is True
    return told(store, wanted)


class Replicas:
    """Regions that a table is in, which no stand-in knows of: put into its description."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *statuses: str) -> None:
        self.requests: list[dict[str, Any]] = []
        self._statuses = statuses
        self._seen: dict[str, int] = {}
        call = Connection.call

        def with_replicas(
            connection: Connection, operation: str, request: dict[str, Any]
        ) -> dict[str, Any]:
            if "ReplicaUpdates" in request:
                self.requests.append(request)
                self._seen[request["ReplicaUpdates"][0]["Create"]["RegionName"]] = 0
                return {}
            answer = call(connection, operation, request)
            if operation == "DescribeTable" and self._seen:
                answer["Table"]["Replicas"] = list(map(self._described, self._seen))
            return answer

        monkeypatch.setattr(Connection, "call", with_replicas)
        monkeypatch.setattr(inspection, "_POLL_SECONDS", 0.0)

    def _described(self, region: str) -> dict[str, str]:
        looks = self._seen[region]
        self._seen[region] += 1
        return {
            "RegionName": region,
            "ReplicaStatus": self._statuses[min(looks, len(self._statuses) - 1)],
        }


def test_replicas_are_added_and_those_that_are_there_are_left(
    store: ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Replicas(monkeypatch, "CREATING", "UPDATING", "ACTIVE")
    wanted = TableDefinition(encryption_managed=False, replicas=("us-east-1",))
    assert told_after_creation(store, wanted) == []
    more = replace(wanted, replicas=("us-east-1", "eu-central-1"))
    assert told(store, more) == ["replica in eu-central-1: missing, should be active"]
    assert store.table.create(more) is False
    assert told(store, more) == []
    name = store.connection.table_name
    assert there.requests == [more.replica_request(name, region) for region in more.replicas]


def test_a_replica_that_can_t_be_made_is_told(
    store: ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the table is there: the call may be made again."""
    Replicas(monkeypatch, "CREATING", "CREATION_FAILED")
    wanted = TableDefinition(encryption_managed=False, replicas=("us-east-1",))
    with pytest.raises(IndexNotReady, match="us-east-1 is creation_failed"):
        store.table.create(wanted)
    assert told(store, wanted) == ["replica in us-east-1: creation_failed, should be active"]


def test_replicas_of_provisioned_capacity_are_refused(store: ChatStore) -> None:
    """DynamoDB would refuse them, when the table is made already: its writes are not scaled."""
    for capacity in (Capacity((5, 5), (5, 5)), Capacity()):
        wanted = TableDefinition(provisioned=capacity, replicas=("us-east-1",))
        with pytest.raises(InvalidArgument, match=r"replicas: must be none with provisioned"):
            store.table.create(wanted)
    with pytest.raises(TableNotFound):
        store.table.describe()


def test_what_an_existing_table_lacks_is_told_setting_by_setting(store: ChatStore) -> None:
    """Nothing that a definition can say goes unnoticed."""
    store.table.create(
        TableDefinition(
            point_in_time_recovery=False, deletion_protection=False, encryption_managed=False
        )
    )
    wanted = replace(ALL_OF_IT, kms_key=None, replicas=("us-east-1",), provisioned=Capacity())
    assert told(store, wanted) == [
        "billing: PAY_PER_REQUEST, should be PROVISIONED",
        "stream: off, should be NEW_AND_OLD_IMAGES",
        "replica in us-east-1: missing, should be active",
        "deletion protection: off, should be on",
        "encryption: AWS owned key, should be with a KMS key",
        "point-in-time recovery: off, should be 35 days",
        "tag stage: None, should be 'prod'",
        "tag team: None, should be 'chat'",
        "contributor insights of table: off, should be on",
        "contributor insights of GSI1: off, should be on",
        "contributor insights of GSI2: off, should be on",
    ]


def test_another_key_is_not_the_key(store: ChatStore) -> None:
    store.table.create(ALL_OF_IT)
    identity = KEY.rpartition("/")[2]
    for same in (KEY, identity, "alias/chat", None):
        assert told(store, replace(ALL_OF_IT, kms_key=same)) == []
    other = KEY.replace("key/1", "key/2")
    (difference,) = told(store, replace(ALL_OF_IT, kms_key=other))
    assert difference == f"encryption: with the key {KEY}, should be with the key {other}"


def test_capacity_that_is_fixed_is_created_and_checked(store: ChatStore) -> None:
    wanted = TableDefinition(provisioned=Capacity(read=(4, 4), write=(3, 3)))
    assert told_after_creation(store, wanted) == []
    assert told(store, TableDefinition(provisioned=Capacity((1, 9), (1, 9)))) == []
    assert told(store, TableDefinition(provisioned=Capacity((5, 9), (3, 3)))) == [
        "read capacity of table: 4, should be 5 to 9",
        "read capacity of GSI1: 4, should be 5 to 9",
        "read capacity of GSI2: 4, should be 5 to 9",
    ]


def test_capacity_that_is_to_be_scaled_is_refused(store: ChatStore) -> None:
    """Rather than left unscaled; and nothing is created."""
    for capacity in (Capacity(), Capacity((1, 1), (1, 2))):
        with pytest.raises(InvalidArgument, match=r"provisioned: .*dynamo-chat template"):
            store.table.create(TableDefinition(provisioned=capacity))
    assert store.connection.table_name not in store.connection.client.list_tables()["TableNames"]


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"kms_key": KEY, "encryption_managed": False}, "kms_key"),
        ({"kms_key": KEY, "replicas": ("us-east-1",)}, "kms_key"),
        ({"replicas": ("us-east-1", "us-east-1")}, "replicas"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(
    wrong: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InvalidArgument, match=argument):
        TableDefinition(**wrong)


# -- not ready yet ------------------------------------------------------------------------------


def injected(engine: EmbeddedEngine, code: str, times: int) -> tuple[ChatStore, FaultInjector]:
    # A name of its own: an engine inside of another has the tables of that one.
    store = ChatStore(f"chat-created-{uuid.uuid4().hex}", region=engine.region)
    injector = FaultInjector(store.connection.client)
    fault = ErrorAnswer(code, "not yet", 400)
    injector.plan(fault, times=times, operation="UpdateContinuousBackups")
    return store, injector


def test_recovery_is_switched_on_as_soon_as_a_new_table_is_ready_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "_POLL_SECONDS", 0.0)
    with EmbeddedEngine() as engine:
        store, injector = injected(engine, inspection.BACKUPS_NOT_YET, times=3)
        with injector:
            assert store.table.create()
        assert len(injector.injected) == 3
        assert store.table.check() == []


def test_another_refusal_of_recovery_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_POLL_SECONDS", 0.0)
    with EmbeddedEngine() as engine:
        store, injector = injected(engine, "SomethingElseException", times=1)
        with injector, pytest.raises(RequestRejected, match="SomethingElse"):
            store.table.create()
