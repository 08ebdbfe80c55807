"""The door: what is checked before a fact is made of a request. What fails is a `CallerError`: nothing was sent."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Final, TypeVar

import msgspec

from sor.adapter import Feed
from sor.decide import PluginFault, due_of
from sor.errors import CallerError, VenueFault
from sor.events import AmendAsked, CancelAsked, FitTrusted, HaltLifted, ModeSet, TradingMode
from sor.ids import VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.limits import limits_of
from sor.market import MarketView, Trust
from sor.orders import Action, Intent, OnNoMarket, ParentOrder, PositionSide, Side, Tif
from sor.param_table import ALWAYS
from sor.parent import Parent
from sor.placement import foreseen, view_of
from sor.policy import Decision, checks_orders
from sor.reasons import Denial
from sor.router import Core
from sor.snapshot import Cause

Asked = TypeVar("Asked", bound=AmendAsked | CancelAsked | FitTrusted | HaltLifted | ModeSet)

INTENT_DEADLINE_S = 60.0
"""An intent without a price must be done within this."""
GTC_DEADLINE_S = 30 * 86_400.0
"""A plain limit order that an intent asks for rests this long at most."""
STEPS_MAX = 2**53
"""Lots or ticks of an order: far beyond what any venue takes, and what a journal can hold with room to spare."""
NAMED_MAX = 10
"""Instruments that are named to whoever asks for one that is not there; venues list a thousand."""
# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it.
_IOC: Final = Tif.IOC
_BOTH: Final = PositionSide.BOTH
_ACTIVE: Final = TradingMode.ACTIVE
_METADATA = ("order_type", "limit_price", "may_rest", "deadline_s", "policy", "param_set", "experiment")


def admit(core: Core, order: ParentOrder) -> VenueName | Parent:
    """Check an order: the venue it will trade on, or the parent that it already is (P4)."""
    _check_types(order)
    known = core.by_id.get(order.parent_id)
    if known is not None:
        if known.order == order:
            return known
        raise CallerError(
            f"parent {order.parent_id!r} was submitted before with other terms; nothing was sent. "
            "Use a new parent id, or amend the working parent"
        )
    if core.parents.is_spent(order.parent_id):
        raise CallerError(
            f"parent {order.parent_id!r} was submitted before, and ended too long ago to be remembered; nothing was "
            "sent. Its story is in the journal (`sor explain`). Use a new parent id"
        )
    if not order.parent_id or len(order.parent_id) > 64:
        raise CallerError("a parent id has 1 to 64 characters; nothing was sent")
    instrument = listed(core, order.symbol, order.venues)
    lots = instrument.lots(order.quantity)
    if lots < instrument.min_qty_lots:
        raise CallerError(
            f"{instrument.symbol}: quantity {order.quantity} is below {instrument.venue}'s minimum of "
            f"{instrument.quantity(instrument.min_qty_lots)}; nothing was sent"
        )
    _check_size(lots, f"quantity {order.quantity}")
    if order.limit is not None:
        _check_size(instrument.ticks(order.limit), f"limit {order.limit}")
    _check_numbers(order)
    capabilities = core.desk.venues[instrument.venue].capabilities
    if not capabilities.query_by_client_id or _IOC not in capabilities.tif:
        asks = capabilities.query_by_client_id
        lacks = "has no orders that take without resting" if asks else "cannot be asked for an order by our id"
        raise CallerError(f"{instrument.venue} {lacks}, so it is not routable; nothing was sent")
    modes = capabilities.position_modes
    if order.position_side not in modes:
        known_sides = ", ".join(side.value for side in PositionSide if side in modes)
        raise CallerError(
            f"{instrument.venue} holds no {order.position_side.value!r} position in this account's mode; nothing was "
            f"sent. Position sides are: {known_sides}"
        )
    if order.position_side is not _BOTH:
        closes = (order.side is Side.SELL) is (order.position_side is PositionSide.LONG)
        if closes is not order.reduce_only:
            does = "closes" if closes else "opens"
            raise CallerError(
                f"a {order.side.name.lower()} {does} a {order.position_side.value} position, "
                f"and reduce_only is {order.reduce_only}; nothing was sent. Set it to {closes}, or name the other side"
            )
    check_plugins(core, order, instrument)
    if order.experiment and order.experiment not in core.in_force.experiments:
        known_ones = ", ".join(core.in_force.experiments) or "none"
        raise CallerError(
            f"there is no experiment {order.experiment!r}; nothing was sent. Started on this journal: {known_ones}"
        )
    if core.breakers.mode is not _ACTIVE and not (core.breakers.mode is TradingMode.REDUCE_ONLY and order.reduce_only):
        raise CallerError(
            f"trading is {core.breakers.mode.value} (kill switch: {core.breakers.mode_reason}); nothing was sent"
        )
    book = core.desk.books.get((instrument.venue, order.account, instrument.symbol))
    if book is not None and book.halted:
        raise VenueFault(
            f"{instrument.symbol} on {instrument.venue} is halted: {book.halted}; nothing was sent. "
            "Set the venue's books beside the journal, then lift the halt"
        )
    return instrument.venue


def listed(core: Core, spelling: str, venues: tuple[VenueName, ...]) -> Instrument:
    """The instrument on the first allowed venue that lists it."""
    symbol = canonical_symbol(spelling)
    for venue in venues:
        if venue not in core.desk.venues:
            known = ", ".join(core.desk.venues) or "none"
            raise CallerError(f"venue {venue!r} is not connected; nothing was sent. Connected: {known}")
    for venue in venues or tuple(core.desk.venues):
        found = core.in_force.instruments.get((venue, symbol))
        if found is not None:
            return found
    names = [f"{name} ({venue})" for venue, name in core.in_force.instruments]
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    raise CallerError(
        f"{spelling!r} is not listed on any allowed venue; nothing was sent. "
        f"Listed: {', '.join(names[:NAMED_MAX]) or 'none'}{more}"
    )


def parent_of(core: Core, intent: Intent, *, policy: str) -> ParentOrder:
    """The parent order that an intent means (P1): LONG enter and SHORT exit buy, every exit only reduces.

    policy    what places it when the metadata does not say.
    """
    _check_decimals(size=intent.size, leverage=intent.leverage)
    _check_readable(intent, "an intent")
    unknown = [key for key in intent.metadata if key not in _METADATA]
    if unknown:
        raise CallerError(
            f"intent metadata {unknown[0]!r} is not known; nothing was sent. Known: {', '.join(_METADATA)}"
        )
    if intent.side is PositionSide.BOTH:
        raise CallerError("an intent's side is long or short; nothing was sent")
    instrument = listed(core, intent.asset, ())
    lots = instrument.floor_lots(intent.size)
    if lots < instrument.min_qty_lots:
        raise CallerError(
            f"{instrument.symbol}: size {intent.size} is {instrument.quantity(lots)} on the step, below the minimum of "
            f"{instrument.quantity(instrument.min_qty_lots)}; nothing was sent"
        )
    entering = intent.action is Action.ENTER
    long = intent.side is PositionSide.LONG
    limit = _limit_of(intent)
    modes = core.desk.venues[instrument.venue].capabilities.position_modes
    return ParentOrder(
        parent_id=intent.intent_id,
        symbol=intent.asset,
        side=Side.BUY if entering == long else Side.SELL,
        quantity=instrument.quantity(lots),
        strategy=intent.strategy,
        account=intent.account,
        limit=limit,
        may_rest=limit is not None or _flag(intent, "may_rest"),
        deadline_s=_number(intent, "deadline_s", INTENT_DEADLINE_S if limit is None else GTC_DEADLINE_S),
        policy=intent.metadata.get("policy", policy if limit is None else "plain_limit"),
        param_set=intent.metadata.get("param_set", ""),
        experiment=intent.metadata.get("experiment", ""),
        reduce_only=not entering,
        position_side=PositionSide.BOTH if PositionSide.BOTH in modes else intent.side,
    )


def check_amend(parent: Parent, asked: AmendAsked) -> None:
    """Check an amendment of a working parent; nothing is changed when it cannot be."""
    if not parent.active:
        raise CallerError(f"parent {parent.id!r} is {parent.status.value}; it cannot be amended")
    if asked.quantity is not None:
        lots = parent.instrument.lots(asked.quantity)
        if lots <= parent.ledger.cum_lots:
            filled = parent.instrument.quantity(parent.ledger.cum_lots)
            raise CallerError(f"parent {parent.id!r} has filled {filled} already: cancel it instead")
        _check_size(lots, f"quantity {asked.quantity}")
    if asked.limit is not None:
        _check_size(parent.instrument.ticks(asked.limit), f"limit {asked.limit}")
    if asked.deadline_s is not None and not 0 < asked.deadline_s <= 1e7:
        raise CallerError(f"deadline of {asked.deadline_s} s: it must lie ahead; nothing was changed")
    if asked.urgency is not None and not 0 <= asked.urgency <= 1:
        raise CallerError(f"urgency {asked.urgency} is not within 0 and 1; nothing was changed")


class Foresight(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of an order at this moment: the decision, and what the risk gate says of each placement."""

    decision: Decision
    denials: tuple[Denial | None, ...]

    @property
    def too_large(self) -> bool:
        """Whether each placement would be denied for its value alone, which no waiting changes."""
        return bool(self.denials) and all(denial is Denial.ORDER_NOTIONAL for denial in self.denials)


def preview(core: Core, order: ParentOrder, venue: VenueName, market: MarketView, *, now_ns: int) -> Foresight:
    """What the policy of an admitted order would decide on `market` at this moment; nothing is kept (P5)."""
    mid = market.mid_hticks
    if market.trust is not Trust.OK or mid is None:
        raise CallerError(f"the book of {order.symbol} on {venue} is {market.trust.value}; try again when it is known")
    instrument = core.in_force.instruments[venue, canonical_symbol(order.symbol)]
    parent = Parent(
        no=0,
        order=order,
        intent=None,
        venue=venue,
        instrument=instrument,
        set_name=order.param_set or core.in_force.default_set,
        now_ns=now_ns,
    )
    parent.arrival_hticks = mid
    params = core.in_force.sets[parent.set_name].resolve(venue, instrument.symbol, now_ns=now_ns)
    limits = limits_of(params)
    try:
        due = due_of(parent, core.deciding.schedules[order.schedule], limits, now_ns=now_ns)
    except PluginFault as fault:
        raise CallerError(f"{fault}; nothing was sent") from fault
    view = view_of(
        parent,
        cause=Cause.START,
        market=market,
        open_lots=due.target_lots,
        due_ns=due.by_ns,
        capabilities=core.desk.venues[venue].capabilities,
        now_ns=now_ns,
        contradicted=core.in_force.doubt_of(order.policy, params),
    )
    decision, _ = core.deciding.decider(parent, core.deciding.policies[order.policy], view, params)
    return Foresight(
        decision=decision, denials=foreseen(core.desk, parent, view, decision, mode=core.breakers.mode, limits=limits)
    )


def check_size(core: Core, order: ParentOrder, venue: VenueName, feed: Feed, *, now_ns: int) -> None:
    """Raises `CallerError` for an admitted order of which no placement would ever pass the risk gate.

    What is larger than one order may be is cut, so that is one where even the venue's smallest order is worth too much.
    While its market is not known nobody can tell.
    """
    instrument = core.in_force.instruments[venue, canonical_symbol(order.symbol)]
    params = core.in_force.sets[order.param_set or core.in_force.default_set].resolve(
        venue, instrument.symbol, now_ns=now_ns
    )
    most = params["risk.order_notional_max"]
    value = instrument.value(instrument.lots(order.quantity), feed.mid_hticks(now_ns) // 2)
    if value <= most:
        return
    market = feed.view(now_ns)
    if market.trust is Trust.OK and preview(core, order, venue, market, now_ns=now_ns).too_large:
        raise CallerError(
            f"{order.quantity} {instrument.symbol} is worth about {value:,.0f} {instrument.quote}, and {venue} takes "
            f"no order as small as the {most:,.0f} that risk.order_notional_max allows in one; nothing was sent"
        )


def check_plugins(core: Core, order: ParentOrder, instrument: Instrument) -> None:
    """Raise `CallerError` for a policy, schedule or param-set that is not there, or not enough for the order."""
    policy = core.deciding.policies.get(order.policy)
    if policy is None:
        known = ", ".join(core.deciding.policies)
        raise CallerError(f"there is no policy {order.policy!r}; nothing was sent. Installed: {known}")
    schedule = core.deciding.schedules.get(order.schedule)
    if schedule is None:
        known = ", ".join(core.deciding.schedules)
        raise CallerError(f"there is no schedule {order.schedule!r}; nothing was sent. Installed: {known}")
    schedule.check(order.schedule_args)
    name = order.param_set or core.in_force.default_set
    if name not in core.in_force.sets:
        known = ", ".join(core.in_force.sets) or "none"
        raise CallerError(f"there is no param-set {name!r}; nothing was sent. Loaded: {known}")
    params = core.in_force.sets[name].resolve(instrument.venue, instrument.symbol, now_ns=core.now_ns)
    missing = params.missing(ALWAYS) or params.missing(policy.needs)
    if missing:
        who = "the router" if params.missing(ALWAYS) else f"{order.policy!r}"
        raise CallerError(
            f"param-set {name!r} does not give {', '.join(missing)} for {instrument.symbol} on {instrument.venue} "
            f"now, which {who} needs; nothing was sent. Add them to the set, or name another"
        )
    if checks_orders(policy):
        policy.check(order)


def _check_types(order: ParentOrder) -> None:
    _check_decimals(quantity=order.quantity, limit=order.limit, decision_price=order.decision_price)
    _check_readable(order, "a parent order")


def _check_decimals(**amounts: Decimal | None) -> None:
    for name, amount in amounts.items():
        if amount is not None and not isinstance(amount, Decimal):
            raise CallerError(
                f"{name} {amount!r} is a {type(amount).__name__}, not a Decimal; nothing was sent. "
                f"Write Decimal({str(amount)!r})"
            )


def _check_readable(terms: ParentOrder | Intent, what: str) -> None:
    """What is journaled must read back, or the router could not be started again: a word for a side would not.

    And as what it is now: 1 reads back as BUY, but is not BUY to whoever asks in the meantime.
    """
    read, members = _READ[type(terms)]
    try:
        read(_write(terms))
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as error:
        raise CallerError(f"{what} has a field of the wrong type: {error}; nothing was sent") from error
    for name, kind in members:
        value = getattr(terms, name)
        if not isinstance(value, kind):
            raise CallerError(
                f"{what} has a field of the wrong type: {name} {value!r} is no {kind.__name__}; nothing was sent"
            )


_write = msgspec.msgpack.Encoder().encode
_READ: dict[type, tuple[Callable[[bytes], object], tuple[tuple[str, type[Enum]], ...]]] = {
    ParentOrder: (
        msgspec.msgpack.Decoder(ParentOrder).decode,
        (("side", Side), ("position_side", PositionSide), ("on_no_market", OnNoMarket)),
    ),
    Intent: (msgspec.msgpack.Decoder(Intent).decode, (("action", Action), ("side", PositionSide))),
}
_read_asked = msgspec.msgpack.Decoder(AmendAsked | CancelAsked | FitTrusted | HaltLifted | ModeSet).decode


def as_recorded(asked: Asked) -> Asked:
    """A caller's request as the journal will give it back: a word for a mode becomes that mode.

    Raises `CallerError` for one that would not read back, which would keep the router from starting again.
    """
    try:
        recorded = _read_asked(_write(asked))
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as error:
        raise CallerError(f"a request has a field of the wrong type: {error}; nothing was changed") from error
    assert isinstance(recorded, type(asked))
    return recorded


def _check_size(steps: int, what: str) -> None:
    """What fits no record would stop the router as soon as it is decided upon."""
    if steps > STEPS_MAX:
        raise CallerError(f"{what} is more than 2**53 steps; nothing was sent")


def _check_numbers(order: ParentOrder) -> None:
    if not 0 < order.deadline_s <= 1e7:
        raise CallerError(f"deadline of {order.deadline_s} s: it must be positive; nothing was sent")
    if not 0 <= order.urgency <= 1:
        raise CallerError(f"urgency {order.urgency} is not within 0 and 1; nothing was sent")
    for name, value in (
        ("mae_budget_bps", order.mae_budget_bps),
        ("holding_s", order.holding_s),
        ("unwind_after_s", order.unwind_after_s),
    ):
        if value is not None and not 0 < value < float("inf"):
            raise CallerError(f"{name} {value} must be positive; nothing was sent")
    if order.max_participation is not None and not 0 < order.max_participation <= 1:
        raise CallerError(f"max_participation {order.max_participation} is not within 0 and 1; nothing was sent")
    if order.max_participation is not None:
        # Refused rather than ignored: nothing here counts the market's volume against ours yet.
        raise CallerError("max_participation is honoured by no schedule yet; nothing was sent. Leave it out")
    price = order.decision_price
    if price is not None and not (price.is_finite() and price > 0):
        raise CallerError(f"decision_price {order.decision_price} must be positive; nothing was sent")


def _limit_of(intent: Intent) -> Decimal | None:
    kind = intent.metadata.get("order_type", "market")
    text = intent.metadata.get("limit_price")
    if kind == "market" and text is None:
        return None
    if kind != "limit" or text is None:
        raise CallerError(
            f"intent {intent.intent_id!r}: a limit order needs order_type 'limit' and a limit_price; nothing was sent"
        )
    try:
        return Decimal(text)
    except ArithmeticError as error:
        raise CallerError(
            f"intent {intent.intent_id!r}: limit_price {text!r} is not a number; nothing was sent"
        ) from error


def _number(intent: Intent, key: str, default: float) -> float:
    text = intent.metadata.get(key)
    if text is None:
        return default
    try:
        return float(text)
    except ValueError as error:
        raise CallerError(f"intent {intent.intent_id!r}: {key} {text!r} is not a number; nothing was sent") from error


def _flag(intent: Intent, key: str) -> bool:
    text = intent.metadata.get(key, "false").lower()
    if text not in ("true", "false"):
        raise CallerError(f"intent {intent.intent_id!r}: {key} {text!r} is neither true nor false; nothing was sent")
    return text == "true"
