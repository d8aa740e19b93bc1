"""The table as files for the ``aws`` command, and a script that runs it on them.

The script can be run again: it keeps what exists, or sets it to the same values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from dynamo_chat.core.layout import PLACES
from dynamo_chat.provision.arguments import check_replicas
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.scaling import scaling_targets

SCRIPT: Final = "create.sh"
POLICY_NAME: Final = "DynamoChatTableAccess"
VARIABLE: Final = "DYNAMODB_TABLE_NAME"

_HEAD = """\
#!/usr/bin/env bash
# Creates the table {table} and what belongs to it. May be run again.
set -euo pipefail
cd "$(dirname "$0")"
export AWS_PAGER=""{region}

# Some settings are refused for a moment after a table was created.
retry() {{
  for _ in 1 2 3 4 5 6 7 8 9; do
    if "$@"; then return; fi
    sleep "${{RETRY_SECONDS:-10}}"
  done
  "$@"
}}
"""
_CREATE = """
if aws dynamodb describe-table --table-name {table} > /dev/null 2>&1; then
  echo "table {table} exists already"
else
  aws dynamodb create-table --cli-input-json file://create-table.json > /dev/null
fi
aws dynamodb wait table-exists --table-name {table}
"""
_TTL = """
ttl=$(aws dynamodb describe-time-to-live --table-name {table} \\
  --query TimeToLiveDescription.TimeToLiveStatus --output text)
if [ "$ttl" != ENABLED ] && [ "$ttl" != ENABLING ]; then
  aws dynamodb update-time-to-live --cli-input-json file://time-to-live.json > /dev/null
fi
"""
_RECOVERY = """
retry aws dynamodb update-continuous-backups \\
  --cli-input-json file://continuous-backups.json > /dev/null
"""
_INSIGHTS = """
insights=$(aws dynamodb describe-contributor-insights --table-name {table}{index} \\
  --query ContributorInsightsStatus --output text)
if [ "$insights" != ENABLED ] && [ "$insights" != ENABLING ]; then
  aws dynamodb update-contributor-insights --table-name {table}{index} \\
    --contributor-insights-action ENABLE > /dev/null
fi
"""
_REPLICA = """
regions=$(aws dynamodb describe-table --table-name {table} \\
  --query 'Table.Replicas[].RegionName' --output text)
if [[ " $(echo $regions) " != *" {region} "* ]]; then
  retry aws dynamodb update-table --cli-input-json file://replica-{region}.json > /dev/null
  aws dynamodb wait table-exists --table-name {table}
fi
"""
_SCALING = """
aws application-autoscaling register-scalable-target \\
  --cli-input-json file://scaling-{name}-target.json > /dev/null
aws application-autoscaling put-scaling-policy \\
  --cli-input-json file://scaling-{name}-policy.json > /dev/null
"""
_ROLE = """
aws iam put-role-policy --role-name {role} --policy-name {policy} \\
  --policy-document file://role-policy.json
"""
# An update replaces all variables, so what is there is read, and the table's name added. With the
# revision, a change by somebody else in between is refused instead of lost. The variables may be
# secrets: they go through a file that only its owner can read, never through an argument.
_ENVIRONMENT = """
umask 077
environment=$(mktemp)
trap 'rm -f "$environment"' EXIT
aws lambda get-function-configuration --function-name {function} --output json \\
  --query '{{FunctionName: FunctionName, RevisionId: RevisionId, Environment: Environment}}' \\
  | TABLE={table} python3 -c '
import json, os, sys
found = json.load(sys.stdin)
variables = (found["Environment"] or {{}}).get("Variables") or {{}}
found["Environment"] = {{"Variables": {{**variables, "{variable}": os.environ["TABLE"]}}}}
json.dump(found, sys.stdout)
' > "$environment"
aws lambda update-function-configuration --cli-input-json "file://$environment" > /dev/null
"""


@dataclass(frozen=True, slots=True)
class Role:
    """A role that gets access to the table."""

    name: str
    policy: Mapping[str, Any]
    """The policy document that it gets."""


def command_files(
    definition: TableDefinition,
    table_name: str,
    *,
    region: str | None = None,
    role: Role | None = None,
    function: str | None = None,
) -> dict[str, str]:
    """The text of each file, by name: requests as JSON, and the script ``create.sh``.

    With a `role`, it is given its policy; with a Lambda `function`, its environment gets the
    table's name, beside the variables that it has. InvalidArgument for a replica in `region`.
    """
    check_replicas(definition.replicas, region)
    files = dict(_requests(definition, table_name))
    if role is not None:
        files["role-policy.json"] = _json(role.policy)
    files[SCRIPT] = "".join(_script(definition, table_name, region, role, function))
    return files


def _requests(definition: TableDefinition, table_name: str) -> Iterator[tuple[str, str]]:
    yield "create-table.json", _json(definition.create_request(table_name))
    yield "time-to-live.json", _json(definition.ttl_request(table_name))
    if definition.point_in_time_recovery:
        yield "continuous-backups.json", _json(definition.recovery_request(table_name))
    for region in definition.replicas:
        yield f"replica-{region}.json", _json(definition.replica_request(table_name, region))
    for target in scaling_targets(definition):
        capacity = {
            "ServiceNamespace": "dynamodb",
            "ResourceId": target.resource_id(table_name),
            "ScalableDimension": target.dimension,
        }
        yield (
            f"scaling-{target.name}-target.json",
            _json({**capacity, "MinCapacity": target.least, "MaxCapacity": target.most}),
        )
        tracking = {
            "TargetValue": target.utilization,
            "PredefinedMetricSpecification": {"PredefinedMetricType": target.metric},
        }
        policy = {
            "PolicyName": target.name,
            **capacity,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": tracking,
        }
        yield f"scaling-{target.name}-policy.json", _json(policy)


def _script(
    definition: TableDefinition,
    table_name: str,
    region: str | None,
    role: Role | None,
    function: str | None,
) -> Iterator[str]:
    table = quote(table_name)
    named = quote(region) if region else ""
    yield _HEAD.format(
        table=table,
        region=f"\nexport AWS_REGION={named} AWS_DEFAULT_REGION={named}" if region else "",
    )
    yield _CREATE.format(table=table)
    yield _TTL.format(table=table)
    if definition.point_in_time_recovery:
        yield _RECOVERY
    if definition.contributor_insights:
        for place in PLACES:
            index = "" if place.index is None else f" --index-name {place.index}"
            yield _INSIGHTS.format(table=table, index=index)
    # Before the replicas: DynamoDB refuses one while write capacity is not scaled.
    for target in scaling_targets(definition):
        yield _SCALING.format(name=target.name)
    for replica in definition.replicas:
        yield _REPLICA.format(table=table, region=quote(replica))
    if role is not None:
        yield _ROLE.format(role=quote(role.name), policy=POLICY_NAME)
    if function is not None:
        yield _ENVIRONMENT.format(function=quote(function), table=table, variable=VARIABLE)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
