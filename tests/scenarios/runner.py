"""Runs the scripts of this folder: one line, one thing that happened or one thing that the router did about it.

    parent P1 buy 100                       what callers, the clock and the venue do comes first on its line:
    wants  P1 take 60 @ 10_001              venue params book wants parent stop pause resume change kill lift wait
    send   P1.1 buy 60 @ 10_001 ioc         market ack trade canceled expired rejected refused status unknown
    wait   1s        -> P1.1 in_doubt       replaced kept lost unsent relist position down up restart
                                            stray neighbour moved contradicted
    query  P1.1                             what the router did: send cancel amend query alarm halt ended

Everything that the router does must stand in the script, in its order: a line that is missing fails like one that is
wrong. Behind `->` stands what must be true then, of the parent or order that was named last. `P1.2` is the second
order of parent P1. Numbers may have underscores, durations a unit (ms, s), `#` begins a comment.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path

import msgspec

from sor.adapter import AmendModel, Capabilities, Reach, ReduceOnly, Request, SelfTrade
from sor.child import Child, Life
from sor.commands import Alarm, Amend, Cancel, Ended, Place, Query
from sor.events import (
    AmendAsked,
    CancelAsked,
    Contradicted,
    FlowCause,
    ForeignTrade,
    HaltLifted,
    InstrumentAdopted,
    ModeSet,
    NeighbourFound,
    PauseAsked,
    PositionMoved,
    Reading,
    ResumeAsked,
    StrayFound,
    TradingMode,
)
from sor.ids import AccountId, ClOrdId, ExecId, ParentId, VenueOrderId
from sor.market import Levels, Trust
from sor.orders import ExecType, OnNoMarket, OrdStatus, OrdType, PositionSide, RejectKind, Side
from sor.parent import Parent
from sor.policy import Decision, Placement
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.bench import BTC, BTC_A, CODEC, SURE, A, Bench, Outward, book, decided, outward, parent_order
from tests.fakes.policies import QUIET, Broken, Greedy, Immediate, Slices, Wanting, decision, rest, take

LIVES = {
    "pending": Life.PENDING_NEW,
    "live": Life.LIVE,
    "in_doubt": Life.IN_DOUBT,
    "absent": Life.ABSENT,
    "done": Life.DONE,
}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}


class ScriptError(AssertionError):
    """A line that the router does not bear out, or that makes no sense."""


def number(text: str) -> int:
    return int(text.replace("_", ""))


def duration_ns(text: str) -> int:
    for unit, size in (("ms", MS), ("s", NS)):
        if text.endswith(unit):
            return round(float(text.removesuffix(unit).replace("_", "")) * size)
    raise ScriptError(f"{text!r} is no duration: write 250ms or 5s")


def pairs(words: list[str]) -> dict[str, str]:
    """`limit 10_010 deadline 5s` as a dictionary."""
    if len(words) % 2:
        raise ScriptError(f"names and values do not pair up in {' '.join(words)!r}")
    return dict(zip(words[::2], words[1::2], strict=True))


class Script:
    """One script being run."""

    def __init__(self) -> None:
        self.wanting = Wanting()
        self.values: dict[str, str] = {}
        self.capabilities: Capabilities = SURE
        self.instrument = BTC_A
        self._bench: Bench | None = None
        self.waiting: list[Outward] = []
        self.denials: dict[int, tuple[str, ...]] = {}
        self.named: Parent | None = None
        verbs: list[Callable[[list[str]], None]] = [
            self.venue, self.params, self.book, self.wants, self.parent, self.stop, self.pause, self.resume,
            self.change, self.kill, self.lift, self.wait, self.market, self.ack, self.trade, self.canceled,
            self.expired, self.rejected, self.refused, self.status, self.unknown, self.replaced, self.kept, self.lost,
            self.unsent, self.relist, self.position, self.down, self.up, self.restart, self.stray, self.neighbour,
            self.moved, self.contradicted,
        ]  # fmt: skip
        self.inputs = {verb.__name__: verb for verb in verbs}
        done: list[Callable[[list[str]], None]] = [
            self.send, self.cancel, self.amend, self.query, self.alarm, self.halt, self.ended,
        ]  # fmt: skip
        self.outputs = {verb.__name__: verb for verb in done}

    @property
    def bench(self) -> Bench:
        if self._bench is None:
            self._bench = Bench(
                self.wanting,
                capabilities=self.capabilities,
                values=self.values,
                instrument=self.instrument,
                schedules={plan.name: plan for plan in (Immediate(), Slices(), Greedy(), Broken())},
            )
        return self._bench

    def run(self, text: str) -> None:
        """Every line; raises `ScriptError` with the number of the first one that fails."""
        for no, line in enumerate(text.splitlines(), start=1):
            code = line.partition("#")[0].strip()
            if not code:
                continue
            try:
                self.line(code)
            except (AssertionError, KeyError, ValueError, IndexError) as error:
                raise ScriptError(f"line {no}: {line.strip()}\n  {type(error).__name__}: {error}") from error
        if self.waiting:
            raise ScriptError(f"the script ends, but the router also did {self.waiting}")

    def line(self, code: str) -> None:
        doing, _, expected = code.partition("->")
        words = doing.split()
        if words[0] in self.outputs:
            self.outputs[words[0]](words[1:])
        elif words[0] in self.inputs:
            if self.waiting:
                raise ScriptError(f"before this, the router also did {self.waiting[0]}")
            self.inputs[words[0]](words[1:])
            self.take_in()
        else:
            raise ScriptError(f"there is no verb {words[0]!r}")
        for one in filter(None, (part.strip() for part in expected.split(","))):
            self.expect(one.split())

    def take_in(self) -> None:
        """Note what the router did about what has just happened."""
        if self._bench is None:
            return
        for _, wishes in self._bench.turns:
            self.waiting += outward(wishes)
            for record in decided(wishes):
                self.denials[record.parent_no] = tuple(denial.value for denial in record.denials)
        self._bench.turns.clear()

    # --- who is meant -------------------------------------------------------------------------------------------------

    def parent_called(self, name: str) -> Parent:
        self.named = self.bench.core.by_id[ParentId(name)]
        return self.named

    def child(self, name: str) -> Child:
        parent, _, no = name.partition(".")
        return self.parent_called(parent).children[int(no) - 1]

    def name_of(self, cl_ord_id: str) -> str:
        for parent in self.bench.core.parents:
            for child in parent.children:
                if child.order.cl_ord_id == cl_ord_id:
                    self.named = parent
                    return f"{parent.id}.{child.child_no}"
        owned = CODEC.decode(cl_ord_id)
        if owned is None:
            raise ScriptError(f"nobody's order: {cl_ord_id}")
        return f"stray{owned.parent_no}"

    # --- the ground ---------------------------------------------------------------------------------------------------

    def venue(self, words: list[str]) -> None:
        """Before anything else: what the venue can do, and what it lists.

        `window none lag 0s amend yes bound 5 rate 10 cancels 5 reduce none marks yes resizes yes positions stated min 5
        max 50 worth 1_000`.
        """
        changes: dict[str, object] = {}
        for key, value in pairs(words).items():
            match key:
                case "min":
                    self.instrument = msgspec.structs.replace(self.instrument, min_qty_lots=number(value))
                case "max":
                    self.instrument = msgspec.structs.replace(self.instrument, max_qty_lots=number(value))
                case "worth":
                    self.instrument = msgspec.structs.replace(self.instrument, min_notional=Decimal(number(value)))
                case "marks":
                    changes["marks"] = value == "yes"
                case "resizes":
                    changes["venue_may_resize"] = value == "yes"
                case "window":
                    changes["receive_window_ns"] = 0 if value == "none" else duration_ns(value)
                case "lag":
                    changes["lookup_lag_ns"] = duration_ns(value)
                case "amend":
                    changes["amend"] = AmendModel.NATIVE_SAME_ID if value == "yes" else AmendModel.NONE
                case "bound":
                    changes["market_bound_bps"] = float(value)
                case "rate":
                    changes["orders_per_s"] = float(value)
                case "cancels":
                    changes["cancels_per_s"] = float(value)
                case "positions":
                    changes["states_positions"] = value == "stated"
                case "asks":
                    changes["asks_while_down"] = value == "down"
                case "reduce":
                    changes["reduce_only"] = ReduceOnly(value)
                case "self_trade":
                    changes["self_trade"] = SelfTrade(value)
                case _:
                    raise ScriptError(f"a venue has no {key!r}")
        self.capabilities = msgspec.structs.replace(self.capabilities, **changes)

    def params(self, words: list[str]) -> None:
        self.values |= pairs(words)

    def book(self, words: list[str]) -> None:
        """`9_999 x 50 / 10_001 x 50`, `none`, `gap`, `crossed` or `silent` (it no longer says anything)."""
        bench = self.bench
        match words:
            case ["none"]:
                bench.market = book((), (), trust=Trust.EMPTY)
            case ["silent"]:
                bench.market, bench.fresh = bench.seen(), False
            case [("gap" | "crossed") as trust]:
                bench.market = msgspec.structs.replace(bench.market, trust=Trust(trust))
            case _:
                bids, _, asks = " ".join(words).partition("/")
                bench.market, bench.fresh = book(levels(bids), levels(asks)), True

    # --- callers ------------------------------------------------------------------------------------------------------

    def wants(self, words: list[str]) -> None:
        """`P1 rest all @ 9_999 for 5s`, `P1 take 60 @ 10_010`, `P1 hold`, `P1 raise`, `P1 turn rest .. or rest ..`.

        Several placements stand with `and`; `again 1s` at the end asks for the policy after that time. `turn` changes
        its mind every time it is asked.
        """
        name, *rest_of = words
        revisit_ns: int | None = None
        if "again" in rest_of:
            at = rest_of.index("again")
            revisit_ns = duration_ns(rest_of[at + 1])
            rest_of = rest_of[:at]
        moods = [mood.split(" and ") for mood in " ".join(rest_of).removeprefix("turn ").split(" or ")]
        asked = count()

        def wish(view: View) -> Decision:
            wanted = moods[next(asked) % len(moods)]
            if wanted == ["raise"]:
                raise ZeroDivisionError("float division by zero")
            revisit = QUIET if revisit_ns is None else Revisit(at_ns=view.now_ns + revisit_ns, on_untrusted=False)
            placements = tuple(placement(text.split(), view) for text in wanted if text != "hold")
            return decision(*placements, revisit=revisit)

        self.wanting.wishes[ParentId(name)] = wish

    def parent(self, words: list[str]) -> None:
        """`P1 buy 100 limit 10_010 deadline 60s reduce yes slices 4 plan greedy no_market refuse`."""
        name, side, lots, *terms = words
        changes: dict[str, object] = {}
        for key, value in pairs(terms).items():
            match key:
                case "limit":
                    changes["limit"] = Decimal(number(value))
                case "deadline":
                    changes["deadline_s"] = duration_ns(value) / NS
                case "unwind":
                    changes["unwind_after_s"] = duration_ns(value) / NS
                case "reduce":
                    changes["reduce_only"] = value == "yes"
                case "plan":
                    changes["schedule"] = value
                case "no_market":
                    changes["on_no_market"] = OnNoMarket(value)
                case "slices":
                    changes |= {"schedule": "slices", "schedule_args": {"count": float(value)}}
                case _:
                    raise ScriptError(f"a parent has no {key!r}")
        self.named = self.bench.submit(parent_order(name, SIDES[side], number(lots), **changes))

    def stop(self, words: list[str]) -> None:
        parent = self.parent_called(words[0])
        self.bench.post(CancelAsked(now_ns=self.bench.now_ns, parent_no=parent.no))

    def pause(self, words: list[str]) -> None:
        parent = self.parent_called(words[0])
        self.bench.post(PauseAsked(now_ns=self.bench.now_ns, parent_no=parent.no))

    def resume(self, words: list[str]) -> None:
        parent = self.parent_called(words[0])
        self.bench.post(ResumeAsked(now_ns=self.bench.now_ns, parent_no=parent.no))

    def change(self, words: list[str]) -> None:
        """`P1 quantity 50 limit 10_005 deadline 10s`."""
        parent = self.parent_called(words[0])
        terms = pairs(words[1:])
        self.bench.post(
            AmendAsked(
                now_ns=self.bench.now_ns,
                parent_no=parent.no,
                quantity=Decimal(number(terms["quantity"])) if "quantity" in terms else None,
                limit=Decimal(number(terms["limit"])) if "limit" in terms else None,
                deadline_s=duration_ns(terms["deadline"]) / NS if "deadline" in terms else None,
            )
        )

    def kill(self, words: list[str]) -> None:
        self.bench.post(ModeSet(now_ns=self.bench.now_ns, mode=TradingMode(words[0]), reason="test"))

    def lift(self, words: list[str]) -> None:
        del words
        self.bench.post(HaltLifted(now_ns=self.bench.now_ns, venue=A, symbol=BTC))

    def wait(self, words: list[str]) -> None:
        self.bench.run_for(duration_ns(words[0]))

    def market(self, words: list[str]) -> None:
        """The market does something that the parent wanted to be told of."""
        self.bench.wake_by_market(self.parent_called(words[0]))

    # --- the venue ----------------------------------------------------------------------------------------------------

    def ack(self, words: list[str]) -> None:
        self.bench.ack(self.child(words[0]))

    def trade(self, words: list[str]) -> None:
        """`P1.1 25 @ 10_001`, with `id x7` and `cum 25` where they matter; `asked` behind it: by a lookup."""
        name, lots, at, ticks, *more = words
        asked = more[-1:] == ["asked"]
        terms = pairs(more[:-1] if asked else more)
        if at != "@":
            raise ScriptError("a trade is written as P1.1 25 @ 10_001")
        self.bench.trade(
            self.child(name),
            number(lots),
            number(ticks),
            exec_id=terms.get("id", ""),
            cum=number(terms.get("cum", "-1")),
            asked=asked,
        )

    def canceled(self, words: list[str]) -> None:
        self._end(ExecType.CANCELED, words)

    def expired(self, words: list[str]) -> None:
        self._end(ExecType.EXPIRED, words)

    def _end(self, exec_type: ExecType, words: list[str]) -> None:
        """`P1.1 cum 25`; without `cum` the venue does not say how much was filled."""
        cum = pairs(words[1:]).get("cum", "-1")
        self.bench.report(self.child(words[0]), exec_type, cum=number(cum))

    def rejected(self, words: list[str]) -> None:
        kind = RejectKind(words[1]) if len(words) > 1 else RejectKind.OTHER
        self.bench.report(self.child(words[0]), ExecType.REJECTED, reject=kind)

    def refused(self, words: list[str]) -> None:
        """A cancel is refused: `P1.1 unknown`, `P1.1 late`, `P1.1 busy`."""
        kinds = {"unknown": RejectKind.UNKNOWN_ORDER, "late": RejectKind.TOO_LATE, "busy": RejectKind.RATE_LIMITED}
        kind = kinds[words[1]] if len(words) > 1 else RejectKind.OTHER
        self.bench.report(self.child(words[0]), ExecType.CANCEL_REJECTED, reject=kind)

    def status(self, words: list[str]) -> None:
        """The answer to a lookup: `P1.1 new cum 10`, `P1.1 canceled cum 25`, `P1.1 new lots 60 ticks 9_998`."""
        terms = {key: number(value) for key, value in pairs(words[2:]).items()}
        self.bench.report(
            self.child(words[0]),
            ExecType.STATUS,
            status=OrdStatus(words[1]),
            cum=terms.get("cum", -1),
            order_lots=terms.get("lots", 0),
            price_ticks=terms.get("ticks", 0),
        )

    def unknown(self, words: list[str]) -> None:
        """`P1.1 4s`: a lookup finds nothing; with a duration the venue says that it was so that long ago."""
        venue_ns = self.bench.now_ns - duration_ns(words[1]) if len(words) > 1 else 0
        self.bench.report(self.child(words[0]), ExecType.NOT_FOUND, venue_ns=venue_ns)

    def replaced(self, words: list[str]) -> None:
        """`P1.1 60 @ 9_998`; without terms the venue does not repeat them."""
        lots, ticks = (number(words[1]), number(words[3])) if len(words) > 1 else (0, 0)
        self.bench.report(self.child(words[0]), ExecType.REPLACED, order_lots=lots, price_ticks=ticks)

    def kept(self, words: list[str]) -> None:
        """An amend is refused."""
        self.bench.report(self.child(words[0]), ExecType.AMEND_REJECTED)

    def lost(self, words: list[str]) -> None:
        """`place P1.1`: the request may have arrived."""
        self.bench.lost(self.child(words[1]), Request(words[0]), Reach.IN_DOUBT)

    def unsent(self, words: list[str]) -> None:
        """`place P1.1`: the request provably did not leave."""
        self.bench.lost(self.child(words[1]), Request(words[0]), Reach.NOT_SENT)

    def relist(self, words: list[str]) -> None:
        """The venue lists a new version of the instrument: `tick 2`, `lot 10`."""
        terms = pairs(words)
        self.instrument = msgspec.structs.replace(
            self.instrument,
            version=self.instrument.version + 1,
            tick_size=Decimal(terms.get("tick", self.instrument.tick_size)),
            lot_size=Decimal(terms.get("lot", self.instrument.lot_size)),
        )
        self.bench.post(InstrumentAdopted(now_ns=self.bench.now_ns, instrument=self.instrument))

    def position(self, words: list[str]) -> None:
        self.bench.position(number(words[0]))

    def down(self, words: list[str]) -> None:
        del words
        self.bench.down()

    def up(self, words: list[str]) -> None:
        """The link stands; `up alice` says which account it is."""
        self.bench.up(*words)

    def restart(self, words: list[str]) -> None:
        """The process dies, and another one takes over its journal; the venue is not connected yet.

        `restart vouched`: somebody vouches that the venues' accounts are those of before. `restart after 31s`: for so
        long there is none.
        """
        after_ns = duration_ns(words[1]) if words[:1] == ["after"] else 0
        self.bench.restart(same_accounts=words == ["vouched"], after_ns=after_ns)

    # --- what reading the venue's books brings ------------------------------------------------------------------------

    def stray(self, words: list[str]) -> None:
        """`stray9 buy 40 @ 9_990`: an order with our mark rests, of a parent 9 that nobody knows; `stray9 canceled`."""
        cl_ord_id = CODEC.encode(7, int(words[0].removeprefix("stray")), 1, closing=False)
        if words[1:] == ["canceled"]:
            self.bench.report(cl_ord_id, ExecType.CANCELED, cum=0)
            return
        self.bench.post(
            StrayFound(
                now_ns=self.bench.now_ns,
                venue=A,
                symbol=BTC,
                cl_ord_id=cl_ord_id,
                venue_order_id=VenueOrderId(""),
                side=SIDES[words[1]],
                price_ticks=number(words[4]),
                leaves_lots=number(words[2]),
            )
        )

    def neighbour(self, words: list[str]) -> None:
        """`8`: orders with the mark of that journal rest."""
        epoch = int(words[0])
        ids = (CODEC.encode(epoch, 1, 1, closing=False),)
        self.bench.post(NeighbourFound(now_ns=self.bench.now_ns, venue=A, epoch=epoch, cl_ord_ids=ids))

    def moved(self, words: list[str]) -> None:
        """`-20 manual m1`: the position moved, by that trade; none for `unexplained`."""
        lots = number(words[0])
        trades = tuple(
            ForeignTrade(
                ExecId(name),
                ClOrdId(""),
                VenueOrderId(""),
                Side.BUY if lots > 0 else Side.SELL,
                abs(lots),
                10_000,
                self.bench.now_ns,
            )
            for name in words[2:]
        )
        self.bench.post(
            PositionMoved(
                now_ns=self.bench.now_ns,
                venue=A,
                account=AccountId("default"),
                symbol=BTC,
                position_side=PositionSide.BOTH,
                cause=FlowCause(words[1]),
                by=Reading.FILLS if trades else Reading.POSITIONS,
                qty_lots=lots,
                trades=trades,
            )
        )

    def contradicted(self, words: list[str]) -> None:
        """`P1.1 fills`: what was read there is not what has been told of it."""
        child = self.child(words[0])
        by = Reading(words[1])
        cl_ord_id = child.order.cl_ord_id
        self.bench.post(Contradicted(now_ns=self.bench.now_ns, cl_ord_id=cl_ord_id, by=by, text="test"))

    # --- what the router did ------------------------------------------------------------------------------------------

    def next(self) -> Outward:
        if not self.waiting:
            raise ScriptError("the router did nothing more")
        return self.waiting.pop(0)

    def send(self, words: list[str]) -> None:
        """`P1.1 buy 60 @ 10_001 ioc`, `P1.1 sell 60 @ 10_001 rest`, `P1.1 buy 60 market`, then `reduce`."""
        wish = self.next()
        if not isinstance(wish, Place):
            raise ScriptError(f"the router did {wish}")
        order = wish.order
        kind = "rest" if order.post_only else "market" if order.ord_type is OrdType.MARKET else order.tif.value
        made = [self.name_of(order.cl_ord_id), order.side.name.lower(), str(order.qty_lots)]
        made += [kind] if kind == "market" else ["@", str(order.price_ticks), kind]
        made += ["reduce"] if order.reduce_only else []
        self._same(made, words)

    def cancel(self, words: list[str]) -> None:
        wish = self.next()
        if not isinstance(wish, Cancel):
            raise ScriptError(f"the router did {wish}")
        self._same([self.name_of(wish.ref.cl_ord_id)], words)

    def query(self, words: list[str]) -> None:
        wish = self.next()
        if not isinstance(wish, Query):
            raise ScriptError(f"the router did {wish}")
        self._same([self.name_of(wish.ref.cl_ord_id)], words)

    def amend(self, words: list[str]) -> None:
        wish = self.next()
        if not isinstance(wish, Amend):
            raise ScriptError(f"the router did {wish}")
        self._same([self.name_of(wish.ref.cl_ord_id), str(wish.qty_lots), "@", str(wish.price_ticks)], words)

    def alarm(self, words: list[str]) -> None:
        """Words that the alarm's text contains."""
        self._alarm(words, halts=False)

    def halt(self, words: list[str]) -> None:
        """An alarm that halts the symbol."""
        self._alarm(words, halts=True)

    def _alarm(self, words: list[str], *, halts: bool) -> None:
        wish = self.next()
        if not isinstance(wish, Alarm) or wish.halts is not halts or " ".join(words) not in wish.text:
            raise ScriptError(f"the router did {wish}")

    def ended(self, words: list[str]) -> None:
        """`P1 expired deadline cum 25`."""
        wish = self.next()
        if not isinstance(wish, Ended):
            raise ScriptError(f"the router did {wish}")
        parent = self.bench.core.parents[wish.parent_no - 1]
        self.named = parent
        self._same([parent.id, wish.status.value, wish.reason.value, "cum", str(wish.cum_lots)], words)

    @staticmethod
    def _same(made: list[str], words: list[str]) -> None:
        if made != [word.replace("_", "") if word[0].isdigit() else word for word in words]:
            raise ScriptError(f"the router made it {' '.join(made)}")

    # --- what must be true --------------------------------------------------------------------------------------------

    def expect(self, words: list[str]) -> None:
        subject, *rest_of = words
        ledgers = {"cum", "held", "doubt", "free", "over", "order", "working"}
        if subject in ledgers:
            assert self.named is not None
            ledger = self.named.ledger
            actual = {
                "cum": ledger.cum_lots,
                "held": ledger.working_lots + ledger.in_doubt_lots,
                "working": ledger.working_lots,
                "doubt": ledger.in_doubt_lots,
                "free": ledger.free_lots,
                "over": ledger.over_lots,
                "order": ledger.order_lots,
            }[subject]
            assert actual == number(rest_of[0]), f"{subject} is {actual} ({ledger})"
        elif subject == "denied":
            assert self.named is not None
            assert self.denials.get(self.named.no) == tuple(rest_of), f"denied {self.denials.get(self.named.no)}"
        elif subject == "wakes":
            assert self.named is not None
            at_ns = self.bench.wakes.get(self.named.no, 0)
            assert at_ns, "no wake-up is set"
            assert at_ns - self.bench.now_ns == duration_ns(rest_of[0]), f"in {(at_ns - self.bench.now_ns) / MS} ms"
        elif subject in ("halted", "trading"):
            halted = self.bench.core.desk.book_of(self.bench.core.parents[0]).halted
            assert bool(halted) is (subject == "halted"), halted or "nothing is halted"
        elif subject == "asked":
            assert self.named is not None
            asked = sum(parent_id == self.named.id for parent_id, _ in self.wanting.asked)
            assert asked == number(rest_of[0]), f"its policy was asked {asked} times"
        elif subject == "holds":
            lots = self.bench.core.desk.books[A, AccountId("default"), BTC].positions[PositionSide.BOTH]
            assert lots == number(rest_of[0]), f"the position is {lots}"
        elif subject == "orders":
            assert self.named is not None
            assert len(self.named.children) == number(rest_of[0]), f"it has had {len(self.named.children)} orders"
        elif "." in subject:
            self._expect_child(self.child(subject), rest_of)
        else:
            parent = self.parent_called(subject)
            assert parent.status.value == rest_of[0], f"it is {parent.status.value}"

    @staticmethod
    def _expect_child(child: Child, words: list[str]) -> None:
        if words[0] in LIVES:
            assert child.life is LIVES[words[0]], f"it is {child.life.name}"
        elif words[0] == "filled" and len(words) > 1:
            assert child.counted_lots == number(words[1]), f"{child.counted_lots} are counted"
        else:
            assert child.status is OrdStatus(words[0]), f"it is {child.status.value}"


def levels(text: str) -> Levels:
    """`9_999 x 50, 9_998 x 100`, best first; the commas may be left out."""
    words = text.replace(",", " ").split()
    return tuple((number(words[i]), number(words[i + 2])) for i in range(0, len(words), 3))


def placement(words: list[str], view: View) -> Placement:
    """One wanted placement: `rest 60 @ 9_999 for 5s`, `take all @ 10_010`."""
    kind, lots, at, ticks, *more = words
    if at != "@":
        raise ScriptError("a placement is written as take 60 @ 10_010")
    wanted = view.open_lots if lots == "all" else number(lots)
    if kind == "take":
        return take(A, wanted, number(ticks))
    return rest(A, wanted, number(ticks), until_ns=view.now_ns + duration_ns(pairs(more)["for"]))


def scripts() -> list[Path]:
    """The scripts of this folder, by name."""
    return sorted(Path(__file__).parent.glob("*.txt"))
