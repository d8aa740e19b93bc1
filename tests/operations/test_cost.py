"""The bill agrees with the one made by hand in the documentation, line by line."""

import json
import re
import zlib
from dataclasses import replace
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat import ChatStore, InvalidArgument
from dynamo_chat.operations.cost import (
    Bill,
    Provision,
    Usage,
    Workload,
    bill,
    embedded_list,
    load_prices,
    provisioned_bill,
    table_per_entity,
)
from dynamo_chat.operations.prose import prose
from dynamo_chat.operations.rehearsal import bills
from dynamo_chat.testing import EmbeddedEngine

pytestmark = pytest.mark.once
PAGE = Path(__file__).parents[2] / "docs" / "guide" / "provisioning.md"
PRICES = load_prices()
_ROW = re.compile(r"^\| (.+?) \| (.*?) ?\| ([\d.]+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def example() -> list[Bill]:
    """The bills of the document's example, played inside of another engine that stays."""
    with EmbeddedEngine() as engine:
        client = engine.client()
        before = client.list_tables()["TableNames"]
        bills(Workload(), PRICES["us-east-1"])
        made = bills(Workload(), PRICES["us-east-1"])
        assert client.list_tables()["TableNames"] == before
    return made


def by_hand(which: int) -> list[tuple[str, str, str]]:
    """The rows of a table of the page: what, the calculation, dollars."""
    text = PAGE.read_text("utf-8").split("### By hand")[1]
    tables = [part for part in text.split("\n\n") if part.startswith("| line |")]
    return _ROW.findall(tables[which])


def calculated(text: str) -> Decimal:
    """``2,000 × 11 × 0.625 / 1,000,000``, from left to right."""
    words = text.replace(",", "").replace("2^30", str(2**30)).split()
    result = Decimal(words[0])
    for operator, number in zip(words[1::2], words[2::2], strict=True):
        result = result * Decimal(number) if operator == "×" else result / Decimal(number)
    return result


def stored_in(made: Bill) -> Decimal:
    (gigabytes,) = (line.amount for line in made.lines if line.what == "storage")
    return gigabytes


def assert_agrees(made: Bill, rows: list[tuple[str, str, str]]) -> None:
    *lines, (together, _, total) = rows
    assert together == "together"
    assert [line.what for line in made.lines] == [what for what, _, _ in lines]
    for line, (what, calculation, dollars) in zip(made.lines, lines, strict=True):
        assert abs(line.dollars - Decimal(dollars)) < Decimal("1e-9"), what
        assert abs(calculated(calculation) - Decimal(dollars)) < Decimal("1e-9"), what
    assert abs(made.total - Decimal(total)) < Decimal("1e-8")


def test_the_example_costs_what_it_costs_by_hand(example: list[Bill]) -> None:
    """Measured on the engine, priced from the file; the page calculates from nothing but itself.

    Also the second time in one process, and inside of another engine, whose tables it shares.
    """
    own, provisioned, *_ = example
    assert_agrees(own, by_hand(0))
    assert_agrees(provisioned, by_hand(1))


def test_each_region_has_its_prices_with_their_date_and_page() -> None:
    assert set(PRICES) >= {"us-east-1", "us-west-2", "eu-west-1", "eu-central-1"}
    for name, prices in PRICES.items():
        assert prices.region == name
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", prices.date)
        assert prices.source.startswith("https://aws.amazon.com/dynamodb/pricing/")
        assert prices.write_million / prices.read_million >= Decimal("4.9")
    dearer = bills(Workload(conversations=1), PRICES["eu-central-1"])
    cheaper = bills(Workload(conversations=1), PRICES["us-east-1"])
    assert all(much.total > less.total for much, less in zip(dearer, cheaper, strict=True))


def test_no_bill_names_what_only_its_authors_know(example: list[Bill]) -> None:
    assert [each.design for each in example] == [
        "dynamo_chat",
        "dynamo_chat, provisioned",
        "all messages in one item",
        "a table for each entity",
    ]


def test_an_e_mail_opens_its_thread_or_follows() -> None:
    """Of 10 e-mails in threads of 4, three open one; storage is that of 10 e-mails."""
    workload = Workload(conversations=0, emails=10, thread_emails=4)
    made, *_ = bills(workload, PRICES["us-east-1"])
    lines = {line.what: line for line in made.lines}
    assert [int(lines[what].amount) for what in ("open a thread", "add a follow-up")] == [3, 7]
    opened, followed = (lines[what].write_units for what in ("open a thread", "add a follow-up"))
    assert opened != followed
    alone, *_ = bills(replace(workload, thread_emails=1), PRICES["us-east-1"])
    assert [line.what for line in alone.lines if line.pattern] == ["open a thread", "read a thread"]
    assert {line.what: line for line in alone.lines}["open a thread"].write_units == opened
    reads = [{line.what: line for line in each.lines}["read a thread"] for each in (made, alone)]
    assert reads[0].read_units > reads[1].read_units
    assert stored_in(alone) > stored_in(made) > stored_in(alone) / 2


def test_an_application_s_own_methods_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "applications" / "desk"))
    desk_store: Any = import_module("desk.store").DeskStore
    workload, prices = Workload(conversations=0), PRICES["us-east-1"]
    counted = {"attachments.add": 100, "conversations.get": 10}
    made, *_ = bills(workload, prices, methods=counted, store=desk_store)
    lines = {line.what: line for line in made.lines}
    assert (lines["attachments.add"].pattern, int(lines["attachments.add"].amount)) == ("FI1", 100)
    assert lines["attachments.add"].write_units > 0
    assert lines["conversations.get"].read_units > 0
    assert stored_in(made) > 0
    for unknown, store in (("attachments.add", ChatStore), ("attachments.fly", desk_store)):
        with pytest.raises(InvalidArgument, match="no such method"):
            bills(workload, prices, methods={unknown: 1}, store=store)


def test_what_the_page_says_of_the_comparison_is_so(example: list[Bill]) -> None:
    own, _, listed, apart = example
    assert [round(each.total * 100, 1) for each in (own, listed, apart)] == [
        Decimal("1.8"),
        Decimal("0.7"),
        Decimal("0.7"),
    ]
    own, _, listed, apart = bills(Workload(turns=40), PRICES["us-east-1"])
    assert 2.5 < listed.total / own.total < 3.5
    assert apart.total < own.total


def test_the_embedded_list_grows_with_the_square() -> None:
    """Each append writes all that was said before, in the table and in the index."""
    workload = Workload(conversations=1, turns=3, question_bytes=1_000, answer_bytes=1_000)
    appends = embedded_list(workload, PRICES["us-east-1"]).lines[1]
    # 250 + n × (2,000 + 160) bytes: 3, 5 and 7 KB begun, twice each.
    assert appends.write_units * appends.amount == 2 * (3 + 5 + 7)
    apart = table_per_entity(workload, PRICES["us-east-1"]).lines[1]
    assert apart.write_units == 3 + 2


def test_usage_is_priced_by_the_million() -> None:
    usage = Usage("x", 1_000_000, Decimal(2), Decimal("0.5"), "C1")
    (line, storage, recovery) = bill("d", [usage], 2**30, PRICES["us-east-1"]).lines
    assert line.dollars == 2 * Decimal("0.625") + Decimal("0.5") * Decimal("0.125")
    assert (storage.dollars, recovery.dollars) == (Decimal("0.25"), Decimal("0.20"))


def test_e_mails_calls_users_and_retention_are_counted() -> None:
    months = 12
    workload = Workload(
        conversations=0, emails=5, thread_emails=5, calls=3, users=2, sign_ins=4, checks=3
    )
    month, *_ = bills(workload, PRICES["us-east-1"])
    year, *_ = bills(replace(workload, retention_months=months), PRICES["us-east-1"])
    counted = {line.what: (line.pattern, int(line.amount)) for line in month.lines if line.pattern}
    assert counted == {
        "open a thread": ("M1", 1),
        "add a follow-up": ("M1", 4),
        "read a thread": ("M2", 5),
        "start a call": ("P6", 3),
        "end a call": ("P6", 3),
        "sign in": ("U6", 2 * 4),
        "read a profile": ("U2", 2 * 4),
        "check a login": ("U6", 2 * 4 * 3),
        "note a login's use": ("U6", 2 * 4 * 3),
    }
    without, *_ = bills(replace(workload, users=0), PRICES["us-east-1"])
    stored, later, of_work = map(stored_in, (month, year, without))
    # What is worked with is kept for all the months; a user is there once.
    # Each bill is measured anew, and an item of other ids is compressed to some bytes more or less.
    assert abs(later - (months * of_work + (stored - of_work))) < later / 100
    assert stored > of_work


def test_capacity_is_provisioned_for_the_busiest_time() -> None:
    """4 writes a second on the mean, 3 times as many at the peak, 70 % in use: 17.1 and up."""
    usage = Usage(
        *("x", 730 * 3_600, Decimal(6), Decimal(1), "C1"),
        places={"table": (Decimal(4), Decimal(1)), "GSI1": (Decimal(2), Decimal(0))},
    )
    prices = PRICES["us-east-1"]
    made = provisioned_bill("d", [usage], 0, prices, Provision(Decimal(3)))
    units = {
        line.what: (int(line.amount), str(line.unit)) for line in made.lines if line.unit != "GB"
    }
    assert units == {
        "write capacity, table": (18, "WCU"),
        "read capacity, table": (5, "RCU"),
        "write capacity, GSI1": (9, "WCU"),
        "read capacity, GSI1": (1, "RCU"),
        "write capacity, GSI2": (1, "WCU"),
        "read capacity, GSI2": (1, "RCU"),
    }
    hourly = 28 * Decimal("0.00065") + 7 * Decimal("0.00013")
    assert made.total == 730 * hourly
    for wrong in ({"peak": Decimal("0.5")}, {"peak": Decimal("nan")}, {"utilization": 95}):
        with pytest.raises(InvalidArgument):
            Provision(**wrong)


def test_texts_to_measure_with_are_compressed_as_english_is() -> None:
    """A letter again and again is stored as nothing, and its bill is too low by as much."""
    for size, least, most in ((1_100, 0.45, 0.6), (4_000, 0.4, 0.55), (100_000, 0.33, 0.43)):
        made = prose(size).encode()
        assert len(made) == size
        assert least < len(zlib.compress(made, 6)) / size < most, size
    assert [len(prose(size)) for size in range(4)] == [0, 1, 2, 3]


def test_long_texts_cost_what_is_stored_of_them() -> None:
    usual, *_ = bills(Workload(question_bytes=1_000, answer_bytes=1_000), PRICES["us-east-1"])
    workload = Workload(question_bytes=40_000, answer_bytes=40_000, emails=1, email_bytes=40_000)
    long, *_ = bills(workload, PRICES["us-east-1"])
    units = {line.what: line.write_units for line in long.lines}
    # Twice 40,000 bytes, to some 40 % each, written in a transaction: that counts twice.
    assert 50 < units["append a turn"] < 90
    assert units["open a thread"] > 25
    assert stored_in(long) > 5 * stored_in(usual)


def test_impossible_workloads_and_prices_are_refused(tmp_path: Path) -> None:
    for wrong in ({"turns": 0}, {"conversations": -1}, {"users": "1"}, {"calls": 1.5}):
        with pytest.raises(InvalidArgument):
            Workload(**wrong)
    for much in ({"turns": 1_000_000}, {"sign_ins": 10_001}):
        with pytest.raises(InvalidArgument, match="each one is run"):
            Workload(**much)
    provisions: list[dict[str, Any]] = [
        {"peak": 2.5},
        {"peak": "x"},
        {"peak": Decimal("NaN")},
        {"utilization": None},
    ]
    for provision in provisions:
        with pytest.raises(InvalidArgument):
            Provision(**provision)
    file = tmp_path / "prices.json"
    all_of_it: dict[str, Any] = dict.fromkeys(PRICES["us-east-1"].__slots__, "1")
    less, more = ({**all_of_it, "read_hour": price} for price in ("-1", "Infinity"))
    wrong_ones: tuple[Any, ...] = (
        {},
        1,
        all_of_it | {"source": None, "read_hour": None},
        less,
        more,
    )
    for text in (
        "{",
        "[]",
        "[" * 100_000,
        "9" * 5_000,
        *(json.dumps({"x": wrong}) for wrong in wrong_ones),
    ):
        file.write_text(text)
        with pytest.raises(InvalidArgument, match="prices"):
            load_prices(file)
    file.write_text(json.dumps({"mine": all_of_it}))
    assert load_prices(file)["mine"].write_million == 1
