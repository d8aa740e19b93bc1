"""What of a table with provisioned capacity is scaled: reads and writes, of it and each index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynamo_chat.core.layout import PLACES
from dynamo_chat.provision.definition import TableDefinition


@dataclass(frozen=True, slots=True)
class ScalingTarget:
    """One capacity that follows the load, in the terms of Application Auto Scaling."""

    name: str
    """``TableRead``, ``Gsi1Write``, …"""
    path: str
    """What follows the table's name in its resource id: nothing, or ``/index/GSI1``."""
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
        """Whether it is a capacity to write. A replica takes no other."""
        return self.dimension.endswith("WriteCapacityUnits")


def scaling_targets(definition: TableDefinition) -> Iterator[ScalingTarget]:
    """Every capacity to scale; none with on-demand billing, and none that is fixed.

    With replicas all writes are scaled, if only from a least to the same most: DynamoDB adds a
    replica to no other table.
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
