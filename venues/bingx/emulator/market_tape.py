"""A recorded market, played by a market maker who is not there: its orders rest in the matching engine beside ours.

The model, in the tape's order by the venue's time, trades of an instant before its book changes:

- A level of the tape is what the crowd shows at that price. More than before: the difference joins the back of the
  queue. Less: the crowd takes its newest orders away first, so that what stood before a customer's order stays there
  as long as anything behind it can go.
- A trade of the tape is somebody who takes that much at that price or better, now. It meets the queue as it stands:
  a customer's order fills when it is its turn, and trades at a better price than the tape's if it rests there.
- A level that comes to cross a customer's resting order trades with it.
- What a customer takes from a level is missing there until the tape next speaks of that level.

Limits: nobody on the tape reacts to us, its makers do not fade and its takers do not take our size on top. Trades are
printed as they happen here, so a trade of the tape that found less than it wanted is printed smaller. The book that is
shown is the tape's plus ours. While the tape has lost its book (an empty snapshot) the crowd shows nothing. At its end
the tape begins again, and prices jump to where they were.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from sor.adapter import Scheduler
from sor.errors import CallerError
from sor.instruments import Instrument
from sor.orders import Side, Tif
from sor.tape import Tape
from sor.units import NS
from venues.bingx.emulator.contracts import DEFAULTS, Contract, listed, venue_symbol
from venues.bingx.emulator.pit import Pit
from venues.matching.orders import Order

_PLACES_MAX: Final = 8
_END_PAUSE_NS: Final = NS


def contract_of(tape: Tape) -> Contract:
    """A contract that a tape can be played in: that of its name, with the tape's steps and prices.

    Raises `CallerError` when the tape's market has no spelling at BingX, its steps have more than 8 decimals, or it
    holds no book with two sides.
    """
    instrument = tape.instrument
    name = venue_symbol(instrument.symbol)
    known = next((one for one in listed([name], defaults=DEFAULTS) if one.symbol == name), None)
    assert known is not None
    places = _places(instrument.tick_size, instrument), _places(instrument.lot_size, instrument)
    return msgspec.structs.replace(
        known,
        price_precision=places[0],
        qty_precision=places[1],
        min_qty=Decimal(1).scaleb(-places[1]),
        start_price=_first_price(tape),
    )


def _places(step: Decimal, instrument: Instrument) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -_PLACES_MAX:
        raise CallerError(
            f"the tape of {instrument.symbol} has a step of {step}, which BingX cannot state; take another"
        )
    return max(0, -exponent)


def _first_price(tape: Tape) -> Decimal:
    """The best bid of the first snapshot that has two sides."""
    for group in tape.group_snapshot.nonzero()[0].tolist():
        first, end = int(tape.group_first[group]), int(tape.group_first[group + 1])
        sides, ticks = tape.level_side[first:end], tape.level_ticks[first:end]
        if (sides > 0).any() and (sides < 0).any():
            return tape.instrument.price(int(ticks[sides > 0].max()))
    raise CallerError(f"the tape {tape.name} holds no whole book to begin with; take another")


class TapeReplay:
    """One tape into one contract, on the exchange's clock."""

    __slots__ = (
        "_began_ns",
        "_crowd",
        "_group",
        "_lots",
        "_pit",
        "_scheduler",
        "_speed",
        "_tape",
        "_ticks",
        "_trade",
        "_zero_ns",
    )

    def __init__(self, scheduler: Scheduler, pit: Pit, tape: Tape, *, speed: float) -> None:
        """Raises `CallerError` when the tape's steps are not whole steps of the contract."""
        self._scheduler = scheduler
        self._pit = pit
        self._tape = tape
        self._speed = speed
        self._ticks = _whole(tape.instrument.tick_size, pit.instrument.tick_size, "tick", tape)
        self._lots = _whole(tape.instrument.lot_size, pit.instrument.lot_size, "step", tape)
        # The crowd's resting orders by (sign, ticks), oldest first; filled ones go when their level is touched.
        self._crowd: dict[tuple[int, int], list[Order]] = {}
        self._group = self._trade = 0
        self._began_ns = self._zero_ns = 0

    def start(self) -> None:
        """Show the first book that may be trusted, and go on from there."""
        tape = self._tape
        if not len(tape.group_venue_ns):
            raise CallerError(f"the tape {tape.name} is empty; take another")
        self._group = self._trade = 0
        self._zero_ns = int(tape.group_venue_ns[0]) + tape.warm_up_ns
        self._began_ns = self._scheduler.now_ns()
        self._play(self._zero_ns, trades=False)
        self._pit.engine.changes()
        self._plan()

    def _plan(self) -> None:
        due_ns = self._next_ns()
        if due_ns is None:
            self._scheduler.call_at(self._scheduler.now_ns() + _END_PAUSE_NS, self._again)
            return
        self._scheduler.call_at(self._began_ns + int((due_ns - self._zero_ns) / self._speed), self._step)

    def _next_ns(self) -> int | None:
        """Venue time of the next event, None at the end."""
        tape = self._tape
        times = []
        if self._trade < len(tape.trade_venue_ns):
            times.append(int(tape.trade_venue_ns[self._trade]))
        if self._group < len(tape.group_venue_ns):
            times.append(int(tape.group_venue_ns[self._group]))
        return min(times, default=None)

    def _again(self) -> None:
        self.start()

    def _step(self) -> None:
        elapsed_ns = self._scheduler.now_ns() - self._began_ns
        # One more: rounding down where it is planned must not leave the event that it was planned for.
        self._play(self._zero_ns + int(elapsed_ns * self._speed) + 1 + int(self._speed), trades=True)
        self._plan()

    def _play(self, until_ns: int, *, trades: bool) -> None:
        """Everything up to and including `until_ns`."""
        tape = self._tape
        trade_ns, group_ns = tape.trade_venue_ns, tape.group_venue_ns
        n_trades, n_groups = len(trade_ns), len(group_ns)
        while True:
            next_trade = int(trade_ns[self._trade]) if self._trade < n_trades else None
            next_group = int(group_ns[self._group]) if self._group < n_groups else None
            if next_trade is not None and next_trade <= until_ns and (next_group is None or next_trade <= next_group):
                if trades:
                    self._take(self._trade)
                self._trade += 1
            elif next_group is not None and next_group <= until_ns:
                self._show(self._group)
                self._group += 1
            else:
                return

    def _take(self, trade: int) -> None:
        tape = self._tape
        order = self._order(int(tape.trade_side[trade]), int(tape.trade_ticks[trade]), int(tape.trade_lots[trade]))
        order.tif = Tif.IOC
        self._pit.absorb(self._pit.engine.place(order, now_ns=self._scheduler.now_ns()))

    def _order(self, sign: int, tape_ticks: int, tape_lots: int) -> Order:
        side = Side.BUY if sign > 0 else Side.SELL
        return self._pit.crowd_order(side, lots=tape_lots * self._lots, price_ticks=tape_ticks * self._ticks)

    def _show(self, group: int) -> None:
        """Bring the crowd's levels to what a group says: first what goes, so that the crowd never meets itself."""
        tape = self._tape
        first, end = int(tape.group_first[group]), int(tape.group_first[group + 1])
        wanted = {
            (sign, ticks): lots
            for sign, ticks, lots in zip(
                tape.level_side[first:end].tolist(),
                tape.level_ticks[first:end].tolist(),
                tape.level_lots[first:end].tolist(),
                strict=True,
            )
        }
        if tape.group_snapshot[group]:
            for key in list(self._crowd):
                if key not in wanted:
                    self._lower(key, 0)
        for key, lots in wanted.items():
            self._lower(key, lots * self._lots)
        for key, lots in wanted.items():
            self._raise(key, lots * self._lots)

    def _lower(self, key: tuple[int, int], lots: int) -> None:
        """Take the crowd's newest orders away until no more than `lots` are shown."""
        resting = [order for order in self._crowd.get(key, ()) if order.level is not None]
        over_lots = sum(order.leaves_lots for order in resting) - lots
        engine, now_ns = self._pit.engine, self._scheduler.now_ns()
        while over_lots > 0:
            newest = resting[-1]
            leaves_lots = newest.leaves_lots
            if leaves_lots <= over_lots:
                engine.cancel(newest, now_ns=now_ns)
                resting.pop()
            else:
                engine.amend(
                    newest, qty_lots=newest.order_lots - over_lots, price_ticks=newest.price_ticks, now_ns=now_ns
                )
            over_lots -= leaves_lots
        if resting:
            self._crowd[key] = resting
        else:
            self._crowd.pop(key, None)

    def _raise(self, key: tuple[int, int], lots: int) -> None:
        """Put an order of the crowd behind those that are shown, until `lots` are."""
        resting = self._crowd.get(key, [])
        missing_lots = lots - sum(order.leaves_lots for order in resting)
        if missing_lots <= 0:
            return
        side = Side.BUY if key[0] > 0 else Side.SELL
        order = self._pit.crowd_order(side, lots=missing_lots, price_ticks=key[1] * self._ticks)
        self._pit.absorb(self._pit.engine.place(order, now_ns=self._scheduler.now_ns()))
        if order.level is not None:
            self._crowd[key] = [*resting, order]


def _whole(step: Decimal, unit: Decimal, what: str, tape: Tape) -> int:
    count = step / unit
    if count != int(count) or count < 1:
        raise CallerError(
            f"the tape {tape.name} has a {what} of {step}, no whole number of the contract's {unit}; no market was "
            "started. List the contract that contract_of makes of the tape"
        )
    return int(count)
