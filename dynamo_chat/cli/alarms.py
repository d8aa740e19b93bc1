"""``dynamo-chat alarms``: alarms, a budget and a dashboard, as CloudFormation or Terraform."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from dynamo_chat.cli.definition import tags_of, takes
from dynamo_chat.cli.files import ForceOption
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
    "throttled_requests": typer.Option(help="Alarm at this many throttled requests in 5 minutes."),
    "system_errors": typer.Option(help="Alarm at this many DynamoDB server errors in 5 minutes."),
    "user_errors": typer.Option(
        help="Alarm at this many rejected requests per account in 5 minutes."
    ),
    "latency_ms": typer.Option(
        "--latency", metavar="MS", help="Alarm at this 99th percentile of an operation."
    ),
    "write_units": typer.Option(help="Alarm at this many write units in 5 minutes, with indexes."),
    "read_units": typer.Option(help="Alarm at this many read units in 5 minutes, with indexes."),
    "size_gb": typer.Option("--size", metavar="GB", help="Alarm at this size, with indexes."),
    "items": typer.Option(help="Alarm at this many items."),
    "budget_usd": typer.Option("--budget", metavar="USD", help="The budget of a month."),
}
_MOST_BYTES: Final = 51_200
"""The largest template that CloudFormation takes without an S3 bucket."""


class Format(StrEnum):
    """The format of the alarms."""

    CLOUDFORMATION = "cloudformation"
    TERRAFORM = "terraform"


@takes("thresholds", Thresholds, _THRESHOLDS)
def alarms(  # noqa: PLR0913 - each threshold is an option
    format_: Annotated[Format, typer.Argument(metavar="FORMAT", help=", ".join(Format))],
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    email: Annotated[str | None, typer.Option(help="Send alarms to this e-mail address.")] = None,
    topic: Annotated[
        str | None,
        typer.Option(metavar="ARN", help="Send alarms to this SNS topic instead of a new one."),
    ] = None,
    topic_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="Encrypt the new topic with this KMS key; 'create' creates one."
        ),
    ] = None,
    thresholds: Thresholds,
    budget_tag: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Budget only what has this cost allocation tag; without it, all of DynamoDB.",
        ),
    ] = None,
    output_path: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Write alarms, failed-backup events, a budget and a dashboard for the table."""
    if topic is not None and (email is not None or topic_key is not None):
        raise typer.BadParameter("--topic excludes --email and --topic-key")
    watch = Watch(
        table_name(name, stage, stage_as.value),
        thresholds,
        email=email,
        topic_arn=topic,
        topic_key=topic_key,
        budget_tag=next(iter(tags_of([budget_tag]).items())) if budget_tag else None,
    )
    write = alarms_cloudformation if format_ is Format.CLOUDFORMATION else alarms_terraform
    write_json(write(watch), output_path, force=force, most=_MOST_BYTES)
