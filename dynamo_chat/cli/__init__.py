"""The command `dynamo-chat`."""

from dynamo_chat.cli.entry import main as main
