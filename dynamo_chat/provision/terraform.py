"""The table as a Terraform configuration, in its JSON syntax (``*.tf.json``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import GSI1, GSI2, TABLE, TTL, Place
from dynamo_chat.provision.definition import RECOVERY_DAYS, STREAM_VIEW, TableDefinition
from dynamo_chat.provision.encryption import replica_key
from dynamo_chat.provision.naming import identifier
from dynamo_chat.provision.scaling import ScalingTarget, scaling_targets

PROVIDERS: Final = {"aws": {"source": "hashicorp/aws", "version": ">= 6.0"}}
"""Version 6 has the newest settings used here: recovery period, protection of replicas."""


def terraform(definition: TableDefinition, table_name: str) -> dict[str, Any]:
    """The configuration, as JSON values."""
    name = identifier(table_name)
    address = f"aws_dynamodb_table.{name}"
    resources: dict[str, Any] = {"aws_dynamodb_table": {name: _table(definition, table_name)}}
    if definition.contributor_insights:
        resources["aws_dynamodb_contributor_insights"] = {
            f"{name}_{(place.index or 'table').lower()}": {
                "table_name": f"${{{address}.name}}",
                **({} if place.index is None else {"index_name": place.index}),
            }
            for place in (TABLE, GSI1, GSI2)
        }
    targets = list(scaling_targets(definition))
    if targets:
        resources |= _scaling(targets, name)
    if _are_replicas_apart(definition):
        resources["aws_dynamodb_table_replica"] = _replicas(definition, name, targets)
    outputs = {
        "table_name": {"value": f"${{{address}.name}}", "description": "For DYNAMODB_TABLE_NAME."},
        "table_arn": {"value": f"${{{address}.arn}}"},
    }
    if definition.has_stream:
        outputs["stream_arn"] = {"value": f"${{{address}.stream_arn}}"}
    return {
        "terraform": {"required_providers": PROVIDERS},
        "resource": resources,
        "output": outputs,
    }


def _table(definition: TableDefinition, table_name: str) -> dict[str, Any]:
    table: dict[str, Any] = {
        "name": table_name,
        "billing_mode": definition.billing_mode,
        **_capacity(definition),
        "hash_key": TABLE.pk,
        "range_key": TABLE.sk,
        "attribute": [
            {"name": each["AttributeName"], "type": each["AttributeType"]}
            for each in definition.attributes()
        ],
        "global_secondary_index": [_index(definition, place) for place in (GSI1, GSI2)],
        "ttl": {"attribute_name": TTL, "enabled": True},
        "deletion_protection_enabled": definition.deletion_protection,
        "point_in_time_recovery": {"enabled": definition.point_in_time_recovery},
        "server_side_encryption": {"enabled": definition.encryption_managed},
        "lifecycle": _lifecycle(definition),
    }
    if definition.point_in_time_recovery:
        table["point_in_time_recovery"]["recovery_period_in_days"] = RECOVERY_DAYS
    if definition.encryption_managed and definition.kms_key is not None:
        if not definition.kms_key.startswith("arn:"):
            raise InvalidArgument(
                "kms_key", "must be the key's ARN: Terraform accepts nothing else"
            )
        table["server_side_encryption"]["kms_key_arn"] = definition.kms_key
    if definition.has_stream:
        table |= {"stream_enabled": True, "stream_view_type": STREAM_VIEW}
    if definition.replicas and not _are_replicas_apart(definition):
        table["replica"] = [_replica(definition, region) for region in definition.replicas]
    if definition.tags:
        table["tags"] = dict(definition.tags)
    return table


def _capacity(definition: TableDefinition) -> dict[str, int]:
    if definition.provisioned is None:
        return {}
    return {
        "read_capacity": definition.provisioned.read[0],
        "write_capacity": definition.provisioned.write[0],
    }


def _index(definition: TableDefinition, place: Place) -> dict[str, Any]:
    return {
        "name": place.index,
        "hash_key": place.pk,
        "range_key": place.sk,
        "projection_type": "ALL",
        **_capacity(definition),
    }


def _replica(definition: TableDefinition, region: str) -> dict[str, Any]:
    replica = {
        "region_name": region,
        "point_in_time_recovery": definition.point_in_time_recovery,
        "deletion_protection_enabled": definition.deletion_protection,
        "propagate_tags": True,
    }
    if definition.encryption_managed and definition.kms_key is not None:
        replica["kms_key_arn"] = replica_key(definition.kms_key, region)
    return replica


def _are_replicas_apart(definition: TableDefinition) -> bool:
    """True if replicas must be separate resources, to be created after auto scaling.

    DynamoDB adds a replica to a provisioned table only if its writes are scaled, and scaling needs
    the table. A replica block inside the table would be created before that.
    """
    return definition.provisioned is not None and bool(definition.replicas)


def _replicas(
    definition: TableDefinition, name: str, targets: Sequence[ScalingTarget]
) -> dict[str, Any]:
    """The replicas, one after the other, and all after the scaling of writes."""
    replicas: dict[str, Any] = {}
    after = [
        f"aws_appautoscaling_policy.{_label(name, each)}" for each in targets if each.is_of_writes
    ]
    for region in definition.replicas:
        label = f"{name}_{identifier(region)}"
        block = _replica(definition, region)
        del block["region_name"], block["propagate_tags"]
        replicas[label] = {
            "global_table_arn": f"${{aws_dynamodb_table.{name}.arn}}",
            "region": region,
            **block,
            **({"tags": dict(definition.tags)} if definition.tags else {}),
            "lifecycle": {"prevent_destroy": True},
            "depends_on": after,
        }
        # DynamoDB accepts no other while one is being added.
        after = [f"aws_dynamodb_table_replica.{label}"]
    return replicas


def _lifecycle(definition: TableDefinition) -> dict[str, Any]:
    lifecycle: dict[str, Any] = {"prevent_destroy": True}
    ignored = []
    if any(scaling_targets(definition)):
        # Terraform must not reset what scaling has set; it can ignore an index only as a whole.
        ignored = ["read_capacity", "write_capacity", "global_secondary_index"]
    if _are_replicas_apart(definition):
        ignored.append("replica")
    if ignored:
        lifecycle["ignore_changes"] = ignored
    return lifecycle


def _label(name: str, target: ScalingTarget) -> str:
    return f"{name}_{identifier(target.name)}"


def _scaling(wanted: Sequence[ScalingTarget], name: str) -> dict[str, Any]:
    targets, policies = {}, {}
    for target in wanted:
        label = _label(name, target)
        address = f"aws_appautoscaling_target.{label}"
        targets[label] = {
            "service_namespace": "dynamodb",
            "resource_id": target.resource_id(f"${{aws_dynamodb_table.{name}.name}}"),
            "scalable_dimension": target.dimension,
            "min_capacity": target.least,
            "max_capacity": target.most,
        }
        policies[label] = {
            "name": target.name,
            "policy_type": "TargetTrackingScaling",
            "service_namespace": f"${{{address}.service_namespace}}",
            "resource_id": f"${{{address}.resource_id}}",
            "scalable_dimension": f"${{{address}.scalable_dimension}}",
            "target_tracking_scaling_policy_configuration": {
                "target_value": target.utilization,
                "predefined_metric_specification": {"predefined_metric_type": target.metric},
            },
        }
    return {"aws_appautoscaling_target": targets, "aws_appautoscaling_policy": policies}
