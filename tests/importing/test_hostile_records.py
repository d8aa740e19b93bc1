"""Whatever an attribute of an old record holds, the record is read or refused: nothing raises."""

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamo_chat.core.entity import validated
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.importing.migration.numerals import MAX_EXPONENT, read_numeral
from dynamo_chat.importing.migration.shaping import Shaper
from dynamo_chat.importing.migration.sources import Bad, LinesSource, Source, plain_item
from dynamo_chat.importing.migration.times import TimeRules
from tests.importing.test_migration import DOCUMENTS, FEW, migration
from tests.importing.test_migration_parts import Row
from tests.scene import Scene
from tooling.old_tables import Record, old_tables

HOSTILE: tuple[str, ...] = (
    *("null", "true", "-1", "0", "1e15", "-1e17", "1e308", "1e400", "1" * 25, "-" + "9" * 300),
    *('"NaN"', '"sNaN"', '"Infinity"', '"-inf"', '"1e999"', '"1e99999999999999999999"', '"9e-999"'),
    *('"1_000"', '"\\u0663\\u0663"', '""', '" "', '"\\ud800"', '"\\u0000"', '"0001-01-01"'),
    *('"9999-12-31T23:59:59.999999-14:00"', '"20251399"', "[]", "{}", "[[]]", '{"": {}}', "[null]"),
    *('[{"at": 1e300}]', "[" * 90 + "]" * 90, '"' + "x" * 5_000 + '"', '{"a": {"b": [1e400]}}'),
)
"""JSON texts of values that nobody expects."""

NUMERALS = st.one_of(
    st.decimals(),
    st.floats(),
    st.integers(),
    st.text(),
    st.from_regex(r"[-+]?[0-9]{1,30}(\.[0-9]{0,9})?([eE][-+]?[0-9]{1,22})?", fullmatch=True),
    st.sampled_from([Decimal("sNaN"), "sNaN", "inf", "9" * 5_000, 10**5_000, Decimal("1e999999")]),
)


@given(NUMERALS)
def test_a_number_is_read_exactly_or_is_a_value_error(value: Any) -> None:
    try:
        number = read_numeral(value)
    except ValueError:
        return
    assert number.is_finite()
    assert not number or abs(number.adjusted()) < MAX_EXPONENT
    assert number == Decimal(str(value))
    int(number)  # never more digits than its exponent allows


@given(NUMERALS)
def test_no_number_of_a_record_raises(value: Any) -> None:
    """It is converted, or left for the model to refuse."""
    shaper = Shaper("rows", TimeRules())
    inside = {"x": {"at": "2024-01-01T00:00:00Z", "weight": value}}
    fields = {"id": "x", "count": value, "cost": value, "is_on": value, "named": inside}
    try:
        row = validated(Row, "rows", **shaper.shaped(Row, fields))
    except InvalidArgument:
        return
    assert (row.count, row.cost) == (int(Decimal(str(value))), Decimal(str(value)))


@pytest.mark.parametrize(
    "said",
    ['{"a":1e9999999999999999999}', '{"a":' + "1" * 5_000 + "}", '{"a":NaN}', '{"a":-Infinity}']
    + [f'{{"Item":{{"a":{{"N":{n}}}}}}}' for n in ('"abc"', '"sNaN"', '"1e999999"', "5", '"1_0"')]
    + ['{"Item":{"a":{"NS":["1","x"]}}}', '{"Item":{"a":{}}}', '{"Item":{"a":7}}', "[" * 99_999],
)
def test_a_line_with_such_a_number_is_a_bad_line(said: str, tmp_path: Path) -> None:
    """The lines after it are read."""
    path = tmp_path / "lines.jsonl"
    path.write_text(said + '\n{"a": 1}\n', "utf-8")
    (batch,) = LinesSource(path).read("", None)
    bad, good = batch.records
    assert isinstance(bad, Bad)
    assert bad.text == said
    assert good == {"a": 1}


def test_numbers_of_items_keep_their_value() -> None:
    said = {"a": "1E+2", "b": "0.1", "c": "-7", "d": "0.12345678901234567890", "e": "1E-130"}
    assert plain_item({name: {"N": text} for name, text in said.items()}) == {
        "a": 100.0,
        "b": 0.1,
        "c": -7,
        "d": "0.12345678901234567890",
        "e": 1e-130,
    }


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a record: its attributes, and what is inside of them, once for each list."""
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list) and value:
        inside = [(0, value[0])]
    for name, each in inside:
        yield (*path, name)
        yield from _places(each, (*path, name))


def _with(record: Record, place: tuple[Any, ...], text: str) -> str:
    """The record as a line, with another value at a place."""
    made = copy.deepcopy(record)
    *path, last = place
    there: Any = made
    for name in path:
        there = there[name]
    there[last] = "the hostile value"
    return json.dumps(made).replace('"the hostile value"', text) + "\n"


@pytest.mark.once
@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_attribute_with_every_hostile_value(
    scene: Scene, document: str, tmp_path: Path
) -> None:
    """All are loaded or refused; what is refused is fed in again as it is, and refused again."""
    old = old_tables(document, FEW[document], scene.clock())
    sources: dict[str, Source] = {}
    for name, records in old.tables.items():
        fullest = max(records, key=lambda record: len(json.dumps(record)))
        wrong = [_with(fullest, place, text) for place in _places(fullest) for text in HOSTILE]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(wrong), "utf-8")
        sources[name] = LinesSource(path)
    with migration(scene, document, sources, tmp_path / "work") as moved:
        report = moved.run()
        assert sum(each.refused + each.unreadable for each in report.tables)
        refused = tmp_path / "refused.jsonl"
        with refused.open("w", encoding="utf-8") as file:
            moved.write_refused(file)
        kept = [e for e in refused.read_text("utf-8").splitlines(True) if '"record": null' not in e]
        refused.write_text("".join(kept), "utf-8")
        moved.mend(refused)
        assert moved.run().tables == report.tables
    assert not report.differences
