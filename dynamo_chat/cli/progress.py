"""The progress bar of the commands that take longer than a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dynamo_chat.cli.console import output


class Tell(Protocol):
    """Shows how far a step is."""

    def __call__(self, step: str, done: int, total: int | None = None, more: str = "") -> None:
        """Show `done` of `total`, which may be an estimate; None if nobody knows."""


@contextmanager
def progress_bar(first: str = "") -> Iterator[Tell]:
    """Show a bar on a terminal for each step that is told, with an estimate of the time left.

    `first` is a step that is shown at once. The bar moves to and fro while there is no total.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[more]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = output(stderr=True)
    shown: dict[str, TaskID] = {}
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:

        def tell(step: str, done: int, total: int | None = None, more: str = "") -> None:
            if step not in shown:
                shown[step] = bar.add_task(step, total=None, more="")
            bar.update(shown[step], completed=done, total=total and max(total, done), more=more)

        if first:
            tell(first, 0)
        yield tell
