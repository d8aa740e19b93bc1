"""``dynamo-chat table``: create, check and describe the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from dynamo_chat.cli.commands import Commands, resumable
from dynamo_chat.cli.console import Text, output, print_json, table
from dynamo_chat.cli.definition import defines_table
from dynamo_chat.cli.target import RegionOption, Target
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.differences import Difference

app = Commands(help="Create, check and describe the table.", no_args_is_help=True)

TableOption = Annotated[
    str,
    typer.Option(
        "--table",
        metavar="NAME",
        envvar="DYNAMODB_TABLE_NAME",
        help="The table's name.",
    ),
]
TableEndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        metavar="URL",
        envvar="AWS_ENDPOINT_URL_DYNAMODB",
        help="An engine like DynamoDB at this address, instead of AWS.",
    ),
]

_JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
@defines_table
def create(
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait until it is active.")
    ] = 300.0,
    as_json: _JsonOption = False,
    definition: TableDefinition,
) -> None:
    """Create the table with its two indexes, and wait until it can be used.

    An existing table gets missing TTL, point-in-time recovery, insights and replicas; other
    differences are only listed. A range of capacity is refused: `dynamo-chat template` writes
    auto scaling.
    """
    store = Target(name, endpoint_url, region).store()
    console = output()
    with (
        resumable("DynamoDB may be making the table; the same command waits for it"),
        output(stderr=True).status(f"creating table {name} …"),
    ):
        created = store.table.create(definition, timeout_seconds=timeout)
        differences = store.table.check(definition)
    if as_json:
        told = [asdict(each) for each in differences]
        print_json({"table": name, "created": created, "differences": told})
        return
    console.print(f"Table {name} " + ("was created." if created else "exists already."))
    _show_differences(differences)


@app.command()
@defines_table
def check(
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    as_json: _JsonOption = False,
    definition: TableDefinition,
) -> None:
    """List how the table differs from these settings. The exit code is 1 if it does."""
    differences = Target(name, endpoint_url, region).store().table.check(definition)
    if as_json:
        print_json({"table": name, "differences": [asdict(each) for each in differences]})
    elif differences:
        _show_differences(differences)
    if differences:
        raise typer.Exit(1)
    if as_json:
        return
    output().print(f"Table {name} has the right settings.")


@app.command()
def describe(
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print DynamoDB's own description, as JSON.")
    ] = False,
) -> None:
    """Describe the table: its status, size, indexes and settings.

    Item count and size are DynamoDB's, which updates them about every six hours.
    """
    description = Target(name, endpoint_url, region).store().table.describe()
    if as_json:
        print_json(description, default=str)
        return
    shown = table("", "", wrapping=("",))
    shown.show_header = False
    for what, value in _facts(description):
        shown.add_row(Text(what, style="dim"), value)
    output().print(shown)


def _facts(description: Mapping[str, Any]) -> list[tuple[str, str]]:
    billing = description.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    facts = [
        ("table", str(description["TableName"])),
        ("ARN", str(description.get("TableArn", "–"))),
        ("status", str(description.get("TableStatus", "–"))),
        ("created", str(description.get("CreationDateTime", "–"))),
        ("items", f"{description.get('ItemCount', 0):,}"),
        ("size", f"{description.get('TableSizeBytes', 0):,} bytes"),
        ("billing", billing + _capacity(description, billing)),
        ("keys", _keys(description)),
        ("deletion protection", "on" if description.get("DeletionProtectionEnabled") else "off"),
        ("encryption", _encryption(description.get("SSEDescription", {}))),
        ("stream", str(description.get("StreamSpecification", {}).get("StreamViewType", "off"))),
    ]
    facts += [
        (f"replica in {replica['RegionName']}", str(replica.get("ReplicaStatus", "ACTIVE")))
        for replica in description.get("Replicas", [])
    ]
    for index in description.get("GlobalSecondaryIndexes", []):
        projection = index.get("Projection", {}).get("ProjectionType", "–")
        status, count = index.get("IndexStatus", "ACTIVE"), index.get("ItemCount", 0)
        said = f"{_keys(index)}, projects {projection}, {status}, {count:,} items"
        said += _capacity(index, billing)
        facts.append((f"index {index['IndexName']}", said))
    return facts


def _capacity(described: Mapping[str, Any], billing: str) -> str:
    if billing != "PROVISIONED":
        return ""
    found = described.get("ProvisionedThroughput", {})
    units = (found.get(f"{kind}CapacityUnits", 0) for kind in ("Read", "Write"))
    return ", {} read and {} write units a second".format(*units)


def _encryption(found: Mapping[str, Any]) -> str:
    if not found.get("SSEType"):
        return "AWS owned key"
    return " ".join(filter(None, (found["SSEType"], found.get("KMSMasterKeyArn"))))


def _keys(described: Mapping[str, Any]) -> str:
    return " / ".join(key["AttributeName"] for key in described.get("KeySchema", []))


def _show_differences(differences: Sequence[Difference]) -> None:
    console = output()
    for difference in differences:
        line = Text("! " if difference.is_essential else "- ")
        line.stylize("bold red" if difference.is_essential else "yellow")
        line.append(str(difference))
        if difference.is_essential:
            line.append(" (the store needs it)")
        console.print(line, soft_wrap=True)
