"""``dynamo-chat cost``: estimate a month's bill of a workload, and compare other designs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from dynamo_chat.cli.console import DataConsole, Text, output, print_json, table
from dynamo_chat.cli.definition import takes
from dynamo_chat.cli.files import ForceOption, may_write
from dynamo_chat.cli.target import StoreOption, store_class
from dynamo_chat.operations import cost as costs
from dynamo_chat.operations.cost import Bill, Line, Prices, Provision, Workload, plain

_BAR: Final = 40
_SVG_WIDTH: Final = 110
_WORKLOAD: Final = {
    "conversations": typer.Option(help="Conversations a month, all users together."),
    "turns": typer.Option(help="Turns per conversation; a turn is a question and its answer."),
    "question_bytes": typer.Option("--question", metavar="BYTES", help="The size of a question."),
    "answer_bytes": typer.Option("--answer", metavar="BYTES", help="The size of an answer."),
    "opens": typer.Option(help="How often each conversation is opened."),
    "lists": typer.Option(help="How often the list of conversations is read, per conversation."),
    "emails": typer.Option(help="E-mails a month, first ones and follow-ups together."),
    "email_bytes": typer.Option("--email-size", metavar="BYTES", help="The size of an e-mail."),
    "thread_emails": typer.Option(
        "--thread", metavar="EMAILS", help="E-mails of a thread: the first one and its follow-ups."
    ),
    "calls": typer.Option(help="Voice calls a month."),
    "users": typer.Option(help="Users who sign in during the month."),
    "sign_ins": typer.Option(help="Sign-ins of each user a month."),
    "checks": typer.Option(help="How often each login is looked up and marked as used."),
    "retention_months": typer.Option(
        "--retention", metavar="MONTHS", help="How many months of data are kept."
    ),
}
_PROVISION: Final = Provision()


@takes("workload", Workload, _WORKLOAD)
def cost(
    *,
    workload: Workload,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A JSON file with price tables, instead of the package's own."
        ),
    ] = None,
    region: Annotated[
        str,
        typer.Option(
            "--region",
            "--price-table",
            metavar="NAME",
            help="The region whose prices are used.",
            autocompletion=lambda: list(costs.load_prices()),
        ),
    ] = costs.CURRENT,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="METHOD=TIMES",
            help="Also this method of the store, so many times a month; may be repeated.",
        ),
    ] = None,
    store_name: StoreOption = None,
    peak: Annotated[
        float,
        typer.Option(
            metavar="TIMES", help="For provisioned capacity: peak load divided by the month's mean."
        ),
    ] = float(_PROVISION.peak),
    as_json: Annotated[bool, typer.Option("--json", help="Print the bills as JSON.")] = False,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw the bills to this SVG file.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Estimate a monthly bill by running your workload on the embedded engine.

    Shows the bill on demand and with capacity provisioned for the peak. For comparison, it shows
    what the same conversations cost on demand in other designs: all messages in one item, and a
    table for each entity. With --store and --method it counts an application's own methods, too.
    """
    from dynamo_chat.operations.rehearsal import bills

    tables = costs.load_prices(prices)
    if region not in tables:
        raise typer.BadParameter(
            f"--region {region}: there are prices of {', '.join(tables)}; --prices takes a file"
        )
    may_write("--svg", svg, force=force)
    chosen, provision = tables[region], Provision(Decimal(str(peak)))
    store, counted = store_class(store_name), _counted(methods or ())
    if store_name is not None and not counted:
        raise typer.BadParameter("--store needs --method, such as --method notes.write=1000")
    with output(stderr=True).status("running the workload …"):
        made = bills(workload, chosen, provision, methods=counted, store=store)
    if as_json:
        print_json(_as_json(made, chosen))
    else:
        _show(output(), made, chosen, workload, counted)
    if svg is not None:
        drawing = DataConsole(record=True, width=_SVG_WIDTH, file=StringIO())
        _show(drawing, made, chosen, workload, counted)
        svg.write_text(drawing.export_svg(title="dynamo-chat cost"), encoding="utf-8")


def _counted(given: Sequence[str]) -> dict[str, int]:
    """The calls a month of each method."""
    counted: dict[str, int] = {}
    for each in given:
        method, mark, times = each.partition("=")
        if not (method and mark and times.isdecimal()) or method in counted:
            raise typer.BadParameter(
                f"--method {each}: must be METHOD=TIMES, each method once, as notes.write=1000"
            )
        counted[method] = int(times)
    return counted


def _as_json(made: Sequence[Bill], prices: Prices) -> dict[str, Any]:
    return {
        "currency": "USD",
        "region": prices.region,
        "prices_since": prices.date,
        "prices_from": prices.source,
        "bills": [each.as_dict() for each in made],
    }


def _show(
    console: Console,
    made: Sequence[Bill],
    prices: Prices,
    workload: Workload,
    methods: Mapping[str, int],
) -> None:
    console.print(f"A month in {prices.region}, at the prices since {prices.date}. {prices.note}")
    console.print(Text(f"Prices: {prices.source}", style="dim"), soft_wrap=True)
    for each in made:
        console.print()
        console.print(Text(f"{each.design}: ${_cents(each.total)}", style="bold"))
        shown = table(
            "id", "what", "amount", "WRU", "RRU", "$", numbers=("amount", "WRU", "RRU", "$")
        )
        for line in each.lines:
            shown.add_row(
                Text(line.pattern, style="bold"),
                line.what,
                _amount(line),
                plain(line.write_units) if line.write_units else "–",
                plain(line.read_units) if line.read_units else "–",
                _cents(line.dollars),
            )
        console.print(shown)
    console.print()
    _bars(console, made)
    if workload.emails or workload.calls or workload.users or methods:
        console.print("The other designs include conversations only.")


def _bars(console: Console, made: Sequence[Bill]) -> None:
    largest = costs.most(made) or Decimal(1)
    width = max(len(each.design) for each in made)
    for each in made:
        length = int(each.total / largest * _BAR) or 1
        line = Text(f"{each.design:<{width}}  ")
        line.append(
            "█" * length, style="bright_cyan" if each.design.startswith(costs.OWN) else "dim"
        )
        line.append(f" ${_cents(each.total)}")
        console.print(line)


def _amount(line: Line) -> str:
    if line.unit == "calls":
        return f"{line.amount:,}"
    return f"{line.amount:,.4f} GB" if line.unit == "GB" else f"{line.amount:,} {line.unit}"


def _cents(dollars: Decimal) -> str:
    """An amount as text: small ones to a hundredth of a cent, large ones to the cent."""
    return f"{dollars:,.6f}" if dollars < 1 else f"{dollars:,.2f}"
