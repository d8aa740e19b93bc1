"""The command `dynamo-chat`."""

from dynamo_chat.cli.entry import main

__all__ = ["main"]
