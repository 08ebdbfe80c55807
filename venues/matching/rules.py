"""Where venues differ in how they match, as data. Self-trade prevention and fees belong to the account."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Oversize(StrEnum):
    """What happens to a reduce-only order that is larger than the position it reduces."""

    CLIP = "clip"
    REFUSE = "refuse"


class FailedAmend(StrEnum):
    """What happens to an order whose amendment cannot be carried out as asked."""

    KEEP = "keep"
    CANCEL = "cancel"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The matching rules of one venue.

    size_down_keeps_priority    an amend that only lowers the quantity keeps its place in the queue.
    amend_to_filled             an amend to no more than what is filled: CANCEL ends the order, KEEP refuses the amend.
    amend_would_take            an amend by which a post-only order would take: likewise.
    reduce_only_oversize        see `Oversize`; an order with nothing at all to reduce is always refused.
    reduce_only_any_notional    reduce-only orders need not reach the minimum notional.
    """

    size_down_keeps_priority: bool = True
    amend_to_filled: FailedAmend = FailedAmend.CANCEL
    amend_would_take: FailedAmend = FailedAmend.KEEP
    reduce_only_oversize: Oversize = Oversize.CLIP
    reduce_only_any_notional: bool = False
