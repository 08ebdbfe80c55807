"""The public side of BingX against its emulator, in virtual time: contracts, books, and what happens to lost ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from sor.adapter import MarketSource
from sor.book import Book
from sor.errors import CallerError, NotSent
from sor.ids import Symbol
from sor.market import BookReset, BookUpdate, MarkUpdate, TradePrint, Trust
from sor.units import NS
from tests.fakes.bingx_rig import BTC, MemoryLinks, Rig
from venues.bingx.listings import VENUE
from venues.bingx.market import TOPICS_MAX
from venues.bingx.market_streams import MarketDialect
from venues.bingx.options import read
from venues.bingx.public import BingxMarket, open_market
from venues.plumbing.socket import Acked, Denied

pytestmark = pytest.mark.anyio


class MarketRig(Rig):
    """The same emulator with its public side before it."""

    def __init__(self, folder: Path, **options: str) -> None:
        super().__init__(folder)
        self.source = BingxMarket(read({"env": "emulator", **options}), self._market_links)

    def _market_links(self) -> MemoryLinks:
        return MemoryLinks(self.net)

    async def opened(self) -> MarketRig:
        await self.wait(self.source.connect(self.ear, self.time))
        return self

    def book(self, symbol: Symbol = BTC) -> Book:
        """A book of everything that was told of a symbol."""
        book = Book(venue=VENUE, symbol=symbol)
        for event in self.ear.markets:
            if event.symbol != symbol:
                continue
            if isinstance(event, BookUpdate):
                book.apply(event)
            elif isinstance(event, BookReset):
                book.reset(event)
        return book

    def resets(self) -> int:
        return sum(isinstance(event, BookReset) for event in self.ear.markets)


@pytest.fixture
async def rig(tmp_path: Path) -> MarketRig:
    return await MarketRig(tmp_path).opened()


async def test_contracts_are_known_and_the_link_is_up_without_any_key(rig: MarketRig) -> None:
    assert isinstance(rig.source, MarketSource)
    assert (rig.source.name, rig.source.marks) == (VENUE, True)
    assert set(rig.ear.instruments) > {BTC, "ETHUSDT"}
    assert "PAUSEDUSDT" not in rig.ear.instruments
    assert rig.ear.links == [(True, "")]
    assert rig.requests() == []  # nothing was signed
    offset_ns = await rig.wait(rig.source.server_time_ns()) - rig.time.now_ns()
    assert abs(offset_ns) <= NS // 10


async def test_a_followed_contract_has_its_funding_asked_for_again_and_again(rig: MarketRig) -> None:
    rig.source.subscribe(BTC)
    rig.run(3_000)

    def said() -> list[MarkUpdate]:
        return [event for event in rig.ear.markets if isinstance(event, MarkUpdate) and event.funding_ns]

    (first,) = said()
    assert 0 < first.funding_ns - rig.time.now_ns() <= 8 * 3_600 * NS
    assert first.funding_rate is not None
    rig.run(300_000)
    assert len(said()) == 2


async def test_a_followed_contract_has_a_book_and_a_mark(rig: MarketRig) -> None:
    rig.source.subscribe(BTC)
    rig.source.subscribe(BTC)
    rig.run(3_000)
    book = rig.book()
    assert (book.trust, book.bid_ticks, book.ask_ticks) == (Trust.OK, 599_999, 600_001)
    assert any(isinstance(event, MarkUpdate) for event in rig.ear.markets)
    assert sum(isinstance(event, BookUpdate) and event.snapshot for event in rig.ear.markets) == 1
    with pytest.raises(CallerError, match="PAUSED-USDT is not online"):
        rig.source.subscribe(Symbol("PAUSEDUSDT"))


async def test_public_trades_are_told(rig: MarketRig) -> None:
    rig.source.subscribe(BTC)
    rig.run(2_000)
    await rig.wait(rig.venue.connect(rig.other_ear, rig.time))
    rig.venue.submit(rig.order())
    rig.run(2_000)
    prints = [event for event in rig.ear.markets if isinstance(event, TradePrint)]
    assert [(one.side.name, one.qty_lots, one.price_ticks) for one in prints] == [("BUY", 20, 600_001)]
    assert rig.book().bid_ticks == 599_999


async def test_r6_a_lost_socket_takes_books_and_link_down(rig: MarketRig) -> None:
    rig.source.subscribe(BTC)
    rig.run(2_000)
    rig.switch("drop-sockets=which=market")
    rig.run(20)
    assert rig.resets() == 1
    assert rig.book().trust is not Trust.OK
    assert rig.ear.links[-1][0] is False
    rig.run(3_000)
    assert rig.ear.links[-1] == (True, "")
    assert rig.book().trust is Trust.OK


@pytest.mark.parametrize("fault", ["book-crossed=count=1", "ids-back=count=1", "ids-repeat=count=1"])
async def test_r6_a_book_that_cannot_be_believed_is_asked_for_anew(rig: MarketRig, fault: str) -> None:
    rig.source.subscribe(BTC)
    rig.run(2_000)
    await rig.wait(rig.venue.connect(rig.other_ear, rig.time))
    rig.switch(fault)
    for _ in range(2):
        rig.venue.submit(rig.order())
        rig.run(500)
    assert rig.resets() == 1
    rig.run(3_000)
    assert rig.book().trust is Trust.OK
    assert rig.ear.links == [(True, "")]


async def test_r6_a_book_that_is_lost_again_and_again_is_not_asked_for_in_a_loop(rig: MarketRig) -> None:
    await rig.wait(rig.venue.connect(rig.other_ear, rig.time))
    rig.source.subscribe(BTC)
    rig.run(2_000)
    rig.switch("book-crossed")
    for _ in range(60):
        rig.venue.submit(rig.order(qty_lots=1))
        rig.run(333)
    snapshots = sum(isinstance(event, BookUpdate) and event.snapshot for event in rig.ear.markets)
    assert 5 <= snapshots <= 11  # every other second, in twenty
    rig.switch("-book-crossed")
    rig.run(5_000)
    assert rig.book().trust is Trust.OK


async def test_a_book_that_nothing_happens_in_stays_known(rig: MarketRig) -> None:
    """Quiet contracts are silent for 20 s and more; `market.stale_ms_max` is 3 s."""
    rig.source.subscribe(BTC)
    rig.run(2_000)
    for _ in range(30):
        rig.run(1_000)
        view = rig.book().view(rig.time.now_ns())
        assert view.trust is Trust.OK
        assert rig.time.now_ns() - view.recv_ns <= 2 * NS
        assert (view.bids[0], len(view.bids)) == ((599_999, 1_000), 10)
    assert sum(isinstance(event, BookUpdate) and event.snapshot for event in rig.ear.markets) == 1
    confirmed = [event for event in rig.ear.markets if isinstance(event, BookUpdate) and not event.bids]
    assert 25 <= len(confirmed) <= 65
    assert len({event.venue_ns for event in confirmed}) == 1  # they say nothing new of when it was so


@pytest.mark.parametrize("fault", ["zombie=which=market", "market-silent", "drop-sockets=which=market"])
async def test_a_socket_that_pings_and_says_nothing_confirms_no_book(rig: MarketRig, fault: str) -> None:
    rig.source.subscribe(BTC)
    rig.run(2_000)
    rig.switch("refuse-socket=which=market")  # nor does one that is lost
    rig.switch(fault)
    silent_ns = rig.time.now_ns()
    rig.run(14_000)
    assert rig.book().view(rig.time.now_ns()).recv_ns <= silent_ns + NS // 10


async def test_a_book_that_lacks_a_trade_is_not_confirmed(rig: MarketRig) -> None:
    """The update that the trade has caused is lost, and the ids do not tell."""
    rig.source.subscribe(BTC)
    rig.run(2_000)
    await rig.wait(rig.venue.connect(rig.other_ear, rig.time))
    rig.switch("book-loss=count=1")
    rig.venue.submit(rig.order())
    rig.run(1_000)
    traded_ns = rig.time.now_ns()
    rig.run(10_000)
    assert rig.book().view(rig.time.now_ns()).recv_ns <= traded_ns
    rig.venue.submit(rig.order())  # whatever changes the book next says that its topic lives
    rig.run(3_000)
    assert rig.time.now_ns() - rig.book().view(rig.time.now_ns()).recv_ns <= 2 * NS


async def test_r6_a_market_that_falls_silent_while_its_socket_lives_is_noticed(rig: MarketRig) -> None:
    rig.source.subscribe(BTC)
    rig.run(2_000)
    rig.switch("market-silent")
    rig.run(70_000)  # marks come every second; after two new subscriptions in vain the socket goes
    assert any(not up for up, _ in rig.ear.links)
    assert rig.book().trust is not Trust.OK


async def test_more_topics_than_a_socket_carries_get_another(tmp_path: Path) -> None:
    rig = await MarketRig(tmp_path).opened()
    streams = rig.source._streams
    assert streams is not None
    for _ in range(TOPICS_MAX // 3):
        streams._topics[-1] += 3
    rig.source.subscribe(BTC)
    rig.run(3_000)
    assert len(streams._sockets) == 2
    assert rig.book().trust is Trust.OK
    rig.switch("drop-sockets=which=market")
    rig.run(10_000)
    assert rig.ear.links[-1] == (True, "")


async def test_a_topic_that_is_refused_is_said_and_not_asked_for_again(
    rig: MarketRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.switch("symbol-paused=symbol=BTC-USDT")
    rig.source.subscribe(BTC)
    rig.run(10_000)
    assert caplog.text.count("BingX does not give BTC-USDT@") == 3
    assert "80015" in caplog.text


async def test_a_market_without_a_socket_is_not_sent(tmp_path: Path) -> None:
    rig = MarketRig(tmp_path)
    rig.switch("refuse-socket")
    with pytest.raises(NotSent, match="did not come about"):
        await rig.opened()
    rig.run(1_000)
    assert rig.net.standing == 0
    rig.switch("-refuse-socket")
    await rig.opened()
    with pytest.raises(CallerError, match="open already"):
        await rig.opened()
    await rig.wait(rig.source.disconnect())
    rig.run(1_000)
    assert rig.net.standing == 0
    with pytest.raises(CallerError, match="not connected"):
        rig.source.subscribe(BTC)


def test_open_market_needs_no_key_and_takes_the_venues_options() -> None:
    assert open_market({"env": "vst"}).name == VENUE
    with pytest.raises(CallerError, match="allow_live"):
        open_market({"env": "live"})


def test_what_the_market_socket_says() -> None:
    dialect = MarketDialect()
    assert dialect.subscribe(["BTC-USDT@trade"], 7) == b'{"id":"7","reqType":"sub","dataType":"BTC-USDT@trade"}'
    assert dialect.unsubscribe(["BTC-USDT@trade"], 8) == b'{"id":"8","reqType":"unsub","dataType":"BTC-USDT@trade"}'
    assert dialect.read(b'{"id":"7","code":0,"msg":"","dataType":"","data":null}', 0) == Acked(7)
    denied = dialect.read(b'{"id":"7","code":80015,"msg":"no","dataType":"","data":null}', 0)
    assert isinstance(denied, Denied)
    assert (denied.no, denied.code) == (7, "80015")
    assert dialect.read(b'{"id":"somebody-elses","code":0,"msg":"","dataType":""}', 0) is None
    with pytest.raises(ValueError, match="cannot be read"):
        dialect.read(b"nonsense", 0)
