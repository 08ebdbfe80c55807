"""Views for tests of policies and invariants: a calm one-tick market, and whatever a test changes about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from sor.features import Features
from sor.ids import ClOrdId, ParentId, Symbol, VenueName
from sor.instruments import Instrument
from sor.market import Levels, MarketView, Trust
from sor.orders import Side
from sor.params import Params, ParamStore
from sor.snapshot import Cause, Costs, Resting, View
from sor.units import BPS, MS, NS

VENUE = VenueName("acme")
SYMBOL = Symbol("BTCUSDT")
NOW_NS = 1_700_000_000 * NS
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    venue=VENUE,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    maker_fee_e8=20_000,
    taker_fee_e8=50_000,
)
COSTS = Costs(maker_fee_bps=2.0, taker_fee_bps=5.0, submit_rtt_ns=50 * MS, cancel_rtt_ns=50 * MS)
BIDS: Levels = ((100_000, 1_000), (99_999, 2_000), (99_998, 3_000))
ASKS: Levels = ((100_001, 1_000), (100_002, 2_000), (100_003, 3_000))

BASELINE = ParamStore().get("baseline/2026-11-21", now_ns=NOW_NS).resolve(VENUE, SYMBOL, now_ns=NOW_NS)


def params(changes: Mapping[str, float] | None = None) -> Params:
    """The baseline with some values changed."""
    values = {**BASELINE.as_dict(), **(changes or {})}
    return Params(set_id="test/2026-11-21", digest="0" * 16, values=values, choices=BASELINE.choices())


def only(needs: Iterable[str]) -> Params:
    """The baseline's values of these parameters, and of no others."""
    wanted = set(needs)
    return Params(
        set_id="test/2026-11-21",
        digest="0" * 16,
        values={param_id: value for param_id, value in BASELINE.as_dict().items() if param_id in wanted},
        choices={param_id: word for param_id, word in BASELINE.choices().items() if param_id in wanted},
    )


def market(
    *,
    bids: Levels = BIDS,
    asks: Levels = ASKS,
    buy_flow: float = 500.0,
    sell_flow: float = 500.0,
    volatility: float = 0.5,
    window_s: float = 10.0,
    trust: Trust = Trust.OK,
    recv_ns: int = NOW_NS,
) -> MarketView:
    """A market with features worked out from its levels; none where a side is empty or the book is not sound."""
    features = None
    if trust is Trust.OK and bids and asks:
        (bid, bid_lots), (ask, ask_lots) = bids[0], asks[0]
        imbalance = bid_lots / (bid_lots + ask_lots)
        features = Features(
            mid_hticks=bid + ask,
            spread_ticks=ask - bid,
            spread_bps=2.0 * BPS * (ask - bid) / (bid + ask),
            bid_touch_lots=bid_lots,
            ask_touch_lots=ask_lots,
            bid_near_lots=sum(lots for _, lots in bids),
            ask_near_lots=sum(lots for _, lots in asks),
            imbalance=imbalance,
            micro_ticks=bid + (ask - bid) * imbalance,
            buy_flow=buy_flow,
            sell_flow=sell_flow,
            ofi_lots=0,
            best_moves_per_s=2.0,
            volatility=volatility,
            window_s=window_s,
        )
    return MarketView(VENUE, SYMBOL, trust, recv_ns, recv_ns, bids, asks, None, features)


def resting(
    price_ticks: int,
    leaves_lots: int,
    *,
    since_ns: int = NOW_NS - 10 * NS,
    expire_ns: int = NOW_NS + 10 * NS,
    child: int = 1,
) -> Resting:
    """One own order at `VENUE`."""
    return Resting(ClOrdId(f"c{child}"), VENUE, price_ticks, leaves_lots, since_ns, expire_ns)


def view(market_view: MarketView | None = None, /, **changes: object) -> View:
    """A buy of 100 lots with a minute to go, 0.5 s of which the machine keeps for itself; `changes` are View fields."""
    seen = market() if market_view is None else market_view
    mid = seen.mid_hticks or BIDS[0][0] + ASKS[0][0]
    base = View(
        now_ns=NOW_NS,
        cause=Cause.START,
        side=Side.BUY,
        parent_lots=100,
        open_lots=100,
        remaining_lots=100,
        filled_lots=0,
        due_ns=NOW_NS + 60 * NS - 500 * MS,
        deadline_ns=NOW_NS + 60 * NS,
        arrival_hticks=mid,
        adverse_bps=0.0,
        limit_ticks=None,
        may_rest=True,
        urgency=0.5,
        holding_s=None,
        mae_budget_bps=None,
        max_participation=None,
        reduce_only=False,
        resting=(),
        timeouts=0,
        requotes=0,
        refusals=0,
        market=seen,
        instrument=INSTRUMENT,
        costs=COSTS,
        memory={},
        parent_id=ParentId("p"),
    )
    return msgspec.structs.replace(base, **changes)
