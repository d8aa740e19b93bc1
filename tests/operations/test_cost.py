"""The bill agrees with the one made by hand in the documentation, line by line."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from dynamo_chat import InvalidArgument
from dynamo_chat.cli.cost import bills
from dynamo_chat.operations.cost import (
    Bill,
    Usage,
    Workload,
    bill,
    documents_figure,
    embedded_list,
    load_prices,
    plain,
    table_per_entity,
)

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "provisioning.md"
PRICES = load_prices()
_ROW = re.compile(r"^\| (.+?) \| (.*?) ?\| ([\d.]+) \|$", re.MULTILINE)


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


def assert_agrees(made: Bill, rows: list[tuple[str, str, str]]) -> None:
    *lines, (together, _, total) = rows
    assert together == "together"
    assert [line.what for line in made.lines] == [what for what, _, _ in lines]
    for line, (what, calculation, dollars) in zip(made.lines, lines, strict=True):
        assert abs(line.dollars - Decimal(dollars)) < Decimal("1e-9"), what
        assert abs(calculated(calculation) - Decimal(dollars)) < Decimal("1e-9"), what
    assert abs(made.total - Decimal(total)) < Decimal("1e-8")


def test_the_example_costs_what_it_costs_by_hand() -> None:
    """Measured on the engine, priced from the file; the page calculates from nothing but itself."""
    own, *_ = bills(Workload(), PRICES["us-east-1"])
    assert_agrees(own, by_hand(0))


def test_the_document_s_figures_are_as_it_says() -> None:
    said = documents_figure(Workload(), PRICES["cgchat"])
    assert_agrees(said, by_hand(1))
    assert f"{said.total:.2f}" == "0.03"
    assert [plain(line.dollars) for line in said.lines] == ["0.0025", "0.00125", "0.025"]


def test_what_the_page_says_of_the_comparison_is_so() -> None:
    own, listed, apart = bills(Workload(), PRICES["us-east-1"])
    assert [round(each.total * 100, 1) for each in (own, listed, apart)] == [
        Decimal("1.8"),
        Decimal("0.7"),
        Decimal("0.7"),
    ]
    own, listed, apart = bills(Workload(turns=40), PRICES["us-east-1"])
    assert 2.5 < listed.total / own.total < 3.5
    assert apart.total < own.total
    hours = 730 * (Decimal("0.00013") + Decimal("0.00065"))
    assert f"{hours:.2f}" == "0.57"


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


def test_e_mails_calls_and_retention_are_counted() -> None:
    base, *_ = bills(Workload(conversations=10), PRICES["us-east-1"])
    more, *_ = bills(
        Workload(conversations=10, emails=5, calls=3, retention_months=12), PRICES["us-east-1"]
    )
    patterns = {line.pattern for line in more.lines} - {line.pattern for line in base.lines}
    assert patterns == {"M1", "M2", "P6"}
    stored = {line.what: line.amount for line in more.lines}["storage"]
    assert stored > 12 * {line.what: line.amount for line in base.lines}["storage"]


def test_impossible_workloads_and_prices_are_refused(tmp_path: Path) -> None:
    for wrong in ({"turns": 0}, {"conversations": -1}):
        with pytest.raises(InvalidArgument):
            Workload(**wrong)
    file = tmp_path / "prices.json"
    for text in ("{", "[]", '{"x": {}}', '{"x": 1}'):
        file.write_text(text)
        with pytest.raises(InvalidArgument, match="prices"):
            load_prices(file)
    file.write_text(json.dumps({"mine": dict.fromkeys(PRICES["cgchat"].__slots__, "1")}))
    assert load_prices(file)["mine"].write_million == 1
