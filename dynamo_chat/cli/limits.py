"""``dynamo-chat limits``: how many calls a second one partition key bears."""

from __future__ import annotations

from typing import Annotated

import typer

from dynamo_chat.cli.console import Text, output, print_json, table, units
from dynamo_chat.cli.target import StoreOption, store_class


def limits(
    *,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="METHOD",
            help="Only this method, such as messages.append; may be repeated.",
        ),
    ] = None,
    store_name: StoreOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list with an object per key.")
    ] = False,
) -> None:
    """Show how many calls of each method a second one partition key bears.

    A partition takes 1,000 write units and 3,000 read units a second, and one key may have a
    partition at most. Each method is called on the embedded engine, and what it is charged is added
    up for each key: a method is listed with its keys, the narrowest first.
    """
    from dynamo_chat.operations.limits import measure_limits

    store = store_class(store_name)
    with output(stderr=True).status("measuring …") as status:
        found = measure_limits(
            methods or None, store, lambda what: status.update(Text(f"measuring … {what}"))
        )
    if as_json:
        print_json([each.as_dict() for each in found])
        return
    numbers = ("units", "calls/s")
    shown = table("id", "method", "place", "key", *numbers, numbers=numbers, wrapping=("key",))
    before = ""
    for each in found:
        names = (each.pattern, each.method) if each.method != before else ("", "")
        shown.add_row(
            Text(names[0], style="bold"),
            Text(names[1], style="cyan"),
            each.place,
            Text(each.key),
            f"{units(each.units)} {'WCU' if each.kind == 'write' else 'RCU'}",
            f"{each.calls:,}",
        )
        before = each.method
    output().print(shown)
