"""Typed ids, and the codec that makes client order ids.

A ClOrdID is a pure function of (venue codec, journal epoch, session, parent number, child number, action): the key of
every retry and the ownership mark by which recovery tells our orders from everybody else's. Nothing here draws anything
at random; the epoch is drawn once by the journal when it is created, and the session counts its processes: what a
journal has lost with the power its next process numbers anew, and must not name alike.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NewType

import msgspec

from sor.errors import CallerError

ParentId = NewType("ParentId", str)
ClOrdId = NewType("ClOrdId", str)
VenueOrderId = NewType("VenueOrderId", str)
ExecId = NewType("ExecId", str)
Symbol = NewType("Symbol", str)
VenueName = NewType("VenueName", str)
StrategyId = NewType("StrategyId", str)
AccountId = NewType("AccountId", str)

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
EPOCH_BOUND = 36**6
"""Epochs are drawn from [0, EPOCH_BOUND): six base-36 characters."""
SESSION_BOUND = 36**3
"""Sessions are counted up to this and then from 0 again: three base-36 characters."""


@lru_cache(maxsize=4_096)
def to_base36(number: int, width: int = 0) -> str:
    """Non-negative integer in lower-case base 36, left-padded with zeros to `width` characters."""
    if number < 0:
        raise CallerError(f"an id part must not be negative, got {number}; nothing was sent")
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _BASE36[rest] + digits
    return digits.rjust(width, "0") or "0"


@lru_cache(maxsize=4_096)
def _stem(prefix: str, separator: str, epoch: int, session: int, parent_no: int) -> str:
    """What the ids of all orders of one parent have in common."""
    origin = to_base36(epoch, 6) + to_base36(session % SESSION_BOUND, 3)
    return f"{prefix}{origin}{separator}{to_base36(parent_no, 6)}{separator}"


class OwnedId(msgspec.Struct, frozen=True, gc=False):
    """What a ClOrdID of ours says when it is read back."""

    epoch: int
    parent_no: int
    child_no: int
    closing: bool
    session: int = 0


class ClOrdIdCodec(msgspec.Struct, frozen=True, gc=False):
    """Client order ids within one venue's alphabet and length.

    prefix      marks the order as ours to a human eye; must be in the venue's alphabet.
    separator   "-" where the venue allows it, "" otherwise; parts are then fixed-width.
    max_len     the venue's limit in characters.

    The shape is `<prefix><epoch:6><session:3><sep><parent:6><sep><child:4><e|x>`, all lower-case base 36 with fixed
    widths, so that it can be read back without the separator. `e` enters, `x` exits (reduces).
    """

    prefix: str = "sor"
    separator: str = "-"
    max_len: int = 40

    def encode(self, epoch: int, parent_no: int, child_no: int, *, closing: bool, session: int = 0) -> ClOrdId:
        """The id of child `child_no` (from 1) of parent `parent_no` (from 1) under `epoch`, made in `session`.

        Raises `CallerError` when the parts do not fit the venue's length: nothing was sent.
        """
        stem = _stem(self.prefix, self.separator, epoch, session, parent_no)
        text = f"{stem}{to_base36(child_no, 4)}{'x' if closing else 'e'}"
        if len(text) > self.max_len:
            raise CallerError(f"client order id {text!r} is longer than the venue's {self.max_len}; nothing was sent")
        return ClOrdId(text)

    def decode(self, text: str) -> OwnedId | None:
        """Read an id back, or None when it is not one of this codec's (another program's, or a manual order)."""
        body = text.lower()
        if not body.startswith(self.prefix):
            return None
        body = body[len(self.prefix) :]
        if self.separator:
            body = body.replace(self.separator, "", 2)
        if len(body) != 20 or body[-1] not in "ex" or not set(body).issubset(_BASE36):
            return None
        epoch, session, parent_no, child_no = (int(body[a:b], 36) for a, b in ((0, 6), (6, 9), (9, 15), (15, 19)))
        return OwnedId(epoch=epoch, parent_no=parent_no, child_no=child_no, closing=body[-1] == "x", session=session)
