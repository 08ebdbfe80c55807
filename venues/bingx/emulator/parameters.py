"""What a request says, as BingX reads it: pairs in the order received, from the query or from one of two kinds of body.

- GET, PUT and DELETE say everything in the query; POST there, in a form, or in a JSON object.
- A JSON body's values are kept as they were written, so that a number is signed as the client wrote it.
- A parameter that comes twice counts as it came first; all of them are signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from urllib.parse import unquote_plus

import msgspec

from venues.bingx.emulator.refusals import Refusal, invalid

SIGNATURE = "signature"
PAIRS_MAX = 200
"""No request has as many parameters; more are not read."""

_JSON_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


class Refused(Exception):
    """A request cannot be carried out; caught in one place, where it becomes an answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.msg)
        self.refusal = refusal


def refused(code: int, msg: str) -> Refused:
    """A refusal to raise."""
    return Refused(Refusal(code, msg))


class Form(StrEnum):
    """How a request's parameters travelled."""

    QUERY = "query"
    FORM = "form"
    JSON = "json"


class Parameters:
    """Decoded parameters, and what of them may have been signed.

    form      how they came.
    signed    the texts a client may rightly have signed, most usual first, `signature` left out.
    """

    __slots__ = ("_pairs", "_values", "form", "signed")

    def __init__(self, pairs: Sequence[tuple[str, str]], *, form: Form, signed: tuple[str, ...]) -> None:
        self.form = form
        self.signed = signed
        self._pairs = tuple(pairs)
        values: dict[str, str] = {}
        for key, value in pairs:
            values.setdefault(key, value)
        self._values = values

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """As received, `signature` included."""
        return self._pairs

    def signed_as_encoded(self) -> Parameters:
        """The same, of which only the encoded bytes may have been signed."""
        return Parameters(self._pairs, form=self.form, signed=self.signed[-1:])

    def text(self, *names: str, default: str = "") -> str:
        """The first of these spellings that is there and not empty."""
        for name in names:
            value = self._values.get(name)
            if value:
                return value
        return default

    def needed(self, *names: str) -> str:
        """As `text`. Raises `Refused` (109400) when there is none."""
        value = self.text(*names)
        if not value:
            raise Refused(invalid(f"{names[0]} is required"))
        return value

    def whole(self, *names: str, default: int) -> int:
        """A whole number. Raises `Refused` (109400) when it is none."""
        text = self.text(*names)
        if not text:
            return default
        try:
            value = Decimal(text)
        except InvalidOperation:
            value = Decimal("NaN")
        if len(text) > 30 or not value.is_finite() or value != value.to_integral_value():
            raise Refused(invalid(f"{names[0]} must be an integer"))
        return int(value)

    def number(self, *names: str) -> Decimal | None:
        """A decimal number, None when it is not there. Raises `Refused` (109400) when it is none."""
        text = self.text(*names)
        return decimal_of(text, names[0]) if text else None

    def flag(self, *names: str) -> bool:
        """`true` in any case. Raises `Refused` (109400) for a word that is neither true nor false."""
        return flag_of(self.text(*names), names[0])


def decimal_of(text: str, name: str) -> Decimal:
    """A decimal number as a parameter has it."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    # An exponent of thousands would be written out digit by digit somewhere behind.
    if len(text) > 40 or not value.is_finite() or abs(value.adjusted()) > 30:
        raise Refused(invalid(f"{name} must be a number"))
    return value


def flag_of(text: str, name: str) -> bool:
    """A flag as a parameter has it; "" is false."""
    match text.lower():
        case "true":
            return True
        case "false" | "":
            return False
        case _:
            raise Refused(invalid(f"{name} must be true or false"))


def read_parameters(*, method: str, query: str, body: bytes, content_type: str) -> Parameters:
    """Everything a request says. Raises `Refused` (109400) for a body that cannot be read.

    query           as it came, still encoded, without the question mark.
    content_type    "" when there was none.
    """
    if method != "POST" or not body:
        return _encoded(query, Form.QUERY)
    if content_type.partition(";")[0].strip().lower() == "application/json" or body.lstrip()[:1] == b"{":
        return _json(query, body)
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise Refused(invalid("the body is not form encoded")) from error
    return _encoded("&".join([part for part in (query, text) if part]), Form.FORM)


def _encoded(text: str, form: Form) -> Parameters:
    raw = [pair.partition("=") for pair in text.split("&", PAIRS_MAX) if pair][:PAIRS_MAX]
    pairs = [(unquote_plus(key), unquote_plus(value)) for key, _, value in raw]
    signed = [_joined(pairs)]
    if form is Form.FORM:
        # The pages say plain; a live client found the encoded bytes to be what a form's signature covers. Both pass.
        signed.append("&".join([f"{key}={value}" for key, _, value in raw if key != SIGNATURE]))
    return Parameters(pairs, form=form, signed=tuple(dict.fromkeys(signed)))


def _json(query: str, body: bytes) -> Parameters:
    try:
        members = _JSON_OBJECT.decode(body.decode())
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise Refused(invalid("the body is not a JSON object")) from error
    pairs = list(_encoded(query, Form.QUERY).pairs)
    for key, raw in members.items():
        text = bytes(raw).decode()
        pairs.append((key, _TEXT.decode(raw) if text.startswith('"') else "" if text == "null" else text))
    # An object has no order: as it came, or sorted as the pages say.
    return Parameters(pairs, form=Form.JSON, signed=tuple(dict.fromkeys([_joined(pairs), _joined(sorted(pairs))])))


def _joined(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join([f"{key}={value}" for key, value in pairs if key != SIGNATURE])
