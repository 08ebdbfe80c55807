"""From the core's state to what is reported: the record that TCA prices, and the receipt that answers an intent."""

from __future__ import annotations

from decimal import Decimal

from sor.child import Child, Life
from sor.fills import fills_of
from sor.ids import ExecId
from sor.orders import ExecutionReceipt, Fill, Intent, OrdStatus, RejectKind
from sor.parent import Parent
from sor.router import Core
from sor.tca import ParentRecord, completion, report
from sor.units import rate_bps, slippage_bps


def fills_of_parent(parent: Parent) -> tuple[Fill, ...]:
    """Every counted fill of a parent, by child, in the order of arrival."""
    return tuple(
        fill for child in parent.children for fill in fills_of(child, parent_id=parent.id, instrument=parent.instrument)
    )


def record_of(parent: Parent, core: Core) -> ParentRecord:
    """What TCA needs to know of a parent; it may still be working."""
    params, _ = core.in_force.resolved(parent.set_name, parent.instrument, core.now_ns)
    end_mark = None if parent.end_market is None else parent.end_market.mid_hticks
    rest = parent.remaining_lots
    ladder = () if parent.end_market is None else parent.end_market.ladder(parent.side)
    return ParentRecord(
        parent_id=parent.id,
        policy=parent.policy,
        params_digest=params.digest,
        instrument=parent.instrument,
        side=parent.side,
        qty_lots=parent.ledger.order_lots,
        decision_hticks=parent.arrival_hticks if parent.decision_hticks is None else parent.decision_hticks,
        arrival_hticks=parent.arrival_hticks,
        accepted_ns=parent.accepted_ns,
        ended_ns=parent.ended_ns or None,
        status=parent.status,
        end_reason=parent.end_reason,
        fills=fills_of_parent(parent),
        end_mark_hticks=end_mark,
        completion=completion(ladder, rest_lots=rest) if rest else None,
        timeouts=parent.timeouts,
        fallbacks=int(parent.fell_back),
        requotes=parent.requotes,
        orders=len(parent.children),
        rejects=sum(child.status is OrdStatus.REJECTED for child in parent.children),
        markouts=tuple((ExecId(exec_id), horizon, mid) for exec_id, horizon, mid in parent.markouts),
        cross_at_arrival_bps=_cross_at_arrival(parent),
    )


def _cross_at_arrival(parent: Parent) -> float | None:
    """Counterfactual: the displayed book at arrival taken at once, taker fee in, against the arrival mid."""
    market = parent.arrival_market
    if market is None or parent.arrival_hticks is None:
        return None
    walk = completion(market.ladder(parent.side), rest_lots=parent.ledger.order_lots)
    if walk is None:
        return None
    lots = sum(lots for _, lots in walk.levels)
    average = sum(ticks * lots for ticks, lots in walk.levels) / lots
    mid = parent.arrival_hticks / 2
    fee = rate_bps(parent.instrument.taker_fee_e8) * average / mid
    return slippage_bps(side_sign=parent.side, exec_px=average, bench_px=mid) + fee


def receipt_of(parent: Parent, intent: Intent, core: Core, *, now_ns: int) -> ExecutionReceipt:
    """The answer to an intent, from what its parent has become."""
    fills = fills_of_parent(parent)
    lots = sum(fill.lots for fill in fills)
    costs = report(record_of(parent, core))
    assets = {fill.fee_asset: None for fill in fills if fill.fee_atoms is not None}
    sources = list(dict.fromkeys(fill.fee_source for fill in fills))
    fee = None
    if fills and len(assets) == 1 and all(fill.fee_atoms is not None for fill in fills):
        fee = parent.instrument.money(sum(fill.fee_atoms or 0 for fill in fills))
    return ExecutionReceipt(
        ts_ns=now_ns,
        intent_id=intent.intent_id,
        status=parent.status,
        symbol=parent.instrument.symbol,
        side=parent.side,
        action=intent.action,
        quantity=parent.instrument.quantity(lots),
        price=_average(parent, fills, lots),
        cl_ord_ids=tuple(child.order.cl_ord_id for child in parent.children),
        venue_order_ids=tuple(child.venue_order_id for child in parent.children if child.venue_order_id),
        fee=fee,
        fee_asset=next(iter(assets)) if fee is not None else None,
        slippage_bps=_slippage(fills, lots),
        arrival_cost_bps=costs.arrival_cost_bps,
        reason="" if parent.end_reason is None else parent.end_text or parent.end_reason.value,
        raw=_raw(parent.children),
        fee_source=sources[0] if len(sources) == 1 else None,
        fee_estimated=_estimated(parent, fills),
        reject=_reject(parent.children),
    )


def _average(parent: Parent, fills: tuple[Fill, ...], lots: int) -> Decimal | None:
    """Average price; of an inverse contract the harmonic one, as its value is lots over price."""
    if not lots:
        return None
    if parent.instrument.inverse:
        return lots * parent.instrument.tick_size / sum(Decimal(fill.lots) / fill.ticks for fill in fills)
    return sum(fill.lots * fill.ticks for fill in fills) * parent.instrument.tick_size / lots


def _slippage(fills: tuple[Fill, ...], lots: int) -> float | None:
    known = [(fill.slippage_bps, fill.lots) for fill in fills if fill.slippage_bps is not None]
    if not known or sum(part for _, part in known) != lots:
        return None
    return sum(bps * part for bps, part in known) / lots


def _estimated(parent: Parent, fills: tuple[Fill, ...]) -> Decimal | None:
    """Our own estimate of all fees, None without fills."""
    if not fills or any(fill.fee_estimated_atoms is None for fill in fills):
        return None
    return parent.instrument.money(sum(fill.fee_estimated_atoms or 0 for fill in fills))


def _raw(children: list[Child]) -> str | None:
    """The venue's own words on the last order that it refused, or whose request it did not answer."""
    for child in reversed(children):
        lost = child.failed if child.life in (Life.ABSENT, Life.IN_DOUBT) else None  # else it was found later
        said = child.reject or lost
        if said is not None:
            return f"{said.code} {said.text}".strip()
    return None


def _reject(children: list[Child]) -> RejectKind | None:
    """Why the venue refused last, None where it did not."""
    for child in reversed(children):
        if child.reject is not None and child.reject.reject is not RejectKind.NONE:
            return child.reject.reject
    return None
