"""What the answer to a batch means for each order in it. A batch is one call, and its orders may fare differently.

Rate limited, banned, not sent, refused as a whole: so was every order in it, and none of them is any different for it.
A cancel that was rate limited has not been tried: the order rests as before, may fill, and is asked to go again when
the limit is over. It is never taken for gone, and no other endpoint is tried meanwhile, as going on is what gets an
address banned.

Answered in parts: an order that BingX names among the successes is gone by its word, which is evidence until a push
or a lookup says so too (B10); one that it names among the failures has a verdict of its own, by the same table as a
single cancel's; one that it does not name at all is in doubt. What cannot be an answer to a cancel, such as missing
margin (101212, which a new order gets when resting ones hold the money), is in doubt too: it is about something else,
and says nothing of whether the order still rests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sor.adapter import OrderRef
from sor.errors import VenueFault
from sor.ids import ClOrdId, VenueOrderId
from venues.bingx.errors import Asked, Verdict, judge_code, judge_unreadable
from venues.bingx.orders import Failure, Many, OrderNews

Leg = OrderNews | Verdict
"""What became of one order: the order as BingX tells it, or why nothing came of the request."""


def each_canceled(refs: Sequence[OrderRef], answer: Many | Verdict) -> tuple[Leg, ...]:
    """What `wire.cancel_batch` of `refs` came to, one for each of them and in their order.

    answer    what `orders.read_canceled_many` read, or the verdict on a call that did not succeed at all.
    """
    if isinstance(answer, Verdict):
        return (answer,) * len(refs)
    found: dict[VenueOrderId | ClOrdId, Leg] = {}
    for news in answer.orders:
        found.update(dict.fromkeys([name for name in (news.order_id, news.cl_ord_id) if name], news))
    for failure in answer.failed:
        verdict = _judged(failure)
        found.update(dict.fromkeys([name for name in (failure.order_id, failure.cl_ord_id) if name], verdict))
    return tuple([_of(ref, found) for ref in refs])


def _of(ref: OrderRef, found: Mapping[VenueOrderId | ClOrdId, Leg]) -> Leg:
    """The leg of an order, by BingX's id where that is known, else by ours."""
    leg = found.get(ref.venue_order_id) if ref.venue_order_id else None
    leg = leg or found.get(ref.cl_ord_id)
    return leg or judge_unreadable(VenueFault("the answer to a batch does not name this order"), asked=Asked.CANCEL)


def _judged(failure: Failure) -> Verdict:
    """Why one order of a batch was not cancelled; a code that is no number is nobody's."""
    code = failure.code.lstrip("-")
    number = int(failure.code) if code.isascii() and code.isdigit() and len(code) <= _DIGITS_MAX else 0
    if not number:
        what = f"an order of a batch failed with the code {failure.code!r}: {failure.text}"
        return judge_unreadable(VenueFault(what), asked=Asked.CANCEL)
    return judge_code(code=number, text=failure.text, asked=Asked.CANCEL)


_DIGITS_MAX = 9
