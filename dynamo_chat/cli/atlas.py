"""``dynamo-chat atlas``: write the table, its access patterns and their costs as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from dynamo_chat.cli.console import Text, output
from dynamo_chat.cli.target import StoreOption, store_class

DEFAULT_FILE: Final = Path("atlas.html")
_STANDARD_OUTPUT: Final = Path("-")


def atlas(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The page to write; - is standard output.")
    ] = DEFAULT_FILE,
    *,
    store: StoreOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it exists already.")
    ] = False,
) -> None:
    """Write an atlas of the table: one HTML page, to be opened in a browser, also from a file.

    It shows every kind of item with its keys, and every access pattern with the items that it
    touches, in order, and what that costs: each is called on the embedded engine. The page loads
    nothing from elsewhere.
    """
    from dynamo_chat.operations.atlas.collecting import collect_embedded
    from dynamo_chat.operations.atlas.page import page

    made = store_class(store)
    if file != _STANDARD_OUTPUT:
        _check(file, force=force)
    with output(stderr=True).status("drawing …") as status:
        shown = collect_embedded(
            made, progress=lambda what: status.update(Text(f"drawing … {what}"))
        )
    text = page(shown)
    if file == _STANDARD_OUTPUT:
        typer.echo(text, nl=False)
        return
    with file.open("w" if force else "x", encoding="utf-8") as opened:
        opened.write(text)
    output(stderr=True).print(f"wrote {file}", soft_wrap=True)


def _check(file: Path, *, force: bool) -> None:
    """BadParameter if the file can't be written, before anything is measured."""
    if file.is_dir():
        raise typer.BadParameter(f"{file}: is a folder")
    if not file.parent.is_dir():
        raise typer.BadParameter(f"{file}: there is no folder {file.parent}")
    if file.exists() and not force:
        raise typer.BadParameter(f"{file}: exists already; --force replaces it")
