"""``dynamo-chat policy``: who may do what with the table, derived from the catalogue."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from dynamo_chat.catalogue import Entry
from dynamo_chat.cli.console import output, table
from dynamo_chat.cli.template import (
    NameOption,
    OutputOption,
    StageOption,
    StagePlace,
    StagePlaceOption,
    write_json,
)
from dynamo_chat.operations import policies
from dynamo_chat.operations.user_policy import COGNITO, UserPolicy, by_pattern, user_policy
from dynamo_chat.provision.naming import table_name

app = typer.Typer(
    help="Least-privilege IAM policies, derived from the catalogue.", no_args_is_help=True
)

_RegionOption = Annotated[str, typer.Option(help="The table's region; * for any.")]
_AccountOption = Annotated[str, typer.Option(help="The table's account; * for any.")]
_DomainOption = Annotated[
    list[str] | None,
    typer.Option(help="Only this domain, such as chat; may be repeated.", show_default=False),
]
_RepositoryOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Only this repository, such as messages; may be repeated.", show_default=False
    ),
]
_KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="ARN",
        help="The customer managed key that the table is encrypted with.",
        show_default=False,
    ),
]


@app.command()
def service(
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    region: _RegionOption = "*",
    account: _AccountOption = "*",
    domain: _DomainOption = None,
    repository: _RepositoryOption = None,
    kms_key: _KeyOption = None,
    output_path: OutputOption = None,
) -> None:
    """For a service that calls the store: what the chosen repositories send, and nothing else."""
    arn = _arn(name, stage, stage_as, region, account)
    entries = policies.data_entries(domain or (), repository or ())
    write_json(policies.service_policy(entries, arn, kms_key=kms_key), output_path)


@app.command("read-only")
def read_only(
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    region: _RegionOption = "*",
    account: _AccountOption = "*",
    domain: _DomainOption = None,
    repository: _RepositoryOption = None,
    kms_key: _KeyOption = None,
    output_path: OutputOption = None,
) -> None:
    """For a service that only reads."""
    arn = _arn(name, stage, stage_as, region, account)
    entries = policies.data_entries(domain or (), repository or ())
    write_json(policies.read_only_policy(entries, arn, kms_key=kms_key), output_path)


@app.command()
def user(
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    region: _RegionOption = "*",
    account: _AccountOption = "*",
    subject: Annotated[
        str, typer.Option(metavar="VARIABLE", help="The policy variable that is the user's id.")
    ] = COGNITO,
    output_path: OutputOption = None,
) -> None:
    """For signed-in users: read their own partitions. Says which methods it allows, which not."""
    arn = _arn(name, stage, stage_as, region, account)
    made = user_policy(policies.data_entries(), arn, subject=subject)
    write_json(made.policy, output_path)
    _explain(made)


@app.command()
def resource(  # noqa: PLR0913 - what the ARN is made of, and which methods
    *,
    name: NameOption,
    region: Annotated[str, typer.Option(help="The table's region.")],
    account: Annotated[str, typer.Option(help="The table's account.")],
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    domain: _DomainOption = None,
    repository: _RepositoryOption = None,
    service_role: Annotated[
        list[str] | None,
        typer.Option(
            "--service", metavar="ARN", help="A role that calls all of it.", show_default=False
        ),
    ] = None,
    reading_role: Annotated[
        list[str] | None,
        typer.Option(
            "--read-only", metavar="ARN", help="A role that only reads.", show_default=False
        ),
    ] = None,
    output_path: OutputOption = None,
) -> None:
    """To attach to the table itself: who may call what, and nobody without TLS."""
    arn = _arn(name, stage, stage_as, region, account)
    principals = policies.Principals(tuple(service_role or ()), tuple(reading_role or ()))
    entries = policies.data_entries(domain or (), repository or ())
    write_json(policies.resource_policy(entries, arn, principals), output_path)


def _arn(name: str, stage: str | None, stage_as: StagePlace, region: str, account: str) -> str:
    return policies.table_arn(table_name(name, stage, stage_as.value), region, account)


def _explain(made: UserPolicy) -> None:
    """On standard error, so that the policy can be piped."""
    console = output(stderr=True)
    shown = table("id", "method", "allowed", "why not", wrapping=("why not",))
    reasons = {refusal.entry.method: refusal.reason for refusal in made.refused}
    entries: list[Entry] = [*made.allowed, *(refusal.entry for refusal in made.refused)]
    for entry in by_pattern(entries):
        reason = reasons.get(entry.method, "")
        allowed = Text("no", style="red") if reason else Text("yes", style="green")
        shown.add_row(Text(entry.id, style="bold"), Text(entry.method), allowed, reason)
    console.print(shown)
