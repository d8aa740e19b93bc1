"""Reads numbers that others wrote: nothing in them raises anything but ValueError, or takes long.

Python's own constructors do more than a record may ask for: ``Decimal`` accepts NaN, whose
comparison raises, and exponents for which ``int`` would write out a billion digits.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Final

MAX_DIGITS: Final = 4_000
"""The most characters of a number: below Python's own limit for integers."""
MAX_EXPONENT: Final = 400
"""Numbers are below 10**400, and above its inverse: any float, and any number of DynamoDB."""

_NUMERAL: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)


def read_numeral(value: str | float | Decimal) -> Decimal:
    """A number, or one in decimal notation, exactly. ValueError if it is none, or too large."""
    if isinstance(value, str):
        if len(value) > MAX_DIGITS:
            raise ValueError(f"must have at most {MAX_DIGITS:,} digits")
        if _NUMERAL.fullmatch(value) is None:
            raise ValueError("is not a number")
    elif isinstance(value, int) and value.bit_length() > MAX_DIGITS:
        raise ValueError(f"must have at most {MAX_DIGITS // 4:,} digits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("is not a finite number")
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:  # its exponent has too many digits
        raise ValueError("is too large a number, or too small") from None
    if not number.is_finite():
        raise ValueError("is not a finite number")
    if number and abs(number.adjusted()) >= MAX_EXPONENT:
        raise ValueError("is too large a number, or too small")
    return number
