"""What one parent cost: implementation shortfall and its split, cost against arrival, fees, markouts (methods 9).

Signs: a cost is positive when it hurts us, a markout is positive when it helps us, on both sides.

Exactness: a line is a sum of lots x price differences, kept in whole half-tick-lots and money atoms (Fractions of a
coin for inverse contracts, whose profit is paid in coin: lots x face x (1/benchmark - 1/price)). The lines are asserted
to equal the total, which is computed on its own, with no tolerance. Only bps and averages are floats.

Not promised: the impact of our own orders is not told apart from the market's drift; both are in `timing`.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import msgspec

from sor.errors import CallerError
from sor.ids import ClOrdId, ExecId, ParentId, Symbol, VenueName
from sor.instruments import Instrument
from sor.orders import FeeSource, Fill, ParentStatus, Side
from sor.reasons import EndReason
from sor.tca.money import Exact, bps_of, from_quote, scale_of, stated, stated_parts, worth, worth_if_known
from sor.tca.record import ParentRecord
from sor.units import BPS

_ESTIMATED = {True: FeeSource.ESTIMATED_MAKER, False: FeeSource.ESTIMATED_TAKER, None: FeeSource.ESTIMATED_TAKER}
SETTLED = frozenset({FeeSource.WS_SETTLED, FeeSource.REST_SETTLED})
"""The sources that are the venue's own figure."""


class Shortfall(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Cost against the decision mid, in the settlement asset, exact; the lines that are there add up to `total`.

    A line whose prices are not known is None, unless no lots stand behind it: then it is 0.

    delay         mid at acceptance against mid at decision, on what was filled.
    timing        mid at each fill against mid at acceptance: own impact and market drift together.
    spread        fill price against mid at the fill; negative for most maker fills.
    fees          paid, at the best figure known for each fill; negative is a rebate.
    funding       paid while working; None until known, and the total is then without it.
    opportunity   end mark against decision mid, on what was not filled.
    """

    delay: Decimal | None
    timing: Decimal | None
    spread: Decimal | None
    fees: Decimal
    funding: Decimal | None
    opportunity: Decimal | None
    total: Decimal | None


class ShortfallBps(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`Shortfall` in bps of the arrival notional (quantity asked for x arrival mid), for display."""

    delay: float | None
    timing: float | None
    spread: float | None
    fees: float | None
    funding: float | None
    opportunity: float | None
    total: float | None


class FeeShare(msgspec.Struct, frozen=True, gc=False):
    """Fees known from one source: the amount in the settlement asset, and the lots of the fills behind it."""

    source: FeeSource
    amount: Decimal
    lots: int


class Markout(msgspec.Struct, frozen=True, gc=False):
    """The mid some time after a fill, in half-ticks of our sign.

    markout_hticks   s(m_h - p), positive is good. markout_bps: of the fill price.
    impact_hticks    s(m_h - m_0): how far the mid went our way after the fill; None when m_0 is unknown.
    """

    horizon_ns: int
    markout_hticks: int
    markout_bps: float
    impact_hticks: int | None

    @property
    def realised_hticks(self) -> int:
        """Realised half-spread s(p - m_h), a cost: effective half-spread = realised + impact."""
        return -self.markout_hticks


class FillReport(msgspec.Struct, frozen=True, gc=False):
    """One fill.

    effective_hticks   effective half-spread s(p - m_0), a cost; None when the mid at the fill is unknown.
    latency_ns         from sending the order to hearing of the fill; for a taker order that is its round trip. None for
                       a fill that was only inferred, as nobody heard of it.
    """

    exec_id: ExecId
    lots: int
    is_maker: bool | None
    latency_ns: int | None
    effective_hticks: int | None
    markouts: tuple[Markout, ...]


class ParentReport(msgspec.Struct, frozen=True, kw_only=True):
    """One parent's costs. bps are of the arrival notional; shares are 0 to 1; durations count from acceptance.

    asset                  what the amounts are in: the settlement asset.
    fill_ratio             filled over asked for; above 1 after an overfill.
    avg_price              quote units; harmonic for inverse contracts, as their venues define it.
    arrival_notional       quantity asked for at the arrival mid, in `asset`.
    arrival_cost, _bps     cost against the arrival mid with fees, and with completing the rest by crossing at the end
                           (taker fee in): intention to treat. None when arrival or the book at the end is unknown.
    completion, _bps       the part of `arrival_cost` that completing the rest makes up; 0 when there is no rest.
    beyond_book_lots       lots of the rest that the book at the end did not show: the cost is then a lower bound.
    cross_at_arrival_bps   what crossing at once was expected to cost; saved_bps: that less `arrival_cost_bps`.
    fee_shares             by source, in the order of `FeeSource`. fees_settled_share: of the filled lots.
    unvalued_fees          fills whose fee came in an asset that has no price here; their estimate stands in.
    passive_share          maker lots over lots whose liquidity flag is known: maker_lots + taker_lots.
    slippage_bps           lots-weighted mean of the fills' known slippage against the mark at submit.
    first_fill_ns, last_   None without fills, and when one was only inferred: nobody heard when it happened.
    """

    parent_id: ParentId
    policy: str
    params_digest: str
    venue: VenueName
    symbol: Symbol
    side: Side
    status: ParentStatus
    end_reason: EndReason | None
    asset: str
    qty_lots: int
    filled_lots: int
    fill_ratio: float
    avg_price: float | None
    arrival_notional: Decimal | None
    shortfall: Shortfall
    shortfall_bps: ShortfallBps
    arrival_cost: Decimal | None
    arrival_cost_bps: float | None
    completion: Decimal | None
    completion_bps: float | None
    beyond_book_lots: int
    cross_at_arrival_bps: float | None
    saved_bps: float | None
    fee_shares: tuple[FeeShare, ...]
    fees_settled_share: float | None
    unvalued_fees: int
    maker_lots: int
    taker_lots: int
    passive_share: float | None
    slippage_bps: float | None
    first_fill_ns: int | None
    last_fill_ns: int | None
    working_ns: int | None
    timeouts: int
    fallbacks: int
    requotes: int
    orders: int
    rejects: int
    fills: tuple[FillReport, ...]


def report(record: ParentRecord) -> ParentReport:
    """Price one parent.

    Raises `CallerError` for a record that contradicts itself: a fill counted twice or of another symbol or side, a
    price or quantity that is not positive, a completion of another size than the rest.
    """
    _check(record)
    instrument, sign, fills = record.instrument, int(record.side), record.fills
    scale = scale_of(instrument)
    filled = sum(fill.lots for fill in fills)
    rest = record.qty_lots - filled
    arrival = worth_if_known(instrument, record.arrival_hticks)
    fees, shares, unvalued = _fees(record)
    funding = _funding(record)
    lines = _lines(record, filled=filled, arrival=arrival, scale=scale)
    total = _total(record, rest=rest, scale=scale, charges=fees + (funding or 0))
    known = [line for line in lines if line is not None]
    assert len(known) < len(lines) or sum(known) + fees + (funding or 0) == total

    notional: Exact | None = None
    if arrival is not None:
        notional = record.qty_lots * scale * max(arrival, -arrival)
    completing = _completing(record, rest=rest, arrival=arrival, scale=scale)
    cost: Exact | None = None
    if arrival is not None and completing is not None:
        paid = sum(fill.lots * worth(instrument, 2 * fill.ticks) for fill in fills) - filled * arrival
        cost = sign * paid * scale + fees + completing
    cost_bps = bps_of(cost, notional)
    crossing_bps = record.cross_at_arrival_bps

    maker = sum(fill.lots for fill in fills if fill.is_maker)
    taker = sum(fill.lots for fill in fills if fill.is_maker is False)
    slips = [(fill.lots, fill.slippage_bps) for fill in fills if fill.slippage_bps is not None]
    settled = sum(share.lots for share in shares if share.source in SETTLED)
    heard = [] if any(fill.inferred for fill in fills) else [fill.recv_ns for fill in fills]
    return ParentReport(
        parent_id=record.parent_id,
        policy=record.policy,
        params_digest=record.params_digest,
        venue=instrument.venue,
        symbol=instrument.symbol,
        side=record.side,
        status=record.status,
        end_reason=record.end_reason,
        asset=instrument.settle or (instrument.base if instrument.inverse else instrument.quote),
        qty_lots=record.qty_lots,
        filled_lots=filled,
        fill_ratio=filled / record.qty_lots,
        avg_price=_avg_price(instrument, fills, filled),
        arrival_notional=stated(instrument, notional),
        shortfall=_shortfall(instrument, lines, fees=fees, funding=funding, total=total),
        shortfall_bps=ShortfallBps(
            delay=bps_of(lines.delay, notional),
            timing=bps_of(lines.timing, notional),
            spread=bps_of(lines.spread, notional),
            fees=bps_of(fees, notional),
            funding=bps_of(funding, notional),
            opportunity=bps_of(lines.opportunity, notional),
            total=bps_of(total, notional),
        ),
        arrival_cost=stated(instrument, cost),
        arrival_cost_bps=cost_bps,
        completion=stated(instrument, completing),
        completion_bps=bps_of(completing, notional),
        beyond_book_lots=record.completion.beyond_lots if record.completion and rest > 0 else 0,
        cross_at_arrival_bps=crossing_bps,
        saved_bps=None if crossing_bps is None or cost_bps is None else crossing_bps - cost_bps,
        fee_shares=shares,
        fees_settled_share=settled / filled if filled else None,
        unvalued_fees=unvalued,
        maker_lots=maker,
        taker_lots=taker,
        passive_share=maker / (maker + taker) if maker + taker else None,
        slippage_bps=sum(lots * bps for lots, bps in slips) / sum(lots for lots, _ in slips) if slips else None,
        first_fill_ns=min(heard) - record.accepted_ns if heard else None,
        last_fill_ns=max(heard) - record.accepted_ns if heard else None,
        working_ns=None if record.ended_ns is None else record.ended_ns - record.accepted_ns,
        timeouts=record.timeouts,
        fallbacks=record.fallbacks,
        requotes=record.requotes,
        orders=record.orders,
        rejects=record.rejects,
        fills=_fill_reports(record),
    )


def _check(record: ParentRecord) -> None:
    """Raise `CallerError` for a record that contradicts itself."""
    symbol, side = record.instrument.symbol, record.side
    wrong = ""
    if record.qty_lots <= 0:
        wrong = f"quantity {record.qty_lots} lots is not positive"
    marks = (record.decision_hticks, record.arrival_hticks, record.end_mark_hticks)
    if any(mark is not None and mark <= 0 for mark in marks):
        wrong = f"decision, arrival and end marks {marks} hold one that is no price; an unknown one is None"
    seen: set[tuple[ClOrdId, ExecId]] = set()
    filled = 0
    for fill in record.fills:
        filled += fill.lots
        if (fill.cl_ord_id, fill.exec_id) in seen:
            wrong = f"fill {fill.exec_id} is there twice"
        elif fill.symbol != symbol or fill.side is not side:
            wrong = f"fill {fill.exec_id} is of {fill.symbol} {fill.side.name}, the parent of {symbol} {side.name}"
        elif fill.lots <= 0 or fill.ticks <= 0 or (fill.mid_hticks is not None and fill.mid_hticks <= 0):
            wrong = f"fill {fill.exec_id} has a quantity or price that is not positive; an unknown mid is None"
        seen.add((fill.cl_ord_id, fill.exec_id))
    if any(mid <= 0 for _, _, mid in record.markouts):
        wrong = "a markout has a mid that is no price; leave unknown ones out"
    rest = record.qty_lots - filled
    if record.completion is not None and rest > 0:
        lots = sum(lots for _, lots in record.completion.levels)
        if lots != rest or any(ticks <= 0 for ticks, _ in record.completion.levels):
            wrong = f"the completion takes {lots} lots, the rest is {rest}, or one of its prices is not positive"
    if wrong:
        raise CallerError(f"parent {record.parent_id}: {wrong}; no report was made, and nothing was sent. Fold it anew")


class _Lines(NamedTuple):
    """The lines that need marks; None where one is missing."""

    delay: Exact | None
    timing: Exact | None
    spread: Exact | None
    opportunity: Exact | None


def _lines(record: ParentRecord, *, filled: int, arrival: Exact | None, scale: Exact) -> _Lines:
    """The split from sums over all fills: what was paid, and what the same lots were worth at the mids."""
    instrument, sign, fills = record.instrument, int(record.side), record.fills
    decision = worth_if_known(instrument, record.decision_hticks)
    end = worth_if_known(instrument, record.end_mark_hticks)
    rest = record.qty_lots - filled
    opportunity: Exact | None = None
    if not rest:
        opportunity = 0
    elif decision is not None and end is not None:
        opportunity = sign * rest * (end - decision) * scale
    if not filled:
        return _Lines(0, 0, 0, opportunity)
    delay: Exact | None = None
    timing: Exact | None = None
    spread: Exact | None = None
    if arrival is not None and decision is not None:
        delay = sign * filled * (arrival - decision) * scale
    mids = [fill.lots * worth(instrument, fill.mid_hticks) for fill in fills if fill.mid_hticks is not None]
    if len(mids) == len(fills):
        at_mid = sum(mids)
        at_price = sum(fill.lots * worth(instrument, 2 * fill.ticks) for fill in fills)
        spread = sign * (at_price - at_mid) * scale
        if arrival is not None:
            timing = sign * (at_mid - filled * arrival) * scale
    return _Lines(delay, timing, spread, opportunity)


def _total(record: ParentRecord, *, rest: int, scale: Exact, charges: Exact) -> Exact | None:
    """Shortfall fill by fill against the decision mid, and `charges`; needs neither arrival nor mids at the fills."""
    instrument, sign = record.instrument, int(record.side)
    end: Exact | None = 0 if not rest else worth_if_known(instrument, record.end_mark_hticks)
    decision = worth_if_known(instrument, record.decision_hticks)
    if decision is None or end is None:
        return None
    moved = rest * (end - decision)
    for fill in record.fills:
        moved += fill.lots * (worth(instrument, 2 * fill.ticks) - decision)
    return sign * moved * scale + charges


def _funding(record: ParentRecord) -> Exact | None:
    """Funding in exact money."""
    if record.funding_atoms is None or not record.instrument.inverse:
        return record.funding_atoms
    return Fraction(record.funding_atoms, 10**record.instrument.money_exp)


def _completing(record: ParentRecord, *, rest: int, arrival: Exact | None, scale: Exact) -> Exact | None:
    """Cost against arrival of crossing with the rest at the end, taker fee in; None when unknown, 0 without a rest."""
    if rest <= 0:
        return 0
    if arrival is None or record.completion is None:
        return None
    instrument, sign = record.instrument, int(record.side)
    cost: Exact = 0
    for ticks, lots in record.completion.levels:
        fee = instrument.fee_atoms(lots, ticks, instrument.taker_fee_e8)
        cost += sign * lots * (worth(instrument, 2 * ticks) - arrival) * scale + from_quote(instrument, fee, ticks)
    return cost


def _fees(record: ParentRecord) -> tuple[Exact, tuple[FeeShare, ...], int]:
    """Sum of the fees, the sum by source, and how many settled fees could not be valued."""
    instrument = record.instrument
    amounts: dict[FeeSource, Exact] = {}
    lots: dict[FeeSource, int] = {}
    unvalued = 0
    for fill in record.fills:
        source = fill.fee_source or _ESTIMATED[fill.is_maker]
        atoms = fill.fee_atoms
        if atoms is not None and not _has_price(instrument, fill.fee_asset):
            unvalued += 1
            atoms = None
        if atoms is None:
            source = _ESTIMATED[fill.is_maker]
            atoms = fill.fee_estimated_atoms
        if atoms is None:
            # Nobody who may have paid the taker's rate is booked at the maker's.
            rate = instrument.maker_fee_e8 if fill.is_maker else instrument.taker_fee_e8
            atoms = instrument.fee_atoms(fill.lots, fill.ticks, rate)
        amount = from_quote(instrument, atoms, fill.ticks)
        if instrument.inverse and source in SETTLED and fill.fee_asset != instrument.quote:
            amount = Fraction(atoms, 10**instrument.money_exp)
        amounts[source] = amounts.get(source, 0) + amount
        lots[source] = lots.get(source, 0) + fill.lots
    known = [source for source in FeeSource if source in amounts]
    parts = stated_parts(instrument, [amounts[source] for source in known])
    shares = tuple(FeeShare(source, part, lots[source]) for source, part in zip(known, parts, strict=True))
    return sum(amounts.values()), shares, unvalued


def _has_price(instrument: Instrument, asset: str | None) -> bool:
    """Whether a fee in `asset` can be added to the other costs; an instrument that names no assets takes any."""
    named = [name for name in (instrument.quote, instrument.settle) if name]
    if instrument.inverse and instrument.base:
        named.append(instrument.base)
    return not asset or not named or asset in named


def _shortfall(
    instrument: Instrument, lines: _Lines, *, fees: Exact, funding: Exact | None, total: Exact | None
) -> Shortfall:
    """The split as stated amounts, which add up as the exact ones do."""
    ordered = (lines.delay, lines.timing, lines.spread, funding, lines.opportunity, fees)
    parts = iter(stated_parts(instrument, [line for line in ordered if line is not None]))
    delay, timing, spread, stated_funding, opportunity = (
        None if line is None else next(parts) for line in ordered[:-1]
    )
    return Shortfall(
        delay=delay,
        timing=timing,
        spread=spread,
        fees=next(parts),
        funding=stated_funding,
        opportunity=opportunity,
        total=stated(instrument, total),
    )


def _avg_price(instrument: Instrument, fills: tuple[Fill, ...], filled: int) -> float | None:
    """Average price in quote units: the price at which one fill of all lots had cost the same."""
    if not filled:
        return None
    if instrument.inverse:
        return float(instrument.tick_size) * float(filled / sum(Fraction(fill.lots, fill.ticks) for fill in fills))
    return float(instrument.tick_size) * (sum(fill.lots * fill.ticks for fill in fills) / filled)


def _fill_reports(record: ParentRecord) -> tuple[FillReport, ...]:
    """Spreads and markouts of each fill, in whole half-ticks."""
    sign = int(record.side)
    mids: dict[ExecId, dict[int, int]] = {}
    for exec_id, horizon_ns, mid in record.markouts:
        mids.setdefault(exec_id, {}).setdefault(horizon_ns, mid)
    reports: list[FillReport] = []
    for fill in record.fills:
        price, mid_0 = 2 * fill.ticks, fill.mid_hticks
        markouts: list[Markout] = []
        for horizon_ns, mid in sorted(mids.get(fill.exec_id, {}).items()):
            gain = sign * (mid - price)
            impact = None if mid_0 is None else sign * (mid - mid_0)
            markouts.append(Markout(horizon_ns, gain, BPS * gain / price, impact))
        effective = None if mid_0 is None else sign * (price - mid_0)
        latency_ns = None if fill.inferred else fill.recv_ns - fill.submit_ns
        reports.append(FillReport(fill.exec_id, fill.lots, fill.is_maker, latency_ns, effective, tuple(markouts)))
    return tuple(reports)
