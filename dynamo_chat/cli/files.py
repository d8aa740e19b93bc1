"""Files and folders that commands write: none is overwritten or made unless the user asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that exist already.")]


def may_write(option: str, path: Path | None, *, force: bool) -> None:
    """Check that a file can be written where the user named it. BadParameter.

    An empty file, and one that isn't regular, such as ``/dev/stdout``, holds nothing to lose.
    """
    if path is None:
        return
    _folder_exists(option, path)
    if path.is_dir():
        raise typer.BadParameter(f"{option}: {path} is a folder")
    if not force and path.is_file() and path.stat().st_size:
        raise typer.BadParameter(f"{option}: {path} exists already; --force replaces it")


def may_make(option: str, folder: Path) -> None:
    """Check that a folder exists, or can be made inside of one that does. BadParameter."""
    _folder_exists(option, folder)
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{option}: {folder} is not a folder")


def _folder_exists(option: str, path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"{option}: there is no folder {path.parent}; make it first")
