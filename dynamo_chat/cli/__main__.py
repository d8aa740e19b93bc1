"""``python -m dynamo_chat.cli``: the same as ``dynamo-chat``."""

from dynamo_chat.cli.entry import main

main()
