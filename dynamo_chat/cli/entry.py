"""The start of the command; it names the missing extra if it isn't installed."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `dynamo-chat`. Exits with 0; 1 for an error, 2 for wrong usage, 130 if interrupted."""
    try:
        _run()
    except KeyboardInterrupt:  # before a command had begun
        sys.stderr.write("error: interrupted\n")
        sys.exit(130)


def _run() -> None:
    try:
        from dynamo_chat.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"typer", "rich"}:
            raise
        sys.exit("dynamo-chat needs the extra `cli`: pip install 'dynamo_chat[cli]'")
    app()
