"""The matching engine against a naive one, and what must hold whatever happens."""

import random
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sor.adapter import SelfTrade
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.orders import OrdType, Side, Tif
from tests.property.naive_matching import NaiveVenue
from venues.matching.engine import Engine
from venues.matching.events import (
    Accepted,
    Amended,
    AmendRejected,
    Canceled,
    CancelRejected,
    Event,
    Expired,
    Rejected,
    Resized,
    Trade,
)
from venues.matching.orders import Account, Order
from venues.matching.rules import FailedAmend, Oversize, Rules

NAMES = ("ann", "bob", "cat")
MAKER_RATE, TAKER_RATE = -5_000, 50_000
INSTRUMENT = Instrument(
    symbol=Symbol("BTCUSDT"), venue=VenueName("test"), tick_size=Decimal("0.5"), lot_size=Decimal("0.01")
)


class Place(msgspec.Struct, frozen=True):
    account: str
    side: Side
    kind: str
    lots: int
    price: int
    post_only: bool
    reduce_only: bool


class Cancel(msgspec.Struct, frozen=True):
    number: int


class Amend(msgspec.Struct, frozen=True):
    number: int
    lots: int
    price: int


prices = st.integers(99, 102)
lots = st.integers(1, 9)
places = st.builds(
    Place,
    account=st.sampled_from(NAMES),
    side=st.sampled_from(list(Side)),
    kind=st.sampled_from(["gtc", "gtc", "gtc", "gtc", "market", "ioc", "fok"]),
    lots=lots,
    price=prices,
    post_only=st.sampled_from([False, False, False, True]),
    reduce_only=st.sampled_from([False, False, True]),
)
# Numbers count back from the newest order, so that requests mostly meet orders that are still there.
requests = st.one_of(
    places,
    places,
    places,
    st.builds(Cancel, number=st.integers(1, 12)),
    st.builds(Amend, number=st.integers(1, 12), lots=st.integers(1, 12), price=prices),
)
# Lists of a smaller least size come out short on the whole, and positions need a few trades to build up.
streams = st.lists(requests, min_size=25, max_size=60)
rules = st.builds(
    Rules,
    size_down_keeps_priority=st.booleans(),
    amend_to_filled=st.sampled_from(FailedAmend),
    amend_would_take=st.sampled_from(FailedAmend),
    reduce_only_oversize=st.sampled_from(Oversize),
)
self_trades = st.fixed_dictionaries({name: st.sampled_from(SelfTrade) for name in NAMES})


def order_of(number: int, request: Place, account: Account) -> Order:
    is_market = request.kind == "market"
    return Order(
        number,
        account,
        request.side,
        OrdType.MARKET if is_market else OrdType.LIMIT,
        request.lots,
        0 if is_market else request.price,
        Tif.GTC if is_market else Tif(request.kind),
        post_only=request.post_only,
        reduce_only=request.reduce_only,
    )


def answer_word(event: Event) -> str:
    match event:
        case Accepted():
            return "accepted"
        case Rejected(kind=kind) | AmendRejected(kind=kind):
            return kind.value
        case Canceled():
            return "canceled"
        case CancelRejected():
            return "cancel_rejected"
        case Amended():
            return "amended"
        case _:
            raise AssertionError(f"{event} is no answer")


class Run:
    """One stream of requests through the engine, with everything it said."""

    def __init__(self, rules: Rules, self_trade: dict[str, SelfTrade]) -> None:
        self.engine = Engine(INSTRUMENT, rules, tracks_levels=True)
        self.accounts = {
            name: Account(name, maker_fee_e8=MAKER_RATE, taker_fee_e8=TAKER_RATE, self_trade=self_trade[name])
            for name in NAMES
        }
        self.orders: dict[int, Order] = {}
        self.trades: list[Trade] = []

    def do(self, now_ns: int, request: Place | Cancel | Amend) -> list[Event]:
        if isinstance(request, Place):
            number = len(self.orders) + 1
            order = self.orders[number] = order_of(number, request, self.accounts[request.account])
            events = self.engine.place(order, now_ns=now_ns)
        elif isinstance(request, Cancel):
            events = self.engine.cancel(self.orders[self.number(request.number)], now_ns=now_ns)
        else:
            order = self.orders[self.number(request.number)]
            events = self.engine.amend(order, qty_lots=request.lots, price_ticks=request.price, now_ns=now_ns)
        self.trades += [event for event in events if isinstance(event, Trade)]
        return events

    def number(self, back: int) -> int:
        return max(1, len(self.orders) + 1 - back)

    def queue(self, side: Side) -> list[tuple[int, int, int, int]]:
        """(number, price, leaves, total) of resting orders in the order in which they would trade."""
        resting = [order for order in self.orders.values() if order.level is not None and order.side is side]
        resting.sort(key=self.engine.lots_ahead)
        return [(order.order_id, order.price_ticks, order.leaves_lots, order.order_lots) for order in resting]


def check_against_naive(stream: list[Place | Cancel | Amend], rules: Rules, self_trade: dict[str, SelfTrade]) -> None:
    """Both engines give the same answers, trades, queues and ledgers after every request."""
    run = Run(rules, self_trade)
    naive = NaiveVenue(
        self_trade={name: rule.value for name, rule in self_trade.items()},
        maker_rate=MAKER_RATE,
        taker_rate=TAKER_RATE,
        fee_unit=INSTRUMENT.unit_atoms,
        keeps_priority=rules.size_down_keeps_priority,
        amend_to_filled_cancels=rules.amend_to_filled is FailedAmend.CANCEL,
        amend_would_take_cancels=rules.amend_would_take is FailedAmend.CANCEL,
        clips=rules.reduce_only_oversize is Oversize.CLIP,
    )
    for now_ns, request in enumerate(stream):
        if not isinstance(request, Place) and not run.orders:
            continue
        events = run.do(now_ns, request)
        if isinstance(request, Place):
            said = naive.place(
                len(run.orders),
                request.account,
                request.side.value,
                request.kind,
                total=request.lots,
                price=request.price,
                post_only=request.post_only,
                reduce_only=request.reduce_only,
            )
        elif isinstance(request, Cancel):
            said = naive.cancel(run.number(request.number))
        else:
            said = naive.amend(run.number(request.number), total=request.lots, price=request.price)
        assert answer_word(events[0]) == said
        assert [(t.taker.order_id, t.maker.order_id, t.price_ticks, t.lots) for t in run.trades] == naive.trades
        for side in Side:
            queue = [(o.number, o.price, o.leaves, o.total) for o in naive.queue(side.value)]
            assert run.queue(side) == queue
        for name, account in run.accounts.items():
            ledger = naive.ledgers[name]
            assert (account.position_lots, account.cost_lot_ticks, account.fees_atoms) == (
                ledger.position,
                ledger.cost,
                ledger.fees,
            )


@settings(max_examples=60)
@given(stream=streams, rules=rules, self_trade=self_trades)
def test_agrees_with_the_naive_engine(
    stream: list[Place | Cancel | Amend], rules: Rules, self_trade: dict[str, SelfTrade]
) -> None:
    check_against_naive(stream, rules, self_trade)


@pytest.mark.parametrize("seed", range(24))
def test_agrees_with_the_naive_engine_on_long_streams(seed: int) -> None:
    # Reduce-only orders and fill-or-kill meet only in markets that have gone on for a while.
    rng = random.Random(seed)

    def draw() -> Place | Cancel | Amend:
        what = rng.random()
        if what < 0.1:
            return Cancel(rng.randint(1, 20))
        if what < 0.3:
            return Amend(rng.randint(1, 20), rng.randint(1, 15), rng.randint(99, 102))
        return Place(
            account=rng.choice(NAMES),
            side=rng.choice(list(Side)),
            kind=rng.choice(["gtc", "gtc", "gtc", "gtc", "gtc", "market", "ioc", "fok", "fok"]),
            lots=rng.randint(1, 9),
            price=rng.randint(99, 102),
            post_only=rng.random() < 0.2,
            reduce_only=rng.random() < 0.4,
        )

    rules = Rules(
        size_down_keeps_priority=rng.random() < 0.5,
        amend_to_filled=rng.choice(list(FailedAmend)),
        amend_would_take=rng.choice(list(FailedAmend)),
        reduce_only_oversize=rng.choice([Oversize.CLIP, Oversize.CLIP, Oversize.REFUSE]),
    )
    check_against_naive([draw() for _ in range(250)], rules, {name: rng.choice(list(SelfTrade)) for name in NAMES})


@settings(max_examples=50)
@given(stream=streams, rules=rules, self_trade=self_trades)
def test_conserves_quantity_and_money(
    stream: list[Place | Cancel | Amend], rules: Rules, self_trade: dict[str, SelfTrade]
) -> None:
    run = Run(rules, self_trade)
    engine = run.engine
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for now_ns, request in enumerate(stream):
        if not isinstance(request, Place) and not run.orders:
            continue
        before = {name: account.position_lots for name, account in run.accounts.items()}
        events = run.do(now_ns, request)

        bid, ask = engine.best_bid, engine.best_ask
        assert not bid or not ask or bid < ask, "crossed or locked"

        accounts = run.accounts.values()
        assert sum(account.position_lots for account in accounts) == 0
        assert sum(account.cost_lot_ticks for account in accounts) == 0
        assert sum(account.fees_atoms for account in accounts) == engine.fees_atoms
        assert [trade.trade_id for trade in run.trades] == list(range(1, engine.n_trades + 1))

        for order in run.orders.values():
            filled = sum(t.lots * ((t.taker is order) + (t.maker is order)) for t in run.trades)
            assert filled == order.filled_lots <= order.order_lots
            assert order.leaves_lots == (order.order_lots - filled if order.level is not None else 0)
            if order.level is not None and order.reduce_only:
                assert order.leaves_lots <= -order.sign * order.account.position_lots

        # A reduce-only order never opens or flips: its own trades move the position towards zero, never past it.
        if isinstance(request, Place) and request.reduce_only:
            was, now = before[request.account], run.accounts[request.account].position_lots
            assert min(0, was) <= now <= max(0, was)

        for event in events:
            match event:
                case Expired(order=order, expired_lots=expired):
                    assert expired == order.order_lots - order.filled_lots > 0
                case Canceled(canceled_lots=canceled):
                    assert canceled > 0
                case Resized(order=order):
                    assert order.reduce_only
                case _:
                    pass

        for book, changed in zip((bids, asks), engine.changes(), strict=True):
            for price, size in changed:
                book[price] = size
                if not size:
                    del book[price]
        deep_bids, deep_asks = engine.depth(100)
        assert dict(deep_bids) == bids
        assert dict(deep_asks) == asks
        assert list(deep_bids) == sorted(deep_bids, reverse=True)
        assert list(deep_asks) == sorted(deep_asks)


@settings(max_examples=50)
@given(stream=streams, rules=rules)
def test_the_oldest_order_at_the_best_price_trades_first(stream: list[Place | Cancel | Amend], rules: Rules) -> None:
    run = Run(rules, dict.fromkeys(NAMES, SelfTrade.ALLOWED))
    for now_ns, request in enumerate(stream):
        if not isinstance(request, Place) and not run.orders:
            continue
        before = {side: run.queue(side) for side in Side}
        events = run.do(now_ns, request)
        trades = [event for event in events if isinstance(event, Trade)]
        if not trades:
            continue
        queue = before[trades[0].maker.side]
        # Makers are met in the order of the queue; who was cut away by a reduce-only rule on the way may be missing.
        numbers = [number for number, *_ in queue]
        met = [numbers.index(trade.maker.order_id) for trade in trades]
        assert met == sorted(set(met))
        cut = {event.order.order_id for event in events if isinstance(event, Canceled)}
        assert {numbers[i] for i in range(met[-1])} - cut == {numbers[i] for i in met[:-1]}
        assert all(trade.price_ticks == trade.maker.price_ticks for trade in trades)
