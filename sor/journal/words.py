"""Records in words, for people: one line each, prices and quantities as decimals where the instrument is known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import assert_never

from sor.adapter import NewOrder
from sor.commands import Alarm, Amend, Cancel, Decided, Ended, Place, Query, Recorded
from sor.events import (
    AmendAsked,
    ArmStopped,
    CancelAsked,
    Contradicted,
    EndMarked,
    ExperimentAdopted,
    FitContradicted,
    FitTrusted,
    HaltLifted,
    InstrumentAdopted,
    Looked,
    Marked,
    ModeSet,
    NeighbourFound,
    ParamsAdopted,
    PauseAsked,
    PositionKnown,
    PositionMoved,
    Reported,
    RequestLost,
    ResumeAsked,
    SessionStarted,
    Shadowed,
    StrayFound,
    Submitted,
    VenueDown,
    VenueUp,
    WalletKnown,
    WalletMoved,
    Woke,
)
from sor.experiment.assigned import Assigned
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.journal.records import Record
from sor.market import MarketView
from sor.orders import ExecutionReport, OrdType, Side
from sor.policy import Rest, Take
from sor.units import NS, seconds

_OfAccount = PositionKnown | PositionMoved | WalletKnown | WalletMoved | StrayFound | NeighbourFound | Contradicted
_OfWhatIsInForce = InstrumentAdopted | ParamsAdopted | ExperimentAdopted | ArmStopped | FitContradicted
_Asked = CancelAsked | PauseAsked | ResumeAsked | AmendAsked | ModeSet | HaltLifted | FitTrusted


def utc(at_ns: int) -> str:
    """A time as `2026-11-21 06:40:45.123456`, UTC; microseconds are cut, not rounded."""
    whole, rest = divmod(at_ns, NS)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%d %H:%M:%S}.{rest // 1000:06}"


class Narrator:
    """Tells records in words, knowing some instruments; a value, so that each record is told by those of its time."""

    __slots__ = ("_instruments",)

    def __init__(self, instruments: Mapping[tuple[VenueName, Symbol], Instrument] | None = None) -> None:
        self._instruments = instruments or {}

    def after(self, record: Record) -> Narrator:
        """The narrator for this record and the next ones: one that knows the instrument which it adopts."""
        if not isinstance(record, InstrumentAdopted):
            return self
        instrument = record.instrument
        return Narrator({**self._instruments, (instrument.venue, instrument.symbol): instrument})

    def tell(self, record: Record) -> str:
        """One record in one line. Text from outside is cleared of what a terminal would act upon."""
        return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in self._say(record))

    def _say(self, record: Record) -> str:
        if isinstance(record, _OfAccount):
            return self._account(record)
        if isinstance(record, _OfWhatIsInForce):
            return self._in_force(record)
        if isinstance(record, _Asked):
            return self._asked(record)
        if isinstance(record, Recorded):
            return self._wish(record)
        match record:
            case SessionStarted():
                same = "; somebody vouches for the accounts" if record.same_accounts else ""
                params = f"param-set {record.default_set}"
                return f"sor {record.version} opened the journal, epoch {record.epoch}, {params}{same}"
            case VenueUp():
                return f"{record.venue} is up{f', account {record.identity}' if record.identity else ''}"
            case VenueDown():
                return f"{record.venue} is down: {record.reason}"
            case Submitted(order=order):
                limit = "" if order.limit is None else f", limit {order.limit}"
                what = f"{_verb(order.side)} {order.quantity} {order.symbol} on {record.venue}{limit}"
                by = order.policy
                if record.assigned is not None:
                    by = _assigned(record.assigned, by)
                return f"parent {order.parent_id}: {what}, {by} over {order.schedule}, {order.deadline_s:g} s"
            case Looked():
                return f"parent {record.parent_no} looked ({record.cause}): {self._market(record.market)}"
            case Reported(report=report):
                return self._report(report)
            case RequestLost(failed=failed):
                said = f": {failed.code} {failed.text}".rstrip(": ")
                return f"{failed.request} of {failed.cl_ord_id} at {record.venue} is {_spaced(failed.reach)}{said}"
            case Woke():
                return f"parent {record.parent_no} woke: {'the market moved' if record.market else 'its time came'}"
            case Shadowed():
                wanted = ", ".join(self._placement(each) for each in record.decision.placements) or "hold"
                who = f"{record.shadow} ({record.policy}, {record.set_id})"
                return f"parent {record.parent_no}: {who} would {wanted}: {_spaced(record.decision.reason)}"
            case Marked():
                mid = "unknown" if record.mid_hticks == 0 else f"{record.mid_hticks / 2:g} ticks"
                horizon = f"{seconds(record.horizon_ns):g} s"
                return f"parent {record.parent_no}: mid {horizon} after fill {record.exec_id} is {mid}"
            case EndMarked():
                return f"parent {record.parent_no} ended with something left: {self._market(record.market)}"
            case _:
                assert_never(record)

    def _account(self, record: _OfAccount) -> str:
        match record:
            case PositionKnown():
                size = self._lots(record.venue, record.symbol, abs(record.qty_lots))
                sign = "-" if record.qty_lots < 0 else ""
                return f"position {record.symbol} on {record.venue} ({record.position_side}): {sign}{size}"
            case PositionMoved():
                size = self._lots(record.venue, record.symbol, abs(record.qty_lots))
                moved = f"{'-' if record.qty_lots < 0 else '+'}{size} {_spaced(record.cause)}"
                trades = f", {len(record.trades)} trades" if record.trades else ""
                where = f"{record.symbol} on {record.venue} ({record.position_side})"
                return f"position {where} moved: {moved}{trades} (by {_spaced(record.by)})"
            case WalletKnown():
                return f"wallet on {record.venue}: {record.amount.normalize():f} {record.asset}"
            case WalletMoved():
                kinds = ", ".join(dict.fromkeys(entry.word for entry in record.entries))
                words = f", {len(record.entries)} entries of {kinds}" if kinds else ""
                amount = f"{record.amount.normalize():+f}"
                return f"wallet on {record.venue} changed: {amount} {record.cause}{words} (by {record.by})"
            case StrayFound():
                size = self._lots(record.venue, record.symbol, record.leaves_lots)
                price = self._price(record.venue, record.symbol, record.price_ticks)
                what = f"{_verb(record.side)} {size} {record.symbol} @ {price}"
                return f"stray at {record.venue}: {record.cl_ord_id}, {what}"
            case NeighbourFound():
                whose = f"another journal, epoch {record.epoch},"
                return f"{whose} has orders at {record.venue}: {', '.join(record.cl_ord_ids)}"
            case Contradicted():
                return f"{record.cl_ord_id} is contradicted by the venue's {_spaced(record.by)}: {record.text}"
            case _:
                assert_never(record)

    def _in_force(self, record: _OfWhatIsInForce) -> str:
        match record:
            case InstrumentAdopted(instrument=it):
                fees = f"fees {it.maker_fee_e8 / 1e4:g}/{it.taker_fee_e8 / 1e4:g} bps"
                return f"{it.venue} lists {it.symbol} v{it.version}: tick {it.tick_size}, lot {it.lot_size}, {fees}"
            case ParamsAdopted():
                return f"param-set {record.name} ({record.digest}) is in force"
            case ExperimentAdopted():
                return f"experiment {record.name} ({record.digest}) takes parents"
            case ArmStopped():
                what = f"arm {record.arm} of {record.experiment}" if record.arm else f"experiment {record.experiment}"
                return f"{what} takes no more parents: {record.text}"
            case FitContradicted():
                fit = f"the fit of {record.set_id} ({record.digest})"
                return f"nothing new rests by {fit} under {record.policy}: {record.text}"
            case _:
                assert_never(record)

    def _asked(self, record: _Asked) -> str:
        match record:
            case CancelAsked():
                return f"parent {record.parent_no} is to end{', the router shuts down' if record.shutdown else ''}"
            case PauseAsked():
                return f"parent {record.parent_no} is to pause"
            case ResumeAsked():
                return f"parent {record.parent_no} is to go on"
            case AmendAsked():
                terms = {
                    "quantity": record.quantity,
                    "limit": record.limit,
                    "deadline_s": record.deadline_s,
                    "urgency": record.urgency,
                }
                news = ", ".join(f"{name} {value}" for name, value in terms.items() if value is not None)
                return f"parent {record.parent_no} has new terms: {news}"
            case ModeSet():
                return f"trading is {_spaced(record.mode)}: {record.reason}"
            case HaltLifted():
                return f"the halt of {record.symbol} on {record.venue} is lifted: {record.reason}"
            case FitTrusted():
                return f"{record.set_id} is trusted again: {record.reason}"
            case _:
                assert_never(record)

    def _wish(self, record: Recorded) -> str:
        match record:
            case Place():
                return f"parent {record.parent_no}.{record.child_no}: {self._order(record.venue, record.order)}"
            case Cancel(ref=ref):
                return f"{_whose(record.parent_no)}: cancel {ref.cl_ord_id} at {record.venue}"
            case Amend(ref=ref):
                size = self._lots(record.venue, ref.symbol, record.qty_lots)
                price = self._price(record.venue, ref.symbol, record.price_ticks)
                return f"parent {record.parent_no}: amend {ref.cl_ord_id} at {record.venue} to {size} @ {price}"
            case Query(ref=ref):
                return f"{_whose(record.parent_no)}: look up {ref.cl_ord_id} at {record.venue}"
            case Decided():
                return self._decision(record)
            case Ended():
                text = f" ({record.text})" if record.text else ""
                status, reason = _spaced(record.status), _spaced(record.reason)
                return f"parent {record.parent_no} ended {status}, {reason}, {record.cum_lots} lots done{text}"
            case Alarm():
                where = f" {record.venue}" if record.venue else ""
                whose = f", parent {record.parent_no}" if record.parent_no else ""
                return f"ALARM{where}{whose}: {record.text}{', the symbol is halted' if record.halts else ''}"
            case _:
                assert_never(record)

    def _report(self, report: ExecutionReport) -> str:
        parts = [f"{report.cl_ord_id} at {report.venue}: {_spaced(report.exec_type)}"]
        if report.last_lots:
            size = self._lots(report.venue, report.symbol, report.last_lots)
            parts.append(f"{size} @ {self._price(report.venue, report.symbol, report.last_ticks)}")
        if report.is_maker is not None:
            parts.append("maker" if report.is_maker else "taker")
        if report.ord_status is not None:
            parts.append(f"order {_spaced(report.ord_status)}")
        if report.cum_lots >= 0:
            parts.append(f"{self._lots(report.venue, report.symbol, report.cum_lots)} in total")
        if report.reject:
            parts.append(_spaced(report.reject))
        if report.code or report.text:
            parts.append(f"{report.code} {report.text}".strip())
        return f"{', '.join(parts)} (by {report.provenance})"

    def _decision(self, wish: Decided) -> str:
        wanted = ", ".join(self._placement(each) for each in wish.decision.placements) or "hold"
        denied = f", denied: {', '.join(_spaced(each) for each in wish.denials)}" if wish.denials else ""
        vetoed = f", vetoed by {', '.join(wish.vetoes)}" if wish.vetoes else ""
        note = f" ({wish.decision.note})" if wish.decision.note else ""
        why = f"{_spaced(wish.cause)}: {_spaced(wish.decision.reason)}"
        return f"parent {wish.parent_no}: {wish.by} decided on {why}{note}: {wanted}{vetoed}{denied}"

    def _placement(self, placement: Rest | Take) -> str:
        # A placement names no symbol, so its figures stay in lots and ticks.
        match placement:
            case Rest():
                return f"rest {placement.qty_lots} lots @ {placement.price_ticks} ticks"
            case Take():
                return f"take {placement.qty_lots} lots up to {placement.collar_ticks} ticks"
            case _:
                assert_never(placement)

    def _order(self, venue: VenueName, order: NewOrder) -> str:
        price = (
            "market" if order.ord_type is OrdType.MARKET else f"@ {self._price(venue, order.symbol, order.price_ticks)}"
        )
        flags = f"{' post-only' if order.post_only else ''}{' reduce-only' if order.reduce_only else ''}"
        size = self._lots(venue, order.symbol, order.qty_lots)
        return f"{_verb(order.side)} {size} {order.symbol} {price} {order.tif}{flags} at {venue} as {order.cl_ord_id}"

    def _market(self, market: MarketView) -> str:
        if not market.bids or not market.asks:
            return f"{market.symbol} on {market.venue} has no two-sided book"
        bid, ask = (self._price(market.venue, market.symbol, side[0][0]) for side in (market.bids, market.asks))
        return f"{market.symbol} on {market.venue} {bid} / {ask}, book {market.trust}"

    def _price(self, venue: VenueName, symbol: Symbol, ticks: int) -> str:
        known = self._instruments.get((venue, symbol))
        return f"{ticks} ticks" if known is None else f"{known.price(ticks):f}"

    def _lots(self, venue: VenueName, symbol: Symbol, lots: int) -> str:
        known = self._instruments.get((venue, symbol))
        return f"{lots} lots" if known is None else f"{known.quantity(lots):f}"


def _whose(parent_no: int) -> str:
    return f"parent {parent_no}" if parent_no else "nobody's order"


def _assigned(assigned: Assigned, own: str) -> str:
    """By which policy a parent goes that named an experiment."""
    if not assigned.arm:
        return f"{own} (not in {assigned.experiment}: {assigned.why})"
    drawn = f"arm {assigned.arm} of {assigned.experiment}, drawn with {assigned.propensity:g}"
    return f"{assigned.policy} with {assigned.param_set} ({drawn})"


def _verb(side: Side) -> str:
    return "buy" if side is Side.BUY else "sell"


def _spaced(word: str) -> str:
    return word.replace("_", " ")
