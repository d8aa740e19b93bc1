"""Files for items of a table: only their owner can read them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

_OWNERS_FILE: Final = 0o600


def open_private(path: Path) -> TextIO:
    """Open a file for appending, and make it readable by its owner only.

    A file that isn't regular, such as ``/dev/stdout``, keeps its mode. OSError.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _OWNERS_FILE)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            # Before anything is written: an existing file may be open to others.
            at = handle if os.chmod in os.supports_fd else path
            os.chmod(at, _OWNERS_FILE)  # noqa: PTH101 - of the open file itself
        return open(handle, "a", encoding="utf-8")  # noqa: PTH123 - a path would apply the umask
    except BaseException:
        os.close(handle)
        raise


def replace_text(file: TextIO, text: str) -> None:
    """Replace the whole content of an open file."""
    with suppress(OSError):  # a file that isn't regular has no content to replace
        file.truncate(0)
    file.write(text)
    file.flush()
