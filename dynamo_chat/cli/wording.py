"""Errors of the package in the command line's own words: options instead of arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from dynamo_chat.core.errors import DynamoChatError, InvalidArgument

_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "account_ids": ("account",),
    "addresses": ("address",),
    "bucket": ("bucket", "export_to"),
    "budget_tag": ("budget_tag",),
    "export_format": ("format_",),
    "heir_id": ("heir",),
    "journal": ("journal", "folder"),
    "name": ("backup_name", "name"),
    "read_units_per_second": ("rate",),
    "reading_roles": ("reading_role",),
    "records_per_second": ("rate",),
    "replicas": ("replica",),
    "service_roles": ("service_role",),
    "settle_seconds": ("settle",),
    "source": ("sources",),
    "table": ("name", "table_name"),
    "table name": ("name", "table_name"),
    "table_name": ("name", "table_name"),
    "tags": ("tag",),
    "target": ("to",),
    "target_name": ("to",),
    "timeout_seconds": ("timeout",),
    "topic_arn": ("topic",),
    "units_per_second": ("units",),
    "words": ("search_name",),
    "write_units_per_second": ("rate",),
}
"""Arguments of the package whose options have other names: the first one that the command has."""

_WORDS: Final[tuple[tuple[str, str], ...]] = (
    (r"pass region=, or set", "give --region, or set"),
    (
        r"store\.table\.create\(\), or check the name, the region and the endpoint",
        "`dynamo-chat table create`, or check --table, --region and --endpoint-url",
    ),
    (
        r"store\.table\.check\(\) says which, store\.table\.wait\(\) waits for it",
        "`dynamo-chat table check` says which",
    ),
    (r"store\.table\.create\(\) can be called again", "run `dynamo-chat table create` again"),
    (r"store\.table\.create\(\)", "`dynamo-chat table create`"),
    (r"call again with the same ids|call again", "run the same command again"),
    (r", or None for no limit", "; leave it out for no limit"),
    (r", or None(?: for [a-z -]+)?\b", ""),
    (r"must be a Decimal,", "must be a number,"),
    (r"two integers \(minimum, maximum\) of at least 1, such as \(5, 100\)", "MIN:MAX, from 1"),
    (r"\('([\w-]+)',\)", r"\1"),
    (r"to add what is missing to a table that is not, merge", "or add --merge"),
    (r"delete it, and merge", "delete it, and add --merge"),
)
"""What messages say to programs, and what it is called here."""


def in_words(message: str) -> str:
    """The message with the commands and options that do what it advises."""
    for said, here in _WORDS:
        message = re.sub(said, here, message)
    return message


def option_for(argument: str, options: Mapping[str, str]) -> str | None:
    """The command's option for an argument of the package; None if it has none.

    `options` are what the command takes, by the name of its parameter.
    """
    first, _, _ = argument.partition(" ")
    wanted: Iterable[str] = (argument, *_OPTIONS.get(argument, ()), first)
    return next((options[name] for name in wanted if name in options), None)


def worded(error: DynamoChatError, options: Mapping[str, str]) -> tuple[str, bool]:
    """The error as one line, and whether it is about an option of the command."""
    if isinstance(error, InvalidArgument):
        option = option_for(error.argument, options)
        if option is not None:
            return f"{option}: {in_words(error.allowed)}", True
    return in_words(str(error)), False


def of_the_system(error: OSError) -> str:
    """A file's or a connection's error, without its number."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror[:1].lower()}{error.strerror[1:]}"
