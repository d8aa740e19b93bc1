"""``dynamo-chat export-user`` and ``erase-user``: a person's data, handed out or erased."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from dynamo_chat import keyspace
from dynamo_chat.cli.commands import resumable
from dynamo_chat.cli.console import Text, fail, is_quiet, json_text, kind_style, output, table
from dynamo_chat.cli.files import ForceOption, may_write
from dynamo_chat.cli.private_files import open_private, replace_text
from dynamo_chat.cli.progress import progress_bar
from dynamo_chat.cli.table import TableEndpointOption, TableOption
from dynamo_chat.cli.target import RegionOption, StoreOption, Target, store_class
from dynamo_chat.core.errors import CorruptItem, NotFound
from dynamo_chat.operations.mentions import check_words, find_mentions
from dynamo_chat.workflows.person_records import (
    ErasurePlan,
    ErasureReceipt,
    Mention,
    Mentions,
    record_schema,
)

UserArgument = Annotated[str, typer.Argument(metavar="USER-ID", help="The person's user id.")]
AccountsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--account",
        metavar="ID",
        help="An account that is the person's alone; may be given several times.",
    ),
]
AddressesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        metavar="EMAIL",
        help="A further e-mail address of the person, such as a former one.",
    ),
]
_SETTLE: Final = 2.0
_SEARCH_UNITS: Final = 100.0


def export_user(  # noqa: PLR0913 - an argument for each option
    user_id: Annotated[
        str, typer.Argument(metavar="USER-ID", help="The person's user id.", show_default=False)
    ] = "",
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    account: AccountsOption = None,
    address: AddressesOption = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            dir_okay=False,
            help="Write to this file, which only its owner can read. The default is the output.",
        ),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a line, and stop.")
    ] = False,
    force: ForceOption = False,
    store_name: StoreOption = None,
) -> None:
    """Export everything that belongs to a person, as JSON Lines.

    Each line has a kind, the version of its form, and the fields. Nothing is changed. Items that
    cannot be read are named on the error output; the exit code is then 1.
    """
    made = store_class(store_name)
    may_write("--file", file, force=force)
    if schema:
        typer.echo(json_text(record_schema(made.key_space)))
        return
    if not user_id:
        raise typer.BadParameter("name the user")
    store = Target(name, endpoint_url, region, made=made).store()
    unreadable = 0

    def told(error: CorruptItem) -> None:
        nonlocal unreadable
        unreadable += 1
        output(stderr=True).print(f"Left out: {error}", markup=False, soft_wrap=True)

    records = store.people.export(
        user_id, account_ids=account or (), addresses=address or (), on_unreadable=told
    )
    lines = (each.line() for each in _told(records))
    if file is None:
        for line in lines:
            typer.echo(line)
    else:
        told_why = f"{file} is not complete: run it again with --force"
        with resumable(told_why), open_private(file) as written:
            replace_text(written, "")
            for line in lines:
                written.write(line + "\n")
    if unreadable:
        raise typer.Exit(1)


def erase_user(  # noqa: PLR0913 - an argument for each option
    user_id: UserArgument,
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    account: AccountsOption = None,
    address: AddressesOption = None,
    heir: Annotated[
        str | None,
        typer.Option(
            metavar="USER-ID", help="Who takes over organizations that would lose their last owner."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
    search: Annotated[
        bool,
        typer.Option(
            "--search",
            help="Then search the whole table for texts of others that have the person's id, "
            "addresses or name, and list them in the receipt.",
        ),
    ] = False,
    search_name: Annotated[
        list[str] | None,
        typer.Option(
            "--search-name", metavar="TEXT", help="A further text to search for; implies --search."
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(metavar="UNITS", help="Read units a second of the search; 0 for no limit."),
    ] = _SEARCH_UNITS,
    settle: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="The pause before a second look for what was written meanwhile.",
        ),
    ] = _SETTLE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipt as JSON.")] = False,
    receipt_file: Annotated[
        Path | None,
        typer.Option(
            "--receipt",
            metavar="FILE",
            dir_okay=False,
            help="Also write the receipt to this file, as JSON. Only its owner can read it.",
        ),
    ] = None,
    mentions_file: Annotated[
        Path | None,
        typer.Option(
            "--mentions",
            metavar="FILE",
            dir_okay=False,
            help="Write every mention to this file, as JSON Lines: the receipt counts all, and "
            "lists the first 1,000. Only its owner can read it.",
        ),
    ] = None,
    force: ForceOption = False,
    store_name: StoreOption = None,
) -> None:
    """Erase everything that belongs to a person, and print a receipt.

    Interrupt it at any time and call it again: it continues. What others own but names the person
    is listed, to be looked at by a human. The guide says what backups and streams still hold.
    """
    store = Target(name, endpoint_url, region, made=store_class(store_name)).store()
    ids: dict[str, Any] = {"account_ids": account or (), "addresses": address or ()}
    _check_files(receipt_file, mentions_file, force=force)
    if is_quiet() and not (yes or dry_run):
        raise typer.BadParameter("--quiet needs --yes: there is nothing to see and confirm")
    if receipt_file is not None and not dry_run:
        open_private(receipt_file).close()  # fail before anything is erased
    words = {user_id, *(address or ()), *(search_name or ())}
    with resumable("nothing was erased"), progress_bar("looking"):
        with suppress(NotFound):
            user = store.users.get(user_id, consistent=True)
            known = (user.email, user.response_email, user.name)
            words.update(each for each in known if each)
        with _lines_to(mentions_file if dry_run else None) as written:
            planned = store.people.plan_erasure(user_id, on_mention=written, **ids)
    if dry_run:
        _print(planned, as_json=as_json, title="would be erased")
        return
    is_searched = search or bool(search_name)
    if is_searched:
        check_words(words)
    if not yes:
        _print(planned, as_json=False, title="would be erased")
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise fail("nothing was changed: add --yes to erase without a terminal")
        typer.confirm("Erase all of this? It cannot be undone", abort=True)
    with _lines_to(mentions_file) as written:
        mentions = Mentions(written)
        says = "a part may be erased; the same command erases the rest"
        planned_items = sum(planned.erased.values())
        with resumable(says), progress_bar("erasing") as tell:
            receipt = store.people.erase(
                user_id,
                heir_id=heir,
                on_progress=lambda done: tell("erasing", done, planned_items),
                on_mention=mentions.add,
                **ids,
            )
        _write(receipt, receipt_file)  # whatever happens next
        says = "everything was erased but what was written meanwhile; the same command looks again"
        with resumable(says), progress_bar("looking again"):
            time.sleep(max(0.0, settle))
            left = store.people.plan_erasure(user_id, **ids)
            # A user is there only if the id was given to somebody else in between.
            if not left.is_empty and keyspace.USER.kind not in left.erased:
                second = store.people.erase(user_id, on_mention=mentions.add, **ids)
                receipt = _both(receipt, second)
        if is_searched:
            expected = int(store.table.describe().get("ItemCount", 0))
            says = "everything was erased, but not every text was searched"
            with resumable(says), progress_bar("searching") as tell:
                for each in find_mentions(
                    store.connection,
                    words,
                    key_space=type(store).key_space,
                    read_units_per_second=rate or None,
                    on_progress=lambda done: tell("searching", done, expected or None),
                ):
                    mentions.add(each)
    receipt = replace(receipt, mentions=mentions.first, mention_counts=mentions.counts)
    _print(receipt, as_json=as_json, title="erased")
    if receipt.is_resumed and not as_json:
        output().print("An earlier call had begun: what it erased is not counted here.")
    _write(receipt, receipt_file)


def _check_files(receipt: Path | None, mentions: Path | None, *, force: bool) -> None:
    may_write("--receipt", receipt, force=force)
    may_write("--mentions", mentions, force=force)
    if receipt and mentions and receipt.resolve() == mentions.resolve():
        raise typer.BadParameter("--mentions: must be another file than that of --receipt")


def _write(receipt: ErasureReceipt, path: Path | None) -> None:
    if path is not None:
        with open_private(path) as written:
            replace_text(written, json_text(receipt.as_dict()) + "\n")


@contextmanager
def _lines_to(path: Path | None) -> Iterator[Callable[[Mention], None]]:
    """A function that writes a mention as a line of this file; one that does nothing without it."""
    if path is None:
        yield lambda _: None
        return
    with open_private(path) as file:
        replace_text(file, "")

        def written(mention: Mention) -> None:
            file.write(mention.line() + "\n")

        yield written


def _both(first: ErasureReceipt, second: ErasureReceipt) -> ErasureReceipt:
    """One receipt of two looks, without their mentions."""
    return ErasureReceipt(
        user_id=first.user_id,
        account_ids=first.account_ids,
        erased=Counter(first.erased) + Counter(second.erased),
        replaced=Counter(first.replaced) + Counter(second.replaced),
        unreadable=second.unreadable,  # what stays is found by each look
        unreadable_counts=second.unreadable_counts,
        pseudonyms=tuple(dict.fromkeys([*first.pseudonyms, *second.pseudonyms])),
        began_at=first.began_at,
        finished_at=second.finished_at,
        is_resumed=first.is_resumed,
    )


def _told(records: Iterable[Any]) -> Iterator[Any]:
    """`records`, counted on a terminal."""
    with progress_bar("exporting") as tell:
        for number, each in enumerate(records, 1):
            tell("exporting", number)
            yield each


def _print(shown: ErasurePlan, *, as_json: bool, title: str) -> None:
    if as_json:
        typer.echo(json_text(shown.as_dict()))
        return
    console = output()
    if shown.is_empty:
        console.print("There is nothing of this person.")
    else:
        rows = table("kind", title, "replaced", numbers=(title, "replaced"))
        for kind in sorted({*shown.erased, *shown.replaced}):
            numbers = (each.get(kind, 0) for each in (shown.erased, shown.replaced))
            rows.add_row(
                Text(kind, style=kind_style(kind)),
                *(f"{each:,}" if each else "" for each in numbers),
            )
        console.print(rows)
    if shown.mentions:
        console.print("These stay with others; look whether their texts name the person:")
        _print_mentions(console, shown.mentions, shown.mention_counts, "--mentions writes all")
    if shown.unreadable:
        console.print("These stay, because they are damaged and do not say whose they are:")
        _print_mentions(console, shown.unreadable, shown.unreadable_counts, "the doctor finds all")


def _print_mentions(
    console: Console, first: Sequence[Mention], counts: Mapping[str, int], further: str
) -> None:
    for each in first:
        _print_mention(console, each)
    more = sum(counts.values()) - len(first)
    if more:
        console.print(f"  and {more:,} more: {further}")


def _print_mention(console: Console, shown: Mention) -> None:
    ids = ", ".join(f"{field} {value}" for field, value in shown.identity.items())
    line = Text(f"  {shown.kind} ", style=kind_style(shown.kind))
    where = f": {', '.join(shown.fields)}" if shown.fields else ""
    line.append(f"{ids}{where} ({shown.why})", style="default")
    console.print(line, soft_wrap=True)
