"""Auto scaling of provisioned capacity: reads and writes of the table and each index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynamo_chat.core.layout import PLACES
from dynamo_chat.provision.definition import TableDefinition


@dataclass(frozen=True, slots=True)
class ScalingTarget:
    """One scalable target of Application Auto Scaling."""

    name: str
    """``TableRead``, ``Gsi1Write``, …"""
    path: str
    """The end of its resource id, after the table's name: empty, or ``/index/GSI1``."""
    dimension: str
    metric: str
    least: int
    most: int
    utilization: int

    def resource_id(self, table: str) -> str:
        """``ResourceId`` of this capacity of `table`."""
        return f"table/{table}{self.path}"

    @property
    def is_of_writes(self) -> bool:
        """True if it is a write capacity. A replica needs only these."""
        return self.dimension.endswith("WriteCapacityUnits")


def scaling_targets(definition: TableDefinition) -> Iterator[ScalingTarget]:
    """Every capacity that is scaled; none with on-demand billing or fixed capacity.

    With replicas, all writes are scaled, even if minimum and maximum are equal: DynamoDB adds
    replicas only to such tables.
    """
    capacity = definition.provisioned
    if capacity is None:
        return
    for place in PLACES:
        index = place.index
        for kind, (least, most) in (("Read", capacity.read), ("Write", capacity.write)):
            if least == most and not (kind == "Write" and definition.replicas):
                continue
            yield ScalingTarget(
                name=f"{(index or 'Table').capitalize()}{kind}",
                path="" if index is None else f"/index/{index}",
                dimension=f"dynamodb:{'table' if index is None else 'index'}:{kind}CapacityUnits",
                metric=f"DynamoDB{kind}CapacityUtilization",
                least=least,
                most=most,
                utilization=capacity.utilization,
            )
