"""``dynamo-chat demo``: one conversation, and what the store does for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.padding import Padding

from dynamo_chat.cases.playing import Player
from dynamo_chat.cases.tour import Step, Tour
from dynamo_chat.cli.console import Text, headline, output, print_json, table, units
from dynamo_chat.cli.files import ForceOption, may_write
from dynamo_chat.cli.item_collections import read_conversation_items, show_collections
from dynamo_chat.cli.target import EndpointOption, Target
from dynamo_chat.cli.walk import DEMO_TABLE, Domain, draw, walk
from dynamo_chat.core.connection import AttributeValues
from dynamo_chat.store import StoreFactory

DEFAULT_TABLE: Final = "dynamo-chat-demo"
_MOST_ALIKE: Final = 2
_MEANINGS: Final = {
    "load": "A conversation and its messages",
    "page": "What a screen needs",
    "retry": "A call that is made twice writes once",
    "race": "Two workers at the same moment lose nothing",
    "delete": "What is deleted stays deleted",
    "expiry": "What has expired is gone for every reader",
}


def demo(  # noqa: PLR0913 - an argument for each option
    *,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Load the sample records of every domain, show the table, and run every access "
            "pattern. --file, --domain and --no-samples imply it.",
        ),
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Conversations to load: one JSON object per line, with OpenAI-style messages.",
        ),
    ] = None,
    samples: Annotated[bool, typer.Option(help="Also load the package's sample records.")] = True,
    domain: Annotated[
        list[Domain] | None,
        typer.Option(
            "--domain", "-d", help="Only this domain; may be repeated. All domains by default."
        ),
    ] = None,
    endpoint_url: EndpointOption = None,
    table_name: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="NAME",
            help=f"The table, by default {DEFAULT_TABLE}. It is created if missing. With --full "
            "it keeps the loaded records.",
        ),
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="The AWS region.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the atlas, with the loaded sample records, to this file instead.",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list with an object per call.")
    ] = False,
) -> None:
    """Show one conversation, and what the store does for it.

    Loads it, pages through it, repeats a call whose answer got lost, writes from two workers at
    the same moment, deletes, and lets it expire: each call with its requests and units, measured.
    It uses an engine inside this process unless an endpoint, a table or a region is named.
    """
    is_full = full or file is not None or bool(domain) or not samples
    domains = list(dict.fromkeys(domain or Domain))
    if file is None and not samples:
        raise typer.BadParameter("--no-samples needs --file: there is nothing else to load")
    if file is not None and Domain.CHAT not in domains:
        raise typer.BadParameter("--file contains conversations, which need --domain chat")
    if is_full and as_json:
        raise typer.BadParameter("--json is for the short demo, without --full")
    is_embedded = endpoint_url is None and table_name is None and region is None
    if html is not None:
        if not is_embedded or file is not None or full or as_json:
            raise typer.BadParameter("--html goes only with --domain and --force")
        may_write("--html", html, force=force)
        draw(html, domains=domains)
        return
    target = Target(
        table=table_name or DEFAULT_TABLE,
        endpoint_url=endpoint_url,
        region=region,
        is_embedded=is_embedded,
    )
    if is_full:
        walk(output(), target, domains=domains, file=file, samples=samples)
        return
    with target.opened() as factory, _ready(factory):
        steps, items, tail = _played(factory)
    if as_json:
        print_json([each.as_dict() for each in (*steps, *tail)])
    else:
        _show(output(), target, steps, items, tail)


@contextmanager
def _ready(factory: StoreFactory) -> Iterator[None]:
    """The table; one that had to be made is deleted again."""
    store = factory()
    created = store.table.create(DEMO_TABLE)
    try:
        yield
    finally:
        if created:
            store.connection.client.delete_table(TableName=store.connection.table_name)


def _played(factory: StoreFactory) -> tuple[list[Step], list[AttributeValues], list[Step]]:
    """The steps before the conversation ends, its items then, and the steps after."""
    with (
        output(stderr=True).status("running …"),
        Player(factory, at=datetime.now(UTC)) as player,
    ):
        tour = Tour(player)
        steps = list(tour.begin())
        items = read_conversation_items(player.stage.store, [tour.talk])
        return steps, items, list(tour.end())


# -- showing ------------------------------------------------------------------------------------


def _show(
    console: Console,
    target: Target,
    steps: Sequence[Step],
    items: Sequence[AttributeValues],
    tail: Sequence[Step],
) -> None:
    console.print(f"Ann talks with an assistant, stored on {target}.", soft_wrap=True)
    _show_steps(console, steps)
    headline(console, "The conversation in the table")
    show_collections(console, items, most_alike=_MOST_ALIKE)
    _show_steps(console, tail)
    console.print()
    taken = [each.taken for each in (*steps, *tail)]
    console.print(
        f"Shown: {sum(each.requests for each in taken)} requests, "
        f"{units(sum(each.wcu for each in taken))} write and "
        f"{units(sum(each.rcu for each in taken))} read units, computed from the sizes of the "
        "items. Nothing was lost or doubled, and nothing is left in the table."
    )
    console.print("Next: --full runs every access pattern on sample records of every domain;")
    console.print("dynamo-chat patterns lists the methods; dynamo-chat table create makes a table;")
    console.print("docs/guide/quickstart.md writes a first program in ten minutes.")


def _show_steps(console: Console, steps: Sequence[Step]) -> None:
    numbers = ("requests", "WCU", "RCU")
    for part, members in groupby(steps, key=lambda step: step.part):
        headline(console, f"{part}: {_MEANINGS[part]}")
        shown = table("call and result", *numbers, numbers=numbers, wrapping=("call and result",))
        shown.columns[0].ratio = 1
        shown.expand = True
        shown.show_header = False
        for each in members:
            taken = each.taken
            shown.add_row(
                Text(each.call, style="cyan"),
                _plural(taken.requests),
                f"{units(taken.wcu)} WCU" if taken.wcu else "",
                f"{units(taken.rcu)} RCU" if taken.rcu else "",
            )
            shown.add_row(Padding(Text(each.told), (0, 0, 0, 2)))
        console.print(shown)


def _plural(requests: int) -> str:
    return f"{requests} request{'' if requests == 1 else 's'}"
