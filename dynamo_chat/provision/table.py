"""Create the table, wait for it, and compare it with its definition (T1)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dynamo_chat.core import errors
from dynamo_chat.core.connection import Connection
from dynamo_chat.core.patterns import OPERATOR, access_pattern
from dynamo_chat.provision.arguments import check_replicas, check_wait
from dynamo_chat.provision.definition import Capacity, TableDefinition, wanted_or_default
from dynamo_chat.provision.differences import Difference
from dynamo_chat.provision.insights import switch_on_insights
from dynamo_chat.provision.inspection import BACKUPS_NOT_YET, Inspection, pause

if TYPE_CHECKING:
    from dynamo_chat.provision.backups import Backups
    from dynamo_chat.provision.probe import ProbeStep

__all__ = ["Capacity", "Difference", "Table", "TableDefinition"]


class Table:
    """The table of a store: create it, wait for it, check it, describe it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._name = connection.table_name
        self._inspection = Inspection(connection)

    @access_pattern(
        "T1",
        "CreateTable, DescribeTable, DescribeTimeToLive, UpdateTimeToLive, "
        "DescribeContinuousBackups, UpdateContinuousBackups, DescribeContributorInsights, "
        "UpdateContributorInsights, UpdateTable",
        "a few, once",
        budget=50,
        index="table + GSI1 + GSI2",
        owner=OPERATOR,
    )
    def create(
        self, definition: TableDefinition | None = None, *, timeout_seconds: float = 300.0
    ) -> bool:
        """Create the table with its indexes and settings, and wait until it can be used.

        Returns True if it was created, False if it existed already. An existing table gets missing
        TTL, point-in-time recovery, contributor insights and replicas; `check` returns other
        differences. InvalidArgument for capacity with auto scaling, and for replicas of
        provisioned capacity, which need it: use a template.
        """
        wanted = wanted_or_default(definition)
        check_wait("timeout_seconds", timeout_seconds)
        check_replicas(wanted.replicas, self._connection.region)
        if wanted.provisioned is not None and wanted.replicas:
            raise errors.InvalidArgument(
                "replicas",
                "must be none with provisioned capacity: DynamoDB takes them only while writes are "
                "scaled, which dynamo-chat template sets up",
            )
        if wanted.provisioned is not None and wanted.provisioned.is_scaled:
            raise errors.InvalidArgument(
                "provisioned",
                "must have the same least and most: scaling is a service beside DynamoDB, which "
                "dynamo-chat template sets up",
            )
        try:
            self._connection.call("CreateTable", wanted.create_request(self._name))
            created = True
        except errors.RequestRejected as error:
            if error.code != "ResourceInUseException":
                raise
            created = False
        self.wait(timeout_seconds=timeout_seconds)
        if not self._inspection.has_ttl():
            self._connection.call("UpdateTimeToLive", wanted.ttl_request(self._name))
        if wanted.point_in_time_recovery and not self._inspection.recovery_days():
            self._switch_on_recovery(wanted, time.monotonic() + timeout_seconds)
        switch_on_insights(self._connection, wanted)
        for region in self._regions_without_replica(wanted):
            # One at a time: DynamoDB accepts no other while the table is being updated.
            self._connection.call("UpdateTable", wanted.replica_request(self._name, region))
            self._wait_for_replica(region, time.monotonic() + timeout_seconds)
        return created

    def _switch_on_recovery(self, wanted: TableDefinition, deadline: float) -> None:
        """Switch point-in-time recovery on; a new table may not be ready for it at once."""
        request = wanted.recovery_request(self._name)
        while True:
            try:
                self._connection.call("UpdateContinuousBackups", dict(request))
            except errors.RequestRejected as error:
                if error.code != BACKUPS_NOT_YET or time.monotonic() >= deadline:
                    raise
                pause(self._connection)
            else:
                return

    @access_pattern("T1", "DescribeTable", "1 a second", budget=50, owner=OPERATOR)
    def wait(self, *, timeout_seconds: float = 300.0) -> None:
        """Wait until the table and both indexes are active. TableNotFound, IndexNotReady."""
        check_wait("timeout_seconds", timeout_seconds)
        self._inspection.wait(timeout_seconds)

    @access_pattern("T1", "DescribeTable", "1", owner=OPERATOR)
    def describe(self) -> dict[str, Any]:
        """Return DynamoDB's description: status, indexes, item count and size. TableNotFound.

        DynamoDB updates item count and size about every six hours.
        """
        return self._inspection.describe()

    @access_pattern(
        "T1",
        "DescribeTable, DescribeTimeToLive, DescribeContinuousBackups, "
        "ListTagsOfResource, DescribeContributorInsights",
        "3, 1 for tags, 3 for insights",
        budget=7,
        owner=OPERATOR,
    )
    def check(self, definition: TableDefinition | None = None) -> list[Difference]:
        """Return how the table differs from the definition; an empty list if it doesn't.

        TableNotFound. Auto scaling is not checked, only that capacity is within its range. A key
        that is named by its alias can't be compared.
        """
        return self._inspection.check(wanted_or_default(definition))

    @access_pattern(
        "T1",
        "PutItem, UpdateItem, TransactWriteItems, GetItem, BatchGetItem, Query, "
        "BatchWriteItem, DeleteItem",
        "10, and more until the indexes show the item",
        budget=20,
        index="table + GSI1 + GSI2",
        owner=OPERATOR,
    )
    def probe(self, *, index_seconds: float = 10.0) -> list[ProbeStep]:
        """Try every action that the store uses, on the table and each index, with one item.

        Returns a step for each action, in order: it works, or a permission or index is missing. The
        item is deleted at the end. An index must show it within `index_seconds`. TableNotFound,
        CredentialsMissing, RegionMissing, Unreachable.
        """
        from dynamo_chat.provision.probe import Probe

        check_wait("index_seconds", index_seconds)
        return Probe(self._connection, index_seconds=index_seconds).run()

    @property
    def backups(self) -> Backups:
        """Back up, restore and export the table."""
        from dynamo_chat.provision.backups import Backups

        return Backups(self._connection)

    def _regions_without_replica(self, wanted: TableDefinition) -> list[str]:
        if not wanted.replicas:
            return []
        there = {replica.get("RegionName") for replica in self.describe().get("Replicas", [])}
        return [region for region in wanted.replicas if region not in there]

    def _wait_for_replica(self, region: str, deadline: float) -> None:
        """Wait until a replica can be read. IndexNotReady if that takes too long."""
        while True:
            description = self.describe()
            found = {
                replica.get("RegionName"): replica.get("ReplicaStatus", "ACTIVE")
                for replica in description.get("Replicas", [])
            }
            status = found.get(region, "CREATING")
            if status == "ACTIVE" and description.get("TableStatus", "ACTIVE") == "ACTIVE":
                return
            if time.monotonic() >= deadline or status.endswith("FAILED"):
                raise errors.IndexNotReady(
                    f"the replica of table {self._name!r} in {region} is {status.lower()}; "
                    "store.table.create() can be called again"
                )
            pause(self._connection)
