"""``dynamo-chat alarms``: what to watch the table by, as CloudFormation or Terraform."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from dynamo_chat.cli.definition import tags_of, takes
from dynamo_chat.cli.template import (
    NameOption,
    OutputOption,
    StageOption,
    StagePlace,
    StagePlaceOption,
    write_json,
)
from dynamo_chat.provision.alarms import Thresholds, Watch
from dynamo_chat.provision.alarms_cloudformation import alarms_cloudformation
from dynamo_chat.provision.alarms_terraform import alarms_terraform
from dynamo_chat.provision.naming import table_name

_THRESHOLDS: Final = {
    "throttled_requests": typer.Option(help="Throttled requests in 5 minutes."),
    "system_errors": typer.Option(help="DynamoDB's own errors in 5 minutes."),
    "user_errors": typer.Option(help="Rejected requests of the whole account in 5 minutes."),
    "latency_ms": typer.Option(
        "--latency", metavar="MS", help="The slowest operation's 99th percentile."
    ),
    "write_units": typer.Option(help="Write units in 5 minutes, indexes included."),
    "read_units": typer.Option(help="Read units in 5 minutes, indexes included."),
    "size_gb": typer.Option("--size", metavar="GB", help="The table with its indexes."),
    "items": typer.Option(help="Items in the table."),
    "budget_usd": typer.Option("--budget", metavar="USD", help="What a month may cost."),
}
_MOST_BYTES: Final = 51_200
"""CloudFormation takes no larger template without a bucket to put it in."""


class Format(StrEnum):
    """What the alarms are written as."""

    CLOUDFORMATION = "cloudformation"
    TERRAFORM = "terraform"


@takes("thresholds", Thresholds, _THRESHOLDS)
def alarms(  # noqa: PLR0913 - each threshold is an option
    format_: Annotated[Format, typer.Argument(metavar="FORMAT", help=", ".join(Format))],
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    email: Annotated[str | None, typer.Option(help="Who is told, by e-mail.")] = None,
    topic: Annotated[
        str | None, typer.Option(metavar="ARN", help="Tell this SNS topic instead of a new one.")
    ] = None,
    topic_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Encrypt the new topic by this KMS key; 'create' makes one for it."
        ),
    ] = None,
    thresholds: Thresholds,
    budget_tag: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Count what has this cost allocation tag; all of DynamoDB without it.",
        ),
    ] = None,
    output_path: OutputOption = None,
) -> None:
    """Write alarms, events of failed backups, a budget and a dashboard for the table."""
    if topic is not None and (email is not None or topic_key is not None):
        raise typer.BadParameter("--email and --topic-key are for a new topic, --topic is there")
    watch = Watch(
        table_name(name, stage, stage_as.value),
        thresholds,
        email=email,
        topic_arn=topic,
        topic_key=topic_key,
        budget_tag=next(iter(tags_of([budget_tag]).items())) if budget_tag else None,
    )
    write = alarms_cloudformation if format_ is Format.CLOUDFORMATION else alarms_terraform
    write_json(write(watch), output_path, most=_MOST_BYTES)
