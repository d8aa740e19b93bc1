"""Files that only their owner may read: items of a table are written into them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

_OWNERS_FILE: Final = 0o600
_OWNERS_FOLDER: Final = 0o700


def open_private(path: Path) -> TextIO:
    """Open a file to write at its end. It is its owner's alone, also if others could read it.

    Folders that are missing are made, for their owner alone. What is no regular file, such as
    ``/dev/stdout``, stays as it is. OSError.
    """
    for folder in reversed(path.parent.parents):
        _make_folder(folder)
    _make_folder(path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _OWNERS_FILE)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            # Before anything is written: what was there may be open to others.
            at = handle if os.chmod in os.supports_fd else path
            os.chmod(at, _OWNERS_FILE)  # noqa: PTH101 - of the very file that is open
        return open(handle, "a", encoding="utf-8")  # noqa: PTH123 - a path would be made by umask
    except BaseException:
        os.close(handle)
        raise


def replace_text(file: TextIO, text: str) -> None:
    """Write a text in place of everything that is in an open file."""
    with suppress(OSError):  # what is no regular file has nothing to be replaced
        file.truncate(0)
    file.write(text)
    file.flush()


def _make_folder(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(_OWNERS_FOLDER)
