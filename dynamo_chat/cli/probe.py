"""``dynamo-chat table probe``: test that these credentials can do what the store does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dynamo_chat.cli.console import Text, output, print_json
from dynamo_chat.cli.table import TableEndpointOption, TableOption
from dynamo_chat.cli.target import RegionOption, Target


def probe(
    *,
    name: TableOption,
    endpoint_url: TableEndpointOption = None,
    region: RegionOption = None,
    index_seconds: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long an index may take to show the item."),
    ] = 10.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list with an object per action.")
    ] = False,
) -> None:
    """Test access: write an item, read it from the table and each index, and delete it.

    Shows which permission or index is missing; the exit code is 1 if one is.
    """
    table = Target(name, endpoint_url, region).store().table
    with output(stderr=True).status(f"testing access to table {name} …"):
        steps = table.probe(index_seconds=index_seconds)
    broken = [step for step in steps if step.problem]
    if as_json:
        print_json([asdict(step) for step in steps])
    else:
        console = output()
        for step in steps:
            mark = Text("! ", style="bold red") if step.problem else Text("✓ ", style="green")
            console.print(mark.append(str(step), style="default"), soft_wrap=True)
        works = f"{len(steps) - len(broken)} of {len(steps)} actions work."
        console.print(works if broken else f"The store can work with table {name}.")
    if broken:
        raise typer.Exit(1)
