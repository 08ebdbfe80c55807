"""Paper trading: a live market's data, and fills that are worked out here (V3), by hand and through the router."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from sor.adapter import Audited, MarketSource, NewOrder, OrderRef, Position, RequestFailed, VenueAdapter
from sor.engine import Router
from sor.errors import CallerError
from sor.handle import ParentHandle
from sor.ids import ClOrdId, ParentId, Symbol, VenueName
from sor.instruments import Instrument
from sor.market import MarketEvent
from sor.orders import (
    ExecType,
    ExecutionReport,
    FeeSource,
    OrdType,
    ParentOrder,
    ParentStatus,
    Side,
    Tif,
)
from sor.records import fills_of_parent
from sor.settings import Settings
from sor.sim.oracle import Asked, Claimed, judge
from sor.sim.world import at_once
from sor.units import MS, NS
from tests.fakes.clock import VirtualClock
from tests.fakes.markets import ACME, BTC, LISTED, ScriptedMarket
from venues.paper.adapter import PaperVenue, open_venue
from venues.paper.settings import PaperSettings
from venues.simulated.tape_latency import Delay

T0 = 1_000 * NS
NOW = Delay(median_ns=0)
BIDS = {9_999: 100, 9_998: 200}
ASKS = {10_001: 100, 10_002: 200, 10_010: 500}


class Heard(NamedTuple):
    """A report in short: what it said, of which order; lots and price of a trade."""

    what: str
    order: str
    lots: int = 0
    ticks: int = 0


class Customer:
    """A paper venue on a scripted market, and everything that is heard of it."""

    def __init__(self, *, marks: bool = False, delay_ns: int = 0, stale_ns: int = 10 * NS, **more: object) -> None:
        delay = Delay(median_ns=delay_ns)
        terms: dict[str, object] = {"entry": delay, "response": delay, "stale_ns": stale_ns, **more}
        self.market_source = ScriptedMarket(marks=marks)
        self.venue = PaperVenue(self.market_source, PaperSettings(**terms))  # type: ignore[arg-type]
        self.clock = VirtualClock(T0)
        self.heard: list[Heard] = []
        self.reports: list[ExecutionReport] = []
        self.events: list[MarketEvent] = []
        self.instruments: list[Instrument] = []
        self.links: list[bool] = []
        at_once(self.venue.connect(self, self.clock))
        self.venue.subscribe(BTC)

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        assert isinstance(event, ExecutionReport)
        self.reports.append(event)
        said = event.reject.value or event.exec_type.value
        self.heard.append(Heard(said, event.cl_ord_id, event.last_lots, event.last_ticks))

    def market(self, event: MarketEvent) -> None:
        self.events.append(event)

    def instrument(self, instrument: Instrument) -> None:
        self.instruments.append(instrument)

    def link(self, up: bool, reason: str) -> None:
        del reason
        self.links.append(up)

    def start(self) -> ScriptedMarket:
        """A book of 100 and 200 lots a side around 10 000."""
        self.market_source.book(BIDS, ASKS, snapshot=True)
        return self.market_source

    def send(
        self,
        name: str,
        side: Side,
        lots: int,
        ticks: int = 0,
        *,
        tif: Tif = Tif.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> None:
        self.venue.submit(
            NewOrder(
                cl_ord_id=ClOrdId(name),
                symbol=BTC,
                side=side,
                ord_type=OrdType.LIMIT if ticks else OrdType.MARKET,
                qty_lots=lots,
                price_ticks=ticks,
                tif=tif,
                post_only=post_only,
                reduce_only=reduce_only,
            )
        )

    def ref(self, name: str) -> OrderRef:
        return OrderRef(cl_ord_id=ClOrdId(name), symbol=BTC)

    def told(self, after_ns: int = 1) -> list[Heard]:
        """What was heard since it was asked last, up to `after_ns` from now: what happens next, happens later."""
        self.clock.run_until(self.clock.now_ns() + after_ns)
        told, self.heard = self.heard, []
        return told


def buys(name: str, *more: Heard) -> list[Heard]:
    return [Heard("new", name), *more]


def test_it_is_an_adapter_over_a_market_and_can_order_nothing_there() -> None:
    customer = Customer(maker_fee_e8=-5_000, taker_fee_e8=45_000)
    assert isinstance(customer.venue, VenueAdapter)
    assert isinstance(customer.venue, Audited)
    assert isinstance(customer.market_source, MarketSource)
    assert not isinstance(customer.market_source, VenueAdapter)
    (ours,) = customer.instruments
    assert (ours.venue, ours.maker_fee_e8, ours.taker_fee_e8) == (ACME, -5_000, 45_000)
    assert (ours.tick_size, ours.lot_size) == (LISTED.tick_size, LISTED.lot_size)
    assert (customer.links, customer.market_source.subscribed) == ([True], [BTC])
    customer.start()
    assert len(customer.events) == 1  # passed on as it came
    assert Customer(name="lab").venue.name == VenueName("lab")


def test_market_and_ioc_walk_the_displayed_book_and_take_nothing_twice() -> None:
    customer = Customer()
    market = customer.start()
    customer.send("a", Side.BUY, 250)
    assert customer.told() == buys("a", Heard("trade", "a", 100, 10_001), Heard("trade", "a", 150, 10_002))
    customer.send("b", Side.BUY, 100, 10_002, tif=Tif.IOC)
    assert customer.told() == buys("b", Heard("trade", "b", 50, 10_002), Heard("no_liquidity", "b"))
    customer.send("c", Side.BUY, 600, 10_010, tif=Tif.FOK)
    assert customer.told() == buys("c", Heard("no_liquidity", "c"))
    market.book({}, {10_002: 180})  # shown afresh: all of it is there again
    customer.send("d", Side.BUY, 200, 10_002, tif=Tif.IOC)
    assert customer.told() == buys("d", Heard("trade", "d", 180, 10_002), Heard("no_liquidity", "d"))
    # A snapshot that repeats a size shows nothing new.
    market.book(BIDS, {10_001: 100, 10_002: 180}, snapshot=True)
    customer.send("e", Side.BUY, 10, 10_002, tif=Tif.IOC)
    assert customer.told() == buys("e", Heard("no_liquidity", "e"))


def test_fees_are_estimates_and_say_so() -> None:
    customer = Customer()
    market = customer.start()
    customer.send("t", Side.BUY, 100)
    customer.send("m", Side.BUY, 10, 9_999)
    customer.told()
    market.trade(Side.SELL, 9_999, 110)
    customer.told()
    taker, maker = (one for one in customer.reports if one.exec_type is ExecType.TRADE)
    # 0.1 at 1000.1 is 100.01 USDT; 0.01 at 999.9 is 9.999 USDT.
    assert taker.fee_atoms == LISTED.atoms(Decimal("0.050005"))
    assert maker.fee_atoms == LISTED.atoms(Decimal("0.0019998"))
    assert (taker.fee_source, taker.is_maker) == (FeeSource.ESTIMATED_TAKER, False)
    assert (maker.fee_source, maker.is_maker) == (FeeSource.ESTIMATED_MAKER, True)


def test_a_resting_order_waits_its_turn() -> None:
    customer = Customer()
    market = customer.start()
    customer.send("r", Side.BUY, 50, 9_999, post_only=True)
    assert customer.told() == buys("r")
    market.trade(Side.SELL, 9_999, 60)  # 40 are still ahead
    market.book({9_999: 40}, {})
    assert customer.told() == []
    market.trade(Side.SELL, 9_999, 60)
    assert customer.told() == [Heard("trade", "r", 20, 9_999)]
    market.trade(Side.BUY, 9_999, 60)  # a buyer's trade is none of ours
    assert customer.told() == []
    market.trade(Side.SELL, 9_998, 12)  # through its price, but no more than was traded
    assert customer.told() == [Heard("trade", "r", 12, 9_999)]
    market.book({9_999: 0, 9_998: 0, 9_990: 100}, {9_998: 7})  # offered below it: no more than is displayed
    assert customer.told() == [Heard("trade", "r", 7, 9_999)]
    market.book({}, {9_997: 100})
    assert customer.told() == [Heard("trade", "r", 11, 9_999)]
    (order,) = customer.venue.audit()
    assert (order.order_lots, order.filled_lots, order.leaves_lots, len(order.exec_ids)) == (50, 50, 0, 4)


def test_risk_averse_counts_no_cancels_ahead_and_moderate_some() -> None:
    for queue, front in (("risk_averse", 60), ("moderate", 30)):
        customer = Customer(queue=queue)
        market = customer.start()
        customer.send("r", Side.BUY, 50, 9_999)
        customer.told()
        market.book({9_999: 160}, {})  # 60 more join behind
        market.book({9_999: 60}, {})  # 100 leave: ahead or behind, nobody says
        customer.told()
        market.trade(Side.SELL, 9_999, 70)
        (trade,) = customer.told()
        assert trade.lots >= 70 - front
        assert (trade.lots == 10) is (queue == "risk_averse")


@pytest.mark.parametrize("late", [False, True])
def test_a_trade_counts_once_whichever_of_trade_and_book_comes_first(late: bool) -> None:
    customer = Customer()
    market = customer.start()
    customer.clock.run_until(T0 + NS)
    customer.send("r", Side.BUY, 50, 9_999)
    customer.told(after_ns=NS)
    at_ns = customer.clock.now_ns()
    if late:
        market.book({9_999: 40}, {}, venue_ns=at_ns)
        market.trade(Side.SELL, 9_999, 60, venue_ns=at_ns)
    else:
        market.trade(Side.SELL, 9_999, 60, venue_ns=at_ns)
        market.book({9_999: 40}, {}, venue_ns=at_ns)
    assert customer.told(after_ns=NS) == []
    market.trade(Side.SELL, 9_999, 41)  # 40 were ahead, not 0
    assert customer.told() == [Heard("trade", "r", 1, 9_999)]


def test_what_happened_before_an_order_came_does_not_fill_it() -> None:
    customer = Customer()
    market = customer.start()
    customer.clock.run_until(T0 + NS)
    market.book({9_999: 30}, {}, venue_ns=T0 + NS)
    customer.send("r", Side.BUY, 50, 9_999)
    customer.told()
    market.trade(Side.SELL, 9_999, 500, venue_ns=T0 + NS)
    market.trade(Side.SELL, 9_998, 500, venue_ns=T0 + NS - 1)
    market.book({9_999: 29}, {}, venue_ns=T0 + 2 * NS)
    market.trade(Side.SELL, 9_998, 500, venue_ns=T0 + NS - 1)
    assert customer.told() == []


def test_post_only_is_refused_if_it_would_take_and_own_orders_never_meet() -> None:
    customer = Customer()
    customer.start()
    customer.send("p", Side.BUY, 10, 10_001, post_only=True)
    customer.send("r", Side.SELL, 10, 10_001)
    assert customer.told() == [Heard("would_take", "p"), *buys("r")]
    customer.send("x", Side.BUY, 10, 10_001)
    assert customer.told() == [Heard("self_trade", "x")]
    assert [order.cl_ord_id for order in customer.venue.audit()] == ["r"]


def test_what_a_limit_order_leaves_is_not_filled_by_what_it_took() -> None:
    customer = Customer()
    market = customer.start()
    customer.send("l", Side.BUY, 150, 10_001)
    assert customer.told() == buys("l", Heard("trade", "l", 100, 10_001))
    market.book({9_999: 90}, {})
    assert customer.told() == []  # the asks at its price are those it took
    market.book({}, {10_001: 30})
    assert customer.told() == [Heard("trade", "l", 30, 10_001)]


def test_a_cancel_loses_to_what_fills_on_its_way() -> None:
    customer = Customer(delay_ns=50 * MS)
    market = customer.start()
    customer.send("r", Side.BUY, 50, 9_999)
    customer.send("k", Side.BUY, 50, 9_998)
    assert customer.told(after_ns=99 * MS) == []
    assert customer.told(after_ns=MS) == [*buys("r"), *buys("k")]
    for name in ("r", "k"):
        customer.venue.cancel(customer.ref(name))
    customer.told(after_ns=40 * MS)
    market.trade(Side.SELL, 9_998, 60)  # 10 ms before the cancels are there
    assert customer.told(after_ns=60 * MS) == [
        Heard("trade", "r", 50, 9_999),
        Heard("too_late", "r"),
        Heard("canceled", "k"),
    ]
    customer.venue.cancel(customer.ref("nobody"))
    customer.venue.query(customer.ref("nobody"))
    customer.venue.query(customer.ref("r"))
    assert customer.told(after_ns=NS) == [
        Heard("unknown_order", "nobody"),
        Heard("unknown_order", "nobody"),
        Heard("status", "r"),
    ]
    assert (customer.reports[-1].cum_lots, customer.reports[-1].avg_hticks) == (50, 19_998)


def test_reduce_only_never_opens() -> None:
    customer = Customer()
    market = customer.start()
    customer.send("none", Side.SELL, 10, 9_990, reduce_only=True)
    customer.send("in", Side.BUY, 60)
    assert customer.told()[0] == Heard("nothing_to_reduce", "none")
    customer.send("rest", Side.SELL, 60, 10_005, reduce_only=True)
    customer.told()
    customer.send("out", Side.SELL, 100, 9_990, tif=Tif.IOC, reduce_only=True)
    assert customer.told() == buys(
        "out",
        Heard("trade", "out", 60, 9_999),
        Heard("no_liquidity", "out"),
        Heard("nothing_to_reduce", "rest"),
    )
    assert at_once(customer.venue.account()).positions == ()
    market.trade(Side.BUY, 10_006, 500)
    assert customer.told() == []


def test_a_book_that_is_not_sound_fills_nothing() -> None:
    customer = Customer()
    market = customer.market_source
    customer.send("early", Side.BUY, 10)
    assert customer.told() == [Heard("venue_closed", "early")]
    customer.start()
    customer.send("r", Side.BUY, 50, 9_999)
    customer.told()

    def closed(name: str, why: str) -> None:
        market.trade(Side.SELL, 9_998, 500)
        customer.send(name, Side.BUY, 10)
        assert customer.told() == [Heard("venue_closed", name)]
        assert why in customer.reports[-1].text

    market.reset()
    closed("reset", "is a gap")
    customer.start()
    market.book({9_999: 0, 9_998: 0, 9_990: 5}, {9_999: 5}, seq=7, prev_seq=5)
    closed("gap", "is a gap")
    customer.start()
    market.book({10_001: 5}, {})
    closed("crossed", "crossed")
    customer.start()
    market.sink.link(False, "gone")
    closed("down", "link to the market is down")
    market.sink.link(True, "back")
    assert customer.links == [True, False, True]
    customer.told(after_ns=10 * NS + 1)
    closed("stale", "stale")
    customer.venue.cancel(customer.ref("r"))  # whatever the book, an order can be withdrawn
    assert customer.told() == [Heard("canceled", "r")]


def test_the_account_is_paper_money_at_the_mark() -> None:
    customer = Customer(marks=True, equity=Decimal(1_000), leverage_max=4)
    market = customer.start()
    assert customer.venue.capabilities.marks
    done = at_once(customer.venue.set_leverage(BTC, Decimal("7.9")))
    assert (done.in_force, done.sent, done.clamped) == (4, True, True)
    assert at_once(customer.venue.set_leverage(BTC, Decimal(4))).sent is False
    customer.send("in", Side.BUY, 100)
    customer.told()
    market.mark(10_101.0)
    account = at_once(customer.venue.account())
    # Bought 0.1 at 1000.1, worth 1010.1 each now: 1 made, less 0.05 % of 100.01. A quarter of 101.01 is bound.
    assert account.equity == Decimal("1000.949995")
    assert account.available == Decimal("975.697495")
    assert (account.asset, account.positions) == ("USDT", (Position(symbol=BTC, qty_lots=100),))
    assert [one.last_lots for one in at_once(customer.venue.fills_since(0))] == [100]
    assert at_once(customer.venue.open_orders()) == ()
    assert at_once(customer.venue.server_time_ns()) == T0 + 1


def test_changed_steps_close_a_symbol_and_changed_fees_do_not() -> None:
    customer = Customer()
    market = customer.start()
    customer.send("r", Side.BUY, 50, 9_999)
    customer.told()

    def listed(**terms: object) -> Instrument:
        fields = {name: getattr(LISTED, name) for name in ("symbol", "venue", "quote", "settle")}
        return Instrument(**{**fields, "tick_size": Decimal("0.1"), "lot_size": Decimal("0.001"), **terms})

    market.sink.instrument(listed(version=2, taker_fee_e8=70_000))
    customer.send("a", Side.BUY, 10)
    assert customer.told()[-1] == Heard("trade", "a", 10, 10_001)
    assert customer.reports[-1].fee_atoms == LISTED.atoms(Decimal("0.0070007"))
    market.sink.instrument(listed(version=3, lot_size=Decimal("0.01")))
    customer.send("b", Side.BUY, 10)
    assert customer.told() == [Heard("venue_closed", "r"), Heard("venue_closed", "b")]


def test_money_of_another_kind_is_refused_and_so_are_amends() -> None:
    customer = Customer(asset="BTC")
    customer.start()
    customer.send("a", Side.BUY, 10)
    assert customer.told() == [Heard("bad_terms", "a")]
    assert customer.reports[-1].text == "BTCUSDT settles in USDT, paper money is BTC"
    customer.venue.amend(customer.ref("a"), qty_lots=5, price_ticks=9_999)
    assert customer.told() == [Heard("bad_terms", "a")]
    with pytest.raises(CallerError, match="has no ETHUSDT"):
        customer.venue.subscribe(Symbol("ETHUSDT"))
    with pytest.raises(CallerError, match="no dead-man's switch"):
        at_once(customer.venue.arm_dead_man(1.0))


def test_another_session_finds_the_orders_and_a_lookup_says_what_was_lost() -> None:
    customer = Customer(delay_ns=MS)
    market = customer.start()
    customer.send("r", Side.BUY, 50, 9_999)
    customer.told(after_ns=10 * MS)
    market.trade(Side.SELL, 9_998, 20)
    at_once(customer.venue.disconnect())
    assert not market.open
    assert customer.told(after_ns=10 * MS) == []
    at_once(customer.venue.connect(customer, customer.clock))
    assert [one.leaves_lots for one in at_once(customer.venue.open_orders())] == [30]
    customer.venue.query(customer.ref("r"))
    customer.venue.query(customer.ref("r"))
    assert customer.told(after_ns=10 * MS) == [
        Heard("trade", "r", 20, 9_999),
        Heard("status", "r"),
        Heard("status", "r"),
    ]
    assert [one.cum_lots for one in customer.reports[-3:]] == [20, 20, 20]
    market.trade(Side.SELL, 9_998, 20)  # the new session has seen no book yet
    assert customer.told(after_ns=10 * MS) == []
    customer.start()
    market.trade(Side.SELL, 9_998, 20)
    assert customer.told(after_ns=10 * MS) == [Heard("trade", "r", 20, 9_999)]


# --- options ------------------------------------------------------------------------------------------------------


def opened(options: dict[str, str]) -> ScriptedMarket:
    if "broken" in options:
        raise CallerError("'broken' is no option of this market")
    return ScriptedMarket()


def not_a_market(options: dict[str, str]) -> str:
    del options
    return "acme"


@pytest.fixture
def markets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points: `acme`, `odd`, which opens no market, and `twice`, which two packages claim."""
    here = "tests.unit.test_paper_venue"
    entries = EntryPoints(
        EntryPoint(name, f"{here}:{target}", "sor.markets")
        for name, target in (
            ("acme", "opened"),
            ("acme", "opened"),
            ("odd", "not_a_market"),
            ("twice", "opened"),
            ("twice", "not_a_market"),
        )
    )
    monkeypatch.setattr("venues.paper.settings.entry_points", lambda group: entries.select(group=group))
    monkeypatch.setattr(EntryPoint, "load", lambda entry: globals()[entry.attr])


@pytest.mark.usefixtures("markets")
def test_options_begin_with_paper_and_the_rest_is_the_markets() -> None:
    venue = open_venue(
        {
            "market": "acme",
            "paper.name": "lab",
            "paper.entry": "120ms",
            "paper.response": "30ms",
            "paper.queue": "moderate",
            "paper.maker_fee_bps": "-0.5",
            "paper.equity": "500",
            "paper.leverage_max": "5",
            "paper.stale_ms": "2500",
        }
    )
    assert (venue.name, venue.capabilities.submit_rtt_ns) == ("lab", 150 * MS)
    for options, says in (
        ({}, "needs the option market, and '' is none: no market is called that; nothing was opened. Installed: acme"),
        ({"market": "twice"}, "several packages have a market of that name"),
        ({"market": "odd"}, "opens is no market"),
        ({"market": "acme", "broken": "1"}, "'broken' is no option of this market"),
        ({"market": "acme", "paper.colour": "red"}, "'paper.colour' is no option of paper trading"),
        ({"market": "acme", "paper.queue": "fair"}, "'fair' is no queue model"),
        ({"market": "acme", "paper.stale_ms": "0"}, "must be positive"),
        ({"market": "acme", "paper.entry": "soon"}, "'soon' is no delay"),
        ({"market": "acme", "paper.equity": "much"}, "'much' is not a number"),
    ):
        with pytest.raises(CallerError, match=says):
            open_venue(options)


# --- through the router -------------------------------------------------------------------------------------------


def parent(name: str, side: Side, quantity: str, policy: str, **more: object) -> ParentOrder:
    return ParentOrder(
        parent_id=ParentId(name),
        symbol="btc-usdt",
        side=side,
        quantity=Decimal(quantity),
        policy=policy,
        **{"deadline_s": 3.0, **more},  # type: ignore[arg-type]
    )


@pytest.mark.anyio
async def test_the_router_crosses_and_rests_on_paper_and_an_oracle_agrees(tmp_path: Path) -> None:
    market = ScriptedMarket()
    quick = Delay(median_ns=MS)
    venue = PaperVenue(market, PaperSettings(entry=quick, response=quick))
    handles: list[ParentHandle] = []
    async with (
        Router(Settings(journal=tmp_path / "j", watch=("BTCUSDT",)), venues=[venue]) as router,
        anyio.create_task_group() as tasks,
    ):

        async def trade_on() -> None:
            """A market that goes on: new sizes, and somebody who sells and buys at the touch."""
            market.book(BIDS, ASKS, snapshot=True)
            no = 0
            while True:
                no += 1
                market.book({9_999: 100 + no % 7}, {10_001: 100 + no % 5})
                market.trade(Side.SELL if no % 2 else Side.BUY, 9_999 if no % 2 else 10_001, 40)
                await anyio.sleep(0.01)

        tasks.start_soon(trade_on)
        wanted = [
            parent("cross", Side.BUY, "0.15", "cross"),
            parent("rest", Side.BUY, "0.08", "maker_first"),
            parent("limit", Side.SELL, "0.05", "plain_limit", limit=Decimal("1000.1"), deadline_s=60.0),
            parent("far", Side.BUY, "0.05", "plain_limit", limit=Decimal(990), deadline_s=60.0),
        ]
        handles += [await router.submit(order) for order in wanted]
        for handle in handles[:3]:
            await handle.result()
        tasks.cancel_scope.cancel()
    assert [handle.status for handle in handles] == [ParentStatus.FILLED] * 3 + [ParentStatus.CANCELED]
    crossed, limited = handles[0].report, handles[2].report
    assert (crossed.passive_share, limited.passive_share) == (0.0, 1.0)
    assert {fill.fee_source for handle in handles for fill in fills_of_parent(handle.parent)} <= {
        FeeSource.ESTIMATED_MAKER,
        FeeSource.ESTIMATED_TAKER,
    }
    verdict = judge(
        asked=[
            Asked(
                parent_id=handle.parent_id,
                symbol=BTC,
                side=handle.parent.side,
                qty_lots=handle.parent.ledger.order_lots,
                terminal=handle.parent.ended,
            )
            for handle in handles
        ],
        claimed=[
            Claimed(
                parent_id=handle.parent_id,
                filled_lots=handle.parent.ledger.cum_lots,
                exec_ids=tuple(fill.exec_id for fill in fills_of_parent(handle.parent) if not fill.inferred),
            )
            for handle in handles
        ],
        owners={child.order.cl_ord_id: handle.parent_id for handle in handles for child in handle.parent.children},
        books=venue.audit(),
    )
    assert verdict.clean, verdict.details
    assert len(venue.audit()) >= 4
