"""The fills of an order with their friction (F1, F2), read off its child when somebody asks: nothing on the hot path.

What is not known is absent, never 0. A fee the venue has stated stands beside our own estimate of it.
"""

from __future__ import annotations

from sor.child import Child
from sor.ids import ExecId, ParentId
from sor.instruments import Instrument
from sor.orders import ExecutionReport, FeeSource, Fill
from sor.units import slippage_bps


def fills_of(child: Child, *, parent_id: ParentId, instrument: Instrument) -> list[Fill]:
    """Every counted lot of `child`: its trades in the order of arrival, then what only the venue's total proves."""
    fills = [_fill(child, report, mid, parent_id, instrument) for report, mid in child.trades]
    missing = child.counted_lots - child.sum_lots
    if missing > 0:
        fills.append(_inferred(child, missing, parent_id, instrument))
    return fills


def _fill(child: Child, report: ExecutionReport, mid: int, parent_id: ParentId, instrument: Instrument) -> Fill:
    maker = report.is_maker
    estimate, source = _estimate(
        report.last_lots, report.last_ticks, instrument, maker=child.order.post_only if maker is None else maker
    )
    settled = report.fee_atoms is not None
    return Fill(
        parent_id=parent_id,
        cl_ord_id=child.order.cl_ord_id,
        exec_id=report.exec_id,
        venue=child.venue,
        symbol=instrument.symbol,
        side=child.order.side,
        lots=report.last_lots,
        ticks=report.last_ticks,
        recv_ns=report.recv_ns,
        submit_ns=child.sent_ns,
        exchange_ns=report.venue_ns or None,
        is_maker=maker,
        fee_atoms=report.fee_atoms if settled else estimate,
        fee_asset=(report.fee_asset or None) if settled else instrument.quote,
        fee_source=report.fee_source if settled else source,
        fee_estimated_atoms=estimate,
        mid_hticks=mid or None,
        mark_at_submit_ticks=child.mark_ticks,
        slippage_bps=_slippage(child, report.last_ticks),
    )


def _inferred(child: Child, lots: int, parent_id: ParentId, instrument: Instrument) -> Fill:
    """The lots that the venue's total proves and no trade report has explained yet."""
    ticks = inferred_ticks(child, lots)
    estimate, source = _estimate(lots, ticks, instrument, maker=child.order.post_only)
    return Fill(
        parent_id=parent_id,
        cl_ord_id=child.order.cl_ord_id,
        exec_id=ExecId(f"{child.order.cl_ord_id}/stated"),
        venue=child.venue,
        symbol=instrument.symbol,
        side=child.order.side,
        lots=lots,
        ticks=ticks,
        recv_ns=child.sent_ns,
        submit_ns=child.sent_ns,
        fee_atoms=estimate,
        fee_asset=instrument.quote,
        fee_source=source,
        fee_estimated_atoms=estimate,
        mark_at_submit_ticks=child.mark_ticks,
        slippage_bps=_slippage(child, ticks),
        inferred=True,
    )


def inferred_ticks(child: Child, lots: int) -> int:
    """The price of `lots` > 0 that no trade report has explained yet.

    What the stated average leaves for them, to the nearest tick; without one, the limit they were sent with, or the
    touch as the mid at submit gives it.
    """
    if child.floor_hticks:
        return max(1, round((child.floor_hticks * child.floor_lots - 2 * child.sum_lot_ticks) / (2 * lots)))
    return child.price_ticks or max(1, child.mid_hticks // 2)


def fee_of(report: ExecutionReport, child: Child, instrument: Instrument) -> int:
    """The fee of one trade in atoms of the quote: as stated, else estimated from the account's own rate (F2)."""
    if report.fee_atoms is not None and report.fee_asset in ("", instrument.quote):
        return report.fee_atoms
    return estimated_fee(child, report.last_lots, report.last_ticks, instrument, is_maker=report.is_maker)


def estimated_fee(child: Child, lots: int, ticks: int, instrument: Instrument, *, is_maker: bool | None) -> int:
    """Our own estimate of a fee, in atoms; who made the price is what was said, else what was asked for."""
    return _estimate(lots, ticks, instrument, maker=child.order.post_only if is_maker is None else is_maker)[0]


def _estimate(lots: int, ticks: int, instrument: Instrument, *, maker: bool) -> tuple[int, FeeSource]:
    rate = instrument.maker_fee_e8 if maker else instrument.taker_fee_e8
    source = FeeSource.ESTIMATED_MAKER if maker else FeeSource.ESTIMATED_TAKER
    return instrument.fee_atoms(lots, ticks, rate), source


def _slippage(child: Child, ticks: int) -> float | None:
    if child.mark_ticks is None:
        return None
    return slippage_bps(side_sign=child.order.side, exec_px=ticks, bench_px=child.mark_ticks)
