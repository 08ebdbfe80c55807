"""Bytes of BingX as typed values: inflating frames, opening envelopes, and the scalars it spells in several ways.

Everything BingX may send is read here or in `listings`, `market`, `orders`, `fills`, `account` and `push`, all of which
raise one thing only: `VenueFault`, when a message is not what it should be. What it should be is generous: unknown
fields are passed over, numbers may come as strings and strings as numbers, lists may be null; a field that is needed
and missing is a fault. What a fault means depends on the message: an answer to an order that cannot be read leaves
the order in doubt (`venues.bingx.errors`), a book that cannot be read is a lost book.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sor.errors import VenueFault
from venues.bingx.steps import plain
from venues.plumbing.inflate import Inflate, inflate_gzip

_T = TypeVar("_T")

ABSENT = msgspec.Raw(b"")
FRAME_BYTES_MAX = 16 * 1024 * 1024
"""No frame of BingX is near this; what inflates to more is not a market message."""
_GZIP_MAGIC = b"\x1f\x8b"


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What every answer comes in. `code` 0 is success; the same envelope carries business errors with HTTP 200."""

    code: int
    msg: str | None = None
    data: msgspec.Raw = ABSENT

    @property
    def text(self) -> str:
        """The message to the letter, "" when there is none."""
        return self.msg or ""


_ENVELOPE = msgspec.json.Decoder(Envelope)
_TEXT = msgspec.json.Decoder(str)


def inflate(frame: bytes, member: Inflate = inflate_gzip) -> bytes:
    """The message in a frame: one gzip member, or plain bytes as they are. `VenueFault` when it does not inflate."""
    return member(frame, FRAME_BYTES_MAX) if frame[:2] == _GZIP_MAGIC else frame


def decoded(decoder: msgspec.json.Decoder[_T], message: bytes | msgspec.Raw, what: str) -> _T:
    """A message by its shape; `what` names it in the `VenueFault` that anything else raises."""
    try:
        return decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VenueFault(f"BingX sent {what} that cannot be read: {error}") from error


def envelope(body: bytes) -> Envelope:
    """The envelope of an answer. Raises `VenueFault` when it has none, or no whole-numbered code."""
    return decoded(_ENVELOPE, body, "an answer")


def data_of(body: bytes, decoder: msgspec.json.Decoder[_T], what: str) -> _T:
    """The data of a successful answer by its shape.

    Raises `VenueFault` when it cannot be read, and for an error: those are to be classified first
    (`venues.bingx.errors.judge_answer`).
    """
    opened = envelope(body)
    if opened.code:
        raise VenueFault(f"BingX refused where {what} was expected: {opened.code} {opened.text}".rstrip())
    return decoded(decoder, opened.data or b"null", what)


def text_of(raw: msgspec.Raw) -> str:
    """A scalar as text, however it was spelled: a string's content, a number or a boolean as written, null as ""."""
    if raw is ABSENT:
        return ""
    literal = bytes(raw)
    if not literal or literal == b"null":
        return ""
    first = literal[0]
    if first == 0x22:
        if literal.isascii() and b"\\" not in literal:
            return literal[1:-1].decode()
        return decoded(_TEXT, raw, "a text")
    if first in b"{[":
        raise VenueFault("BingX sent a list or an object where a single value belongs")
    return literal.decode()


def whole_of(raw: msgspec.Raw) -> int:
    """A whole number, however it was spelled; 0 for null and "". `VenueFault` for a fraction."""
    text = text_of(raw)
    if not text:
        return 0
    number = plain(text)
    if number != (whole := int(number)):
        raise VenueFault(f"BingX sent {text!r} where a whole number belongs")
    return whole


def flag_of(raw: msgspec.Raw) -> bool:
    """A boolean, however it was spelled: true, "true", "TRUE"; null, "" and everything else that is known are false."""
    text = text_of(raw).lower()
    if text in {"true", "1"}:
        return True
    if text in {"false", "0", ""}:
        return False
    raise VenueFault(f"BingX sent {text!r} where true or false belongs")


def ms_to_ns(raw: msgspec.Raw) -> int:
    """A time in milliseconds as nanoseconds since the epoch, 0 when it is absent."""
    return whole_of(raw) * 1_000_000
