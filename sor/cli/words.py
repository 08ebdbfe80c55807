"""Quantities, moments, orders and decisions as a trader reads them, shared by the tables, stories and live views."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from sor.adapter import NewOrder, Reach, RequestFailed
from sor.instruments import Instrument
from sor.invariants import Veto
from sor.market import MarketView
from sor.orders import ExecType, ExecutionReport, OrdType, Side
from sor.policy import Alternative, Decision, Rest
from sor.reasons import Denial, TimeoutBound
from sor.units import NS

LIMITS = {
    Denial.COLLAR: "risk.collar_bps",
    Denial.ORDER_NOTIONAL: "risk.order_notional_max",
    Denial.OPEN_NOTIONAL: "risk.open_notional_max",
    Denial.POSITION_NOTIONAL: "risk.position_notional_max",
    Denial.ORDER_RATE: "risk.orders_per_s_max",
    Denial.CANCEL_RATE: "risk.cancels_per_s_max",
    Denial.CANCEL_RATIO: "risk.cancel_ratio_max",
}
"""Which parameter a refusal of the risk gate is about."""


def unit_of(instrument: Instrument) -> str:
    """What quantities are counted in: the coin, or contracts and how much one is."""
    if instrument.inverse:
        return f"contracts of {instrument.multiplier} {instrument.quote}".rstrip()
    if instrument.multiplier != 1:
        return f"contracts of {instrument.multiplier} {instrument.base}".rstrip()
    return instrument.base or "units"


def short_unit(instrument: Instrument) -> str:
    """The same where there is no room for how much a contract is."""
    return unit_of(instrument).partition(" of ")[0]


def amount(instrument: Instrument, quantity: Decimal) -> str:
    """A quantity with its unit."""
    return f"{quantity:f} {unit_of(instrument)}"


def moment(at_ns: int) -> str:
    """A moment in UTC to the millisecond."""
    return datetime.fromtimestamp(at_ns // NS, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{at_ns % NS // 1_000_000:03d}"


def bps(value: float | None) -> str:
    """Basis points with their sign; a dash for what is not known."""
    return "-" if value is None else f"{value:+.3f}"


def count(number: int, noun: str) -> str:
    """`1 order`, `2 orders`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def verb(side: Side) -> str:
    """`buy` or `sell`."""
    return "buy" if side is Side.BUY else "sell"


def plain(text: str) -> str:
    """A stable word, such as a reason, as people write it."""
    return text.replace("_", " ")


def mid_price(instrument: Instrument, hticks: int) -> str:
    """A mid in quote units."""
    return f"{(hticks * instrument.tick_size / 2).normalize():f}"


def ordered(instrument: Instrument, order: NewOrder) -> str:
    """What an order asks for: `buy 0.5 LIMIT 60000 post-only`."""
    kind = "MARKET" if order.ord_type is OrdType.MARKET else f"LIMIT {instrument.price(order.price_ticks)}"
    how = "post-only" if order.post_only else order.tif.value.upper()
    only = " reduce-only" if order.reduce_only else ""
    return f"{verb(order.side)} {instrument.quantity(order.qty_lots)} {kind} {how}{only}"


def reported(instrument: Instrument, told: ExecutionReport) -> tuple[str, str]:
    """What a venue said of an order, and the style to print it in."""
    if told.exec_type is ExecType.TRADE:
        price, lots = instrument.price(told.last_ticks), instrument.quantity(told.last_lots)
        role = "" if told.is_maker is None else " as maker" if told.is_maker else " as taker"
        fee = ""
        if told.fee_atoms is not None:
            asset = told.fee_asset or instrument.quote
            fee = f", fee {float(instrument.money(told.fee_atoms)):.6g} {asset}".rstrip()
        return f"filled {lots} at {price}{role}{fee}", "green"
    what = plain(told.exec_type)
    if told.reject and told.reject.value != told.code:
        what += f" ({plain(told.reject)})"  # the kind that the router acts upon, beside the venue's own words
    return " ".join(["venue:", what, *(said for said in (told.code, told.text) if said)]), ""


def unanswered(failed: RequestFailed) -> tuple[str, str]:
    """What became of a request that the venue did not answer, and the style to print it in."""
    how = "was not sent" if failed.reach is Reach.NOT_SENT else "has no answer, and may have arrived"
    return " ".join(
        [f"{failed.request.value} {how}:", *(said for said in (failed.code, failed.text) if said)]
    ), "yellow"


def wanted(instrument: Instrument, decision: Decision, at_ns: int) -> str:
    """What a decision of `at_ns` places, and its reason."""
    if not decision.placements:
        return f"place nothing ({plain(decision.reason)})"
    told = []
    for want in decision.placements:
        lots = f"{instrument.quantity(want.qty_lots)}"
        if isinstance(want, Rest):
            wait = (want.expire_ns - at_ns) / NS
            bound = "" if want.bound_by is TimeoutBound.NONE else f", bound by {plain(want.bound_by)}"
            told.append(f"rest {lots} at {instrument.price(want.price_ticks)} for up to {wait:.3f} s{bound}")
        else:
            told.append(f"take {lots} now, at {instrument.price(want.collar_ticks)} or better")
    return f"{'; '.join(told)} ({plain(decision.reason)})"


def possible(decision: Decision) -> str:
    """What the invariants left to be done, and which of them removed the rest."""
    why = f", as {' and '.join(plain(name) for name in decision.removed)} forbids more" if decision.removed else ""
    if not decision.admissible:
        return f"possible: nothing{why}"
    return f"possible: {' or '.join(decision.admissible)}{why}"


def vetoed(veto: str, decision: Decision) -> str:
    """What an invariant's numbers say and what ends it, where there is something to be done about it; else ""."""
    if veto != Veto.FIT_CONTRADICTED:
        return ""
    told = dict(decision.inputs)
    return (
        f": of {told['fit_orders']:.0f} resting orders {told['fit_filled']:.0f} were filled, where "
        f"{told['fit_expected']:.1f} were predicted; a new set ends this, or --trust-fit"
    )


def compared(alternatives: tuple[Alternative, ...]) -> str:
    """Which way was expected to cost least, and by how much; "" where fewer than two costs are known."""
    known = sorted((one.cost_bps, one.name) for one in alternatives if one.cost_bps is not None)
    if len(known) < 2:
        return ""
    (least, name), (next_, other) = known[:2]
    return f"least expected cost: {name}, {next_ - least:.3f} bps below {other}"


def weighed(alternative: Alternative) -> str:
    """One way that was costed, and what it was expected to cost."""
    cost = "cost not known" if alternative.cost_bps is None else f"{alternative.cost_bps:+.3f} bps"
    error = "" if alternative.se_bps is None else f" ± {alternative.se_bps:.3f}"
    note = f" ({alternative.note.strip()})" if alternative.note else ""
    return f"{alternative.name}: {cost}{error}{note}"


def seen(instrument: Instrument, market: MarketView) -> str:
    """The market as a decision saw it."""
    if not market.bids or not market.asks:
        return f"a book that is {market.trust.value}"
    (bid, bid_lots), (ask, ask_lots) = market.bids[0], market.asks[0]
    price, quantity = instrument.price, instrument.quantity
    text = f"bid {price(bid)} x {quantity(bid_lots)}, ask {price(ask)} x {quantity(ask_lots)}"
    features = market.features
    if features is None:
        return f"{text}; book {market.trust.value}"
    lot = float(instrument.lot_size)
    return (
        f"{text}; spread {features.spread_bps:.3f} bps, imbalance {features.imbalance:.2f}, volatility "
        f"{features.volatility:.3f} bps/sqrt(s), buyers {features.buy_flow * lot:.4g} and sellers "
        f"{features.sell_flow * lot:.4g} {short_unit(instrument)} per s"
    )


def denied(denial: Denial, params: Mapping[str, float]) -> str:
    """Why the risk gate refused, with the limit where one parameter is it."""
    limit = LIMITS.get(denial)
    if limit is None or limit not in params:
        return plain(denial)
    return f"{plain(denial)} ({limit} is {params[limit]:,g})"
