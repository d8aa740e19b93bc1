"""Exact amounts: what goes in comes out, sums do not drift, means are rounded half-even."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from dynamo_chat import ModelUsage, NewInvocation
from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.telemetry.amounts import MAX_DIGITS, mean, plus

amounts = st.decimals(0, Decimal("999999999999999.999999999999"), places=12)


@given(st.lists(amounts, max_size=50))
def test_sums_are_exact(values: list[Decimal]) -> None:
    total = Decimal(0)
    for value in values:
        total = plus(total, value)
    assert Fraction(total) == sum(map(Fraction, values))
    assert len(total.as_tuple().digits) <= MAX_DIGITS
    ModelUsage(requests=1, tokens=1, cost=total)


@given(amounts, st.integers(1, 10**11))
def test_means_are_nearest_and_even(total: Decimal, number: int) -> None:
    found = mean(total, number)
    assert found is not None
    assert found.as_tuple().exponent == -6
    error = abs(Fraction(found) - Fraction(total) / number) * 2_000_000
    assert error < 1 or (error == 1 and int(found.scaleb(6)) % 2 == 0)


def test_halves_go_to_the_even_side() -> None:
    assert mean(Decimal("0.000001"), 2) == 0
    assert mean(Decimal("0.000003"), 2) == Decimal("0.000002")
    assert mean(Decimal("0.000005"), 2) == Decimal("0.000002")
    assert mean(2, 3) == Decimal("0.666667")
    assert mean(0, 7) == 0
    assert mean(Decimal(5), 0) is None


def test_zero_has_no_sign_and_integers_are_exact() -> None:
    usual = {"account_id": "a-1", "function_name": "f", "status": "success"}
    for given_amount in (Decimal("-0"), 0, Decimal("0.00")):
        made = NewInvocation.model_validate({**usual, "duration_ms": given_amount})
        assert str(made.duration_ms).strip("0.") == ""
    whole = NewInvocation.model_validate({**usual, "duration_ms": 10**14})
    assert whole.duration_ms == Decimal(10**14)


def test_what_dynamodb_would_round_is_refused() -> None:
    for many in (Decimal("1" * 39), Decimal("1E+38"), Decimal("1E+999999")):
        with pytest.raises(InvalidArgument, match="cost: must have at most 38 digits"):
            ModelUsage(requests=1, tokens=1, cost=many)
    with pytest.raises(InvalidArgument, match="cost: must be 0 or at least"):
        ModelUsage(requests=1, tokens=1, cost=Decimal("1E-131"))
    for fine in (Decimal("1E+37"), Decimal("1E-128"), Decimal("0E+300"), Decimal("0.10")):
        assert ModelUsage(requests=1, tokens=1, cost=fine).cost == fine


@pytest.mark.parametrize("text", ["", "abc", "1,5", "NaN", "-1"])
def test_text_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="cost: "):
        ModelUsage(requests=1, tokens=1, cost=text)  # type: ignore[arg-type]
