"""Decimals become whole ticks and lots exactly or not at all, however many digits they have."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument

_DIGITS = st.integers(min_value=1, max_value=10**40)
_SCALES = st.integers(min_value=-20, max_value=20)
_POSITIVE = st.builds(lambda digits, scale: Decimal(digits).scaleb(scale, Context(prec=60)), _DIGITS, _SCALES)


def _instrument(step: Decimal) -> Instrument:
    return Instrument(symbol=Symbol("BTCUSDT"), venue=VenueName("acme"), tick_size=step, lot_size=Decimal(1))


@given(value=_POSITIVE, step=_POSITIVE, precision=st.sampled_from([3, 28, 60]))
def test_a_price_is_whole_ticks_exactly_when_the_fraction_says_so(
    value: Decimal, step: Decimal, precision: int
) -> None:
    instrument = _instrument(step)
    count = Fraction(value) / Fraction(step)
    with localcontext(Context(prec=precision)):
        if count.denominator == 1:
            assert instrument.ticks(value) == count
        else:
            with pytest.raises(CallerError, match="off the step"):
                instrument.ticks(value)


@given(step=_POSITIVE, count=st.integers(min_value=1, max_value=10**30))
def test_every_multiple_of_the_step_is_whole(step: Decimal, count: int) -> None:
    value = Context(prec=200).multiply(step, Decimal(count))
    assert _instrument(step).ticks(value) == count
