"""Price-time matching of one instrument: pure, no clock, no randomness; requests in, events out.

- A trade is made at the resting order's price; at one price the oldest order trades first.
- MARKET, IOC and FOK never rest: what they cannot do at once expires. FOK does all or nothing.
- Post-only is refused when it would take anything, its owner's orders included.
- Reduce-only never opens or flips a position: every resting reduce-only order is at most as large as the position it
  reduces, and is cut or cancelled in the same step in which the position shrinks. Several may add up to more.
- An amend is judged first and then carried out; lowering the quantity keeps the queue place if the rules say so,
  everything else goes to the back, or matches when its new price crosses.
- Self-trade prevention by the taker's account, between accounts of one owner.

It promises no order ids, no scopes of client ids, no rate limits and no margin: those are the venue's around it.
"""

from __future__ import annotations

from fractions import Fraction

from sor.adapter import SelfTrade
from sor.instruments import Instrument
from sor.market import Levels
from sor.orders import OrdType, RejectKind, Side, Tif
from sor.units import RATE_E8
from venues.matching.book import BookSide
from venues.matching.events import (
    Accepted,
    Amended,
    AmendRejected,
    Canceled,
    CancelRejected,
    Cause,
    Event,
    Expired,
    Rejected,
    Resized,
    Trade,
)
from venues.matching.orders import Account, Order
from venues.matching.rules import FailedAmend, Oversize, Rules

# Enum members looked up once: on the interpreters we support that costs more than the comparison.
_BUY = Side.BUY
_MARKET = OrdType.MARKET
_GTC, _FOK, _GTD = Tif.GTC, Tif.FOK, Tif.GTD
_ALLOWED, _CANCEL_TAKER, _CANCEL_MAKER = SelfTrade.ALLOWED, SelfTrade.CANCEL_TAKER, SelfTrade.CANCEL_MAKER
_ANY_PRICE = -(1 << 62)


class Engine:
    """The book and the trades of one instrument.

    instrument    steps, minimums and money units; fee rates come from each account.
    last_ticks    price of the latest trade, 0 before the first.
    fees_atoms    all fees collected so far.
    n_trades      the latest trade id.
    """

    __slots__ = (
        "_asks",
        "_bids",
        "_fee_atoms",
        "_least_value",
        "_max_lots",
        "_min_lots",
        "_rules",
        "fees_atoms",
        "instrument",
        "last_ticks",
        "n_trades",
    )

    def __init__(self, instrument: Instrument, rules: Rules | None = None, *, tracks_levels: bool = False) -> None:
        """`tracks_levels` remembers which levels changed until `changes` is called; leave it off if nobody will."""
        self.instrument = instrument
        self.last_ticks = 0
        self.fees_atoms = 0
        self.n_trades = 0
        self._rules = rules or Rules()
        self._bids = BookSide(sign=1)
        self._asks = BookSide(sign=-1)
        self._fee_atoms = instrument.fee_atoms
        self._min_lots = instrument.min_qty_lots
        self._max_lots = instrument.max_qty_lots or 1 << 62
        self._least_value = _least_value(instrument)
        self.track_levels(on=tracks_levels)

    def track_levels(self, *, on: bool) -> None:
        """Start or stop remembering which levels changed."""
        for side in (self._bids, self._asks):
            side.tracks = on
            side.dirty.clear()

    @property
    def best_bid(self) -> int:
        """Highest bid in ticks, 0 while there is none."""
        keys = self._bids.keys
        return keys[-1] if keys else 0

    @property
    def best_ask(self) -> int:
        """Lowest ask in ticks, 0 while there is none."""
        keys = self._asks.keys
        return -keys[-1] if keys else 0

    def lots_at(self, side: Side, price_ticks: int) -> int:
        """What rests at one price of one side."""
        book = self._bids if side is Side.BUY else self._asks
        level = book.levels.get(book.sign * price_ticks)
        return 0 if level is None else level.lots

    def depth(self, n_levels: int) -> tuple[Levels, Levels]:
        """Up to `n_levels` > 0 of bids and of asks, each (price_ticks, qty_lots), best first."""
        return self._bids.top(n_levels), self._asks.top(n_levels)

    def changes(self) -> tuple[Levels, Levels]:
        """Bid and ask levels changed since the last call with their present size, 0 where gone, best first."""
        return self._bids.changes(), self._asks.changes()

    def lots_ahead(self, order: Order) -> int:
        """Lots that must trade before a resting order does: better levels and older orders at its own."""
        level = order.level
        assert level is not None, "only a resting order has a place in the queue"
        side = self._bids if order.sign > 0 else self._asks
        lots = 0
        for key in reversed(side.keys):
            if key == level.key:
                break
            lots += side.levels[key].lots
        older = order.older
        while older is not None:
            lots += older.leaves_lots
            older = older.older
        return lots

    def place(self, order: Order, *, now_ns: int) -> list[Event]:
        """Take a new order: Rejected; or Accepted, its trades, and Expired for what may not rest.

        order     never placed before. Events of other orders (their trades, self-trade cancels, reduce-only cuts)
                  stand where they happened.
        """
        assert order.level is None, "an order object is placed once"
        order.leaves_lots = order.order_lots
        order.sign = sign = 1 if order.side is _BUY else -1
        account = order.account
        opposite = self._asks if sign > 0 else self._bids
        keys = opposite.keys
        price_ticks = order.price_ticks
        if order.ord_type is _MARKET:
            rests = False
            floor = _ANY_PRICE
            price_ticks = opposite.sign * keys[-1] if keys else 0
        else:
            rests = order.tif is _GTC
            floor = -sign * price_ticks
        refusal = self._refusal(order, price_ticks, has_opposite=bool(keys))
        if refusal is not None:
            return self._reject(order, refusal, now_ns)
        crosses = bool(keys) and keys[-1] >= floor
        if crosses and order.post_only:
            return self._reject(order, (RejectKind.WOULD_TAKE, "post-only order would take"), now_ns)
        out: list[Event] = []
        if not account.silent:
            out.append(Accepted(order=order, ts_ns=now_ns))
        if order.reduce_only:
            reducible_lots = -sign * account.position_lots
            if order.leaves_lots > reducible_lots:
                order.leaves_lots = reducible_lots
                if rests:
                    order.order_lots = reducible_lots
                    out.append(Resized(order=order, ts_ns=now_ns, order_lots=reducible_lots))
        if order.tif is _FOK and not self._can_fill(order, floor):
            order.leaves_lots = 0
        elif crosses and self._match(order, opposite, floor, out, now_ns):
            return out
        if rests:
            if order.leaves_lots:
                self._rest(order)
        else:
            order.leaves_lots = 0
            undone_lots = order.order_lots - order.filled_lots
            if undone_lots and not account.silent:
                out.append(Expired(order=order, ts_ns=now_ns, expired_lots=undone_lots))
        return out

    def cancel(self, order: Order, *, now_ns: int, cause: Cause = Cause.REQUEST) -> list[Event]:
        """Take an order off the book: Canceled, or CancelRejected when it does not rest any more."""
        if order.level is None:
            return [CancelRejected(order=order, ts_ns=now_ns)]
        out: list[Event] = []
        self._withdraw(order, cause, out, now_ns)
        return out

    def amend(self, order: Order, *, qty_lots: int, price_ticks: int, now_ns: int) -> list[Event]:
        """Give a resting order a new total quantity and price: AmendRejected; Canceled; or Amended and its trades."""
        out: list[Event] = []
        if order.level is None:
            kind, text = RejectKind.TOO_LATE, "the order does not rest any more"
            out.append(AmendRejected(order=order, ts_ns=now_ns, kind=kind, text=text))
            return out
        refusal = self._amend_refusal(order, qty_lots, price_ticks)
        if refusal is not None:
            kind, text, fate = refusal
            if fate is FailedAmend.CANCEL:
                self._withdraw(order, Cause.AMEND, out, now_ns)
            else:
                out.append(AmendRejected(order=order, ts_ns=now_ns, kind=kind, text=text))
            return out
        leaves_lots = qty_lots - order.filled_lots
        if order.reduce_only:
            leaves_lots = min(leaves_lots, -order.sign * order.account.position_lots)
        order_lots = order.filled_lots + leaves_lots
        less_lots = order.leaves_lots - leaves_lots
        side = self._bids if order.sign > 0 else self._asks
        stays = price_ticks == order.price_ticks and (
            less_lots == 0 or (less_lots > 0 and self._rules.size_down_keeps_priority)
        )
        out.append(
            Amended(order=order, ts_ns=now_ns, order_lots=order_lots, price_ticks=price_ticks, kept_priority=stays)
        )
        order.order_lots = order_lots
        if stays:
            if less_lots:
                side.cut(order, less_lots)
            return out
        side.remove(order)
        order.price_ticks = price_ticks
        order.leaves_lots = leaves_lots
        if order.reduce_only:
            del order.account.reducing[order.order_id]
        opposite = self._asks if order.sign > 0 else self._bids
        ended = self._match(order, opposite, opposite.sign * price_ticks, out, now_ns)
        if not ended and order.leaves_lots:
            self._rest(order)
        return out

    def _refusal(self, order: Order, price_ticks: int, *, has_opposite: bool) -> tuple[RejectKind, str] | None:
        """Why a new order is not valid, or None. `price_ticks` values it: its own, or the best it would meet."""
        lots = order.order_lots
        if lots < self._min_lots:
            return RejectKind.BAD_TERMS, f"quantity {lots} lots is below the minimum of {self._min_lots}"
        if lots > self._max_lots:
            return RejectKind.BAD_TERMS, f"quantity {lots} lots is above the maximum of {self._max_lots}"
        if order.ord_type is _MARKET:
            if not has_opposite:
                return RejectKind.NO_LIQUIDITY, "nothing rests on the other side"
        elif price_ticks <= 0:
            return RejectKind.BAD_TERMS, f"price {price_ticks} ticks is not positive"
        elif order.tif is _GTD:
            return RejectKind.BAD_TERMS, "good-till-date is not offered"
        if order.post_only and (order.ord_type is _MARKET or order.tif is not _GTC):
            return RejectKind.BAD_TERMS, "a post-only order must be able to rest"
        if order.reduce_only:
            reducible_lots = -order.sign * order.account.position_lots
            if reducible_lots <= 0:
                return RejectKind.NOTHING_TO_REDUCE, "there is no position that it would reduce"
            if lots > reducible_lots and self._rules.reduce_only_oversize is Oversize.REFUSE:
                return RejectKind.BAD_TERMS, f"reduce-only for {lots} lots with {reducible_lots} to reduce"
            if self._rules.reduce_only_any_notional:
                return None
        if self._value(lots, price_ticks) < self._least_value:
            return RejectKind.BAD_TERMS, "value is below the minimum notional"
        return None

    def _amend_refusal(
        self, order: Order, qty_lots: int, price_ticks: int
    ) -> tuple[RejectKind, str, FailedAmend] | None:
        """Why an amend cannot be carried out and what becomes of the order then, or None."""
        keep = FailedAmend.KEEP
        if price_ticks <= 0:
            return RejectKind.BAD_TERMS, f"price {price_ticks} ticks is not positive", keep
        if qty_lots <= order.filled_lots:
            text = f"quantity {qty_lots} lots is no more than the {order.filled_lots} filled"
            return RejectKind.BAD_TERMS, text, self._rules.amend_to_filled
        if not self._min_lots <= qty_lots <= self._max_lots:
            return RejectKind.BAD_TERMS, f"quantity {qty_lots} lots is out of bounds", keep
        leaves_lots = qty_lots - order.filled_lots
        if order.reduce_only:
            reducible_lots = -order.sign * order.account.position_lots
            if leaves_lots > reducible_lots and self._rules.reduce_only_oversize is Oversize.REFUSE:
                return RejectKind.BAD_TERMS, f"reduce-only for more than the {reducible_lots} lots to reduce", keep
        exempt = order.reduce_only and self._rules.reduce_only_any_notional
        if not exempt and self._value(qty_lots, price_ticks) < self._least_value:
            return RejectKind.BAD_TERMS, "value is below the minimum notional", keep
        keys = (self._asks if order.sign > 0 else self._bids).keys
        if order.post_only and keys and keys[-1] >= -order.sign * price_ticks:
            return RejectKind.WOULD_TAKE, "post-only order would take", self._rules.amend_would_take
        return None

    def _value(self, lots: int, price_ticks: int) -> int:
        """Order value in the unit of `_least_value`."""
        return lots if self.instrument.inverse else lots * price_ticks

    def _reject(self, order: Order, refusal: tuple[RejectKind, str], now_ns: int) -> list[Event]:
        order.leaves_lots = 0
        kind, text = refusal
        return [Rejected(order=order, ts_ns=now_ns, kind=kind, text=text)]

    def _rest(self, order: Order) -> None:
        (self._bids if order.sign > 0 else self._asks).add(order)
        if order.reduce_only:
            order.account.reducing[order.order_id] = order

    def _withdraw(self, order: Order, cause: Cause, out: list[Event], now_ns: int) -> None:
        """End a resting order."""
        (self._bids if order.sign > 0 else self._asks).remove(order)
        if order.reduce_only:
            del order.account.reducing[order.order_id]
        lots, order.leaves_lots = order.leaves_lots, 0
        if not order.account.silent:
            out.append(Canceled(order=order, ts_ns=now_ns, canceled_lots=lots, cause=cause))

    def _match(self, taker: Order, opposite: BookSide, floor: int, out: list[Event], now_ns: int) -> bool:
        """Trade `taker` with levels whose key is at least `floor`. True when self-trade prevention ended it."""
        account = taker.account
        owner = account.owner
        prevents = account.self_trade is not _ALLOWED
        fee_atoms = self._fee_atoms
        taker_rate = account.taker_fee_e8
        sign = taker.sign
        keys, levels = opposite.keys, opposite.levels
        while taker.leaves_lots and keys and keys[-1] >= floor:
            # Read anew each time round: a reduce-only cut may have taken the next order, or its whole level, away.
            level = levels[keys[-1]]
            maker = level.head
            assert maker is not None
            other = maker.account
            if prevents and other.owner == owner:
                if self._prevent_self_trade(taker, maker, out, now_ns):
                    return True
                continue
            wanted_lots, offered_lots = taker.leaves_lots, maker.leaves_lots
            ticks = maker.price_ticks
            if wanted_lots < offered_lots:
                lots = wanted_lots
                opposite.cut(maker, lots)
            else:
                lots = offered_lots
                opposite.remove(maker)
                maker.leaves_lots = 0
                if maker.reduce_only:
                    del other.reducing[maker.order_id]
            taker.leaves_lots = wanted_lots - lots
            taker.filled_lots += lots
            maker.filled_lots += lots
            signed = sign * lots
            account.position_lots += signed
            other.position_lots -= signed
            signed *= ticks
            account.cost_lot_ticks += signed
            other.cost_lot_ticks -= signed
            taker_fee = fee_atoms(lots, ticks, taker_rate) if taker_rate else 0
            maker_fee = fee_atoms(lots, ticks, other.maker_fee_e8) if other.maker_fee_e8 else 0
            account.fees_atoms += taker_fee
            other.fees_atoms += maker_fee
            self.fees_atoms += taker_fee + maker_fee
            self.last_ticks = ticks
            self.n_trades = trade_id = self.n_trades + 1
            out.append(
                Trade(
                    trade_id=trade_id,
                    ts_ns=now_ns,
                    price_ticks=ticks,
                    lots=lots,
                    taker=taker,
                    maker=maker,
                    taker_cum_lots=taker.filled_lots,
                    maker_cum_lots=maker.filled_lots,
                    taker_fee_atoms=taker_fee,
                    maker_fee_atoms=maker_fee,
                )
            )
            if account.reducing:
                self._cut_to_position(account, out, now_ns)
            if other.reducing:
                self._cut_to_position(other, out, now_ns)
        return False

    def _prevent_self_trade(self, taker: Order, maker: Order, out: list[Event], now_ns: int) -> bool:
        """Cancel by the taker's rule instead of trading. True when the taker ended."""
        rule = taker.account.self_trade
        if rule is not _CANCEL_TAKER:
            self._withdraw(maker, Cause.SELF_TRADE, out, now_ns)
        if rule is _CANCEL_MAKER:
            return False
        lots, taker.leaves_lots = taker.leaves_lots, 0
        if not taker.account.silent:
            out.append(Canceled(order=taker, ts_ns=now_ns, canceled_lots=lots, cause=Cause.SELF_TRADE))
        return True

    def _cut_to_position(self, account: Account, out: list[Event], now_ns: int) -> None:
        """Cut or cancel each resting reduce-only order that is larger than what it may still reduce."""
        for order in list(account.reducing.values()):
            reducible_lots = -order.sign * account.position_lots
            over_lots = order.leaves_lots - reducible_lots
            if over_lots <= 0:
                continue
            if reducible_lots <= 0:
                self._withdraw(order, Cause.REDUCE_ONLY, out, now_ns)
                continue
            (self._bids if order.sign > 0 else self._asks).cut(order, over_lots)
            order.order_lots -= over_lots
            out.append(Resized(order=order, ts_ns=now_ns, order_lots=order.order_lots))

    def _can_fill(self, taker: Order, floor: int) -> bool:
        """Whether all of a fill-or-kill order would trade at once: a dry run with self-trades and reduce-only cuts."""
        wanted_lots = taker.order_lots
        if taker.leaves_lots < wanted_lots:
            return False
        opposite = self._asks if taker.sign > 0 else self._bids
        rule = taker.account.self_trade
        # Positions of those whose reduce-only orders may be cut on the way; by name, in order of first appearance.
        positions: dict[str, int] = {}
        for key in reversed(opposite.keys):
            if key < floor:
                break
            maker = opposite.levels[key].head
            while maker is not None:
                other = maker.account
                if rule is not _ALLOWED and other.owner == taker.account.owner:
                    if rule is not _CANCEL_MAKER:
                        return False
                    maker = maker.newer
                    continue
                position_lots = positions.get(other.name, other.position_lots)
                lots = maker.leaves_lots
                if maker.reduce_only:
                    lots = min(lots, max(0, -maker.sign * position_lots))
                lots = min(lots, wanted_lots)
                wanted_lots -= lots
                if not wanted_lots:
                    return True
                if other is not taker.account:
                    positions[other.name] = position_lots + maker.sign * lots
                maker = maker.newer
        return False


def _least_value(instrument: Instrument) -> int:
    """Smallest whole lot-ticks (lots when inverse) whose notional reaches the instrument's minimum."""
    atoms = Fraction(instrument.min_notional) * 10**instrument.money_exp
    return -int(-atoms // (instrument.unit_atoms * RATE_E8))
