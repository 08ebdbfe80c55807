"""A matching engine written to be obviously right: one flat list, sorted anew for every single trade.

Shares no code and no structure with `venues.matching`. Fill-or-kill is decided by doing it on a copy.
"""

import copy
from dataclasses import dataclass, field


@dataclass
class NaiveOrder:
    number: int
    account: str
    side: int
    price: int
    total: int
    leaves: int
    seq: int
    reduce_only: bool
    post_only: bool
    filled: int = 0


@dataclass
class NaiveLedger:
    position: int = 0
    cost: int = 0
    fees: int = 0


@dataclass
class NaiveVenue:
    """Rules by name: `self_trade` per account; the others as in `venues.matching.rules`."""

    self_trade: dict[str, str]
    maker_rate: int
    taker_rate: int
    fee_unit: int
    keeps_priority: bool
    amend_to_filled_cancels: bool
    amend_would_take_cancels: bool
    clips: bool
    resting: list[NaiveOrder] = field(default_factory=list)
    trades: list[tuple[int, int, int, int]] = field(default_factory=list)
    ledgers: dict[str, NaiveLedger] = field(default_factory=dict)
    seq: int = 0

    def __post_init__(self) -> None:
        self.ledgers = {name: NaiveLedger() for name in self.self_trade}

    def queue(self, side: int) -> list[NaiveOrder]:
        """Resting orders of one side in the order in which they would trade."""
        return sorted((o for o in self.resting if o.side == side), key=lambda o: (-side * o.price, o.seq))

    def reducible(self, account: str, side: int) -> int:
        return max(0, -side * self.ledgers[account].position)

    def place(
        self,
        number: int,
        account: str,
        side: int,
        kind: str,
        *,
        total: int,
        price: int,
        post_only: bool,
        reduce_only: bool,
    ) -> str:
        """`kind` is market, gtc, ioc or fok. Returns the word for the answer."""
        against = self.queue(-side)
        if kind == "market" and not against:
            return "no_liquidity"
        if post_only and kind != "gtc":
            return "bad_terms"
        limit = price if kind != "market" else side * 10**9
        room = self.reducible(account, side)
        if reduce_only:
            if room == 0:
                return "nothing_to_reduce"
            if total > room and not self.clips:
                return "bad_terms"
        if post_only and against and side * (limit - against[0].price) >= 0:
            return "would_take"
        may_do = min(total, room) if reduce_only else total
        self.seq += 1
        order = NaiveOrder(number, account, side, limit, total, may_do, self.seq, reduce_only, post_only)
        if kind == "gtc":
            order.total = may_do
        if kind == "fok":
            trial = copy.deepcopy(self)
            attempt = copy.deepcopy(order)
            trial.match(attempt)
            if attempt.filled < total:
                return "accepted"
        if self.match(order) and kind == "gtc" and order.leaves:
            self.resting.append(order)
        return "accepted"

    def match(self, taker: NaiveOrder) -> bool:
        """False when self-trade prevention ended the taker."""
        while taker.leaves:
            against = self.queue(-taker.side)
            if not against or taker.side * (taker.price - against[0].price) < 0:
                break
            maker = against[0]
            rule = self.self_trade[taker.account]
            if maker.account == taker.account and rule != "allowed":
                if rule in {"cancel_maker", "cancel_both"}:
                    self.resting.remove(maker)
                if rule in {"cancel_taker", "cancel_both"}:
                    taker.leaves = 0
                    return False
                continue
            self.trade(taker, maker)
        return True

    def trade(self, taker: NaiveOrder, maker: NaiveOrder) -> None:
        lots = min(taker.leaves, maker.leaves)
        self.trades.append((taker.number, maker.number, maker.price, lots))
        for order, rate in ((taker, self.taker_rate), (maker, self.maker_rate)):
            order.filled += lots
            order.leaves -= lots
            ledger = self.ledgers[order.account]
            ledger.position += order.side * lots
            ledger.cost += order.side * lots * maker.price
            ledger.fees += lots * maker.price * self.fee_unit * rate
        self.resting = [o for o in self.resting if o.leaves]
        for order in list(self.resting):
            if order.reduce_only:
                room = self.reducible(order.account, order.side)
                order.total -= max(0, order.leaves - room)
                order.leaves = min(order.leaves, room)
        self.resting = [o for o in self.resting if o.leaves]

    def cancel(self, number: int) -> str:
        before = len(self.resting)
        self.resting = [o for o in self.resting if o.number != number]
        return "canceled" if len(self.resting) < before else "cancel_rejected"

    def amend(self, number: int, *, total: int, price: int) -> str:
        found = [o for o in self.resting if o.number == number]
        if not found:
            return "too_late"
        order = found[0]
        if total <= order.filled:
            return self.cancel(number) if self.amend_to_filled_cancels else "bad_terms"
        leaves = total - order.filled
        if order.reduce_only:
            room = self.reducible(order.account, order.side)
            if leaves > room and not self.clips:
                return "bad_terms"
            leaves = min(leaves, room)
        against = self.queue(-order.side)
        if order.post_only and against and order.side * (price - against[0].price) >= 0:
            return self.cancel(number) if self.amend_would_take_cancels else "would_take"
        same = price == order.price
        keeps = same and (leaves == order.leaves or (leaves < order.leaves and self.keeps_priority))
        order.leaves, order.total, order.price = leaves, order.filled + leaves, price
        if keeps:
            return "amended"
        self.seq += 1
        order.seq = self.seq
        self.resting.remove(order)
        if self.match(order) and order.leaves:
            self.resting.append(order)
        return "amended"
