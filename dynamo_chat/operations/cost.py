"""Estimate a monthly bill: measured capacity, times frequency, times price (T6).

Only DynamoDB's own units are rounded up; amounts are `Decimal` dollars. Free tiers are not
subtracted: they belong to the account, not to the table. Not included: backups on demand, exports,
streams, replicas, KMS, data transfer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from decimal import Decimal
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import Any, Final, Literal

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.core.layout import PLACES

PRICES: Final = "prices.json"
CURRENT: Final = "us-east-1"
MILLION: Final = Decimal(1_000_000)
GB: Final = Decimal(2**30)
HOURS: Final = 730
"""Hours of a month, as AWS counts it."""

Unit = Literal["calls", "GB", "WCU", "RCU"]

_UNREADABLE: Final = (
    *(ArithmeticError, AttributeError, KeyError),
    *(RecursionError, TypeError, ValueError),
)
"""Errors of reading a file that contains no prices."""
_PLACES: Final = tuple(place.index or "table" for place in PLACES)
_NOTHING: Final = (Decimal(0), Decimal(0))

_PLAYED: Final = {"turns": 10_000, "thread_emails": 1_000, "sign_ins": 10_000}
"""The maximum of those values that are run on the engine, not multiplied."""

# Bytes that other designs store besides text: attribute names, ids, times. Estimated low.
_HEAD_BYTES: Final = 250
_MESSAGE_BYTES: Final = 80
OWN: Final = "dynamo_chat"
"""The name of this package's own design in a bill."""
STORED_ITEM_BYTES: Final = 100
"""Bytes that DynamoDB adds to each stored item, in the table and in each index."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in dollars of one region, valid since one date."""

    region: str
    date: str
    note: str
    source: str
    write_million: Decimal
    read_million: Decimal
    write_hour: Decimal
    """For one provisioned write unit a second."""
    read_hour: Decimal
    storage_gb_month: Decimal
    recovery_gb_month: Decimal


@dataclass(frozen=True, slots=True)
class Workload:
    """The workload of a month."""

    conversations: int = 1_000
    turns: int = 2
    """Per conversation; a turn is a question and its answer."""
    question_bytes: int = 100
    answer_bytes: int = 400
    opens: int = 4
    """How often each conversation is opened: its head and latest messages are read."""
    lists: int = 1
    """How often a user's list of conversations is read, per conversation."""
    emails: int = 0
    """First e-mails and follow-ups together."""
    email_bytes: int = 4_000
    thread_emails: int = 4
    """E-mails of a thread; each one is added, then the thread is read."""
    calls: int = 0
    users: int = 0
    """Users with an account: their profile is stored, and they sign in."""
    sign_ins: int = 20
    """How often each user signs in: a login is opened, and the profile read."""
    checks: int = 20
    """How often each login is looked up and marked as used."""
    retention_months: int = 1
    """How many months of conversations, e-mails and calls are kept."""

    def __post_init__(self) -> None:
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise InvalidArgument(name, "must be an integer")
            least = 1 if name in {"turns", "question_bytes", "answer_bytes", "thread_emails"} else 0
            if value < least:
                raise InvalidArgument(name, f"must be at least {least}")
            if value > _PLAYED.get(name, value):
                raise InvalidArgument(name, f"must be at most {_PLAYED[name]:,}: each one is run")

    @property
    def threads(self) -> int:
        """Threads of e-mails that are opened; the last one may have fewer follow-ups."""
        return ceil(self.emails / self.thread_emails)

    @property
    def turn_bytes(self) -> int:
        """The size of a question and its answer."""
        return self.question_bytes + self.answer_bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """One operation: how often it is done in a month, and the capacity that it uses each time."""

    what: str
    calls: int
    write_units: Decimal
    read_units: Decimal
    pattern: str = ""
    places: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    """Write and read units of ``table`` and of each index, which are provisioned separately."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill."""

    what: str
    pattern: str
    amount: Decimal
    """Of `unit`."""
    write_units: Decimal
    read_units: Decimal
    dollars: Decimal
    unit: Unit = "calls"


@dataclass(frozen=True, slots=True)
class Provision:
    """Rules for provisioning capacity for a load."""

    peak: Decimal = Decimal(4)
    """The peak load, as a multiple of the month's mean."""
    utilization: int = 70
    """The target utilization at peak, in percent."""

    def __post_init__(self) -> None:
        is_number = isinstance(self.peak, Decimal) and self.peak.is_finite()
        if not is_number or self.peak < 1:
            raise InvalidArgument("peak", "must be a Decimal, at least 1")
        if type(self.utilization) is not int or not 20 <= self.utilization <= 90:
            raise InvalidArgument("utilization", "must be from 20 to 90 percent")

    def units(self, in_month: Decimal) -> int:
        """The units a second to provision for this many in a month; at least 1."""
        mean = in_month / (HOURS * 3_600)
        return max(1, ceil(mean * self.peak * 100 / self.utilization))


@dataclass(frozen=True, slots=True)
class Bill:
    """The monthly bill of one design."""

    design: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        """Dollars."""
        return sum((line.dollars for line in self.lines), Decimal(0))

    def as_dict(self) -> dict[str, Any]:
        """The bill as JSON values; amounts are text, to keep their digits."""
        lines = [
            {
                "what": line.what,
                "pattern": line.pattern,
                "amount": plain(line.amount),
                "unit": line.unit,
                "write_units": plain(line.write_units),
                "read_units": plain(line.read_units),
                "dollars": plain(line.dollars),
            }
            for line in self.lines
        ]
        return {"design": self.design, "lines": lines, "total": plain(self.total)}


def load_prices(path: Path | None = None) -> dict[str, Prices]:
    """Read the price tables of a file, by name; without a file, those of the package.

    InvalidArgument if the file contains anything else. OSError.
    """
    source = files("dynamo_chat.operations").joinpath(PRICES) if path is None else path
    try:
        read: Mapping[str, Mapping[str, str]] = json.loads(source.read_text(encoding="utf-8"))
        return {name: _prices(table) for name, table in read.items()}
    except _UNREADABLE as error:
        wanted = ", ".join(field.name for field in fields(Prices))
        raise InvalidArgument("prices", f"must be JSON, tables with {wanted}") from error


def bill(design: str, usages: Iterable[Usage], stored_bytes: int, prices: Prices) -> Bill:
    """The bill on demand: a line for each usage, for storage, and for recovery if it costs."""
    lines = [_request_line(usage, prices) for usage in usages]
    return Bill(design, (*lines, *_storage_lines(stored_bytes, prices)))


def provisioned_bill(
    design: str, usages: Iterable[Usage], stored_bytes: int, prices: Prices, provision: Provision
) -> Bill:
    """The bill with provisioned capacity: a line for each capacity of table and indexes.

    Capacity is provisioned for the peak all month. Auto scaling may lower the bill, at best to
    that of `Provision(peak=1)`.
    """
    needed: dict[str, tuple[Decimal, Decimal]] = dict.fromkeys(_PLACES, _NOTHING)
    for usage in usages:
        for place, (writes, reads) in usage.places.items():
            before = needed[place]
            needed[place] = before[0] + usage.calls * writes, before[1] + usage.calls * reads
    lines = []
    for place, (writes, reads) in needed.items():
        for kind, in_month, price in (
            ("write", writes, prices.write_hour),
            ("read", reads, prices.read_hour),
        ):
            units = provision.units(in_month)
            lines.append(
                Line(
                    f"{kind} capacity, {place}",
                    "",
                    Decimal(units),
                    Decimal(0),
                    Decimal(0),
                    units * HOURS * price,
                    "WCU" if kind == "write" else "RCU",
                )
            )
    return Bill(design, (*lines, *_storage_lines(stored_bytes, prices)))


def embedded_list(workload: Workload, prices: Prices) -> Bill:
    """Another design: one item per conversation with all its messages, and one index.

    Each turn writes all earlier messages again, in the table and in the index. Listing
    conversations reads all their messages.
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
    stored = number * workload.retention_months * 2 * (full + STORED_ITEM_BYTES)
    return bill("all messages in one item", usages, stored, prices)


def table_per_entity(workload: Workload, prices: Prices) -> Bill:
    """Another design: a table of conversations, and one with an item per exchange.

    Each turn puts an item and updates the conversation, in its table and in an index.
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
    rows = workload.turns * (row + STORED_ITEM_BYTES)
    heads = 2 * (_HEAD_BYTES + STORED_ITEM_BYTES)
    stored = number * workload.retention_months * (rows + heads)
    return bill("a table for each entity", usages, stored, prices)


def plain(amount: Decimal) -> str:
    """An amount as text, without trailing zeros or exponent."""
    text = f"{amount:.9f}"
    return text.rstrip("0").rstrip(".")


def most(bills: Sequence[Bill]) -> Decimal:
    """The largest total."""
    return max((each.total for each in bills), default=Decimal(0))


def _prices(table: Mapping[str, str]) -> Prices:
    prices = Prices(
        region=table["region"],
        date=table["date"],
        note=table["note"],
        source=table["source"],
        write_million=Decimal(table["write_million"]),
        read_million=Decimal(table["read_million"]),
        write_hour=Decimal(table["write_hour"]),
        read_hour=Decimal(table["read_hour"]),
        storage_gb_month=Decimal(table["storage_gb_month"]),
        recovery_gb_month=Decimal(table["recovery_gb_month"]),
    )
    amounts = [value for value in astuple(prices) if isinstance(value, Decimal)]
    if not all(amount.is_finite() and amount >= 0 for amount in amounts):
        raise ValueError("a price is negative, or no number")
    return prices


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


def _storage_lines(stored_bytes: int, prices: Prices) -> Iterator[Line]:
    gigabytes = stored_bytes / GB
    for what, price in (
        ("storage", prices.storage_gb_month),
        ("point-in-time recovery", prices.recovery_gb_month),
    ):
        if price:
            yield Line(what, "", gigabytes, Decimal(0), Decimal(0), gigabytes * price, "GB")


def _turn(workload: Workload) -> int:
    return workload.turn_bytes + 2 * _MESSAGE_BYTES


def _listed(workload: Workload) -> int:
    """How many conversations are on a page: as many as the package lists."""
    return min(20, workload.conversations)


def _writes(size: int) -> int:
    return ceil(size / 1_024)


def _reads(size: int) -> Decimal:
    """Read units of an eventually consistent read: half a unit per 4 KB, rounded up."""
    return Decimal(ceil(size / 4_096)) / 2


def _mean(units: Sequence[int]) -> tuple[Decimal, Decimal]:
    """The average write units of these; no read units."""
    return Decimal(sum(units)) / len(units), Decimal(0)
