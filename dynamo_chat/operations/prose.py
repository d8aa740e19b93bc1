"""Text for measuring: of a given length, and compressible like English.

A repeated letter would not do: the store compresses long texts, and it would shrink to nothing.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Final

_LETTERS: Final = "etaoinshrdlcumwfgypbvk"
_OFTEN: Final = (
    *(91, 64, 59, 54, 50, 48, 45, 44, 43, 30, 29),
    *(20, 20, 17, 17, 15, 14, 14, 13, 10, 7, 5),
)
"""The approximate frequencies of letters in English."""
_WORDS: Final = 3_000
_RARER: Final = 10
"""The n-th word has the weight 1 / (n + this): a larger number flattens the distribution."""


def prose(size: int) -> str:
    """`size` letters and spaces, one byte each; always the same text."""
    words, weights = _vocabulary()
    dice = random.Random(size)  # noqa: S311 - nothing is a secret here
    text = " ".join(dice.choices(words, weights, k=size // 3 + 1))[:size]
    return text[:-1] + "e" if text else ""  # a space at the end might be stripped


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    dice = random.Random(1)  # noqa: S311
    words = ["".join(dice.choices(_LETTERS, _OFTEN, k=dice.randint(2, 9))) for _ in range(_WORDS)]
    return words, [1 / (rank + _RARER) for rank in range(_WORDS)]
