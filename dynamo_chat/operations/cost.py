"""What a month costs: capacity that was measured, times how often, times a price (T6).

Nothing is rounded but the unit that DynamoDB itself rounds up; amounts are `Decimal` dollars.
Free tiers are not taken off: they are the account's, not the table's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import Any, Final

from dynamo_chat.core.errors import InvalidArgument

PRICES: Final = "prices.json"
CURRENT: Final = "us-east-1"
MILLION: Final = Decimal(1_000_000)
GB: Final = Decimal(2**30)

# What the other designs store beside the text: names of attributes, ids, times. Generous to them.
_HEAD_BYTES: Final = 250
_MESSAGE_BYTES: Final = 80
_STORED_ITEM_BYTES: Final = 100
"""DynamoDB adds so much to each item, in the table and in each index, when it counts storage."""


@dataclass(frozen=True, slots=True)
class Prices:
    """A price table: dollars in one region since one day."""

    region: str
    date: str
    note: str
    write_million: Decimal
    read_million: Decimal
    storage_gb_month: Decimal
    recovery_gb_month: Decimal


@dataclass(frozen=True, slots=True)
class Workload:
    """What happens in a month."""

    conversations: int = 1_000
    turns: int = 2
    """Of one conversation: a question and its answer each."""
    question_bytes: int = 100
    answer_bytes: int = 400
    opens: int = 4
    """How often a conversation is opened: its head and latest messages read."""
    lists: int = 1
    """How often a user's list of conversations is read, for each conversation."""
    emails: int = 0
    email_bytes: int = 4_000
    calls: int = 0
    retention_months: int = 1
    """How many months of it are stored at a time."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name in {"turns", "question_bytes", "answer_bytes"} else 0
            if value < least:
                raise InvalidArgument(field.name, f"must be at least {least}")

    @property
    def turn_bytes(self) -> int:
        """A question and its answer."""
        return self.question_bytes + self.answer_bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """What is done, how often in a month, and the capacity that it takes each time."""

    what: str
    calls: int
    write_units: Decimal
    read_units: Decimal
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a bill."""

    what: str
    pattern: str
    amount: Decimal
    """Calls, or gigabytes."""
    write_units: Decimal
    read_units: Decimal
    dollars: Decimal


@dataclass(frozen=True, slots=True)
class Bill:
    """A month of one design."""

    design: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        """Dollars."""
        return sum((line.dollars for line in self.lines), Decimal(0))

    def as_dict(self) -> dict[str, Any]:
        """The bill as JSON values; amounts as text, which keeps their digits."""
        lines = [
            {
                "what": line.what,
                "pattern": line.pattern,
                "amount": plain(line.amount),
                "write_units": plain(line.write_units),
                "read_units": plain(line.read_units),
                "dollars": plain(line.dollars),
            }
            for line in self.lines
        ]
        return {"design": self.design, "lines": lines, "total": plain(self.total)}


def load_prices(path: Path | None = None) -> dict[str, Prices]:
    """The price tables of a file, by name; without one, those of the package.

    InvalidArgument when the file is none. OSError.
    """
    source = files("dynamo_chat.operations").joinpath(PRICES) if path is None else path
    try:
        read: Mapping[str, Mapping[str, str]] = json.loads(source.read_text(encoding="utf-8"))
        return {name: _prices(table) for name, table in read.items()}
    except (ValueError, AttributeError, TypeError, KeyError, InvalidOperation) as error:
        wanted = ", ".join(field.name for field in fields(Prices))
        raise InvalidArgument("prices", f"must be JSON, tables with {wanted}") from error


def bill(design: str, usages: Iterable[Usage], stored_bytes: int, prices: Prices) -> Bill:
    """The month's bill: a line for each usage, storage, and recovery when it costs something."""
    lines = [_request_line(usage, prices) for usage in usages]
    gigabytes = stored_bytes / GB
    lines.append(_storage_line("storage", gigabytes, prices.storage_gb_month))
    if prices.recovery_gb_month:
        lines.append(_storage_line("point-in-time recovery", gigabytes, prices.recovery_gb_month))
    return Bill(design, tuple(lines))


def embedded_list(workload: Workload, prices: Prices) -> Bill:
    """`cgchat`: messages in a list inside of the conversation's one item, with an index of all.

    Each turn writes all that was said before again, twice: in the table and in the index. Listing
    conversations reads all that was said in them. The other domains are not in that document.
    """
    sizes = [_HEAD_BYTES + turn * _turn(workload) for turn in range(workload.turns + 1)]
    rewrites = [2 * _writes(size) for size in sizes[1:]]
    number, full = workload.conversations, sizes[-1]
    usages = [
        Usage("create a conversation", number, Decimal(2 * _writes(sizes[0])), Decimal(0)),
        Usage("append a turn", number * workload.turns, *_mean(rewrites)),
        Usage("open a conversation", number * workload.opens, Decimal(0), _reads(full)),
        Usage(
            "list conversations",
            number * workload.lists,
            Decimal(0),
            _reads(_listed(workload) * full),
        ),
    ]
    stored = number * workload.retention_months * 2 * (full + _STORED_ITEM_BYTES)
    return bill("embedded list (cgchat)", usages, stored, prices)


def table_per_entity(workload: Workload, prices: Prices) -> Bill:
    """`support`: a table of conversations and one of messages, a row for each exchange.

    Each turn puts a row and updates the conversation, which an index holds too.
    """
    number, row = workload.conversations, _turn(workload)
    turn_writes = _writes(row) + 2 * _writes(_HEAD_BYTES)
    reading = _reads(_HEAD_BYTES) + _reads(workload.turns * row)
    usages = [
        Usage("create a conversation", number, Decimal(2 * _writes(_HEAD_BYTES)), Decimal(0)),
        Usage("append a turn", number * workload.turns, Decimal(turn_writes), Decimal(0)),
        Usage("open a conversation", number * workload.opens, Decimal(0), reading),
        Usage(
            "list conversations",
            number * workload.lists,
            Decimal(0),
            _reads(_listed(workload) * _HEAD_BYTES),
        ),
    ]
    rows = workload.turns * (row + _STORED_ITEM_BYTES)
    heads = 2 * (_HEAD_BYTES + _STORED_ITEM_BYTES)
    stored = number * workload.retention_months * (rows + heads)
    return bill("table per entity (support)", usages, stored, prices)


def documents_figure(workload: Workload, prices: Prices) -> Bill:
    """What `cgchat` says: two writes and five reads for each conversation, 0.1 GB for 1,000."""
    number = workload.conversations
    usages = [
        Usage("writes, 2 for each conversation", 2 * number, Decimal(1), Decimal(0)),
        Usage("reads, 5 for each session", 5 * number, Decimal(0), Decimal(1)),
    ]
    stored = int(GB * number / 10_000)
    return bill("cgchat, as it says", usages, stored, prices)


def plain(amount: Decimal) -> str:
    """An amount without needless digits, never in powers of ten."""
    text = f"{amount:.9f}"
    return text.rstrip("0").rstrip(".")


def most(bills: Sequence[Bill]) -> Decimal:
    """The largest total."""
    return max((each.total for each in bills), default=Decimal(0))


def _prices(table: Mapping[str, str]) -> Prices:
    return Prices(
        region=table["region"],
        date=table["date"],
        note=table["note"],
        write_million=Decimal(table["write_million"]),
        read_million=Decimal(table["read_million"]),
        storage_gb_month=Decimal(table["storage_gb_month"]),
        recovery_gb_month=Decimal(table["recovery_gb_month"]),
    )


def _request_line(usage: Usage, prices: Prices) -> Line:
    writes, reads = usage.calls * usage.write_units, usage.calls * usage.read_units
    dollars = (writes * prices.write_million + reads * prices.read_million) / MILLION
    return Line(
        usage.what,
        usage.pattern,
        Decimal(usage.calls),
        usage.write_units,
        usage.read_units,
        dollars,
    )


def _storage_line(what: str, gigabytes: Decimal, price: Decimal) -> Line:
    return Line(what, "", gigabytes, Decimal(0), Decimal(0), gigabytes * price)


def _turn(workload: Workload) -> int:
    return workload.turn_bytes + 2 * _MESSAGE_BYTES


def _listed(workload: Workload) -> int:
    """The conversations of a page: as many as the package lists."""
    return min(20, workload.conversations)


def _writes(size: int) -> int:
    return ceil(size / 1_024)


def _reads(size: int) -> Decimal:
    """Eventually consistent: half a unit for every 4 KB begun."""
    return Decimal(ceil(size / 4_096)) / 2


def _mean(units: Sequence[int]) -> tuple[Decimal, Decimal]:
    """Write units of one of these on average; no read units."""
    return Decimal(sum(units)) / len(units), Decimal(0)
