"""The exact way between BingX's decimal texts and our whole ticks and lots. No float anywhere.

Ticks and steps of BingX are powers of ten, given as numbers of decimals, so a text is a whole number of steps when
what is left of it after that many decimals is zeros.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from sor.errors import VenueFault

DIGITS_MAX = 18
"""More decimals than this are not a price step, but a broken answer."""
_LENGTH_MAX = 48
_REMEMBERED_MAX: Final = 16_384
"""Texts kept per instrument and kind: the levels of a book come again and again, and remembering is ten times quicker
than reading. All are forgotten at once when there are too many."""

_FLOAT_STEPS_MAX: Final = 2.0**50


class Steps(dict[str, int]):
    """Texts as whole numbers of 10**-digits, remembered: `steps["0.0020"]`.

    digits    decimals of one step, 0..`DIGITS_MAX`.
    floors    a text between two steps counts as the lower one; otherwise it is a fault.
    zero      0 is allowed.
    Raises    `VenueFault` for what is no plain non-negative decimal of that kind.
    """

    __slots__ = ("digits", "floors", "zero")

    def __init__(self, digits: int, *, floors: bool = False, zero: bool = True) -> None:
        super().__init__()
        self.digits = digits
        self.floors = floors
        self.zero = zero

    def __missing__(self, text: str) -> int:
        """Read a text that is not remembered, and remember it."""
        count = self._count(text)
        if not count and not self.zero:
            raise VenueFault(f"BingX sent {text!r} where a positive price belongs")
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        self[text] = count
        return count

    def _count(self, text: str) -> int:
        whole, _, rest = text.partition(".")
        if not (text.isascii() and (whole + rest).isdigit() and whole and len(text) <= _LENGTH_MAX):
            text = f"{plain(text):f}"
            if text[0] == "-":
                raise VenueFault(f"BingX sent {text!r} where a number that is not negative belongs")
            whole, _, rest = text.partition(".")
        digits = self.digits
        if len(rest) > digits:
            if rest[digits:].strip("0") and not self.floors:
                raise VenueFault(f"BingX sent {text!r}, which lies between two steps of {Decimal(1).scaleb(-digits):f}")
            rest = rest[:digits]
        return int(whole + rest.ljust(digits, "0"))


class FloatSteps(dict[float, int]):
    """Floats that were decimals as whole numbers of 10**-digits, remembered: `steps[60000.5]`.

    A decimal of no more than 15 digits is the only such one near its float, so nothing is lost on the way.
    Raises    `VenueFault` for what is no positive whole number of steps, or more than 2**50 of them.
    """

    __slots__ = ("steps",)

    def __init__(self, digits: int) -> None:
        super().__init__()
        self.steps = 10.0**digits  # exact, as floats are up to 10**22

    def __missing__(self, number: float) -> int:
        """Read a number that is not remembered, and remember it."""
        steps = self.steps
        count = round(number * steps) if 0.0 < number * steps <= _FLOAT_STEPS_MAX else 0
        if not count or count / steps != number:  # the quotient is the float nearest to that many steps
            raise VenueFault(f"BingX sent {number!r} where a positive number of steps of {1 / steps} belongs")
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        self[number] = count
        return count


def plain(text: str) -> Decimal:
    """A decimal of sane size, exponent notation and sign allowed. Raises `VenueFault` for anything else."""
    try:
        number = Decimal(text) if text.isascii() and len(text) <= _LENGTH_MAX and "_" not in text else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or not -_LENGTH_MAX <= number.adjusted() <= _LENGTH_MAX:
        raise VenueFault(f"BingX sent {text[:_LENGTH_MAX]!r} where a decimal number belongs")
    return number


def decimal_text(count: int, digits: int) -> str:
    """`count` steps of 10**-digits as a plain decimal with exactly that many decimals; `count` >= 0."""
    if not digits:
        return str(count)
    text = str(count).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}"
