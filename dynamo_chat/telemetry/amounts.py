"""Exact amounts: money, measures, sums and means, as decimals that DynamoDB stores unrounded.

DynamoDB stores 38 significant digits. An amount has at most 15 digits before the decimal point and
12 after it, so that a sum of up to 10**11 amounts is exact.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from dynamo_chat.core.entity import exact

MAX_DIGITS: Final = 38
_SMALLEST: Final = -128

_EXACT = Context(prec=200, traps=[Inexact])


def _from_json(value: Any) -> Any:
    """A decimal from its text: JSON has no decimals."""
    if type(value) is not str:
        return value
    try:
        return Decimal(value)
    except InvalidOperation:
        raise ValueError("must be a decimal") from None


def _without_sign_of_zero(value: Decimal) -> Decimal:
    return value or abs(value)  # DynamoDB has no negative zero


def _storable(value: Decimal) -> Decimal:
    _, digits, exponent = value.as_tuple()
    # Counted in full, as engines return it: a large power of ten has all its zeros.
    zeros = exponent if isinstance(exponent, int) and value else 0
    if len(digits) + max(0, zeros) > MAX_DIGITS:
        raise ValueError(f"must have at most {MAX_DIGITS} digits")
    if value and value.adjusted() < _SMALLEST:
        raise ValueError("must be 0 or at least 1E-128")
    return value


Amount = Annotated[
    Decimal,
    BeforeValidator(exact),
    Field(ge=0, max_digits=27, decimal_places=12),
    AfterValidator(_without_sign_of_zero),
]
"""A measured or billed amount from 0: a Decimal or an int with at most 12 decimal places."""

Measure = Annotated[int, Field(ge=0, le=10**15)]
"""A whole number of tokens or milliseconds; a sum of 10**11 of them still fits into a `Count`."""

Total = Annotated[int, Field(ge=0, le=2 * 10**15)]
"""The sum of two measures."""

Sum = Annotated[
    Decimal,
    BeforeValidator(_from_json),
    Field(ge=0),
    AfterValidator(_storable),
    AfterValidator(_without_sign_of_zero),
]
"""A sum or mean of amounts."""


def plus(one: Decimal, other: Decimal) -> Decimal:
    """The exact sum of two amounts."""
    return _EXACT.add(one, other)


def mean(total: Decimal | int, number: int) -> Decimal | None:
    """`total` / `number`, rounded half-even to six decimal places; None if `number` is 0."""
    if not number:
        return None
    millionths = round(Fraction(total) * 1_000_000 / number)  # of two halves, the even one
    return Decimal(millionths).scaleb(-6, _EXACT)
