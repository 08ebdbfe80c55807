"""Recording a simulated market as a tape: what a venue publishes, written down in virtual time.

Any venue that runs in virtual time can be recorded, so that what learns from tapes can be tried on a market whose
answers are known. Nobody trades on it while it is recorded. Same venue, options and length: same bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping

from sor import __version__
from sor.adapter import OpenVenue, RequestFailed
from sor.errors import CallerError
from sor.instruments import Instrument
from sor.lab.importers.recording import BookColumns, Imported, byte_column, int_column
from sor.market import BookReset, BookUpdate, MarketEvent, TradePrint
from sor.orders import ExecutionReport
from sor.sim.world import VirtualScheduler, at_once
from sor.tape import Finding, Tape
from sor.units import NS

START_NS = 1_577_836_800 * NS
"""2020-01-01: when a made-up market begins unless another time is named."""
SECONDS_MAX = 7 * 86_400
_STEP_NS = 60 * NS


class _Recorder:
    """A sink that writes down the market."""

    def __init__(self) -> None:
        self.instrument_listed: Instrument | None = None
        self.book = BookColumns()
        self.trade_venue_ns, self.trade_recv_ns = array("q"), array("q")
        self.trade_side = array("b")
        self.trade_ticks, self.trade_lots = array("q"), array("q")
        self.losses = 0

    def market(self, event: MarketEvent) -> None:
        """Write one event down; marks are not on tapes."""
        if isinstance(event, BookUpdate):
            book = self.book
            for side, levels in ((1, event.bids), (-1, event.asks)):
                for ticks, lots in levels:
                    book.side.append(side)
                    book.ticks.append(ticks)
                    book.lots.append(lots)
            book.close(venue_ns=event.venue_ns, recv_ns=event.recv_ns, snapshot=event.snapshot)
        elif isinstance(event, TradePrint):
            self.trade_venue_ns.append(event.venue_ns)
            self.trade_recv_ns.append(event.recv_ns)
            self.trade_side.append(event.side)
            self.trade_ticks.append(event.price_ticks)
            self.trade_lots.append(event.qty_lots)
        elif isinstance(event, BookReset):
            self.losses += 1

    def instrument(self, instrument: Instrument) -> None:
        """Remember what is listed; a simulated venue lists one."""
        self.instrument_listed = instrument

    def link(self, up: bool, reason: str) -> None:
        """Nobody sends anything."""

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        """Nobody has sent anything."""
        raise AssertionError(f"nothing was sent, and {event} came")


def record_market(
    open_venue: OpenVenue,
    options: Mapping[str, str],
    *,
    seconds: float,
    start_ns: int = START_NS,
    progress: Callable[[float], None] | None = None,
) -> Imported:
    """The market of one simulated venue over `seconds` of virtual time.

    options     of the venue; its market must be one that is published, and without delays the tape's two clocks agree.
    progress    told how many seconds have been recorded, now and then.
    Raises      CallerError for options the venue refuses, a venue that cannot run in virtual time, a length that is
                not within a week, or a market that says nothing. Then there is no tape.
    """
    if not 0 < seconds <= SECONDS_MAX:
        raise CallerError(f"{seconds:g} s of market: give more than nothing and up to a week; nothing was recorded")
    adapter, recorder, scheduler = open_venue(dict(options)), _Recorder(), VirtualScheduler(start_ns)
    at_once(adapter.connect(recorder, scheduler))
    instrument = recorder.instrument_listed
    assert instrument is not None, "a venue lists its instrument when it is connected"
    adapter.subscribe(instrument.symbol)
    end_ns = start_ns + round(seconds * NS)
    now_ns = start_ns
    while now_ns < end_ns:
        now_ns = min(now_ns + _STEP_NS, end_ns)
        scheduler.run_until(now_ns)
        if progress is not None:
            progress((now_ns - start_ns) / NS)
    at_once(adapter.disconnect())
    book = recorder.book
    if not book.side:
        raise CallerError(f"{adapter.name} published no book; nothing was recorded. Record a market that trades")
    tape = Tape(
        name="recorded",
        digest="",
        instrument=instrument,
        group_venue_ns=int_column(book.venue_ns),
        group_recv_ns=int_column(book.recv_ns),
        group_first=int_column(book.first),
        group_snapshot=byte_column(book.snapshot),
        level_side=byte_column(book.side),
        level_ticks=int_column(book.ticks),
        level_lots=int_column(book.lots),
        trade_venue_ns=int_column(recorder.trade_venue_ns),
        trade_recv_ns=int_column(recorder.trade_recv_ns),
        trade_side=byte_column(recorder.trade_side),
        trade_ticks=int_column(recorder.trade_ticks),
        trade_lots=int_column(recorder.trade_lots),
    )
    said = " ".join(f"{name}={value}" for name, value in sorted(options.items()))
    return Imported(
        tape=tape,
        findings=(
            Finding("simulated", 1, f"made up by {adapter.name} with {said}, {seconds:g} s from {start_ns} ns"),
            Finding("gaps", recorder.losses, "times at which the venue said that the book was lost"),
        ),
        importer=f"simulated {__version__}",
        clock_offset_ns=0,
    )
