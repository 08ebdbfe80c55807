"""One stream of execution reports out of everything BingX says about our orders (D10).

Acknowledgements, pushes and lookups tell the same things in any order, twice, late, or not at all. Here each of them
is held against what has been told of its order, and what is new becomes reports, each once:

- A fill is a growth of the cumulative quantity, whoever stated it. Its id is the order's id and the quantity reached,
  so the same fill has the same id on every way. When several trades are learned of at once they are one fill; where
  its average lies between two ticks it is told as two, on the ticks beside it, so that the money is right to a
  lot-tick.
- The price of a fill is the trade's own where the push has it, else what the change of (quantity x average) leaves for
  it. Averages are rounded by the venue, so of the prices they allow the one nearest to the average is taken, and never
  one beyond the order's limit. The money told is then right to less than two ticks for each lot.
- An end is told once, and only by a push or a lookup: the answers to a cancel or a new order are evidence (B10).
- A lookup is always answered with STATUS, after the fills it brought to light.
- Fees: a push's fee is taken where it can only be that of the fill (see `PushFee`), as WS_SETTLED. The order's total,
  from a lookup, settles what is left, as REST_SETTLED: the fill is told again with its fee (F2).

An order that was not sent by this process (`sent` was not called: a restart, or a hand) begins with what it has filled
by the time it is first looked up. That part is told as a total by STATUS, never as fills, because which fills of it
were counted before is not known here; and each later fill is followed by a STATUS for the same reason. Until then a
push is a total too: it may be an old one that comes late, and what seems new after it was counted before the restart.

Nothing here waits or forgets to be told: what an answer means that never came is `refused` with `errors.judge_failure`.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from sor.adapter import NewOrder, OrderRef, Reach, RecalledOrder, Request, RequestFailed
from sor.errors import CallerError
from sor.ids import ClOrdId, ExecId, Symbol, VenueOrderId
from sor.orders import (
    TERMINAL,
    ExecType,
    ExecutionReport,
    FeeSource,
    OrdStatus,
    OrdType,
    Provenance,
    RejectKind,
    Side,
    Tif,
)
from sor.units import NS
from venues.bingx.errors import Outcome, Verdict
from venues.bingx.listings import VENUE
from venues.bingx.orders import Amended, OrderNews

ORDERS_MAX: Final = 8_192
"""Orders that are remembered; beyond, the oldest that have ended are forgotten, and then the oldest."""
ASIDE_MAX: Final = 512
"""Pushes without a client id that wait for an answer to say whose order they are about; the oldest go first."""

_OPEN = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)
_HALF = Decimal("0.5")


class PushFee(StrEnum):
    """What `n` of an order event is after a partial fill: unverified, hence a switch.

    FIRST_ONLY    read it where both readings are the same, which is on an order's first fill.
    PER_FILL      it is the fee of this fill. CUMULATIVE: of the order so far.
    """

    FIRST_ONLY = "first_only"
    PER_FILL = "per_fill"
    CUMULATIVE = "cumulative"


class _Track:
    """What has been told of one order.

    based      what it had filled when it was first looked up is known; always so for an order that was sent from here.
    whole      that was nothing: every lot was told as a fill.
    end        how it ended, once that is known; refused: it was, as far as the answer goes.
    value      lots x ticks of the fills told, or of the first total where not whole.
    rounded    the last average may have been rounded to its tick, by up to half a tick for each of these lots.
    sent_ns    it was sent from here, not before this moment of the venue's clock; 0: it was not sent from here.
    limit      its limit in ticks, 0 for none; is_maker: where its kind of order says so.
    """

    __slots__ = (
        "based",
        "cl_ord_id",
        "cum_lots",
        "end",
        "fills",
        "is_maker",
        "limit",
        "opened",
        "order_id",
        "order_lots",
        "refused",
        "rounded",
        "sent_ns",
        "side",
        "symbol",
        "value",
        "whole",
    )

    def __init__(self, cl_ord_id: ClOrdId, symbol: Symbol, side: Side) -> None:
        self.cl_ord_id = cl_ord_id
        self.symbol = symbol
        self.side = side
        self.order_id = VenueOrderId("")
        self.order_lots = 0
        self.sent_ns = 0
        self.limit = 0
        self.is_maker: bool | None = None
        self.opened = False
        self.refused = False
        self.end: OrdStatus | None = None
        self.based = True
        self.whole = True
        self.cum_lots = 0
        self.value = Decimal(0)
        self.rounded = 0
        self.fills: list[ExecutionReport] = []


Told = list[ExecutionReport | RequestFailed]


class Reports:
    """The orders of one account. Plain calls; each returns what to hand to the sink, in order.

    unclaimed    pushes without a client id whose order nobody ever claimed: manual orders, mostly.
    """

    __slots__ = ("_aside", "_by_client", "_by_venue", "_push_fee", "unclaimed")

    def __init__(self, *, push_fee: PushFee = PushFee.FIRST_ONLY) -> None:
        self._push_fee = push_fee
        self._by_client: dict[ClOrdId, _Track] = {}
        self._by_venue: dict[VenueOrderId, _Track] = {}
        self._aside: deque[OrderNews] = deque()
        self.unclaimed = 0

    # --- what we do ---------------------------------------------------------------------------------------------------

    def sent(self, order: NewOrder, *, not_before_ns: int = 1) -> None:
        """An order is about to be sent: whatever fills from now on is new. `CallerError` when its id is taken.

        not_before_ns    the earliest on the venue's clock at which it can be accepted.
        """
        if order.cl_ord_id in self._by_client:
            raise CallerError(
                f"client order id {order.cl_ord_id} was used before; nothing was sent. Ids are for one order"
            )
        track = _Track(order.cl_ord_id, order.symbol, order.side)
        track.order_lots = order.qty_lots
        track.sent_ns = not_before_ns
        track.limit = order.price_ticks
        if order.post_only:
            track.is_maker = True
        elif order.ord_type is OrdType.MARKET or order.tif in {Tif.IOC, Tif.FOK}:
            track.is_maker = False
        self._keep(track)

    def recall(self, order: RecalledOrder) -> None:
        """An order of an earlier process: go on from the fills that it told."""
        ref = order.ref
        if ref.cl_ord_id in self._by_client:
            return
        track = _Track(ref.cl_ord_id, ref.symbol, order.side)
        track.order_id = ref.venue_order_id
        track.order_lots = order.qty_lots
        track.limit = order.price_ticks
        track.is_maker = order.is_maker
        track.end = order.end
        track.fills = list(order.fills)
        track.cum_lots = sum(fill.last_lots for fill in order.fills)
        track.rounded = track.cum_lots
        track.value = Decimal(sum(fill.last_lots * fill.last_ticks for fill in order.fills))
        track.opened = bool(ref.venue_order_id or order.fills)
        self._keep(track)
        if ref.venue_order_id:
            self._by_venue[ref.venue_order_id] = track

    # --- what BingX says ----------------------------------------------------------------------------------------------

    def told(self, news: OrderNews) -> Told:
        """A statement about an order, by whatever way it came."""
        out: Told = []
        track = self._track(news)
        if track is None:
            self._aside.append(news)
            if len(self._aside) > ASIDE_MAX:
                self._aside.popleft()
                self.unclaimed += 1
            return out
        other = _other_order(track, news)
        if other:
            return [_not_ours(track, other)]
        if news.order_id and not track.order_id:
            track.order_id = news.order_id
            self._by_venue[news.order_id] = track
            for earlier in [one for one in self._aside if one.order_id == news.order_id]:
                self._aside.remove(earlier)
                self._take(track, earlier, out)
        self._take(track, news, out)
        return out

    def amended(self, amended: Amended, cl_ord_id: ClOrdId, *, price_ticks: int, recv_ns: int) -> Told:
        """A confirmed quantity of the order we asked it for; its price stays, and is said with it."""
        track = self._by_client.get(cl_ord_id)
        if track is not None:
            track.order_lots = amended.order_lots
        report = ExecutionReport(
            venue=VENUE,
            symbol=amended.symbol,
            cl_ord_id=cl_ord_id,
            exec_type=ExecType.REPLACED,
            provenance=Provenance.ACK,
            venue_order_id=amended.order_id,
            recv_ns=recv_ns,
            order_lots=amended.order_lots,
            price_ticks=price_ticks,
        )
        return [report]

    def refused(self, verdict: Verdict, request: Request, *, cl_ord_id: ClOrdId, symbol: Symbol, recv_ns: int) -> Told:
        """A command that did not succeed. What became of its order, if that is not known, a lookup must say."""
        unknown = verdict.reject is RejectKind.UNKNOWN_ORDER
        if verdict.outcome is Outcome.NOT_SENT or verdict.outcome is Outcome.IN_DOUBT:
            reach = Reach.NOT_SENT if verdict.outcome is Outcome.NOT_SENT else Reach.IN_DOUBT
            return [_failed(verdict, request, reach, cl_ord_id)]
        if request is Request.QUERY and not unknown:
            return [_failed(verdict, request, Reach.IN_DOUBT, cl_ord_id)]
        track = self._by_client.get(cl_ord_id)
        exec_type = _REFUSED[request]
        if exec_type is ExecType.REJECTED and track is not None:
            if track.opened or track.cum_lots:  # a push has overtaken the answer: it is there, whatever this says
                return [_failed(verdict, request, Reach.IN_DOUBT, cl_ord_id)]
            if verdict.reject is not RejectKind.DUPLICATE_ID:
                track.refused = True
        report = ExecutionReport(
            venue=VENUE,
            symbol=symbol,
            cl_ord_id=cl_ord_id,
            exec_type=exec_type,
            provenance=Provenance.QUERY if request is Request.QUERY else Provenance.ACK,
            venue_order_id=track.order_id if track is not None else VenueOrderId(""),
            recv_ns=recv_ns,
            reject=verdict.reject,
            code=verdict.code,
            text=verdict.text,
        )
        return [report]

    # --- what is known ------------------------------------------------------------------------------------------------

    def ended(self, cl_ord_id: ClOrdId) -> bool:
        """Whether nothing more is to be told of it but fees: its end and all its fills were, or it was refused."""
        track = self._by_client.get(cl_ord_id)
        if track is None or track.refused:
            return True
        return track.end is not None and (track.end is not OrdStatus.FILLED or track.cum_lots >= track.order_lots)

    def unsettled(self, cl_ord_id: ClOrdId) -> bool:
        """Whether it was told whole, and fills of it have no fee yet: a lookup may bring it (F2)."""
        track = self._by_client.get(cl_ord_id)
        return track is not None and track.whole and any(fill.fee_atoms is None for fill in track.fills)

    def ref(self, *, cl_ord_id: ClOrdId, order_id: VenueOrderId) -> OrderRef | None:
        """How to name an order by what a message says of it; None for one that was never heard of."""
        track = self._by_client.get(cl_ord_id) or self._by_venue.get(order_id)
        if track is None:
            return None
        return OrderRef(cl_ord_id=track.cl_ord_id, symbol=track.symbol, venue_order_id=track.order_id or order_id)

    # --- orders -------------------------------------------------------------------------------------------------------

    def _track(self, news: OrderNews) -> _Track | None:
        """The order that is meant; None when that is not known yet."""
        track = self._by_client.get(news.cl_ord_id) if news.cl_ord_id else None
        if track is None and news.order_id:
            track = self._by_venue.get(news.order_id)
        if track is None and news.cl_ord_id:
            track = _Track(news.cl_ord_id, news.symbol, news.side)
            track.limit = news.price_ticks
            track.whole = track.based = False
            self._keep(track)
        return track

    def _keep(self, track: _Track) -> None:
        if len(self._by_client) >= ORDERS_MAX:
            oldest = next((one for one in self._by_client.values() if one.end or one.refused), None)
            oldest = oldest or next(iter(self._by_client.values()))
            del self._by_client[oldest.cl_ord_id]
            self._by_venue.pop(oldest.order_id, None)
        self._by_client[track.cl_ord_id] = track

    def _take(self, track: _Track, news: OrderNews, out: Told) -> None:
        asked = news.source is Provenance.QUERY
        if news.order_lots and not asked and not track.order_lots:
            track.order_lots = news.order_lots
        if asked and not track.based and news.cum_lots >= 0:
            track.based = True
            track.whole = news.cum_lots == 0
            track.cum_lots = track.rounded = news.cum_lots
            track.value = news.avg_ticks * news.cum_lots
        status, ended_before = news.status, track.end is not None
        is_open = status in _OPEN or (status is None and news.source is Provenance.ACK)
        unfilled = track.cum_lots == 0 and (track.based or news.cum_lots <= 0)
        if is_open and not asked and not track.opened and not ended_before and unfilled:
            out.append(_report(track, news, ExecType.NEW))
        track.opened = track.opened or status is not None or news.source is Provenance.ACK
        fills = self._fill(track, news) if track.based else []
        out.extend(fills)
        if status in TERMINAL and news.final:
            full = track.order_lots > 0 and track.cum_lots >= track.order_lots
            if not ended_before and not asked and status is not OrdStatus.FILLED and not full:
                ends = ExecType.EXPIRED if status is OrdStatus.EXPIRED else ExecType.CANCELED
                out.append(_report(track, news, ends, cum_lots=self._total(track, news)))
            track.end = track.end or status
        if asked or (not track.whole and news.cum_lots > 0 and not ended_before):
            out.append(_status(track, news, self._total(track, news)))
        out.extend(self._settle(track, news))

    @staticmethod
    def _total(track: _Track, news: OrderNews) -> int:
        """Everything filled so far: what this news says, or more where more is known; -1 when it says nothing."""
        return max(news.cum_lots, track.cum_lots) if news.cum_lots >= 0 else -1

    # --- fills --------------------------------------------------------------------------------------------------------

    def _fill(self, track: _Track, news: OrderNews) -> list[ExecutionReport]:
        """What this news adds to the cumulative quantity, as one or two TRADE reports."""
        lots = news.cum_lots - track.cum_lots
        if lots <= 0:
            return []
        if news.last_lots == lots and news.last_ticks > 0:
            parts = [(lots, news.last_ticks)]
            rounded = track.rounded
        elif news.avg_ticks > 0:
            on_tick = news.avg_ticks == int(news.avg_ticks)
            parts = _parts(track, news, lots, on_tick=on_tick)
            rounded = news.cum_lots if on_tick else 0
        else:
            return []  # a quantity without a price: whoever states it next will have one, or the total proves it
        fees = self._push_fees(track, news, parts)
        reports: list[ExecutionReport] = []
        for (part, ticks), fee in zip(parts, fees, strict=True):
            track.cum_lots += part
            track.value += part * ticks
            reports.append(
                _report(
                    track,
                    news,
                    ExecType.TRADE,
                    cum_lots=track.cum_lots,
                    exec_id=ExecId(f"{track.order_id or track.cl_ord_id}:{track.cum_lots}"),
                    last_lots=part,
                    last_ticks=ticks,
                    is_maker=track.is_maker,
                    fee_atoms=fee,
                    fee_asset=news.fee_asset if fee is not None else "",
                    fee_source=FeeSource.WS_SETTLED if fee is not None else None,
                )
            )
        track.rounded = rounded
        track.fills.extend(reports)
        return reports

    def _push_fees(self, track: _Track, news: OrderNews, parts: list[tuple[int, int]]) -> list[int | None]:
        """The fee of each part, where the push's figure can only be theirs."""
        nothing: list[int | None] = [None] * len(parts)
        fee = news.fee_atoms
        if not fee or news.fee_is_total or not track.whole:  # 0 is said before it is known
            return nothing
        lots = sum(part for part, _ in parts)
        value = sum(part * ticks for part, ticks in parts)
        if news.last_lots not in {0, lots} or (
            not news.last_lots and news.last_value and abs(news.last_value - value) > news.last_value_slack
        ):
            return nothing  # earlier pushes were lost: this figure is that of the last trade only, or of more
        if self._push_fee is not PushFee.CUMULATIVE and not news.last_lots and not news.last_value:
            return nothing  # whether they were does not show: the shape of 2023 names neither the trade nor its value
        if track.cum_lots and self._push_fee is not PushFee.PER_FILL:
            known = [one.fee_atoms for one in track.fills if one.fee_atoms is not None]
            if self._push_fee is PushFee.FIRST_ONLY or len(known) < len(track.fills):
                return nothing
            fee -= sum(known)
        return list(_shares(fee, [part * ticks for part, ticks in parts]))

    def _covers(self, track: _Track, news: OrderNews) -> bool:
        """Whether a push's fee is that of all fills so far: by its meaning, or because one trade was all of them."""
        if self._push_fee is PushFee.CUMULATIVE:
            return True
        if news.last_lots:
            return news.last_lots == track.cum_lots
        value = sum(fill.last_lots * fill.last_ticks for fill in track.fills)
        return news.last_value > 0 and abs(news.last_value - value) <= news.last_value_slack

    def _settle(self, track: _Track, news: OrderNews) -> list[ExecutionReport]:
        """The order's total fee, once it covers all that was told: what has no fee yet shares what is left of it.

        0 is what the venue says before it has settled, so it settles nothing; the estimate of a rate that is 0 is 0.
        """
        if not news.fee_atoms or not track.whole or news.cum_lots != track.cum_lots:
            return []
        if not news.fee_is_total and not self._covers(track, news):
            return []
        open_at = [at for at, one in enumerate(track.fills) if one.fee_atoms is None]
        left = news.fee_atoms - sum(one.fee_atoms for one in track.fills if one.fee_atoms is not None)
        shares = _shares(left, [track.fills[at].last_lots * track.fills[at].last_ticks for at in open_at])
        settled: list[ExecutionReport] = []
        for at, fee in zip(open_at, shares, strict=True):
            track.fills[at] = msgspec.structs.replace(
                track.fills[at],
                fee_atoms=fee,
                fee_asset=news.fee_asset,
                fee_source=FeeSource.REST_SETTLED if news.fee_is_total else FeeSource.WS_SETTLED,
            )
            settled.append(track.fills[at])
        return settled


_REFUSED = {
    Request.PLACE: ExecType.REJECTED,
    Request.CANCEL: ExecType.CANCEL_REJECTED,
    Request.AMEND: ExecType.AMEND_REJECTED,
    Request.QUERY: ExecType.NOT_FOUND,
}


def _other_order(track: _Track, news: OrderNews) -> str:
    """How the answer of a lookup cannot be about the order that was sent under this id (B9), or "".

    Less than was ordered is no contradiction: whether BingX cuts reduce-only orders is unverified. Times of ended
    orders are cut to the second.
    """
    if news.source is not Provenance.QUERY or not track.sent_ns:
        return ""
    if (news.symbol, news.side) != (track.symbol, track.side):
        return f"a {news.side.name} in {news.symbol}"
    if news.order_lots > track.order_lots:
        return f"{news.order_lots} lots, not {track.order_lots}"
    if track.limit and news.price_ticks and news.price_ticks != track.limit:
        return f"a limit of {news.price_ticks} ticks, not {track.limit}"
    if news.created_ns and news.created_ns + NS < track.sent_ns:
        return f"made {(track.sent_ns - news.created_ns) / NS:.1f} s before ours was sent"
    return ""


def _not_ours(track: _Track, other: str) -> RequestFailed:
    text = f"the lookup of {track.cl_ord_id} found another order under its id: {other}"
    return RequestFailed(
        cl_ord_id=track.cl_ord_id, request=Request.QUERY, reach=Reach.IN_DOUBT, code="other_order", text=text
    )


def _failed(verdict: Verdict, request: Request, reach: Reach, cl_ord_id: ClOrdId) -> RequestFailed:
    return RequestFailed(cl_ord_id=cl_ord_id, request=request, reach=reach, code=verdict.code, text=verdict.text)


def _report(
    track: _Track,
    news: OrderNews,
    exec_type: ExecType,
    *,
    cum_lots: int = -1,
    exec_id: ExecId = ExecId(""),  # noqa: B008 - a NewType is its argument
    last_lots: int = 0,
    last_ticks: int = 0,
    is_maker: bool | None = None,
    fee_atoms: int | None = None,
    fee_asset: str = "",
    fee_source: FeeSource | None = None,
) -> ExecutionReport:
    return ExecutionReport(
        venue=VENUE,
        symbol=track.symbol,
        cl_ord_id=track.cl_ord_id,
        exec_type=exec_type,
        provenance=news.source,
        venue_order_id=track.order_id,
        venue_ns=news.venue_ns,
        recv_ns=news.recv_ns,
        exec_id=exec_id,
        last_lots=last_lots,
        last_ticks=last_ticks,
        is_maker=is_maker,
        fee_atoms=fee_atoms,
        fee_asset=fee_asset,
        fee_source=fee_source,
        cum_lots=cum_lots,
        avg_hticks=_hticks(news) if cum_lots >= 0 and cum_lots == news.cum_lots else 0,
        ord_status=OrdStatus.EXPIRED if exec_type is ExecType.EXPIRED else None,
    )


def _status(track: _Track, news: OrderNews, cum_lots: int) -> ExecutionReport:
    return ExecutionReport(
        venue=VENUE,
        symbol=track.symbol,
        cl_ord_id=track.cl_ord_id,
        exec_type=ExecType.STATUS,
        provenance=news.source,
        venue_order_id=track.order_id,
        venue_ns=news.venue_ns,
        recv_ns=news.recv_ns,
        cum_lots=cum_lots,
        avg_hticks=_hticks(news) if cum_lots == news.cum_lots else 0,
        order_lots=news.order_lots,
        price_ticks=news.price_ticks,
        # An answer may be older than the end that a push has told meanwhile.
        ord_status=track.end or (news.status if news.final or news.status in _OPEN else None),
    )


def _hticks(news: OrderNews) -> int:
    return max(0, round(2 * news.avg_ticks))


def _parts(track: _Track, news: OrderNews, lots: int, *, on_tick: bool) -> list[tuple[int, int]]:
    """(lots, ticks) of a fill whose price only the averages tell, cheapest for the venue's book first.

    An average that lies on a tick may have been rounded to it, by half a tick for each lot so far; the one before it
    too. Of the prices that leaves, the one nearest to the average is taken.
    """
    average = news.avg_ticks
    slack = _HALF * (track.rounded + (news.cum_lots if on_tick else 0)) / lots
    middle = (average * news.cum_lots - track.value) / lots
    price = min(max(average, middle - slack), middle + slack)
    if track.limit:
        price = min(price, Decimal(track.limit)) if track.side is Side.BUY else max(price, Decimal(track.limit))
    value = max(lots, int((price * lots).to_integral_value()))
    low, above = divmod(value, lots)
    parts = [(lots - above, low), (above, low + 1)]
    if track.side is Side.SELL:
        parts.reverse()
    return [part for part in parts if part[0]]


def _shares(total: int, weights: list[int]) -> list[int]:
    """`total` in whole numbers, by weight; they add up to it exactly."""
    shares: list[int] = []
    left, weight_left = total, sum(weights)
    for weight in weights:
        share = left * weight // weight_left
        shares.append(share)
        left -= share
        weight_left -= weight
    return shares
