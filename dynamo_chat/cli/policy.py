"""``dynamo-chat policy``: least-privilege IAM policies, derived from the catalogue."""

from __future__ import annotations

from typing import Annotated

import typer

from dynamo_chat.catalogue import Entry, catalogue
from dynamo_chat.cli.commands import Commands
from dynamo_chat.cli.console import Text, output, table
from dynamo_chat.cli.definition import defines_table
from dynamo_chat.cli.files import ForceOption
from dynamo_chat.cli.target import StoreOption, store_class
from dynamo_chat.cli.template import (
    NameOption,
    OutputOption,
    StageOption,
    StagePlace,
    StagePlaceOption,
    write_json,
)
from dynamo_chat.operations import policies
from dynamo_chat.operations.operator_policies import Backing, backup_policy, deploy_policy
from dynamo_chat.operations.user_policy import (
    COGNITO,
    UserPolicy,
    by_pattern,
    limit_of,
    user_policy,
)
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.naming import table_name

app = Commands(
    help="Least-privilege IAM policies, derived from the catalogue.", no_args_is_help=True
)

_RegionOption = Annotated[str, typer.Option(help="The table's region; * for any.")]
_AccountOption = Annotated[str, typer.Option(help="The table's account; * for any.")]
_DomainOption = Annotated[
    list[str] | None, typer.Option(help="Only this domain, such as chat; may be repeated.")
]
_RepositoryOption = Annotated[
    list[str] | None, typer.Option(help="Only this repository, such as messages; may be repeated.")
]
_KeyOption = Annotated[
    str | None,
    typer.Option(metavar="ARN", help="The customer managed key that encrypts the table."),
]


@app.command()
def service(  # noqa: PLR0913 - what the ARN is made of, and which methods
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
    force: ForceOption = False,
    store: StoreOption = None,
) -> None:
    """Permissions for a service: only what the chosen repositories send."""
    arn = _arn(name, stage, stage_as, region, account)
    entries = _chosen(domain, repository, store)
    write_json(policies.service_policy(entries, arn, kms_key=kms_key), output_path, force=force)


@app.command("read-only")
def read_only(  # noqa: PLR0913 - what the ARN is made of, and which methods
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
    force: ForceOption = False,
    store: StoreOption = None,
) -> None:
    """Permissions for a service that only reads."""
    arn = _arn(name, stage, stage_as, region, account)
    entries = _chosen(domain, repository, store)
    write_json(policies.read_only_policy(entries, arn, kms_key=kms_key), output_path, force=force)


@app.command()
def user(
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    region: _RegionOption = "*",
    account: _AccountOption = "*",
    subject: Annotated[
        str,
        typer.Option(metavar="VARIABLE", help="The policy variable that contains the user's id."),
    ] = COGNITO,
    output_path: OutputOption = None,
    force: ForceOption = False,
    store: StoreOption = None,
) -> None:
    """Permissions for signed-in users to read their own partitions. Lists the allowed methods."""
    arn = _arn(name, stage, stage_as, region, account)
    made = user_policy(_chosen(None, None, store), arn, subject=subject)
    write_json(made.policy, output_path, force=force)
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
        typer.Option("--service", metavar="ARN", help="A role that may call every method."),
    ] = None,
    reading_role: Annotated[
        list[str] | None, typer.Option("--read-only", metavar="ARN", help="A role that only reads.")
    ] = None,
    output_path: OutputOption = None,
    force: ForceOption = False,
    store: StoreOption = None,
) -> None:
    """Resource policy for the table: which roles may call what, only over TLS."""
    arn = _arn(name, stage, stage_as, region, account)
    principals = policies.Principals(tuple(service_role or ()), tuple(reading_role or ()))
    entries = _chosen(domain, repository, store)
    write_json(policies.resource_policy(entries, arn, principals), output_path, force=force)


@app.command()
@defines_table
def deploy(
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    region: _RegionOption = "*",
    account: _AccountOption = "*",
    output_path: OutputOption = None,
    force: ForceOption = False,
    definition: TableDefinition,
) -> None:
    """Permissions for the role that creates and checks the table.

    They cover `dynamo-chat table create`, `check` and `describe` with the given options. They don't
    allow deleting the table, or reading or writing items.
    """
    arn = _arn(name, stage, stage_as, region, account)
    write_json(deploy_policy(definition, arn), output_path, force=force)


@app.command()
def backup(  # noqa: PLR0913 - what the ARNs are made of, and what is allowed beside
    *,
    name: NameOption,
    stage: StageOption = None,
    stage_as: StagePlaceOption = StagePlace.SUFFIX,
    region: _RegionOption = "*",
    account: _AccountOption = "*",
    restore_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A table that may be restored to, such as 'chat-restored-*'; may be repeated. "
            "Without it, nothing is restored.",
        ),
    ] = None,
    to_region: Annotated[
        str | None, typer.Option(help="The region of those tables, if it is another.")
    ] = None,
    export_to: Annotated[
        str | None,
        typer.Option(
            metavar="BUCKET", help="The S3 bucket to export to. Without it, nothing is exported."
        ),
    ] = None,
    kms_key: _KeyOption = None,
    output_path: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Permissions for the role that backs up the table; with options also to restore or export it.

    They don't allow deleting backups. DynamoDB fills a restored table as the caller,
    so a role that may restore may also read and write that table.
    """
    arn = _arn(name, stage, stage_as, region, account)
    targets = [
        policies.table_arn(target, to_region or region, account) for target in restore_to or ()
    ]
    allowed = Backing(tuple(targets), export_to, kms_key)
    write_json(backup_policy(arn, allowed), output_path, force=force)


def _chosen(
    domains: list[str] | None, repositories: list[str] | None, store: str | None
) -> list[Entry]:
    entries = catalogue(store_class(store))
    return policies.data_entries(domains or (), repositories or (), entries)


def _arn(name: str, stage: str | None, stage_as: StagePlace, region: str, account: str) -> str:
    return policies.table_arn(table_name(name, stage, stage_as.value), region, account)


def _explain(made: UserPolicy) -> None:
    """Print which methods are allowed, on standard error, so that the policy can be piped."""
    console = output(stderr=True)
    shown = table("id", "method", "allowed", "why not", wrapping=("why not",))
    reasons = {refusal.entry.method: refusal.reason for refusal in made.refused}
    entries: list[Entry] = [*made.allowed, *(refusal.entry for refusal in made.refused)]
    for entry in by_pattern(entries):
        if reason := reasons.get(entry.method, ""):
            allowed = Text("no", style="red")
        elif reason := limit_of(entry):
            allowed = Text("in part", style="yellow")
        else:
            allowed = Text("yes", style="green")
        shown.add_row(Text(entry.id, style="bold"), Text(entry.method), allowed, reason)
    console.print(shown)
