"""Items weigh what DynamoDB's published rules say."""

from typing import Any

import pytest

from dynamo_chat.core.size import attribute_size, item_size, read_units, write_units


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "abc"}, 3),
        ({"S": "é€😀"}, 2 + 3 + 4),
        ({"B": b"abc"}, 3),
        ({"B": "YWJj"}, 3),
        ({"B": "YWI="}, 2),
        ({"B": "YQ=="}, 1),
        ({"B": ""}, 0),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bc"]}, 3),
        ({"NS": ["1", "100"]}, 4),
        ({"BS": [b"a", "YmM="]}, 3),
        ({"L": []}, 3),
        ({"M": {}}, 3),
        ({"L": [{"S": "a"}, {"L": []}]}, 3 + (1 + 1) + (1 + 3)),
        ({"M": {"ab": {"S": "c"}, "d": {"NULL": True}}}, 3 + (1 + 2 + 1) + (1 + 1 + 1)),
    ],
)
def test_values(value: dict[str, Any], size: int) -> None:
    """Each type by its rule; binary as bytes or as base64."""
    assert attribute_size(value) == size


@pytest.mark.parametrize(
    ("number", "size"),
    [
        ("0", 1),
        ("-0.00", 1),
        ("7", 2),
        ("12", 2),
        ("123", 3),
        ("1200", 2),
        ("120", 3),
        ("0012", 2),
        ("0.12", 2),
        ("0.012", 3),
        ("1.2", 3),
        ("-5", 3),
        ("1e5", 2),
        ("1E-130", 2),
        ("1767225600", 5),
        ("9" * 38, 20),
        ("-" + "9" * 38, 21),
    ],
)
def test_numbers(number: str, size: int) -> None:
    """A byte for each pair of digits from the decimal point, one more, and one for a minus."""
    assert attribute_size({"N": number}) == size


def test_names_count() -> None:
    """An item is its values and the UTF-8 bytes of its names."""
    assert item_size({"PK": {"S": "P#"}, "größe": {"N": "1"}}) == 2 + 2 + 7 + 2
    assert item_size({}) == 0


@pytest.mark.parametrize("value", [{}, {"S": "a", "N": "1"}, {"X": 1}, {"N": "NaN"}, {"N": "x"}])
def test_what_is_no_value_has_no_size(value: dict[str, Any]) -> None:
    """It is refused, not guessed."""
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        attribute_size(value)


def test_units() -> None:
    """4 KB a read unit, half of it when eventually consistent, 1 KB a write unit; 1 at least."""
    assert [read_units(size, consistent=True) for size in (0, 1, 4_096, 4_097)] == [1, 1, 1, 2]
    assert [read_units(size, consistent=False) for size in (0, 4_096, 4_097)] == [0.5, 0.5, 1]
    assert [write_units(size) for size in (0, 1, 1_024, 1_025, 409_600)] == [1, 1, 1, 2, 400]
